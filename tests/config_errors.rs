//! Each mistake gives one line that names the file, the line, the key and the remedy. The files that are shipped are
//! changed in one place each, and the line is compared to the letter.

use drover::config::lab::parse_lab;
use drover::config::parse;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)).unwrap()
}

/// The complaints about `file` with its only `from` replaced by `to`.
fn complaints(file: &str, from: &str, to: &str) -> String {
    let text = shipped(file);
    assert!(text.contains(from), "{file} has no {from:?}");
    let text = text.replacen(from, to, 1);
    let result = if file.starts_with("lab/") {
        parse_lab(file, &text, Path::new("")).map(|_| ())
    } else {
        parse(file, &text, Path::new("")).map(|_| ())
    };
    result.map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
}

/// Checks mutations of one file: what is replaced, by what, how many lines from there the complaint points, and it
/// itself.
fn check(file: &str, mutations: &[(&str, &str, isize, &str)]) {
    let text = shipped(file);
    let mut wrong = Vec::new();
    for (from, to, distance, complaint) in mutations {
        let before = text.find(from).map_or("", |at| &text[..at]);
        let line = (1 + before.matches('\n').count()).strict_add_signed(*distance);
        let (expected, said) = (format!("{file}:{line}: {complaint}"), complaints(file, from, to));
        if said != expected {
            wrong.push(format!("{from:?} replaced by {to:?}\n  expected {expected}\n      said {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

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
                "mobility: unknown key; the keys here are node, port, route, admin, router, access_router, mma, home_agent, mobile_terminal, correspondent_node",
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
                "# link_mtu = 1460",
                "home_agent_preference = 1 #",
                0,
                "access_router.port[0].ra.home_agent_preference: only a home agent's advertisements say this; move the key to [home_agent.ra]",
            ),
        ],
    );
}

#[test]
fn agents() {
    check(
        "mma.toml",
        &[
            (
                "loopback = [\"2001:db8:200::1\"]",
                "loopback = []",
                43,
                "mma.address: 2001:db8:200::1 is not a loopback address of this node; add it as [node] loopback = [\"2001:db8:200::1\"]",
            ),
            (
                "care_of = \"assigned\"",
                "care_of = \"shared\"",
                1,
                "mma.care_of_prefix: the mode \"shared\" has one address, not a prefix; give care_of_address",
            ),
            (
                "\"2001:db8:200:c0a::/64\"",
                "\"2001:db8:200::/48\"",
                0,
                "mma.care_of_prefix: 2001:db8:200::/48 has 48 bits; give a prefix of 64 to 112 bits",
            ),
            (
                "\"2001:db8:200:c0a::/64\"",
                "\"2001:db8:200:a::/64\"",
                0,
                "mma.care_of_prefix: 2001:db8:200:a::/64 is also used on a link, as 2001:db8:200:a::/64; give care-of addresses a prefix of their own, routed to this node",
            ),
            (
                "[[mma.home_agent]]\naddress = \"2001:db8:100:1::1\"",
                "",
                -16,
                "mma.home_agent: this key is missing; name the home agents that may tunnel to this agent as [[mma.home_agent]] with address = \"…\"",
            ),
            (
                "# prefix = \"2001:db8:100:1::/64\"",
                "prefix = \"2001:db8:100:2::/64\"",
                3,
                "mma.terminal[0].home_address: 2001:db8:100:1::55 has no home agent here; add the one of its home prefix as [[mma.home_agent]]",
            ),
            (
                "access_prefixes = [\"2001:db8:200:a::/64\", \"2001:db8:200:b::/64\"]",
                "access_prefixes = []",
                -4,
                "mma.access_prefixes: this key is missing; list the prefixes of the site's access links",
            ),
            (
                "# quarantine_secs = 420",
                "quarantine_secs = 60",
                0,
                "mma.quarantine_secs: 60 is too small; give 420 to 86400",
            ),
            (
                "care_of_prefix",
                "gre = \"always\"\ncare_of_prefix",
                0,
                "mma.gre: \"always\" is not known; give \"off\" or \"offered\" or \"required\"",
            ),
            (
                "care_of_prefix",
                "route_optimisation = \"mt\"\ncare_of_prefix",
                0,
                "mma.route_optimisation: \"mt\" is not known; give \"mma\" or \"off\"",
            ),
            (
                "care_of_prefix",
                "route_optimisation_with = [\"2001:db8:d::/48\", \"2001:db8:d::1/48\"]\ncare_of_prefix",
                0,
                "mma.route_optimisation_with[1]: \"2001:db8:d::1/48\" is not a prefix: bits are set behind its length; give 2001:db8:d::/48",
            ),
            (
                "care_of_prefix",
                "route_optimisation = \"off\"\nroute_optimisation_with = [\"2001:db8:d::/48\"]\ncare_of_prefix",
                1,
                "mma.route_optimisation_with: with route_optimisation = \"off\" no correspondent is told anything; remove one of the two keys",
            ),
            (
                "[[mma.home_agent]]",
                "[[mma.preconfigured_key]]\nhome_address = \"2001:db8:100:1::55\"\nkey = \"00112233445566778899aabbccddeeff00112233\"\nhome_nonce = \"00\"\ncare_of_nonce = \"01\"\n[[mma.home_agent]]",
                0,
                "mma.preconfigured_key[0].correspondent: this key is missing; give the address of who shares the key as correspondent = \"2001:db8:d::10\"",
            ),
            (
                "[[mma.home_agent]]",
                "[[mma.preconfigured_key]]\nhome_address = \"2001:db8:999:1::55\"\ncorrespondent = \"2001:db8:d::10\"\nkey = \"00112233445566778899aabbccddeeff00112233\"\nhome_nonce = \"00\"\ncare_of_nonce = \"01\"\n[[mma.home_agent]]",
                1,
                "mma.preconfigured_key[0].home_address: 2001:db8:999:1::55 has no home agent here; add the one of its home prefix as [[mma.home_agent]]",
            ),
            (
                "care_of_prefix",
                "route_optimisation = \"off\"\npreconfigured_key = [{ home_address = \"2001:db8:100:1::55\", correspondent = \"2001:db8:d::10\", key = \"00112233445566778899aabbccddeeff00112233\", home_nonce = \"00\", care_of_nonce = \"01\" }]\ncare_of_prefix",
                1,
                "mma.preconfigured_key[0].correspondent: with route_optimisation = \"off\" no correspondent is told anything; remove the key, or route_optimisation",
            ),
            (
                "care_of_prefix",
                "route_optimisation_with = [\"2001:db8:e::/48\"]\npreconfigured_key = [{ home_address = \"2001:db8:100:1::55\", correspondent = \"2001:db8:d::10\", key = \"00112233445566778899aabbccddeeff00112233\", home_nonce = \"00\", care_of_nonce = \"01\" }]\ncare_of_prefix",
                1,
                "mma.preconfigured_key[0].correspondent: 2001:db8:d::10 is in no prefix of route_optimisation_with, so that it is told nothing; add its prefix there, or remove the key",
            ),
            (
                "care_of_prefix",
                "max_forward_secs = 601\ncare_of_prefix",
                0,
                "mma.max_forward_secs: 601 is too large; give 4 to 600",
            ),
            (
                "care_of_prefix",
                "peers = [\"ff00::/8\"]\ncare_of_prefix",
                0,
                "mma.peers[0]: ff00::/8 is a multicast prefix; give a unicast one as 2001:db8:1::/64",
            ),
            (
                "# group = { layout = \"ssm\"",
                "group = { layout = \"asm\"",
                0,
                "mma.group.layout: groups whose rendezvous point is configured are not in this version; give \"ssm\" or \"embedded\"",
            ),
            (
                "# group = { layout = \"ssm\"",
                "group = { layout = \"embedded\"",
                0,
                "mma.group.prefix: this key is missing; give the operator's 32 or 48 bits in front of the rendezvous point as prefix = \"2001:db8::/32\"",
            ),
            (
                "# group = { layout = \"ssm\"",
                "group = { layout = \"embedded\", prefix = \"2001:db8::/40\"",
                0,
                "mma.group.prefix: 2001:db8::/40 has 40 bits; give one of 32 bits, with room for EUI-64 identifiers, or of 48, with room for 48-bit addresses",
            ),
            (
                "# group = { layout = \"ssm\"",
                "group = { layout = \"embedded\", prefix = \"2001:db8:f::/48\"",
                0,
                "mma.group: the rendezvous point 2001:db8:f::1 is no address of this node; add it as [node] loopback = [\"2001:db8:f::1\"] and route it here in the site",
            ),
            (
                "# group = { layout = \"ssm\"",
                "group = { layout = \"embedded\", prefix = \"2001:db8::/32\", rp_interface_id = 16",
                0,
                "mma.group.rp_interface_id: 16 is too large; give 1 to 15",
            ),
            (
                "# group = { layout = \"ssm\"",
                "group = { layout = \"embedded\", prefix = \"2001:db8::/32\"",
                0,
                "mma.group: the rendezvous point 2001:db8::1 is no address of this node; add it as [node] loopback = [\"2001:db8::1\"] and route it here in the site",
            ),
            (
                "# group = { layout = \"ssm\"",
                "group = { prefix = \"2001:db8::/32\"",
                0,
                "mma.group.prefix: only the layout \"embedded\" names a rendezvous point; leave it out",
            ),
            ("spi = 1002", "spi = 255", 0, "mma.terminal[0].spi: 255 is too small; give 256 to 4294967295"),
            (
                "key = \"93c4",
                "key = \"zz",
                0,
                "mma.terminal[0].key: the key is not pairs of hexadecimal digits; give 16 to 64 octets, two hexadecimal digits each",
            ),
            (
                "key = \"93c4e7a10b5d2f68147c9eb03a56d8f2\"",
                "key = \"93c4\"",
                0,
                "mma.terminal[0].key: the key has 2 octets; give 16 to 64 octets, two hexadecimal digits each",
            ),
            (
                "key = \"93c4e7a10b5d2f68147c9eb03a56d8f2\"",
                "",
                -3,
                "mma.terminal[0].key: this key is missing; give the shared key in hexadecimal, or its file as key_file",
            ),
            (
                "# eui64 = \"02-00-5e-ff-fe-10-00-55\"",
                "eui64 = \"02-00-5e-00-00-10-00-55\"\n[mma.group]\nlayout = \"embedded\"\nprefix = \"2001:db8:200::/48\"\n#",
                0,
                "mma.terminal[0].eui64: 02-00-5e-00-00-10-00-55 is made of no 48-bit address, and the groups have room for no more; give one with ff-fe in the middle, or a group.prefix of 32 bits",
            ),
            (
                "# eui64 = \"02-00-5e-ff-fe-10-00-55\"",
                "eui64 = \"02:00\"",
                0,
                "mma.terminal[0].eui64: \"02:00\" is not an EUI-64; write it as in 02-00-5e-ff-fe-10-00-01",
            ),
            (
                "[router]\n\n[[router.port]]\nname = \"core\"\nhello_at_once = true\n",
                "",
                1,
                "mma: this role sends and hears multicast and needs PIM; add a table [router], which may be empty",
            ),
        ],
    );
    check(
        "home-agent.toml",
        &[
            (
                "port = \"home\"",
                "port = \"hom\"",
                0,
                "home_agent.port: there is no port \"hom\"; name one of the ports: backbone, home",
            ),
            (
                "address = \"2001:db8:100:1::1\"",
                "address = \"2001:db8:100:1::2\"",
                0,
                "home_agent.address: 2001:db8:100:1::2 is not an address of the port \"home\"; add it to the port's addresses",
            ),
            (
                "dad = \"optimistic\"",
                "dad = \"never\"",
                0,
                "home_agent.dad: \"never\" is not known; give \"strict\" or \"optimistic\" or \"off\"",
            ),
            (
                "home_address = \"2001:db8:100:1::55\"",
                "home_address = \"2001:db8:200:1::55\"",
                0,
                "home_agent.terminal[0].home_address: 2001:db8:200:1::55 is not in the home prefix 2001:db8:100:1::/64; give an address of the home link",
            ),
            (
                "home_address = \"2001:db8:100:1::55\"",
                "home_address = \"2001:db8:100:1::1\"",
                0,
                "home_agent.terminal[0].home_address: 2001:db8:100:1::1 is this node's own; give the terminal another address",
            ),
            (
                "# max_lifetime_secs = 1800",
                "max_lifetime_secs = 262141",
                0,
                "home_agent.max_lifetime_secs: 262141 is too large; give 4 to 262140",
            ),
        ],
    );
}

/// What a mobility agent does for terminals that move on, and for those without a group.
#[test]
fn agents_may_have_peers_and_anchor() {
    let keys = "gre = \"required\"\npeers = [\"2001:db8:300:c0a::/64\"]\nmax_forward_secs = 40\nforward_chain = true\n\
                anchor = true\nsite_key = { spi = 900, key = \"00112233445566778899aabbccddeeff\" }\ncare_of_prefix";
    let text = shipped("mma.toml").replacen("care_of_prefix", keys, 1);
    let mma = parse("mma.toml", &text, Path::new("")).unwrap_or_else(|error| panic!("{error}")).mma.unwrap();
    assert_eq!((mma.gre, mma.forward_chain, mma.max_forward.as_secs()), (mma::GrePolicy::Required, true, 40));
    assert_eq!(mma.peers, ["2001:db8:300:c0a::/64".parse().unwrap()]);
    assert_eq!(mma.anchor, mma::Anchor::Prefix("2001:db8:200::/64".parse().unwrap()));
    assert_eq!(mma.site_key.unwrap().spi, 900);
    for (word, policy) in [("true", mma::GrePolicy::Offered), ("false", mma::GrePolicy::Off)] {
        let text = shipped("mma.toml").replacen("# gre = \"offered\" ", &format!("gre = {word} "), 1);
        assert_eq!(parse("mma.toml", &text, Path::new("")).unwrap().mma.unwrap().gre, policy);
    }
    // Regional addresses would be those of a link.
    let text = text.replace("2001:db8:200::1", "2001:db8:200:1::9");
    let error = parse("mma.toml", &text, Path::new("")).unwrap_err().to_string();
    assert!(error.contains("mma.anchor: 2001:db8:200:1::/64, of which regional addresses would be"), "{error}");
}

/// The rendezvous point of a /48 may be the agent's own address; its groups are a /80.
#[test]
fn groups_with_their_rendezvous_point() {
    for (group, range) in [
        ("{ layout = \"ssm\", scope = 8 }", "ff38::/64"),
        ("{ layout = \"embedded\", prefix = \"2001:db8:200::/48\" }", "ff75:130:2001:db8:200::/80"),
    ] {
        let text = shipped("mma.toml").replacen("# group = {", &format!("group = {group} # {{"), 1);
        let node = parse("mma.toml", &text, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
        let range: stack::addr::Prefix = range.parse().unwrap();
        assert_eq!(node.mma.unwrap().group_layout.range(), range);
        assert_eq!(node.router.unwrap().mobility_range, range, "what the router takes for the groups of terminals");
    }
}

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
                23,
                "mobile_terminal: a terminal has no other role; give the terminal a file of its own",
            ),
            (
                "[node]\n",
                "[correspondent_node]\n[node]\n",
                0,
                "correspondent_node.address: this key is missing; give an address of this node as address = \"2001:db8:0:1::10\"\nmobile-terminal.toml:30: mobile_terminal: a terminal has no other role; give the terminal a file of its own",
            ),
        ],
    );
}

#[test]
fn correspondent_nodes() {
    check(
        "correspondent-node.toml",
        &[
            (
                "address = \"2001:db8:0:1::10\" ",
                "address = \"2001:db8:0:1::11\" ",
                0,
                "correspondent_node.address: 2001:db8:0:1::11 is not an address of this node; add it to a port's addresses or to [node] loopback",
            ),
            (
                "tun = \"programs\"",
                "tun = \"lan\"",
                0,
                "correspondent_node.tun: the port \"lan\" is of kind \"af_xdp\"; name a port of kind \"tun\"",
            ),
            (
                "tun = \"programs\"",
                "service = [{ kind = \"sink\" }, { kind = \"source\", transport_port = 9 }]",
                0,
                "correspondent_node.service[1].transport_port: the port 9 is taken by a service above; give each service a port of its own",
            ),
            (
                "tun = \"programs\"",
                "service = [{ kind = \"chargen\" }]",
                0,
                "correspondent_node.service[0].kind: \"chargen\" is not known; give \"tcp-echo\" or \"udp-echo\" or \"sink\" or \"source\"",
            ),
            (
                "# max_bindings = 4096",
                "service = [{ kind = \"sink\" }]",
                0,
                "correspondent_node.service[0]: behind a TUN device the programs of this host answer; remove the service, or tun",
            ),
            (
                "home_address_option = \"rfc6275\"",
                "home_address_option = \"off\"",
                0,
                "correspondent_node.home_address_option: \"off\" is not known; give \"rfc6275\" or \"site\" or \"patent\"",
            ),
            (
                "home_address_option = \"rfc6275\"",
                "home_address_option = \"site\"",
                -3,
                "correspondent_node.sites: this key is missing; list the access prefixes that terminals send from as sites = [\"2001:db8:1::/48\"]",
            ),
            (
                "# sites = ",
                "sites = ",
                0,
                "correspondent_node.sites: only the policy \"site\" looks at sites; remove the key, or give home_address_option = \"site\"",
            ),
            (
                "# home_prefixes = [\"2001:db8:100::/48\"]",
                "home_prefixes = [\"2001:db8:100::55/48\"]",
                0,
                "correspondent_node.home_prefixes[0]: \"2001:db8:100::55/48\" is not a prefix: bits are set behind its length; give 2001:db8:100::/48",
            ),
            (
                "# max_lifetime_secs = 420",
                "max_lifetime_secs = 421",
                0,
                "correspondent_node.max_lifetime_secs: 421 is too large; give 4 to 420",
            ),
            (
                "key = \"00112233445566778899aabbccddeeff00112233\"",
                "key = \"00112233445566778899aabbccddeeff\"",
                0,
                "correspondent_node.preconfigured_key[0].key: the key has 16 octets; give 20 to 64 octets, two hexadecimal digits each",
            ),
            (
                "home_nonce = \"6a1f0c52d98e4b77\"\n",
                "",
                -3,
                "correspondent_node.preconfigured_key[0].home_nonce: this key is missing; give what both ends use, in hexadecimal, as home_nonce = \"…\"",
            ),
            (
                "[[correspondent_node.preconfigured_key]]",
                "[[correspondent_node.preconfigured_key]]\nhome_address = \"2001:db8:100:1::56\"\nkey = \"00112233445566778899aabbccddeeff00112233\"\nhome_nonce = \"00\"\ncare_of_nonce = \"01\"\n[[correspondent_node.preconfigured_key]]",
                7,
                "correspondent_node.preconfigured_key[1].key: another terminal has this key; give each terminal a key of its own",
            ),
        ],
    );
}

#[test]
fn labs() {
    check(
        "lab/fig5.toml",
        &[
            ("duration_ms = 14000", "duration_ms = 0", 0, "lab.duration_ms: 0 is too small; give 1 to 86400000"),
            (
                "name = \"fig5\"",
                "name = \"figure-five\"",
                0,
                "lab.name: \"figure-five\" is too long to be part of interface names; give at most 8 letters",
            ),
            (
                "kind = \"lan\"\nsite = \"home\"",
                "kind = \"ring\"",
                0,
                "link[3].kind: \"ring\" is not known; give \"p2p\" or \"lan\"",
            ),
            (
                "kind = \"lan\"\nsite = \"home\"",
                "",
                -2,
                "link[3]: the link \"home\" has 1 end; attach two ports or hosts to it, or give kind = \"lan\"",
            ),
            (
                "gateway = \"2001:db8:c::1\"",
                "gateway = \"2001:db8:d::1\"",
                0,
                "host[0].gateway: 2001:db8:d::1 is not another address in 2001:db8:c::/64; give the router's address on the host's link",
            ),
            (
                "start = \"radio-a\"",
                "start = \"home\"",
                0,
                "node[6].start: no port of this terminal is on the link \"home\"; name the link of one of its ports",
            ),
            (
                "start = \"radio-a\"",
                "",
                -2,
                "node[6].start: this key is missing; say where the terminal is at first as start = \"LINK\"",
            ),
            (
                "name = \"core\"\nlink = \"core-a\"",
                "name = \"core\"\nlink = \"core-c\"",
                1,
                "node[4].config.port[0].link: there is no link \"core-c\"; name one of the links: cn-bb, bb-ha, bb-mma1, home, mma1-core, core-a, core-b, radio-a, radio-b",
            ),
            (
                "name = \"core\"\nlink = \"core-a\"",
                "name = \"core\"\ninterface = \"eth0\"",
                1,
                "node[4].config.port[0].interface: ports of a lab are attached to links; give link = \"NAME\" in its place",
            ),
            (
                "spi = 1001\nkey",
                "spi = 1\nkey",
                0,
                "node[1].config.home_agent.terminal[0].spi: 1 is too small; give 256 to 4294967295",
            ),
            ("to = \"mt\"", "to = \"core\"", 0, "flow[0].to: \"core\" is a router; name a host or a terminal"),
            (
                "rate_pps = 20",
                "rate_kbps = 20",
                0,
                "flow[0].rate_kbps: this kind of flow does not use this key; remove it",
            ),
            (
                "to = [\"radio-b\", \"radio-a\"]",
                "to = [\"radio-c\"]",
                0,
                "move[0].to: there is no link \"radio-c\"; name one of the links: cn-bb, bb-ha, bb-mma1, home, mma1-core, core-a, core-b, radio-a, radio-b",
            ),
            (
                "to = [\"radio-b\", \"radio-a\"]",
                "to = [\"radio-a\", \"radio-b\"]",
                0,
                "move[0].to: at 1000 ms the terminal is on \"radio-a\" already; name another link",
            ),
            (
                "repeat = 8",
                "repeat = 80",
                0,
                "move[0].repeat: the last of 80 movements is at 80000 ms, after the end; let them end by lab.duration_ms = 14000",
            ),
            (
                "every_ms = 1000",
                "",
                -5,
                "move[0].every_ms: this key is missing; say how long after one another the movements are",
            ),
            (
                "join_prune_links = [\"core-a\"",
                "join_prune_links = [\"core-x\"",
                0,
                "checks.join_prune_links: there is no link \"core-x\"; name one of the links: cn-bb, bb-ha, bb-mma1, home, mma1-core, core-a, core-b, radio-a, radio-b",
            ),
        ],
    );
}

#[test]
fn all_mistakes_are_said_in_one_pass() {
    let text = "\
[node]
name = \"x\"
cpu = 5000

[[port]]
name = \"a\"
interface = \"eth0\"
addresses = [\"2001:db8::1\", \"fe80::1/64\"]
mtu = 1

[[port]]
interface = \"eth1\"
";
    let error = parse("x.toml", text, Path::new("")).unwrap_err();
    let lines: Vec<String> = error.0.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        lines,
        [
            "x.toml:3: node.cpu: 5000 is too large; give 0 to 1023",
            "x.toml:8: port[0].addresses[0]: \"2001:db8::1\" is not an address with a prefix length; write it as in 2001:db8:1::1/64",
            "x.toml:8: port[0].addresses[1]: fe80::1 is link-local; leave it out, or give it as link_local",
            "x.toml:9: port[0].mtu: 1 is too small; give 1280 to 3570",
            "x.toml:11: port[1].name: this key is missing; give the port a name as name = \"uplink\"",
        ]
    );
    assert!(lines.iter().all(|line| !line.contains('\n')));
}

#[test]
fn every_truncation_is_accepted_or_complained_about() {
    for file in ["mma.toml", "mobile-terminal.toml", "lab/fig5.toml"] {
        let text = shipped(file);
        for end in (0..text.len()).step_by(if file.starts_with("lab/") { 97 } else { 7 }) {
            if !text.is_char_boundary(end) {
                continue;
            }
            let error = match file.starts_with("lab/") {
                true => parse_lab(file, &text[..end], Path::new("")).err(),
                false => parse(file, &text[..end], Path::new("")).err(),
            };
            for problem in error.iter().flat_map(|error| &error.0) {
                assert!(!problem.to_string().contains('\n') && !problem.remedy.is_empty(), "{problem}");
            }
        }
    }
}

/// A key file with this text and mode.
fn key_file(name: &str, text: &str, mode: u32) -> PathBuf {
    let path = std::env::temp_dir().join(format!("drover-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn key_files() {
    let text = shipped("mma.toml");
    let line = 1 + text[..text.find("key = \"93c4").unwrap()].matches('\n').count();
    let inline = "key = \"93c4e7a10b5d2f68147c9eb03a56d8f2\"";
    let given = |path: &Path| format!("key_file = \"{}\" #", path.display());
    let good = key_file("good", "93c4e7a10b5d2f68147c9eb03a56d8f2\n", 0o600);
    assert_eq!(complaints("mma.toml", inline, &given(&good)), "accepted");
    let open = key_file("open", "93c4e7a10b5d2f68147c9eb03a56d8f2\n", 0o644);
    let shown = open.display();
    assert_eq!(
        complaints("mma.toml", inline, &given(&open)),
        format!(
            "mma.toml:{line}: mma.terminal[0].key_file: {shown} has mode 0644: others can read the key; run chmod 600 {shown}"
        )
    );
    let bad = key_file("bad", "not a key", 0o600);
    assert!(complaints("mma.toml", inline, &given(&bad)).contains("the key is not pairs of hexadecimal digits"));
    assert!(complaints("mma.toml", inline, &given(Path::new("/nonexistent/key"))).contains("cannot be read"));
    assert!(complaints("mma.toml", inline, &given(Path::new("/"))).contains("is not a file"));
    let twice = format!("{inline}\n{}", given(&good));
    assert_eq!(
        complaints("mma.toml", inline, &twice),
        format!(
            "mma.toml:{}: mma.terminal[0].key_file: the key is given twice, inline and as a file; give key or key_file",
            line + 1
        )
    );
    for path in [good, open, bad] {
        std::fs::remove_file(path).unwrap();
    }
}

/// A lab whose topology stands in another file: a mistake is told where it stands.
#[test]
fn what_a_lab_is_based_on() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config-errors-base");
    std::fs::create_dir_all(&directory).unwrap();
    let topology = shipped("lab/fig5.toml").split_once("[[link]]").map(|(_, rest)| format!("[[link]]{rest}")).unwrap();
    let part = directory.join("part.toml");
    let said = |topology: &str, lab: &str| {
        std::fs::write(&part, topology).unwrap();
        let lab = format!("[lab]\nname = \"based\"\nduration_ms = 14000\nbase = [\"part.toml\"]\n{lab}");
        parse_lab("based.toml", &lab, &directory).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    };
    let part_name = part.display();
    assert_eq!(said(&topology, ""), "accepted");
    // The first movement is to radio-b, where the terminal starts now.
    let changed = said(&topology, "[[node]]\nname = \"mt\"\nstart = \"radio-b\"\n");
    assert!(changed.contains("at 1000 ms the terminal is on \"radio-b\" already"), "{changed}");
    let wrong = topology.replacen("delay_us = 2000", "delay_us = -1", 1);
    let line = 1 + topology[..topology.find("delay_us = 2000").unwrap()].matches('\n').count();
    let complaint = "link[0].delay_us: -1 is too small; give 0 to 10000000";
    assert_eq!(said(&wrong, ""), format!("{part_name}:{line}: {complaint}"));
    let over = "[[link]]\nname = \"cn-bb\"\ndelay_us = -1\n";
    assert_eq!(said(&topology, over), format!("based.toml:7: {complaint}"));
    assert_eq!(said(&wrong, over), format!("based.toml:7: {complaint}"), "what is replaced is not judged");
    assert_eq!(said(&wrong, "[[link]]\nname = \"cn-bb\"\ndelay_us = 7\n"), "accepted");
    let remedy = "name files that hold parts of a lab, without [lab]";
    let expected = format!("{part_name}:1: lab: another lab is based on this file; {remedy}");
    assert_eq!(said("[lab]\nname = \"other\"\n", ""), expected);
    let expected = format!("{part_name}:2: this is not TOML: ");
    let broken = said("# A part.\n[link\n", "");
    assert!(broken.starts_with(&expected), "{broken}");
    std::fs::remove_file(&part).unwrap();
    let lab = "[lab]\nname = \"based\"\nduration_ms = 14000\nbase = [\"part.toml\"]\n";
    let error = parse_lab("based.toml", lab, &directory).unwrap_err().to_string();
    assert!(error.starts_with("based.toml:4: lab.base[0]: \"part.toml\": the file cannot be read: "), "{error}");
}
