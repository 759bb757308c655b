//! Routers one behind the other between a host that sends and a host that listens for its source: each datagram comes,
//! and comes once, and nothing is sent any more when the listener has left.

use super::network::{Interface, Kind, Network, NextHop, Plan};
use super::shared_with_frr;
use super::traffic::{Receiver, Sender, assert_each_comes_once, await_traffic};
use std::net::Ipv6Addr;

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0x8000, 0x1234);

/// The chain, in the order that the datagrams take; router `n` is between links `n` and `n + 1`.
fn a_chain_delivers(kinds: &[Kind], next_hop: NextHop) {
    let count = kinds.len() as u16;
    let mut network = Network::new(count + 1);
    let source = network.add_host("source", 1);
    network.add_host("listener", count + 1);
    for (number, &kind) in (1..).zip(kinds) {
        let (up, down) = (number, number + 1);
        let up_leg = Interface { has_routers: number > 1, ..Interface::to_routers(up) };
        let down_leg = if number < count { Interface::to_routers(down) } else { Interface::to_hosts(down) };
        let mut plan = Plan::new(kind, number, vec![up_leg, down_leg]);
        for link in 1..up {
            plan = plan.route(link, up, number - 1, next_hop);
        }
        for link in down + 1..=count + 1 {
            plan = plan.route(link, down, number + 1, next_hop);
        }
        network.add_router(plan);
    }
    for link in 2..=count {
        network.await_neighbors(link);
    }

    let mut sender = Sender::new(network.room(), "source", GROUP);
    let listener = Receiver::join_source(network.room(), "listener", GROUP, source);
    await_traffic("what is sent comes to the listener", &mut sender, &[&listener]);
    for number in 1..=count {
        network.await_branches(number, source, GROUP, &[number + 1]);
    }
    let mut delivered = vec![assert_each_comes_once(&mut sender, &[&listener])];

    drop(listener);
    for number in 1..=count {
        network.await_branches(number, source, GROUP, &[]);
    }
    let unwanted: Vec<u64> = (0..20).map(|_| sender.send()).collect();

    // Once more, with the routers as they are now.
    let listener = Receiver::join_source(network.room(), "listener", GROUP, source);
    await_traffic("what is sent comes to the listener again", &mut sender, &[&listener]);
    delivered.push(assert_each_comes_once(&mut sender, &[&listener]));
    drop(listener);

    let seen = network.finish();
    let all_links: Vec<u16> = (1..=count + 1).collect();
    for number in delivered.into_iter().flatten() {
        assert_eq!(seen.links_of(number), all_links, "links that datagram {number} was seen on");
    }
    for number in unwanted {
        assert_eq!(seen.links_of(number), [1], "links that datagram {number}, which nobody wanted, was seen on");
    }
}

#[test]
fn our_router_is_the_last_hop_of_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    a_chain_delivers(&[Kind::Frr, Kind::Drover], NextHop::LinkLocal);
}

#[test]
fn frrs_router_is_the_last_hop_of_ours() {
    let Some(_shared) = shared_with_frr() else { return };
    a_chain_delivers(&[Kind::Drover, Kind::Frr], NextHop::LinkLocal);
}

#[test]
fn frrs_router_stands_between_ours() {
    let Some(_shared) = shared_with_frr() else { return };
    a_chain_delivers(&[Kind::Drover, Kind::Frr, Kind::Drover], NextHop::Global);
}

#[test]
fn our_router_stands_between_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    a_chain_delivers(&[Kind::Frr, Kind::Drover, Kind::Frr], NextHop::Global);
}
