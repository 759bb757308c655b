//! A source behind a first-hop router of one kind, a rendezvous point of the other, and a last hop of either: the source's
//! packets reach the rendezvous point in Register messages until it has joined the source's tree and said so, and by
//! themselves from then on, each once (RFC 7761 §4.4). The group's rendezvous point is one that the routers' configuration
//! names, and one that the group names (RFC 3956).

use super::network::{ANY_SOURCE_GROUPS, Interface, Kind, Network, NextHop, Plan, Router, loopback};
use super::seen::{Body, Seen};
use super::shared_with_frr;
use super::traffic::{Receiver, Sender, assert_each_comes_once, assert_each_comes_once_until, await_traffic};
use crate::room::{until, until_within};
use serde_json::Value;
use std::net::Ipv6Addr;
use std::ops::Range;
use std::time::Duration;

/// Of those whose rendezvous point is configured.
const CONFIGURED: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x1234);
/// Names 2001:db8::2: router 2.
const EMBEDDED: Ipv6Addr = Ipv6Addr::new(0xff75, 0x0220, 0x2001, 0xdb8, 0, 0, 0, 0x1234);

/// The highest: such a candidate is elected as soon as can be.
const BSR_PRIORITY: u8 = 255;
const RP_PRIORITY: u8 = 100;
/// An election, an advertisement and the next Bootstrap message (RFC 5059 §5).
const ELECTION: Duration = Duration::from_secs(60);

/// Has a first hop ask soon whether its Registers are wanted again.
fn multicast(kind: Kind) -> String {
    match kind {
        Kind::Drover => "register_suppression_secs = 11\nembedded_rp = true\n".to_owned(),
        Kind::Frr => " embedded-rp\n register-suppress-time 11\n".to_owned(),
    }
}

/// How the routers know the rendezvous point of groups that do not name it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Learnt {
    ByConfiguration,
    FromBootstrapRouter,
}

/// Has router 2 stand for bootstrap router and rendezvous point (RFC 5059), and the others learn.
fn bootstrap(kind: Kind, number: u16) -> String {
    let (own, groups) = (loopback(2), ANY_SOURCE_GROUPS);
    match (kind, number) {
        (Kind::Drover, 2) => format!(
            "[router.candidate_bsr]\naddress = \"{own}\"\npriority = {BSR_PRIORITY}\n\
             [router.candidate_rp]\naddress = \"{own}\"\npriority = {RP_PRIORITY}\ngroups = [\"{groups}\"]\n"
        ),
        (Kind::Frr, 2) => format!(
            " bsr candidate-bsr priority {BSR_PRIORITY} source address {own}\n bsr candidate-rp group {groups}\n \
             bsr candidate-rp priority {RP_PRIORITY} source address {own}\n"
        ),
        (Kind::Drover, _) => "bootstrap = true\n".to_owned(),
        (Kind::Frr, _) => String::new(),
    }
}

/// Routers 1 to 3 between links 1 to 4, a source on the first link and a listener on the last. Router 2 is the rendezvous
/// point.
fn chain(kinds: [Kind; 3], learnt: Learnt) -> (Network, Ipv6Addr) {
    let mut network = Network::new(4);
    let source = network.add_host("source", 1);
    network.add_host("listener", 4);
    let hosts_only = |link| Interface { has_routers: false, ..Interface::to_routers(link) };
    let legs = [
        vec![hosts_only(1), Interface::to_routers(2)],
        vec![Interface::to_routers(2), Interface::to_routers(3)],
        vec![Interface::to_routers(3), Interface::to_hosts(4)],
    ];
    for ((number, kind), legs) in (1..).zip(kinds).zip(legs) {
        let mut plan = Plan::new(kind, number, legs);
        for other in (1..=3).filter(|&other| other != number) {
            let (over, next) = if other < number { (number, number - 1) } else { (number + 1, number + 1) };
            plan = plan.route_to_router(other, over, next, NextHop::LinkLocal);
            let link = if other < number { other } else { other + 1 };
            if link != over {
                plan = plan.route(link, over, next, NextHop::LinkLocal);
            }
        }
        plan.has_loopback = true;
        plan.multicast = multicast(kind);
        match learnt {
            Learnt::ByConfiguration => plan.rendezvous_point = Some(2),
            Learnt::FromBootstrapRouter => plan.multicast += &bootstrap(kind, number),
        }
        network.add_router(plan);
    }
    for link in [2, 3] {
        network.await_neighbors(link);
    }
    (network, source)
}

/// Waits until the first hop sends the source's packets to the rendezvous point no more, because that said so.
fn await_register_stop(network: &Network, source: Ipv6Addr, sender: &mut Sender) {
    let group = sender.group();
    until("Registers are stopped", || {
        sender.send();
        match &network.routers[&1] {
            Router::Drover(node) => {
                let route = node.mroute(source, group)?;
                route["register"].is_null().then_some(())
            }
            Router::Frr(frr) => {
                let shown = frr.show("ipv6 pim upstream");
                (shown[group.to_string()][source.to_string()]["regState"] == "RegPrune").then_some(())
            }
        }
    });
}

/// How many Register-Stops our router has sent, as the rendezvous point, or received, as the first hop.
fn register_stops(network: &Network) -> u64 {
    match (&network.routers[&1], &network.routers[&2]) {
        (Router::Drover(node), _) => node.counter("pim", "rx-register-stop"),
        (_, Router::Drover(node)) => node.counter("pim", "tx-register-stop"),
        _ => panic!("one of them is ours"),
    }
}

/// A listener joins, and gets each datagram once as soon as the source's own tree is there.
fn a_listener_joins(network: &Network, source: Ipv6Addr, sender: &mut Sender) -> (Receiver, Range<u64>) {
    let group = sender.group();
    let listener = Receiver::join(network.room(), "listener", group);
    network.await_branches(3, Ipv6Addr::UNSPECIFIED, group, &[4]);
    network.await_branches(2, Ipv6Addr::UNSPECIFIED, group, &[3]);
    await_traffic("what is sent comes to the listener", sender, &[&listener]);
    await_register_stop(network, source, sender);
    for number in 1..=3 {
        network.await_branches(number, source, group, &[number + 1]);
    }
    let delivered = assert_each_comes_once(sender, &[&listener]);
    (listener, delivered)
}

/// The messages of this kind between first hop and rendezvous point.
fn count(seen: &Seen, is_one: impl Fn(&Body) -> bool) -> usize {
    seen.messages.iter().filter(|message| message.link == 2 && is_one(&message.body)).count()
}

fn a_source_is_registered(kinds: [Kind; 3]) {
    let (network, source) = chain(kinds, Learnt::ByConfiguration);
    let mut senders = [(CONFIGURED, 0), (EMBEDDED, 1 << 32)]
        .map(|(group, first)| Sender::new(network.room(), "source", group).starting_at(first));
    let (mut delivered, mut unwanted, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
    for sender in &mut senders {
        let (listener, numbers) = a_listener_joins(&network, source, sender);
        delivered.push(numbers);
        listeners.push(listener);
    }
    // Null-Registers keep it so.
    let stops = register_stops(&network);
    let answered = || register_stops(&network) >= stops + 3;
    delivered.push(assert_each_comes_once_until(&mut senders[0], &[&listeners[0]], answered));
    drop(listeners);
    for sender in &mut senders {
        for number in 1..=3 {
            network.await_branches(number, source, sender.group(), &[]);
        }
        unwanted.extend((0..20).map(|_| sender.send()));
        let (_, numbers) = a_listener_joins(&network, source, sender);
        delivered.push(numbers);
    }

    let seen = network.finish();
    for number in delivered.into_iter().flatten() {
        assert_eq!(seen.links_of(number), [1, 2, 3, 4], "links that datagram {number} was seen on");
        assert!(seen.links_of_registered(number).is_empty(), "datagram {number} was in a Register message");
    }
    for number in unwanted {
        assert_eq!(seen.links_of(number), [1], "links that datagram {number}, which nobody wanted, was seen on");
        assert!(seen.links_of_registered(number).is_empty(), "datagram {number} was in a Register message");
    }
    assert!(count(&seen, |body| *body == Body::Register { is_null: false }) >= 2);
    assert!(count(&seen, |body| *body == Body::Register { is_null: true }) >= 3);
    assert!(count(&seen, |body| *body == Body::RegisterStop) >= 5);
}

#[test]
fn our_rendezvous_point_serves_a_first_hop_and_a_last_hop_of_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    a_source_is_registered([Kind::Frr, Kind::Drover, Kind::Frr]);
}

#[test]
fn our_rendezvous_point_serves_a_first_hop_of_frrs_and_a_last_hop_of_ours() {
    let Some(_shared) = shared_with_frr() else { return };
    a_source_is_registered([Kind::Frr, Kind::Drover, Kind::Drover]);
}

#[test]
fn our_first_hop_registers_with_frrs_rendezvous_point_for_a_last_hop_of_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    a_source_is_registered([Kind::Drover, Kind::Frr, Kind::Frr]);
}

#[test]
fn our_first_hop_registers_with_frrs_rendezvous_point_for_a_last_hop_of_ours() {
    let Some(_shared) = shared_with_frr() else { return };
    a_source_is_registered([Kind::Drover, Kind::Frr, Kind::Drover]);
}

/// What a router has learnt from the bootstrap router: the rendezvous point of the group, and the elected one itself.
fn has_learnt(router: &Router) -> bool {
    let own = loopback(2).to_string();
    match router {
        Router::Drover(node) => {
            let of_group = |row: &Value| row["groups"] == ANY_SOURCE_GROUPS && row["rendezvous_point"] == own;
            let is_learnt = |row: &Value| row["from"] == "bsr" && row["priority"] == RP_PRIORITY;
            let known = node.rows("rp").iter().any(|row| of_group(row) && is_learnt(row));
            known && node.rows("bsr").iter().any(|row| row["address"] == own && row["priority"] == BSR_PRIORITY)
        }
        Router::Frr(frr) => {
            let known = frr.show("ipv6 pim rp-info")[&own].clone();
            let is_learnt = |row: &Value| row["group"] == ANY_SOURCE_GROUPS && row["source"] == "BSR";
            known.as_array().is_some_and(|rows| rows.iter().any(is_learnt)) && frr.show("ipv6 pim bsr")["bsr"] == own
        }
    }
}

fn all_learn_from_the_bootstrap_router(kinds: [Kind; 3]) {
    let (network, source) = chain(kinds, Learnt::FromBootstrapRouter);
    until_within(ELECTION, "all routers have learnt the rendezvous point", || {
        network.routers.values().all(has_learnt).then_some(())
    });
    let mut sender = Sender::new(network.room(), "source", CONFIGURED);
    let (_, delivered) = a_listener_joins(&network, source, &mut sender);
    let seen = network.finish();
    for number in delivered {
        assert_eq!(seen.links_of(number), [1, 2, 3, 4], "links that datagram {number} was seen on");
    }
}

#[test]
fn frrs_routers_learn_from_our_bootstrap_router() {
    let Some(_shared) = shared_with_frr() else { return };
    all_learn_from_the_bootstrap_router([Kind::Frr, Kind::Drover, Kind::Frr]);
}

#[test]
fn our_routers_learn_from_frrs_bootstrap_router() {
    let Some(_shared) = shared_with_frr() else { return };
    all_learn_from_the_bootstrap_router([Kind::Drover, Kind::Frr, Kind::Drover]);
}
