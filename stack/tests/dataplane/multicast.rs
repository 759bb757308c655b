//! Multicast routes: the RPF check, the branches, the site's border.

use super::*;
use stack::tables::Watch;
use stack::time::Duration;

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
    bench.expect_counters(&[
        ("rx", 2),
        ("punt-route", 1),
        ("resumed", 1),
        ("drop-multicast-wrong-port", 1),
        ("drop-multicast-hop-limit", 1),
    ]);
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
        ("punt-route", 2),
        ("resumed", 2),
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
            ("punt-route", 1),
            ("resumed", 1),
        ]);
    }
}

/// What the first worker tells of the next packet of a route, and that the rest goes the express way.
#[test]
fn the_next_packet_is_told_once() {
    let seen = Notice::MulticastSeen { port: Some(P0), source: SOURCE, group: GROUP };
    let mut bench = Bench::router(3);
    let watching = |watch| {
        let mroute = Mroute { watch, ..Mroute::new(Accept::Port(P0), [P1, P2].into_iter().collect()) };
        TableUpdate::MrouteSet(MrouteKey { source: SOURCE, group: GROUP }, mroute)
    };
    let packet = udp(SOURCE, GROUP, 64, b"x");
    for round in 1..4 {
        bench.apply(watching(Watch::NextPacket));
        bench.receive(P1, std::slice::from_ref(&packet));
        bench.receive(P0, &vec![packet.clone(); 40]);
        let notices = bench.notices();
        assert!(notices.contains(&seen) && notices.iter().filter(|&&notice| notice == seen).count() == 1);
        assert_eq!(bench.plane.mroutes().next().unwrap().1.watch, Watch::Nothing);
        let staged = bench.plane.staged_packets();
        bench.receive(P0, &vec![packet.clone(); 40]);
        assert_eq!(bench.plane.staged_packets(), staged, "the express way");
        assert_eq!((bench.sent(P1).len(), bench.sent(P2).len()), (80, 80));
        assert!(bench.notices().is_empty());
        assert_eq!(bench.plane.mroutes().next().unwrap().2, 81 * round);
    }
}

#[test]
fn the_sources_of_a_shared_tree_are_told_once_a_second() {
    let mut bench = Bench::router(2);
    let watching = Mroute { watch: Watch::Sources, ..Mroute::new(Accept::Port(P0), PortSet::single(P1)) };
    bench.apply(TableUpdate::MrouteSet(MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP }, watching));
    let seen = |source| Notice::MulticastSeen { port: Some(P0), source, group: GROUP };
    for _ in 0..3 {
        bench.receive(P0, &[SOURCE, FAR, SOURCE, FAR, SOURCE].map(|source| udp(source, GROUP, 64, b"x")));
        assert_eq!(bench.notices(), [seen(SOURCE), seen(FAR)]);
        bench.now += Duration::from_millis(1_002);
    }
    // A source with a tree of its own is no longer the shared one's.
    bench.apply(tree(Accept::Port(P0), &[P1]));
    bench.receive(P0, &[SOURCE, FAR].map(|source| udp(source, GROUP, 64, b"x")));
    assert_eq!(bench.notices(), [seen(FAR)]);
    bench.apply(TableUpdate::MrouteRemove(MrouteKey { source: SOURCE, group: GROUP }));
    bench.receive(P0, &[SOURCE, FAR].map(|source| udp(source, GROUP, 64, b"x")));
    assert_eq!(bench.notices(), [seen(SOURCE)], "at once");
    assert_eq!(bench.sent(P1).len(), 19);
}

#[test]
fn a_wrong_port_is_told_once_a_second_and_never_of_link_local_sources() {
    let mut bench = Bench::router(3);
    bench.apply(tree(Accept::Port(P0), &[P1]));
    let wrong = |port| Notice::MulticastWrongPort { port: Some(port), source: SOURCE, group: GROUP };
    let packet = udp(SOURCE, GROUP, 64, b"x");
    bench.receive(P1, &vec![packet.clone(); 60]);
    assert_eq!(bench.notices(), [wrong(P1)]);
    bench.now += Duration::from_millis(500);
    bench.receive(P1, std::slice::from_ref(&packet));
    assert!(bench.notices().is_empty());
    bench.receive(P2, std::slice::from_ref(&packet));
    assert_eq!(bench.notices(), [wrong(P2)], "another port is another flow");
    for told in [P1, P2] {
        bench.now += Duration::from_millis(502);
        bench.receive(P1, std::slice::from_ref(&packet));
        bench.receive(P2, std::slice::from_ref(&packet));
        assert_eq!(bench.notices(), [wrong(told)]);
    }
    bench.now += Duration::from_millis(502);
    bench.receive(P1, std::slice::from_ref(&packet));
    assert_eq!(bench.notices(), [wrong(P1)]);
    // Setting the same route again is no news; another one is.
    bench.apply(tree(Accept::Port(P0), &[P1]));
    bench.receive(P1, std::slice::from_ref(&packet));
    assert!(bench.notices().is_empty());
    bench.apply(tree(Accept::Port(P0), &[P1, P2]));
    bench.receive(P1, std::slice::from_ref(&packet));
    assert_eq!(bench.notices(), [wrong(P1)]);
    // A node that listens gets its copy all the same.
    bench.apply(TableUpdate::LinkGroupJoin(P2, GROUP));
    bench.now += Duration::from_secs(2);
    bench.receive(P2, &[PacketBuilder::new(SOURCE, GROUP).payload(protocol::PIM, b"x")]);
    assert_eq!((bench.notices(), bench.local().len()), (vec![wrong(P2)], 1));
    // And of this node's own packets.
    bench.transmit(packet, Via::Route);
    bench.transmit(udp(SOURCE, GROUP, 64, b"y"), Via::Route);
    assert_eq!(bench.notices(), [Notice::MulticastWrongPort { port: None, source: SOURCE, group: GROUP }]);

    let near = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);
    let mut bench = Bench::router(2);
    let any = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP };
    bench.receive(P0, &[udp(near, GROUP, 64, b"x")]);
    bench.apply(TableUpdate::MrouteSet(any, Mroute::new(Accept::Port(P0), PortSet::single(P1))));
    bench.receive(P0, &[udp(near, GROUP, 64, b"x")]);
    bench.receive(P1, &[udp(near, GROUP, 64, b"x")]);
    assert!(bench.notices().is_empty());
    bench.expect_counters(&[("rx", 3), ("drop-multicast-link-local", 3)]);
}

#[test]
fn kinds_of_notices_have_limits_of_their_own() {
    let config = DataplaneConfig {
        multicast_misses_per_second: 1,
        multicast_miss_burst: 4,
        multicast_wrong_ports_per_second: 1,
        multicast_wrong_port_burst: 3,
        multicast_sources_per_second: 1,
        multicast_source_burst: 5,
        ..DataplaneConfig::default()
    };
    let mut bench = Bench::with(config, (0..3).map(|i| port(i, Medium::Ethernet, 1500)).collect());
    let groups = [GROUP, "ff35::2".parse().unwrap(), "ff35::3".parse().unwrap()];
    let any = |group| MrouteKey { source: Ipv6Addr::UNSPECIFIED, group };
    let shared = Mroute { watch: Watch::Sources, ..Mroute::new(Accept::Port(P0), PortSet::single(P1)) };
    bench.apply(TableUpdate::MrouteSet(any(groups[1]), shared));
    bench.apply(TableUpdate::MrouteSet(any(groups[2]), Mroute::new(Accept::Port(P2), PortSet::single(P1))));
    let source = |last| Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, last);
    for last in 0..40 {
        bench.receive(P0, &groups.map(|group| udp(source(last), group, 64, b"x")));
    }
    let notices = bench.notices();
    let count = |is: fn(&Notice) -> bool| notices.iter().filter(|notice| is(notice)).count();
    assert_eq!(count(|notice| matches!(notice, Notice::MulticastMiss { .. })), 4);
    assert_eq!(count(|notice| matches!(notice, Notice::MulticastWrongPort { .. })), 3);
    assert_eq!(count(|notice| matches!(notice, Notice::MulticastSeen { .. })), 5);
    bench.expect_counters(&[
        ("rx", 120),
        ("output", 40),
        ("punt-route", 7),
        ("resumed", 7),
        ("drop-multicast-no-route", 40),
        ("drop-multicast-wrong-port", 40),
        ("multicast-misses-suppressed", 36),
        ("multicast-wrong-ports-suppressed", 37),
        ("multicast-sources-suppressed", 35),
    ]);
}

/// Where nobody takes notices, the route goes on watching: that its source sends is not forgotten.
#[test]
fn a_watch_that_finds_no_room_goes_on() {
    let mut bench = Bench::router(2);
    let watching = |last| {
        let mroute = Mroute { watch: Watch::NextPacket, ..Mroute::new(Accept::Port(P0), PortSet::single(P1)) };
        let source = Ipv6Addr::from_bits(SOURCE.to_bits() + last);
        (source, TableUpdate::MrouteSet(MrouteKey { source, group: GROUP }, mroute))
    };
    bench.is_deaf = true;
    for last in 0..5_000 {
        let (source, update) = watching(last);
        bench.apply(update);
        bench.receive(P0, &[udp(source, GROUP, 64, b"x")]);
        bench.sent(P1);
    }
    bench.is_deaf = false;
    let told = bench.notices().len();
    let watched = bench.plane.mroutes().filter(|(_, mroute, _)| mroute.watch == Watch::NextPacket).count();
    assert_eq!((told + watched, watched > 0), (5_000, true));
    bench.receive(P0, &[udp(watching(4_999).0, GROUP, 64, b"x")]);
    assert_eq!(bench.notices().len(), 1);
}

/// The packet that the node is told of takes the route that the node then makes, with all that is in it; those of the flow
/// that come before the answer do not wait.
#[test]
fn what_is_told_of_takes_the_route_that_follows() {
    let mut bench = Bench::router(3);
    bench.is_deaf = true;
    let packet = |data: &[u8]| udp(SOURCE, GROUP, 64, data);
    bench.receive(P0, &[packet(b"first"), packet(b"second")]);
    assert_eq!(bench.plane.held_frames(), 1);
    bench.expect_counters(&[("rx", 2), ("punt-route", 1), ("drop-multicast-no-route", 1)]);
    let notice = Notice::MulticastMiss { port: Some(P0), source: SOURCE, group: GROUP };
    assert_eq!(bench.plane.poll_notice(), Some(notice));
    bench.apply(tree(Accept::Port(P0), &[P1]));
    assert_eq!((bench.sent(P1).len(), bench.plane.poll_notice()), (0, None));
    let sent = bench.sent(P1);
    assert_eq!((sent.len(), sent[0][14 + 7], &sent[0][14 + 48..]), (1, 63, &b"first"[..]));
    bench.expect_counters(&[("resumed", 1), ("output", 1)]);

    // The packet that proves another way is forwarded by it.
    bench.receive(P2, &[packet(b"proof")]);
    let notice = Notice::MulticastWrongPort { port: Some(P2), source: SOURCE, group: GROUP };
    assert_eq!(bench.plane.poll_notice(), Some(notice));
    bench.apply(tree(Accept::Port(P2), &[P1]));
    assert_eq!((bench.plane.poll_notice(), bench.sent(P1).len()), (None, 1));
    bench.check();
}

/// So many wait, and the others end as they would without.
#[test]
fn only_so_many_packets_wait_for_their_routes() {
    let mut bench = Bench::router(2);
    bench.is_deaf = true;
    for last in 0..100 {
        let source = Ipv6Addr::from_bits(SOURCE.to_bits() + last);
        bench.receive(P0, &[udp(source, GROUP, 64, b"x")]);
    }
    let held = bench.plane.held_frames();
    assert!((1..=64).contains(&held), "{held}");
    bench.is_deaf = false;
    assert!(bench.notices().len() > 64);
    assert_eq!(bench.plane.held_frames(), 0);
    bench.expect_counters(&[
        ("rx", 100),
        ("punt-route", held as u64),
        ("resumed", held as u64),
        ("drop-multicast-no-route", 100),
    ]);
}
