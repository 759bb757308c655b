//! Routes that keep packets without a branch, for a terminal that is expected.

use super::express::P3;
use super::*;
use stack::machine::PortId;
use stack::packet::{Batch, Pool};
use stack::pipeline::{Counter, Dataplane, Limits};
use stack::tables::{RegisterTunnel, Watch};
use stack::time::Duration;

const KEY: MrouteKey = MrouteKey { source: SOURCE, group: GROUP };
/// Packets that the bench's pool lets be held.
const MOST: usize = FRAMES as usize / 8;
const TIME: Duration = Duration::from_millis(100);

fn set(hold: bool, ports: &[PortId]) -> TableUpdate {
    set_of(KEY, hold, ports)
}

fn set_of(key: MrouteKey, hold: bool, ports: &[PortId]) -> TableUpdate {
    TableUpdate::MrouteSet(key, Mroute { hold, ..Mroute::new(Accept::Port(P0), ports.iter().copied().collect()) })
}

/// A group of another terminal.
fn other(number: u16) -> MrouteKey {
    MrouteKey { group: Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 0x100 + number), ..KEY }
}

fn with(change: impl FnOnce(&mut DataplaneConfig)) -> Bench {
    let mut config = DataplaneConfig { unicast_delivery: PortSet::single(P1), ..DataplaneConfig::default() };
    change(&mut config);
    Bench::with(config, (0..4).map(|index| port(index, Medium::Ethernet, 1500)).collect())
}

/// With a route that holds, and nobody there.
fn candidate() -> Bench {
    let mut bench = with(|_| {});
    bench.apply(set(true, &[]));
    bench
}

fn numbered(key: MrouteKey, number: u8) -> Vec<u8> {
    udp(key.source, key.group, 64, &[number])
}

fn receive(bench: &mut Bench, numbers: impl IntoIterator<Item = u8>) {
    receive_of(bench, KEY, numbers);
}

fn receive_of(bench: &mut Bench, key: MrouteKey, numbers: impl IntoIterator<Item = u8>) {
    let packets: Vec<_> = numbers.into_iter().map(|number| numbered(key, number)).collect();
    bench.receive(P0, &packets);
}

fn wait(bench: &mut Bench, time: Duration) {
    bench.now += time;
    bench.plane.handle_timeout(bench.now);
    bench.check();
}

/// The numbers of the packets that have left by a port, each of which has lost a hop.
fn left(bench: &mut Bench, port: PortId) -> Vec<u8> {
    let number = |frame: &Vec<u8>| {
        assert_eq!(frame[14 + 7], 63);
        frame[14 + 48]
    };
    bench.sent(port).iter().map(number).collect()
}

#[test]
fn what_came_before_leaves_in_order_before_what_comes_after() {
    for size in [1u8, 7, 63, 64] {
        let mut bench = candidate();
        receive(&mut bench, 0..size);
        assert_eq!((bench.plane.held_frames(), left(&mut bench, P1)), (usize::from(size), vec![]));
        bench.expect_counters(&[("rx", size.into()), ("punt-hold", size.into())]);
        bench.apply(set(false, &[P1]));
        receive(&mut bench, [200, 201]);
        let expected: Vec<_> = (0..size).chain([200, 201]).collect();
        assert_eq!((left(&mut bench, P1), bench.plane.held_frames()), (expected, 0));
        bench.expect_counters(&[
            ("rx", 2),
            ("resumed", size.into()),
            ("hold-released", size.into()),
            ("output", u64::from(size) + 2),
        ]);
        // Each is counted once, when it came.
        assert_eq!(bench.plane.mroute(KEY).unwrap().1, u64::from(size) + 2);
        assert_eq!(bench.plane.poll_timeout(), None);
    }
}

#[test]
fn frames_are_as_those_that_never_waited() {
    let listener = MacAddress([2, 0, 0, 0, 0, 0x77]);
    let mut bench = candidate();
    let packet = udp(SOURCE, GROUP, 64, b"held");
    bench.receive(P0, &[packet.clone(), packet.clone()]);
    bench.apply(TableUpdate::DeliverySet { port: P1, group: GROUP, link_address: listener });
    bench.apply(set(true, &[P1, P2]));
    let sent = hopped(&packet);
    let to_listener = frame(listener, MAC1, &sent);
    assert_eq!(bench.sent(P1), [to_listener.clone(), to_listener]);
    assert_eq!(bench.sent(P2), [to_group(2, &sent), to_group(2, &sent)]);
    bench.expect_counters(&[
        ("rx", 2),
        ("punt-hold", 2),
        ("resumed", 2),
        ("hold-released", 2),
        ("copied", 2),
        ("unicast-deliveries", 2),
        ("output", 4),
    ]);
}

#[test]
fn a_link_that_is_too_narrow_is_told_of_when_it_is_known() {
    let mut bench = Bench::with(
        DataplaneConfig::default(),
        [1500, 1280].into_iter().zip(0..).map(|(mtu, index)| port(index, Medium::Ethernet, mtu)).collect(),
    );
    bench.set_route("2001:db8:202::/48", Route::Via { port: P0, next_hop: ROUTER });
    bench.set_neighbor(P0, ROUTER);
    bench.apply(set(true, &[]));
    bench.receive(P0, &[udp(SOURCE, GROUP, 64, &[0; 1300])]);
    bench.apply(set(false, &[P1]));
    assert_eq!((bench.sent(P0).len(), bench.sent(P1).len()), (1, 0));
    bench.expect_counters(&[
        ("rx", 1),
        ("punt-hold", 1),
        ("resumed", 1),
        ("hold-released", 1),
        ("icmp-error-packet-too-big", 1),
        ("generated", 1),
        ("output", 1),
    ]);
}

#[test]
fn the_newest_of_a_route_stay() {
    let mut bench = with(|config| config.limits.held_packets_of_route = 4);
    bench.apply(set(true, &[]));
    bench.apply(set_of(other(0), true, &[]));
    receive(&mut bench, 0..3);
    receive_of(&mut bench, other(0), [100, 101]);
    receive(&mut bench, 3..10);
    bench.apply(set(false, &[P1]));
    bench.apply(set_of(other(0), false, &[P1]));
    assert_eq!(left(&mut bench, P1), [6, 7, 8, 9, 100, 101]);
    bench.expect_counters(&[
        ("rx", 12),
        ("punt-hold", 12),
        ("waited-in-vain", 6),
        ("drop-hold-too-many", 6),
        ("resumed", 6),
        ("hold-released", 6),
        ("output", 6),
    ]);
}

#[test]
fn the_newest_of_all_routes_stay_and_leave_room_for_others() {
    for limit in [5, usize::MAX] {
        let mut bench = with(|config| config.limits.held_packets = limit);
        let most = limit.min(MOST);
        for number in 0..30 {
            bench.apply(set_of(other(number), true, &[]));
        }
        for round in 0..10 {
            for number in 0..30 {
                receive_of(&mut bench, other(number), [round * 10, round * 10 + 1]);
                assert!(bench.plane.held_frames() <= most);
            }
        }
        assert_eq!(bench.plane.held_frames(), most);
        for number in 0..30 {
            bench.apply(set_of(other(number), false, &[P1]));
        }
        let expected: Vec<_> = core::iter::repeat_n([90, 91], 30).flatten().collect();
        let sent = left(&mut bench, P1);
        let all = 600;
        assert_eq!(sent.len(), most);
        match most {
            5 => assert_eq!(sent, [91, 90, 91, 90, 91]),
            // The last round, and of the one before the last few.
            most => assert_eq!(sent.iter().filter(|number| **number >= 90).count(), expected.len().min(most)),
        }
        let (given_up, most) = (all - most as u64, most as u64);
        bench.expect_counters(&[
            ("rx", all),
            ("punt-hold", all),
            ("waited-in-vain", given_up),
            ("drop-hold-too-many", given_up),
            ("resumed", most),
            ("hold-released", most),
            ("output", most),
        ]);
    }
}

#[test]
fn what_is_too_old_is_dropped_at_its_time_and_never_sent() {
    let mut bench = candidate();
    receive(&mut bench, [0, 1]);
    let first = bench.now + TIME;
    wait(&mut bench, Duration::from_millis(60));
    receive(&mut bench, [2]);
    assert_eq!(bench.plane.poll_timeout(), Some(first));
    wait(&mut bench, Duration::from_millis(40));
    bench.expect_counters(&[("rx", 3), ("punt-hold", 3), ("waited-in-vain", 2), ("drop-hold-too-old", 2)]);
    assert_eq!(bench.plane.poll_timeout(), Some(first + Duration::from_millis(60)));
    receive(&mut bench, [3]);
    // The timer is late: what has come to its end is not sent any more.
    bench.now += Duration::from_millis(60);
    bench.apply(set(false, &[P1]));
    assert_eq!(left(&mut bench, P1), [3]);
    bench.expect_counters(&[
        ("rx", 1),
        ("punt-hold", 1),
        ("waited-in-vain", 1),
        ("drop-hold-too-old", 1),
        ("resumed", 1),
        ("hold-released", 1),
        ("output", 1),
    ]);
}

#[test]
fn a_route_that_is_set_again_keeps_what_it_holds() {
    let mut bench = candidate();
    receive(&mut bench, [0, 1]);
    bench.apply(set(true, &[]));
    let watching = Mroute { hold: true, watch: Watch::NextPacket, ..Mroute::new(Accept::Port(P0), PortSet::EMPTY) };
    bench.apply(TableUpdate::MrouteSet(KEY, watching));
    // By the port that they came by nothing leaves.
    bench.apply(set(true, &[P0]));
    // Another way to the source does not undo that they were accepted.
    bench.apply(TableUpdate::MrouteSet(KEY, Mroute { accept: Accept::Port(P2), ..watching }));
    assert_eq!(bench.plane.held_frames(), 2);
    bench.expect_counters(&[("rx", 2), ("punt-hold", 2)]);
    bench.apply(TableUpdate::MrouteSet(
        KEY,
        Mroute { hold: false, ..Mroute::new(Accept::Port(P2), PortSet::single(P1)) },
    ));
    assert_eq!(left(&mut bench, P1), [0, 1]);
}

#[test]
fn what_nobody_waits_for_any_more_is_let_go() {
    for update in [set(false, &[]), set(false, &[P0]), TableUpdate::MrouteRemove(KEY)] {
        let mut bench = candidate();
        bench.apply(set_of(other(0), true, &[]));
        receive(&mut bench, [0, 1]);
        receive_of(&mut bench, other(0), [2]);
        bench.apply(update);
        assert_eq!(bench.plane.held_frames(), 1);
        bench.expect_counters(&[("rx", 3), ("punt-hold", 3), ("waited-in-vain", 2), ("drop-hold-let-go", 2)]);
        bench.apply(set(true, &[P1]));
        assert_eq!(left(&mut bench, P1), [0; 0]);
    }
}

#[test]
fn nothing_is_held_that_can_leave_or_never_could() {
    let mut bench = candidate();
    // A hop too many, a wrong port.
    bench.receive(P0, &[udp(SOURCE, GROUP, 1, b"x")]);
    bench.receive(P2, &[numbered(KEY, 0)]);
    bench.expect_counters(&[
        ("rx", 2),
        ("drop-multicast-hop-limit", 1),
        ("punt-route", 1),
        ("resumed", 1),
        ("drop-multicast-wrong-port", 1),
    ]);
    bench.apply(set(true, &[P1]));
    receive(&mut bench, [1]);
    assert_eq!(left(&mut bench, P1), [1]);
    bench.expect_counters(&[("rx", 1), ("output", 1)]);
    // A register tunnel is a way to leave.
    bench.set_route("::/0", Route::Via { port: P2, next_hop: ROUTER });
    bench.set_neighbor(P2, ROUTER);
    let register = Some(RegisterTunnel { source: SELF, rendezvous_point: FAR });
    let registering = Mroute { hold: true, register, ..Mroute::new(Accept::Port(P0), PortSet::EMPTY) };
    bench.apply(TableUpdate::MrouteSet(KEY, registering));
    receive(&mut bench, [2]);
    assert_eq!(bench.sent(P2).len(), 1);
    bench.expect_counters(&[("rx", 1), ("registers-sent", 1), ("output", 1)]);
    // It is none for what waits already.
    bench.apply(set(true, &[]));
    receive(&mut bench, [3]);
    bench.apply(TableUpdate::MrouteSet(KEY, registering));
    assert_eq!((bench.sent(P2).len(), bench.plane.held_frames()), (0, 1));
}

#[test]
fn with_no_time_or_no_room_a_route_that_holds_is_as_others() {
    let changes: [fn(&mut DataplaneConfig); 3] = [
        |config| config.hold_time = Duration::ZERO,
        |config| config.limits = Limits { held_packets: 0, ..Limits::default() },
        |config| config.limits = Limits { held_packets_of_route: 0, ..Limits::default() },
    ];
    for change in changes {
        let mut bench = with(change);
        bench.apply(set(true, &[]));
        receive(&mut bench, [0]);
        bench.expect_counters(&[("rx", 1), ("drop-multicast-no-branch", 1)]);
    }
}

#[test]
fn the_sites_groups_wait_for_a_port_inside() {
    let mut bench = with(|config| config.site_border = PortSet::single(P2));
    bench.apply(set(true, &[P2]));
    receive(&mut bench, [0]);
    bench.apply(set(true, &[P2, P3]));
    assert_eq!((left(&mut bench, P2), left(&mut bench, P3)), (vec![], vec![0]));
}

/// The node's own copy does not wait for the terminal, and comes once.
#[test]
fn a_node_that_listens_hears_at_once() {
    let mut bench = candidate();
    bench.apply(TableUpdate::LinkGroupJoin(P0, GROUP));
    let packet = PacketBuilder::new(SOURCE, GROUP).checksummed(protocol::MOBILITY, vec![59, 0, 0, 0, 0, 0, 0, 0], 4);
    bench.receive(P0, std::slice::from_ref(&packet));
    let local: Vec<_> = bench.local().into_iter().map(|(_, packet)| packet).collect();
    assert_eq!(local, std::slice::from_ref(&packet));
    bench.apply(set(false, &[P1]));
    assert_eq!((bench.sent(P1), bench.local().len()), (vec![to_group(1, &hopped(&packet))], 0));
    bench.expect_counters(&[
        ("rx", 1),
        ("copied", 1),
        ("local", 1),
        ("punt-hold", 1),
        ("resumed", 1),
        ("hold-released", 1),
        ("output", 1),
    ]);
}

/// An agent that is an access router itself: what it tunnels to the group waits as what came from elsewhere.
#[test]
fn an_agents_own_tunnel_waits_too() {
    let mut bench = agent();
    let route = |hold, ports: &[PortId]| {
        let mroute = Mroute { hold, ..Mroute::new(Accept::Local, ports.iter().copied().collect()) };
        TableUpdate::MrouteSet(KEY, mroute)
    };
    bench.apply(route(true, &[]));
    let inner: Vec<_> = (0..7).map(|n| udp(CN, HOME, 60, &[n; 20])).collect();
    let tunnelled: Vec<_> = inner.iter().map(|packet| tunnel(HOME_AGENT, CARE_OF, packet)).collect();
    bench.receive(P0, &tunnelled);
    assert_eq!(bench.plane.held_frames(), 7);
    bench.apply(route(false, &[P1]));
    let expected: Vec<_> = inner.iter().map(|packet| to_group(1, &tunnel(SOURCE, GROUP, &hopped(packet)))).collect();
    assert_tunnelled(&bench.sent(P1), &expected);
}

/// One that another worker has received is the first's as long as the route holds, and for as long again as packets can have
/// been on their way to it.
#[test]
fn workers_beside_the_first_leave_the_order_to_it() {
    let ports: Vec<_> = (0..2).map(|index| port(index, Medium::Ethernet, 1500)).collect();
    let (mut first, readers) = Bench::first(DataplaneConfig::default(), &ports);
    let pool = Pool::new(FRAMES).unwrap();
    let mut second = Dataplane::beside(DataplaneConfig::default(), readers, pool.clone(), &ports);
    let mut receives = |now, numbers: &[u8]| -> Vec<Vec<u8>> {
        let frame_of = |&number: &u8| frame(MacAddress::of_multicast(GROUP), PEER, &numbered(KEY, number));
        let mut batch: Batch = numbers.iter().map(|number| pool.copy_of(&frame_of(number)).unwrap()).collect();
        second.forward(now, P0, &mut batch);
        while second.outgoing(P1).pop().is_some() {}
        batch.drain(..).map(|packet| packet.bytes().to_vec()).collect()
    };
    first.apply(set(true, &[]));
    let handed_over = receives(first.now, &[0, 1, 2]);
    assert_eq!(handed_over.len(), 3);
    first.receive_frames(P0, &handed_over[..2]);
    // The last is on its way, and so is the next, when the terminal comes.
    let on_their_way = [&handed_over[2..], &receives(first.now, &[3])].concat();
    first.apply(set(false, &[P1]));
    let later = receives(first.now, &[4]);
    assert_eq!(later.len(), 1, "it does not overtake those on their way");
    first.receive_frames(P0, &on_their_way);
    // Nor does it where the route is set again.
    first.apply(set(false, &[P1]));
    first.receive_frames(P0, &later);
    assert_eq!(left(&mut first, P1), [0, 1, 2, 3, 4]);
    assert_eq!(first.plane.poll_timeout(), Some(first.now + TIME));
    wait(&mut first, TIME);
    assert_eq!(receives(first.now, &[5]).len(), 0, "it is sent on");
    assert_eq!((first.plane.poll_timeout(), first.plane.counters().get(Counter::HoldReleased)), (None, 2));
    assert_eq!(first.plane.mroute(KEY).unwrap().0, Mroute::new(Accept::Port(P0), PortSet::single(P1)));
}
