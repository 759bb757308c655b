//! Home and foreign site with other trees: scenarios S13. Source-specific trees are what all other scenarios have.

use crate::blocks::{FOREIGN_SITE, HOME_SITE, Root, Site};
use crate::moves::tour;
use crate::world::{Draft, over_seeds, weathers};
use drover::config::lab::Lab;
use stack::addr::Prefix;
use std::net::Ipv6Addr;

/// `ff75:0120:2001:db8:` and the terminal's EUI-64; its rendezvous point is `2001:db8::1`.
const SHARED: Root = Root::RendezvousPoint {
    address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    group: Ipv6Addr::new(0xff75, 0x0120, 0x2001, 0xdb8, 0x0200, 0x5eff, 0xfe10, 0x55),
};
const LAYOUT: &str = "{ layout = \"embedded\", prefix = \"2001:db8::/32\", rp_interface_id = 1 }";
const RANGE: &str = "ff75:120:2001:db8::/64";

/// A figure whose site has shared trees of this layout, and takes this range for the groups of terminals.
fn with_groups(figure: &str, site: &Site, layout: &str, range: &str) -> Draft {
    let mut draft = Draft::shipped(figure).configure(site.agent, &format!("mma.group = {layout}"));
    for router in [site.core, site.access[0].router, site.access[1].router] {
        draft = draft.configure(router, &format!("router.mobility_range = \"{range}\""));
    }
    draft
}

/// The rendezvous point an address of the agent's node alone.
fn shared(figure: &str, site: &Site) -> Draft {
    with_groups(figure, site, LAYOUT, RANGE).configure(site.agent, "node.loopback = [\"2001:db8::1\"]")
}

/// A figure whose site is a /48 and has groups of `ff75:0130:P48:` and the terminal's 48-bit address, the agent's own
/// address `P48::1` their rendezvous point. The terminal asks for such a group, or for one of another layout.
fn short(figure: &str, site: Site, asks_for_it: bool) -> (Lab, Site) {
    let prefix = Prefix::new(site.address, 48).expect("a prefix");
    let [_, _, subnet, ..] = site.address.segments();
    let group = Ipv6Addr::new(0xff75, 0x0130, 0x2001, 0xdb8, subnet, 0x0200, 0x5e10, 0x55);
    let layout = format!("{{ layout = \"embedded\", prefix = \"{prefix}\" }}");
    let range = Prefix::new(group, 80).expect("a prefix").to_string();
    let mut draft = with_groups(figure, &site, &layout, &range);
    if asks_for_it {
        draft = draft.configure("mt", &format!("mobile_terminal.group = {layout}"));
    }
    (draft.lab(), Site { root: Root::RendezvousPoint { address: site.address, group }, ..site })
}

#[test]
fn s13c_embedded_rp() {
    let (home, foreign) = (Site { root: SHARED, ..HOME_SITE }, Site { root: SHARED, ..FOREIGN_SITE });
    // A terminal that asks for such a group, and one that asks for the group of other sites and is granted this one.
    let same = format!("mobile_terminal.group = {LAYOUT}");
    let labs = [(shared("fig4", &home).configure("mt", &same).lab(), home), (shared("fig5", &foreign).lab(), foreign)];
    let mut by_two = 0;
    over_seeds(|seed| {
        for (lab, site) in &labs {
            by_two += weathers(seed).map(|weather| tour(lab, site, seed, weather)).sum::<usize>();
        }
    });
    assert!(by_two > 0, "no packet came by two links");
}

/// The same where the group has the terminal's 48-bit address behind 48 bits of the site's prefix.
#[test]
fn s13c_embedded_rp_with_48_bit_addresses() {
    let labs = [short("fig4", HOME_SITE, true), short("fig5", FOREIGN_SITE, false)];
    over_seeds(|seed| {
        for (lab, site) in &labs {
            for weather in weathers(seed) {
                tour(lab, site, seed, weather);
            }
        }
    });
}

/// The rendezvous point is the agent's address on the link to the core router, out of that link's prefix.
#[test]
fn the_rendezvous_point_is_an_address_of_the_trunk() {
    let site = Site { root: SHARED, ..FOREIGN_SITE };
    let mut draft = with_groups("fig5", &site, LAYOUT, RANGE);
    for (node, port, address) in [("mma1", "core", "2001:db8::1/64"), ("core", "mma1", "2001:db8::2/64")] {
        let ports = draft.config(node)["port"].as_array_mut().expect("ports");
        let port = ports.iter_mut().find(|known| known["name"].as_str() == Some(port)).expect("a port of this name");
        port["addresses"].as_array_mut().expect("addresses").push(address.into());
    }
    let lab = draft.lab();
    over_seeds(|seed| {
        weathers(seed).for_each(|weather| {
            tour(&lab, &site, seed, weather);
        });
    });
}
