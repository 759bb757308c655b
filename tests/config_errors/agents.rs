//! Mobility agents and home agents.

use super::*;

#[test]
fn agents() {
    check(
        "mma.toml",
        &[
            (
                "loopback = [\"2001:db8:200::1\"]",
                "loopback = []",
                46,
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
