//! Multicast routes: the RPF check, the branches, the site's border.

use super::*;

#[test]
fn a_tree_is_followed_to_every_branch_but_the_one_it_came_by() {
    let mut bench = Bench::router(3);
    bench.apply(tree(Accept::Port(P0), &[P0, P1, P2]));
    let packets: Vec<_> = (0..63).map(|n| udp(SOURCE, GROUP, 64, &[n])).collect();
    bench.receive(P0, &packets);
    for index in [1, 2] {
        let expected: Vec<_> = packets.iter().map(|packet| to_group(index, &hopped(packet))).collect();
        assert_eq!(bench.sent(stack::machine::PortId(index)), expected);
    }
    bench.expect_counters(&[("rx", 63), ("copied", 63), ("output", 126)]);
    assert_eq!(bench.plane.mroutes().map(|(_, _, packets)| packets).collect::<Vec<_>>(), [63]);
    bench.receive(P1, &[packets[0].clone()]);
    bench.receive(P0, &[udp(SOURCE, GROUP, 1, b"")]);
    bench.expect_counters(&[("rx", 2), ("drop-multicast-wrong-port", 1), ("drop-multicast-hop-limit", 1)]);
}

#[test]
fn any_source_stands_in_and_a_miss_is_told() {
    let mut bench = Bench::router(2);
    bench.receive(P0, &[udp(SOURCE, GROUP, 64, b"x")]);
    assert_eq!(bench.notices(), [Notice::MulticastMiss { port: Some(P0), source: SOURCE, group: GROUP }]);
    let key = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP };
    bench.apply(TableUpdate::MrouteSet(key, Mroute::new(Accept::Port(P0), PortSet::single(P1))));
    bench.receive(P0, &[udp(SOURCE, GROUP, 64, b"y")]);
    bench.apply(tree(Accept::Port(P1), &[]));
    bench.receive(P0, &[udp(SOURCE, GROUP, 64, b"z")]);
    bench.expect_counters(&[
        ("rx", 3),
        ("drop-multicast-no-route", 1),
        ("output", 1),
        ("drop-multicast-wrong-port", 1),
    ]);
}

#[test]
fn the_sites_groups_do_not_cross_its_border() {
    let config = DataplaneConfig { site_border: PortSet::single(P1), ..DataplaneConfig::default() };
    let mut bench = Bench::with(config, (0..3).map(|i| port(i, Medium::Ethernet, 1500)).collect());
    bench.apply(tree(Accept::Port(P0), &[P1, P2]));
    bench.receive(P0, &[udp(SOURCE, GROUP, 64, b"x")]);
    bench.receive(P1, &[udp(SOURCE, GROUP, 64, b"x")]);
    assert_eq!((bench.sent(P1).len(), bench.sent(P2).len()), (0, 1));
    bench.expect_counters(&[("rx", 2), ("output", 1), ("drop-ip6-input-site-border", 1)]);
    let wide: Ipv6Addr = "ff3e::1".parse().unwrap();
    let key = MrouteKey { source: SOURCE, group: wide };
    bench.apply(TableUpdate::MrouteSet(key, Mroute::new(Accept::Port(P0), PortSet::single(P1))));
    bench.receive(P0, &[udp(SOURCE, wide, 64, b"x")]);
    assert_eq!(bench.sent(P1).len(), 1);
}

#[test]
fn a_node_that_listens_gets_its_copy() {
    let mut bench = Bench::router(2);
    bench.apply(tree(Accept::Port(P0), &[P1]));
    bench.apply(TableUpdate::LinkGroupJoin(P0, GROUP));
    let packet = PacketBuilder::new(SOURCE, GROUP).checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
    bench.receive(P0, std::slice::from_ref(&packet));
    assert_eq!(bench.local()[0].1, packet);
    assert_eq!(bench.sent(P1), [to_group(1, &hopped(&packet))]);
    bench.expect_counters(&[("rx", 1), ("copied", 1), ("local", 1), ("output", 1)]);
}

#[test]
fn an_agent_that_is_the_rendezvous_point_sends_by_the_shared_tree() {
    let shared = |accept, port| {
        let key = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP };
        TableUpdate::MrouteSet(key, Mroute::new(accept, PortSet::single(port)))
    };
    for size in [1usize, 7, 63, 64] {
        let mut bench = agent();
        bench.apply(TableUpdate::MrouteRemove(MrouteKey { source: SOURCE, group: GROUP }));
        bench.apply(shared(Accept::Local, P1));
        let inner: Vec<_> = (0..size as u8).map(|n| udp(CN, HOME, 60, &[n; 20])).collect();
        let tunnelled: Vec<_> = inner.iter().map(|packet| tunnel(HOME_AGENT, CARE_OF, packet)).collect();
        bench.receive(P0, &tunnelled);
        let expected: Vec<_> =
            inner.iter().map(|packet| to_group(1, &tunnel(SOURCE, GROUP, &hopped(packet)))).collect();
        assert_tunnelled(&bench.sent(P1), &expected);
        // What others send to the group fails the check towards the rendezvous point.
        bench.receive(P1, &[tunnel(FAR, GROUP, &inner[0])]);
        // An (S,G) is taken before it.
        bench.apply(tree(Accept::Local, &[P0]));
        bench.receive(P0, &tunnelled[..1]);
        assert_eq!((bench.sent(P0).len(), bench.sent(P1).len()), (1, 0));
        let count = size as u64 + 1;
        bench.expect_counters(&[
            ("rx", count + 1),
            ("binding-to-group", count),
            ("output", count),
            ("drop-multicast-wrong-port", 1),
        ]);
    }
}
