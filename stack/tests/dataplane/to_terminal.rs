//! What an agent's node itself says to a terminal, and the signalling that its data plane gives to the node.

use super::*;
use stack::wire::mobility::{CHECKSUM_AT, kind};

fn signalling(packet: PacketBuilder, kind: u8) -> Vec<u8> {
    packet.checksummed(protocol::MOBILITY, vec![59, 0, kind, 0, 0, 0, 0, 0], CHECKSUM_AT)
}

#[test]
fn a_message_for_a_terminal_takes_the_way_of_its_binding() {
    let mut bench = agent();
    let message = signalling(PacketBuilder::new(CN, CARE_OF), kind::CARE_OF_TEST);
    bench.transmit(message.clone(), Via::Terminal(HOME));
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &tunnel(SOURCE, GROUP, &message))]);

    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { gre_key: Some(5), ..binding() }));
    for _ in 0..2 {
        bench.transmit(message.clone(), Via::Terminal(HOME));
    }
    let keyed = [0, 1].map(|n| to_group(1, &gre(SOURCE, GROUP, 5, n, &message)));
    assert_tunnelled(&bench.sent(P1), &keyed);

    let state = BindingState::Forward { to: FORMER, from_home_agent: false };
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { state, ..binding() }));
    bench.transmit(message.clone(), Via::Terminal(HOME));
    assert_tunnelled(&bench.sent(P0), &[frame(mac_of(ROUTER), MAC0, &tunnel(CARE_OF, FORMER, &message))]);
    bench.expect_counters(&[("transmitted", 4), ("binding-from-node", 4), ("output", 4)]);

    bench.transmit(message.clone(), Via::Terminal(FAR));
    bench.transmit(message[..30].to_vec(), Via::Terminal(HOME));
    bench.expect_counters(&[("transmitted", 2), ("drop-transmit-not-bound", 1), ("drop-transmit-invalid", 1)]);
}

#[test]
fn a_message_that_the_tunnel_cannot_carry_is_cut_or_refused() {
    let mut bench = agent_with(DataplaneConfig::default(), [1500, 1300]);
    bench.transmit(udp(CN, HOME, 60, &[0; 1280 - 48]), Via::Terminal(HOME));
    assert_eq!(bench.sent(P1).len(), 2);
    let limited =
        PacketBuilder::new(CN, HOME).payload(protocol::DESTINATION_OPTIONS, &[protocol::NONE, 0, 4, 1, 0, 1, 1, 0]);
    bench.transmit(limited, Via::Terminal(HOME));
    bench.expect_counters(&[
        ("transmitted", 2),
        ("binding-from-node", 1),
        ("fragmented", 1),
        ("icmp-error-header-field", 1),
        ("generated", 2),
        ("output", 3),
    ]);
}

#[test]
fn errors_about_a_terminals_packets_reach_it_by_its_group() {
    let mut bench = agent_with(DataplaneConfig::default(), [1400, 1500]);
    let expired = udp(HOME, CN, 1, b"last hop");
    let large = udp(HOME, CN, 60, &[7; 1361 - 48]);
    bench.receive(P1, &[tunnel(ACCESS, AGENT, &expired), tunnel(ACCESS, AGENT, &large)]);
    let error = |kind, word: u32, about: &[u8]| {
        let body = [&word.to_be_bytes()[..], &about[..about.len().min(1232)]].concat();
        to_group(1, &tunnel(SOURCE, GROUP, &PacketBuilder::new(SELF, HOME).icmpv6(kind, 0, &body)))
    };
    assert_tunnelled(&bench.sent(P1), &[error(3, 0, &expired), error(2, 1360, &hopped(&large))]);
    assert!(bench.sent(P0).is_empty(), "nothing goes to the home agent");
    bench.expect_counters(&[
        ("rx", 2),
        ("icmp-error-hop-limit", 1),
        ("tunnel-to-home-agent", 1),
        ("icmp-error-packet-too-big", 1),
        ("generated", 2),
        ("binding-from-node", 2),
        ("output", 2),
    ]);
    // From inside the reverse tunnel likewise.
    let quoted = tunnel(CARE_OF, HOME_AGENT, &expired);
    bench.receive(P0, &[PacketBuilder::new(FAR, CARE_OF).icmpv6(1, 0, &[&[0; 4][..], &quoted].concat())]);
    let unreachable = PacketBuilder::new(SELF, HOME).icmpv6(1, 3, &[&[0; 4][..], &expired].concat());
    assert_tunnelled(&bench.sent(P1), &[to_group(1, &tunnel(SOURCE, GROUP, &unreachable))]);
    assert!(bench.sent(P0).is_empty());
    bench.expect_counters(&[
        ("rx", 1),
        ("icmp-error-relayed", 1),
        ("generated", 1),
        ("binding-from-node", 1),
        ("output", 1),
    ]);
}

/// Only care-of addresses are captured: at a home address the agent is no home agent.
#[test]
fn packets_to_a_bound_home_address_are_not_captured() {
    let mut bench = agent();
    let packet = udp(CN, HOME, 60, b"by the home agent");
    bench.receive(P1, std::slice::from_ref(&packet));
    let own = udp(SELF, HOME, 60, b"by the home agent");
    bench.transmit(own.clone(), Via::Route);
    assert_eq!(bench.sent(P0), [hopped(&packet), own].map(|packet| frame(mac_of(ROUTER), MAC0, &packet)));
    bench.expect_counters(&[("rx", 1), ("transmitted", 1), ("output", 2)]);
}

#[test]
fn signalling_to_a_care_of_address_is_the_agents() {
    let mut bench = agent();
    let routed = || PacketBuilder::new(CN, CARE_OF).type2_routing(HOME);
    let packets = [
        signalling(PacketBuilder::new(CN, CARE_OF), kind::CARE_OF_TEST),
        signalling(routed(), kind::BINDING_ACKNOWLEDGEMENT),
        signalling(routed().home_address(FAR), kind::BINDING_ACKNOWLEDGEMENT),
        PacketBuilder::new(CN, CARE_OF).icmpv6(1, 0, &[0; 44]),
    ];
    bench.receive(P0, &packets);
    let local = bench.local();
    assert!(local.iter().all(|(meta, _)| meta.tunnel.is_none()));
    assert_eq!(local.into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), packets);
    bench.expect_counters(&[("rx", 4), ("local", 4)]);
    // What a correspondent says by ICMPv6 with a routing header it says to the terminal.
    bench.receive(P0, &[routed().icmpv6(1, 4, &[0; 44])]);
    bench.expect_counters(&[("rx", 1), ("binding-to-group", 1), ("output", 1)]);
}

#[test]
fn answers_by_the_home_address_are_the_agents_where_it_optimises() {
    let by_home_agent =
        |kind| tunnel(HOME_AGENT, CARE_OF, &signalling(PacketBuilder::new(CN, HOME).hop_limit(60), kind));
    let answers = [kind::BINDING_REFRESH_REQUEST, kind::HOME_TEST, kind::BINDING_ERROR];
    let others = [kind::HOME_TEST_INIT, kind::CARE_OF_TEST_INIT, kind::BINDING_UPDATE];
    let packets: Vec<_> = answers.into_iter().chain(others).map(by_home_agent).collect();
    let mut bench = agent();
    bench.receive(P0, &packets);
    bench.expect_counters(&[("rx", 6), ("binding-to-group", 6), ("output", 6)]);
    assert_eq!(bench.sent(P1).len(), 6);

    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { optimise: true, ..binding() }));
    bench.receive(P0, &packets);
    let local = bench.local();
    assert_eq!(
        local.iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>(),
        answers.map(|kind| signalling(PacketBuilder::new(CN, HOME).hop_limit(60), kind))
    );
    let outer = |meta: &stack::machine::RxMeta| meta.tunnel.map(|tunnel| (tunnel.source, tunnel.destination));
    assert!(local.iter().all(|(meta, _)| outer(meta) == Some((HOME_AGENT, CARE_OF))));
    assert_eq!(bench.sent(P1).len(), 3);
    assert_eq!(bench.notices(), [], "signalling is no data");
    bench.expect_counters(&[("rx", 6), ("local", 3), ("binding-to-group", 3), ("output", 3)]);

    // What another agent forwards was not asked for by this one.
    serve(&mut bench, false);
    bench.receive(P0, &[tunnel(FORMER, CARE_OF, &packets[1][40..])]);
    assert_eq!(bench.sent(P1).len(), 1);
}
