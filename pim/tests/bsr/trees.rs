//! Shared trees whose rendezvous point is another one.

use super::*;

/// A ring of six with hosts at 3; the rendezvous points are 1 and 5, the bootstrap router is 0.
fn ring() -> (Net, LinkId) {
    let links = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)];
    let domain = Domain::new(6, &links, &[3]).candidate_bsr(0, 64);
    let domain = domain.candidate_rp(1, 10, &["ff00::/8"]).candidate_rp(5, 20, &["ff00::/8"]);
    let mut net = domain.build();
    net.link_up_all();
    (net, links.len())
}

#[test]
fn trees_move_with_their_rendezvous_point() {
    let (mut net, hosts) = ring();
    let group = group("ff1e::77");
    let any = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group };
    let from = |node| MrouteKey { source: address(node), group };
    // A member before any rendezvous point is known: refused, counted, and taken on once there is one.
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 2);
    assert!(count(&net, 3, "drop-pim-no-rendezvous-point") > 0);
    assert_eq!(net.nodes[3].router.entry_count(), 0);
    net.run_for(Duration::from_secs(120));
    assert_eq!(net.nodes[3].router.entry(any).unwrap().root, address(1));
    assert_eq!(net.walk(1, from(1)), [(1, 1), (2, 1), (hosts, 1)].into());

    // The better one is not heard of any more: the tree grows towards the other, and what led to the first is pruned.
    net.lose = Some(|sent| {
        let advertised = sent.pim().map(|message| matches!(message, Message::CandidateRpAdvertisement(_)));
        advertised == Some(true) && sent.node == 1
    });
    net.run_for(Duration::from_secs(150) + BS_PERIOD);
    assert_eq!(mapped(&net, group), vec![Some(address(5)); 6]);
    assert_eq!(net.walk(5, from(5)), [(4, 1), (3, 1), (hosts, 1)].into());
    assert_eq!(net.mroute(2, any), None, "the old branch is gone");
    let prune = net.sent.iter().filter(|sent| sent.node == 3).filter_map(Sent::join_prune).find_map(|message| {
        let set = message.groups.into_iter().find(|set| set.group.address == group)?;
        set.pruned.first().copied()
    });
    assert_eq!(prune.unwrap().address, address(1), "a prune names the tree that is left");

    // The other one goes too: nothing is forwarded any more, and the member waits.
    net.lose = Some(|sent| matches!(sent.pim(), Some(Message::CandidateRpAdvertisement(_))));
    net.run_for(Duration::from_secs(170));
    assert_eq!(mapped(&net, group), vec![None; 6]);
    assert_eq!((net.mroute(3, any), net.mroute(4, any)), (None, None));
    assert_eq!(net.nodes[3].router.entry(any).unwrap().root, Ipv6Addr::UNSPECIFIED);
    // A route to anywhere brings no tree that leads nowhere.
    let default = Route::Via { port: PortId(0), next_hop: link_local(2, PortId(1)) };
    net.command(3, Command::RouteSet(Prefix::DEFAULT, default));
    assert_eq!(net.mroute(3, any), None);
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, false);
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.nodes[3].router.entry_count(), 0);
}

#[test]
fn a_tree_without_a_root_grows_again() {
    let (mut net, hosts) = ring();
    let group = group("ff1e::77");
    let any = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group };
    net.run_for(Duration::from_secs(60));
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(Duration::from_secs(10));
    let whole = [(1, 1), (2, 1), (hosts, 1)].into();
    assert_eq!(net.walk(1, MrouteKey { source: address(1), group }), whole);
    net.lose = Some(|sent| matches!(sent.pim(), Some(Message::CandidateRpAdvertisement(_))));
    net.run_for(Duration::from_secs(200));
    assert_eq!(mapped(&net, group), [None; 6]);
    assert!(net.nodes.iter().all(|node| node.mroutes.is_empty()));
    assert_eq!(net.nodes[3].router.entry(any).unwrap().root, Ipv6Addr::UNSPECIFIED);
    net.lose = None;
    // The candidates advertise, the bootstrap router speaks, and a join that was too early is repeated.
    net.run_for(Duration::from_secs(60 + 10 + 60));
    assert_eq!(net.walk(1, MrouteKey { source: address(1), group }), whole);
}

#[test]
fn a_tree_with_another_root_behind_the_same_neighbour_asks_anew() {
    // 0 - 1 - 2 with hosts at 2; both rendezvous points are at 0's side.
    let mut net = Domain::row(4)
        .candidate_bsr(0, 64)
        .candidate_rp(0, 10, &["ff1e::/16"])
        .candidate_rp(1, 20, &["ff1e::/16"])
        .start();
    let group = group("ff1e::77");
    let hosts = 3;
    net.set_listening(hosts, 0, group, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.walk(0, MrouteKey { source: address(0), group }), [(0, 1), (1, 1), (2, 1), (hosts, 1)].into());
    // 0 has said that it stands back.
    let own = net.nodes[0].router.bsr().next().unwrap().address;
    assert_eq!(own, Some(address(0)));
    let back =
        CandidateRpAdvertisement { priority: 10, holdtime: 0, address: address(0), ranges: vec![encoded("ff1e::/16")] };
    net.inject(0, PortId(0), &candidate_rp_packet(address(1), address(0), &back));
    let changed = net.now;
    net.run_for(BS_MIN_INTERVAL + DELAY * 10);
    assert_eq!(mapped(&net, group), vec![Some(address(1)); 4]);
    assert_eq!(net.walk(1, MrouteKey { source: address(1), group }), [(1, 1), (2, 1), (hosts, 1)].into());
    let joins = net.sent.iter().filter(|sent| sent.at >= changed && sent.node == 3).filter_map(Sent::join_prune);
    let named: Vec<_> =
        joins.flat_map(|message| message.groups).flat_map(|set| set.joined).map(|s| s.address).collect();
    assert_eq!(named, [address(1)]);
}
