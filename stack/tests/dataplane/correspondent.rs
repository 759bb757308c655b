//! The correspondent node.

use super::*;
use stack::tables::{Correspondent, CorrespondentBinding, HomeAddressPolicy};

/// Where the programs' port has it.
const NODE: Ipv6Addr = CN;

/// P0 towards the network; the node's address with its own sockets.
fn node() -> Bench {
    let mut bench = correspondent(DataplaneConfig::default(), Route::Local);
    bench.expect_counters(&[]);
    bench
}

/// As [`node`], with the address on the programs' port P2.
pub(super) fn node_with_programs() -> Bench {
    let config = DataplaneConfig { host_ports: PortSet::single(P2), ..DataplaneConfig::default() };
    correspondent(config, Route::OnLink(P2))
}

fn correspondent(config: DataplaneConfig, address: Route) -> Bench {
    let ports = vec![port(0, Medium::Ethernet, 1500), port(1, Medium::Ethernet, 1500), port(2, Medium::Ip, 1500)];
    let mut bench = Bench::with(config, ports);
    bench.set_route(&format!("{NODE}/128"), address);
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    set_role(&mut bench, HomeAddressPolicy::CareOf);
    bench
}

fn set_role(bench: &mut Bench, policy: HomeAddressPolicy) {
    bench.apply(TableUpdate::CorrespondentSet(Correspondent { address: NODE, policy }));
}

fn bind(bench: &mut Bench) {
    let binding = CorrespondentBinding { local: NODE, care_of: CARE_OF };
    bench.apply(TableUpdate::CorrespondentBindingSet(HOME, binding));
}

fn out(packet: &[u8]) -> Vec<u8> {
    frame(mac_of(ROUTER), MAC0, packet)
}

/// The packets that [`udp`] makes, by way of the care-of address.
fn routed(data: &[u8]) -> Vec<u8> {
    let plain = udp(NODE, HOME, 64, data);
    PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME).payload(protocol::UDP, &plain[40..])
}

fn from_care_of(source: Ipv6Addr, plain: &[u8]) -> Vec<u8> {
    PacketBuilder::new(source, NODE).home_address(HOME).payload(plain[6], &plain[40..])
}

#[test]
fn programs_reach_a_bound_home_address_by_its_care_of_address() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = node_with_programs();
        let packets: Vec<_> = (0..size as u8).map(|n| udp(NODE, HOME, 64, &[n; 9])).collect();
        bench.receive_frames(P2, &packets);
        assert_eq!(bench.sent(P0), packets.iter().map(|packet| out(packet)).collect::<Vec<_>>());
        bind(&mut bench);
        assert_eq!(bench.plane.correspondent_bindings().count(), 1);
        bench.receive_frames(P2, &packets);
        assert_eq!(bench.sent(P0), (0..size as u8).map(|n| out(&routed(&[n; 9]))).collect::<Vec<_>>());
        let size = size as u64;
        bench.expect_counters(&[("rx", 2 * size), ("correspondent-sent", size), ("output", 2 * size)]);
        assert_eq!(bench.notices(), [Notice::CorrespondentBindingUsed { home_address: HOME }]);
        bench.apply(TableUpdate::CorrespondentBindingRemove(HOME));
        bench.receive_frames(P2, &packets[..1]);
        assert_eq!(bench.sent(P0), [out(&packets[0])]);
    }
}

#[test]
fn what_comes_from_the_care_of_address_comes_from_the_home_address() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = node_with_programs();
        bind(&mut bench);
        let plain: Vec<_> = (0..size as u8).map(|n| udp(HOME, NODE, 64, &[n; 9])).collect();
        let packets: Vec<_> = plain.iter().map(|packet| from_care_of(CARE_OF, packet)).collect();
        bench.receive(P0, &packets);
        assert_eq!(bench.sent(P2), plain);
        let size = size as u64;
        bench.expect_counters(&[("rx", size), ("correspondent-received", size), ("output", size)]);
        assert_eq!(bench.notices(), [Notice::CorrespondentBindingUsed { home_address: HOME }]);
        // The same binding set again asks anew.
        bind(&mut bench);
        bench.receive(P0, &packets[..1]);
        assert_eq!(bench.notices(), [Notice::CorrespondentBindingUsed { home_address: HOME }]);
    }
}

#[test]
fn the_nodes_own_answers_go_by_the_care_of_address() {
    let mut bench = node();
    bind(&mut bench);
    let echo = PacketBuilder::new(CARE_OF, NODE).home_address(HOME).icmpv6(128, 0, b"\0\x01\0\x02data");
    bench.receive(P0, &[echo]);
    let reply = PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME).icmpv6(129, 0, b"\0\x01\0\x02data");
    assert_eq!(bench.sent(P0), [out(&reply)]);
    bench.expect_counters(&[
        ("rx", 1),
        ("correspondent-received", 1),
        ("echo-replies", 1),
        ("correspondent-sent", 1),
        ("output", 1),
    ]);
    // And its errors: the datagram comes from the home address, the answer goes there.
    let datagram = udp(HOME, NODE, 64, b"nobody listens");
    bench.receive(P0, &[from_care_of(CARE_OF, &datagram)]);
    let body = [&[0; 4][..], &datagram].concat();
    let unreachable = PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME).icmpv6(1, 4, &body);
    assert_eq!(bench.sent(P0), [out(&unreachable)]);
    // Where there are sockets they get the packet without the option.
    let config = DataplaneConfig { transport: stack::pipeline::Transport::Local(NODE), ..DataplaneConfig::default() };
    let mut bench = correspondent(config, Route::Local);
    bind(&mut bench);
    bench.receive(P0, &[from_care_of(CARE_OF, &datagram)]);
    assert_eq!(bench.local().into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), [datagram]);
    // At the node's other addresses nobody listens.
    bench.set_route(&format!("{ACCESS}/128"), Route::Local);
    bench.receive(P0, &[udp(FAR, ACCESS, 64, b"nobody listens")]);
    assert!(bench.local().is_empty());
}

#[test]
fn each_policy_believes_whom_it_says() {
    let near: Ipv6Addr = ACCESS;
    let site = || HomeAddressPolicy::Prefixes(vec!["2001:db8:300::/48".parse().unwrap()]);
    for (policy, believed) in [(HomeAddressPolicy::CareOf, 1), (site(), 2), (HomeAddressPolicy::Bound, 3)] {
        let mut bench = node_with_programs();
        set_role(&mut bench, policy);
        let plain = udp(HOME, NODE, 64, b"up");
        let packets = [CARE_OF, near, FAR].map(|source| from_care_of(source, &plain));
        // Without a binding nobody is believed.
        bench.receive(P0, &packets);
        assert_eq!(bench.local().into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), packets);
        bench.expect_counters(&[("rx", 3), ("correspondent-refused", 3), ("local", 3)]);
        bind(&mut bench);
        bench.receive(P0, &packets);
        assert_eq!(bench.sent(P2), vec![plain; believed]);
        // What is refused reaches the node as it came.
        let refused: Vec<_> = bench.local().into_iter().map(|(_, packet)| packet).collect();
        assert_eq!(refused, packets[believed..]);
    }
}

#[test]
fn refused_options_are_told_to_the_node_only_so_often() {
    for address in [Route::Local, Route::OnLink(P2)] {
        let config = DataplaneConfig {
            icmp_error_burst: 2,
            icmp_errors_per_second: 1,
            host_ports: PortSet::single(P2),
            ..DataplaneConfig::default()
        };
        let mut bench = correspondent(config, address);
        let packet = from_care_of(CARE_OF, &udp(HOME, NODE, 64, b"up"));
        bench.receive(P0, &vec![packet.clone(); 64]);
        assert_eq!(bench.local().len(), 2);
        bench.expect_counters(&[
            ("rx", 64),
            ("correspondent-refused", 2),
            ("local", 2),
            ("drop-correspondent-limit", 62),
        ]);
        // Answering is the machine's, and its signalling goes as it is.
        let body = [&[59, 2, 7, 0, 0, 0, 1, 0][..], &HOME.octets()].concat();
        let error = PacketBuilder::new(NODE, CARE_OF).checksummed(protocol::MOBILITY, body, 4);
        bench.transmit(error.clone(), Via::Route);
        assert_eq!(bench.sent(P0), [out(&error)]);
    }
}

#[test]
fn signalling_is_never_judged_and_never_routed() {
    for mut bench in [node(), node_with_programs()] {
        let update = PacketBuilder::new(FAR, NODE).home_address(HOME);
        let update = update.checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
        bench.receive(P0, std::slice::from_ref(&update));
        bind(&mut bench);
        bench.receive(P0, std::slice::from_ref(&update));
        let plain = PacketBuilder::new(HOME, NODE).checksummed(protocol::MOBILITY, vec![59, 0, 1, 0, 0, 0, 0, 0], 4);
        bench.receive(P0, std::slice::from_ref(&plain));
        let local: Vec<_> = bench.local().into_iter().map(|(_, packet)| packet).collect();
        assert_eq!(local, [update.clone(), update, plain]);
        // A Home Test goes to the home address, Neighbor Discovery too, and what has a routing header as it is.
        let test = PacketBuilder::new(NODE, HOME).checksummed(protocol::MOBILITY, vec![59, 0, 3, 0, 0, 0, 0, 0], 4);
        let solicitation = PacketBuilder::new(NODE, HOME).hop_limit(255).icmpv6(135, 0, &[0; 20]);
        let acknowledgement = PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME);
        let acknowledgement = acknowledgement.checksummed(protocol::MOBILITY, vec![59, 0, 6, 0, 0, 0, 0, 0], 4);
        let sent = [test, solicitation, acknowledgement];
        for packet in &sent {
            bench.transmit(packet.clone(), Via::Route);
        }
        assert_eq!(bench.sent(P0), sent.map(|packet| out(&packet)));
        bench.expect_counters(&[("rx", 3), ("local", 3), ("transmitted", 3), ("output", 3)]);
        assert!(bench.notices().is_empty(), "signalling is no use of the binding");
    }
}

#[test]
fn only_what_starts_here_takes_the_care_of_address() {
    let mut bench = node_with_programs();
    bind(&mut bench);
    let others = udp(FAR, HOME, 64, b"of another node");
    let spoofed = udp(NODE, HOME, 64, b"not from here");
    bench.receive(P1, &[others.clone(), spoofed.clone()]);
    assert_eq!(bench.sent(P0), [out(&hopped(&others)), out(&hopped(&spoofed))]);
    // A program that speaks from another address has no binding.
    bench.receive_frames(P2, std::slice::from_ref(&others));
    assert_eq!(bench.sent(P0), [out(&others)]);
    bench.expect_counters(&[("rx", 3), ("output", 3)]);
}

#[test]
fn options_that_stand_wrong_are_answered_or_silent() {
    let mut bench = node_with_programs();
    bind(&mut bench);
    let plain = udp(HOME, NODE, 64, b"up");
    // Behind a fragment header, and in front of a routing header.
    let option = &from_care_of(CARE_OF, &plain)[40..64];
    let behind = [&[protocol::DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 1][..], option, &plain[40..]].concat();
    let behind = PacketBuilder::new(CARE_OF, NODE).payload(protocol::FRAGMENT, &behind);
    let mut front = option.to_vec();
    front[0] = protocol::ROUTING;
    let front = [&front[..], &[protocol::UDP, 0, 4, 0, 0, 0, 0, 0][..], &plain[40..]].concat();
    let front = PacketBuilder::new(CARE_OF, NODE).payload(protocol::DESTINATION_OPTIONS, &front);
    // Of an address that nobody can be reached at.
    let group = PacketBuilder::new(CARE_OF, NODE).home_address(GROUP).payload(protocol::UDP, &plain[40..]);
    let link_local = PacketBuilder::new(CARE_OF, NODE).home_address(ROUTER).payload(protocol::UDP, &plain[40..]);
    bench.receive(P0, &[behind, front, group, link_local]);
    bench.expect_counters(&[("rx", 4), ("drop-correspondent-option", 4)]);
    // Twice, and of another length.
    let mut second = option.to_vec();
    second[0] = protocol::DESTINATION_OPTIONS;
    let twice = [&second[..], option, &plain[40..]].concat();
    let twice = PacketBuilder::new(CARE_OF, NODE).payload(protocol::DESTINATION_OPTIONS, &twice);
    let mut long = from_care_of(CARE_OF, &plain);
    long[47] = 15;
    bench.receive(P0, &[twice.clone(), long.clone()]);
    let problem = |pointer: u32, packet: &[u8]| {
        out(&PacketBuilder::new(SELF, CARE_OF).icmpv6(4, 0, &[&pointer.to_be_bytes()[..], packet].concat()))
    };
    assert_eq!(bench.sent(P0), [problem(71, &twice), problem(47, &long)]);
    bench.expect_counters(&[("rx", 2), ("icmp-error-header-field", 2), ("generated", 2), ("output", 2)]);
}

#[test]
fn fragments_of_a_terminals_packet_are_each_believed() {
    for mut bench in [node(), node_with_programs()] {
        bind(&mut bench);
        let plain = PacketBuilder::new(HOME, NODE).icmpv6(128, 0, &[7; 36]);
        let cut = |at: usize, more: u8, data: &[u8]| {
            let front = [protocol::ICMPV6, 0, 0, at as u8 | more, 0, 0, 0, 9];
            [&front[..], data].concat()
        };
        let pieces = [cut(0, 1, &plain[40..64]), cut(24, 0, &plain[64..])];
        let with_option =
            |piece: &Vec<u8>| PacketBuilder::new(CARE_OF, NODE).home_address(HOME).payload(protocol::FRAGMENT, piece);
        bench.receive(P0, &pieces.each_ref().map(with_option));
        let programs = bench.sent(P2);
        if programs.is_empty() {
            let reply = PacketBuilder::new(NODE, CARE_OF).type2_routing(HOME).icmpv6(129, 0, &[7; 36]);
            assert_eq!(bench.sent(P0), [out(&reply)], "put together, and answered");
        } else {
            let without = |piece: &Vec<u8>| PacketBuilder::new(HOME, NODE).payload(protocol::FRAGMENT, piece);
            assert_eq!(programs, pieces.each_ref().map(without));
        }
    }
}

#[test]
fn programs_learn_how_much_room_the_routing_header_leaves() {
    let mut bench = node_with_programs();
    bind(&mut bench);
    let large = udp(NODE, HOME, 64, &[0; 1477 - 48]);
    bench.receive_frames(P2, std::slice::from_ref(&large));
    let told = bench.sent(P2);
    assert_eq!((told[0][40], &told[0][44..48]), (2, &1476u32.to_be_bytes()[..]));
    assert_eq!(told[0][48..], large[..1232], "it is quoted as the program sent it");
    bench.expect_counters(&[
        ("rx", 1),
        ("correspondent-sent", 1),
        ("icmp-error-packet-too-big", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    // The largest that fits, and what a router on the way says about it.
    let fits = udp(NODE, HOME, 64, &[0; 1476 - 48]);
    bench.receive_frames(P2, std::slice::from_ref(&fits));
    let sent = bench.sent(P0);
    assert_eq!(sent[0].len(), 14 + 1500);
    let body = [&1400u32.to_be_bytes()[..], &sent[0][14..14 + 1232]].concat();
    bench.receive(P0, &[PacketBuilder::new(FAR, NODE).icmpv6(2, 0, &body)]);
    let told = bench.sent(P2);
    assert_eq!((told[0][40], &told[0][44..48]), (2, &1376u32.to_be_bytes()[..]));
    assert_eq!(told[0][48..], fits[..1208]);
    assert!(bench.local().is_empty());
    // That the care-of address is not reached is the program's and the node's.
    let body = [&[0; 4][..], &sent[0][14..14 + 1232]].concat();
    let unreachable = PacketBuilder::new(FAR, NODE).icmpv6(1, 0, &body);
    bench.receive(P0, std::slice::from_ref(&unreachable));
    let told = bench.sent(P2);
    assert_eq!((told[0][40], told[0][41], &told[0][48..]), (1, 3, &fits[..1208]));
    assert_eq!(bench.local().into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), [unreachable]);
    // What was never sent by the binding is not believed: the program gets it as it is.
    let forged = PacketBuilder::new(NODE, FAR).type2_routing(HOME).payload(protocol::UDP, &fits[40..1200]);
    let body = [&1400u32.to_be_bytes()[..], &forged].concat();
    bench.receive(P0, &[PacketBuilder::new(FAR, NODE).icmpv6(2, 0, &body)]);
    assert!(bench.sent(P2).is_empty());
    assert_eq!(bench.local().len(), 1);
}

/// The address is that of the programs, and there is no other to tell them anything from.
#[test]
fn programs_are_told_by_a_node_that_has_no_other_address_than_theirs() {
    let mut bench = node_with_programs();
    bench.apply(TableUpdate::RouteRemove(format!("{SELF}/128").parse().unwrap()));
    bind(&mut bench);
    let large = udp(NODE, HOME, 64, &[0; 1477 - 48]);
    bench.receive_frames(P2, &[large]);
    let told = bench.sent(P2);
    assert_eq!((told[0][40], &told[0][44..48]), (2, &1476u32.to_be_bytes()[..]));
    assert_eq!((&told[0][8..24], &told[0][24..40]), (&NODE.octets()[..], &NODE.octets()[..]));
}

/// What the node itself says fits what it has learnt of the way, though nobody can be told that it does not.
#[test]
fn the_nodes_own_packets_fit_the_way() {
    let mut bench = node();
    bind(&mut bench);
    let echo = PacketBuilder::new(CARE_OF, NODE).home_address(HOME).icmpv6(128, 0, &[7; 1380]);
    bench.receive(P0, std::slice::from_ref(&echo));
    let whole = bench.sent(P0);
    assert_eq!((whole.len(), whole[0].len()), (1, 14 + 40 + 24 + 4 + 1380));
    let body = [&1350u32.to_be_bytes()[..], &whole[0][14..14 + 1232]].concat();
    bench.receive(P0, &[PacketBuilder::new(FAR, NODE).icmpv6(2, 0, &body)]);
    bench.sent(P0);
    bench.local();
    bench.receive(P0, std::slice::from_ref(&echo));
    let cut = bench.sent(P0);
    assert_eq!(cut.len(), 2);
    for frame in &cut {
        assert!(frame.len() <= 14 + 1350);
        let chain = stack::wire::ext::Chain::parse(&frame[14..]).unwrap();
        assert_eq!((chain.type2_routing.unwrap().home_address, chain.fragment.unwrap().offset), (HOME, 64));
    }
}

#[test]
fn a_packet_of_the_minimum_size_is_cut_where_the_routing_header_is_too_much() {
    let config = DataplaneConfig { host_ports: PortSet::single(P2), ..DataplaneConfig::default() };
    let ports = vec![port(0, Medium::Ethernet, 1280), port(1, Medium::Ethernet, 1500), port(2, Medium::Ip, 1500)];
    let mut bench = Bench::with(config, ports);
    bench.set_route(&format!("{NODE}/128"), Route::OnLink(P2));
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    set_role(&mut bench, HomeAddressPolicy::CareOf);
    bind(&mut bench);
    bench.receive_frames(P2, &[udp(NODE, HOME, 64, &[0; 1280 - 48])]);
    let sent = bench.sent(P0);
    assert_eq!(sent.len(), 2);
    for frame in sent {
        assert!(frame.len() <= 14 + 1280);
        let chain = stack::wire::ext::Chain::parse(&frame[14..]).unwrap();
        assert_eq!((chain.type2_routing.unwrap().offset, chain.fragment.unwrap().offset), (40, 64));
    }
}

#[test]
fn without_the_role_options_are_unknown_as_before() {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:200::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CARE_OF);
    let packet = PacketBuilder::new(CARE_OF, SELF).home_address(HOME).payload(protocol::UDP, &[0, 1, 0, 2, 0, 8, 0, 0]);
    bench.receive(P0, &[packet]);
    bench.expect_counters(&[("rx", 1), ("icmp-error-option", 1), ("generated", 1), ("output", 1)]);
}
