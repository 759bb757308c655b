//! The site of figure 5 with a router of FRR in the place of one of ours. As the core, it carries the terminal's group to
//! it, and after it to the other access router, whether the group is source-specific or names the agent as its rendezvous
//! point (RFC 3956). As an access router, it joins the latter for a kernel host.

use super::router::Frr;
use super::shared_with_frr;
use crate::listener::{Listener, udp};
use crate::room::until;
use crate::site::{Site, granted_group, topology, topology_with_rendezvous_point};
use std::collections::BTreeSet;
use std::net::SocketAddrV6;
use std::thread;
use std::time::Duration;

/// How many packets show that each comes once, and the time between two.
const COUNT: u32 = 200;
const PACE: Duration = Duration::from_millis(5);

const AGENT: &str = "2001:db8:200::1";
const HOME_ADDRESS: &str = "2001:db8:100:1::55";

/// A router of the lab file: its interfaces in the file's order, with addresses, and its routes.
struct Place {
    name: &'static str,
    interfaces: &'static [(&'static str, &'static str)],
    routes: &'static [(&'static str, &'static str)],
}

const CORE: Place = Place {
    name: "core",
    interfaces: &[("p0", "2001:db8:200:1::2/64"), ("p1", "2001:db8:200:2::1/64"), ("p2", "2001:db8:200:3::1/64")],
    routes: &[
        ("default", "2001:db8:200:1::1"),
        ("2001:db8:200:a::/64", "2001:db8:200:2::2"),
        ("2001:db8:200:b::/64", "2001:db8:200:3::2"),
    ],
};
const ACCESS_ROUTER_B: Place = Place {
    name: "b",
    interfaces: &[("p0", "2001:db8:200:3::2/64"), ("p1", "2001:db8:200:b::1/64")],
    routes: &[("default", "2001:db8:200:3::1")],
};

/// Puts a router of FRR in the place of one of ours.
fn replace(site: &mut Site, place: &Place, more: &str) -> Frr {
    site.end_node(place.name);
    let room = site.room();
    room.sysctl(place.name, "net/ipv6/conf/all/forwarding", "1");
    // What is global first: joins that come earlier would name a rendezvous point that is not known yet.
    let mut lines = more.to_owned();
    for (interface, address) in place.interfaces {
        room.sysctl(place.name, &format!("net/ipv6/conf/{interface}/disable_ipv6"), "0");
        room.ip(place.name, &["address", "add", address, "dev", interface, "nodad"]);
        lines += &format!("interface {interface}\n ipv6 pim\nexit\n");
    }
    for (to, via) in place.routes {
        room.ip(place.name, &["-6", "route", "add", to, "via", via]);
    }
    let interfaces: Vec<&str> = place.interfaces.iter().map(|(interface, _)| *interface).collect();
    Frr::start(room, place.name, &interfaces, &lines)
}

/// The interfaces that a source's packets to a group leave by.
fn branches(frr: &Frr, group: &str, source: &str) -> BTreeSet<String> {
    let shown = frr.show("ipv6 mroute");
    let out = shown[group][source]["oil"].as_object().into_iter().flatten();
    out.filter(|(_, state)| state["outboundInterface"].is_string()).map(|(name, _)| name.clone()).collect()
}

/// The correspondent reaches the terminal behind one access router, and behind the other one; `root` is what the core
/// router's tree is of: the source, or all sources.
fn the_terminal_is_reached_in_both_places(site: &Site, frr: &Frr, group: &str, root: &str) {
    let reaches = || site.room().ping("cn", HOME_ADDRESS).then_some(());
    let branch = |interface: &str| {
        let only = BTreeSet::from([interface.to_owned()]);
        until(&format!("the branch by {interface}"), || (branches(frr, group, root) == only).then_some(()));
    };
    until("the correspondent reaches the terminal", reaches);
    branch("p1");

    site.carrier("mt", "radio-b", true);
    site.node("mt").signal("radio-b", "-40");
    site.node("mt").signal("radio-a", "-90");
    branch("p2");
    until("the correspondent reaches the terminal where it is now", reaches);
}

#[test]
fn a_terminal_moves_behind_a_core_router_of_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    let mut site = Site::new(&topology());
    let frr = replace(&mut site, &CORE, "");
    the_terminal_is_reached_in_both_places(&site, &frr, "ff35::200:5eff:fe10:55", AGENT);
}

#[test]
fn a_group_that_names_our_agent_as_rendezvous_point_crosses_a_core_router_of_frrs() {
    let Some(_shared) = shared_with_frr() else { return };
    let mut site = Site::new(&topology_with_rendezvous_point());
    let frr = replace(&mut site, &CORE, "router pim6\n embedded-rp\nexit\n");
    let group = granted_group(&site);
    the_terminal_is_reached_in_both_places(&site, &frr, &group, "*");
}

/// FRR's router goes over to the source's own tree with the first packet: it joins (S,G) beside (*,G).
#[test]
fn frrs_router_joins_a_group_that_names_our_agent_as_rendezvous_point() {
    let Some(_shared) = shared_with_frr() else { return };
    let mut site = Site::new(&topology_with_rendezvous_point());
    site.add_host("listener", "radio-b", "2001:db8:200:b::99/64");
    let mld = "interface p1\n ipv6 mld\nexit\n";
    let frr = replace(&mut site, &ACCESS_ROUTER_B, &format!("{mld}router pim6\n embedded-rp\nexit\n"));
    let group = granted_group(&site);
    let listener =
        site.room().within("listener", || Listener::join_any_source("eth0", group.parse().expect("a group")));

    let sender = udp(&site, "cn", "2001:db8:c::10".parse().expect("an address"));
    let to: SocketAddrV6 = format!("[{HOME_ADDRESS}]:9").parse().expect("an address");
    let send = || sender.send_to(b"to the home address", to).expect("it can be sent");
    let number = |packet: &[u8]| {
        let octets = packet[8..12].try_into().expect("behind flags, protocol and key");
        u32::from_be_bytes(octets)
    };
    let first = until("a packet of the group", || {
        send();
        listener.receive()
    });
    assert_eq!(first.0.to_string(), AGENT);
    until("FRR has the source's tree", || branches(&frr, &group, AGENT).contains("p1").then_some(()));

    // What is on its way from before.
    while listener.receive().is_some() {}
    let mut numbers = Vec::new();
    until("packets enough", || {
        for _ in 0..COUNT / 10 {
            send();
            thread::sleep(PACE);
            numbers.extend(core::iter::from_fn(|| listener.receive()).map(|(_, packet)| number(&packet)));
        }
        (numbers.last()? - numbers[0] >= COUNT).then_some(())
    });
    let expected: Vec<u32> = (0..).map(|index| numbers[0] + index).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "each once, in order");
}
