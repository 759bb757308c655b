//! Routers that start anew, links that flap, neighbours that are heard late: trees are where they were as soon as
//! anything can be said.

mod net;

use core::net::Ipv6Addr;
use net::site::{HOST, LINK_A, LINK_B, P0, P1, P2, Trees, access, mroute, point_to_point, restart};
use net::{DELAY, Net, NodeId, Sent, link_local};
use pim::wire::Message;
use pim::{Command, Config, Event, InterfaceConfig, RpfInfo};
use stack::machine::PortId;
use stack::tables::{Accept, MrouteKey, Route};
use stack::time::Duration;

const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);
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
