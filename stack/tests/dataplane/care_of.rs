//! A terminal's care-of addresses: routing headers that end at it, and options that start from it.

use super::*;

/// The care-of address at the agent of the site before.
const FORMER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x500, 0, 0, 0, 0, 0x77);

fn routed(care_of: Ipv6Addr, home_address: Ipv6Addr, plain: &[u8]) -> Vec<u8> {
    PacketBuilder::new(CN, care_of).hop_limit(plain[7]).type2_routing(home_address).payload(plain[6], &plain[40..])
}

fn terminal_with_former() -> Bench {
    let mut bench = terminal();
    bench.apply(TableUpdate::CareOfSet(CARE_OF, HOME));
    bench.apply(TableUpdate::CareOfSet(FORMER, HOME));
    bench
}

#[test]
fn routing_headers_to_every_care_of_address_end_at_the_terminal() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = terminal_with_former();
        let plain: Vec<_> = (0..size as u8).map(|n| udp(CN, HOME, 1, &[n; 9])).collect();
        let care_of = |n: usize| if n.is_multiple_of(2) { CARE_OF } else { FORMER };
        let packets: Vec<_> = plain
            .iter()
            .enumerate()
            .map(|(n, plain)| tunnel(SOURCE, GROUP, &routed(care_of(n), HOME, plain)))
            .collect();
        bench.receive(P0, &packets);
        assert_eq!(bench.sent(P2), plain);
        let count = size as u64;
        bench.expect_counters(&[("rx", count), ("terminal-received", count), ("output", count)]);
        // Its time is over.
        bench.apply(TableUpdate::CareOfRemove(FORMER));
        bench.receive(P0, &packets);
        let (present, former) = (size.div_ceil(2) as u64, size as u64 / 2);
        assert_eq!(bench.sent(P2).len() as u64, present);
        let mut expected = vec![("rx", count), ("terminal-received", present), ("output", present)];
        if former > 0 {
            expected.push(("drop-terminal-home-address", former));
        }
        bench.expect_counters(&expected);
    }
}

#[test]
fn routing_headers_that_are_not_the_terminals_are_dropped() {
    let mut bench = terminal_with_former();
    let plain = udp(CN, HOME, 9, b"x");
    let of_another = routed(CARE_OF, FAR, &plain);
    let to_another = routed(FAR, HOME, &plain);
    let mut through = routed(FORMER, HOME, &plain);
    through[43] = 0;
    let mut too_many = routed(FORMER, HOME, &plain);
    too_many[43] = 2;
    let without = udp(CN, FORMER, 9, b"x");
    let packets = [of_another, to_another, through, too_many, without];
    bench.receive(P0, &packets.each_ref().map(|packet| tunnel(SOURCE, GROUP, packet)));
    bench.expect_counters(&[("rx", 5), ("drop-terminal-home-address", 5)]);
    // At an address of its own: silently, whatever is wrong (RFC 6275 §11.3.3).
    bench.apply(TableUpdate::CareOfSet(ACCESS, HOME));
    let of_another = routed(ACCESS, FAR, &plain);
    let mut through = routed(ACCESS, HOME, &plain);
    through[43] = 0;
    let mut too_many = routed(ACCESS, HOME, &plain);
    too_many[43] = 2;
    let mut short = routed(ACCESS, HOME, &plain);
    short[41] = 1;
    bench.receive(P0, &[of_another, through, too_many, short]);
    bench.expect_counters(&[("rx", 4), ("drop-local-routing", 4)]);
    bench.receive(P0, &[routed(ACCESS, HOME, &plain)]);
    assert_eq!(bench.sent(P2), [plain]);
}

#[test]
fn unicast_tunnels_carry_routing_headers_too() {
    let mut bench = terminal_with_former();
    let reception = TunnelReception { remote: AGENT, local: ACCESS, home_address: HOME };
    bench.apply(TableUpdate::TunnelReceptionSet(reception));
    let plain = udp(CN, HOME, 9, b"x");
    bench.receive(
        P0,
        &[
            tunnel(AGENT, ACCESS, &routed(CARE_OF, HOME, &plain)),
            tunnel(AGENT, ACCESS, &routed(FORMER, HOME, &plain)),
            tunnel(AGENT, ACCESS, &routed(FORMER, FAR, &plain)),
            tunnel(FAR, ACCESS, &routed(FORMER, HOME, &plain)),
        ],
    );
    assert_eq!(bench.sent(P2), vec![plain; 2]);
    bench.expect_counters(&[("rx", 4), ("tunnel-exit", 2), ("output", 2), ("drop-tunnel-unknown", 2)]);
}

/// The home agent's packets in the tunnel of an anchor point whose regional address is the care-of address.
#[test]
fn a_regional_address_is_a_care_of_address_inside_another_tunnel() {
    let mut bench = terminal();
    bench.set_route(&format!("{CARE_OF}/128"), Route::Local);
    bench.apply(TableUpdate::CareOfSet(CARE_OF, HOME));
    let outer = TunnelReception { remote: AGENT, local: ACCESS, home_address: CARE_OF };
    let inner = TunnelReception { remote: HOME_AGENT, local: CARE_OF, home_address: HOME };
    bench.apply(TableUpdate::TunnelReceptionSet(outer));
    bench.apply(TableUpdate::TunnelReceptionSet(inner));
    let plain = udp(CN, HOME, 9, b"x");
    let nested = tunnel(AGENT, ACCESS, &tunnel(HOME_AGENT, CARE_OF, &plain));
    bench.receive(P0, &[nested, tunnel(AGENT, ACCESS, &routed(CARE_OF, HOME, &plain))]);
    assert_eq!(bench.sent(P2), vec![plain; 2]);
    bench.expect_counters(&[("rx", 2), ("tunnel-exit", 3), ("output", 2)]);
}

#[test]
fn a_terminal_at_home_takes_what_the_former_agent_forwards() {
    for fragmented in [false, true] {
        let mut bench = terminal();
        bench.apply(TableUpdate::UplinkSet(HOME, Uplink::Native { port: P0, router: ROUTER }));
        bench.apply(TableUpdate::CareOfSet(FORMER, HOME));
        let reception = TunnelReception { remote: FORMER, local: HOME, home_address: HOME };
        bench.apply(TableUpdate::TunnelReceptionSet(reception));
        let plain = udp(CN, HOME, 9, &[3; 40]);
        let whole = tunnel(FORMER, HOME, &routed(FORMER, HOME, &plain));
        if fragmented {
            let piece = |start: usize, more: u8| {
                let end = if more == 1 { start + 48 } else { whole.len() - 40 };
                let front = [protocol::IPV6, 0, 0, start as u8 | more, 0, 0, 0, 1];
                PacketBuilder::new(FORMER, HOME)
                    .payload(protocol::FRAGMENT, &[&front[..], &whole[40 + start..40 + end]].concat())
            };
            bench.receive(P0, &[piece(48, 0), piece(0, 1)]);
        } else {
            bench.receive(P0, std::slice::from_ref(&whole));
        }
        assert_eq!(bench.sent(P2), std::slice::from_ref(&plain));
        // A tunnel of anybody else is the programs' own business, and theirs is what comes natively.
        let other = tunnel(FAR, HOME, &plain);
        bench.receive(P0, &[other.clone(), plain.clone()]);
        assert_eq!(bench.sent(P2), [other, plain]);
        bench.apply(TableUpdate::TunnelReceptionRemove(reception));
        bench.receive(P0, std::slice::from_ref(&whole));
        assert_eq!(bench.sent(P2), [whole]);
    }
}

#[test]
fn signalling_by_a_routing_header_goes_to_the_node_as_it_came() {
    let mut bench = terminal_with_former();
    let reception = TunnelReception { remote: AGENT, local: ACCESS, home_address: HOME };
    bench.apply(TableUpdate::TunnelReceptionSet(reception));
    let signalling = [CARE_OF, FORMER].map(|care_of| {
        let builder = PacketBuilder::new(CN, care_of).type2_routing(HOME);
        builder.checksummed(protocol::MOBILITY, vec![59, 0, 6, 0, 0, 0, 0, 0], 4)
    });
    bench.receive(P0, &signalling.each_ref().map(|packet| tunnel(SOURCE, GROUP, packet)));
    bench.receive(P0, &signalling.each_ref().map(|packet| tunnel(AGENT, ACCESS, packet)));
    let local: Vec<_> = bench.local().into_iter().map(|(_, packet)| packet).collect();
    assert_eq!(local, [&signalling[..], &signalling[..]].concat());
    assert!(bench.sent(P2).is_empty());
}

fn optimised() -> Uplink {
    Uplink::OptimisedTunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT, care_of: CARE_OF }
}

fn terminal_with_optimised_uplink() -> Bench {
    let mut bench = terminal();
    let usual = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
    bench.apply(TableUpdate::UplinkSet(HOME, usual));
    bench.apply(TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: CN, uplink: optimised() });
    bench
}

fn from_care_of(plain: &[u8]) -> Vec<u8> {
    PacketBuilder::new(CARE_OF, CN).hop_limit(plain[7]).home_address(HOME).payload(plain[6], &plain[40..])
}

fn out(packet: &[u8]) -> Vec<u8> {
    frame(mac_of(ROUTER), MAC0, packet)
}

#[test]
fn a_correspondent_with_the_binding_hears_from_the_care_of_address() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = terminal_with_optimised_uplink();
        let plain: Vec<_> = (0..size as u8).map(|n| udp(HOME, CN, 64, &[n; 9])).collect();
        bench.receive_frames(P2, &plain);
        let expected: Vec<_> = plain.iter().map(|plain| out(&tunnel(ACCESS, AGENT, &from_care_of(plain)))).collect();
        assert_tunnelled(&bench.sent(P0), &expected);
        let size = size as u64;
        bench.expect_counters(&[("rx", size), ("uplink-sent", size), ("output", size)]);
        // All others as ever.
        let other = udp(HOME, FAR, 64, b"x");
        bench.receive_frames(P2, std::slice::from_ref(&other));
        assert_tunnelled(&bench.sent(P0), &[out(&tunnel(ACCESS, AGENT, &other))]);
    }
}

#[test]
fn signalling_to_a_correspondent_has_no_option_of_the_data_planes() {
    let mut bench = terminal_with_optimised_uplink();
    let init = PacketBuilder::new(HOME, CN).checksummed(protocol::MOBILITY, vec![59, 0, 1, 0, 0, 0, 0, 0], 4);
    bench.transmit(init.clone(), Via::Route);
    assert_tunnelled(&bench.sent(P0), &[out(&tunnel(ACCESS, AGENT, &init))]);
    let direct = Uplink::Direct { port: P0, router: ROUTER, source: ACCESS };
    bench.apply(TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: CN, uplink: direct });
    bench.transmit(init.clone(), Via::Route);
    assert_tunnelled(&bench.sent(P0), &[out(&tunnel(ACCESS, AGENT, &init))]);
    bench.apply(TableUpdate::UplinkSet(HOME, direct));
    bench.transmit(init, Via::Route);
    bench.expect_counters(&[("transmitted", 3), ("uplink-sent", 2), ("output", 2), ("drop-uplink-headers", 1)]);
}

#[test]
fn programs_learn_how_much_room_option_and_tunnel_leave() {
    let mut bench = terminal_with_optimised_uplink();
    let large = udp(HOME, CN, 64, &[0; 1437 - 48]);
    bench.receive_frames(P2, std::slice::from_ref(&large));
    let told = bench.sent(P2);
    assert_eq!((told[0][40], &told[0][44..48]), (2, &1436u32.to_be_bytes()[..]));
    assert_eq!(told[0][48..], large[..1232], "it is quoted as the program sent it");
    let fits = udp(HOME, CN, 64, &[0; 1436 - 48]);
    bench.receive_frames(P2, std::slice::from_ref(&fits));
    let sent = bench.sent(P0);
    assert_eq!(sent[0].len(), 14 + 1500);
    // And so does what a router in the tunnel says about it.
    let body = [&1400u32.to_be_bytes()[..], &sent[0][14..14 + 1232]].concat();
    bench.receive(P0, &[PacketBuilder::new(FAR, ACCESS).icmpv6(2, 0, &body)]);
    let told = bench.sent(P2);
    assert_eq!((told[0][40], &told[0][44..48]), (2, &1336u32.to_be_bytes()[..]));
    assert_eq!(told[0][48..], fits[..1232 - 40 - 24]);
    // Now the terminal knows.
    bench.receive_frames(P2, std::slice::from_ref(&fits));
    assert_eq!(bench.sent(P2)[0][44..48], 1336u32.to_be_bytes());
    assert!(bench.local().is_empty());
}

#[test]
fn what_is_of_the_link_never_leaves_by_an_uplink() {
    for uplink in [
        Uplink::Direct { port: P0, router: ROUTER, source: ACCESS },
        Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT },
        optimised(),
    ] {
        let mut bench = terminal();
        bench.apply(TableUpdate::UplinkSet(HOME, uplink));
        let to = |to: &str| udp(HOME, to.parse().unwrap(), 64, b"x");
        bench.receive_frames(P2, &[to("fe80::1"), to("ff02::1"), to("ff02::fb"), to("ff05::1"), to("ff0e::1")]);
        bench.receive_frames(P2, &[udp("fe80::2".parse().unwrap(), CN, 64, b"x")]);
        assert_eq!((bench.sent(P0), bench.sent(P1)), (vec![], vec![]));
        bench.expect_counters(&[
            ("rx", 6),
            ("drop-lookup-link-local", 1),
            ("drop-icmp-forbidden", 1),
            ("drop-multicast-not-heard", 1),
            ("punt-route", 2),
            ("resumed", 2),
            ("drop-multicast-no-route", 2),
            ("drop-icmp-no-source", 1),
        ]);
    }
}

#[test]
fn two_terminals_speak_by_both_their_care_of_addresses() {
    // The peer is bound here as at any correspondent, and has this terminal's binding.
    let peer: Ipv6Addr = "2001:db8:100::20".parse().unwrap();
    let peer_care_of = FAR;
    let mut bench = terminal();
    let role = stack::tables::Correspondent { address: HOME, policy: stack::tables::HomeAddressPolicy::CareOf };
    bench.apply(TableUpdate::CorrespondentSet(role));
    let bound = stack::tables::CorrespondentBinding { local: HOME, care_of: peer_care_of };
    bench.apply(TableUpdate::CorrespondentBindingSet(peer, bound));
    let usual = Uplink::Tunnel { port: P0, router: ROUTER, source: ACCESS, peer: AGENT };
    bench.apply(TableUpdate::UplinkSet(HOME, usual));
    bench.apply(TableUpdate::UplinkExceptionSet { home_address: HOME, correspondent: peer, uplink: optimised() });
    let plain = udp(HOME, peer, 64, b"there");
    bench.receive_frames(P2, std::slice::from_ref(&plain));
    let both = PacketBuilder::new(CARE_OF, peer_care_of).type2_routing(peer).home_address(HOME);
    let both = both.payload(protocol::UDP, &plain[40..]);
    assert_tunnelled(&bench.sent(P0), &[out(&tunnel(ACCESS, AGENT, &both))]);
    let back = udp(peer, HOME, 64, b"and back");
    let both = PacketBuilder::new(peer_care_of, CARE_OF).type2_routing(HOME).home_address(peer);
    bench.receive(P0, &[tunnel(SOURCE, GROUP, &both.payload(protocol::UDP, &back[40..]))]);
    assert_eq!(bench.sent(P2), [back]);
}

fn seen(bench: &mut Bench) -> Vec<CorrespondentWay> {
    let way = |notice| match notice {
        Notice::Correspondent { home_address: HOME, correspondent: CN, way } => Some(way),
        Notice::GroupData { .. } => None,
        other => panic!("{other:?}"),
    };
    bench.notices().into_iter().filter_map(way).collect()
}

#[test]
fn the_terminal_is_told_how_its_correspondents_reach_it() {
    use CorrespondentWay::{Forwarded, HomeAgent, Optimised};
    let plain = udp(CN, HOME, 9, b"x");
    let (present, former) = (routed(CARE_OF, HOME, &plain), routed(FORMER, HOME, &plain));
    let signalling = PacketBuilder::new(CN, HOME).checksummed(protocol::MOBILITY, vec![59, 0, 6, 0, 0, 0, 0, 0], 4);
    // By the group.
    let mut bench = terminal_with_former();
    bench.receive(P0, &[tunnel(SOURCE, GROUP, &signalling)]);
    assert_eq!(seen(&mut bench), []);
    for (packet, way) in [(&plain, HomeAgent), (&present, Optimised), (&former, Forwarded)] {
        bench.receive(P0, &vec![tunnel(SOURCE, GROUP, packet); 64]);
        assert_eq!(seen(&mut bench), [way], "once, not once a packet");
        bench.sent(P2);
    }
    // By tunnels of its own, one inside the other at an anchor point.
    let mut bench = terminal_with_former();
    bench.set_route(&format!("{CARE_OF}/128"), Route::Local);
    for (remote, local, home_address) in [(AGENT, ACCESS, CARE_OF), (HOME_AGENT, CARE_OF, HOME)] {
        bench.apply(TableUpdate::TunnelReceptionSet(TunnelReception { remote, local, home_address }));
    }
    bench.receive(P0, &[tunnel(AGENT, ACCESS, &tunnel(HOME_AGENT, CARE_OF, &plain))]);
    assert_eq!(seen(&mut bench), [HomeAgent]);
    bench.receive(P0, &[tunnel(AGENT, ACCESS, &present)]);
    assert_eq!(seen(&mut bench), [Optimised]);
    // At home, from the agent of the site before.
    let mut bench = terminal_with_former();
    let reception = TunnelReception { remote: FORMER, local: HOME, home_address: HOME };
    bench.apply(TableUpdate::TunnelReceptionSet(reception));
    bench.receive(P0, &[plain.clone(), tunnel(FORMER, HOME, &former)]);
    assert_eq!(seen(&mut bench), [Forwarded]);
    assert_eq!(bench.sent(P2), vec![plain; 2]);
}

#[test]
fn errors_from_either_of_two_tunnels_reach_the_program() {
    let mut bench = terminal();
    bench.set_route(&format!("{CARE_OF}/128"), Route::Local);
    let uplink = Uplink::NestedTunnel {
        port: P0,
        router: ROUTER,
        source: ACCESS,
        peer: AGENT,
        care_of: CARE_OF,
        home_agent: HOME_AGENT,
    };
    bench.apply(TableUpdate::UplinkSet(HOME, uplink));
    let reception = TunnelReception { remote: AGENT, local: ACCESS, home_address: CARE_OF };
    bench.apply(TableUpdate::TunnelReceptionSet(reception));
    let packet = udp(HOME, CN, 64, &[7; 1420 - 48]);
    bench.receive_frames(P2, std::slice::from_ref(&packet));
    let sent = bench.sent(P0);
    let both = &sent[0][14..];
    assert_eq!(both.len(), 1500);
    let error = |to, about: &[u8]| {
        PacketBuilder::new(FAR, to).icmpv6(2, 0, &[&1450u32.to_be_bytes()[..], &about[..1232]].concat())
    };
    // On the way to the anchor point, and behind it.
    bench.receive(P0, &[error(ACCESS, both), tunnel(AGENT, ACCESS, &error(CARE_OF, &both[40..]))]);
    let told = bench.sent(P2);
    for (told, (mtu, added)) in told.iter().zip([(1370u32, 80), (1410, 40)]) {
        assert_eq!((told[40], &told[44..48]), (2, &mtu.to_be_bytes()[..]));
        assert_eq!(told[48..], packet[..1232 - added]);
    }
    assert_eq!(told.len(), 2);
    // Of another anchor point it is not.
    let forged = tunnel(ACCESS, FAR, &both[40..1240]);
    bench.receive(P0, &[error(ACCESS, &forged)]);
    assert_eq!((bench.sent(P2).len(), bench.local().len()), (0, 1));
}
