//! What an interface's configuration keeps out: neighbours, joins, groups.

mod net;

use core::net::Ipv6Addr;
use net::site::{HOST, LINK_A, P0, P1, P2, Trees, mroute};
use net::{DELAY, Net};
use pim::Config;
use stack::tables::{Accept, MrouteKey};
use stack::time::Duration;

const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
const OPEN: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1);
const CLOSED: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 1, 1);
const TREES: Trees = Trees { range: "ff35::/64", roots: &[SOURCE] };

/// The site, whose core router has this configuration.
fn site(edit: impl Fn(&mut Config)) -> Net {
    TREES.site_with(|node, config| {
        if node == 1 {
            edit(config);
        }
    })
}

fn key(group: Ipv6Addr) -> MrouteKey {
    MrouteKey { source: SOURCE, group }
}

fn counter(net: &Net, name: &str) -> u64 {
    net.nodes[1].router.counters().iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name}")).1
}

fn listen(net: &mut Net, group: Ipv6Addr) {
    net.set_listening(LINK_A, 0, group, SOURCE, true);
    net.run_for(DELAY * 5);
}

#[test]
fn only_the_neighbors_that_are_named_are_heard() {
    let mut net = site(|config| config.interfaces[1].neighbors = Some(vec!["fe80:0:0:0:0:0:7::/112".parse().unwrap()]));
    assert!(net.nodes[1].router.neighbors().all(|view| view.port != P1));
    assert!(counter(&net, "drop-pim-neighbor-filter") > 0);
    listen(&mut net, OPEN);
    assert_eq!(net.mroute(1, key(OPEN)), None, "who is no neighbour joins nothing");
    let mut net = site(|config| config.interfaces[1].neighbors = Some(vec!["fe80::/10".parse().unwrap()]));
    listen(&mut net, OPEN);
    assert_eq!(net.mroute(1, key(OPEN)), mroute(Accept::Port(P0), &[P1]));
}

#[test]
fn only_the_groups_that_are_named_are_joined() {
    let mut net = site(|config| config.interfaces[1].joins = Some(vec!["ff35::/112".parse().unwrap()]));
    listen(&mut net, OPEN);
    listen(&mut net, CLOSED);
    assert_eq!(net.mroute(1, key(OPEN)), mroute(Accept::Port(P0), &[P1]));
    assert_eq!((net.mroute(1, key(CLOSED)), counter(&net, "drop-pim-join-filter")), (None, 1));
    // By the other interface it may be joined.
    net.set_listening(net::site::LINK_B, 0, CLOSED, SOURCE, true);
    net.run_for(DELAY * 5);
    assert_eq!(net.mroute(1, key(CLOSED)), mroute(Accept::Port(P0), &[P2]));
}

#[test]
fn a_group_does_not_pass_its_boundary() {
    let closed = vec!["ff35::1:0/112".parse().unwrap()];
    // Downstream.
    let mut net = site(|config| config.interfaces[1].boundary.clone_from(&closed));
    listen(&mut net, OPEN);
    listen(&mut net, CLOSED);
    assert!(net.mroute(1, key(OPEN)).is_some());
    assert_eq!((net.mroute(1, key(CLOSED)), counter(&net, "drop-pim-boundary")), (None, 1));
    // Upstream: the way to the source leads over it.
    let mut net = site(|config| config.interfaces[0].boundary = closed.clone());
    listen(&mut net, OPEN);
    listen(&mut net, CLOSED);
    assert!(net.mroute(0, key(OPEN)).is_some());
    assert_eq!((net.mroute(1, key(CLOSED)), net.mroute(0, key(CLOSED))), (None, None));
    // Hosts.
    let mut net = TREES.site_with(|node, config| {
        if node == 2 {
            config.interfaces[1].boundary.clone_from(&closed);
        }
    });
    listen(&mut net, CLOSED);
    assert_eq!(net.nodes[2].router.entry_count(), 0);
    net.report(LINK_A, HOST, Vec::new());
    listen(&mut net, OPEN);
    net.run_for(Duration::from_secs(300));
    assert_eq!(net.nodes[2].router.entry_count(), 1);
}
