//! Any-source trees in motion: registers, the switch to the source's tree, prunes off the shared tree, asserts.

mod net;

use core::net::Ipv6Addr;
use net::data::Origin;
use net::site::{HOST, access, lan_port, mroute, pim_packet, point_to_point};
use net::{DELAY, LinkId, Net, NodeId, Sent, link_local};
use pim::wire::{Assert, EncodedGroup, EncodedSource, GroupSet, JoinPrune, Message, Register, RegisterStop};
use pim::{AssertState, Command, Config, InterfaceConfig, RegisterState, RouteMetric, SptSwitchover};
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::tables::{Accept, MrouteKey, Route};
use stack::time::Duration;
use stack::wire::build::PacketBuilder;
use stack::wire::checksum;
use stack::wire::ipv6::protocol;

const P0: PortId = PortId(0);
const P1: PortId = PortId(1);
const P2: PortId = PortId(2);
/// Of node 2: `2001:db8::5`, and the group that names it.
const RP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff75, 0x520, 0x2001, 0xdb8, 0, 0, 0, 1);
/// A host on the source's link.
const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x99);
const ANY: MrouteKey = MrouteKey { source: Ipv6Addr::UNSPECIFIED, group: GROUP };
const KEY: MrouteKey = MrouteKey { source: SOURCE, group: GROUP };

fn address(node: NodeId) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, node as u16)
}

/// The source's link (0) at router 0; core router 1; the rendezvous point 2 behind it; access router 3 behind it with a
/// host's link. Links: 0 the source's, 1 between 0 and 1, 2 between 1 and 2, 3 between 1 and 3, 4 the host's.
fn domain(spt: &SptSwitchover) -> Net {
    domain_with(|config| config.spt_switchover = spt.clone())
}

fn domain_with(edit: impl Fn(&mut Config)) -> Net {
    let mut net = Net::default();
    let config = |interfaces: Vec<InterfaceConfig>, node: NodeId| {
        let seed = node as u64 + 1;
        let mut config = Config { register_source: Some(address(node)), ..Config::new(interfaces, seed) };
        edit(&mut config);
        config
    };
    net.add_node(config(vec![lan_port(0, P0), point_to_point(0, P1)], 0));
    net.add_node(config(vec![point_to_point(1, P0), point_to_point(1, P1), point_to_point(1, P2)], 1));
    net.add_node(config(vec![point_to_point(2, P0)], 2));
    net.add_node(config(vec![point_to_point(3, P0), access(3, P1)], 3));
    net.add_link(&[(0, P0)]);
    net.add_link(&[(0, P1), (1, P0)]);
    net.add_link(&[(1, P1), (2, P0)]);
    net.add_link(&[(1, P2), (3, P0)]);
    let hosts = net.add_link(&[(3, P1)]);
    net.add_host(hosts, HOST);
    let source: Prefix = "2001:db8:a::/64".parse().unwrap();
    for (node, to_source, to_point) in [
        (0, Route::OnLink(P0), via(P1, 1, P0)),
        (1, via(P0, 0, P1), via(P1, 2, P0)),
        (2, via(P0, 1, P1), Route::Local),
        (3, via(P0, 1, P2), via(P0, 1, P2)),
    ] {
        net.command(node, Command::RouteSet(source, to_source));
        net.command(node, Command::RouteSet(Prefix::host(RP), to_point));
        net.command(node, Command::RouteSet(Prefix::host(address(node)), Route::Local));
    }
    net.link_up_all();
    net.run_for(Duration::from_secs(20));
    net
}

const SOURCE_LINK: LinkId = 0;
const HOST_LINK: LinkId = 4;

/// Sends a packet every 100 ms for that long. Answers how often the packets came to this link.
fn stream(net: &mut Net, from: Origin, key: MrouteKey, to: LinkId, duration: Duration) -> Vec<usize> {
    let end = net.now + duration;
    let mut sent = Vec::new();
    while net.now < end {
        sent.push(net.send(from, key));
        net.run_for(Duration::from_millis(100));
    }
    net.run_for(DELAY * 10);
    sent.into_iter().map(|number| net.arrivals(number).get(&to).copied().unwrap_or(0)).collect()
}

/// A PIM message of this type from one address to another.
fn unicast(from: Ipv6Addr, to: Ipv6Addr, kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = vec![0x20 | kind, 0, 0, 0];
    body(&mut message);
    PacketBuilder::new(from, to).checksummed(protocol::PIM, message, 2)
}

fn register_state(net: &Net) -> Option<RegisterState> {
    Some(net.nodes[0].router.entry(KEY)?.shared?.register)
}

fn counter(net: &Net, node: NodeId, name: &str) -> u64 {
    net.nodes[node].router.counters().iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name}")).1
}

#[test]
fn a_source_is_registered_then_joined_by_the_rendezvous_point_and_then_by_its_members() {
    let mut net = domain(&SptSwitchover::Always);
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    assert_eq!(net.mroute(2, ANY), mroute(Accept::RendezvousPoint, &[P0]));
    let copies = stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(3));
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
    assert!(net.data.registered > 0);
    assert_eq!(register_state(&net), Some(RegisterState::Prune));
    // All of them are on the source's tree, and the rendezvous point has pruned itself off it.
    let shared = |net: &Net, node: NodeId| net.nodes[node].router.entry(KEY).and_then(|entry| entry.shared);
    for node in [0, 1, 3] {
        assert!(shared(&net, node).unwrap().spt_bit, "node {node}");
    }
    let route = net.mroute(1, KEY).unwrap();
    assert_eq!((route.accept, route.forward.iter().collect()), (Accept::Port(P0), vec![P2]));
    let registered = net.data.registered;
    let copies = stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(300));
    assert!(copies.iter().all(|&copies| copies == 1));
    assert_eq!(net.data.registered, registered, "Null-Registers keep the tunnel closed");
    assert!(counter(&net, 0, "tx-null-register") >= 3);
    assert!(counter(&net, 2, "rx-register") > counter(&net, 0, "tx-null-register"));
    // The member leaves; the source goes on and costs nothing but Null-Registers.
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, false);
    let copies = stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(300));
    assert_eq!(copies.iter().skip(50).sum::<usize>(), 0);
    assert_eq!(net.data.registered, registered);
    assert_eq!((net.nodes[3].router.entry_count(), net.nodes[1].router.entry_count()), (0, 0));
    // It falls silent: the state goes.
    net.run_for(Duration::from_secs(500));
    assert!(net.nodes.iter().all(|node| node.mroutes.is_empty() && node.router.entry_count() == 0));
    assert_eq!(net.data.loops, 0);
}

#[test]
fn without_switching_all_packets_come_by_the_shared_tree() {
    let mut net = domain(&SptSwitchover::Never);
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    let copies = stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(250));
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
    assert_eq!(net.data.registered as usize, copies.len());
    assert_eq!(register_state(&net), Some(RegisterState::Join));
    assert_eq!(net.nodes[3].router.entry_count(), 1);
}

/// The rendezvous point joins the source at once; terminals' groups stay on the shared tree at their access routers.
#[test]
fn the_rendezvous_point_alone_switches() {
    let mut net = domain_with(|config| config.mobility_ranges = vec!["ff75:520:2001:db8::/64".parse().unwrap()]);
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    let copies = stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(300));
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
    assert_eq!(register_state(&net), Some(RegisterState::Prune));
    assert!(net.nodes[3].router.entry(KEY).is_none());
    // The core router has both trees, and has pruned the source off the one by way of the rendezvous point.
    let forwards = |net: &Net, node| net.mroute(node, KEY).map(|route| (route.accept, route.forward.iter().collect()));
    assert_eq!(forwards(&net, 1), Some((Accept::Port(P0), vec![P2])));
    assert_eq!(forwards(&net, 2), Some((Accept::RendezvousPoint, vec![])));
    // A range of its own keeps even the rendezvous point from it.
    let mut net = domain(&SptSwitchover::Groups(vec!["ff15::/16".parse().unwrap()]));
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(3));
    assert_eq!(register_state(&net), Some(RegisterState::Join));
}

#[test]
fn a_source_without_members_is_registered_and_stopped_at_once() {
    let mut net = domain(&SptSwitchover::Immediate);
    stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(100));
    assert_eq!(register_state(&net), Some(RegisterState::Prune));
    assert!(net.data.registered <= 2, "{}", net.data.registered);
    // A member that comes gets the packets without waiting for the register timers: the rendezvous point knows the source.
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 8);
    let copies = stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(2));
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
}

/// A lost Register-Stop is asked for again; lost Null-Registers open the tunnel.
#[test]
fn the_tunnel_opens_where_the_rendezvous_point_is_not_heard() {
    let mut net = domain(&SptSwitchover::Immediate);
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(5));
    let before = net.data.registered;
    net.lose = Some(|sent| sent.packet[40] == 0x22);
    stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(100));
    assert!(net.data.registered > before);
    assert_eq!(register_state(&net), Some(RegisterState::Join));
    net.lose = None;
    let copies = stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(3));
    assert_eq!(register_state(&net), Some(RegisterState::Prune));
    // What comes out of the tunnel beside the native packets is not forwarded.
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
}

#[test]
fn register_stops_of_others_and_registers_for_others_are_refused() {
    let mut net = domain(&SptSwitchover::Never);
    net.set_listening(HOST_LINK, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    stream(&mut net, Origin::Link(SOURCE_LINK), KEY, HOST_LINK, Duration::from_secs(1));
    assert_eq!(register_state(&net), Some(RegisterState::Join));
    let stop = |from: Ipv6Addr, to: Ipv6Addr, source: Ipv6Addr| {
        unicast(from, to, 2, |into| RegisterStop { group: GROUP, source }.emit(into))
    };
    net.inject(0, P1, &stop(address(3), address(0), SOURCE));
    assert_eq!((register_state(&net), counter(&net, 0, "drop-pim-register-stop")), (Some(RegisterState::Join), 1));
    net.inject(0, P1, &stop(RP, address(0), Ipv6Addr::UNSPECIFIED));
    assert_eq!(register_state(&net), Some(RegisterState::Prune), "of all sources that there are");

    let register = |to: Ipv6Addr, source: Ipv6Addr, group: Ipv6Addr| {
        let mut message = vec![0x21, 0, 0, 0];
        Register::emit_null(source, group, &mut message);
        let sum = checksum::upper_layer(address(0), to, protocol::PIM, &message[..8]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        PacketBuilder::new(address(0), to).payload(protocol::PIM, &message)
    };
    let other: Ipv6Addr = "ff75:520:2001:db9::1".parse().unwrap();
    let start = net.now;
    net.inject(2, P0, &register(RP, SOURCE, other));
    net.inject(2, P0, &register(address(2), SOURCE, GROUP));
    assert_eq!(counter(&net, 2, "register-not-rendezvous-point"), 2);
    let answers = net.sent.iter().filter(|sent| sent.at >= start && sent.node == 2).filter_map(Sent::pim);
    let stops = [other, GROUP].map(|group| Message::RegisterStop(RegisterStop { group, source: SOURCE }));
    assert!(answers.eq(stops));
    let before = counter(&net, 2, "drop-pim-register");
    for (to, source, group) in [
        (RP, RP, GROUP),
        (RP, "fe80::1".parse().unwrap(), GROUP),
        (RP, GROUP, GROUP),
        (RP, SOURCE, "ff02::1".parse().unwrap()),
        (RP, SOURCE, SOURCE),
        (address(3), SOURCE, GROUP),
    ] {
        net.inject(2, P0, &register(to, source, group));
    }
    assert_eq!(counter(&net, 2, "drop-pim-register"), before + 6);
    assert_eq!(net.nodes[2].router.entry_count(), 1);
}

/// Sources that packets or Register messages make known are bounded.
#[test]
fn so_many_sources() {
    let mut net = domain_with(|config| config.limits.sources = 5);
    for number in 0..20 {
        let source = Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 1, number);
        net.send(Origin::Link(SOURCE_LINK), MrouteKey { source, group: GROUP });
    }
    net.run_for(DELAY * 5);
    assert_eq!((net.nodes[0].router.entry_count(), counter(&net, 0, "drop-pim-source-limit")), (5, 15));
    net.run_for(Duration::from_secs(211));
    assert_eq!(net.nodes[0].router.entry_count(), 0);
    net.send(Origin::Link(SOURCE_LINK), KEY);
    net.run_for(DELAY * 5);
    assert_eq!(net.nodes[0].router.entry_count(), 1, "there is room again");
}

/// Routers 0 and 1 both reach the source's link (0), and both forward onto a LAN (1) with router 2, whose hosts are on link
/// 2, and router 3, whose hosts are on link 3. `next` says whom 2 and 3 take for the next hop to the source.
fn two_forwarders(next: [NodeId; 2], edit: impl Fn(NodeId, &mut Config)) -> Net {
    let mut net = Net::default();
    let mut add = |node: NodeId, interfaces| {
        let mut config = Config::new(interfaces, node as u64 + 1);
        edit(node, &mut config);
        net.add_node(config);
    };
    add(0, vec![lan_port(0, P0), lan_port(0, P1)]);
    add(1, vec![lan_port(1, P0), lan_port(1, P1)]);
    add(2, vec![lan_port(2, P0), access(2, P1)]);
    add(3, vec![lan_port(3, P0), access(3, P1)]);
    net.add_link(&[(0, P0), (1, P0)]);
    net.add_link(&[(0, P1), (1, P1), (2, P0), (3, P0)]);
    for node in [2, 3] {
        let link = net.add_link(&[(node, P1)]);
        net.add_host(link, HOST);
    }
    let source: Prefix = "2001:db8:a::/64".parse().unwrap();
    for node in [0, 1] {
        net.command(node, Command::RouteSet(source, Route::OnLink(P0)));
        net.command(node, Command::RouteSet(Prefix::host(RP), if node == 0 { Route::Local } else { via(P0, 0, P0) }));
    }
    for (node, next) in [(2, next[0]), (3, next[1])] {
        net.command(node, Command::RouteSet(source, via(P0, next, P1)));
        net.command(node, Command::RouteSet(Prefix::host(RP), via(P0, next, P1)));
    }
    net.link_up_all();
    net.run_for(Duration::from_secs(20));
    net
}

fn via(port: PortId, node: NodeId, at: PortId) -> Route {
    Route::Via { port, next_hop: link_local(node, at) }
}

const SSM: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1);
const SSM_KEY: MrouteKey = MrouteKey { source: SOURCE, group: SSM };

/// Two routers were asked by two: after the first packet one of them forwards onto the link, and whoever asked the other
/// one asks it.
#[test]
fn of_two_forwarders_the_assert_chooses_one() {
    // By the metric, and where that is equal by the address.
    for (better, winner) in [(None, 1), (Some(0), 0)] {
        let mut net = two_forwarders([0, 1], |_, _| {});
        if let Some(other) = better {
            let worse =
                Command::RouteMetric("2001:db8:a::/64".parse().unwrap(), RouteMetric { preference: 9, metric: 1 });
            net.command(1 - other, Command::RouteSet("2001:db8:a::/64".parse().unwrap(), via(P0, other, P0)));
            net.command(1 - other, worse);
        }
        for link in [2, 3] {
            net.set_listening(link, 0, SSM, SOURCE, true);
        }
        net.run_for(DELAY * 5);
        let origin = Origin::Link(0);
        let first = net.send(origin, SSM_KEY);
        net.run_for(DELAY * 5);
        assert_eq!(net.arrivals(first)[&1], 2, "nobody knows of the other before the first packet");
        let loser = 1 - winner;
        let state = |net: &Net, node: NodeId| {
            net.nodes[node].router.entry(SSM_KEY).and_then(|entry| Some(entry.asserts.first()?.1))
        };
        assert_eq!(state(&net, winner), Some(AssertState::Winner));
        assert!(
            matches!(state(&net, loser), Some(AssertState::Loser { winner: address, .. }) if address == link_local(winner, P1))
        );
        for link in [2, 3] {
            let copies = stream(&mut net, origin, SSM_KEY, link, Duration::from_secs(200));
            assert!(copies.iter().all(|&copies| copies == 1), "{better:?}: {copies:?}");
        }
        // Both ask the winner, and the loser has nothing to do any more.
        for node in [2, 3] {
            let entry = net.nodes[node].router.entry(SSM_KEY).unwrap();
            assert_eq!(entry.upstream_neighbor.map(|n| n.address), Some(link_local(winner, P1)), "{node}");
        }
        assert_eq!(net.mroute(loser, SSM_KEY).map(|route| route.forward.is_empty()), None, "{loser}");
        // The winner goes: the other one is asked, and forwards.
        net.command(winner, Command::LinkDown(P1));
        net.links[1].down.insert(winner);
        for node in [2, 3] {
            net.command(node, Command::RouteSet("2001:db8:a::/64".parse().unwrap(), via(P0, loser, P1)));
        }
        net.run_for(Duration::from_secs(120));
        for link in [2, 3] {
            let copies = stream(&mut net, origin, SSM_KEY, link, Duration::from_secs(5));
            assert!(copies.iter().all(|&copies| copies == 1), "{better:?}: {copies:?}");
        }
    }
}

/// A winner that is asked no longer says so: nothing is left of the assert.
#[test]
fn a_winner_that_stops_cancels() {
    let mut net = two_forwarders([0, 1], |_, _| {});
    for link in [2, 3] {
        net.set_listening(link, 0, SSM, SOURCE, true);
    }
    net.run_for(DELAY * 5);
    net.send(Origin::Link(0), SSM_KEY);
    net.run_for(Duration::from_secs(10));
    for link in [2, 3] {
        net.set_listening(link, 0, SSM, SOURCE, false);
    }
    net.run_for(Duration::from_secs(20));
    assert_eq!((counter(&net, 0, "tx-assert-cancel"), counter(&net, 1, "tx-assert-cancel")), (0, 1));
    assert!(net.nodes.iter().all(|node| node.router.entry_count() == 0));
}

/// Hosts directly on the link of two routers: the designated one forwards for them, until the other one wins an assert.
#[test]
fn the_winner_of_an_assert_serves_local_members() {
    let mut net = Net::default();
    for node in [0, 1] {
        let lan = InterfaceConfig { dr_priority: if node == 0 { 9 } else { 1 }, ..access(node, P1) };
        net.add_node(Config::new(vec![lan_port(node, P0), lan], node as u64 + 1));
    }
    net.add_node(Config::new(vec![lan_port(2, P0)], 3));
    net.add_link(&[(0, P0), (1, P0)]);
    net.add_link(&[(0, P1), (1, P1), (2, P0)]);
    net.add_host(1, HOST);
    let source: Prefix = "2001:db8:a::/64".parse().unwrap();
    for node in [0, 1] {
        net.command(node, Command::RouteSet(source, Route::OnLink(P0)));
    }
    net.command(2, Command::RouteSet(source, via(P0, 1, P1)));
    net.link_up_all();
    net.run_for(Duration::from_secs(20));
    net.set_listening(1, 0, SSM, SOURCE, true);
    net.run_for(DELAY * 5);
    let include =
        |net: &Net, node: NodeId| net.nodes[node].router.entry(SSM_KEY).is_some_and(|entry| entry.include.contains(P1));
    assert!(include(&net, 0) && !include(&net, 1), "the designated router");
    // Router 2 has a member behind it somewhere and asks router 1, whose address is the higher one.
    let join = JoinPrune {
        upstream_neighbor: link_local(1, P1),
        holdtime: 65535,
        groups: vec![GroupSet {
            group: EncodedGroup::host(SSM),
            joined: vec![EncodedSource::host(SOURCE)],
            pruned: vec![],
        }],
    };
    net.inject(1, P1, &pim_packet(link_local(2, P0), 3, |into| join.emit(into)));
    let first = net.send(Origin::Link(0), SSM_KEY);
    net.run_for(DELAY * 5);
    assert_eq!(net.arrivals(first)[&1], 2);
    assert!(!include(&net, 0) && include(&net, 1), "the winner");
    let copies = stream(&mut net, Origin::Link(0), SSM_KEY, 1, Duration::from_secs(300));
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
    // The winner is gone for long enough: the designated router serves them again.
    net.command(1, Command::LinkDown(P1));
    net.links[1].down.insert(1);
    net.run_for(Duration::from_secs(110));
    let copies = stream(&mut net, Origin::Link(0), SSM_KEY, 1, Duration::from_secs(5));
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
}

/// The winner of both trees of a source dies: the trees move together, and no router is asked for the one without the
/// other; nothing is said to the dead one.
#[test]
fn both_trees_leave_a_dead_winner_at_once() {
    let mut net = two_forwarders([0, 0], |_, config| config.spt_switchover = SptSwitchover::Always);
    net.set_listening(2, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    stream(&mut net, Origin::Link(0), KEY, 2, Duration::from_secs(1));
    for (source, rpt) in [(Ipv6Addr::UNSPECIFIED, true), (SOURCE, false)] {
        let assert = Assert { group: GROUP, source, rpt, metric_preference: 0, metric: 0 };
        net.inject(2, P0, &pim_packet(link_local(1, P1), 5, |into| assert.emit(into)));
    }
    let upstream = |net: &Net, key| net.nodes[2].router.entry(key).unwrap().upstream_neighbor.unwrap().address;
    assert_eq!([ANY, KEY].map(|key| upstream(&net, key)), [link_local(1, P1); 2]);
    net.run_for(Duration::from_secs(5));
    net.command(1, Command::LinkDown(P1));
    net.links[1].down.insert(1);
    let left = net.now;
    let mut lost = net.now;
    while upstream(&net, KEY) == link_local(1, P1) {
        assert!(net.now < left + Duration::from_secs(106), "its Hello ends");
        lost = net.now;
        net.run_for(DELAY);
    }
    net.run_for(Duration::from_secs(5));
    assert_eq!([ANY, KEY].map(|key| upstream(&net, key)), [link_local(0, P1); 2]);
    let asked = net.sent.iter().filter(|sent| sent.node == 2 && sent.at >= left);
    for (at, message) in asked.filter_map(|sent| Some((sent.at, sent.join_prune()?))) {
        assert!(at < lost || message.upstream_neighbor == link_local(0, P1), "{message:?}");
        for set in message.groups {
            let of_source = |source: &EncodedSource| source.rpt && !source.wildcard;
            assert!(!set.joined.iter().chain(&set.pruned).any(of_source), "{set:?}");
        }
    }
}

/// One access router has switched to the source's tree and prunes the source off the shared tree, which another one on the
/// same link still needs: it overrides.
#[test]
fn a_prune_off_the_shared_tree_is_overridden_on_a_lan() {
    // Routers 2 and 3 ask router 0, the rendezvous point, for the shared tree, and router 1 for the source.
    let mut net = two_forwarders([0, 0], |node, config| {
        config.spt_switchover = if node == 3 { SptSwitchover::Never } else { SptSwitchover::Always };
    });
    let source: Prefix = "2001:db8:a::/64".parse().unwrap();
    net.command(2, Command::RouteSet(source, via(P0, 1, P1)));
    net.set_listening(3, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(DELAY * 5);
    let copies = stream(&mut net, Origin::Link(0), KEY, 3, Duration::from_secs(5));
    assert!(copies.iter().all(|&copies| copies == 1), "{copies:?}");
    // Now somebody behind router 2 listens too, and that router switches.
    net.set_listening(2, 0, GROUP, Ipv6Addr::UNSPECIFIED, true);
    net.run_for(Duration::from_secs(1));
    for link in [2, 3] {
        let copies = stream(&mut net, Origin::Link(0), KEY, link, Duration::from_secs(100));
        let (settling, settled) = copies.split_at(60);
        assert!(settling.iter().all(|&copies| copies >= 1), "nothing is lost on {link}: {settling:?}");
        assert!(settled.iter().all(|&copies| copies == 1), "nothing is doubled on {link}: {settled:?}");
    }
}
