//! Unicast: neighbours, the longest prefix, hop limit, MTU, and the errors about them.

use super::*;

#[test]
fn a_packet_waits_for_its_neighbor() {
    let mut bench = Bench::router(2);
    bench.set_route("2001:db8:2::/64", Route::Via { port: P1, next_hop: ROUTER });
    let packets: Vec<_> = (0..34).map(|n| udp(CN, FAR, 64, &[n])).collect();
    bench.receive(P0, &packets);
    bench.expect_counters(&[("rx", 34), ("punt-neighbor", 34), ("waited-in-vain", 2), ("drop-neighbor-queue-full", 2)]);
    assert_eq!(bench.notices(), [Notice::NeighborMissing { port: P1, address: ROUTER }]);
    bench.set_neighbor(P1, ROUTER);
    bench.expect_counters(&[("resumed", 32), ("output", 32)]);
    let expected: Vec<_> = packets[2..].iter().map(|p| frame(mac_of(ROUTER), MAC1, &hopped(p))).collect();
    assert_eq!(bench.sent(P1), expected);
}

#[test]
fn a_neighbor_that_does_not_answer_is_reported() {
    let mut bench = Bench::router(2);
    bench.set_route("2001:db8:2::/64", Route::OnLink(P1));
    bench.set_route("2001:db8:c::/64", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    let packet = udp(CN, FAR, 64, b"x");
    bench.receive(P0, std::slice::from_ref(&packet));
    assert_eq!(bench.notices(), [Notice::NeighborMissing { port: P1, address: FAR }]);
    bench.apply(TableUpdate::NeighborFailed(P1, FAR));
    bench.expect_counters(&[
        ("rx", 1),
        ("punt-neighbor", 1),
        ("waited-in-vain", 1),
        ("icmp-error-address-unreachable", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    let mut body = vec![0; 4];
    body.extend_from_slice(&hopped(&packet));
    let error = PacketBuilder::new(SELF, CN).icmpv6(1, 3, &body);
    assert_eq!(bench.sent(P0), [frame(mac_of(ROUTER), MAC0, &error)]);
    // The next packet asks anew.
    bench.receive(P0, &[packet]);
    assert_eq!(bench.notices().len(), 1);
}

#[test]
fn use_of_a_stale_neighbor_is_told_once() {
    let mut bench = router_to_far();
    let neighbor = Neighbor { link_address: mac_of(ROUTER), notify_use: true };
    bench.apply(TableUpdate::NeighborSet(P1, ROUTER, neighbor));
    bench.receive(P0, &[udp(CN, FAR, 64, b"1"), udp(CN, FAR, 64, b"2")]);
    assert_eq!(bench.notices(), [Notice::NeighborUsed { port: P1, address: ROUTER }]);
    assert_eq!(bench.sent(P1).len(), 2);
}

#[test]
fn batches_of_every_size_come_out_in_order() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = router_to_far();
        let packets: Vec<_> = (0..size as u8).map(|n| udp(CN, FAR, 64, &[n; 40])).collect();
        bench.receive(P0, &packets);
        let expected: Vec<_> = packets.iter().map(|p| frame(mac_of(ROUTER), MAC1, &hopped(p))).collect();
        assert_eq!(bench.sent(P1), expected);
        bench.expect_counters(&[("rx", size as u64), ("output", size as u64)]);
    }
    const { assert!(BATCH_SIZE == 64) };
}

#[test]
fn the_longest_prefix_wins_and_a_blackhole_is_silent() {
    let mut bench = router_to_far();
    bench.set_route("2001:db8:2::8/125", Route::Blackhole);
    bench.set_route("2001:db8:2:0:1::/80", Route::Unreachable);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    bench.receive(P0, &[udp(CN, FAR, 64, b"a"), udp(CN, "2001:db8:2::10".parse().unwrap(), 64, b"b")]);
    bench.receive(P0, &[udp(CN, "2001:db8:2:0:1::1".parse().unwrap(), 64, b"c")]);
    bench.expect_counters(&[
        ("rx", 3),
        ("drop-lookup-blackhole", 1),
        ("icmp-error-no-route", 1),
        ("generated", 1),
        ("output", 2),
    ]);
}

#[test]
fn hop_limit_ends_with_an_error() {
    let mut bench = router_to_far();
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let packet = udp(CN, FAR, 1, b"x");
    bench.receive(P0, std::slice::from_ref(&packet));
    let mut body = vec![0; 4];
    body.extend_from_slice(&packet);
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(3, 0, &body))]);
    bench.expect_counters(&[("rx", 1), ("icmp-error-hop-limit", 1), ("generated", 1), ("output", 1)]);
}

#[test]
fn too_big_is_answered_with_the_mtu() {
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ethernet, 1400)];
    let mut bench = Bench::with(DataplaneConfig::default(), ports);
    bench.set_route("2001:db8:2::/64", Route::OnLink(P1));
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P1, FAR);
    bench.set_neighbor(P0, CN);
    let packet = udp(CN, FAR, 64, &[0; 1401 - 48]);
    bench.receive(P0, &[packet.clone(), udp(CN, FAR, 64, &[0; 1400 - 48])]);
    let mut body = 1400u32.to_be_bytes().to_vec();
    body.extend_from_slice(&hopped(&packet)[..1232]);
    let sent = bench.sent(P0);
    assert_eq!(sent, [frame(mac_of(CN), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(2, 0, &body))]);
    assert_eq!(sent[0].len(), 14 + 1280);
    bench.expect_counters(&[("rx", 2), ("icmp-error-packet-too-big", 1), ("generated", 1), ("output", 2)]);
}

#[test]
fn the_configured_mtu_holds_where_the_port_takes_more() {
    let config = DataplaneConfig { mtu_limits: vec![None, Some(1400)], ..DataplaneConfig::default() };
    let ports: Vec<_> = (0..2).map(|index| port(index, Medium::Ethernet, 1500)).collect();
    let mut bench = Bench::with(config, ports.clone());
    bench.set_route("2001:db8:2::/64", Route::OnLink(P1));
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P1, FAR);
    bench.set_neighbor(P0, CN);
    let of = |from, to, length: usize| udp(from, to, 64, &vec![0; length - 48]);
    for _ in 0..2 {
        bench.receive(P0, &[of(CN, FAR, 1401), of(CN, FAR, 1400)]);
        bench.receive(P1, &[of(FAR, CN, 1500)]);
        bench.expect_counters(&[("rx", 3), ("icmp-error-packet-too-big", 1), ("generated", 1), ("output", 3)]);
        let sent = bench.sent(P0);
        assert_eq!(sent[0][54..62], [2, 0, sent[0][56], sent[0][57], 0, 0, 0x05, 0x78]);
        assert_eq!(sent[1].len(), 14 + 1500);
        // The port is opened again and says what it takes.
        bench.plane.update_port(P1, &ports[1]);
    }
}

#[test]
fn errors_are_limited_and_never_answer_errors_groups_or_nobody() {
    let config = DataplaneConfig { icmp_error_burst: 3, ..DataplaneConfig::default() };
    let mut bench = Bench::with(config, vec![port(0, Medium::Ethernet, 1500)]);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    bench.receive(P0, &[PacketBuilder::new(CN, FAR).icmpv6(1, 0, &[0; 44])]);
    bench.receive(P0, &[PacketBuilder::new(CN, FAR).icmpv6(137, 0, &[0; 36])]);
    bench.expect_counters(&[("rx", 2), ("drop-icmp-forbidden", 2)]);
    let mut to_group = udp(CN, FAR, 64, b"x");
    to_group[7] = 64;
    bench.receive_frames(P0, &[frame(MacAddress::BROADCAST, PEER, &to_group)]);
    bench.expect_counters(&[("rx", 1), ("drop-lookup-link-multicast", 1)]);
    let packets: Vec<_> = (0..5).map(|n| udp(CN, FAR, 64, &[n])).collect();
    bench.receive(P0, &packets);
    bench.expect_counters(&[
        ("rx", 5),
        ("icmp-error-no-route", 3),
        ("drop-icmp-rate-limit", 2),
        ("generated", 3),
        ("output", 3),
    ]);
}

#[test]
fn on_a_link_the_node_speaks_from_its_address_there() {
    let mut bench = Bench::router(2);
    // Neither is made of a port's own, and the first in order is the other link's.
    let [there, here] = ["fe80::1", "fe80::2"].map(|own| own.parse::<Ipv6Addr>().unwrap());
    for (port, own) in [(P0, there), (P1, here)] {
        bench.set_route(&format!("{own}/128"), Route::Local);
        bench.apply(TableUpdate::LinkGroupJoin(port, stack::addr::solicited_node(own)));
        bench.set_neighbor(port, ROUTER);
    }
    for (port, own) in [(P1, here), (P0, there)] {
        bench.receive(port, &[PacketBuilder::new(ROUTER, stack::addr::ALL_NODES).icmpv6(128, 0, b"\0\x01\0\x02")]);
        let sent = bench.sent(port);
        let reply = PacketBuilder::new(own, ROUTER).icmpv6(129, 0, b"\0\x01\0\x02");
        assert_eq!(sent, [frame(mac_of(ROUTER), if port == P0 { MAC0 } else { MAC1 }, &reply)]);
    }
}
