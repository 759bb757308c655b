//! Home and foreign site with other trees: PROTOCOL S13. Source-specific trees are what all other scenarios have.

use crate::blocks::{FOREIGN_SITE, HOME_SITE, Root, Site};
use crate::moves::tour;
use crate::world::{Draft, over_seeds, weathers};
use std::net::Ipv6Addr;

/// `ff75:0120:2001:db8:` and the terminal's EUI-64; its rendezvous point is `2001:db8::1`.
const SHARED: Root = Root::RendezvousPoint {
    address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    group: Ipv6Addr::new(0xff75, 0x0120, 0x2001, 0xdb8, 0x0200, 0x5eff, 0xfe10, 0x55),
};
const LAYOUT: &str = "{ layout = \"embedded\", prefix = \"2001:db8::/32\", rp_interface_id = 1 }";

/// A figure whose site has shared trees, the agent's node their rendezvous point.
fn shared(figure: &str, site: &Site) -> Draft {
    let agent = format!("node.loopback = [\"2001:db8::1\"]\nmma.group = {LAYOUT}");
    let mut draft = Draft::shipped(figure).configure(site.agent, &agent);
    for router in [site.core, site.access[0].router, site.access[1].router] {
        draft = draft.configure(router, "router.mobility_range = \"ff75:120:2001:db8::/64\"");
    }
    draft
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
