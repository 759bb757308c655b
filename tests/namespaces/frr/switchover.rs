//! The switch from the shared tree to the source's own (RFC 7761 §4.2.1) at a last hop whose way to the source is another
//! one than its way to the rendezvous point: router 1 has the source on link 1, router 2 is the rendezvous point behind
//! link 2, router 3 has the listener on link 5, the rendezvous point behind link 3 and router 1 behind link 4.
//!
//! ```text
//!  source --1-- r1 --2-- r2 (rendezvous point)
//!                \        |
//!                 4       3
//!                  \      |
//!                   `---- r3 --5-- listener
//! ```
//!
//! And with router 4 on link 3, too, which stays on the shared tree for a listener on link 6: it objects when router 3
//! prunes the source off it.

use super::network::{Interface, Kind, Network, NextHop, Plan, interface, link_local};
use super::seen::Seen;
use super::shared_with_frr;
use super::traffic::{
    Receiver, Sender, Transition, assert_each_comes_once, assert_each_comes_once_for, assert_each_comes_once_until,
    await_traffic, await_traffic_of_transition,
};
use crate::room::until;
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x1234);
/// Between periodic Joins, and how long they hold.
const PERIOD_SECS: u64 = 2;
const HOLDTIME: Duration = Duration::from_secs(PERIOD_SECS * 7 / 2);
/// Between periodic Joins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Period {
    Short,
    /// Of our routers: that of the RFC, so that no Join of theirs comes by chance while a Prune waits for one. FRR's prune a
    /// source off the shared tree with a periodic Join, and object to no Prune otherwise than by theirs.
    LongOfOurs,
}

impl Period {
    fn secs(self, kind: Kind) -> u64 {
        if (self, kind) == (Period::LongOfOurs, Kind::Drover) { 60 } else { PERIOD_SECS }
    }
}

/// Within a period a router prunes, and after both delays that takes effect on a LAN if nobody objects (RFC 7761 §4.11);
/// and what this machine needs beside.
const PRUNE_TAKES: Duration = Duration::from_millis(1000 * PERIOD_SECS + 500 + 2500 + 1000);
/// How many datagrams may be lost or doubled while both trees bring them, which takes as long as a few milliseconds.
const MOST_AT_A_SWITCH: usize = 3;
/// By the shared tree, and by the source's.
const LONG_WAY: [u16; 4] = [1, 2, 3, 5];
const SHORT_WAY: [u16; 3] = [1, 4, 5];

fn plan(kind: Kind, number: u16, legs: Vec<Interface>, period: Period) -> Plan {
    let period_secs = period.secs(kind);
    let mut plan = Plan::new(kind, number, legs);
    plan.has_loopback = true;
    plan.rendezvous_point = Some(2);
    plan.multicast = match kind {
        Kind::Drover => format!("join_prune_period_secs = {period_secs}\n"),
        Kind::Frr => format!(" join-prune-interval {period_secs}\n"),
    };
    plan
}

/// The network, in which the last hop has `more` in its configuration; and the source.
fn triangle(kinds: [Kind; 3], more: &str) -> (Network, Ipv6Addr) {
    triangle_of_links(5, kinds, Period::Short, more)
}

/// The same with further links.
fn triangle_of_links(links: u16, kinds: [Kind; 3], period: Period, more: &str) -> (Network, Ipv6Addr) {
    let mut network = Network::new(links);
    let source = network.add_host("source", 1);
    network.add_host("listener", 5);
    let hosts_only = Interface { has_routers: false, ..Interface::to_routers(1) };
    let [first, second, third] = kinds;
    let hop = NextHop::LinkLocal;
    let legs = vec![hosts_only, Interface::to_routers(2), Interface::to_routers(4)];
    let first = plan(first, 1, legs, period).route(3, 2, 2, hop).route(5, 4, 3, hop);
    network.add_router(first.route_to_router(2, 2, 2, hop).route_to_router(3, 4, 3, hop));
    let legs = vec![Interface::to_routers(2), Interface::to_routers(3)];
    let second = plan(second, 2, legs, period).route(1, 2, 1, hop).route(4, 2, 1, hop).route(5, 3, 3, hop);
    network.add_router(second.route_to_router(1, 2, 1, hop).route_to_router(3, 3, 3, hop));
    let legs = vec![Interface::to_routers(3), Interface::to_routers(4), Interface::to_hosts(5)];
    let mut third = plan(third, 3, legs, period).route(1, 4, 1, hop).route(2, 3, 2, hop);
    third.multicast.push_str(more);
    network.add_router(third.route_to_router(1, 4, 1, hop).route_to_router(2, 3, 2, hop));
    for link in [2, 3, 4] {
        network.await_neighbors(link);
    }
    (network, source)
}

/// The listener joins, and gets what is sent by the shared tree, and then by `links`, each once, for longer than Joins and
/// Prunes hold. What was on the links, and what became of the datagrams meanwhile.
fn all_comes_by(network: Network, source: Ipv6Addr, links: &[u16]) -> (Seen, Transition) {
    let mut sender = Sender::new(network.room(), "source", GROUP);
    let listener = Receiver::join(network.room(), "listener", GROUP);
    network.await_branches(3, Ipv6Addr::UNSPECIFIED, GROUP, &[5]);
    network.await_branches(2, Ipv6Addr::UNSPECIFIED, GROUP, &[3]);
    let forwards = |router: u16, to: &[u16]| {
        let to = to.iter().map(|&link| interface(link)).collect();
        network.routers[&router].branches(source, GROUP) == to
    };
    let is_short = links == SHORT_WAY;
    let transition = await_traffic_of_transition(&mut sender, &listener, || match is_short {
        true => forwards(1, &[4]) && forwards(3, &[5]) && forwards(2, &[]),
        false => forwards(1, &[2]) && forwards(2, &[3]),
    });
    let delivered = assert_each_comes_once_for(HOLDTIME + HOLDTIME / 4, &mut sender, &[&listener]);
    let seen = network.finish();
    for number in delivered {
        assert_eq!(seen.links_of(number), links, "links that datagram {number} was seen on");
        assert!(seen.links_of_registered(number).is_empty(), "datagram {number} was in a Register message");
    }
    (seen, transition)
}

/// What the trees explain: where both bring a datagram, that which comes after the switch by the shared one, or before it by
/// the source's, is dropped, and so is the first of the source's where it is what tells of it; the same at the rendezvous
/// point between Registers and the source's tree. `ways` are the links that datagrams come to that router by.
fn assert_explained(seen: &Seen, transition: &Transition, ways: [u16; 2]) {
    let Transition { lost, doubled, .. } = transition;
    let times = |number: u64| {
        let links = [seen.links_of(number), seen.links_of_registered(number)].concat();
        links.iter().filter(|link| ways.contains(link)).count()
    };
    assert!(lost.iter().all(|&number| times(number) > 0), "lost elsewhere than where the ways meet: {transition:?}");
    assert!(doubled.iter().all(|&number| times(number) > 1), "doubled elsewhere: {transition:?}");
    assert!(lost.len() + doubled.len() <= MOST_AT_A_SWITCH, "{transition:?}");
}

/// Whether router 3 has pruned the source off the shared tree.
fn has_pruned_source(seen: &Seen, source: Ipv6Addr) -> bool {
    seen.rpt_prunes(link_local(3), link_local(2)).any(|pruned| pruned == source)
}

fn the_last_hop_switches_over(kinds: [Kind; 3]) {
    let (network, source) = triangle(kinds, "");
    let (seen, transition) = all_comes_by(network, source, &SHORT_WAY);
    assert!(has_pruned_source(&seen, source));
    assert_explained(&seen, &transition, [3, 4]);
}

#[test]
fn our_last_hop_switches_over_a_core_of_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    the_last_hop_switches_over([Kind::Frr, Kind::Frr, Kind::Drover]);
}

#[test]
fn frrs_last_hop_switches_over_a_core_of_ours() {
    let Some(_shared) = shared_with_frr() else { return };
    the_last_hop_switches_over([Kind::Drover, Kind::Drover, Kind::Frr]);
}

#[test]
fn our_last_hop_stays_on_the_shared_tree_of_frrs_where_it_is_not_to_switch() {
    let Some(_shared) = shared_with_frr() else { return };
    let (network, source) = triangle([Kind::Frr, Kind::Frr, Kind::Drover], "spt_switchover = \"never\"\n");
    let (seen, transition) = all_comes_by(network, source, &LONG_WAY);
    assert!(!has_pruned_source(&seen, source));
    assert_explained(&seen, &transition, [2, 2]);
}

/// Routers `[1, 2, 3, 4]`: the last one's listener loses nothing when router 3 goes over to the source's tree.
fn a_prune_off_the_shared_tree_is_overridden(kinds: [Kind; 4]) {
    let [first, second, third, fourth] = kinds;
    let (mut network, source) = triangle_of_links(6, [first, second, third], Period::LongOfOurs, "");
    network.add_host("listener6", 6);
    let legs = vec![Interface::to_routers(3), Interface::to_hosts(6)];
    let mut plan = plan(fourth, 4, legs, Period::LongOfOurs).route(1, 3, 2, NextHop::LinkLocal);
    plan.multicast += match fourth {
        Kind::Drover => "spt_switchover = \"never\"\n",
        Kind::Frr => " spt-switchover infinity-and-beyond\n",
    };
    network.add_router(plan.route_to_router(2, 3, 2, NextHop::LinkLocal));
    network.await_neighbors(3);

    let mut sender = Sender::new(network.room(), "source", GROUP);
    let stays = Receiver::join(network.room(), "listener6", GROUP);
    network.await_branches(4, Ipv6Addr::UNSPECIFIED, GROUP, &[6]);
    await_traffic("what is sent comes by the shared tree", &mut sender, &[&stays]);
    until("the rendezvous point has the source's tree", || {
        sender.send();
        let out = |router: u16| network.routers[&router].branches(source, GROUP);
        (out(1) == BTreeSet::from([interface(2)]) && out(2) == BTreeSet::from([interface(3)])).then_some(())
    });
    assert_each_comes_once(&mut sender, &[&stays]);
    let switches = Receiver::join(network.room(), "listener", GROUP);
    assert_each_comes_once_until(&mut sender, &[&stays], || {
        network.routers[&3].branches(source, GROUP) == BTreeSet::from([interface(5)])
    });
    let delivered = assert_each_comes_once_for(PRUNE_TAKES, &mut sender, &[&stays, &switches]);
    let seen = network.finish();
    for number in delivered {
        assert_eq!(seen.links_of(number), [1, 2, 3, 4, 5, 6], "links that datagram {number} was seen on");
    }
    assert!(has_pruned_source(&seen, source));
}

#[test]
fn our_router_keeps_a_source_that_frrs_prunes_off_our_shared_tree() {
    let Some(_shared) = shared_with_frr() else { return };
    a_prune_off_the_shared_tree_is_overridden([Kind::Drover, Kind::Drover, Kind::Frr, Kind::Drover]);
}

#[test]
fn frrs_router_keeps_a_source_that_ours_prunes_off_our_shared_tree() {
    let Some(_shared) = shared_with_frr() else { return };
    a_prune_off_the_shared_tree_is_overridden([Kind::Drover, Kind::Drover, Kind::Drover, Kind::Frr]);
}
