//! The node itself, its ports and its routes.

use super::*;

#[test]
fn ports_and_routes() {
    check(
        "router.toml",
        &[
            ("[node]", "[nodes]", 0, "nodes: unknown key; did you mean `node`?"),
            (
                "[node]",
                "[node",
                0,
                "this is not TOML: unclosed table, expected `]`; write tables as [name] and keys as key = value",
            ),
            ("name = \"core\"", "", -1, "node.name: this key is missing; give the node a name as name = \"core\""),
            (
                "name = \"core\"",
                "name = \"a b\"",
                0,
                "node.name: \"a b\" is no name; give 1 to 32 letters, digits, - _ or .",
            ),
            ("# cpu = [1, 2] ", "cpu = 1024 ", 0, "node.cpu: 1024 is too large; give 0 to 1023"),
            (
                "# poll = \"busy\"",
                "poll = \"lazy\"",
                0,
                "node.poll: \"lazy\" is not known; give \"adaptive\" or \"busy\"",
            ),
            ("# frames = 8192", "frames = 1", 0, "node.frames: 1 is too small; give 256 to 1048576"),
            (
                "# frames = 8192",
                "tunnel_dscp = 64",
                0,
                "node.tunnel_dscp: 64 is no DSCP; give \"inner\", \"uniform\" or 0 to 63",
            ),
            ("# seed = 1", "seed = -1", 0, "node.seed: -1 is too small; give 0 to 9223372036854775807"),
            (
                "interface = \"eth0\"",
                "interfaces = \"eth0\"",
                0,
                "port[0].interfaces: unknown key; did you mean `interface`?",
            ),
            (
                "interface = \"eth0\"",
                "interface = 7",
                0,
                "port[0].interface: this is the number 7; give a text in quotation marks",
            ),
            (
                "interface = \"eth0\"",
                "interface = \"a-name-that-is-too-long\"",
                0,
                "port[0].interface: \"a-name-that-is-too-long\" is no interface name; give 1 to 15 letters, as `ip link` shows them",
            ),
            (
                "interface = \"eth0\"",
                "",
                -2,
                "port[0].interface: this key is missing; name the network interface as interface = \"eth0\"",
            ),
            (
                "interface = \"eth1\"",
                "interface = \"eth0\"",
                0,
                "port[1].interface: \"eth0\" is used by the port \"mma\"; use it once",
            ),
            (
                "name = \"a\"",
                "name = \"mma\"",
                0,
                "port[1].name: the name \"mma\" is taken by a port above; give each port its own name",
            ),
            (
                "\"2001:db8:200:1::2/64\"",
                "\"2001:db8:200:1::2\"",
                0,
                "port[0].addresses[0]: \"2001:db8:200:1::2\" is not an address with a prefix length; write it as in 2001:db8:1::1/64",
            ),
            (
                "\"2001:db8:200:1::2/64\"",
                "\"2001:db8:200:2::1/64\"",
                6,
                "port[1].addresses[0]: 2001:db8:200:2::1 is given at port[0].addresses[0] already; give each address once",
            ),
            (
                "kind = \"af_packet\"",
                "kind = \"raw\"",
                0,
                "port[2].kind: \"raw\" is not known; give \"af_xdp\" or \"af_packet\" or \"tun\" or \"mem\"",
            ),
            (
                "kind = \"af_packet\"",
                "kind = \"mem\"",
                0,
                "port[2].kind: a port of kind \"mem\" joins nodes of one process, of which a node file has one; use it through a lab file's links",
            ),
            ("kind = \"af_packet\"", "mtu = 1279", 0, "port[2].mtu: 1279 is too small; give 1280 to 3570"),
            ("kind = \"af_packet\"", "mtu = 9000", 0, "port[2].mtu: 9000 is too large; give 1280 to 3570"),
            (
                "kind = \"af_packet\"",
                "link = \"x\"",
                0,
                "port[2].link: links exist only in lab files; give interface = \"NAME\" in its place",
            ),
            (
                "kind = \"af_packet\"",
                "link_local = \"2001:db8::1\"",
                0,
                "port[2].link_local: 2001:db8::1 is not a link-local address; give one as fe80::1",
            ),
            (
                "kind = \"af_packet\"",
                "ingress_filter = \"closed\"",
                0,
                "port[2].ingress_filter: \"closed\" is not known; give \"open\" or a list of prefixes",
            ),
            (
                "port = \"mma\"",
                "port = \"mma1\"",
                0,
                "route[0].port: there is no port \"mma1\"; name one of the ports: mma, a, b",
            ),
            (
                "via = \"2001:db8:200:1::1\"",
                "via = \"2001:db8:9::1\"",
                0,
                "route[0].via: 2001:db8:9::1 is not on the link of the port \"mma\"; give the router's link-local address, or one in a prefix of the port",
            ),
            (
                "prefix = \"2001:db8:200:a::/64\"",
                "prefix = \"2001:db8:200:a::1/64\"",
                0,
                "route[1].prefix: \"2001:db8:200:a::1/64\" is not a prefix: bits are set behind its length; give 2001:db8:200:a::/64",
            ),
            (
                "prefix = \"2001:db8:200:a::/64\"",
                "prefix = \"::/0\"",
                0,
                "route[1].prefix: ::/0 has a route at route[0] already; give each prefix one route",
            ),
            (
                "blackhole = true",
                "",
                -2,
                "route[3]: this route leads nowhere; give port with via, port alone, blackhole = true or unreachable = true",
            ),
            (
                "blackhole = true",
                "blackhole = \"yes\"",
                0,
                "route[3].blackhole: this is the text \"yes\"; give true or false",
            ),
            (
                "socket = \"/run/drover/core.sock\"",
                "",
                -1,
                "admin.socket: this key is missing; give the path of a Unix socket as socket = \"/run/drover/NAME.sock\"",
            ),
            (
                "# [metrics]",
                "[metrics]",
                0,
                "metrics.listen: this key is missing; give where they are served as listen = \"[::1]:9464\"",
            ),
            (
                "# [metrics]",
                "[metrics]\nlisten = \"::1:9464\"",
                1,
                "metrics.listen: \"::1:9464\" is no address with a port; give one as [::1]:9464",
            ),
            (
                "# [metrics]",
                "[metrics]\nlisten = \"[::1]:0\"",
                1,
                "metrics.listen: there is no port 0; give one as [::1]:9464",
            ),
        ],
    );
}
