//! Groups with one listener on a link, in frames to that listener alone (RFC 6085), and at its other end.

use super::express::P3;
use super::*;
use stack::machine::PortId;
use stack::packet::{Batch, Pool};
use stack::pipeline::{Counter, Dataplane};
use stack::wire::mld::{Message, Query};

const LISTENER: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x77]);
const GROUP_2: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 2);

fn set(port: PortId, link_address: MacAddress) -> TableUpdate {
    TableUpdate::DeliverySet { port, group: GROUP, link_address }
}

fn remove(port: PortId) -> TableUpdate {
    TableUpdate::DeliveryRemove { port, group: GROUP }
}

/// Groups may have an only listener on P1 and P3.
fn config(express: bool) -> DataplaneConfig {
    DataplaneConfig { express, unicast_delivery: [P1, P3].into_iter().collect(), ..DataplaneConfig::default() }
}

fn ports() -> Vec<stack::port::PortInfo> {
    (0..4).map(|index| port(index, Medium::Ethernet, 1500)).collect()
}

fn to_listener(port: u8, listener: MacAddress, packet: &[u8]) -> Vec<u8> {
    frame(listener, MacAddress([2, 0, 0, 0, 0, port]), packet)
}

#[test]
fn the_only_listener_of_a_link_has_its_frames_and_no_other_link_does() {
    for express in [true, false] {
        for count in [1u8, 7, 63, 64] {
            let mut bench = Bench::with(config(express), ports());
            bench.apply(tree(Accept::Port(P0), &[P1, P2, P3]));
            bench.apply(set(P1, LISTENER));
            let packets: Vec<_> = (0..count).map(|n| udp(SOURCE, GROUP, 64, &[n])).collect();
            bench.receive(P0, &packets);
            let all = |form: &dyn Fn(&[u8]) -> Vec<u8>| -> Vec<Vec<u8>> {
                packets.iter().map(|packet| form(&hopped(packet))).collect()
            };
            assert_eq!(bench.sent(P1), all(&|packet| to_listener(1, LISTENER, packet)));
            assert_eq!(bench.sent(P2), all(&|packet| to_group(2, packet)));
            assert_eq!(bench.sent(P3), all(&|packet| to_group(3, packet)), "it has no listener of its own");
            let count = u64::from(count);
            let counted = [("rx", count), ("copied", 2 * count), ("output", 3 * count), ("unicast-deliveries", count)];
            bench.expect_counters(&counted);

            // Each has its own; the listener has another address; there are several again.
            bench.apply(set(P3, PEER));
            bench.apply(set(P1, PEER));
            bench.receive(P0, &packets[..1]);
            let one = hopped(&packets[0]);
            assert_eq!(
                (bench.sent(P1), bench.sent(P3)),
                (vec![to_listener(1, PEER, &one)], vec![to_listener(3, PEER, &one)])
            );
            assert_eq!(bench.plane.delivery(P1, GROUP), Some(PEER));
            bench.apply(remove(P1));
            assert_eq!(bench.plane.delivery(P1, GROUP), None);
            bench.receive(P0, &packets[..1]);
            assert_eq!((bench.sent(P1), bench.sent(P3)), (vec![to_group(1, &one)], vec![to_listener(3, PEER, &one)]));
            let staged = if express { 0 } else { count + 2 };
            assert_eq!(bench.plane.staged_packets(), staged);
        }
    }
}

#[test]
fn the_agents_tunnel_goes_to_the_only_listener_whole_or_in_fragments() {
    for express in [true, false] {
        let mut bench = agent_with(config(express), [1500, 1300]);
        bench.apply(set(P1, LISTENER));
        let inner = udp(CN, HOME, 60, &[7; 100]);
        bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &inner)]);
        assert_tunnelled(&bench.sent(P1), &[to_listener(1, LISTENER, &tunnel(SOURCE, GROUP, &hopped(&inner)))]);
        let counted = [("rx", 1), ("binding-to-group", 1), ("output", 1), ("unicast-deliveries", 1)];
        bench.expect_counters(&counted);

        bench.receive(P0, &[tunnel(HOME_AGENT, CARE_OF, &udp(CN, HOME, 60, &[7; 1280 - 48]))]);
        let fragments = bench.sent(P1);
        assert_eq!(fragments.len(), 2);
        assert!(fragments.iter().all(|frame| frame[..6] == LISTENER.0 && frame[20] == protocol::FRAGMENT));
        assert_eq!(bench.plane.counters().get(Counter::UnicastDeliveries), 3);
    }
}

#[test]
fn what_the_node_asks_a_link_is_for_all_its_hosts() {
    let mut bench = Bench::with(config(true), ports());
    bench.apply(set(P1, LISTENER));
    let query = Query {
        group: GROUP,
        max_response_delay: stack::time::Duration::from_secs(1),
        suppress: false,
        robustness: 2,
        query_interval: stack::time::Duration::from_secs(125),
        sources: Vec::new(),
    };
    let query = Message::Query(query).packet(ROUTER);
    bench.transmit(query.clone(), Via::Link(P1));
    assert_eq!(bench.sent(P1), [to_group(1, &query)]);
    bench.expect_counters(&[("transmitted", 1), ("output", 1)]);
    // What it sends along the tree is data as any other.
    bench.apply(tree(Accept::Local, &[P1]));
    let data = udp(SOURCE, GROUP, 64, b"x");
    bench.transmit(data.clone(), Via::Route);
    assert_eq!(bench.sent(P1), [to_listener(1, LISTENER, &data)]);
    bench.expect_counters(&[("transmitted", 1), ("output", 1), ("unicast-deliveries", 1)]);
}

#[test]
fn what_has_no_place_is_refused_and_counted() {
    let mut config = config(true);
    config.limits.deliveries = 1;
    let mut bench = Bench::with(config, ports());
    bench.apply(tree(Accept::Port(P0), &[P1, P2]));
    bench.apply(set(P2, LISTENER));
    bench.apply(set(P1, MacAddress::of_multicast(GROUP)));
    bench.apply(TableUpdate::DeliverySet { port: P1, group: FAR, link_address: LISTENER });
    bench.apply(set(PortId(9), LISTENER));
    bench.apply(remove(PortId(9)));
    bench.expect_counters(&[("refused-updates", 3), ("refused-ports", 2)]);
    bench.apply(set(P1, LISTENER));
    bench.apply(TableUpdate::DeliverySet { port: P1, group: GROUP_2, link_address: LISTENER });
    bench.apply(set(P1, PEER));
    bench.expect_counters(&[("refused-updates", 1)]);
    let packet = udp(SOURCE, GROUP, 64, b"x");
    bench.receive(P0, std::slice::from_ref(&packet));
    assert_eq!(bench.sent(P1), [to_listener(1, PEER, &hopped(&packet))], "a full table takes another address");
    assert_eq!(bench.sent(P2), [to_group(2, &hopped(&packet))]);
    bench.apply(remove(P1));
    bench.apply(remove(P1));
    assert!(bench.plane.table_sizes().any(|size| size == ("deliveries", 0)));
}

/// A data plane beside the first one reads the table that the first writes: nothing has to be told.
#[test]
fn workers_beside_the_first_see_it_at_once() {
    let (mut first, readers) = Bench::first(config(true), &ports());
    let pool = Pool::new(FRAMES).unwrap();
    let mut second = Dataplane::beside(config(true), readers, pool.clone(), &ports());
    first.apply(tree(Accept::Port(P0), &[P1]));
    while let Some(news) = first.plane.poll_news() {
        second.hear(first.now, news);
    }
    let packet = udp(SOURCE, GROUP, 64, b"x");
    let mut send = |now| {
        let received = frame(MacAddress::of_multicast(GROUP), PEER, &packet);
        let mut batch: Batch = [pool.copy_of(&received).unwrap()].into_iter().collect();
        second.forward(now, P0, &mut batch);
        assert!(batch.is_empty());
        second.outgoing(P1).pop().unwrap().bytes().to_vec()
    };
    let sent = hopped(&packet);
    assert_eq!(send(first.now), to_group(1, &sent));
    for listener in [LISTENER, PEER] {
        first.apply(set(P1, listener));
        assert_eq!(send(first.now), to_listener(1, listener, &sent));
    }
    first.apply(remove(P1));
    assert_eq!(send(first.now), to_group(1, &sent));
    assert_eq!(first.plane.poll_news(), None);
    assert_eq!(second.counters().get(Counter::UnicastDeliveries), 2);
}

/// RFC 6085 §3: a group's packet in a frame to this node is not dropped for that.
#[test]
fn a_terminal_takes_its_group_from_frames_to_itself() {
    let mut bench = terminal();
    let inner = udp(CN, HOME, 1, b"down");
    let packet = tunnel(SOURCE, GROUP, &inner);
    bench.receive_frames(P0, &[frame(MAC0, PEER, &packet), frame(MAC1, PEER, &packet)]);
    assert_eq!(bench.sent(P2), [inner]);
    bench.expect_counters(&[("rx", 2), ("terminal-received", 1), ("output", 1), ("drop-ethernet-not-ours", 1)]);
}

/// The same of a router on the way, and of its MLD machine.
#[test]
fn a_router_takes_groups_from_frames_to_itself() {
    let mut bench = Bench::with(config(true), ports());
    bench.apply(tree(Accept::Port(P0), &[P2]));
    let packet = udp(SOURCE, GROUP, 64, b"x");
    bench.receive_frames(P0, &[frame(MAC0, PEER, &packet)]);
    assert_eq!(bench.sent(P2), [to_group(2, &hopped(&packet))]);
    let all_nodes = Message::V1Query { group: Ipv6Addr::UNSPECIFIED, max_response_delay: Default::default() };
    bench.receive_frames(P0, &[frame(MAC0, PEER, &all_nodes.packet(ROUTER))]);
    let local = bench.local();
    assert_eq!(local.len(), 1);
    assert!(!local[0].0.link_multicast && local[0].0.link_source == Some(PEER));
}

/// RFC 4443 §2.4 (e.3): a packet to a group is not answered, whatever its frame was sent to.
#[test]
fn no_error_is_sent_about_a_group_in_a_frame_to_this_node() {
    let mut bench = Bench::with(config(true), ports());
    bench.set_route("::/0", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench.apply(TableUpdate::LinkGroupJoin(P0, GROUP));
    let packet = udp(SOURCE, GROUP, 64, b"to nobody's socket");
    bench.receive_frames(P0, &[frame(MAC0, PEER, &packet)]);
    assert_eq!(bench.sent(P0), Vec::<Vec<u8>>::new());
    bench.expect_counters(&[("rx", 1), ("drop-icmp-forbidden", 1)]);
}
