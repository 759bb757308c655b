//! The agent as anchor point of Hierarchical Mobile IPv6: regional addresses without a group (RFC 5380 §6).

use super::*;
use stack::wire::mobility::{CHECKSUM_AT, kind};

const REGIONAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 0x99);
const ON_LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0xb, 0, 0, 0, 0x99);

fn anchored() -> MmaBinding {
    MmaBinding {
        care_of: REGIONAL,
        group: ON_LINK,
        source: AGENT,
        home_agent: Ipv6Addr::UNSPECIFIED,
        gre_key: None,
        access_identifier: 0,
        optimise: false,
        state: BindingState::Anchor,
    }
}

/// An agent that also serves a terminal by its regional address.
fn anchor_point() -> Bench {
    anchor_point_with([1500, 1500])
}

fn anchor_point_with(mtus: [usize; 2]) -> Bench {
    let mut bench = agent_with(DataplaneConfig::default(), mtus);
    bench.set_route("2001:db8:300::/48", Route::Via { port: P1, next_hop: ROUTER });
    bench.set_neighbor(P1, ROUTER);
    bench.apply(TableUpdate::MmaBindingSet(REGIONAL, anchored()));
    bench
}

fn into_site(packet: &[u8]) -> Vec<u8> {
    frame(mac_of(ROUTER), MAC1, packet)
}

fn out_of_site(packet: &[u8]) -> Vec<u8> {
    frame(mac_of(ROUTER), MAC0, packet)
}

/// Whatever may be sent to a regional address.
fn of_every_kind() -> Vec<Vec<u8>> {
    let to = || PacketBuilder::new(CN, REGIONAL).hop_limit(60);
    vec![
        udp(CN, REGIONAL, 60, b"plain"),
        tunnel(HOME_AGENT, REGIONAL, &udp(CN, FAR, 60, b"from the home agent")),
        tunnel(HOME_AGENT, REGIONAL, &udp(CN, REGIONAL, 60, b"odd")),
        to().type2_routing(FAR).payload(protocol::UDP, b"from a correspondent"),
        to().checksummed(protocol::MOBILITY, vec![59, 0, kind::CARE_OF_TEST, 0, 0, 0, 0, 0], CHECKSUM_AT),
        to().type2_routing(FAR).checksummed(
            protocol::MOBILITY,
            vec![59, 0, kind::BINDING_ACKNOWLEDGEMENT, 0, 0, 0, 0, 0],
            CHECKSUM_AT,
        ),
        to().icmpv6(128, 0, b"\0\x01\0\x02"),
        to().payload(protocol::FRAGMENT, &[protocol::UDP, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8]),
    ]
}

#[test]
fn everything_to_the_regional_address_goes_to_the_on_link_address() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = anchor_point();
        let packets: Vec<_> = of_every_kind().into_iter().cycle().take(size).collect();
        bench.receive(P0, &packets);
        let expected: Vec<_> =
            packets.iter().map(|packet| into_site(&tunnel(AGENT, ON_LINK, &hopped(packet)))).collect();
        assert_tunnelled(&bench.sent(P1), &expected);
        let size = size as u64;
        bench.expect_counters(&[("rx", size), ("binding-anchored", size), ("output", size)]);
    }
}

#[test]
fn a_home_address_that_is_bound_by_itself_does_not_hide_the_anchor() {
    let mut bench = anchor_point();
    let packets = [
        tunnel(HOME_AGENT, REGIONAL, &udp(CN, HOME, 60, b"bound to the other care-of address")),
        PacketBuilder::new(CN, REGIONAL).type2_routing(HOME).payload(protocol::UDP, b"likewise"),
        tunnel(HOME_AGENT, CARE_OF, &udp(CN, HOME, 60, b"to the group")),
        tunnel(HOME_AGENT, CARE_OF, &udp(CN, REGIONAL, 60, b"nobody's")),
    ];
    bench.receive(P0, &packets);
    let group = to_group(1, &tunnel(SOURCE, GROUP, &hopped(&udp(CN, HOME, 60, b"to the group"))));
    let mut sent = bench.sent(P1);
    // Unicast and multicast leave by stages of their own.
    sent.sort_by_key(|frame| frame[0] == 0x33);
    let anchored = [&packets[0], &packets[1]].map(|packet| into_site(&tunnel(AGENT, ON_LINK, &hopped(packet))));
    assert_tunnelled(&sent, &[anchored[0].clone(), anchored[1].clone(), group]);
    bench.expect_counters(&[
        ("rx", 4),
        ("binding-anchored", 2),
        ("binding-to-group", 1),
        ("output", 4),
        ("icmp-error-address-unreachable", 1),
        ("generated", 1),
    ]);
}

#[test]
fn hop_limit_and_encapsulation_limit_end_at_the_anchor() {
    let mut bench = anchor_point();
    let last = udp(CN, REGIONAL, 1, b"x");
    let limited =
        PacketBuilder::new(CN, REGIONAL).payload(protocol::DESTINATION_OPTIONS, &[protocol::NONE, 0, 4, 1, 0, 1, 1, 0]);
    bench.receive(P0, &[last, limited]);
    let kinds: Vec<_> = bench.sent(P0).iter().map(|frame| (frame[14 + 40], frame[14 + 47])).collect();
    assert_eq!(kinds, [(3, 0), (4, 44)]);
    bench.expect_counters(&[
        ("rx", 2),
        ("icmp-error-hop-limit", 1),
        ("icmp-error-header-field", 1),
        ("generated", 2),
        ("output", 2),
    ]);
}

#[test]
fn a_reverse_tunnel_of_the_regional_address_comes_out() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = anchor_point();
        let inner: Vec<_> = (0..size as u8)
            .map(|n| match n % 3 {
                0 => udp(REGIONAL, CN, 60, &[n]),
                1 => PacketBuilder::new(REGIONAL, CN).home_address(FAR).payload(protocol::UDP, &[n]),
                _ => tunnel(REGIONAL, HOME_AGENT, &udp(FAR, CN, 60, &[n])),
            })
            .collect();
        let packets: Vec<_> = inner.iter().map(|packet| tunnel(ON_LINK, AGENT, packet)).collect();
        bench.receive(P1, &packets);
        let expected: Vec<_> = inner.iter().map(|packet| out_of_site(&hopped(packet))).collect();
        assert_eq!(bench.sent(P0), expected);
        let size = size as u64;
        bench.expect_counters(&[("rx", size), ("tunnel-exit", size), ("output", size)]);
    }
}

#[test]
fn a_reverse_tunnel_of_the_regional_address_comes_from_the_on_link_address_only() {
    let mut bench = anchor_point();
    let inner = udp(REGIONAL, CN, 60, b"x");
    let to_link = udp(REGIONAL, "ff02::1".parse().unwrap(), 60, b"x");
    bench.receive(
        P1,
        &[
            tunnel(ACCESS, AGENT, &inner),
            tunnel(ON_LINK, SOURCE, &inner),
            tunnel(ON_LINK, AGENT, &to_link),
            tunnel(ON_LINK, AGENT, &udp(HOME, CN, 60, b"of another")),
        ],
    );
    bench.expect_counters(&[
        ("rx", 4),
        ("drop-tunnel-on-link-address", 1),
        ("drop-tunnel-unknown", 1),
        ("drop-tunnel-link-scope", 1),
        ("drop-tunnel-access-identifier", 1),
    ]);
}

#[test]
fn errors_find_the_way_in_and_out_of_the_anchors_tunnel() {
    let mut bench = anchor_point_with([1500, 1400]);
    // Too large for the tunnel: the sender is told.
    let large = udp(CN, REGIONAL, 60, &[7; 1361 - 48]);
    bench.receive(P0, std::slice::from_ref(&large));
    let sent = bench.sent(P0);
    assert_eq!((sent[0][14 + 40], &sent[0][14 + 44..14 + 48]), (2, &1360u32.to_be_bytes()[..]));
    // An error from inside.
    let fits = udp(CN, REGIONAL, 60, &[7; 1200]);
    let tunnelled = tunnel(AGENT, ON_LINK, &fits);
    let error = |about: &[u8]| PacketBuilder::new(FAR, AGENT).icmpv6(1, 0, &[&[0; 4][..], &about[..1200]].concat());
    bench.receive(P1, &[error(&tunnelled), error(&tunnel(AGENT, ACCESS, &fits))]);
    let sent = bench.sent(P0);
    assert_eq!((sent.len(), sent[0][14 + 40], sent[0][14 + 41], &sent[0][14 + 48..14 + 88]), (1, 1, 3, &fits[..40]));
    // An error to the terminal about what it sent.
    bench.receive(P1, &[tunnel(ON_LINK, AGENT, &udp(REGIONAL, CN, 1, b"last hop"))]);
    let sent = bench.sent(P1);
    assert_eq!((sent.len(), &sent[0][14 + 24..14 + 40]), (1, &ON_LINK.octets()[..]));
    assert_eq!((&sent[0][54 + 24..54 + 40], sent[0][54 + 40]), (&REGIONAL.octets()[..], 3));
    bench.expect_counters(&[
        ("rx", 4),
        ("binding-anchored", 1),
        ("icmp-error-packet-too-big", 1),
        ("icmp-error-relayed", 1),
        ("local", 1),
        ("tunnel-exit", 1),
        ("icmp-error-hop-limit", 1),
        ("generated", 3),
        ("binding-from-node", 1),
        ("output", 3),
    ]);
}

#[test]
fn a_message_for_the_terminal_goes_to_the_on_link_address() {
    let mut bench = anchor_point();
    let message = PacketBuilder::new(AGENT, REGIONAL).icmpv6(128, 0, b"\0\x01\0\x02");
    bench.transmit(message.clone(), Via::Terminal(REGIONAL));
    bench.transmit(message.clone(), Via::Route);
    assert_tunnelled(&bench.sent(P1), &vec![into_site(&tunnel(AGENT, ON_LINK, &message)); 2]);
    bench.expect_counters(&[("transmitted", 2), ("binding-from-node", 1), ("binding-anchored", 1), ("output", 2)]);
}
