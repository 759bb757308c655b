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
