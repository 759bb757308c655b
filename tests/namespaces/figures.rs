//! The two figures in namespaces, every claim read from the captures by tshark: what is on which link, and what is not.

use crate::captures::{self, Frame};
use crate::room::{DROVER, Directory, alone};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

const SECOND: u64 = 1_000_000_000;
/// Kept away from the time of a movement: what was on its way then belongs to neither side.
const MARGIN: u64 = SECOND / 5;
/// The checks that a machine with other things to do can fail, and how often a lab may be tried for their sake.
const TIMED_CHECKS: [&str; 3] = [
    "break before make loses what flew during the break",
    "break before make between sites loses what flew during the break",
    "make before break between sites loses nothing",
];
const ATTEMPTS: u32 = 2;
const BINDING_UPDATE: u8 = 5;
const BINDING_ACKNOWLEDGEMENT: u8 = 6;
const MLD_REPORT: u8 = 143;
/// The terminal's group, which follows from its EUI-64 alone.
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 0x55);
const HOME_ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);
const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 1);
const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x10);

/// A lab that has run.
struct Run {
    report: Value,
    /// By link.
    captures: BTreeMap<String, Vec<Frame>>,
    /// When the first and the last probe were sent, by the log of the sending program.
    first_sent: u64,
    last_sent: u64,
    /// How often each probe has come to the receiving program.
    received: BTreeMap<u64, u32>,
}

/// A movement, as the report tells it.
struct Move {
    at: u64,
    from: String,
    to: String,
    intra_site: bool,
    make_before_break: bool,
    until: u64,
}

impl Run {
    fn new(figure: &str) -> Self {
        let directory = Directory::new();
        let kept = directory.file("kept");
        let mut attempts = 1..=ATTEMPTS;
        let report = loop {
            let last = attempts.next() == Some(ATTEMPTS);
            let mut command = Command::new(DROVER);
            command.arg("lab").arg(format!("{}/configs/lab/{figure}.toml", env!("CARGO_MANIFEST_DIR")));
            command.args(["--netns", "--json", "--keep-captures"]).arg(&kept);
            let output = command.output().expect("drover runs");
            let printed = String::from_utf8(output.stdout).expect("UTF-8");
            let said = String::from_utf8_lossy(&output.stderr);
            let report: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {said}"));
            let checks = report["checks"].as_array().expect("a list");
            let failed: Vec<&str> =
                checks.iter().filter(|c| c["ok"] == false).filter_map(|c| c["name"].as_str()).collect();
            if !failed.iter().all(|name| TIMED_CHECKS.contains(name)) || failed.is_empty() || last {
                assert_eq!(output.status.code(), Some(0), "{figure}: {said}\n{printed}");
                break report;
            }
        };

        let entries = std::fs::read_dir(&kept).expect("captures are kept");
        let files = entries.map(|entry| entry.expect("captures are kept").path());
        let files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ext| ext == "pcap")).collect();
        let captures = thread::scope(|scope| {
            let readers: Vec<_> = files.iter().map(|file| (file, scope.spawn(|| captures::read(file)))).collect();
            let named = readers.into_iter().map(|(file, reader)| {
                let link = file.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
                (link, reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            });
            named.collect()
        });
        // What tshark verifies is broken by one octet.
        let mut octets = std::fs::read(kept.join("home.pcap")).expect("the home link is captured");
        *octets.last_mut().expect("the capture is not empty") ^= 1;
        let broken = directory.file("broken.pcap");
        std::fs::write(&broken, octets).expect("a file can be written");
        assert!(captures::read(&broken).iter().any(|frame| frame.fault.is_some()), "faults are found");

        let log = |name: &str| -> Vec<(u64, u64)> {
            let text = std::fs::read_to_string(kept.join(name)).expect("logs are kept");
            let number = |text: &str| text.parse::<u64>().expect("a number");
            text.lines().filter_map(|line| line.split_once(' ')).map(|(n, at)| (number(n), number(at))).collect()
        };
        let sent = log("udp-down.sent");
        let mut received = BTreeMap::new();
        for (number, _) in log("udp-down.received") {
            *received.entry(number).or_default() += 1;
        }
        let (first, last) = (sent.first().expect("probes were sent"), sent.last().expect("probes were sent"));
        Run { report, captures, first_sent: first.1, last_sent: last.1, received }
    }

    fn moves(&self) -> Vec<Move> {
        let handovers = self.report["handovers"].as_array().expect("a list");
        let at = |index: usize| Some(self.first_sent + handovers.get(index)?["at_us"].as_u64().expect("a time") * 1000);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let made = handovers.iter().enumerate().map(|(index, handover)| Move {
            at: at(index).expect("it is in the list"),
            from: text(&handover["from"]),
            to: text(&handover["to"]),
            intra_site: handover["kind"] == "intra-site",
            make_before_break: handover["make_before_break"] == true,
            until: at(index + 1).unwrap_or(self.last_sent),
        });
        made.collect()
    }

    /// Frames of a time, with the link of each.
    fn between(&self, from: u64, until: u64) -> impl Iterator<Item = (&str, &Frame)> {
        let all =
            self.captures.iter().flat_map(|(link, frames)| frames.iter().map(move |frame| (link.as_str(), frame)));
        all.filter(move |(_, frame)| (from..until).contains(&frame.at))
    }

    fn on(&self, link: &str, from: u64, until: u64) -> Vec<&Frame> {
        self.between(from, until).filter(|&(on, _)| on == link).map(|(_, frame)| frame).collect()
    }
}

/// The report has what it is to have, and every check in it holds.
fn assert_report(report: &Value, moves_min: usize) {
    let keys = |value: &Value| -> BTreeSet<String> { value.as_object().expect("an object").keys().cloned().collect() };
    let words = |text: &str| -> BTreeSet<String> { text.split(' ').map(str::to_owned).collect() };
    assert_eq!(keys(report), words("backend seed nodes handovers flows checks"));
    assert_eq!(report["backend"], "netns");
    for node in report["nodes"].as_array().expect("a list") {
        assert_eq!(keys(node), words("name role"));
    }
    let handovers = report["handovers"].as_array().expect("a list");
    assert!(handovers.len() >= moves_min, "{} movements", handovers.len());
    for handover in handovers {
        let wanted = "at_us terminal kind from to make_before_break interruption_us sent lost duplicated reordered \
                      forwarded route_optimised_percent signalling stages_us";
        assert_eq!(keys(handover), words(&wanted.split_whitespace().collect::<Vec<_>>().join(" ")));
        let wanted = "mld pim mobility_to_mma mobility_to_home_agent mobility_to_correspondent at_agents outside_site";
        assert_eq!(keys(&handover["signalling"]), words(wanted));
        let stages = handover["stages_us"].as_object().expect("an object");
        assert!(stages.contains_key("first_data") || handover["kind"] == "home", "{handover}");
        if handover["make_before_break"] == true && handover["kind"] == "intra-site" {
            assert_eq!((&handover["lost"], &handover["duplicated"]), (&0.into(), &0.into()), "{handover}");
        }
    }
    let flows = report["flows"].as_array().expect("a list");
    let kinds: BTreeSet<&str> = flows.iter().filter_map(|flow| flow["kind"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["ping", "tcp", "udp"]));
    for flow in flows {
        assert_eq!(keys(flow), words("name kind sent received lost duplicated survived"));
        assert_eq!((&flow["survived"], &flow["duplicated"]), (&true.into(), &0.into()), "{flow}");
    }
    let checks = report["checks"].as_array().expect("a list");
    assert!(!checks.is_empty());
    for check in checks {
        assert_eq!(keys(check), words("name ok detail"));
        assert_eq!(check["ok"], true, "{check}");
    }
}

/// Every frame on every link is sound; only links to sites where the terminal never is are `idle`.
fn assert_sound(run: &Run, idle: &[&str]) {
    for (link, frames) in &run.captures {
        assert!(!frames.is_empty() || idle.contains(&link.as_str()), "nothing was captured on {link}");
        let faults: Vec<&String> = frames.iter().filter_map(|frame| frame.fault.as_ref()).collect();
        assert!(faults.is_empty(), "{} faults on {link}, the first: {}", faults.len(), faults[0]);
    }
}

/// The movements within the site: what they cost on the wire, and what they do not.
fn assert_silent_moves(run: &Run, site: &[&str], branches: &[(&str, &str)]) {
    let moves = run.moves();
    let within: Vec<&Move> = moves.iter().filter(|movement| movement.intra_site).collect();
    assert!(within.len() >= 10, "{} movements within the site", within.len());
    // A report counts time from before the first probe is sent.
    let (from, until) = (within[0].at - SECOND, run.last_sent);
    for (link, frame) in run.between(from, until) {
        assert_eq!(frame.mobility, None, "a Mobility Header on {link}: {frame:?}");
        if frame.join_prune {
            assert!(branches.iter().any(|&(_, branch)| branch == link), "a Join/Prune on {link}: {frame:?}");
        }
        if !site.contains(&link) {
            assert!(!frame.is_mld() && !frame.protocols.contains("pim"), "signalling out of the site: {frame:?}");
        }
        if frame.is_mld() || frame.join_prune {
            let ends = frame.sources.iter().chain(&frame.destinations);
            assert!(ends.clone().all(|end| ![HOME_AGENT, CORRESPONDENT].contains(end)), "{frame:?}");
        }
    }
    for movement in within {
        let (_, branch) = branches.iter().find(|(radio, _)| *radio == movement.to).expect("it is one of the branches");
        let (from, until) = (movement.at - MARGIN, movement.until - MARGIN);
        let reports = run.on(&movement.to, from, until).iter().filter(|frame| frame.icmp == Some(MLD_REPORT)).count();
        assert!(reports > 0, "the terminal says nothing on {} at {}", movement.to, movement.at);
        if movement.make_before_break {
            assert!(run.on(branch, from, until).iter().any(|frame| frame.join_prune), "nothing is joined on {branch}");
        }
        // The overlap ends half a second after the movement.
        let there = |link: &str| {
            let frames = run.on(link, movement.at + SECOND * 7 / 10, until);
            frames.iter().filter(|frame| frame.destinations.first() == Some(&GROUP)).count()
        };
        assert!(there(&movement.to) > 50, "{} packets on {}", there(&movement.to), movement.to);
        if movement.make_before_break {
            assert_eq!(there(&movement.from), 0, "packets on {}, which was left", movement.from);
        }
    }
}

/// Of what the correspondent was seen to send, a program on the terminal had each once, as long as one link was there;
/// its TCP connection was one and the same to the end.
fn assert_delivered(run: &Run) {
    let mut seen = BTreeSet::new();
    for movement in run.moves().iter().filter(|movement| movement.intra_site && movement.make_before_break) {
        for frame in run.on("cn-bb", movement.at, movement.until - MARGIN) {
            if frame.sources.first() == Some(&CORRESPONDENT) && frame.udp_port.is_some() {
                seen.extend(frame.probe);
            }
        }
    }
    assert!(seen.len() > 5000, "{} probes", seen.len());
    let wrong: Vec<_> =
        seen.iter().map(|number| (number, run.received.get(number))).filter(|(_, n)| *n != Some(&1)).collect();
    assert!(wrong.is_empty(), "{} of {} probes were not delivered once: {wrong:?}", wrong.len(), seen.len());
    assert_connected(run);
}

/// The TCP connection of the correspondent was one and the same to the end.
fn assert_connected(run: &Run) {
    let segments: Vec<&Frame> = run.captures["cn-bb"].iter().filter(|frame| frame.tcp_port.is_some()).collect();
    let transfer = segments.iter().find(|frame| frame.opens_connection()).and_then(|frame| frame.tcp_port);
    let opened = segments.iter().filter(|frame| frame.opens_connection()).count();
    assert_eq!(opened, 2, "iperf3's control connection and its data");
    let last_move = run.moves().last().expect("there are movements").at;
    let data = |frame: &&&Frame| frame.tcp_port == transfer && frame.protocols.ends_with("tcp:data");
    let last_data = segments.iter().filter(data).map(|frame| frame.at).max().expect("there are data");
    assert!(last_data > last_move, "data go on after the last movement");
    // In the end iperf3 closes while data are under way to it: what it sent within the margin after that says nothing.
    let last_breath = last_data - MARGIN;
    let resets = segments.iter().filter(|frame| frame.resets_connection() && frame.at < last_breath).count();
    assert_eq!(resets, 0, "no connection is broken off");
}

/// The terminal is away from home when traffic begins; 12 movements within the foreign site (S2).
#[test]
fn figure_5() {
    let Some(_alone) = alone() else { return };
    let run = Run::new("fig5");
    assert_report(&run.report, 10);
    assert_sound(&run, &[]);
    let site = ["mma1-core", "core-a", "core-b", "radio-a", "radio-b"];
    assert_silent_moves(&run, &site, &[("radio-a", "core-a"), ("radio-b", "core-b")]);
    assert_delivered(&run);
}

/// At home (S0), from there to a subnet (S1), and between subnets (S2).
#[test]
fn figure_4() {
    let Some(_alone) = alone() else { return };
    let run = Run::new("fig4");
    assert_report(&run.report, 11);
    assert_sound(&run, &[]);
    let moves = run.moves();
    assert_eq!((moves[0].from.as_str(), moves[0].to.as_str()), ("home", "radio-a"));

    // S0: an ordinary host. Nobody speaks of mobility, nothing is in a tunnel, nothing goes to a group.
    let leaves_home = moves[0].at - MARGIN;
    for (link, frame) in run.between(0, leaves_home) {
        assert!(frame.mobility.is_none() && !frame.join_prune && !frame.is_tunnelled(), "on {link}: {frame:?}");
        assert!(!frame.destinations.contains(&GROUP), "on {link}: {frame:?}");
    }
    let at_home = run.on("home", run.first_sent, leaves_home);
    let plain = |frame: &&&Frame| frame.protocols == "eth:ethertype:ipv6:udp:data";
    let to_home = at_home.iter().filter(plain).filter(|frame| frame.destinations == [HOME_ADDRESS]).count();
    assert!(to_home > 400, "{to_home} packets come as to any host");

    // S1: one registration with the mobility agent, then one with the home agent, and the group.
    let (from, until) = (leaves_home, moves[1].at - SECOND);
    let agent = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 1);
    let on_radio = run.on("radio-a", from, until);
    let exchanged: Vec<(u8, Ipv6Addr)> = on_radio
        .iter()
        .filter_map(|frame| match frame.mobility? {
            BINDING_UPDATE => Some((BINDING_UPDATE, *frame.destinations.first()?)),
            kind => Some((kind, *frame.sources.first()?)),
        })
        .collect();
    assert_eq!(
        exchanged,
        [
            (BINDING_UPDATE, agent),
            (BINDING_ACKNOWLEDGEMENT, agent),
            (BINDING_UPDATE, HOME_AGENT),
            (BINDING_ACKNOWLEDGEMENT, HOME_AGENT),
        ]
    );
    assert!(on_radio.iter().any(|frame| frame.icmp == Some(MLD_REPORT)));
    let to_group =
        |frame: &&&Frame| frame.sources.first() == Some(&agent) && frame.destinations.first() == Some(&GROUP);
    assert!(on_radio.iter().filter(to_group).count() > 500);
    // The home agent's tunnel goes to the care-of address at the mobility agent, and nowhere else.
    let tunnels = run.on("core-ha", from, until);
    let mut tunnels = tunnels.iter().filter(|frame| frame.is_tunnelled() && frame.sources[0] == HOME_AGENT).peekable();
    assert!(tunnels.peek().is_some());
    assert!(tunnels.all(|frame| frame.destinations[0].segments()[..4] == [0x2001, 0xdb8, 0x100, 0xc0a]));

    // S2.
    let site = ["mmah-core", "core-ha", "core-a", "core-c", "home", "radio-a", "radio-c"];
    assert_silent_moves(&run, &site, &[("radio-a", "core-a"), ("radio-c", "core-c")]);
    assert_delivered(&run);
}

/// The prefixes of the care-of addresses of the home site and of the two foreign ones.
const CARE_OF: [[u16; 4]; 3] =
    [[0x2001, 0xdb8, 0x100, 0xc0a], [0x2001, 0xdb8, 0x200, 0xc0a], [0x2001, 0xdb8, 0x300, 0xc0a]];

fn care_of(address: &Ipv6Addr) -> Option<[u16; 4]> {
    CARE_OF.into_iter().find(|prefix| address.segments()[..4] == prefix[..])
}

/// A lab with three sites: its report and its captures hold, no site's group or routing protocol leaves it, the TCP
/// connection lasts, and the correspondent of ours has sent straight to care-of addresses of these sites.
fn assert_between_sites(lab: &str, moves: usize, optimised: &[usize]) -> Run {
    let run = Run::new(lab);
    assert_report(&run.report, moves);
    assert_sound(&run, if optimised.contains(&2) { &[] } else { &["bb-mma2"] });
    assert_connected(&run);
    for outside in ["cn-bb", "peer-bb", "bb-mmah", "bb-mma1", "bb-mma2"] {
        for frame in &run.captures[outside] {
            assert!(!frame.protocols.contains("pim"), "PIM on {outside}: {frame:?}");
            assert!(!frame.destinations.contains(&GROUP), "the group on {outside}: {frame:?}");
        }
    }
    let sent = run.captures["peer-bb"].iter().filter(|frame| frame.udp_port.is_some());
    let straight: BTreeSet<_> = sent.filter_map(|frame| care_of(frame.destinations.first()?)).collect();
    let wanted: BTreeSet<_> = optimised.iter().map(|&site| CARE_OF[site]).collect();
    assert_eq!(straight, wanted, "where the correspondent sends straight to");
    // What an agent forwards goes from its care-of address to another one, or home, and has one header more.
    for (link, frame) in run.between(0, u64::MAX) {
        if let (Some(from), Some(to)) = (frame.sources.first().and_then(care_of), frame.destinations.first()) {
            assert!(care_of(to) != Some(from), "forwarded to itself on {link}: {frame:?}");
        }
    }
    run
}

/// Third aspect: to another foreign site and back (S3).
#[test]
fn figure_6() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("fig6", 6, &[1, 2]);
}

/// Fourth aspect: home (S4); nothing is sent to the group there.
#[test]
fn figure_7() {
    let Some(_alone) = alone() else { return };
    let run = assert_between_sites("fig7", 4, &[1]);
    assert!(run.captures["home"].iter().all(|frame| !frame.destinations.contains(&GROUP)));
}

/// Fifth aspect: to another subnet of the home site (S5), whose two agents are one node.
#[test]
fn figure_8() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("fig8", 4, &[0, 1]);
}

/// Sixth aspect: from there to a foreign site (S6).
#[test]
fn figure_9() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("fig9", 3, &[0, 1]);
}

/// Seventh aspect, and all movements in one run: a TCP connection between kernel programs lasts from home by two foreign
/// sites and another subnet of the home site to home again.
#[test]
fn tour() {
    let Some(_alone) = alone() else { return };
    assert_between_sites("tour", 5, &[0, 1, 2]);
}
