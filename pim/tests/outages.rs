//! Routers that start anew, links that flap, neighbours that are heard late: trees are where they were as soon as
//! anything can be said. Links whose MTU changes: what is said fits them.

mod net;

use core::net::Ipv6Addr;
use net::site::{HOST, LINK_A, LINK_B, P0, P1, P2, Trees, access, mroute, point_to_point, restart};
use net::{DELAY, Net, NodeId, Sent, link_local};
use pim::wire::Message;
use pim::{Command, Config, Event, InterfaceConfig, Limits, RpfInfo};
use stack::machine::PortId;
use stack::tables::{Accept, MrouteKey, Route};
use stack::time::Duration;
use stack::wire::mld::{Record, RecordType};

const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
/// A group whose listeners are asked before it is left.
const OTHER: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 1, 0, 0, 0, 0, 1);
const KEY: MrouteKey = MrouteKey { source: SOURCE, group: GROUP };
const TREES: Trees = Trees { range: "ff35::/64", roots: &[SOURCE] };

/// Where each node of a site looks for the source: its port, and the next router.
const WAYS: [Option<(PortId, NodeId, PortId)>; 4] = [None, Some((P0, 0, P0)), Some((P0, 1, P1)), Some((P0, 1, P2))];

fn find_source(net: &mut Net, node: NodeId) {
    match WAYS[node] {
        None => TREES.route(net, node, Route::Local),
        Some((port, next, its_port)) => TREES.via(net, node, port, link_local(next, its_port)),
    }
}

fn interfaces(node: NodeId) -> Vec<InterfaceConfig> {
    match node {
        0 => vec![point_to_point(0, P0)],
        1 => vec![point_to_point(1, P0), point_to_point(1, P1), point_to_point(1, P2)],
        _ => vec![point_to_point(node, P0), access(node, P1)],
    }
}

/// A site where both host links want the group.
fn wanted_on_both() -> Net {
    let mut net = TREES.site();
    for link in [LINK_A, LINK_B] {
        net.set_listening(link, 0, GROUP, SOURCE, true);
    }
    net.run_for(Duration::from_secs(1));
    assert_whole(&net);
    net
}

#[track_caller]
fn assert_whole(net: &Net) {
    assert_eq!(net.walk(0, KEY), [(0, 1), (1, 1), (2, 1), (LINK_A, 1), (LINK_B, 1)].into());
    for (node, way) in (0..).zip(WAYS) {
        let expected = way.map(|(port, next, its_port)| {
            let next_hop = link_local(next, its_port);
            RpfInfo::Via { port, next_hop, neighbor: Some(next_hop) }
        });
        let found = net.nodes[node].router.entry(KEY).map(|entry| entry.rpf);
        assert!(expected.is_none() || found == expected, "{node} has {found:?}");
    }
}

#[test]
fn whoever_restarts_the_tree_is_back_at_once() {
    for node in 0..4 {
        for seed in 0..8 {
            let mut net = wanted_on_both();
            let config = Config { seed, ..TREES.config(interfaces(node)) };
            restart(&mut net, node, config, |net| find_source(net, node));
            // Its Hello and its query, the answers, its join, and at most one more.
            net.run_for(DELAY * 4);
            assert_whole(&net);
        }
    }
}

#[test]
fn a_restarted_neighbor_is_told_of() {
    let mut net = wanted_on_both();
    restart(&mut net, 1, Config { seed: 4711, ..TREES.config(interfaces(1)) }, |net| find_source(net, 1));
    net.run_for(DELAY * 3);
    assert_whole(&net);
    let restarted = |event: &&Event| matches!(event, Event::NeighborRestarted { .. });
    for node in [0, 2, 3] {
        assert_eq!(net.nodes[node].events.iter().filter(restarted).count(), 1, "{node}");
    }
}

/// The route to the source is known again before or after the neighbour on the link is: what is found with one of them
/// is completed by the other.
#[test]
fn an_uplink_that_flaps_leads_to_the_source_again() {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum RouteReturns {
        WasNeverGone,
        BeforeTheLink,
        BeforeTheNeighbor,
        AfterTheNeighbor,
    }
    use RouteReturns::{AfterTheNeighbor, BeforeTheLink, BeforeTheNeighbor, WasNeverGone};
    let hello = |sent: &Sent| matches!(sent.pim(), Some(Message::Hello(_)));
    for node in [1, 2] {
        for returns in [WasNeverGone, BeforeTheLink, BeforeTheNeighbor, AfterTheNeighbor] {
            let mut net = wanted_on_both();
            let (port, next, its_port) = WAYS[node].unwrap();
            for _ in 0..3 {
                net.command(node, Command::LinkDown(port));
                net.command(next, Command::LinkDown(its_port));
                if returns != WasNeverGone {
                    net.command(node, Command::RouteRemove(stack::addr::Prefix::host(SOURCE)));
                }
                net.run_for(Duration::from_millis(300));
                if returns == BeforeTheLink {
                    find_source(&mut net, node);
                }
                // The neighbour is not heard until its next Hello.
                net.lose = (returns != AfterTheNeighbor).then_some(hello);
                net.command(node, Command::LinkUp(port));
                net.command(next, Command::LinkUp(its_port));
                net.run_for(Duration::from_secs(2));
                if matches!(returns, BeforeTheNeighbor | AfterTheNeighbor) {
                    find_source(&mut net, node);
                }
                net.run_for(Duration::from_secs(2));
                net.lose = None;
                net.run_for(InterfaceConfig::HELLO_PERIOD + DELAY * 3);
                assert_whole(&net);
            }
        }
    }
}

#[test]
fn a_join_waits_for_the_hello_of_its_neighbor() {
    let mut net = wanted_on_both();
    net.links[0].down.insert(0);
    net.command(0, Command::LinkDown(P0));
    net.run_for(Duration::from_secs(106));
    let rpf = net.nodes[1].router.entry(KEY).unwrap().rpf;
    assert_eq!(rpf, RpfInfo::Via { port: P0, next_hop: link_local(0, P0), neighbor: None });
    let start = net.now;
    net.links[0].down.remove(&0);
    net.command(0, Command::LinkUp(P0));
    net.run_for(DELAY * 2);
    assert_whole(&net);
    // The new neighbour hears a Hello before the join.
    let messages: Vec<_> =
        net.sent.iter().filter(|s| s.at > start && s.node == 1 && s.port == P0).filter_map(Sent::pim).collect();
    assert!(matches!(messages[..], [Message::Hello(_), Message::JoinPrune(_)]), "{messages:?}");
}

/// A link-local address says nothing without its link: what a host says on one has nothing to do with the host that has
/// the same address on another, whichever link's number anybody put to it.
#[test]
fn hosts_of_two_links_may_have_one_address() {
    let mut net = Net::default();
    net.add_node(TREES.config(vec![access(0, P0), access(0, P1)]));
    let links = [P0, P1].map(|port| net.add_link(&[(0, port)]));
    for link in links {
        net.add_host(link, HOST);
    }
    TREES.route(&mut net, 0, Route::Local);
    net.link_up_all();
    for link in links {
        net.set_listening(link, 0, GROUP, SOURCE, true);
    }
    net.run_for(DELAY);
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P0, P1]));
    net.set_listening(links[0], 0, GROUP, SOURCE, false);
    net.run_for(DELAY);
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P1]));
    net.run_for(Duration::from_secs(600));
    assert_eq!(net.mroute(0, KEY), mroute(Accept::Local, &[P1]), "it goes on answering on its own link");
    net.set_listening(links[1], 0, GROUP, SOURCE, false);
    net.run_for(DELAY);
    assert_eq!(net.mroute(0, KEY), None);
}

/// Joins are packed, and queries filled, up to the MTU that the link has then.
#[test]
fn messages_fit_the_mtu_as_it_is() {
    const SOURCES: u16 = 85;
    let mut net = Net::default();
    net.add_node(TREES.config(vec![point_to_point(0, P0)]));
    let config = TREES.config(vec![point_to_point(1, P0), access(1, P1)]);
    let limits = Limits { sources_per_group: usize::from(SOURCES), ..config.limits };
    net.add_node(Config { limits, ..config });
    net.add_link(&[(0, P0), (1, P0)]);
    let hosts = net.add_link(&[(1, P1)]);
    net.add_host(hosts, HOST);
    TREES.route(&mut net, 0, Route::Local);
    TREES.via(&mut net, 1, P0, link_local(0, P0));
    net.link_up_all();
    net.run_for(Duration::from_secs(20));
    let set_mtu = |net: &mut Net, mtu: usize| {
        for port in [P0, P1] {
            net.command(1, Command::Mtu { port, mtu });
        }
    };
    // What leaves by a port while 40 groups are joined and left, and while 85 sources of another group are.
    let largest = |net: &mut Net| {
        let since = net.now;
        for kind in [RecordType::AllowNewSources, RecordType::BlockOldSources] {
            let group = |n: u16| Ipv6Addr::from_bits(GROUP.to_bits() + u128::from(n));
            let one = |n| Record { kind, group: group(n), sources: vec![SOURCE] };
            net.report(hosts, HOST, (0..40).map(one).collect());
            let source = |n| Ipv6Addr::from_bits(SOURCE.to_bits() + u128::from(n));
            let many = Record { kind, group: OTHER, sources: (0..SOURCES).map(source).collect() };
            net.report(hosts, HOST, vec![many]);
            net.run_for(Duration::from_secs(5));
        }
        let largest = |port| {
            let sent = net.sent.iter().filter(|sent| sent.at >= since && (sent.node, sent.port) == (1, port));
            sent.map(|sent| sent.packet.len()).max().unwrap()
        };
        [largest(P0), largest(P1)]
    };
    let at_first = largest(&mut net);
    assert!(at_first.iter().all(|length| (1300..=1500).contains(length)), "{at_first:?}");
    set_mtu(&mut net, 1300);
    let small = largest(&mut net);
    assert!(small.iter().all(|length| (1200..=1300).contains(length)), "{small:?}");
    set_mtu(&mut net, 1500);
    assert_eq!(largest(&mut net), at_first);
}
