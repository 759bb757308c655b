//! The terminal: its group, its tunnels, its uplinks.

use super::*;

fn from_correspondent() -> Notice {
    Notice::Correspondent { home_address: HOME, correspondent: CN, way: CorrespondentWay::HomeAgent }
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
    assert_eq!(bench.notices(), [Notice::GroupData { port: P0, group: GROUP }, from_correspondent()]);
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
    assert_eq!(bench.notices(), [notices[0], from_correspondent(), notices[1]]);
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
    assert_eq!(bench.sent(P2), [PacketBuilder::new(CN, HOME).payload(protocol::NONE, b"routed")]);
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

/// RFC 5380: the anchor point's tunnel around the home agent's, in both directions.
#[test]
fn the_tunnel_to_the_home_agent_is_inside_that_to_the_anchor_point() {
    for size in [1usize, 7, 63, 64] {
        let count = size as u64;
        let mut bench = terminal();
        bench.apply(TableUpdate::RouteSet(Prefix::host(CARE_OF), Route::Local));
        let anchor = TunnelReception { remote: AGENT, local: ACCESS, home_address: CARE_OF };
        let home_agent = TunnelReception { remote: HOME_AGENT, local: CARE_OF, home_address: HOME };
        bench.apply(TableUpdate::TunnelReceptionSet(anchor));
        bench.apply(TableUpdate::TunnelReceptionSet(home_agent));
        let down: Vec<_> = (0..size as u8).map(|n| udp(CN, HOME, 60, &[n; 30])).collect();
        let packets: Vec<_> =
            down.iter().map(|inner| tunnel(AGENT, ACCESS, &tunnel(HOME_AGENT, CARE_OF, inner))).collect();
        bench.receive(P0, &packets);
        assert_eq!(bench.sent(P2), down);
        bench.expect_counters(&[("rx", count), ("tunnel-exit", 2 * count), ("output", count)]);

        let uplink = Uplink::NestedTunnel {
            port: P0,
            router: ROUTER,
            source: ACCESS,
            peer: AGENT,
            care_of: CARE_OF,
            home_agent: HOME_AGENT,
        };
        bench.apply(TableUpdate::UplinkSet(HOME, uplink));
        let up: Vec<_> = (0..size as u8).map(|n| udp(HOME, CN, 60, &[n; 30])).collect();
        bench.receive_frames(P2, &up);
        let sent = bench.sent(P0);
        assert_eq!(sent.len(), size);
        for (sent, packet) in sent.iter().zip(&up) {
            let outer: Vec<_> =
                [22, 38, 62, 78].map(|at| Ipv6Addr::from(<[u8; 16]>::try_from(&sent[at..at + 16]).unwrap())).into();
            assert_eq!(outer, [ACCESS, AGENT, CARE_OF, HOME_AGENT]);
            assert_eq!(sent[94..], packet[..]);
        }
        bench.expect_counters(&[("rx", count), ("uplink-sent", count), ("output", count)]);
        // What is in it may be 80 octets smaller than the link's size.
        bench.receive_frames(P2, &[udp(HOME, CN, 64, &[0; 1421 - 48])]);
        let told = bench.sent(P2);
        assert_eq!((told[0][40], &told[0][44..48]), (2, &1420u32.to_be_bytes()[..]));
        assert!(bench.plane.counters().is_balanced());
        // From somebody else neither is opened.
        let strange = [
            tunnel(AGENT, ACCESS, &tunnel(FAR, CARE_OF, &down[0])),
            tunnel(FAR, ACCESS, &tunnel(HOME_AGENT, CARE_OF, &down[0])),
        ];
        bench.receive(P0, &strange);
        assert!(bench.sent(P2).is_empty());
    }
}

/// Whatever an error says, however little it quotes of whichever packet of the terminal, and wherever the terminal is by
/// then: programs hear of packets that they have sent, or of nothing, and go on.
#[test]
fn no_error_about_what_a_terminal_sends_disturbs_it() {
    let (port, router, source) = (P0, ROUTER, ACCESS);
    let uplinks = [
        Uplink::Native { port, router },
        Uplink::Direct { port, router, source },
        Uplink::Tunnel { port, router, source, peer: AGENT },
        Uplink::NestedTunnel { port, router, source, peer: AGENT, care_of: CARE_OF, home_agent: HOME_AGENT },
        Uplink::OptimisedTunnel { port, router, source, peer: AGENT, care_of: CARE_OF },
        Uplink::Down,
    ];
    let packet = udp(HOME, CN, 64, &[7; 60]);
    let config = DataplaneConfig { icmp_errors_per_second: 1 << 20, icmp_error_burst: 1 << 20, ..Default::default() };
    for then in uplinks {
        let mut bench = terminal_with(config.clone(), 1500);
        bench.set_route(&format!("{CARE_OF}/128"), Route::Local);
        bench.apply(TableUpdate::UplinkSet(HOME, then));
        bench.receive_frames(P2, std::slice::from_ref(&packet));
        let Some(sent) = bench.sent(P0).pop() else { continue };
        let sent = &sent[14..];
        for now in uplinks {
            bench.apply(TableUpdate::UplinkSet(HOME, now));
            for (kind, code) in (0..8).flat_map(|kind| (0..8).map(move |code| (kind, code))) {
                for cut in (0..=sent.len()).rev().step_by(if kind == 1 { 1 } else { 7 }) {
                    for to in [ACCESS, CARE_OF, HOME] {
                        let body = [&[0, 0, 5, 0x14], &sent[..cut]].concat();
                        bench.receive(P0, &[PacketBuilder::new(FAR, to).icmpv6(kind, code, &body)]);
                    }
                    let told = bench.sent(P2);
                    assert!(told.iter().all(|error| error[24..40] == HOME.octets() && error.len() < 1280));
                    bench.sent(P0);
                    bench.local();
                }
            }
        }
        bench.apply(TableUpdate::UplinkSet(HOME, then));
        bench.receive_frames(P2, std::slice::from_ref(&packet));
        let again = bench.sent(P0).pop().expect("the program goes on");
        assert_eq!(again[14..].len(), sent.len());
    }
}
