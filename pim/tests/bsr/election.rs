//! Who is bootstrap router, and how far its word goes.

use super::*;

#[test]
fn the_better_candidate_is_elected_and_everybody_follows() {
    for (priorities, best) in [([64, 100], 4), ([100, 64], 0), ([64, 64], 4)] {
        let net = Domain::row(5).candidate_bsr(0, priorities[0]).candidate_bsr(4, priorities[1]).start();
        assert_eq!(elected(&net), vec![Some(address(best)); 5], "{priorities:?}");
        for node in 0..5 {
            let expected = match node {
                _ if node == best => BsrState::Elected,
                0 | 4 => BsrState::Candidate,
                _ => BsrState::AcceptPreferred,
            };
            let view = domain_view(&net, node);
            assert_eq!((view.state, view.priority), (expected, Some(*priorities.iter().max().unwrap())), "{node}");
        }
    }
}

#[test]
fn another_candidate_takes_over_in_time() {
    let mut net = Domain::row(5).candidate_bsr(0, 64).candidate_bsr(2, 60).candidate_bsr(4, 100).start();
    let last =
        net.sent.iter().filter(|sent| sent.node == 4 && bootstrap(sent).is_some()).map(|sent| sent.at).max().unwrap();
    cut_off(&mut net, 4);
    // Nobody moves before BS_Timeout.
    net.run_until(last + (BS_TIMEOUT - DELAY));
    assert_eq!(elected(&net)[..4], vec![Some(address(4)); 4]);
    net.run_until(last + BS_TIMEOUT + LONGEST_OVERRIDE + DELAY * 10);
    assert_eq!(elected(&net)[..4], vec![Some(address(0)); 4], "the better one of those that are left");
    let states: Vec<_> = (0..4).map(|node| domain_view(&net, node).state).collect();
    let (accept, candidate) = (BsrState::AcceptPreferred, BsrState::Candidate);
    assert_eq!(states, [BsrState::Elected, accept, candidate, accept]);
    // The former one comes back and is preferred.
    for link in &mut net.links {
        link.down.clear();
    }
    net.run_for(BS_PERIOD * 2 + Duration::from_secs(40));
    assert_eq!(elected(&net), vec![Some(address(4)); 5]);
}

#[test]
fn who_stops_is_followed_at_once() {
    let mut net = Domain::row(4).candidate_bsr(0, 64).candidate_bsr(3, 100).start();
    net.command(3, Command::Stop);
    net.run_for(LONGEST_OVERRIDE);
    assert_eq!(elected(&net)[..3], vec![Some(address(0)); 3]);
}

#[test]
fn who_stops_leaves_no_tree_behind() {
    // The last router has members, and is bootstrap router and rendezvous point; without it a static one would count.
    let domain = Domain::row(3).candidate_bsr(2, 64).candidate_rp(2, 192, &["ff1e::/16"]);
    let mut net = domain.static_rp(2, 0, &["ff1e::/16"], StaticPrecedence::BehindLearned).start();
    net.set_listening(2, 0, group("ff1e::77"), Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 2);
    assert_eq!(net.nodes[2].router.entry_count(), 1);
    let stopped = net.now;
    net.command(2, Command::Stop);
    assert_eq!((net.nodes[2].router.entry_count(), net.nodes[2].mroutes.len()), (0, 0));
    let last = net.sent.iter().filter(|sent| sent.node == 2 && sent.at >= stopped).filter_map(Sent::pim).next_back();
    assert!(matches!(last, Some(Message::Hello(hello)) if hello.holdtime == Some(0)), "goodbye is the last word");
}

#[test]
fn nothing_passes_a_boundary() {
    for (node, port) in [(1, 1), (2, 0)] {
        let domain = Domain::row(5).candidate_bsr(0, 64).candidate_rp(1, 192, &["ff00::/8"]);
        let net = domain.boundary(node, port, BsrBoundary::Closed).start();
        assert_eq!(elected(&net), [Some(address(0)), Some(address(0)), None, None, None]);
        let any = group("ff1e::1");
        assert_eq!(mapped(&net, any), [Some(address(1)), Some(address(1)), None, None, None]);
        let beyond = net.sent.iter().filter(|sent| sent.node >= 2).filter_map(bootstrap).count();
        assert_eq!(beyond, 0);
    }
    // Candidates behind it are not taken either, and advertise nothing.
    let domain = Domain::row(4).candidate_bsr(0, 64).candidate_rp(3, 192, &["ff00::/8"]);
    let net = domain.boundary(1, 1, BsrBoundary::Closed).start();
    assert_eq!(mapped(&net, group("ff1e::1")), [None; 4]);
}

#[test]
fn each_scope_zone_has_its_own() {
    // 0 - 1 - 2 | 3 - 4 - 5: scope 5 ends between 2 and 3.
    let site = Scope::SITE_LOCAL;
    let mut domain = Domain::row(6).boundary(2, 1, BsrBoundary::Scope(site)).boundary(3, 0, BsrBoundary::Scope(site));
    for (bsr, priority, rp) in [(0, 90, 1), (5, 64, 4)] {
        domain = domain.candidate_bsr(bsr, priority).scopes(bsr, &[site]).candidate_rp(rp, 192, &["ff00::/8"]);
    }
    let mut net = domain.start();
    net.run_for(BS_PERIOD * 2);
    assert_eq!(elected(&net), vec![Some(address(0)); 6]);
    let of_site = mapped(&net, group("ff15::1"));
    assert_eq!(of_site, [1, 1, 1, 4, 4, 4].map(|node| Some(address(node))));
    let of_all = mapped(&net, group("ff1e::1"));
    assert_eq!(of_all, vec![of_all[0]; 6]);
    assert!(of_all[0].is_some());
    // Scoped messages have the Z bit in their first range, whose mask is long enough, and stay in their zone.
    let scoped = net.sent.iter().filter_map(|sent| Some((sent, bootstrap(sent)?)));
    let mut seen = BTreeSet::new();
    for (sent, message) in scoped.filter(|(_, m)| m.ranges.first().is_some_and(|range| range.group.scope_zone)) {
        assert!(message.ranges.iter().all(|range| range.group.mask_length >= 16));
        assert!(message.ranges.iter().skip(1).all(|range| !range.group.scope_zone));
        assert_eq!(message.bsr_address == address(0), sent.node <= 2);
        assert!((sent.node, sent.port) != (2, PortId(1)) && (sent.node, sent.port) != (3, PortId(0)));
        seen.insert(message.bsr_address);
    }
    assert_eq!(seen, [address(0), address(5)].into());
    let zones = |node: NodeId| net.nodes[node].router.bsr().map(|view| (view.zone, view.state)).collect::<Vec<_>>();
    let accept = BsrState::AcceptPreferred;
    assert_eq!(zones(1), [(ScopeZone::Domain, accept), (ScopeZone::Scope(site), accept)]);

    // A zone whose bootstrap router is gone is forgotten after SZ_Timeout, and its groups are the domain's.
    cut_off(&mut net, 5);
    net.run_for(BS_TIMEOUT + Duration::from_secs(1400));
    let zones: Vec<_> = net.nodes[4].router.bsr().map(|view| view.zone).collect();
    assert_eq!(zones, [ScopeZone::Domain]);
    assert_eq!(mapped(&net, group("ff15::1"))[3..5], [Some(address(1)); 2], "out of both that serve the domain");
}

#[test]
fn a_new_neighbour_learns_at_once() {
    let mut net = Domain::row(4).candidate_bsr(0, 64).candidate_rp(1, 192, &["ff00::/8"]).build();
    for link in [0, 1] {
        for (node, port) in net.links[link].ends.clone() {
            net.command(node, Command::LinkUp(port));
        }
    }
    net.run_for(SETTLED + Duration::from_secs(7));
    let any = group("ff1e::1");
    assert_eq!(mapped(&net, any)[..3], vec![Some(address(1)); 3]);
    let came = net.now;
    for (node, port) in net.links[2].ends.clone() {
        net.command(node, Command::LinkUp(port));
    }
    net.run_for(DELAY * 4);
    assert_eq!(net.nodes[3].router.rendezvous_point(any), Some(address(1)));
    assert_eq!(elected(&net)[3], Some(address(0)));
    let told: Vec<_> = net.sent.iter().filter(|sent| sent.at >= came).filter_map(bootstrap).collect();
    assert!(!told.is_empty() && told.iter().all(|message| message.no_forward), "{told:?}");
    // Who has started long ago does not take such messages.
    let before = count(&net, 2, "drop-pim-bootstrap-not-starting");
    let quick = Bootstrap { no_forward: true, ..told[0].clone() };
    net.inject(2, PortId(0), &bootstrap_packet(link_local(1, PortId(1)), &quick));
    assert_eq!(count(&net, 2, "drop-pim-bootstrap-not-starting"), before + 1);
}

#[test]
fn a_router_that_starts_anew_learns_at_once_in_fragments_too() {
    let build = || {
        let mut domain = Domain::row(3).candidate_bsr(0, 64).mtu(1280);
        domain.bsr(1).candidate_rp = Some(CandidateRp::new(address(1), many_ranges(200)));
        domain
    };
    let mut net = build().start();
    let config = build().configs.remove(2);
    net::site::restart(&mut net, 2, Config { seed: 4711, ..config }, |net| set_routes(net, 2));
    net.run_for(DELAY * 4);
    for range in many_ranges(200) {
        assert_eq!(net.nodes[2].router.rendezvous_point(range.address()), Some(address(1)), "{range}");
    }
    // The bootstrap router itself learns what it had said, and takes office again.
    let config = build().configs.remove(0);
    net::site::restart(&mut net, 0, Config { seed: 4712, ..config }, |net| set_routes(net, 0));
    net.run_for(DELAY * 4);
    assert_eq!(net.nodes[0].router.rendezvous_point(group("ff1e::1")), Some(address(1)));
    assert_eq!(domain_view(&net, 0).state, BsrState::Pending);
    net.run_for(Duration::from_secs(6));
    assert_eq!(domain_view(&net, 0).state, BsrState::Elected);
    net.run_for(Duration::from_secs(200));
    assert_eq!(mapped(&net, group("ff1e::1")), vec![Some(address(1)); 3]);
}

/// On a LAN every router hears of it, whoever the routes lead through.
#[test]
fn a_lan_is_flooded_once_by_each() {
    let mut net = Net::default();
    for node in 0..4 {
        let port = InterfaceConfig {
            first_hello: FirstHello::Fast,
            ..InterfaceConfig::new(PortId(0), link_local(node, PortId(0)), 1500)
        };
        let mut config = Config::new(vec![port], 90 + node as u64);
        let candidate_bsr = (node == 0).then(|| CandidateBsr::new(address(0)));
        config.rendezvous_points.bsr = Some(BsrConfig { candidate_bsr, ..BsrConfig::default() });
        net.add_node(config);
    }
    net.add_link(&[0, 1, 2, 3].map(|node| (node, PortId(0))));
    for node in 0..4 {
        set_routes(&mut net, node);
    }
    // 3 believes that 0 is behind 2.
    let detour = Route::Via { port: PortId(0), next_hop: link_local(2, PortId(0)) };
    net.command(3, Command::RouteSet(Prefix::host(address(0)), detour));
    net.link_up_all();
    net.run_for(Duration::from_secs(6));
    assert_eq!(elected(&net), vec![Some(address(0)); 4]);
    let start = net.now;
    net.run_for(Duration::from_secs(600));
    let by = |node: NodeId| {
        net.sent.iter().filter(|sent| sent.at > start && sent.node == node && bootstrap(sent).is_some()).count()
    };
    assert_eq!([0, 1, 2, 3].map(by), [10; 4], "one each in BS_Period");
}
