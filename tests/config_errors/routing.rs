//! Multicast routing and access links.

use super::*;

#[test]
fn rendezvous_points() {
    let bsr = "# [router.candidate_bsr]                # stand for bootstrap router";
    let rp = "# [router.candidate_rp]                 # offer to be a rendezvous point";
    let fixed = "# [[router.static_rp]]                  # a rendezvous point for groups that do not name theirs";
    check(
        "router.toml",
        &[
            (
                fixed,
                "[[router.static_rp]]\naddress = \"ff15::1\"\ngroups = [\"ff15::/16\"]",
                1,
                "router.static_rp[0].address: ff15::1 is not a routable unicast address; give one as 2001:db8::1",
            ),
            (
                fixed,
                "[[router.static_rp]]\naddress = \"2001:db8::1\"",
                0,
                "router.static_rp[0].groups: this key is missing; give the groups that it serves as groups = [\"ff15::/16\"]",
            ),
            (
                fixed,
                "[[router.static_rp]]\naddress = \"2001:db8::1\"\ngroups = []",
                2,
                "router.static_rp[0].groups: 0 ranges of groups are too few; give 1 to 256",
            ),
            (
                fixed,
                "[[router.static_rp]]\naddress = \"2001:db8::1\"\ngroups = [\"ff75:140::/32\"]",
                2,
                "router.static_rp[0].groups[0]: groups of ff75:140::/32 name their rendezvous points themselves; give groups outside of ff70::/12",
            ),
            (
                fixed,
                "[[router.static_rp]]\naddress = \"2001:db8::1\"\ngroups = [\"ff15::/16\", \"ff35::/64\"]",
                2,
                "router.static_rp[0].groups[1]: groups of ff35::/64 are source-specific and have no rendezvous point; give groups of any-source multicast",
            ),
            (
                fixed,
                "[[router.static_rp]]\naddress = \"2001:db8::1\"\ngroups = [\"ff02::/16\"]",
                2,
                "router.static_rp[0].groups[0]: no router forwards groups of ff02::/16; give groups of a scope wider than a link, 3 to f",
            ),
            (
                fixed,
                "[[router.static_rp]]\naddress = \"2001:db8::1\"\ngroups = [\"ff15::/16\", \"ff0e::/16\", \"ff15::/16\"]",
                2,
                "router.static_rp[0].groups[2]: ff15::/16 is named twice; name each range once",
            ),
            (
                bsr,
                "[router.candidate_bsr]",
                0,
                "router.candidate_bsr.address: this key is missing; give one of this node's as address = \"2001:db8::5\", or a port",
            ),
            (
                bsr,
                "[router.candidate_bsr]\naddress = \"2001:db8::77\"",
                1,
                "router.candidate_bsr.address: 2001:db8::77 is not an address of this node; give one of a port's addresses or of node.loopback",
            ),
            (
                bsr,
                "[router.candidate_bsr]\nport = \"c\"",
                1,
                "router.candidate_bsr.port: there is no port \"c\"; name one of the ports: mma, a, b",
            ),
            (
                bsr,
                "[router.candidate_bsr]\nport = \"a\"\naddress = \"2001:db8:200:2::1\"",
                1,
                "router.candidate_bsr.port: the address is given, so that no port is asked for one; give one of address and port",
            ),
            (
                bsr,
                "[router.candidate_bsr]\nport = \"a\"\npriority = 256",
                2,
                "router.candidate_bsr.priority: 256 is too large; give 0 to 255",
            ),
            (
                bsr,
                "[router.candidate_bsr]\nport = \"a\"\nhash_mask_length = 129",
                2,
                "router.candidate_bsr.hash_mask_length: 129 is too large; give 0 to 128",
            ),
            (
                bsr,
                "[router.candidate_bsr]\nport = \"a\"\nscopes = [5, 2]",
                2,
                "router.candidate_bsr.scopes[1]: 2 is too small; give 3 to 14",
            ),
            (
                rp,
                "[router.candidate_rp]\nport = \"a\"\ninterval_secs = 0",
                2,
                "router.candidate_rp.interval_secs: 0 is too small; give 1 to 26214",
            ),
            (
                rp,
                "[router.candidate_rp]\nport = \"a\"\ngroups = [\"2001:db8::/32\"]",
                2,
                "router.candidate_rp.groups[0]: 2001:db8::/32 is not a multicast prefix; give one as ff35::/64",
            ),
            (
                "# bsr_boundary = true                   # no Bootstrap message passes",
                "bsr_boundary = true\nbsr_scope_boundary = 5",
                1,
                "router.port[0].bsr_scope_boundary: bsr_boundary keeps the messages of all scopes in; remove this key, or bsr_boundary",
            ),
            (
                "# bsr_boundary = true                   # no Bootstrap message passes",
                "bsr_scope_boundary = 15",
                0,
                "router.port[0].bsr_scope_boundary: 15 is too large; give 3 to 14",
            ),
            (
                "# bootstrap = true                      # learn rendezvous points from a bootstrap router, and pass its messages on",
                "bootstrap = false\ncandidate_rp = { port = \"a\" }",
                0,
                "router.bootstrap: a candidate takes part in the bootstrap router mechanism; give true, or remove candidate_bsr and candidate_rp",
            ),
            (
                "# bootstrap = true                      # learn rendezvous points from a bootstrap router, and pass its messages on",
                "unicast_bootstrap = true",
                0,
                "router.unicast_bootstrap: this router takes no part in the bootstrap router mechanism; give bootstrap = true, or false here",
            ),
        ],
    );
}

#[test]
fn multicast_routing() {
    check(
        "router.toml",
        &[
            (
                "# mobility_range = \"ff35::/64\"",
                "mobility_range = \"2001:db8::/32\"",
                0,
                "router.mobility_range: 2001:db8::/32 is not a multicast prefix; give one as ff35::/64",
            ),
            (
                "# join_prune_period_secs = 60",
                "join_prune_period_secs = 0",
                0,
                "router.join_prune_period_secs: 0 is too small; give 1 to 18000",
            ),
            (
                "# register_suppression_secs = 60",
                "register_suppression_secs = 10",
                0,
                "router.register_suppression_secs: 10 is too small; give 11 to 18000",
            ),
            (
                "# hello_period_secs = 30",
                "hello_period = 30",
                0,
                "router.port[0].hello_period: unknown key; did you mean `hello_period_secs`?",
            ),
            (
                "hello_at_once = true",
                "hello_at_once = 1",
                0,
                "router.port[0].hello_at_once: this is the number 1; give true or false",
            ),
            (
                "# join_prune_period_secs = 60",
                "spt_switchover = \"later\"",
                0,
                "router.spt_switchover: \"later\" is not known; give \"immediate\", \"always\", \"never\" or a list of prefixes of groups",
            ),
            (
                "# join_prune_period_secs = 60",
                "spt_switchover = [\"ff15::/16\", \"2001:db8::/32\"]",
                0,
                "router.spt_switchover[1]: 2001:db8::/32 is not a multicast prefix; give one as ff35::/64",
            ),
            (
                "hello_at_once = true",
                "joins = [\"fd00::/8\"]",
                0,
                "router.port[0].joins[0]: fd00::/8 is not a multicast prefix; give one as ff35::/64",
            ),
            (
                "hello_at_once = true",
                "boundary = [\"ff15\"]",
                0,
                "router.port[0].boundary[0]: \"ff15\" is not a prefix; write it as in 2001:db8:1::/64",
            ),
            // A port that has no link-local address has no part in PIM.
            (
                "name = \"a\"\nhello",
                "name = \"home0\"\n[[port]]\nname = \"home0\"\nkind = \"tun\"\ninterface = \"home0\"\n#",
                0,
                "router.port[0].name: no PIM is spoken on the port \"home0\": it is a site border or a TUN device; remove this table",
            ),
        ],
    );
    check(
        "access-router.toml",
        &[
            (
                "[router]",
                "[mobility]",
                0,
                "mobility: unknown key; the keys here are node, port, route, kernel, admin, metrics, router, access_router, mma, home_agent, mobile_terminal, correspondent_node",
            ),
            (
                "name = \"radio\"\n\n",
                "name = \"wifi\"\n\n",
                0,
                "access_router.port[0].name: there is no port \"wifi\"; name one of the ports: core, radio",
            ),
            (
                "min_interval_ms = 200",
                "min_interval_ms = 20",
                0,
                "access_router.port[0].ra.min_interval_ms: 20 is too small; give 30 to 300",
            ),
            (
                "name = \"radio\"\n\n",
                "name = \"home0\"\n[[port]]\nname = \"home0\"\nkind = \"tun\"\ninterface = \"home0\"\n",
                0,
                "access_router.port[0].name: the port \"home0\" is a TUN device, not a link of terminals; name an Ethernet port",
            ),
            (
                "min_interval_ms = 200",
                "min_interval_ms = 400",
                0,
                "access_router.port[0].ra.min_interval_ms: 400 is too large; give 30 to 300",
            ),
            (
                "# router_lifetime_secs = 3",
                "router_lifetime_secs = 9001",
                0,
                "access_router.port[0].ra.router_lifetime_secs: 9001 is too large; give 0 to 9000",
            ),
            (
                "address = \"2001:db8:200::1\"",
                "address = \"fe80::1\"",
                0,
                "access_router.port[0].ra.map[0].address: fe80::1 is not a routable unicast address; give one as 2001:db8::1",
            ),
            (
                "# distance = 1",
                "distance = 16",
                0,
                "access_router.port[0].ra.map[0].distance: 16 is too large; give 1 to 15",
            ),
            (
                "# query_response_interval_ms = 10000",
                "query_response_interval_ms = 125000",
                0,
                "access_router.port[0].mld.query_response_interval_ms: 125000 is too large; give 1 to 124999",
            ),
            (
                "# query_response_interval_ms = 10000",
                "mld_version = 3",
                0,
                "access_router.port[0].mld.mld_version: 3 is too large; give 1 to 2",
            ),
            (
                "# query_response_interval_ms = 10000",
                "mld_version = 1\nquery_response_interval_ms = 65536",
                1,
                "access_router.port[0].mld.query_response_interval_ms: 65536 is too large; give 1 to 65535",
            ),
            (
                "# query_response_interval_ms = 10000",
                "mld_version = 1\nlast_listener_query_interval_ms = 70000",
                1,
                "access_router.port[0].mld.last_listener_query_interval_ms: 70000 is too large; give 1 to 65535",
            ),
            (
                "name = \"radio\"\n\n",
                "name = \"radio\"\nunicast_delivery = 1\n\n",
                1,
                "access_router.port[0].unicast_delivery: this is the number 1; give true or false",
            ),
            (
                "[[access_router.port]]\n",
                "[[router.port]]\nname = \"radio\"\npassive = false\n\n[[access_router.port]]\nunicast_delivery = true\n",
                5,
                "access_router.port[0].unicast_delivery: PIM is spoken on the port \"radio\", where other routers may want a group; give passive = true in its [[router.port]], or false",
            ),
            (
                "hello_at_once = true\n\n[[access_router.port]]\n",
                "\n[[access_router.port]]\nname = \"core\"\nunicast_delivery = true\nmld = { mld_version = 1 }\n\n[[access_router.port]]\n",
                3,
                "access_router.port[0].unicast_delivery: a querier of version 1 does not know who listens; give mld_version = 2, or false",
            ),
            ("# time_ms = 100", "time_ms = 1001", 0, "access_router.hold.time_ms: 1001 is too large; give 0 to 1000"),
            (
                "# packets_of_group = 256",
                "packets_of_group = 513",
                0,
                "access_router.hold.packets_of_group: 513 is too large; give 1 to 512",
            ),
            ("# packets = 8192", "packets = 0", 0, "access_router.hold.packets: 0 is too small; give 1 to 1048576"),
            ("# packets = 8192", "packet = 1", 0, "access_router.hold.packet: unknown key; did you mean `packets`?"),
            (
                "# query_response_interval_ms = 10000",
                "max_groups_per_host = 0",
                0,
                "access_router.port[0].mld.max_groups_per_host: 0 is too small; give 1 to 1048576",
            ),
            (
                "# query_response_interval_ms = 10000",
                "max_sources_per_host = 1048577",
                0,
                "access_router.port[0].mld.max_sources_per_host: 1048577 is too large; give 1 to 1048576",
            ),
            (
                "# link_mtu = 1460",
                "home_agent_preference = 1 #",
                0,
                "access_router.port[0].ra.home_agent_preference: only a home agent's advertisements say this; move the key to [home_agent.ra]",
            ),
        ],
    );
}
