//! The data plane from outside: packets in, octets out, and the difference of all counters.

mod bench;

use bench::*;
use core::net::Ipv6Addr;
use stack::addr::{MacAddress, Prefix};
use stack::machine::{Notice, Via};
use stack::packet::BATCH_SIZE;
use stack::pipeline::{DataplaneConfig, Forwarding};
use stack::port::Medium;
use stack::tables::{
    Accept, BindingState, GroupReception, HomeBinding, IngressFilter, MmaBinding, MmaService, Mroute, MrouteKey,
    Neighbor, PortSet, Route, TableUpdate, TunnelReception, Uplink,
};
use stack::wire::build::PacketBuilder;
use stack::wire::ipv6::protocol;

const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 9);
const HOME: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0x10);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);
const CARE_OF: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 0x77);
const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x201, 0, 0, 0, 0, 1);
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x202, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 1);
const ACCESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0xa, 0x0200, 0x5eff, 0xfe10, 1);
const ACCESS_ID: u64 = 0x0200_5eff_fe10_0001;

fn router_to_far() -> Bench {
    let mut bench = Bench::router(2);
    bench.set_route("2001:db8:2::/64", Route::Via { port: P1, next_hop: ROUTER });
    bench.set_neighbor(P1, ROUTER);
    bench
}

/// The packet with its hop limit one lower.
fn hopped(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet[7] -= 1;
    packet
}

/// An outer header as the data plane writes it, the flow label left zero, in front of `inner`.
fn tunnel(source: Ipv6Addr, destination: Ipv6Addr, inner: &[u8]) -> Vec<u8> {
    PacketBuilder::new(source, destination).payload(protocol::IPV6, inner)
}

fn gre(source: Ipv6Addr, destination: Ipv6Addr, key: u32, sequence: u32, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x30, 0, 0x86, 0xdd];
    payload.extend_from_slice(&key.to_be_bytes());
    payload.extend_from_slice(&sequence.to_be_bytes());
    payload.extend_from_slice(inner);
    PacketBuilder::new(source, destination).payload(protocol::GRE, &payload)
}

/// Compares frames but for the outer flow label, which is not zero.
fn assert_tunnelled(sent: &[Vec<u8>], expected: &[Vec<u8>]) {
    let mut sent = sent.to_vec();
    for frame in &mut sent {
        assert!(frame[15] & 0xf | frame[16] | frame[17] != 0, "a tunnel has a flow label");
        frame[15] &= 0xf0;
        frame[16] = 0;
        frame[17] = 0;
    }
    assert_eq!(sent, expected);
}

fn to_group(port: u8, packet: &[u8]) -> Vec<u8> {
    frame(MacAddress::of_multicast(GROUP), MacAddress([2, 0, 0, 0, 0, port]), packet)
}

// Unicast.

#[test]
fn a_packet_waits_for_its_neighbor() {
    let mut bench = Bench::router(2);
    bench.set_route("2001:db8:2::/64", Route::Via { port: P1, next_hop: ROUTER });
    let packets: Vec<_> = (0..6).map(|n| udp(CN, FAR, 64, &[n])).collect();
    bench.receive(P0, &packets);
    bench.expect_counters(&[("rx", 6), ("punt-neighbor", 6), ("resumed", 2), ("drop-neighbor-queue-full", 2)]);
    assert_eq!(bench.notices(), [Notice::NeighborMissing { port: P1, address: ROUTER }]);
    bench.set_neighbor(P1, ROUTER);
    bench.expect_counters(&[("resumed", 4), ("output", 4)]);
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
        ("resumed", 1),
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

// Input.

#[test]
fn what_is_no_sound_packet_is_dropped_by_name() {
    let mut bench = router_to_far();
    let good = udp(CN, FAR, 64, b"0123456789");
    let mut version = good.clone();
    version[0] = 0x40;
    let mut long = good.clone();
    long[5] += 1;
    let mut arp = frame(MacAddress::BROADCAST, PEER, &good);
    arp[12..14].copy_from_slice(&[8, 6]);
    let loopback = Ipv6Addr::LOCALHOST;
    let frames = vec![
        vec![0; 13],
        arp,
        frame(MAC0, MacAddress([1, 0, 0, 0, 0, 0]), &good),
        frame(MAC1, PEER, &good),
        frame(MAC0, PEER, &good[..39]),
        frame(MAC0, PEER, &version),
        frame(MAC0, PEER, &long),
        frame(MAC0, PEER, &udp(GROUP, FAR, 64, b"")),
        frame(MAC0, PEER, &udp(loopback, FAR, 64, b"")),
        frame(MAC0, PEER, &udp(Ipv6Addr::UNSPECIFIED, FAR, 64, b"")),
        frame(MAC0, PEER, &udp(CN, loopback, 64, b"")),
        frame(MAC0, PEER, &udp(CN, "ff01::1".parse().unwrap(), 64, b"")),
        frame(MAC0, PEER, &udp(CN, "fe80::77".parse().unwrap(), 64, b"")),
    ];
    bench.receive_frames(P0, &frames);
    bench.expect_counters(&[
        ("rx", 13),
        ("drop-ethernet-short", 1),
        ("drop-ethernet-type", 1),
        ("drop-ethernet-source", 1),
        ("drop-ethernet-not-ours", 1),
        ("drop-ip6-input-truncated", 2),
        ("drop-ip6-input-version", 1),
        ("drop-ip6-input-source", 3),
        ("drop-ip6-input-destination", 2),
        ("drop-lookup-link-local", 1),
    ]);
}

#[test]
fn padding_of_the_link_is_cut_off() {
    let mut bench = router_to_far();
    let packet = udp(CN, FAR, 64, b"x");
    let mut padded = frame(MAC0, PEER, &packet);
    padded.extend_from_slice(&[0xaa; 20]);
    bench.receive_frames(P0, &[padded]);
    assert_eq!(bench.sent(P1), [frame(mac_of(ROUTER), MAC1, &hopped(&packet))]);
}

#[test]
fn the_ingress_filter_lets_only_its_prefixes_in() {
    let mut bench = router_to_far();
    let prefix: Prefix = "2001:db8:300:a::/64".parse().unwrap();
    bench.apply(TableUpdate::IngressFilterSet(P0, IngressFilter::Prefixes(vec![prefix])));
    bench.receive(P0, &[udp(ACCESS, FAR, 64, b"mine"), udp(HOME, FAR, 64, b"spoofed"), udp(CN, FAR, 64, b"spoofed")]);
    bench.receive(P0, &[udp(ROUTER, "ff02::1".parse().unwrap(), 255, b"link-local")]);
    bench.expect_counters(&[
        ("rx", 4),
        ("output", 1),
        ("drop-ip6-input-ingress-filter", 2),
        ("drop-icmp-forbidden", 1),
    ]);
}

#[test]
fn a_host_forwards_nothing_but_its_own() {
    let config =
        DataplaneConfig { forwarding: Forwarding::Host, host_ports: PortSet::single(P2), ..DataplaneConfig::default() };
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ethernet, 1500), port(2, Medium::Ip, 1500)];
    let mut bench = Bench::with(config, ports);
    bench.set_route("::/0", Route::Via { port: P1, next_hop: ROUTER });
    bench.set_route(&format!("{HOME}/128"), Route::OnLink(P2));
    bench.set_neighbor(P1, ROUTER);
    let (through, inward, outward) = (udp(CN, FAR, 64, b"no"), udp(CN, HOME, 1, b"in"), udp(HOME, CN, 64, b"out"));
    bench.receive(P0, &[through, inward.clone()]);
    bench.receive_frames(P2, std::slice::from_ref(&outward));
    assert_eq!(bench.sent(P2), [inward]);
    assert_eq!(bench.sent(P1), [frame(mac_of(ROUTER), MAC1, &outward)]);
    bench.expect_counters(&[("rx", 3), ("output", 2), ("drop-lookup-not-forwarded", 1)]);
}

#[test]
fn hop_by_hop_options_are_read_by_routers() {
    let mut bench = router_to_far();
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let mut packet = PacketBuilder::new(CN, FAR).router_alert(5).payload(protocol::NONE, &[]);
    bench.receive(P0, std::slice::from_ref(&packet));
    bench.expect_counters(&[("rx", 1), ("output", 1)]);
    bench.sent(P1);
    packet[42] = 0x5e;
    bench.receive(P0, std::slice::from_ref(&packet));
    bench.expect_counters(&[("rx", 1), ("drop-ip6-input-option", 1)]);
    packet[42] = 0x9e;
    bench.receive(P0, std::slice::from_ref(&packet));
    bench.expect_counters(&[("rx", 1), ("icmp-error-option", 1), ("generated", 1), ("output", 1)]);
    let mut body = 42u32.to_be_bytes().to_vec();
    body.extend_from_slice(&packet);
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(4, 2, &body))]);
}

// Local delivery.

#[test]
fn echo_is_answered_and_the_rest_goes_to_the_node_or_back() {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let request = PacketBuilder::new(CN, SELF).icmpv6(128, 0, b"\0\x01\0\x02payload!");
    bench.receive(P0, std::slice::from_ref(&request));
    let reply = PacketBuilder::new(SELF, CN).icmpv6(129, 0, b"\0\x01\0\x02payload!");
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &reply)]);
    bench.expect_counters(&[("rx", 1), ("echo-replies", 1), ("output", 1)]);

    let mut broken = request;
    broken[50] ^= 1;
    let signalling = PacketBuilder::new(CN, SELF).checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
    let pim = PacketBuilder::new(ROUTER, stack::addr::ALL_PIM_ROUTERS).hop_limit(1).payload(protocol::PIM, &[0; 4]);
    bench.receive(P0, &[broken, signalling.clone(), pim.clone()]);
    bench.expect_counters(&[("rx", 3), ("drop-local-checksum", 1), ("local", 1), ("drop-multicast-not-heard", 1)]);
    bench.apply(TableUpdate::LinkGroupJoin(P0, stack::addr::ALL_PIM_ROUTERS));
    bench.receive(P0, std::slice::from_ref(&pim));
    let local = bench.local();
    assert_eq!(local.iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>(), [signalling, pim]);
    assert!(local[1].0.link_multicast && local[1].0.link_source == Some(PEER) && local[1].0.port == P0);
    bench.expect_counters(&[("rx", 1), ("local", 1)]);

    let datagram = udp(CN, SELF, 64, b"anyone?");
    let odd = PacketBuilder::new(CN, SELF).payload(200, b"????");
    bench.receive(P0, &[datagram.clone(), odd.clone()]);
    bench.expect_counters(&[
        ("rx", 2),
        ("icmp-error-port-unreachable", 1),
        ("icmp-error-next-header", 1),
        ("generated", 2),
        ("output", 2),
    ]);
    let body = |word: u32, packet: &[u8]| [&word.to_be_bytes()[..], packet].concat();
    let unreachable = PacketBuilder::new(SELF, CN).icmpv6(1, 4, &body(0, &datagram));
    let problem = PacketBuilder::new(SELF, CN).icmpv6(4, 1, &body(6, &odd));
    assert_eq!(bench.sent(P0), [frame(mac_of(CN), MAC0, &unreachable), frame(mac_of(CN), MAC0, &problem)]);
}

#[test]
fn a_home_address_option_without_a_binding_is_answered() {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let from_home = |to| PacketBuilder::new(CN, to).home_address(HOME);
    let echo = from_home(SELF).icmpv6(128, 0, b"\0\x01\0\x02");
    let datagram = from_home(SELF).payload(protocol::UDP, &[0, 1, 0, 2, 0, 8, 0, 0]);
    bench.receive(P0, &[echo.clone(), datagram.clone(), from_home(stack::addr::ALL_NODES).icmpv6(128, 0, &[0; 4])]);
    bench.expect_counters(&[
        ("rx", 3),
        ("icmp-error-option", 2),
        ("drop-local-home-address", 1),
        ("generated", 2),
        ("output", 2),
    ]);
    let problem = |packet: &[u8]| {
        let option_type = packet.iter().position(|&octet| octet == 201).unwrap() as u32;
        let body = [&option_type.to_be_bytes()[..], packet].concat();
        frame(mac_of(CN), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(4, 2, &body))
    };
    assert_eq!(bench.sent(P0), [problem(&echo), problem(&datagram)]);
}

#[test]
fn mld_about_any_group_reaches_the_node() {
    let mut bench = Bench::router(1);
    let query = PacketBuilder::new(ROUTER, GROUP).hop_limit(1).router_alert(0).icmpv6(130, 0, &[0; 24]);
    bench.receive(P0, std::slice::from_ref(&query));
    assert_eq!(bench.local().len(), 1);
    let not_mld = PacketBuilder::new(ROUTER, GROUP).hop_limit(1).router_alert(0).icmpv6(128, 0, &[0; 24]);
    bench.receive(P0, &[not_mld]);
    bench.expect_counters(&[("rx", 2), ("local", 1), ("drop-multicast-no-route", 1)]);
}

#[test]
fn what_the_node_sends_leaves_as_it_says() {
    let mut bench = router_to_far();
    let packet = udp(SELF, FAR, 255, b"x");
    bench.transmit(packet.clone(), Via::Route);
    bench.transmit(packet.clone(), Via::LinkAddress(P0, PEER));
    bench.transmit(packet.clone(), Via::NextHop(P1, ROUTER));
    let to_all = udp(ROUTER, "ff02::1".parse().unwrap(), 255, b"all");
    bench.transmit(to_all.clone(), Via::Link(P0));
    let sent = bench.sent(P1);
    assert_eq!(sent, vec![frame(mac_of(ROUTER), MAC1, &packet); 2]);
    let all_nodes = MacAddress([0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(bench.sent(P0), [frame(PEER, MAC0, &packet), frame(all_nodes, MAC0, &to_all)]);
    bench.transmit(packet[..20].to_vec(), Via::Route);
    bench.transmit(packet, Via::Link(stack::machine::PortId(9)));
    bench.expect_counters(&[
        ("transmitted", 6),
        ("output", 4),
        ("drop-transmit-invalid", 1),
        ("drop-output-no-port", 1),
    ]);
}

// Multicast.

fn tree(accept: Accept, ports: &[stack::machine::PortId]) -> TableUpdate {
    TableUpdate::MrouteSet(
        MrouteKey { source: SOURCE, group: GROUP },
        Mroute { accept, forward: ports.iter().copied().collect() },
    )
}

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
    bench.apply(TableUpdate::MrouteSet(key, Mroute { accept: Accept::Port(P0), forward: PortSet::single(P1) }));
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
    bench.apply(TableUpdate::MrouteSet(key, Mroute { accept: Accept::Port(P0), forward: PortSet::single(P1) }));
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

// The mobility agent.

fn binding() -> MmaBinding {
    MmaBinding {
        care_of: CARE_OF,
        group: GROUP,
        source: SOURCE,
        home_agent: HOME_AGENT,
        gre_key: None,
        access_identifier: ACCESS_ID,
        optimise: false,
        state: BindingState::Active,
    }
}

/// P0 towards the home agent and correspondents, P1 into the site.
fn agent() -> Bench {
    let mut bench = Bench::router(2);
    bench.set_route("2001:db8:200::/64", Route::CareOf);
    bench.set_route(&format!("{AGENT}/128"), Route::Local);
    bench.set_route(&format!("{SOURCE}/128"), Route::Local);
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    let service = MmaService {
        address: AGENT,
        access_prefixes: vec!["2001:db8:300::/48".parse().unwrap()],
        peers: Vec::new(),
        chain: false,
    };
    bench.apply(TableUpdate::MmaServiceSet(service));
    bench.apply(TableUpdate::MmaBindingSet(HOME, binding()));
    bench.apply(tree(Accept::Local, &[P1]));
    bench
}

#[test]
fn the_home_agents_tunnel_becomes_the_groups() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = agent();
        let inner: Vec<_> = (0..size as u8).map(|n| udp(CN, HOME, 60, &[n; 100])).collect();
        let packets: Vec<_> = inner.iter().map(|packet| tunnel(HOME_AGENT, CARE_OF, packet)).collect();
        bench.receive(P0, &packets);
        let expected: Vec<_> =
            inner.iter().map(|packet| to_group(1, &tunnel(SOURCE, GROUP, &hopped(packet)))).collect();
        assert_tunnelled(&bench.sent(P1), &expected);
        let size = size as u64;
        bench.expect_counters(&[("rx", size), ("binding-to-group", size), ("output", size)]);
    }
}

#[test]
fn with_a_key_the_groups_tunnel_is_gre_with_sequence_numbers() {
    let mut bench = agent();
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { gre_key: Some(0xabcd_0123), ..binding() }));
    let inner = udp(CN, HOME, 60, b"data");
    let routed = PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).payload(protocol::NONE, b"routed");
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner), routed.clone()]);
    let expected = [
        to_group(1, &gre(SOURCE, GROUP, 0xabcd_0123, 0, &hopped(&inner))),
        to_group(1, &gre(SOURCE, GROUP, 0xabcd_0123, 1, &hopped(&routed))),
    ];
    assert_tunnelled(&bench.sent(P1), &expected);
    // A refresh of the binding does not start the numbers anew.
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { gre_key: Some(0xabcd_0123), ..binding() }));
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner)]);
    let expected = [to_group(1, &gre(SOURCE, GROUP, 0xabcd_0123, 2, &hopped(&inner)))];
    assert_tunnelled(&bench.sent(P1), &expected);
}

#[test]
fn a_correspondents_packet_is_encapsulated_intact() {
    let mut bench = agent();
    let routed = PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).payload(protocol::NONE, b"routed");
    bench.receive(P0, std::slice::from_ref(&routed));
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &tunnel(SOURCE, GROUP, &hopped(&routed)))]);
    bench.expect_counters(&[("rx", 1), ("binding-to-group", 1), ("output", 1)]);
}

#[test]
fn congestion_marks_survive_both_tunnels_and_dscp_is_copied() {
    let mut bench = agent();
    let inner = PacketBuilder::new(CN, HOME).traffic_class(0xb8 | 0b10).payload(protocol::NONE, &[]);
    let outer = PacketBuilder::new(HOME_AGENT, CARE_OF).traffic_class(0b11).payload(protocol::IPV6, &inner);
    let not_capable = PacketBuilder::new(CN, HOME).payload(protocol::NONE, &[]);
    let refused = PacketBuilder::new(HOME_AGENT, CARE_OF).traffic_class(0b11).payload(protocol::IPV6, &not_capable);
    bench.receive(P0, &[outer, refused]);
    let marked = PacketBuilder::new(CN, HOME).traffic_class(0xb8 | 0b11).hop_limit(63).payload(protocol::NONE, &[]);
    let expected = PacketBuilder::new(SOURCE, GROUP).traffic_class(0xb8 | 0b11).payload(protocol::IPV6, &marked);
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &expected)]);
    bench.expect_counters(&[("rx", 2), ("binding-to-group", 1), ("output", 1), ("drop-tunnel-ecn", 1)]);
}

#[test]
fn what_does_not_match_its_binding_goes_nowhere() {
    let mut bench = agent();
    let inner = udp(CN, HOME, 60, b"x");
    let other_care_of: Ipv6Addr = "2001:db8:200::78".parse().unwrap();
    let mut cut = tunnel(HOME_AGENT, CARE_OF, &inner[..45]);
    cut[45] = 0xff;
    bench.receive(
        P0,
        &[
            tunnel(CN, CARE_OF, &inner),
            tunnel(HOME_AGENT, other_care_of, &inner),
            cut,
            udp(CN, CARE_OF, 60, b"no home address"),
        ],
    );
    bench.expect_counters(&[
        ("rx", 4),
        ("drop-binding-tunnel-source", 1),
        ("drop-binding-care-of", 1),
        ("drop-tunnel-inner", 1),
        ("drop-binding-no-home-address", 1),
    ]);
    let unbound = tunnel(HOME_AGENT, CARE_OF, &udp(CN, FAR, 60, b"x"));
    bench.receive(P0, std::slice::from_ref(&unbound));
    bench.expect_counters(&[("rx", 1), ("icmp-error-address-unreachable", 1), ("generated", 1), ("output", 1)]);
    let sent = bench.sent(P0);
    assert_eq!(&sent[0][14 + 24..14 + 40], &HOME_AGENT.octets());
    assert_eq!(&sent[0][14 + 48..], &unbound);
}

#[test]
fn a_binding_that_forwards_sends_to_the_other_agent() {
    let mut bench = agent();
    let to: Ipv6Addr = "2001:db8:400::1".parse().unwrap();
    let forward = |from_home_agent| {
        TableUpdate::MmaBindingSet(
            HOME,
            MmaBinding { state: BindingState::Forward { to, from_home_agent }, ..binding() },
        )
    };
    let inner = udp(CN, HOME, 60, b"x");
    let routed = PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).payload(protocol::NONE, b"routed");
    let packets = [tunnel(HOME_AGENT, CARE_OF, &inner), routed.clone()];
    bench.apply(forward(true));
    bench.receive(P0, &packets);
    let out = |packet: &[u8]| frame(mac_of(ROUTER), MAC0, packet);
    let (inside, intact) = (tunnel(CARE_OF, to, &hopped(&inner)), tunnel(CARE_OF, to, &hopped(&routed)));
    assert_tunnelled(&bench.sent(P0), &[out(&inside), out(&intact)]);
    bench.apply(forward(false));
    bench.receive(P0, &packets);
    assert_tunnelled(&bench.sent(P0), &[out(&intact)]);
    bench.expect_counters(&[
        ("rx", 4),
        ("binding-forwarded", 3),
        ("output", 3),
        ("drop-binding-forward-home-agent", 1),
    ]);
}

#[test]
fn a_reverse_tunnel_goes_on_to_the_home_agent() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = agent();
        let inner: Vec<_> = (0..size as u8).map(|n| udp(HOME, CN, 60, &[n; 10])).collect();
        let packets: Vec<_> = inner.iter().map(|packet| tunnel(ACCESS, AGENT, packet)).collect();
        bench.receive(P1, &packets);
        let expected: Vec<_> = inner
            .iter()
            .map(|packet| frame(mac_of(ROUTER), MAC0, &tunnel(CARE_OF, HOME_AGENT, &hopped(packet))))
            .collect();
        assert_tunnelled(&bench.sent(P0), &expected);
        let size = size as u64;
        bench.expect_counters(&[("rx", size), ("tunnel-to-home-agent", size), ("output", size)]);
    }
}

#[test]
fn spoofed_reverse_tunnels_are_refused_by_reason() {
    let mut bench = agent();
    let inner = udp(HOME, CN, 60, b"x");
    let other_terminal = stack::addr::with_interface_identifier(ACCESS, 0x0200_5eff_fe10_0002);
    bench.receive(
        P1,
        &[
            tunnel(CN, AGENT, &inner),
            tunnel(other_terminal, AGENT, &inner),
            tunnel(ACCESS, AGENT, &udp(FAR, CN, 60, b"x")),
            tunnel(ACCESS, SOURCE, &inner),
        ],
    );
    bench.expect_counters(&[
        ("rx", 4),
        ("drop-tunnel-access-prefix", 1),
        ("drop-tunnel-access-identifier", 1),
        ("drop-tunnel-not-bound", 1),
        ("drop-tunnel-unknown", 1),
    ]);
    let of_the_link = ["fe80::1", "ff02::1", "ff01::1"].map(|to| udp(HOME, to.parse().unwrap(), 60, b"x"));
    bench.receive(P1, &of_the_link.map(|inner| tunnel(ACCESS, AGENT, &inner)));
    bench.expect_counters(&[("rx", 3), ("drop-tunnel-link-scope", 3)]);
    let state = BindingState::Forward { to: CN, from_home_agent: true };
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { state, ..binding() }));
    bench.receive(P1, &[tunnel(ACCESS, AGENT, &inner)]);
    bench.expect_counters(&[("rx", 1), ("drop-tunnel-not-active", 1)]);
}

#[test]
fn a_packet_from_the_care_of_address_leaves_the_reverse_tunnel_as_it_is() {
    let mut bench = agent();
    let inner = PacketBuilder::new(CARE_OF, CN).home_address(HOME).payload(protocol::NONE, b"optimised");
    bench.receive(P1, &[tunnel(ACCESS, AGENT, &inner)]);
    assert_eq!(bench.sent(P0), [frame(mac_of(ROUTER), MAC0, &hopped(&inner))]);
    bench.expect_counters(&[("rx", 1), ("tunnel-exit", 1), ("output", 1)]);
}

#[test]
fn an_encapsulation_limit_is_kept() {
    let limited = |limit: u8| {
        let mut options = vec![protocol::NONE, 0, 4, 1, limit, 1, 1, 0];
        options.extend_from_slice(b"data");
        PacketBuilder::new(CN, HOME).payload(protocol::DESTINATION_OPTIONS, &options)
    };
    let mut bench = agent();
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &limited(0))]);
    let sent = bench.sent(P0);
    let mut body = 44u32.to_be_bytes().to_vec();
    body.extend_from_slice(&hopped(&limited(0)));
    let source: Ipv6Addr = <[u8; 16]>::try_from(&sent[0][14 + 8..14 + 24]).unwrap().into();
    assert_eq!(sent, [frame(mac_of(ROUTER), MAC0, &PacketBuilder::new(source, CN).icmpv6(4, 0, &body))]);
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &limited(3))]);
    let mut payload = vec![protocol::IPV6, 0, 4, 1, 2, 1, 1, 0];
    payload.extend_from_slice(&hopped(&limited(3)));
    let expected = PacketBuilder::new(SOURCE, GROUP).payload(protocol::DESTINATION_OPTIONS, &payload);
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &expected)]);
}

#[test]
fn too_big_for_the_tunnel_is_answered_or_cut() {
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ethernet, 1300)];
    let mut bench = Bench::with(DataplaneConfig::default(), ports);
    bench.set_route("2001:db8:200::/64", Route::CareOf);
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench.apply(TableUpdate::MmaBindingSet(HOME, binding()));
    bench.apply(tree(Accept::Local, &[P1]));
    let large = udp(CN, HOME, 60, &[7; 1300 - 48]);
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &large)]);
    let mut body = 1280u32.to_be_bytes().to_vec();
    body.extend_from_slice(&hopped(&large)[..1232]);
    assert_eq!(bench.sent(P0), [frame(mac_of(ROUTER), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(2, 0, &body))]);
    bench.expect_counters(&[
        ("rx", 1),
        ("binding-to-group", 1),
        ("icmp-error-packet-too-big", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    let fits = udp(CN, HOME, 60, &[7; 1280 - 48]);
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &fits)]);
    bench.expect_counters(&[("rx", 1), ("binding-to-group", 1), ("fragmented", 1), ("generated", 1), ("output", 2)]);
    let fragments = bench.sent(P1);
    assert!(fragments.iter().all(|frame| frame.len() <= 14 + 1300 && frame[14 + 6] == protocol::FRAGMENT));

    // A terminal puts them together again, whichever comes first.
    for order in [[0, 1], [1, 0]] {
        let mut terminal = terminal();
        let packets: Vec<_> = order.iter().map(|&n: &usize| fragments[n][14..].to_vec()).collect();
        terminal.receive(P0, &packets);
        assert_eq!(terminal.sent(P2), [hopped(&fits)]);
        terminal.expect_counters(&[
            ("rx", 2),
            ("punt-reassembly", 2),
            ("resumed", 1),
            ("reassembled", 1),
            ("terminal-received", 1),
            ("output", 1),
        ]);
    }
}

// The home agent.

fn home_agent() -> Bench {
    let mut bench = Bench::router(2);
    bench.set_route(&format!("{HOME_AGENT}/128"), Route::Local);
    bench.set_route("2001:db8:100::/64", Route::OnLink(P1));
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    let home = HomeBinding { care_of: CARE_OF, agent: HOME_AGENT, home_port: P1 };
    bench.apply(TableUpdate::HomeBindingSet(HOME, home));
    bench
}

#[test]
fn the_home_agent_intercepts_and_tunnels() {
    let mut bench = home_agent();
    let packet = udp(CN, HOME, 64, b"x");
    bench.receive(P0, std::slice::from_ref(&packet));
    assert_tunnelled(&bench.sent(P0), &[frame(mac_of(ROUTER), MAC0, &tunnel(HOME_AGENT, CARE_OF, &hopped(&packet)))]);
    bench.expect_counters(&[("rx", 1), ("home-intercepted", 1), ("output", 1)]);
    bench.apply(TableUpdate::HomeBindingRemove(HOME));
    bench.set_neighbor(P1, HOME);
    bench.receive(P0, std::slice::from_ref(&packet));
    assert_eq!(bench.sent(P1), [frame(mac_of(HOME), MAC1, &hopped(&packet))]);
}

#[test]
fn the_home_agent_takes_reverse_tunnels_only_from_the_care_of_address() {
    let mut bench = home_agent();
    let inner = udp(HOME, CN, 60, b"x");
    bench.receive(P0, &[tunnel(CARE_OF, HOME_AGENT, &inner), tunnel(FAR, HOME_AGENT, &inner)]);
    assert_eq!(bench.sent(P0), [frame(mac_of(ROUTER), MAC0, &hopped(&inner))]);
    bench.expect_counters(&[("rx", 2), ("tunnel-exit", 1), ("output", 1), ("drop-tunnel-care-of", 1)]);
}

#[test]
fn errors_from_inside_the_tunnel_reach_the_correspondent() {
    let mut bench = home_agent();
    let inner = udp(CN, HOME, 60, &[7; 1400]);
    let quoted = &tunnel(HOME_AGENT, CARE_OF, &inner)[..1232];
    let error = |kind, code, word: u32, about: &[u8]| {
        PacketBuilder::new(FAR, HOME_AGENT).icmpv6(kind, code, &[&word.to_be_bytes()[..], about].concat())
    };
    let expect = |kind, code, word: u32| {
        let body = [&word.to_be_bytes()[..], &inner[..1192]].concat();
        frame(mac_of(ROUTER), MAC0, &PacketBuilder::new(SELF, CN).icmpv6(kind, code, &body))
    };
    bench.receive(P0, &[error(2, 0, 1400, quoted)]);
    assert_eq!(bench.sent(P0), [expect(2, 0, 1360)]);
    bench.receive(P0, &[error(3, 0, 0, quoted)]);
    assert_eq!(bench.sent(P0), [expect(1, 3, 0)]);
    bench.expect_counters(&[
        ("rx", 2),
        ("icmp-error-relayed", 2),
        ("generated", 2),
        ("output", 2),
        ("path-mtus-learnt", 1),
    ]);
    // The tunnel has learnt: the next such packet is answered here.
    bench.receive(P0, &[udp(CN, HOME, 60, &[7; 1361 - 48])]);
    assert_eq!(bench.sent(P0)[0][14 + 44..14 + 48], 1360u32.to_be_bytes());
    // What was never sent from here is not believed, and a size below the minimum is ignored.
    bench.expect_counters(&[
        ("rx", 1),
        ("home-intercepted", 1),
        ("icmp-error-packet-too-big", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    let forged = &tunnel(HOME_AGENT, FAR, &inner)[..1232];
    bench.receive(P0, &[error(2, 0, 1300, forged), error(2, 0, 600, quoted)]);
    bench.expect_counters(&[("rx", 2), ("local", 1), ("icmp-error-relayed", 1)]);
}

#[test]
fn agent_and_home_agent_share_a_node() {
    let mut bench = agent();
    bench.set_route(&format!("{HOME_AGENT}/128"), Route::Local);
    let home = HomeBinding { care_of: CARE_OF, agent: HOME_AGENT, home_port: P1 };
    bench.apply(TableUpdate::HomeBindingSet(HOME, home));
    let packet = udp(CN, HOME, 60, b"down");
    bench.receive(P0, std::slice::from_ref(&packet));
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &tunnel(SOURCE, GROUP, &hopped(&hopped(&packet))))]);
    let reply = udp(HOME, CN, 60, b"up");
    bench.receive(P1, &[tunnel(ACCESS, AGENT, &reply)]);
    assert_eq!(bench.sent(P0), [frame(mac_of(ROUTER), MAC0, &hopped(&hopped(&reply)))]);
    bench.expect_counters(&[
        ("rx", 2),
        ("home-intercepted", 1),
        ("binding-to-group", 1),
        ("tunnel-to-home-agent", 1),
        ("tunnel-exit", 1),
        ("output", 2),
    ]);
}

// The terminal.

/// P0 and P1 are radios, P2 is the TUN device behind which the home address is.
fn terminal() -> Bench {
    let config =
        DataplaneConfig { forwarding: Forwarding::Host, host_ports: PortSet::single(P2), ..DataplaneConfig::default() };
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ethernet, 1500), port(2, Medium::Ip, 1500)];
    let mut bench = Bench::with(config, ports);
    bench.set_route(&format!("{ACCESS}/128"), Route::Local);
    bench.set_route(&format!("{HOME}/128"), Route::OnLink(P2));
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench.set_neighbor(P1, ROUTER);
    let reception = GroupReception { source: SOURCE, gre_key: None, care_of: CARE_OF, home_address: HOME };
    bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
    bench
}

fn terminal_with_key(gre_key: u32) -> Bench {
    let mut bench = terminal();
    let reception = GroupReception { source: SOURCE, gre_key: Some(gre_key), care_of: CARE_OF, home_address: HOME };
    bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
    bench
}

#[test]
fn a_terminal_receives_what_its_agent_sends_to_its_group() {
    let mut bench = terminal();
    let inner = udp(CN, HOME, 1, b"down");
    let not_for_us = udp(CN, FAR, 1, b"down");
    bench.receive(
        P0,
        &[
            tunnel(SOURCE, GROUP, &inner),
            tunnel(CN, GROUP, &inner),
            tunnel(SOURCE, GROUP, &not_for_us),
            gre(SOURCE, GROUP, 1, 1, &inner),
            udp(SOURCE, GROUP, 9, b"no tunnel"),
        ],
    );
    assert_eq!(bench.sent(P2), [inner]);
    assert_eq!(bench.notices(), [Notice::GroupData { port: P0, group: GROUP }]);
    bench.expect_counters(&[
        ("rx", 5),
        ("terminal-received", 1),
        ("output", 1),
        ("drop-terminal-source", 1),
        ("drop-terminal-home-address", 1),
        ("drop-terminal-gre", 1),
        ("drop-terminal-protocol", 1),
    ]);
}

#[test]
fn what_comes_by_both_links_is_delivered_once() {
    let mut bench = terminal_with_key(5);
    let inner: Vec<_> = (0..70).map(|n| udp(CN, HOME, 9, &[n])).collect();
    let packets: Vec<_> = (0..70u32).map(|n| gre(SOURCE, GROUP, 5, n, &inner[n as usize])).collect();
    bench.receive(P0, &packets[..40]);
    bench.receive(P1, &packets[20..]);
    bench.receive(P0, &packets[40..]);
    bench.receive(P0, &[gre(SOURCE, GROUP, 6, 100, &inner[0]), tunnel(SOURCE, GROUP, &inner[0])]);
    assert_eq!(bench.sent(P2), inner);
    let notices = [P0, P1].map(|port| Notice::GroupData { port, group: GROUP });
    assert_eq!(bench.notices(), notices);
    bench.expect_counters(&[
        ("rx", 122),
        ("terminal-received", 70),
        ("output", 70),
        ("drop-terminal-duplicate", 50),
        ("drop-terminal-gre", 2),
    ]);
    // Joining on a link anew makes its first data news.
    bench.apply(TableUpdate::LinkGroupJoin(P1, GROUP));
    bench.receive(P1, &[packets[69].clone()]);
    assert_eq!(bench.notices(), [notices[1]]);
}

#[test]
fn a_correspondents_routing_header_is_processed_at_the_terminal() {
    let mut bench = terminal();
    let routed = PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).payload(protocol::NONE, b"routed");
    let foreign = PacketBuilder::new(CN, CARE_OF).type2_routing(FAR).payload(protocol::NONE, b"routed");
    bench.receive(P0, &[tunnel(SOURCE, GROUP, &routed), tunnel(SOURCE, GROUP, &foreign)]);
    let mut expected = routed;
    expected[24..40].copy_from_slice(&HOME.octets());
    expected[48..64].copy_from_slice(&CARE_OF.octets());
    expected[43] = 0;
    assert_eq!(bench.sent(P2), [expected]);
    bench.expect_counters(&[("rx", 2), ("terminal-received", 1), ("output", 1), ("drop-terminal-home-address", 1)]);
}

#[test]
fn signalling_inside_the_tunnel_goes_to_the_node() {
    let mut bench = terminal();
    let signalling = PacketBuilder::new(CN, HOME).checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
    bench.receive(P0, &[tunnel(SOURCE, GROUP, &signalling)]);
    let local = bench.local();
    assert_eq!(local[0].1, signalling);
    assert_eq!(local[0].0.tunnel.map(|tunnel| (tunnel.source, tunnel.destination)), Some((SOURCE, GROUP)));
    assert!(bench.sent(P2).is_empty());
}

#[test]
fn two_agents_are_heard_between_two_sites() {
    let mut bench = terminal();
    let other: Ipv6Addr = "2001:db8:402::1".parse().unwrap();
    let reception = GroupReception { source: other, gre_key: Some(4), care_of: FAR, home_address: HOME };
    bench.apply(TableUpdate::GroupReceptionSet(GROUP, reception));
    let inner = udp(CN, HOME, 9, b"x");
    bench.receive(P0, &[tunnel(SOURCE, GROUP, &inner), gre(other, GROUP, 4, 0, &inner)]);
    assert_eq!(bench.sent(P2).len(), 2);
    bench.apply(TableUpdate::GroupReceptionRemove(MrouteKey { source: SOURCE, group: GROUP }));
    bench.receive(P0, &[tunnel(SOURCE, GROUP, &inner), gre(other, GROUP, 4, 1, &inner)]);
    assert_eq!(bench.sent(P2).len(), 1);
    assert_eq!(
        bench.plane.groups().map(|(_, reception, packets)| (reception.source, packets)).collect::<Vec<_>>(),
        [(other, 2)]
    );
}

#[test]
fn uplinks_send_as_they_are_set() {
    let mut bench = terminal();
    let packet = udp(HOME, CN, 1, b"up");
    let send = |bench: &mut Bench| {
        bench.receive_frames(P2, std::slice::from_ref(&packet));
        (bench.sent(P0), bench.sent(P1))
    };
    bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Down));
    assert_eq!(send(&mut bench), (vec![], vec![]));
    bench.expect_counters(&[("rx", 1), ("drop-uplink-down", 1)]);

    bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Native { port: P1, router: ROUTER }));
    assert_eq!(send(&mut bench), (vec![], vec![frame(mac_of(ROUTER), MAC1, &packet)]));

    bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Direct { port: P1, router: ROUTER, source: ACCESS }));
    let expected = PacketBuilder::new(ACCESS, CN).hop_limit(1).home_address(HOME).payload(protocol::UDP, &packet[40..]);
    assert_eq!(send(&mut bench), (vec![], vec![frame(mac_of(ROUTER), MAC1, &expected)]));

    let tunnelled = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
    bench.apply(TableUpdate::UplinkSet(HOME, tunnelled));
    let (sent, none) = send(&mut bench);
    assert!(none.is_empty());
    assert_tunnelled(&sent, &[frame(mac_of(ROUTER), MAC0, &tunnel(ACCESS, AGENT, &packet))]);
    bench.expect_counters(&[("rx", 3), ("uplink-sent", 3), ("output", 3)]);

    let exception = TableUpdate::UplinkExceptionSet {
        home_address: HOME,
        correspondent: CN,
        uplink: Uplink::Native { port: P1, router: ROUTER },
    };
    bench.apply(exception);
    assert_eq!(send(&mut bench).1.len(), 1);
    bench.apply(TableUpdate::UplinkExceptionRemove { home_address: HOME, correspondent: CN });
    assert_eq!(send(&mut bench).0.len(), 1);
}

#[test]
fn the_applications_learn_the_uplinks_size() {
    let mut bench = terminal();
    let tunnelled = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
    bench.apply(TableUpdate::UplinkSet(HOME, tunnelled));
    bench.receive_frames(P2, &[udp(HOME, CN, 64, &[0; 1461 - 48])]);
    let sent = bench.sent(P2);
    assert_eq!((sent[0][40], &sent[0][44..48]), (2, &1460u32.to_be_bytes()[..]));
    // Direct: the header with the option takes 24 octets.
    bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Direct { port: P0, router: ROUTER, source: ACCESS }));
    bench.receive_frames(P2, &[udp(HOME, CN, 64, &[0; 1477 - 48])]);
    assert_eq!(bench.sent(P2)[0][44..48], 1476u32.to_be_bytes());
    // And so does what a router on the way says about it.
    bench.receive_frames(P2, &[udp(HOME, CN, 64, &[0; 1400 - 48])]);
    let sent = bench.sent(P0);
    let body = [&1400u32.to_be_bytes()[..], &sent[0][14..14 + 1232]].concat();
    bench.receive(P0, &[PacketBuilder::new(FAR, ACCESS).icmpv6(2, 0, &body)]);
    let told = bench.sent(P2);
    assert_eq!((told[0][40], &told[0][44..48]), (2, &1376u32.to_be_bytes()[..]));
    assert_eq!(told[0][48..48 + 1208], udp(HOME, CN, 64, &[0; 1400 - 48])[..1208]);
}

#[test]
fn a_terminal_leaves_unicast_tunnels_that_it_was_told_of() {
    let mut bench = terminal();
    let reception = TunnelReception { remote: HOME_AGENT, local: ACCESS, home_address: HOME };
    bench.apply(TableUpdate::TunnelReceptionSet(reception));
    let inner = udp(CN, HOME, 9, b"x");
    let routed = PacketBuilder::new(CN, ACCESS).type2_routing(HOME).payload(protocol::NONE, b"routed");
    bench.receive(P0, &[tunnel(HOME_AGENT, ACCESS, &inner), tunnel(CN, ACCESS, &inner), routed]);
    let sent = bench.sent(P2);
    assert!(sent.len() == 2 && sent.contains(&inner), "the routing header was processed, the tunnel left");
    bench.apply(TableUpdate::TunnelReceptionRemove(reception));
    bench.receive(P0, &[tunnel(HOME_AGENT, ACCESS, &inner)]);
    bench.expect_counters(&[("rx", 4), ("tunnel-exit", 1), ("output", 2), ("drop-tunnel-unknown", 2)]);
}

#[test]
fn home_agent_terminal_and_uplink_take_batches_of_every_size() {
    for size in [1usize, 7, 63, 64] {
        let count = size as u64;
        let down: Vec<_> = (0..size as u8).map(|n| udp(CN, HOME, 60, &[n; 30])).collect();
        let mut bench = home_agent();
        bench.receive(P0, &down);
        let expected: Vec<_> = down
            .iter()
            .map(|packet| frame(mac_of(ROUTER), MAC0, &tunnel(HOME_AGENT, CARE_OF, &hopped(packet))))
            .collect();
        assert_tunnelled(&bench.sent(P0), &expected);
        bench.expect_counters(&[("rx", count), ("home-intercepted", count), ("output", count)]);

        let mut bench = terminal_with_key(5);
        let packets: Vec<_> = (0..).zip(&down).map(|(n, packet)| gre(SOURCE, GROUP, 5, n, packet)).collect();
        bench.receive(P0, &packets);
        assert_eq!(bench.sent(P2), down);
        bench.expect_counters(&[("rx", count), ("terminal-received", count), ("output", count)]);

        let up: Vec<_> = (0..size as u8).map(|n| udp(HOME, CN, 60, &[n; 30])).collect();
        let uplink = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
        bench.apply(TableUpdate::UplinkSet(HOME, uplink));
        bench.receive_frames(P2, &up);
        let expected: Vec<_> =
            up.iter().map(|packet| frame(mac_of(ROUTER), MAC0, &tunnel(ACCESS, AGENT, packet))).collect();
        assert_tunnelled(&bench.sent(P0), &expected);
        bench.expect_counters(&[("rx", count), ("uplink-sent", count), ("output", count)]);
    }
}

// Fragments.

#[test]
fn fragments_that_overlap_or_never_come_are_given_up() {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let fragment = |offset: u16, more: bool, id: u32, data: &[u8]| {
        let field = (offset | u16::from(more)).to_be_bytes();
        let mut payload = vec![protocol::NONE, 0, field[0], field[1]];
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(data);
        PacketBuilder::new(CN, SELF).payload(protocol::FRAGMENT, &payload)
    };
    bench.receive(P0, &[fragment(0, true, 1, &[0; 16]), fragment(8, false, 1, &[0; 16])]);
    bench.expect_counters(&[("rx", 2), ("punt-reassembly", 1), ("drop-reassembly-invalid", 1)]);
    assert_eq!(bench.plane.held_frames(), 0);
    bench.receive(P0, &[fragment(0, true, 2, &[0; 15])]);
    bench.expect_counters(&[("rx", 1), ("icmp-error-header-field", 1), ("generated", 1), ("output", 1)]);
    let first = fragment(0, true, 3, &[0; 16]);
    bench.receive(P0, &[first.clone(), first, fragment(16, true, 4, &[0; 16])]);
    bench.expect_counters(&[("rx", 3), ("punt-reassembly", 2), ("drop-reassembly-invalid", 1)]);
    let at = bench.plane.poll_timeout().unwrap();
    bench.plane.handle_timeout(at);
    bench.check();
    bench.expect_counters(&[
        ("reassembly-timeouts", 2),
        ("resumed", 1),
        ("icmp-error-reassembly-time", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    assert_eq!(bench.plane.poll_timeout(), None);
}

// Limits.

#[test]
fn full_tables_refuse_and_count() {
    let mut config = DataplaneConfig::default();
    config.limits.mma_bindings = 1;
    config.limits.output_queue = 2;
    let mut bench = Bench::with(config, (0..2).map(|i| port(i, Medium::Ethernet, 1500)).collect());
    bench.apply(TableUpdate::MmaBindingSet(HOME, binding()));
    bench.apply(TableUpdate::MmaBindingSet(FAR, binding()));
    bench.set_route("2001:db8:9::/64", Route::OnLink(stack::machine::PortId(7)));
    bench.expect_counters(&[("refused-updates", 1), ("refused-ports", 1)]);
    bench.set_route("2001:db8:2::/64", Route::OnLink(P1));
    bench.set_neighbor(P1, FAR);
    bench.receive(P0, &(0..5).map(|n| udp(CN, FAR, 9, &[n])).collect::<Vec<_>>());
    bench.expect_counters(&[("rx", 5), ("output", 2), ("drop-output-queue-full", 3)]);
}
