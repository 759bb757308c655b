//! Register messages: into them at the designated router, out of them at the rendezvous point.

use super::*;
use stack::machine::PortId;
use stack::tables::{RegisterTunnel, Watch};
use stack::time::Duration;
use stack::wire::checksum;

/// A source on the link of P0, the designated router's address, and the rendezvous point behind P1.
const LISTED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x500, 0, 0, 0, 0, 7);
const RP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x600, 0, 0, 0, 0, 1);
const WIDE: Ipv6Addr = Ipv6Addr::new(0xff3e, 0, 0, 0, 0, 0, 0x1234, 9);
const TUNNEL: RegisterTunnel = RegisterTunnel { source: SELF, rendezvous_point: RP };

fn any_source(group: Ipv6Addr, mroute: Mroute) -> TableUpdate {
    TableUpdate::MrouteSet(MrouteKey { source: Ipv6Addr::UNSPECIFIED, group }, mroute)
}

fn of_source(group: Ipv6Addr, mroute: Mroute) -> TableUpdate {
    TableUpdate::MrouteSet(MrouteKey { source: LISTED, group }, mroute)
}

fn route(accept: Accept, ports: &[PortId]) -> Mroute {
    Mroute::new(accept, ports.iter().copied().collect())
}

/// A Register message whose checksum is over its first `summed` octets.
fn summed(from: Ipv6Addr, to: Ipv6Addr, front: [u8; 8], data: &[u8], summed: usize) -> Vec<u8> {
    let mut message = front.to_vec();
    message.extend_from_slice(data);
    let sum = checksum::upper_layer(from, to, protocol::PIM, &message[..summed.min(message.len())]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    PacketBuilder::new(from, to).payload(protocol::PIM, &message)
}

pub(super) fn register(from: Ipv6Addr, to: Ipv6Addr, data: &[u8]) -> Vec<u8> {
    summed(from, to, [0x21, 0, 0, 0, 0, 0, 0, 0], data, 8)
}

/// A designated router: the source's link is P0, the way to the rendezvous point P1, a branch P2.
fn designated_router(mtu: usize, ports: &[PortId]) -> Bench {
    let infos = [1500, mtu, 1500].into_iter().zip(0..).map(|(mtu, index)| port(index, Medium::Ethernet, mtu));
    let mut bench = Bench::with(DataplaneConfig::default(), infos.collect());
    bench.set_route("::/0", Route::Via { port: P1, next_hop: ROUTER });
    bench.set_route("2001:db8:500::/64", Route::OnLink(P0));
    bench.set_neighbor(P1, ROUTER);
    bench.set_neighbor(P0, LISTED);
    bench.apply(of_source(WIDE, Mroute { register: Some(TUNNEL), ..route(Accept::Port(P0), ports) }));
    bench
}

fn rendezvous_point() -> Bench {
    rendezvous_point_with(DataplaneConfig { registers: true, ..DataplaneConfig::default() })
}

fn rendezvous_point_with(config: DataplaneConfig) -> Bench {
    let mut bench = Bench::with(config, (0..3).map(|index| port(index, Medium::Ethernet, 1500)).collect());
    bench.set_route(&format!("{RP}/128"), Route::Local);
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench
}

fn with_class(mut packet: Vec<u8>, class: u8) -> Vec<u8> {
    packet[0] = packet[0] & 0xf0 | class >> 4;
    packet[1] = packet[1] & 0x0f | class << 4;
    packet
}

fn to_wide(port: u8, packet: &[u8]) -> Vec<u8> {
    frame(MacAddress::of_multicast(WIDE), MacAddress([2, 0, 0, 0, 0, port]), packet)
}

fn told(from: Ipv6Addr, source: Ipv6Addr, group: Ipv6Addr) -> Notice {
    Notice::Register { from, to: RP, key: MrouteKey { source, group } }
}

// The designated router.

#[test]
fn data_leave_in_register_messages_beside_the_branches() {
    for ports in [&[][..], &[P2], &[P0, P2]] {
        for size in [1usize, 7, 63, 64] {
            let mut bench = designated_router(1500, ports);
            let packets: Vec<_> =
                (0..size as u8).map(|n| with_class(udp(LISTED, WIDE, 64, &[n; 30]), n << 2 | 2)).collect();
            bench.receive(P0, &packets);
            let in_register = |packet: &Vec<u8>| {
                let data = hopped(packet);
                let class = data[0] << 4 | data[1] >> 4;
                frame(mac_of(ROUTER), MAC1, &with_class(register(SELF, RP, &data), class))
            };
            let expected: Vec<_> = packets.iter().map(in_register).collect();
            assert_tunnelled(&bench.sent(P1), &expected);
            let branches = usize::from(!ports.is_empty());
            let expected: Vec<_> = packets.iter().map(|packet| to_wide(2, &hopped(packet))).collect();
            assert_eq!(bench.sent(P2), expected[..size * branches]);
            assert!(bench.sent(P0).is_empty());
            let (count, copied) = (size as u64, (size * branches) as u64);
            let counters = [("rx", count), ("registers-sent", count), ("output", count + copied), ("copied", copied)];
            bench.expect_counters(&counters.into_iter().filter(|&(_, count)| count > 0).collect::<Vec<_>>());
        }
    }
    let mut bench = designated_router(1500, &[P2]);
    bench.receive(P0, &[udp(LISTED, WIDE, 1, b"at its end")]);
    bench.receive(P2, &[udp(LISTED, WIDE, 64, b"by another port")]);
    bench.expect_counters(&[
        ("rx", 2),
        ("drop-multicast-hop-limit", 1),
        ("punt-route", 1),
        ("resumed", 1),
        ("drop-multicast-wrong-port", 1),
    ]);
}

/// RFC 7761 §4.4.1.
#[test]
fn the_source_is_told_what_fits_the_tunnel_and_the_rest_is_cut_outside() {
    let send = |bench: &mut Bench, length: usize| {
        let packet = udp(LISTED, WIDE, 64, &vec![7; length - 48]);
        bench.receive(P0, std::slice::from_ref(&packet));
        (packet, bench.sent(P0), bench.sent(P1))
    };
    for (mtu, fits) in [(1500, 1452), (1400, 1352), (1300, 1252), (1280, 1232)] {
        let mut bench = designated_router(mtu, &[]);
        let (_, answers, sent) = send(&mut bench, fits);
        assert_eq!((answers.len(), sent.len(), sent[0].len()), (0, 1, 14 + mtu));
        let (packet, answers, sent) = send(&mut bench, fits + 1);
        if fits >= 1280 {
            assert!(sent.is_empty());
            assert_told(&answers, fits as u32, &packet);
            continue;
        }
        assert_pieces(&sent, mtu);
        let (packet, answers, sent) = send(&mut bench, 1281);
        assert!(sent.is_empty());
        assert_told(&answers, 1280, &packet);
    }
}

fn assert_told(answers: &[Vec<u8>], mtu: u32, about: &[u8]) {
    let [answer] = answers else { panic!("{} answers", answers.len()) };
    let packet = &answer[14..];
    assert_eq!((packet[6], packet[40], packet[41]), (protocol::ICMPV6, 2, 0));
    assert_eq!(packet[24..40], LISTED.octets());
    assert_eq!(u32::from_be_bytes(packet[44..48].try_into().unwrap()), mtu);
    assert_eq!(packet[48..], hopped(about)[..packet.len() - 48]);
}

/// Two fragments behind the outer header.
fn assert_pieces(sent: &[Vec<u8>], mtu: usize) {
    assert_eq!(sent.len(), 2);
    for piece in sent {
        assert!(piece.len() <= 14 + mtu);
        assert_eq!((piece[14 + 6], piece[14 + 40]), (protocol::FRAGMENT, protocol::PIM));
    }
}

#[test]
fn the_path_to_the_rendezvous_point_is_learnt() {
    let mut bench = designated_router(1500, &[]);
    let send = |bench: &mut Bench, length: usize| {
        let packet = udp(LISTED, WIDE, 64, &vec![7; length - 48]);
        bench.receive(P0, std::slice::from_ref(&packet));
        (packet, bench.sent(P0), bench.sent(P1))
    };
    let error = |kind: u8, mtu: u32, frame: &[u8]| {
        let body = [&mtu.to_be_bytes()[..], &frame[14..14 + 1200]].concat();
        PacketBuilder::new(FAR, SELF).icmpv6(kind, 0, &body)
    };
    let (packet, _, sent) = send(&mut bench, 1440);
    for (at, octet) in [(8, 0x99), (39, 0x99), (40, 0x22), (44, 0x40), (48, 0x40), (48 + 23, 8), (48 + 39, 8)] {
        let mut other = sent[0].clone();
        other[14 + at] = octet;
        bench.receive(P1, &[error(2, 1400, &other)]);
        assert!(bench.sent(P0).is_empty(), "octet {at}");
    }
    assert_eq!(bench.local().len(), 7, "about what this node has not sent: they are the node's");
    bench.receive(P1, &[error(1, 0, &sent[0])]);
    bench.expect_counters(&[
        ("rx", 9),
        ("registers-sent", 1),
        ("output", 1),
        ("local", 7),
        ("drop-local-tunnel-problem", 1),
    ]);
    bench.receive(P1, &[error(2, 1400, &sent[0])]);
    assert_told(&bench.sent(P0), 1352, &packet);
    assert_eq!(send(&mut bench, 1352).2[0].len(), 14 + 1400);
    let (packet, answers, _) = send(&mut bench, 1353);
    assert_told(&answers, 1352, &packet);
    bench.receive(P1, &[error(2, 1280, &sent[0])]);
    assert_told(&bench.sent(P0), 1280, &udp(LISTED, WIDE, 64, &[7; 1440 - 48]));
    assert_pieces(&send(&mut bench, 1280).2, 1280);
    // Setting the route again for its watch changes nothing of that.
    let watching = Mroute { register: Some(TUNNEL), watch: Watch::NextPacket, ..route(Accept::Port(P0), &[]) };
    bench.apply(of_source(WIDE, watching));
    assert_pieces(&send(&mut bench, 1280).2, 1280);
}

#[test]
fn nobody_registers_to_itself() {
    let mut bench = designated_router(1500, &[P2]);
    bench.set_route(&format!("{RP}/128"), Route::Local);
    bench.receive(P0, &[udp(LISTED, WIDE, 64, b"x")]);
    assert_eq!((bench.sent(P1).len(), bench.sent(P2).len()), (0, 1));
    bench.expect_counters(&[("rx", 1), ("copied", 1), ("output", 1), ("drop-register-loop", 1)]);
    // Nor by what its node says.
    let mut bench = rendezvous_point();
    bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
    bench.transmit(register(SELF, RP, &udp(LISTED, WIDE, 64, b"x")), Via::Route);
    bench.expect_counters(&[("transmitted", 1), ("drop-register-loop", 1)]);
    // What has come to a rendezvous point goes to no other.
    let elsewhere = RegisterTunnel { source: RP, rendezvous_point: FAR };
    let relayed = Mroute { register: Some(elsewhere), ..route(Accept::RendezvousPoint, &[P1]) };
    bench.apply(any_source(WIDE, relayed));
    bench.receive(P0, &[register(FAR, RP, &udp(LISTED, WIDE, 64, b"x"))]);
    assert_eq!((bench.sent(P0).len(), bench.sent(P1).len()), (0, 1));
}

#[test]
fn the_sites_groups_are_not_registered_across_its_border() {
    let config = |border| DataplaneConfig { site_border: PortSet::single(border), ..DataplaneConfig::default() };
    for (group, goes_out) in [(GROUP, false), (WIDE, true)] {
        let ports = (0..3).map(|index| port(index, Medium::Ethernet, 1500)).collect();
        let mut bench = Bench::with(config(P1), ports);
        bench.set_route("::/0", Route::Via { port: P1, next_hop: ROUTER });
        bench.set_neighbor(P1, ROUTER);
        bench.apply(of_source(group, Mroute { register: Some(TUNNEL), ..route(Accept::Port(P0), &[P2]) }));
        bench.receive(P0, &[udp(LISTED, group, 64, b"x")]);
        assert_eq!((bench.sent(P1).len(), bench.sent(P2).len()), (usize::from(goes_out), 1));

        let mut bench = rendezvous_point_with(DataplaneConfig { registers: true, ..config(P0) });
        bench.apply(any_source(group, route(Accept::RendezvousPoint, &[P1])));
        let message = register(FAR, RP, &udp(LISTED, group, 64, b"x"));
        bench.receive(P0, std::slice::from_ref(&message));
        bench.receive(P2, std::slice::from_ref(&message));
        assert_eq!(bench.sent(P1).len(), 1 + usize::from(goes_out));
        if !goes_out {
            bench.expect_counters(&[
                ("rx", 2),
                ("registers-received", 1),
                ("output", 1),
                ("drop-register-site-border", 1),
            ]);
        }
    }
}

/// What an agent sends to a group may have to be registered too: its own packets, behind their outer header.
#[test]
fn packets_of_this_node_are_registered_and_errors_reach_who_sent_them() {
    let mut bench = agent();
    let key = MrouteKey { source: SOURCE, group: GROUP };
    let tunnel_to = RegisterTunnel { source: SOURCE, rendezvous_point: RP };
    let mroute = Mroute { register: Some(tunnel_to), ..route(Accept::Local, &[P1]) };
    bench.apply(TableUpdate::MrouteSet(key, mroute));
    let inner = udp(CN, HOME, 60, &[1; 1000]);
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner)]);
    let sent = bench.sent(P0).remove(0);
    let on_branch = bench.sent(P1).remove(0);
    assert_eq!(sent[14 + 48..], on_branch[14..], "the same packet");
    assert_eq!((sent[14 + 6], &sent[14 + 24..14 + 40]), (protocol::PIM, &RP.octets()[..]));
    let inner = udp(CN, HOME, 60, &[1; 1380]);
    bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner)]);
    let answer = bench.sent(P0).remove(0);
    assert_eq!((answer[14 + 40], &answer[14 + 24..14 + 40]), (2, &CN.octets()[..]));
    assert_eq!(u32::from_be_bytes(answer[14 + 44..14 + 48].try_into().unwrap()), 1500 - 48 - 40);
    assert_eq!(bench.sent(P1).len(), 1, "its branch is wide enough");
}

// The rendezvous point.

#[test]
fn registered_data_go_down_the_shared_tree() {
    for size in [1usize, 7, 63, 64] {
        let mut bench = rendezvous_point();
        bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P0, P1, P2])));
        let data: Vec<_> = (0..size as u8).map(|n| with_class(udp(LISTED, WIDE, 64, &[n; 30]), n << 3)).collect();
        // Marks of the message are the data's from here on.
        let messages: Vec<_> =
            data.iter().map(|data| with_class(register(FAR, RP, data), 0xb8 | data[1] >> 4 & 3)).collect();
        bench.receive(P0, &messages);
        for index in 0..3 {
            let expected: Vec<_> =
                data.iter().map(|data| to_wide(index, &with_class(hopped(data), 0xb8 | data[1] >> 4 & 3))).collect();
            assert_eq!(bench.sent(PortId(index)), expected, "the port that the message came by, too");
        }
        assert_eq!(bench.notices(), [told(FAR, LISTED, WIDE)]);
        let count = size as u64;
        bench.expect_counters(&[
            ("rx", count),
            ("registers-received", count),
            ("copied", 2 * count),
            ("output", 3 * count),
        ]);
        assert_eq!(bench.plane.mroutes().map(|(.., packets)| packets).collect::<Vec<_>>(), [count]);
    }
}

/// RFC 7761 §4.9.3: the checksum over eight octets or over all, the B bit and reserved fields whatever they are.
#[test]
fn register_messages_of_all_makes_are_read() {
    let mut bench = rendezvous_point();
    bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
    let data = udp(LISTED, WIDE, 64, &[9; 100]);
    let messages = [
        register(FAR, RP, &data),
        summed(FAR, RP, [0x21, 0, 0, 0, 0, 0, 0, 0], &data, usize::MAX),
        summed(FAR, RP, [0x21, 5, 0, 0, 0xbf, 1, 2, 3], &data, 8),
    ];
    bench.receive(P0, &messages);
    // And one in fragments.
    let message = register(FAR, RP, &data);
    for (offset, more, part) in [(0, 1, &message[40..104]), (64, 0, &message[104..])] {
        let header = [protocol::PIM, 0, 0, offset | more, 0, 0, 0, 9];
        bench.receive(P0, &[PacketBuilder::new(FAR, RP).payload(protocol::FRAGMENT, &[&header[..], part].concat())]);
    }
    assert_eq!(bench.sent(P1), vec![to_wide(1, &hopped(&data)); 4]);
}

#[test]
fn only_a_rendezvous_points_route_lets_registered_data_in() {
    let data = udp(LISTED, GROUP, 64, b"x");
    let message = register(FAR, RP, &data);
    for (mroute, end, is_news) in [
        (None, "drop-register-no-route", false),
        (Some(route(Accept::Local, &[P1])), "drop-multicast-wrong-port", true),
        (Some(route(Accept::Port(P0), &[P1])), "drop-multicast-wrong-port", true),
        (Some(route(Accept::RendezvousPoint, &[])), "drop-multicast-no-branch", false),
    ] {
        for update in [any_source, of_source] {
            let mut bench = rendezvous_point();
            if let Some(mroute) = mroute {
                bench.apply(update(GROUP, mroute));
            }
            // The group is heard: that is for packets of the link.
            bench.apply(TableUpdate::LinkGroupJoin(P0, GROUP));
            bench.receive(P0, std::slice::from_ref(&message));
            bench.expect_counters(&[("rx", 1), ("registers-received", 1), (end, 1)]);
            let mut expected = vec![told(FAR, LISTED, GROUP)];
            expected.extend(is_news.then_some(Notice::MulticastWrongPort { port: None, source: LISTED, group: GROUP }));
            assert_eq!(bench.notices(), expected);
        }
    }
    // (S,G) alone decides where it is there; and the route is none for what others send to the group.
    let mut bench = rendezvous_point();
    bench.apply(any_source(GROUP, route(Accept::RendezvousPoint, &[P1])));
    bench.receive(P2, std::slice::from_ref(&data));
    bench.apply(of_source(GROUP, route(Accept::Port(P2), &[P1])));
    bench.receive(P0, &[message]);
    bench.expect_counters(&[
        ("rx", 2),
        ("registers-received", 1),
        ("punt-route", 1),
        ("resumed", 1),
        ("drop-multicast-wrong-port", 2),
    ]);
    bench.receive(P2, &[data]);
    assert_eq!(bench.sent(P1).len(), 1);
}

#[test]
fn an_agent_that_is_a_rendezvous_point_sends_its_own_by_the_same_route() {
    let config = DataplaneConfig { registers: true, ..DataplaneConfig::default() };
    let mut bench = agent_with(config, [1500, 1500]);
    bench.apply(tree(Accept::RendezvousPoint, &[P1]));
    let tunnelled = tunnel(HOME_AGENT, CARE_OF, &udp(CN, HOME, 60, b"x"));
    bench.receive(P0, &vec![tunnelled; 5]);
    assert_eq!((bench.sent(P1).len(), bench.plane.staged_packets()), (5, 0), "the express way");
    // Nobody registers in the agent's name.
    bench.receive(P0, &[register(FAR, AGENT, &tunnel(SOURCE, GROUP, &udp(CN, HOME, 60, b"x")))]);
    assert!(bench.sent(P1).is_empty());
    assert_eq!(bench.plane.counters().get(stack::pipeline::Counter::DropRegisterSource), 1);
}

#[test]
fn what_is_no_message_with_data_is_the_nodes() {
    let data = udp(LISTED, WIDE, 64, &[9; 100]);
    let good = register(FAR, RP, &data);
    let spoilt = |at: usize, octet: u8| {
        let mut message = good.clone();
        message[at] ^= octet;
        message
    };
    let null = summed(FAR, RP, [0x21, 0, 0, 0, 0x40, 0, 0, 0], &data, 8);
    let version = summed(FAR, RP, [0x11, 0, 0, 0, 0, 0, 0, 0], &data, 8);
    let stop = summed(FAR, RP, [0x22, 0, 0, 0, 0, 0, 0, 0], &data, 8);
    let short = PacketBuilder::new(FAR, RP).payload(protocol::PIM, &[0x21, 0, 0, 0, 0, 0, 0]);
    let messages = [null, version, stop, short, spoilt(42, 1), spoilt(44, 1)];
    let mut bench = rendezvous_point();
    bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
    bench.receive(P0, &messages);
    assert_eq!(bench.local().into_iter().map(|(_, packet)| packet).collect::<Vec<_>>(), messages);
    // To a group, and out of a tunnel.
    let all_routers: Ipv6Addr = "ff02::d".parse().unwrap();
    bench.apply(TableUpdate::LinkGroupJoin(P0, all_routers));
    bench.receive(P0, &[register(FAR, all_routers, &data)]);
    let home = HomeBinding { care_of: CARE_OF, agent: RP, home_port: P1 };
    bench.apply(TableUpdate::HomeBindingSet(HOME, home));
    bench.receive(P0, &[tunnel(CARE_OF, RP, &register(HOME, RP, &data))]);
    assert_eq!(bench.local().len(), 2);
    // Where nobody is a multicast router, all of them.
    let mut bench = rendezvous_point_with(DataplaneConfig::default());
    bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
    bench.receive(P0, std::slice::from_ref(&good));
    bench.expect_counters(&[("rx", 1), ("local", 1)]);
    assert!(bench.notices().is_empty());
}

#[test]
fn registers_between_addresses_of_a_link_or_from_this_node_are_dropped() {
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);
    let data = udp(LISTED, WIDE, 64, &[9; 100]);
    for (from, to) in [(link_local, RP), (RP, RP), (SELF, RP), (Ipv6Addr::LOCALHOST, RP)] {
        let mut bench = rendezvous_point();
        bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
        bench.receive(P0, &[register(from, to, &data)]);
        assert!(bench.sent(P1).is_empty() && bench.notices().is_empty(), "{from} to {to}");
    }
}

#[test]
fn data_that_nobody_can_have_sent_are_dropped() {
    let good = udp(LISTED, WIDE, 64, &[9; 100]);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut data = good.clone();
        change(&mut data);
        data
    };
    let from = |source: Ipv6Addr| changed(&|data| data[8..24].copy_from_slice(&source.octets()));
    let to = |group: Ipv6Addr| changed(&|data| data[24..40].copy_from_slice(&group.octets()));
    let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 5);
    for (data, end) in [
        (Vec::new(), "drop-register-inner"),
        (good[..39].to_vec(), "drop-register-inner"),
        (changed(&|data| data[0] = 0x45), "drop-register-inner"),
        (changed(&|data| data[5] += 1), "drop-register-inner"),
        (changed(&|data| data.push(0)), "drop-register-inner"),
        (to(FAR), "drop-register-group"),
        (to("ff02::1:2".parse().unwrap()), "drop-register-group"),
        (to("ff01::1".parse().unwrap()), "drop-register-group"),
        (to("ff00::1".parse().unwrap()), "drop-register-group"),
        (from(RP), "drop-register-source"),
        (from(SELF), "drop-register-source"),
        (from(Ipv6Addr::UNSPECIFIED), "drop-register-source"),
        (from(Ipv6Addr::LOCALHOST), "drop-register-source"),
        (from(WIDE), "drop-register-source"),
        (from(link_local), "drop-register-source"),
    ] {
        let mut bench = rendezvous_point();
        bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
        bench.receive(P0, &[register(FAR, RP, &data)]);
        bench.expect_counters(&[("rx", 1), (end, 1)]);
        assert!(bench.notices().is_empty());
    }
    for hop_limit in [0, 1] {
        let mut bench = rendezvous_point();
        bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
        bench.receive(P0, &[register(FAR, RP, &udp(LISTED, WIDE, hop_limit, b"x"))]);
        bench.expect_counters(&[("rx", 1), ("registers-received", 1), ("drop-multicast-hop-limit", 1)]);
    }
}

/// The source is told of a link that is too narrow behind the rendezvous point, as by any router on the tree.
#[test]
fn the_source_of_registered_data_hears_of_a_narrow_branch() {
    let config = DataplaneConfig { registers: true, ..DataplaneConfig::default() };
    let ports = [1500, 1300].into_iter().zip(0..).map(|(mtu, index)| port(index, Medium::Ethernet, mtu));
    let mut bench = Bench::with(config, ports.collect());
    bench.set_route(&format!("{RP}/128"), Route::Local);
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench.apply(any_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
    let data = udp(LISTED, WIDE, 64, &[9; 1360]);
    bench.receive(P0, &[register(FAR, RP, &data)]);
    assert_told(&bench.sent(P0), 1300, &data);
    assert!(bench.sent(P1).is_empty());
}

#[test]
fn each_registered_flow_is_told_once_a_second() {
    let config =
        DataplaneConfig { registers: true, register_burst: 20, registers_per_second: 1, ..DataplaneConfig::default() };
    let mut bench = rendezvous_point_with(config);
    let by = |from| register(from, RP, &udp(LISTED, WIDE, 64, b"x"));
    bench.receive(P0, &vec![by(FAR); 50]);
    assert_eq!(bench.notices(), [told(FAR, LISTED, WIDE)]);
    // The route is there: whatever is registered next is told at once.
    bench.apply(of_source(WIDE, route(Accept::RendezvousPoint, &[P1])));
    bench.receive(P0, &vec![by(FAR); 50]);
    assert_eq!(bench.notices(), [told(FAR, LISTED, WIDE)]);
    bench.now += Duration::from_millis(600);
    // Another designated router of the same source has to be stopped as well.
    bench.receive(P0, &[by(FAR), by(CN), by(FAR), by(CN)]);
    assert_eq!(bench.notices(), [told(CN, LISTED, WIDE)]);
    bench.now += Duration::from_millis(600);
    bench.receive(P0, &[by(CN), by(FAR)]);
    assert_eq!(bench.notices(), [told(FAR, LISTED, WIDE)]);
    // Ever other sources are stopped by the limit.
    let many: Vec<_> = (0..60u16)
        .map(|last| {
            let source = Ipv6Addr::new(0x2001, 0xdb8, 0x500, 0, 0, 0, 1, last);
            register(FAR, RP, &udp(source, WIDE, 64, b"x"))
        })
        .collect();
    bench.receive(P0, &many);
    assert!((10..=18).contains(&bench.notices().len()));
    assert!(bench.plane.counters().get(stack::pipeline::Counter::RegistersSuppressed) >= 40);
}
