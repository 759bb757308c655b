//! Mobile terminals.

use super::*;

#[test]
fn terminals() {
    check(
        "mobile-terminal.toml",
        &[
            (
                "eui64 = \"02-00-5e-ff-fe-10-00-55\"",
                "group = { layout = \"embedded\", prefix = \"2001:db8:200::/48\" }\neui64 = \"02-00-5e-00-00-10-00-55\"",
                1,
                "mobile_terminal.eui64: 02-00-5e-00-00-10-00-55 is made of no 48-bit address, and the groups have room for no more; give one with ff-fe in the middle, or a group.prefix of 32 bits",
            ),
            (
                "home_agent = \"2001:db8:100:1::1\"",
                "home_agent = \"2001:db8:200:1::1\"",
                0,
                "mobile_terminal.home_agent: 2001:db8:200:1::1 is not another address in the home prefix 2001:db8:100:1::/64; give the agent's address on the home link",
            ),
            (
                "home_agent = \"2001:db8:100:1::1\"",
                "home_agent = \"any\"",
                0,
                "mobile_terminal.home_agent: \"any\" is not an IPv6 address; give the home agent's address, or \"discover\"",
            ),
            (
                "home_agent = \"2001:db8:100:1::1\"",
                "# home_agent = \"2001:db8:100:1::1\"",
                -3,
                "mobile_terminal.home_agent: this key is missing; give the home agent's address as home_agent = \"2001:db8:100::1\", or \"discover\"",
            ),
            (
                "home_agent = \"2001:db8:100:1::1\"",
                "home_prefix = \"2001:db8:100:1::54/126\"\nhome_agent = \"discover\"",
                1,
                "mobile_terminal.home_agent: 2001:db8:100:1::54/126 has no room for the anycast address of its home agents; give the home agent's address",
            ),
            (
                "tun = \"programs\"",
                "tun = \"radio-a\"",
                0,
                "mobile_terminal.tun: the port \"radio-a\" is of kind \"af_packet\"; name a port of kind \"tun\"",
            ),
            (
                "uplink = \"auto\"",
                "uplink = \"none\"",
                0,
                "mobile_terminal.uplink: \"none\" is not known; give \"direct\" or \"mma\" or \"auto\"",
            ),
            (
                "uplink = \"auto\"",
                "uplink = \"auto\"\nmode = \"nemo\"",
                1,
                "mobile_terminal.mode: \"nemo\" is not known; give \"multicast\" or \"hmipv6\" or \"mipv6\"",
            ),
            (
                "uplink = \"auto\"",
                "uplink = \"auto\"\nroute_optimisation = \"cn\"",
                1,
                "mobile_terminal.route_optimisation: \"cn\" is not known; give \"mma\" or \"mt\" or \"off\"",
            ),
            (
                "uplink = \"auto\"",
                "uplink = \"auto\"\nroute_optimisation = \"off\"\nroute_optimisation_with = [\"2001:db8:d::/48\"]",
                2,
                "mobile_terminal.route_optimisation_with: with route_optimisation = \"off\" no correspondent is told anything; remove one of the two keys",
            ),
            (
                "uplink = \"auto\"",
                "uplink = \"auto\"\nroute_optimisation_with = [\"ff02::/16\"]",
                1,
                "mobile_terminal.route_optimisation_with[0]: ff02::/16 is a multicast prefix; give a unicast one as 2001:db8:1::/64",
            ),
            (
                "uplink = \"auto\"",
                "uplink = \"auto\"\nforward_secs = 30",
                1,
                "mobile_terminal.forward_secs: 30 is no multiple of 4; give 32",
            ),
            (
                "port = \"radio-b\"",
                "port = \"radio-a\"",
                0,
                "mobile_terminal.radio[1].port: this port has a table above; write one table a radio",
            ),
            (
                "port = \"radio-b\"",
                "port = \"programs\"",
                0,
                "mobile_terminal.radio[1].port: the port \"programs\" is a TUN device; name an Ethernet port",
            ),
            (
                "# report_repeats_ms = [10, 50, 200]",
                "report_repeats_ms = [10, 0]",
                0,
                "mobile_terminal.report_repeats_ms[1]: 0 is too small; give 1 to 10000",
            ),
            (
                "[mobile_terminal.mma_association]\nspi = 1002",
                "[mobile_terminal.mma_association]",
                0,
                "mobile_terminal.mma_association.spi: this key is missing; give the number that both ends use as spi = 256",
            ),
            (
                "[node]\n",
                "[router]\n[node]\n",
                26,
                "mobile_terminal: a terminal has no other role; give the terminal a file of its own",
            ),
            (
                "[node]\n",
                "[correspondent_node]\n[node]\n",
                0,
                "correspondent_node.address: this key is missing; give an address of this node as address = \"2001:db8:0:1::10\"\nmobile-terminal.toml:33: mobile_terminal: a terminal has no other role; give the terminal a file of its own",
            ),
        ],
    );
}
