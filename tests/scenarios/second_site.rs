//! A second foreign site for figure 5: a mobility agent and one access router.

use crate::world::Draft;
use std::net::Ipv6Addr;

/// Its agent.
pub(crate) const SECOND_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0, 0, 0, 0, 1);
/// Its care-of addresses.
pub(crate) const SECOND_CARE_OF: &str = "2001:db8:300:c0a::/64";

/// Figure 5 with the site. Its access link is `radio-2`; its access router `c` may have more, out of
/// `2001:db8:300:c0::/60`.
pub(crate) fn fig5_with_second_site() -> Draft {
    let backbone = r#"
        [[port]]
        name = "mma2"
        link = "bb-mma2"
        addresses = ["2001:db8:0:3::1/64"]

        [[route]]
        prefix = "2001:db8:300::/48"
        port = "mma2"
        via = "2001:db8:0:3::2"
    "#;
    let site = r#"
        [[link]]
        name = "bb-mma2"
        delay_us = 2000

        [[link]]
        name = "mma2-c"
        site = "second"
        delay_us = 100

        [[link]]
        name = "radio-2"
        kind = "lan"
        site = "second"
        delay_us = 200

        [[node]]
        name = "mma2"

        [node.config.node]
        loopback = ["2001:db8:300::1"]

        [[node.config.port]]
        name = "backbone"
        link = "bb-mma2"
        addresses = ["2001:db8:0:3::2/64"]
        site_border = true

        [[node.config.port]]
        name = "c"
        link = "mma2-c"
        addresses = ["2001:db8:300:1::1/64"]

        [[node.config.route]]
        prefix = "::/0"
        port = "backbone"
        via = "2001:db8:0:3::1"

        [[node.config.route]]
        prefix = "2001:db8:300::/48"
        unreachable = true

        [[node.config.route]]
        prefix = "2001:db8:300:c0::/60"
        port = "c"
        via = "2001:db8:300:1::2"

        [[node.config.router.port]]
        name = "c"
        hello_at_once = true

        [node.config.mma]
        address = "2001:db8:300::1"
        care_of_prefix = "2001:db8:300:c0a::/64"
        route_optimisation = "off"
        access_prefixes = ["2001:db8:300:c0::/60"]

        [[node.config.mma.home_agent]]
        address = "2001:db8:100:1::1"

        [[node.config.mma.terminal]]
        home_address = "2001:db8:100:1::55"
        spi = 1002
        key = "93c4e7a10b5d2f68147c9eb03a56d8f2"

        [[node]]
        name = "c"

        [[node.config.port]]
        name = "core"
        link = "mma2-c"
        addresses = ["2001:db8:300:1::2/64"]

        [[node.config.port]]
        name = "radio"
        link = "radio-2"
        addresses = ["2001:db8:300:c0::1/64"]

        [[node.config.route]]
        prefix = "::/0"
        port = "core"
        via = "2001:db8:300:1::1"

        [[node.config.router.port]]
        name = "core"
        hello_at_once = true

        [[node.config.access_router.port]]
        name = "radio"
        ra = { min_interval_ms = 200, max_interval_ms = 400, map = [{ address = "2001:db8:300::1" }] }
    "#;
    Draft::shipped("fig5").with(site).configure("backbone", backbone)
}
