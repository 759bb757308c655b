//! Correspondent nodes.

use super::*;

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
