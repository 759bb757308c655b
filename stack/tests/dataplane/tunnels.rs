//! What tunnels do to the packets in them, whichever role stands at their ends.

use super::*;

/// The traffic class of a frame's packet.
fn traffic_class(frame: &[u8]) -> u8 {
    frame[14] << 4 | frame[15] >> 4
}

#[test]
fn dscp_outside_and_inside_is_as_configured() {
    let class = |dscp: u8, ecn: u8| dscp << 2 | ecn;
    for (tunnel_dscp, outside, inside) in
        [(TunnelDscp::Inner, 10, 10), (TunnelDscp::Uniform, 34, 34), (TunnelDscp::Fixed(26), 26, 10)]
    {
        let mut bench = agent_with(DataplaneConfig { tunnel_dscp, ..DataplaneConfig::default() }, [1500, 1500]);
        let inner = PacketBuilder::new(CN, HOME).traffic_class(class(10, 0b10)).payload(protocol::NONE, &[]);
        let outer = PacketBuilder::new(HOME_AGENT, CARE_OF).traffic_class(class(34, 0b11)).payload(41, &inner);
        bench.receive(P0, &[outer]);
        let sent = bench.sent(P1);
        let found = (traffic_class(&sent[0]), traffic_class(&sent[0][40..]));
        assert_eq!(found, (class(outside, 0b11), class(inside, 0b11)), "{tunnel_dscp:?}");
    }
}

#[test]
fn combinations_of_ecn_that_nobody_uses_are_counted_where_a_tunnel_ends() {
    for inner in 0..4u8 {
        for outer in 0..4u8 {
            let name = match (inner, outer) {
                (0b00, 0b01..=0b11) | (0b11, 0b01) => Some("ecn-unused-dangerous"),
                (0b01, 0b10) => Some("ecn-unused"),
                _ => None,
            };
            let packet = PacketBuilder::new(CN, HOME).traffic_class(inner).payload(protocol::NONE, &[]);
            let to = |from, to| PacketBuilder::new(from, to).traffic_class(outer).payload(protocol::IPV6, &packet);
            for (mut bench, tunnelled) in [
                (agent(), to(HOME_AGENT, CARE_OF)),
                (terminal(), to(SOURCE, GROUP)),
                (home_agent(), {
                    let packet = PacketBuilder::new(HOME, CN).traffic_class(inner).payload(protocol::NONE, &[]);
                    PacketBuilder::new(CARE_OF, HOME_AGENT).traffic_class(outer).payload(protocol::IPV6, &packet)
                }),
            ] {
                let before = bench.plane.counters().clone();
                bench.receive(P0, &[tunnelled]);
                let count = |name| bench.plane.counters().since(&before).filter(|&(other, _)| other == name).count();
                let counted = ["ecn-unused", "ecn-unused-dangerous"].map(|name| count(name) == 1);
                let expected = ["ecn-unused", "ecn-unused-dangerous"].map(|other| name == Some(other));
                assert_eq!(counted, expected, "inner {inner:02b} outer {outer:02b}");
                assert_eq!(count("drop-tunnel-ecn") == 1, (inner, outer) == (0b00, 0b11));
            }
        }
    }
}

// Segment sizes.

/// A SYN with this segment size.
fn syn(source: Ipv6Addr, destination: Ipv6Addr, mss: u16) -> Vec<u8> {
    let mut segment = vec![0x12, 0x34, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x60, 0x02, 0xff, 0xff, 0, 0, 0, 0, 2, 4];
    segment.extend_from_slice(&mss.to_be_bytes());
    PacketBuilder::new(source, destination).checksummed(protocol::TCP, segment, 16)
}

/// The packet in a frame that starts with a SYN of this size, its hop limit aside.
fn ends_with_syn(frame: &[u8], source: Ipv6Addr, destination: Ipv6Addr, mss: u16) {
    let mut found = frame[frame.len() - 64..].to_vec();
    found[7] = 64;
    assert_eq!(found, syn(source, destination, mss), "segments of {mss} octets");
}

#[test]
fn segment_sizes_are_lowered_where_tunnels_start_and_end() {
    // 1500 less tunnel header, GRE, routing header, and the headers of TCP.
    const MOST: u16 = 1500 - 40 - 12 - 24 - 60;
    for (mss_clamp, expected) in [(MssClamp::Off, 1440), (MssClamp::PathMtu, MOST)] {
        let config = DataplaneConfig { mss_clamp, ..DataplaneConfig::default() };
        let (to_home, from_home) = (syn(CN, HOME, 1440), syn(HOME, CN, 1440));
        let mut agent = agent_with(config.clone(), [1500, 1500]);
        agent.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &to_home)]);
        ends_with_syn(&agent.sent(P1)[0], CN, HOME, expected);
        agent.receive(P1, &[tunnel(ACCESS, AGENT, &from_home)]);
        ends_with_syn(&agent.sent(P0)[0], HOME, CN, expected);

        let mut home_agent = home_agent_with(config.clone());
        home_agent.receive(P0, std::slice::from_ref(&to_home));
        ends_with_syn(&home_agent.sent(P0)[0], CN, HOME, expected);
        home_agent.receive(P0, &[tunnel(CARE_OF, HOME_AGENT, &from_home)]);
        ends_with_syn(&home_agent.sent(P0)[0], HOME, CN, expected);

        let mut terminal = terminal_with(config, 1500);
        terminal.receive(P0, &[tunnel(SOURCE, GROUP, &to_home)]);
        ends_with_syn(&terminal.sent(P2)[0], CN, HOME, expected);
        let uplink = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
        terminal.apply(TableUpdate::UplinkSet(HOME, uplink));
        terminal.receive_frames(P2, std::slice::from_ref(&from_home));
        ends_with_syn(&terminal.sent(P0)[0], HOME, CN, expected);
        for (bench, count) in [(agent, 2), (home_agent, 2), (terminal, 2)] {
            let lowered = bench.plane.counters().get(stack::pipeline::Counter::MssClamped);
            assert_eq!(lowered, if mss_clamp == MssClamp::Off { 0 } else { count });
        }
    }
}
