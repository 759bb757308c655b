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

// Path MTU.

/// Packet Too Big from a router on the way, about a packet that was sent in this frame.
fn too_big(to: Ipv6Addr, mtu: u32, frame: &[u8]) -> Vec<u8> {
    let quoted = &frame[14..];
    let body = [&mtu.to_be_bytes()[..], &quoted[..quoted.len().min(1232)]].concat();
    PacketBuilder::new(FAR, to).icmpv6(2, 0, &body)
}

/// Who is told which size, about which packet; the only frame that was sent.
fn told(sent: &[Vec<u8>], skip: usize) -> (Ipv6Addr, u32, Vec<u8>) {
    assert_eq!(sent.len(), 1);
    let packet = &sent[0][skip..];
    assert_eq!((packet[6], packet[40], packet[41]), (protocol::ICMPV6, 2, 0));
    let to = Ipv6Addr::from(<[u8; 16]>::try_from(&packet[24..40]).unwrap());
    (to, u32::from_be_bytes(packet[44..48].try_into().unwrap()), packet[48..].to_vec())
}

const KEY: u32 = 0x1234;

/// An agent with GRE towards the group, and a frame with a large packet of the correspondent that it has sent there.
fn agent_that_sent() -> (Bench, Vec<u8>, Vec<u8>) {
    let mut bench = agent();
    bench.apply(TableUpdate::MmaBindingSet(HOME, MmaBinding { gre_key: Some(KEY), ..binding() }));
    let inner = udp(CN, HOME, 60, &[7; 1400]);
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner)]);
    let sent = bench.sent(P1).remove(0);
    (bench, sent, inner)
}

/// What an agent does with a packet of the correspondent that is `length` octets long.
fn through(bench: &mut Bench, length: usize) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &udp(CN, HOME, 60, &vec![7; length - 48]))]);
    (bench.sent(P0), bench.sent(P1))
}

#[test]
fn the_least_branch_of_a_group_decides_until_it_ages() {
    let (mut bench, sent, inner) = agent_that_sent();
    bench.receive(P1, &[too_big(SOURCE, 1420, &sent)]);
    let (to, mtu, about) = told(&bench.sent(P0), 14);
    assert_eq!((to, mtu), (CN, 1420 - 52));
    assert_eq!(about, hopped(&inner)[..about.len()]);
    bench.receive(P1, &[too_big(SOURCE, 1350, &sent), too_big(SOURCE, 1400, &sent)]);
    assert_eq!(bench.sent(P0).len(), 2);
    // From now on the agent answers for the group, with the least of its branches.
    let (answers, none) = through(&mut bench, 1299);
    assert!(none.is_empty());
    assert_eq!(told(&answers, 14).1, 1298);
    let (none, whole) = through(&mut bench, 1298);
    assert_eq!((none.len(), whole.len(), whole[0].len()), (0, 1, 14 + 1350));
    bench.receive(P1, &[too_big(SOURCE, 1280, &sent)]);
    assert_eq!(told(&bench.sent(P0), 14).1, 1280, "never less than the minimum");
    // What cannot be smaller is cut behind the outer header.
    let (none, pieces) = through(&mut bench, 1280);
    assert_eq!((none.len(), pieces.len()), (0, 2));
    assert!(pieces.iter().all(|piece| piece.len() <= 14 + 1280 && piece[14 + 6] == protocol::FRAGMENT));
    bench.now += stack::time::Duration::from_secs(601);
    assert_eq!(through(&mut bench, 1400).1.len(), 1, "after ten minutes a larger one is tried");
}

#[test]
fn another_branch_is_tried_at_once_and_the_same_is_not() {
    let (mut bench, sent, _) = agent_that_sent();
    bench.receive(P1, &[too_big(SOURCE, 1350, &sent)]);
    bench.sent(P0);
    bench.apply(tree(Accept::Local, &[P1]));
    assert_eq!(through(&mut bench, 1400).1.len(), 0, "nothing has changed");
    bench.apply(tree(Accept::Local, &[P0, P1]));
    bench.apply(tree(Accept::Local, &[P1]));
    assert_eq!(through(&mut bench, 1400).1.len(), 1);
}

#[test]
fn a_packet_too_big_about_what_was_not_sent_is_not_believed() {
    let (mut bench, sent, _) = agent_that_sent();
    let mut with = |at: usize, octet: u8, mtu: u32, believed: bool| {
        let mut sent = sent.clone();
        sent[14 + at] = octet;
        let before = bench.plane.counters().get(stack::pipeline::Counter::PathMtusLearnt);
        bench.receive(P1, &[too_big(SOURCE, mtu, &sent)]);
        let learnt = bench.plane.counters().get(stack::pipeline::Counter::PathMtusLearnt) > before;
        assert_eq!(learnt, believed, "octet {at} is {octet:02x}, {mtu}");
        assert_eq!(bench.sent(P0).len(), usize::from(believed));
    };
    with(7, 60, 1279, false);
    with(7, 60, u32::MAX, false);
    with(7, 60, 1500, false);
    with(4, 0x7f, 1400, false);
    with(8, 0x99, 1400, false);
    with(39, 0x99, 1400, false);
    with(47, 0x35, 1400, false);
    with(51, 1, 1400, false);
    with(48, 0xff, 1400, false);
    with(40, 0x20, 1400, false);
    with(7, 60, 1400, true);
}

#[test]
fn a_correspondent_that_sends_directly_is_told_about_the_packet_that_it_sent() {
    let mut bench = agent();
    let routed = PacketBuilder::new(CN, CARE_OF).type2_routing(HOME).payload(protocol::NONE, &[1; 1396]);
    bench.receive(P0, std::slice::from_ref(&routed));
    let sent = bench.sent(P1);
    bench.receive(P1, &[too_big(SOURCE, 1400, &sent[0])]);
    let (to, mtu, about) = told(&bench.sent(P0), 14);
    assert_eq!((to, mtu), (CN, 1360));
    assert_eq!(about, hopped(&routed)[..about.len()]);
    // And so by the agent itself, which now knows.
    bench.receive(P0, std::slice::from_ref(&routed));
    let (to, mtu, about) = told(&bench.sent(P0), 14);
    assert_eq!((to, mtu), (CN, 1360));
    assert_eq!(about, hopped(&routed)[..about.len()]);
}

#[test]
fn on_the_way_to_the_home_agent_the_terminal_is_told() {
    let mut bench = agent();
    let up = udp(HOME, CN, 60, &[1; 1400]);
    bench.receive(P1, &[tunnel(ACCESS, AGENT, &up)]);
    let sent = bench.sent(P0);
    bench.receive(P0, &[too_big(CARE_OF, 1400, &sent[0])]);
    bench.expect_counters(&[
        ("rx", 2),
        ("tunnel-to-home-agent", 1),
        ("icmp-error-relayed", 1),
        ("path-mtus-learnt", 1),
        ("generated", 1),
        ("binding-from-node", 1),
        ("output", 2),
    ]);
    // It goes through the binding, to the group.
    let frames: Vec<_> = bench.sent(P0).into_iter().chain(bench.sent(P1)).collect();
    let packet = frames[0][14 + 40..].to_vec();
    let (to, mtu, about) = told(&[packet], 0);
    assert_eq!((to, mtu), (HOME, 1360));
    assert_eq!(about, hopped(&up)[..about.len()]);
}

#[test]
fn the_programs_of_a_terminal_are_told_about_its_tunnel() {
    let mut bench = terminal();
    let uplink = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
    bench.apply(TableUpdate::UplinkSet(HOME, uplink));
    let send = |bench: &mut Bench, length: usize| {
        bench.receive_frames(P2, &[udp(HOME, CN, 64, &vec![1; length - 48])]);
        (bench.sent(P0), bench.sent(P2))
    };
    let (sent, _) = send(&mut bench, 1460);
    bench.receive(P0, &[too_big(ACCESS, 1400, &sent[0])]);
    let (to, mtu, _) = told(&bench.sent(P2), 0);
    assert_eq!((to, mtu), (HOME, 1360));
    let (none, answer) = send(&mut bench, 1361);
    assert_eq!((none.len(), told(&answer, 0).1), (0, 1360));
    // The same uplink once more changes nothing; one by the other link has another path.
    bench.apply(TableUpdate::UplinkSet(HOME, uplink));
    assert_eq!(send(&mut bench, 1361).0.len(), 0);
    bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Tunnel { port: P1, router: ROUTER, source: ACCESS, peer: AGENT }));
    bench.receive_frames(P2, &[udp(HOME, CN, 64, &[1; 1361 - 48])]);
    assert_eq!(bench.sent(P1).len(), 1);
}

#[test]
fn every_fragment_of_a_direct_packet_has_the_home_address() {
    let mut bench = terminal();
    bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Direct { port: P0, router: ROUTER, source: ACCESS }));
    let packet = udp(HOME, CN, 64, &[1; 1280 - 48]);
    bench.receive_frames(P2, std::slice::from_ref(&packet));
    let sent = bench.sent(P0);
    bench.receive(P0, &[too_big(ACCESS, 1290, &sent[0])]);
    assert_eq!(bench.sent(P2).len(), 0, "the packet cannot become smaller");
    bench.receive_frames(P2, &[packet]);
    let pieces = bench.sent(P0);
    assert_eq!(pieces.len(), 2);
    for piece in &pieces {
        assert!(piece.len() <= 14 + 1290);
        assert_eq!((piece[14 + 6], piece[14 + 46], piece[14 + 40]), (60, 201, protocol::FRAGMENT));
        assert_eq!(piece[14 + 48..14 + 64], HOME.octets());
    }
}

#[test]
fn a_router_on_the_tree_tells_the_source_of_the_group() {
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ethernet, 1300)];
    let mut bench = Bench::with(DataplaneConfig::default(), ports);
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench.apply(tree(Accept::Port(P0), &[P1]));
    let packet = tunnel(SOURCE, GROUP, &udp(CN, HOME, 60, &[7; 1400]));
    bench.receive(P0, std::slice::from_ref(&packet));
    let (to, mtu, about) = told(&bench.sent(P0), 14);
    assert_eq!((to, mtu), (SOURCE, 1300));
    assert_eq!(about, hopped(&packet)[..about.len()]);
}
