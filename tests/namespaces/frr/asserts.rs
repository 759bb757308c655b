//! Two routers that forward onto one LAN, FRR's router 2 and our router 3: the Assert chooses the one whose route is worth
//! more (RFC 7761 §4.6), and the other one goes on when that one dies. Router 1, the rendezvous point, has the source. Of
//! the routers behind the LAN, ours takes the loser for its next hop, so that it has to follow the Assert. FRR's takes the
//! winner, and the other one when that is dead, as if a unicast protocol had said so.
//!
//! ```text
//!                            ,-- r2 (FRR) ---.      ,-- r4 (ours) --4-- listener4
//!  source --1-- r1 (ours) --2                3-----+
//!                            `-- r3 (ours) --'      `-- r5 (FRR) ---5-- listener5
//! ```

use super::network::{Interface, Kind, Network, NextHop, Plan, Worth, interface, link_local, loopback, prefix};
use super::shared_with_frr;
use super::traffic::{Receiver, Sender, assert_each_comes_once, await_traffic};
use crate::room::{until, until_within};
use std::net::Ipv6Addr;
use std::time::Duration;

const ANY_SOURCE: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x1234);
const SOURCE_SPECIFIC: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0x8000, 0x1234);
/// What the first datagram of the second group is numbered.
const SECOND: u64 = 1 << 32;
const FRRS: u16 = 2;
const OURS: u16 = 3;
/// Neighbours that say nothing for three and a half times of this are none.
const HELLO_PERIOD_SECS: u16 = 1;
/// Joins that are not repeated for three and a half times of this are none.
const JOIN_PERIOD_SECS: u16 = 2;
/// pim6d looks once in 31 s whether packets have come by a source's tree, and asserts nothing before.
const FRRS_LOOK: Duration = Duration::from_secs(45);

/// The network, with what the routes of the two forwarders to the source and the rendezvous point are worth, so that
/// `winner` is the better one; and the source.
fn two_forwarders(switchover: Switchover, frrs: Worth, ours: Worth, winner: u16) -> (Network, Ipv6Addr) {
    let mut network = Network::new(5);
    let source = network.add_host("source", 1);
    network.add_host("listener4", 4);
    network.add_host("listener5", 5);
    let to_routers = |link| Interface { hello_period_secs: HELLO_PERIOD_SECS, ..Interface::to_routers(link) };
    let hop = NextHop::LinkLocal;
    let plan = |kind, number, legs| {
        let mut plan = Plan::new(kind, number, legs);
        plan.rendezvous_point = Some(1);
        plan.multicast = match kind {
            Kind::Drover => format!("join_prune_period_secs = {JOIN_PERIOD_SECS}\n"),
            Kind::Frr => format!(" join-prune-interval {JOIN_PERIOD_SECS}\n"),
        };
        plan.multicast += match (switchover, kind) {
            (Switchover::Immediate, _) => "",
            (Switchover::Never, Kind::Drover) => "spt_switchover = \"never\"\n",
            (Switchover::Never, Kind::Frr) => " spt-switchover infinity-and-beyond\n",
        };
        plan
    };
    let hosts_only = Interface { has_routers: false, ..Interface::to_routers(1) };
    let mut first = plan(Kind::Drover, 1, vec![hosts_only, to_routers(2)]);
    first.has_loopback = true;
    network.add_router(first.route(3, 2, OURS, hop).route(4, 2, OURS, hop).route(5, 2, OURS, hop));
    for (kind, number, worth) in [(Kind::Frr, FRRS, frrs), (Kind::Drover, OURS, ours)] {
        let plan = plan(kind, number, vec![to_routers(2), to_routers(3)]);
        let plan = plan.route_worth(prefix(1), 2, 1, hop, worth);
        let plan = plan.route_worth(format!("{}/128", loopback(1)), 2, 1, hop, worth);
        network.add_router(plan.route(4, 3, 4, hop).route(5, 3, 5, hop));
    }
    for (kind, number, next) in [(Kind::Drover, 4, FRRS + OURS - winner), (Kind::Frr, 5, winner)] {
        let plan = plan(kind, number, vec![to_routers(3), Interface::to_hosts(number)]);
        network.add_router(plan.route(1, 3, next, hop).route(2, 3, next, hop).route_to_router(1, 3, next, hop));
    }
    for link in [2, 3] {
        network.await_neighbors(link);
    }
    (network, source)
}

/// Whether the last hops go over to the source's tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Switchover {
    Immediate,
    Never,
}

/// A group, its program that sends, and those that listen.
struct Traffic {
    source: Ipv6Addr,
    sender: Sender,
    receivers: Vec<Receiver>,
}

impl Traffic {
    fn new(network: &Network, source: Ipv6Addr, group: Ipv6Addr, first: u64) -> Self {
        let sender = Sender::new(network.room(), "source", group).starting_at(first);
        Traffic { source, sender, receivers: Vec::new() }
    }

    /// Has another program listen, and waits until it gets something.
    fn add_listener(&mut self, network: &Network, host: &str) {
        let (room, group) = (network.room(), self.sender.group());
        let receiver = match group {
            SOURCE_SPECIFIC => Receiver::join_source(room, host, group, self.source),
            _ => Receiver::join(room, host, group),
        };
        await_traffic("what is sent comes to another listener", &mut self.sender, &[&receiver]);
        self.receivers.push(receiver);
    }

    /// Sends until this router alone forwards onto the LAN, and until all listeners get each datagram once; those.
    fn converge(&mut self, network: &Network, winner: u16, other: Option<u16>) -> Vec<u64> {
        until(&format!("router {winner} alone forwards {}", self.sender.group()), || {
            self.sender.send();
            (self.is_forwarded_by(network, winner) && !other.is_some_and(|other| self.is_forwarded_by(network, other)))
                .then_some(())
        });
        let receivers: Vec<&Receiver> = self.receivers.iter().collect();
        await_traffic("what is sent comes to all listeners", &mut self.sender, &receivers);
        assert_each_comes_once(&mut self.sender, &receivers).collect()
    }

    /// Whether a router sends the datagrams to the LAN, by whichever tree.
    fn is_forwarded_by(&self, network: &Network, router: u16) -> bool {
        let of = self.of(network, router);
        network.routers[&router].branches(of, self.sender.group()).contains(&interface(3))
    }

    /// The source whose route a router has for the datagrams: the unspecified address where it is the shared tree's.
    fn of(&self, network: &Network, router: u16) -> Ipv6Addr {
        let has_own = network.routers[&router].has_mroute(self.source, self.sender.group());
        if has_own { self.source } else { Ipv6Addr::UNSPECIFIED }
    }
}

/// First FRR's router forwards for one listener; then ours for another one, too; the better one goes on; it dies.
fn an_assert_chooses(switchover: Switchover, groups: &[Ipv6Addr], frrs: Worth, ours: Worth, winner: u16) {
    let (mut network, source) = two_forwarders(switchover, frrs, ours, winner);
    let (first, second) = if winner == FRRS { ("listener5", "listener4") } else { ("listener4", "listener5") };
    let mut all: Vec<Traffic> =
        (0..).zip(groups).map(|(number, &group)| Traffic::new(&network, source, group, number * SECOND)).collect();
    for traffic in &mut all {
        traffic.add_listener(&network, first);
    }
    if winner == FRRS {
        until_within(FRRS_LOOK, "FRR has seen that packets come by the source's tree", || {
            let has_spt_bit = |group| network.routers[&FRRS].as_frr().has_spt_bit(source, group);
            all.iter_mut()
                .all(|traffic| {
                    traffic.sender.send();
                    has_spt_bit(traffic.sender.group())
                })
                .then_some(())
        });
    }
    for traffic in &mut all {
        traffic.add_listener(&network, second);
        // What it gets may come by FRR's router.
        until("our router is asked for it, too", || {
            traffic.sender.send();
            let route =
                network.routers[&OURS].as_drover().mroute(traffic.of(&network, OURS), traffic.sender.group())?;
            route["joined"].as_str()?.contains(&interface(3)).then_some(())
        });
    }
    let mut delivered = Vec::new();
    let loser = FRRS + OURS - winner;
    for traffic in &mut all {
        delivered.extend(traffic.converge(&network, winner, Some(loser)));
    }
    network.kill(winner);
    network.reroute(5, loser);
    for traffic in &mut all {
        traffic.receivers.iter().for_each(|receiver| drop(receiver.take()));
        delivered.extend(traffic.converge(&network, loser, None));
    }

    let seen = network.finish();
    for number in delivered {
        assert_eq!(seen.links_of(number), [1, 2, 3, 4, 5], "links that datagram {number} was seen on");
    }
    for (router, Worth { preference, metric }) in [(FRRS, frrs), (OURS, ours)] {
        let said: Vec<_> = seen.asserts(link_local(router), 3).collect();
        let right = |&(_, rpt, said_preference, said_metric): &(f64, bool, u32, u32)| {
            (rpt, said_preference, said_metric) == (switchover == Switchover::Never, u32::from(preference), metric)
        };
        assert!(router == loser || said.iter().any(right), "router {router} says {said:?}");
    }
}

/// Worth less by its metric.
const BY_METRIC: [Worth; 2] = [Worth { preference: 10, metric: 5 }, Worth { preference: 10, metric: 9 }];
/// Worth less by its preference, though not by its metric.
const BY_PREFERENCE: [Worth; 2] = [Worth { preference: 10, metric: 500 }, Worth { preference: 20, metric: 5 }];

#[test]
fn frrs_router_wins_the_assert_of_a_sources_tree() {
    let Some(_shared) = shared_with_frr() else { return };
    let [frrs, ours] = BY_METRIC;
    an_assert_chooses(Switchover::Immediate, &[ANY_SOURCE], frrs, ours, FRRS);
}

#[test]
fn our_router_wins_the_assert_of_a_sources_tree() {
    let Some(_shared) = shared_with_frr() else { return };
    let [ours, frrs] = BY_PREFERENCE;
    an_assert_chooses(Switchover::Immediate, &[ANY_SOURCE, SOURCE_SPECIFIC], frrs, ours, OURS);
}

/// pim6d 10.3 has no (*,G) machine: it sends no such Assert and obeys none.
#[test]
fn our_router_wins_the_assert_of_a_shared_tree() {
    let Some(_shared) = shared_with_frr() else { return };
    let [ours, frrs] = BY_METRIC;
    an_assert_chooses(Switchover::Never, &[ANY_SOURCE], frrs, ours, OURS);
}
