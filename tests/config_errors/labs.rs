//! Labs, and the files that they are based on.

use super::*;

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
