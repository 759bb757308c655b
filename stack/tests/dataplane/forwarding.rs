//! Between mobility agents: what the agent of the former site forwards, and what the agent of the new one takes.

use super::*;

/// An agent that takes what agents of [`PEERS`] forward.
fn new_agent() -> Bench {
    let mut bench = agent();
    serve(&mut bench, false);
    bench
}

fn forward(bench: &mut Bench, to: Ipv6Addr, from_home_agent: bool) {
    let state = BindingState::Forward { to, from_home_agent };
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { state, ..binding() }));
}

/// What a correspondent sends to a care-of address that is no longer the terminal's.
fn routed_to(care_of: Ipv6Addr, data: &[u8]) -> Vec<u8> {
    PacketBuilder::new(CN, care_of).type2_routing(HOME).payload(protocol::UDP, data)
}

fn out(packet: &[u8]) -> Vec<u8> {
    frame(mac_of(ROUTER), MAC0, packet)
}

#[test]
fn what_another_agent_forwards_goes_to_the_group() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = new_agent();
        let inner: Vec<_> = (0..size as u8)
            .map(|n| if n % 2 == 0 { udp(CN, HOME, 60, &[n; 100]) } else { routed_to(FORMER, &[n; 100]) })
            .collect();
        let packets: Vec<_> = inner.iter().map(|packet| tunnel(FORMER, CARE_OF, packet)).collect();
        bench.receive(P0, &packets);
        let expected: Vec<_> =
            inner.iter().map(|packet| to_group(1, &tunnel(SOURCE, GROUP, &hopped(packet)))).collect();
        assert_tunnelled(&bench.sent(P1), &expected);
        assert_eq!((bench.sent(P0), bench.local().len(), bench.notices()), (vec![], 0, vec![]));
        let size = size as u64;
        bench.expect_counters(&[("rx", size), ("binding-to-group", size), ("output", size)]);
    }
}

#[test]
fn what_is_forwarded_is_counted_in_the_groups_sequence() {
    let mut bench = new_agent();
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { gre_key: Some(7), ..binding() }));
    let (inner, routed) = (udp(CN, HOME, 60, b"x"), routed_to(FORMER, b"forwarded"));
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner), tunnel(FORMER, CARE_OF, &routed)]);
    let expected =
        [(0, hopped(&inner)), (1, hopped(&routed))].map(|(n, packet)| to_group(1, &gre(SOURCE, GROUP, 7, n, &packet)));
    assert_tunnelled(&bench.sent(P1), &expected);
}

#[test]
fn options_in_front_of_the_routing_header_do_not_hide_it() {
    let mut bench = new_agent();
    let routed = PacketBuilder::new(CN, FORMER).router_alert(5).type2_routing(HOME).payload(protocol::NONE, b"x");
    let limit = [protocol::IPV6, 0, 4, 1, 3, 1, 1, 0];
    let with_limit =
        PacketBuilder::new(FORMER, CARE_OF).payload(protocol::DESTINATION_OPTIONS, &[&limit[..], &routed].concat());
    bench.receive(P0, &[tunnel(FORMER, CARE_OF, &routed), with_limit]);
    assert_tunnelled(&bench.sent(P1), &vec![to_group(1, &tunnel(SOURCE, GROUP, &hopped(&routed))); 2]);
    bench.expect_counters(&[("rx", 2), ("binding-to-group", 2), ("output", 2)]);
}

#[test]
fn a_congestion_mark_between_the_agents_reaches_the_terminal() {
    let mut bench = new_agent();
    let routed = |class| {
        PacketBuilder::new(CN, FORMER).traffic_class(class).type2_routing(HOME).payload(protocol::NONE, b"routed")
    };
    let marked = PacketBuilder::new(FORMER, CARE_OF).traffic_class(0b11).payload(protocol::IPV6, &routed(0b10));
    bench.receive(P0, &[marked]);
    let expected =
        PacketBuilder::new(SOURCE, GROUP).traffic_class(0b11).payload(protocol::IPV6, &hopped(&routed(0b11)));
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &expected)]);
}

#[test]
fn only_agents_of_the_peers_prefixes_forward() {
    let (inner, routed) = (udp(CN, HOME, 60, b"x"), routed_to(FORMER, b"x"));
    let mut bench = agent();
    bench.receive(P0, &[tunnel(FORMER, CARE_OF, &inner), tunnel(FORMER, CARE_OF, &routed)]);
    // The routing header is nobody's here, so that the packet is for its destination, which is not bound.
    bench.expect_counters(&[
        ("rx", 2),
        ("drop-binding-tunnel-source", 1),
        ("icmp-error-address-unreachable", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    let mut bench = new_agent();
    let other: Ipv6Addr = "2001:db8:401::77".parse().unwrap();
    bench.receive(
        P0,
        &[
            tunnel(other, CARE_OF, &inner),
            tunnel(FORMER, CARE_OF, &routed_to(other, b"x")),
            tunnel(FORMER, "2001:db8:200::78".parse().unwrap(), &inner),
        ],
    );
    bench.expect_counters(&[
        ("rx", 3),
        ("drop-binding-tunnel-source", 1),
        ("drop-binding-former-care-of", 1),
        ("icmp-error-address-unreachable", 1),
        ("generated", 1),
        ("output", 1),
    ]);
}

#[test]
fn a_routing_header_in_the_home_agents_tunnel_says_nothing() {
    let mut bench = new_agent();
    let inner = PacketBuilder::new(CN, HOME).type2_routing(FAR).payload(protocol::NONE, b"for the terminal to refuse");
    let of_another = PacketBuilder::new(CN, FAR).type2_routing(HOME).payload(protocol::NONE, b"of nobody here");
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner), tunnel(HOME_AGENT, CARE_OF, &of_another)]);
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &tunnel(SOURCE, GROUP, &hopped(&inner)))]);
    bench.expect_counters(&[
        ("rx", 2),
        ("binding-to-group", 1),
        ("icmp-error-address-unreachable", 1),
        ("generated", 1),
        ("output", 2),
    ]);
}

#[test]
fn what_was_forwarded_is_not_forwarded_again() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = new_agent();
        forward(&mut bench, FAR, true);
        let inner: Vec<_> = (0..size as u8)
            .map(|n| if n % 2 == 0 { udp(CN, HOME, 60, &[n]) } else { routed_to(FORMER, &[n]) })
            .collect();
        let packets: Vec<_> = inner.iter().map(|packet| tunnel(FORMER, CARE_OF, packet)).collect();
        bench.receive(P0, &packets);
        let count = size as u64;
        bench.expect_counters(&[("rx", count), ("drop-binding-forwarded-twice", count)]);

        serve(&mut bench, true);
        bench.receive(P0, &packets);
        let expected: Vec<_> = inner.iter().map(|packet| out(&tunnel(CARE_OF, FAR, &hopped(packet)))).collect();
        assert_tunnelled(&bench.sent(P0), &expected);
        bench.expect_counters(&[("rx", count), ("binding-forwarded", count), ("output", count)]);
    }
}

#[test]
fn a_chain_of_agents_ends_with_the_hop_limit() {
    let mut bench = new_agent();
    serve(&mut bench, true);
    forward(&mut bench, FORMER, true);
    let mut packet = udp(CN, HOME, 3, b"round and round");
    for _ in 0..2 {
        bench.receive(P0, &[tunnel(FORMER, CARE_OF, &packet)]);
        packet = bench.sent(P0)[0][14 + 40..].to_vec();
    }
    bench.receive(P0, &[tunnel(FORMER, CARE_OF, &packet)]);
    bench.expect_counters(&[("rx", 3), ("binding-forwarded", 2), ("output", 2), ("drop-binding-forwarded-twice", 1)]);
}

#[test]
fn what_came_from_a_home_agent_once_does_not_go_home() {
    let mut bench = new_agent();
    serve(&mut bench, true);
    forward(&mut bench, HOME, false);
    let (inner, routed) = (udp(CN, HOME, 60, b"x"), routed_to(FORMER, b"x"));
    bench.receive(
        P0,
        &[
            tunnel(HOME_AGENT, CARE_OF, &inner),
            tunnel(FORMER, CARE_OF, &inner),
            tunnel(FORMER, CARE_OF, &routed),
            routed_to(CARE_OF, b"y"),
        ],
    );
    let home = [hopped(&routed), hopped(&routed_to(CARE_OF, b"y"))].map(|inner| out(&tunnel(CARE_OF, HOME, &inner)));
    assert_tunnelled(&bench.sent(P0), &home);
    bench.expect_counters(&[
        ("rx", 4),
        ("drop-binding-forward-home-agent", 2),
        ("binding-forwarded", 2),
        ("output", 2),
    ]);
}

#[test]
fn errors_from_between_the_agents_are_passed_on() {
    let mut bench = new_agent();
    forward(&mut bench, FORMER, true);
    let inner = udp(CN, HOME, 60, &[7; 1352]);
    let routed = routed_to(CARE_OF, &[7; 1336]);
    for original in [inner, routed] {
        let quoted = &tunnel(CARE_OF, FORMER, &original)[..1232];
        let error = |kind, code, word: u32| {
            PacketBuilder::new(FAR, CARE_OF).icmpv6(kind, code, &[&word.to_be_bytes()[..], quoted].concat())
        };
        let expect = |kind, code, word: u32| {
            let body = [&word.to_be_bytes()[..], &original[..1192]].concat();
            out(&PacketBuilder::new(SOURCE, CN).icmpv6(kind, code, &body))
        };
        bench.receive(P0, &[error(1, 0, 0), error(2, 0, 1400)]);
        let sent: Vec<_> = bench.sent(P0).iter().map(|sent| from(sent, SOURCE)).collect();
        assert_eq!(sent, [expect(1, 3, 0), expect(2, 0, 1360)]);
        bench.expect_counters(&[
            ("rx", 2),
            ("icmp-error-relayed", 2),
            ("generated", 2),
            ("output", 2),
            ("path-mtus-learnt", 1),
        ]);
    }
    // The tunnel has learnt: the next such packet is answered here.
    bench.receive(P0, &[routed_to(CARE_OF, &[7; 1361 - 64])]);
    assert_eq!(bench.sent(P0)[0][14 + 44..14 + 48], 1360u32.to_be_bytes());
    // Not ours: another agent, and a binding that does not forward.
    bench.expect_counters(&[
        ("rx", 1),
        ("binding-forwarded", 1),
        ("icmp-error-packet-too-big", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    let about = |outer_destination| {
        let quoted = tunnel(CARE_OF, outer_destination, &routed_to(CARE_OF, &[7; 100]));
        PacketBuilder::new(FAR, CARE_OF).icmpv6(1, 0, &[&[0; 4][..], &quoted].concat())
    };
    bench.receive(P0, &[about(FAR)]);
    bench.apply(TableUpdate::MmaBindingSet(HOME, binding()));
    bench.receive(P0, &[about(FORMER)]);
    bench.expect_counters(&[("rx", 2), ("local", 2)]);
}

/// Where a tunnel leads to somebody who knows nothing of it: his Parameter Problem is about what this node has sent. It is
/// not the terminal's, which would get it by that very tunnel, and answer it.
#[test]
fn who_does_not_know_the_tunnel_is_not_answered_through_it() {
    for (to, from_home_agent) in [(FORMER, true), (HOME, false)] {
        let mut bench = agent();
        forward(&mut bench, to, from_home_agent);
        let routed = routed_to(CARE_OF, &[7; 100]);
        bench.receive(P0, std::slice::from_ref(&routed));
        let sent = bench.sent(P0).pop().unwrap();
        bench.expect_counters(&[("rx", 1), ("binding-forwarded", 1), ("output", 1)]);
        for (kind, code, pointer) in [(4, 0, 7u32), (4, 1, 6), (4, 2, 40), (100, 0, 0)] {
            let body = [&pointer.to_be_bytes()[..], &sent[14..]].concat();
            bench.receive(P0, &[PacketBuilder::new(to, CARE_OF).icmpv6(kind, code, &body)]);
            bench.expect_counters(&[("rx", 1), ("drop-local-tunnel-problem", 1)]);
        }
        // What a correspondent does not know of the terminal's own is another matter.
        let asked = PacketBuilder::new(CARE_OF, CN).payload(protocol::MOBILITY, &[59, 1, 2, 0, 0, 0, 0, 0]);
        let body = [&6u32.to_be_bytes()[..], &asked].concat();
        bench.receive(P0, &[PacketBuilder::new(CN, CARE_OF).icmpv6(4, 1, &body)]);
        bench.expect_counters(&[("rx", 1), ("local", 1)]);
    }
}

/// The ICMPv6 error in `frame` as it were from `source`: which of its addresses a node speaks with is not looked at.
fn from(frame: &[u8], source: Ipv6Addr) -> Vec<u8> {
    let destination = <[u8; 16]>::try_from(&frame[14 + 24..14 + 40]).unwrap().into();
    let (kind, code) = (frame[14 + 40], frame[14 + 41]);
    out(&PacketBuilder::new(source, destination).icmpv6(kind, code, &frame[14 + 44..]))
}

#[test]
fn after_its_time_a_late_packet_is_answered_at_the_tunnels_entrance() {
    let config = DataplaneConfig { icmp_error_burst: 5, ..DataplaneConfig::default() };
    let mut bench = agent_with(config, [1500, 1500]);
    serve(&mut bench, false);
    forward(&mut bench, FAR, true);
    bench.apply(TableUpdate::MmaBindingRemove(HOME));
    let inner = udp(CN, HOME, 60, b"late");
    let late = [
        tunnel(HOME_AGENT, CARE_OF, &inner),
        tunnel(FORMER, CARE_OF, &inner),
        routed_to(CARE_OF, b"late"),
        udp(CN, CARE_OF, 60, b"late"),
    ];
    bench.receive(P0, &late);
    let unreachable =
        |to: Ipv6Addr, packet: &[u8]| out(&PacketBuilder::new(SELF, to).icmpv6(1, 3, &[&[0; 4][..], packet].concat()));
    let senders = [HOME_AGENT, FORMER, CN, CN];
    let expected: Vec<_> = senders.into_iter().zip(&late).map(|(to, packet)| unreachable(to, packet)).collect();
    assert_eq!(bench.sent(P0).iter().map(|sent| from(sent, SELF)).collect::<Vec<_>>(), expected);
    bench.receive(P0, &late);
    assert_eq!(bench.sent(P0).len(), 1);
    bench.expect_counters(&[
        ("rx", 8),
        ("icmp-error-address-unreachable", 5),
        ("generated", 5),
        ("output", 5),
        ("drop-icmp-rate-limit", 3),
    ]);
}
