//! The mobility agent: to the group, to the other agent, and the reverse tunnel.

use super::*;

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
    bench.expect_counters(&[
        ("rx", 2),
        ("binding-to-group", 1),
        ("output", 1),
        ("drop-tunnel-ecn", 1),
        ("ecn-unused-dangerous", 1),
    ]);
}

#[test]
fn what_does_not_match_its_binding_goes_nowhere() {
    let mut bench = agent();
    let inner = udp(CN, HOME, 60, b"x");
    let other_care_of: Ipv6Addr = "2001:db8:200::78".parse().unwrap();
    let mut cut = tunnel(HOME_AGENT, CARE_OF, &inner[..45]);
    cut[45] = 0xff;
    bench.receive(P0, &[tunnel(CN, CARE_OF, &inner), cut, udp(CN, CARE_OF, 60, b"no home address")]);
    bench.expect_counters(&[
        ("rx", 3),
        ("drop-binding-tunnel-source", 1),
        ("drop-tunnel-inner", 1),
        ("drop-binding-no-home-address", 1),
    ]);
    // A former care-of address: whoever sends to it is told, as if nothing were bound.
    let former = [
        (tunnel(HOME_AGENT, other_care_of, &inner), HOME_AGENT),
        (PacketBuilder::new(CN, other_care_of).type2_routing(HOME).payload(protocol::UDP, &inner[40..]), CN),
    ];
    for (packet, sender) in former {
        bench.receive(P0, std::slice::from_ref(&packet));
        bench.expect_counters(&[("rx", 1), ("icmp-error-address-unreachable", 1), ("generated", 1), ("output", 1)]);
        let sent = bench.sent(P0);
        assert_eq!((&sent[0][14 + 24..14 + 40], &sent[0][14 + 48..]), (&sender.octets()[..], &packet[..]));
    }
    // Sources that mean nothing on the terminal's link, or nowhere.
    let from = |source: &str| tunnel(HOME_AGENT, CARE_OF, &udp(source.parse().unwrap(), HOME, 60, b"x"));
    bench.receive(P0, &["fe80::1", "::", "::1", "ff0e::1"].map(from));
    bench.expect_counters(&[("rx", 4), ("drop-tunnel-inner", 3), ("drop-binding-inner-source", 1)]);
    let routed = PacketBuilder::new("fe80::1".parse().unwrap(), CARE_OF).type2_routing(HOME);
    bench.receive(P0, &[routed.payload(protocol::UDP, &inner[40..])]);
    bench.expect_counters(&[("rx", 1), ("drop-binding-inner-source", 1)]);
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

/// Addresses of the site's access links are not outside, nor are its groups: what says so from there is forged.
#[test]
fn nothing_from_outside_the_site_passes_for_a_terminal_or_for_a_router_of_the_tree() {
    let config = DataplaneConfig { site_border: PortSet::single(P0), ..DataplaneConfig::default() };
    let mut bench = agent_with(config, [1500, 1500]);
    let inner = udp(HOME, CN, 60, b"up");
    bench.receive(P0, &[tunnel(ACCESS, AGENT, &inner)]);
    assert!(bench.sent(P0).is_empty());
    bench.expect_counters(&[("rx", 1), ("drop-tunnel-site-border", 1)]);
    bench.receive(P1, &[tunnel(ACCESS, AGENT, &inner)]);
    assert_eq!(bench.sent(P0).len(), 1);
    let quoted = &tunnel(SOURCE, GROUP, &udp(CN, HOME, 60, &[7; 1400]))[..1232];
    let too_big = PacketBuilder::new(FAR, SOURCE).icmpv6(2, 0, &[&1300u32.to_be_bytes()[..], quoted].concat());
    let learnt = |bench: &Bench| bench.plane.counters().get(stack::pipeline::Counter::PathMtusLearnt);
    bench.receive(P0, std::slice::from_ref(&too_big));
    assert_eq!((bench.sent(P0).len(), learnt(&bench)), (0, 0));
    bench.receive(P1, &[too_big]);
    assert_eq!((bench.sent(P0).len(), learnt(&bench)), (1, 1));
}
