//! The home agent: interception, reverse tunnels, errors from inside its tunnels, and with an agent on one node.

use super::*;

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

/// Its link is not the terminal's (RFC 4291 §2.5.6): nobody there is asked in the name of a terminal that is away.
#[test]
fn the_home_agent_takes_nothing_for_its_links_out_of_reverse_tunnels() {
    let mut bench = home_agent();
    let to_link = |to: &str| PacketBuilder::new(HOME, to.parse().unwrap()).icmpv6(128, 0, b"\0\x01\0\x02");
    let inner = ["ff02::1", "ff01::1", "fe80::1"].map(to_link);
    bench.receive(P0, &inner.map(|inner| tunnel(CARE_OF, HOME_AGENT, &inner)));
    bench.expect_counters(&[("rx", 3), ("drop-tunnel-link-scope", 3)]);
}

/// RFC 6275 §10.4.5 but for what was under way when the care-of address changed.
#[test]
fn the_home_agent_takes_reverse_tunnels_from_the_former_care_of_address_while_it_is_told_to() {
    let mut bench = home_agent();
    let binding = |care_of| HomeBinding { care_of, agent: HOME_AGENT, home_port: P1 };
    bench.apply(TableUpdate::HomeBindingSet(HOME, binding(FAR)));
    bench.apply(TableUpdate::FormerHomeBindingSet(HOME, binding(CARE_OF)));
    let inner = udp(HOME, CN, 60, b"x");
    let way = |bench: &mut Bench| {
        bench.receive(P0, &[tunnel(CARE_OF, HOME_AGENT, &inner)]);
        bench.sent(P0)
    };
    let out = [frame(mac_of(ROUTER), MAC0, &hopped(&inner))];
    assert_eq!(way(&mut bench), out);
    // Home again: there is no binding at all.
    bench.apply(TableUpdate::HomeBindingRemove(HOME));
    assert_eq!(way(&mut bench), out);
    // To that address of the agent, of that home address.
    bench.receive(P0, &[tunnel(CARE_OF, SELF, &inner), tunnel(CARE_OF, HOME_AGENT, &udp(FAR, CN, 60, b"x"))]);
    bench.apply(TableUpdate::FormerHomeBindingRemove(HOME));
    bench.receive(P0, &[tunnel(CARE_OF, HOME_AGENT, &inner)]);
    assert!(bench.sent(P0).is_empty());
    bench.expect_counters(&[
        ("rx", 5),
        ("tunnel-exit", 2),
        ("tunnel-former-care-of", 2),
        ("output", 2),
        ("drop-tunnel-unknown", 3),
    ]);
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
    bench.expect_counters(&[("rx", 2), ("local", 1), ("icmp-error-relayed", 1), ("path-mtus-implausible", 1)]);
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

#[test]
fn the_home_agents_own_packets_have_a_routing_header() {
    let mut bench = home_agent();
    let out = |packet: &[u8]| frame(mac_of(ROUTER), MAC0, packet);
    // What is intercepted is tunnelled, whatever else comes.
    let echo = PacketBuilder::new(HOME, HOME_AGENT).icmpv6(128, 0, b"\0\x01\0\x02");
    bench.receive(P0, &[tunnel(CARE_OF, HOME_AGENT, &echo)]);
    let reply = PacketBuilder::new(HOME_AGENT, CARE_OF).type2_routing(HOME).icmpv6(129, 0, b"\0\x01\0\x02");
    assert_eq!(bench.sent(P0), [out(&reply)]);
    bench.expect_counters(&[("rx", 1), ("tunnel-exit", 1), ("echo-replies", 1), ("home-routed", 1), ("output", 1)]);
    // Signalling that is to be tunnelled is, and what has its routing header already is left alone.
    let test = PacketBuilder::new(HOME_AGENT, HOME).checksummed(protocol::MOBILITY, vec![59, 0, 3, 0, 0, 0, 0, 0], 4);
    let refresh = PacketBuilder::new(HOME_AGENT, CARE_OF).type2_routing(HOME);
    let refresh = refresh.checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
    bench.transmit(test.clone(), Via::Route);
    assert_tunnelled(&bench.sent(P0), &[out(&tunnel(HOME_AGENT, CARE_OF, &test))]);
    bench.transmit(refresh.clone(), Via::Route);
    assert_eq!(bench.sent(P0), [out(&refresh)]);
    bench.expect_counters(&[("transmitted", 2), ("home-intercepted", 1), ("output", 2)]);
}

/// RFC 6275 §9.3.1 and §9.3.2: to its own terminals the home agent is a correspondent.
#[test]
fn the_home_agent_believes_the_options_of_its_terminals() {
    let mut bench = home_agent();
    let out = |packet: &[u8]| frame(mac_of(ROUTER), MAC0, packet);
    let echo = |care_of| PacketBuilder::new(care_of, HOME_AGENT).home_address(HOME).icmpv6(128, 0, b"\0\x01\0\x02");
    bench.receive(P0, &[echo(CARE_OF)]);
    let reply = PacketBuilder::new(HOME_AGENT, CARE_OF).type2_routing(HOME).icmpv6(129, 0, b"\0\x01\0\x02");
    assert_eq!(bench.sent(P0), [out(&reply)]);
    bench.expect_counters(&[
        ("rx", 1),
        ("home-option-believed", 1),
        ("echo-replies", 1),
        ("home-routed", 1),
        ("output", 1),
    ]);
    // A datagram for which nobody is there.
    let to = PacketBuilder::new(CARE_OF, HOME_AGENT).home_address(HOME);
    bench.receive(P0, &[to.payload(protocol::UDP, &[0, 1, 0, 2, 0, 8, 0, 0])]);
    let datagram = PacketBuilder::new(HOME, HOME_AGENT).payload(protocol::UDP, &[0, 1, 0, 2, 0, 8, 0, 0]);
    let refusal = PacketBuilder::new(HOME_AGENT, CARE_OF).type2_routing(HOME);
    assert_eq!(bench.sent(P0), [out(&refusal.icmpv6(1, 4, &[&[0; 4][..], &datagram].concat()))]);
    bench.expect_counters(&[
        ("rx", 1),
        ("home-option-believed", 1),
        ("icmp-error-port-unreachable", 1),
        ("generated", 1),
        ("home-routed", 1),
        ("output", 1),
    ]);
    // From where it is not bound, and what the machines look at themselves.
    let solicitation = PacketBuilder::new(CARE_OF, HOME_AGENT).home_address(HOME).icmpv6(146, 0, &[0; 4]);
    bench.receive(P0, &[echo(FAR), solicitation.clone()]);
    assert_eq!(bench.local().iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>(), [solicitation]);
    bench.expect_counters(&[("rx", 2), ("local", 1), ("icmp-error-option", 1), ("generated", 1), ("output", 1)]);
}
