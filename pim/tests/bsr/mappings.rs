//! Which rendezvous point a group has.

use super::*;

#[test]
fn the_rp_set_spreads_and_a_candidate_that_dies_is_forgotten() {
    let mut net = Domain::row(6).candidate_bsr(0, 64).candidate_rp(3, 192, &["ff00::/8"]).start();
    let any = group("ff1e::1");
    assert_eq!(mapped(&net, any), vec![Some(address(3)); 6], "five hops away too");
    assert_eq!(mapped(&net, group("ff3e::1")), vec![None; 6], "source-specific groups have none");
    net.run_for(Duration::from_secs(1000));
    assert_eq!(mapped(&net, any), vec![Some(address(3)); 6]);
    let mapping =
        net.nodes[5].router.rp_mappings().find(|mapping| mapping.rendezvous_point == Some(address(3))).unwrap();
    assert_eq!(mapping.source, RpSource::Bsr(ScopeZone::Domain));
    assert_eq!((mapping.groups, mapping.priority), ("ff00::/8".parse().unwrap(), Some(192)));
    assert!(mapping.expires.unwrap() > net.now && mapping.expires.unwrap() <= net.now + Duration::from_secs(150));

    // It is lost without a word: its advertisements, and nothing else, do not arrive any more.
    net.lose = Some(|sent| matches!(sent.pim(), Some(Message::CandidateRpAdvertisement(_))));
    net.run_for(Duration::from_secs(150) + BS_MIN_INTERVAL);
    assert_eq!(mapped(&net, any), vec![None; 6]);
    net.lose = None;
    net.run_for(BS_PERIOD + BS_MIN_INTERVAL);
    assert_eq!(mapped(&net, any), vec![Some(address(3)); 6]);

    // It stops in order.
    net.command(3, Command::Stop);
    net.run_for(BS_MIN_INTERVAL + DELAY * 4);
    assert_eq!(mapped(&net, any)[..3], [None; 3]);
}

#[test]
fn mappings_outlive_the_bootstrap_router_that_named_them() {
    let domain = Domain::row(5).candidate_bsr(0, 100).candidate_bsr(4, 64).candidate_rp(2, 192, &["ff00::/8"]);
    let mut net = domain.start();
    cut_off(&mut net, 0);
    let end = net.now + Duration::from_secs(400);
    while net.now < end {
        net.run_for(Duration::from_secs(1));
        assert_eq!(mapped(&net, group("ff1e::1"))[1..], vec![Some(address(2)); 4], "at {:?}", net.now);
    }
    assert_eq!(elected(&net)[1..], vec![Some(address(4)); 4]);
}

#[test]
fn two_hundred_ranges_go_in_fragments_that_fit() {
    let mut domain = Domain::row(5).candidate_bsr(0, 64).mtu(1280);
    for node in [2, 4] {
        let rp = CandidateRp::new(address(node), many_ranges(200));
        domain.bsr(node).candidate_rp = Some(rp);
    }
    let mut net = domain.start();
    let all_mapped = |net: &Net, count: usize| {
        for range in many_ranges(200) {
            let first = mapped(net, range.address())[0];
            assert!(first == Some(address(2)) || first == Some(address(4)));
            assert_eq!(mapped(net, range.address()), vec![first; 5]);
        }
        for node in &net.nodes {
            assert_eq!(node.router.rp_mappings().filter(|mapping| mapping.expires.is_some()).count(), count);
        }
    };
    all_mapped(&net, 400);
    assert!(net.sent.iter().all(|sent| sent.packet.len() <= 1280));
    let tags: BTreeSet<u16> = net.sent.iter().filter_map(bootstrap).map(|message| message.fragment_tag).collect();
    let last = net.sent.iter().filter_map(bootstrap).next_back().unwrap();
    let fragments = net.sent.iter().filter(|sent| sent.node == 0).filter_map(bootstrap);
    let fragments = fragments.filter(|message| message.fragment_tag == last.fragment_tag && !message.no_forward);
    assert!(fragments.count() > 8 && tags.len() > 1);

    // Messages that hold one range are lost for a while: that range runs out, and no other.
    fn holds_lost_range(sent: &Sent) -> bool {
        let lost = Ipv6Addr::new(0xff1e, 50, 0, 0, 0, 0, 0, 0);
        bootstrap(sent).is_some_and(|message| message.ranges.iter().any(|range| range.group.address == lost))
    }
    net.lose = Some(holds_lost_range);
    net.run_for(Duration::from_secs(100));
    all_mapped(&net, 400);
    net.run_for(Duration::from_secs(100));
    assert_eq!(net.nodes[4].router.rendezvous_point(group("ff1e:32::1")), None);
    assert!(net.nodes[4].router.rendezvous_point(group("ff1e:2::1")).is_some());
    net.lose = None;
    net.run_for(BS_PERIOD);
    all_mapped(&net, 400);
}

#[test]
fn more_ranges_than_the_limit_are_refused() {
    let mut domain = Domain::row(3).candidate_bsr(0, 64);
    for node in 0..3 {
        domain.bsr(node).max_mappings = if node == 2 { 10 } else { 20 };
    }
    domain.bsr(1).candidate_rp = Some(CandidateRp::new(address(1), many_ranges(30)));
    let net = domain.start();
    let learned = |node: NodeId| net.nodes[node].router.rp_mappings().filter(|m| m.expires.is_some()).count();
    assert_eq!([0, 1, 2].map(learned), [20, 20, 10]);
    assert!(count(&net, 0, "drop-pim-rp-mapping-limit") > 0 && count(&net, 2, "drop-pim-rp-mapping-limit") > 0);
}

/// RFC 3956 §10. For the others of its groups it is a router as any.
#[test]
fn a_router_that_was_not_told_to_serves_no_group_that_names_it() {
    let mut domain = Domain::row(3);
    domain.configs[0].rendezvous_points.refuse_embedded = true;
    domain.configs[1].rendezvous_points.refuse_embedded = true;
    let net = domain.start();
    // Node 0 and node 1, by their numbers in the address.
    for (text, expected) in [
        ("ff7e:120:2001:db8::1", [None, Some(address(0)), Some(address(0))]),
        ("ff7e:220:2001:db8::1", [Some(address(1)), None, Some(address(1))]),
        ("ff7e:320:2001:db8::1", [Some(address(2)); 3]),
    ] {
        assert_eq!(mapped(&net, group(text)), expected, "{text}");
    }
}

#[test]
fn what_counts_before_what() {
    use StaticPrecedence::{BehindLearned, OverridesLearned};
    let mut domain = Domain::row(4).candidate_bsr(0, 64).candidate_rp(1, 192, &["ff1e::/16", "ff18:1::/32"]);
    for node in 0..4 {
        domain = domain.static_rp(node, 2, &["ff00::/8", "ff1e:1::/32"], BehindLearned).static_rp(
            node,
            3,
            &["ff1e:2::/32"],
            OverridesLearned,
        );
    }
    let net = domain.start();
    for (text, expected) in [
        // The longer static range does not count against a learned one.
        ("ff1e:1::1", Some(address(1))),
        ("ff1e::1", Some(address(1))),
        ("ff18:1::1", Some(address(1))),
        ("ff18:2::1", Some(address(2))),
        ("ff1e:2::1", Some(address(3))),
        ("ff7e:120:2001:db8::1", Some(address(0))),
        ("ff7e:20:2001:db8::1", None),
        ("ff3e::1", None),
    ] {
        assert_eq!(mapped(&net, group(text)), vec![expected; 4], "{text}");
    }
    let sources: Vec<_> = net.nodes[2].router.rp_mappings().map(|mapping| mapping.source).collect();
    let learned = RpSource::Bsr(ScopeZone::Domain);
    let (behind, overrides) = (RpSource::Static(BehindLearned), RpSource::Static(OverridesLearned));
    assert_eq!(sources, [RpSource::Embedded, behind, behind, overrides, learned, learned]);
}

#[test]
fn every_router_hashes_alike() {
    let mut domain = Domain::row(5).candidate_bsr(2, 64);
    for node in [0, 1, 3, 4] {
        domain = domain.candidate_rp(node, 192, &["ff1e::/16"]);
    }
    let net = domain.start();
    let mut used = BTreeSet::new();
    for index in 0..200 {
        let group = Ipv6Addr::new(0xff1e, 0, 0, 0, 0, 0, 0, index << 2);
        let first = mapped(&net, group)[0];
        assert_eq!(mapped(&net, group), vec![first; 5]);
        used.extend(first);
    }
    assert_eq!(used, [0, 1, 3, 4].map(address).into());
}

#[test]
fn a_partial_range_does_not_replace_a_whole_one() {
    let mut net = Domain::row(3).build();
    net.link_up_all();
    net.run_for(Duration::from_secs(5));
    let from = link_local(0, PortId(0));
    let say = |net: &mut Net, tag, rp_count, nodes: &[NodeId]| {
        let entry = |&node: &NodeId| RpEntry { address: address(node), holdtime: 150, priority: 0 };
        let range = RpRange { group: encoded("ff1e::/16"), rp_count, rps: nodes.iter().map(entry).collect() };
        let message = Bootstrap { fragment_tag: tag, ranges: vec![range], ..message() };
        net.inject(1, PortId(0), &bootstrap_packet(from, &message));
        net.run_for(DELAY * 2);
    };
    let learned = |net: &Net| {
        [1, 2].map(|node: NodeId| {
            let mappings = net.nodes[node].router.rp_mappings().filter(|mapping| mapping.expires.is_some());
            mappings.filter_map(|mapping| mapping.rendezvous_point).collect::<Vec<_>>()
        })
    };
    say(&mut net, 1, 1, &[0]);
    assert_eq!(learned(&net), [vec![address(0)], vec![address(0)]]);
    say(&mut net, 2, 3, &[1]);
    say(&mut net, 2, 3, &[2]);
    assert_eq!(learned(&net), [vec![address(0)], vec![address(0)]], "a part of it is not there yet");
    say(&mut net, 3, 3, &[4]);
    assert_eq!(learned(&net), [vec![address(0)], vec![address(0)]], "of another message");
    say(&mut net, 3, 3, &[1, 2]);
    let whole = [1, 2, 4].map(address).to_vec();
    assert_eq!(learned(&net), [whole.clone(), whole]);
    say(&mut net, 4, 0, &[]);
    assert!(learned(&net).iter().all(Vec::is_empty));
}
