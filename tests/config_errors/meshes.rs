//! The mesh of access routers, and terminals that say how they move.

use super::*;

const START: &str = "# [access_router.mesh]\n# address = \"2001:db8:200:a::1\"";

/// A mesh that is good but for one line, which is replaced.
fn mesh(from: &str, to: &str) -> String {
    let good = "[access_router.mesh]\naddress = \"2001:db8:200:a::1\"\nspi = 700\nkey = \"000102030405060708090a0b0c0d0e0f\"\n\
                [[access_router.mesh.peer]]\naddress = \"2001:db8:200:b::1\"\nprefixes = [\"2001:db8:200:b::/64\"]";
    assert!(good.contains(from), "{from}");
    good.replacen(from, to, 1)
}

#[test]
fn meshes() {
    let cases = [
        (
            mesh("2001:db8:200:a::1", "2001:db8:200:77::1"),
            1,
            "access_router.mesh.address: 2001:db8:200:77::1 is no address of this node; give one of this node's addresses: 2001:db8:200:2::2, 2001:db8:200:a::1",
        ),
        (
            mesh("address = \"2001:db8:200:a::1\"\n", ""),
            0,
            "access_router.mesh.address: this key is missing; give one of this node's addresses: 2001:db8:200:2::2, 2001:db8:200:a::1",
        ),
        (
            mesh("spi = 700\n", ""),
            0,
            "access_router.mesh.spi: this key is missing; give the number that both ends use as spi = 256",
        ),
        (
            mesh("key = \"000102030405060708090a0b0c0d0e0f\"\n", ""),
            0,
            "access_router.mesh.key: this key is missing; give the shared key in hexadecimal, or its file as key_file",
        ),
        (
            mesh("spi = 700", "spi = 700\npre_join_ms = 50"),
            3,
            "access_router.mesh.pre_join_ms: 50 is too small; give 100 to 60000",
        ),
        (
            mesh(
                "[[access_router.mesh.peer]]\naddress = \"2001:db8:200:b::1\"\nprefixes = [\"2001:db8:200:b::/64\"]",
                "",
            ),
            0,
            "access_router.mesh.peer: this key is missing; name the other access routers as [[access_router.mesh.peer]] with address = \"…\"",
        ),
        (
            mesh("address = \"2001:db8:200:b::1\"\n", ""),
            4,
            "access_router.mesh.peer[0].address: this key is missing; give the address of the other router's own [access_router.mesh]",
        ),
        (
            mesh("2001:db8:200:b::1", "2001:db8:200:a::1"),
            5,
            "access_router.mesh.peer[0].address: 2001:db8:200:a::1 is this node's own; give the address of the other router's own [access_router.mesh]",
        ),
        (
            mesh("prefixes = [\"2001:db8:200:b::/64\"]", "prefixes = [\"ff35::/64\"]"),
            6,
            "access_router.mesh.peer[0].prefixes[0]: ff35::/64 is a multicast prefix; give a unicast one as 2001:db8:1::/64",
        ),
        (
            mesh(
                "prefixes = [\"2001:db8:200:b::/64\"]",
                "[[access_router.mesh.peer]]\naddress = \"2001:db8:200:b::1\"",
            ),
            7,
            "access_router.mesh.peer[1].address: 2001:db8:200:b::1 is named twice; name each router once",
        ),
        (
            mesh("prefixes = [\"2001:db8:200:b::/64\"]", "prefixes = [\"::/0\"]"),
            6,
            "access_router.mesh.peer[0].prefixes[0]: ::/0 has this node's address 2001:db8:200:2::2 in it; give the prefixes of the other router's links of terminals",
        ),
        (
            mesh("spi = 700", "spi = 700\nreplay = \"sequence\""),
            3,
            "access_router.mesh.replay: unknown key; the keys here are address, spi, algorithm, key, key_file, pre_join_ms, max_pre_joins, max_pre_joins_per_peer, peer",
        ),
    ];
    let cases: Vec<(&str, &str, isize, &str)> =
        cases.iter().map(|(to, distance, complaint)| (START, to.as_str(), *distance, *complaint)).collect();
    check("access-router.toml", &cases);
    assert_eq!(complaints("access-router.toml", START, &mesh("spi", "spi")), "accepted");
}

#[test]
fn announced_movements() {
    let (first, later) = ("mode = \"make_before_break\"", "break_ms = 50");
    check(
        "lab/fig5.toml",
        &[
            (
                first,
                "mode = \"make_before_break\"\nannounce_ms = 100",
                1,
                "move[0].announce_ms: a make-before-break movement needs no announcement; remove the key, or change the mode",
            ),
            (
                later,
                "break_ms = 50\nannounce_ms = 9001",
                1,
                "move[1].announce_ms: 9001 ms before is before the start; give at_ms or less",
            ),
            (
                later,
                "break_ms = 50\nannounce_ms = 100",
                1,
                "move[1].announce_ms: the terminal \"mt\" does not say how it moves; give it mobile_terminal.report_moves = true",
            ),
        ],
    );
}
