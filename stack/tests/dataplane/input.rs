//! What ports let in, and what routers read of a packet.

use super::*;

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
