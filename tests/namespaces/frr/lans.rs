//! Routers of both kinds on one LAN: what they know of each other, who is designated for the hosts there, what they do
//! when one of them restarts, and how one of two that want the same source keeps it when the other prunes it.

use super::network::{Interface, Kind, Network, NextHop, Plan, Router, address, interface, link_local};
use super::seen::Hello;
use super::shared_with_frr;
use super::traffic::{Receiver, Sender, assert_each_comes_once, assert_each_comes_once_for, await_traffic};
use crate::room::until;
use serde_json::{Value, json};
use std::net::Ipv6Addr;
use std::time::{Duration, UNIX_EPOCH};

const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0x8000, 0x1234);
/// The longest that an answer may be delayed (RFC 7761 §4.11, t_override): what both kinds of router have where nothing
/// else is configured.
const OVERRIDE_INTERVAL_SECS: f64 = 2.5;
/// What this machine may need beside, with others working on it.
const SLACK_SECS: f64 = 1.0;

/// The neighbour `router` as one of ours shows it.
fn ours_shows(network: &Network, own: u16, router: u16) -> Option<Value> {
    let Router::Drover(node) = &network.routers[&own] else { panic!("it is one of ours") };
    let rows = node.rows("neighbors").into_iter();
    rows.into_iter().find(|row| row["address"] == link_local(router).to_string() && row["pim"] == true)
}

/// The designated router of a link, in the view of router `own`.
fn designated_router(network: &Network, own: u16, link: u16, others: &[u16]) -> Ipv6Addr {
    match &network.routers[&own] {
        Router::Drover(node) => {
            let rows = node.rows("neighbors");
            let designated = others.iter().find(|&&other| {
                rows.iter().any(|row| {
                    row["port"] == interface(link)
                        && row["address"] == link_local(other).to_string()
                        && row["designated_router"] == true
                })
            });
            link_local(designated.copied().unwrap_or(own))
        }
        Router::Frr(frr) => {
            let shown = frr.show("ipv6 pim interface");
            let text = shown[interface(link)]["pimDesignatedRouter"].as_str().expect("an address").to_owned();
            text.parse().expect("an address")
        }
    }
}

#[test]
fn neighbours_list_the_options_of_each_others_hellos() {
    let Some(_shared) = shared_with_frr() else { return };
    let mut network = Network::new(1);
    network.add_router(Plan::new(Kind::Frr, 1, vec![Interface { dr_priority: 7, ..Interface::to_routers(1) }]));
    let ours = Interface { dr_priority: 9, prune_delay: (600, 3000), ..Interface::to_routers(1) };
    network.add_router(Plan::new(Kind::Drover, 2, vec![ours]));
    network.await_neighbors(1);

    let of_frr = until("FRR's router as ours shows it", || ours_shows(&network, 2, 1));
    let frr = network.router(1).frr();
    let theirs = frr.show("ipv6 pim neighbor detail")[interface(1)][link_local(2).to_string()].clone();
    let generation = theirs["generationId"].as_u64();
    assert_eq!(theirs["drPriority"], 9, "{theirs}");
    for option in ["AddressList", "DrPriority", "GenerationId", "Holdtime", "LanPruneDelay"] {
        assert_eq!(theirs[format!("helloOption{option}")], true, "{option}: {theirs}");
    }
    let secondary = frr.show_text("ipv6 pim secondary");
    assert!(secondary.contains(&address(1, 2).to_string()), "{secondary}");
    let own = frr.show("ipv6 pim interface detail")[interface(1)].clone();
    let elected = ["effectivePropagationDelay", "effectiveOverrideInterval"].map(|key| own[key].clone());
    assert_eq!(json!(elected), json!([600, 3000]), "the larger of both: {own}");

    let seen = network.finish();
    let last = |router| seen.hellos(link_local(router), 1).last().expect("it has sent Hellos").1.clone();
    let sent = last(2);
    assert_eq!(generation, sent.generation_id.map(u64::from));
    assert_eq!((sent.propagation_delay_ms, sent.override_interval_ms), (Some(600), Some(3000)));
    let Hello { dr_priority, generation_id, propagation_delay_ms, override_interval_ms, addresses } = last(1);
    assert_eq!((dr_priority, &addresses[..]), (Some(7), &[address(1, 1)][..]));
    let shown = ["dr_priority", "generation_id", "propagation_delay_ms", "override_interval_ms", "addresses"];
    assert_eq!(
        json!(shown.map(|key| of_frr[key].clone())),
        json!([dr_priority, generation_id, propagation_delay_ms, override_interval_ms, address(1, 1)]),
    );
}

#[test]
fn the_designated_router_of_a_lan_is_elected_alike_and_forwards_alone() {
    let Some(_shared) = shared_with_frr() else { return };
    let mut network = Network::new(3);
    let source = network.add_host("source", 1);
    network.add_host("listener", 3);
    let first = vec![Interface { has_routers: false, ..Interface::to_routers(1) }, Interface::to_routers(2)];
    network.add_router(Plan::new(Kind::Drover, 1, first).route(3, 2, 2, NextHop::LinkLocal));
    let second = |dr_priority| {
        vec![Interface::to_routers(2), Interface { has_hosts: true, dr_priority, ..Interface::to_routers(3) }]
    };
    network.add_router(Plan::new(Kind::Frr, 2, second(7)).route(1, 2, 1, NextHop::LinkLocal));
    network.add_router(Plan::new(Kind::Drover, 3, second(5)).route(1, 2, 1, NextHop::LinkLocal));
    network.await_neighbors(2);
    network.await_neighbors(3);

    let mut sender = Sender::new(network.room(), "source", GROUP);
    let listener = Receiver::join_source(network.room(), "listener", GROUP, source);
    let mut delivered = Vec::new();
    // FRR's by its priority; ours by its address, which is higher; FRR's again; ours by its priority.
    for (priority, designated) in [(7, 2), (5, 3), (6, 2), (4, 3)] {
        network.router(2).frr().configure(&format!("interface l3\n ipv6 pim drpriority {priority}\nexit\n"));
        for own in [2, 3] {
            until(&format!("router {own} says that {designated} is designated"), || {
                (designated_router(&network, own, 3, &[5 - own]) == link_local(designated)).then_some(())
            });
        }
        let other = 5 - designated;
        network.await_branches(designated, source, GROUP, &[3]);
        network.await_branches(other, source, GROUP, &[]);
        await_traffic("what is sent comes to the listener", &mut sender, &[&listener]);
        delivered.push(assert_each_comes_once(&mut sender, &[&listener]));
    }
    let seen = network.finish();
    for number in delivered.into_iter().flatten() {
        assert_eq!(seen.links_of(number), [1, 2, 3], "links that datagram {number} was seen on");
    }
}

/// How a router stops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    InOrder,
    Killed,
}

/// Routers 1 and 2 between a source and a listener; router 1 stops and is started again. How long after the first Hello
/// of its new generation it is asked for the source by router 2, whose configuration has `more`.
fn time_to_join_again(restarted: Kind, stop: Stop, other: Kind, more: &str) -> f64 {
    let mut network = Network::new(3);
    let source = network.add_host("source", 1);
    network.add_host("listener", 3);
    let first = vec![Interface { has_routers: false, ..Interface::to_routers(1) }, Interface::to_routers(2)];
    network.add_router(Plan::new(restarted, 1, first).route(3, 2, 2, NextHop::LinkLocal));
    let second = vec![Interface::to_routers(2), Interface::to_hosts(3)];
    let mut second = Plan::new(other, 2, second).route(1, 2, 1, NextHop::LinkLocal);
    second.more.push_str(more);
    network.add_router(second);
    network.await_neighbors(2);
    let mut sender = Sender::new(network.room(), "source", GROUP);
    let listener = Receiver::join_source(network.room(), "listener", GROUP, source);
    await_traffic("what is sent comes to the listener", &mut sender, &[&listener]);

    match (network.router(1), stop) {
        (Router::Drover(node), Stop::InOrder) => assert!(node.end().success()),
        (Router::Drover(node), Stop::Killed) => node.kill(),
        (Router::Frr(frr), _) => {
            frr.kill();
            // FRR draws generation identifiers by the clock's seconds.
            let second = || UNIX_EPOCH.elapsed().expect("the clock is right").as_secs();
            let killed = second();
            until("the next second", || (second() > killed).then_some(()));
        }
    }
    listener.take();
    network.start(1, 8);
    network.await_neighbors(2);
    await_traffic("what is sent comes to the listener again", &mut sender, &[&listener]);
    assert_each_comes_once(&mut sender, &[&listener]);

    let seen = network.finish();
    let generations: Vec<(f64, Option<u32>)> =
        seen.hellos(link_local(1), 2).map(|(at, hello)| (at, hello.generation_id)).collect();
    let (_, before) = generations[0];
    let (again, _) = generations.iter().find(|(_, generation)| *generation != before).expect("a new generation");
    let mut joins = seen.join_prunes(link_local(2), link_local(1)).filter(|(at, joins, _)| at > again && *joins > 0);
    joins.next().expect("a join").0 - again
}

/// pim6d 10.3 sets its join timer to t_override when it hears the other generation, and a moment later to its whole period,
/// because it takes the neighbour for a lost one and a new one. So it waits for the period, however our router stopped.
fn frrs_router_joins_within_its_period(stop: Stop) {
    let waited = time_to_join_again(Kind::Drover, stop, Kind::Frr, "router pim6\n join-prune-interval 5\nexit\n");
    assert!(waited < 5.0 + SLACK_SECS, "joined {waited} s after the first Hello of a new generation");
}

#[test]
fn frrs_router_joins_again_when_ours_has_restarted() {
    let Some(_shared) = shared_with_frr() else { return };
    frrs_router_joins_within_its_period(Stop::InOrder);
}

#[test]
fn frrs_router_joins_again_when_ours_was_killed() {
    let Some(_shared) = shared_with_frr() else { return };
    frrs_router_joins_within_its_period(Stop::Killed);
}

#[test]
fn our_router_joins_again_when_frrs_was_killed() {
    let Some(_shared) = shared_with_frr() else { return };
    let waited = time_to_join_again(Kind::Frr, Stop::Killed, Kind::Drover, "");
    assert!(
        waited < OVERRIDE_INTERVAL_SECS + SLACK_SECS,
        "joined {waited} s after the first Hello of a new generation"
    );
}

/// Router 1 is upstream of FRR's router 2 and our router 3 on link 2, each of which has a listener; one of the listeners
/// leaves. The other one misses nothing, because its router overrides the prune.
fn a_prune_is_overridden(upstream: Kind, pruning: u16) {
    let mut network = Network::new(4);
    let source = network.add_host("source", 1);
    network.add_host("listener2", 3);
    network.add_host("listener3", 4);
    let first = vec![Interface { has_routers: false, ..Interface::to_routers(1) }, Interface::to_routers(2)];
    let first = Plan::new(upstream, 1, first).route(3, 2, 2, NextHop::LinkLocal).route(4, 2, 3, NextHop::LinkLocal);
    network.add_router(first);
    for (kind, number) in [(Kind::Frr, 2), (Kind::Drover, 3)] {
        let legs = vec![Interface::to_routers(2), Interface::to_hosts(number + 1)];
        network.add_router(Plan::new(kind, number, legs).route(1, 2, 1, NextHop::LinkLocal));
    }
    network.await_neighbors(2);
    let mut sender = Sender::new(network.room(), "source", GROUP);
    let join = |router: u16| Receiver::join_source(network.room(), &format!("listener{router}"), GROUP, source);
    let staying = 5 - pruning;
    let (leaves, stays) = (join(pruning), join(staying));
    await_traffic("what is sent comes to both listeners", &mut sender, &[&leaves, &stays]);
    assert_each_comes_once(&mut sender, &[&leaves, &stays]);

    drop(leaves);
    // A leave is believed after two queries a second apart; the prune is then pending for both delays together.
    let period = Duration::from_secs_f64(2.0 + 0.5 + OVERRIDE_INTERVAL_SECS + SLACK_SECS);
    assert_each_comes_once_for(period, &mut sender, &[&stays]);
    network.await_branches(pruning, source, GROUP, &[]);
    network.await_branches(staying, source, GROUP, &[staying + 1]);
    let delivered = assert_each_comes_once(&mut sender, &[&stays]);

    let seen = network.finish();
    for number in delivered {
        assert_eq!(seen.links_of(number), [1, 2, staying + 1], "links that datagram {number} was seen on");
    }
    let upstream = link_local(1);
    let pruned = seen.join_prunes(link_local(pruning), upstream).find(|(_, _, prunes)| *prunes > 0).expect("a prune").0;
    let joined = seen.join_prunes(link_local(staying), upstream).find(|(at, joins, _)| *at > pruned && *joins > 0);
    let waited = joined.expect("a join").0 - pruned;
    assert!(waited < OVERRIDE_INTERVAL_SECS + SLACK_SECS, "joined {waited} s after the other's prune");
}

#[test]
fn our_router_overrides_a_prune_of_frrs_towards_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    a_prune_is_overridden(Kind::Frr, 2);
}

#[test]
fn our_router_overrides_a_prune_of_frrs_towards_ours() {
    let Some(_shared) = shared_with_frr() else { return };
    a_prune_is_overridden(Kind::Drover, 2);
}

#[test]
fn frrs_router_overrides_a_prune_of_ours_towards_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    a_prune_is_overridden(Kind::Frr, 3);
}

#[test]
fn frrs_router_overrides_a_prune_of_ours_towards_ours() {
    let Some(_shared) = shared_with_frr() else { return };
    a_prune_is_overridden(Kind::Drover, 3);
}
