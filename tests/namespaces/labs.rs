//! Labs that have run in namespaces: their reports, what tshark reads in their captures, and the logs of their programs.

use crate::captures::{self, Frame};
use crate::room::{DROVER, Directory};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

pub(crate) const SECOND: u64 = 1_000_000_000;
/// Kept away from the time of a movement: what was on its way then belongs to neither side.
pub(crate) const MARGIN: u64 = SECOND / 5;
/// The terminal's group, which follows from its EUI-64 alone.
pub(crate) const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x0200, 0x5eff, 0xfe10, 0x55);
pub(crate) const HOME_ADDRESS: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 0x55);
pub(crate) const HOME_AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x100, 1, 0, 0, 0, 1);
/// The mobility agent of foreign site 1.
pub(crate) const AGENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x200, 0, 0, 0, 0, 1);
/// An unmodified host.
pub(crate) const CORRESPONDENT: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0x10);
/// A correspondent node of ours.
pub(crate) const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 0x10);

/// The checks that a machine with other things to do can fail, and how often a lab may be tried for their sake.
const TIMED_CHECKS: [&str; 5] = [
    "an announced movement loses and doubles nothing",
    "captures are complete",
    "break before make loses what flew during the break",
    "break before make between sites loses what flew during the break",
    "make before break between sites loses nothing",
];
const ATTEMPTS: u32 = 2;
/// Marks of packets that each tell of one, in a movement's drawing on a page.
const MAX_MARKS: u64 = 400;
/// Octets of a capture file without frames.
const PCAP_HEADER_LEN: usize = 24;

/// A lab that has run.
pub(crate) struct Run {
    pub(crate) report: Value,
    /// By link.
    pub(crate) captures: BTreeMap<String, Vec<Frame>>,
    /// When the first and the last probe were sent, by the log of the sending program.
    pub(crate) first_sent: u64,
    pub(crate) last_sent: u64,
    /// How often each probe has come to the receiving program.
    pub(crate) received: BTreeMap<u64, u32>,
}

/// A movement, as the report tells it.
pub(crate) struct Move {
    pub(crate) at: u64,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) intra_site: bool,
    pub(crate) make_before_break: bool,
    pub(crate) until: u64,
}

impl Run {
    /// Runs a shipped lab and reads all of its captures.
    pub(crate) fn new(lab: &str) -> Self {
        let directory = Directory::new();
        let kept = directory.file("kept");
        let report = run(lab, &kept);
        assert_faults_are_found(&kept, &directory);
        Run::read(report, &kept, |_| true)
    }

    /// Runs a shipped lab that is run once for each of several modes, and reads what was captured on some links. The
    /// comparison, and the run of each mode.
    pub(crate) fn compare(lab: &str, links: &[&str]) -> (Value, Vec<(String, Run)>) {
        let directory = Directory::new();
        let kept = directory.file("kept");
        let report = run(lab, &kept);
        let runs = report["runs"].as_array().expect("a run for each mode").iter().map(|run| {
            let mode = run["mode"].as_str().expect("a text").to_owned();
            let read = Run::read(run["report"].clone(), &kept.join(&mode), |link| links.contains(&link));
            (mode, read)
        });
        let runs = runs.collect();
        (report, runs)
    }

    fn read(report: Value, kept: &Path, is_wanted: impl Fn(&str) -> bool) -> Self {
        let link_of = |file: &Path| file.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
        let mut files = capture_files(kept);
        files.retain(|file| is_wanted(&link_of(file)));
        let captures = thread::scope(|scope| {
            let readers: Vec<_> = files.iter().map(|file| (file, scope.spawn(|| captures::read(file)))).collect();
            let named = readers.into_iter().map(|(file, reader)| {
                (link_of(file), reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            });
            named.collect()
        });

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

    pub(crate) fn moves(&self) -> Vec<Move> {
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
    pub(crate) fn between(&self, from: u64, until: u64) -> impl Iterator<Item = (&str, &Frame)> {
        let all =
            self.captures.iter().flat_map(|(link, frames)| frames.iter().map(move |frame| (link.as_str(), frame)));
        all.filter(move |(_, frame)| (from..until).contains(&frame.at))
    }

    /// Frames of a time on a link, in order.
    pub(crate) fn on(&self, link: &str, from: u64, until: u64) -> Vec<&Frame> {
        self.between(from, until).filter(|&(on, _)| on == link).map(|(_, frame)| frame).collect()
    }
}

fn capture_files(kept: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(kept).expect("captures are kept");
    let files = entries.map(|entry| entry.expect("captures are kept").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "pcap")).collect()
}

/// What tshark finds no fault with is broken by one octet: of the smallest capture, which is read soonest.
fn assert_faults_are_found(kept: &Path, directory: &Directory) {
    let captures = capture_files(kept).into_iter().map(|file| std::fs::read(file).expect("captures can be read"));
    let smallest = captures.filter(|octets| octets.len() > PCAP_HEADER_LEN).min_by_key(Vec::len);
    let mut octets = smallest.expect("something was captured");
    let broken = directory.file("broken.pcap");
    std::fs::write(&broken, &octets).expect("a file can be written");
    assert!(captures::read(&broken).iter().all(|frame| frame.fault.is_none()), "what is sound has no faults");
    *octets.last_mut().expect("the capture is not empty") ^= 1;
    std::fs::write(&broken, &octets).expect("a file can be written");
    assert!(captures::read(&broken).iter().any(|frame| frame.fault.is_some()), "faults are found");
}

/// Runs a shipped lab until its checks hold, its captures and logs left in `kept`; its report.
fn run(lab: &str, kept: &Path) -> Value {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let last = attempts.next() == Some(ATTEMPTS);
        let mut command = Command::new(DROVER);
        command.arg("lab").arg(format!("{}/configs/lab/{lab}.toml", env!("CARGO_MANIFEST_DIR")));
        let page = kept.with_extension("html");
        command.args(["--netns", "--json", "--keep-captures"]).arg(kept).arg("--html").arg(&page);
        let output = command.output().expect("drover runs");
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        let said = String::from_utf8_lossy(&output.stderr);
        let report: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {said}"));
        let failed = failed_checks(&report);
        if failed.is_empty() || last || !failed.iter().all(|name| TIMED_CHECKS.contains(name)) {
            assert_eq!(output.status.code(), Some(0), "{lab}: {said}\n{printed}");
            assert_page_tells(&std::fs::read_to_string(&page).expect("a page was written"), &report);
            return report;
        }
    }
}

/// The page of a run holds its report. Of every movement it shows the path by the new link, messages of the terminal, and
/// marks of lost packets where it does not say that more were lost than it shows.
fn assert_page_tells(page: &str, report: &Value) {
    let (_, held) = page.split_once("id=\"report\">").expect("the report is in the page");
    let held = held.split_once("</script>").expect("it ends").0;
    assert_eq!(&serde_json::from_str::<Value>(held).expect("it is JSON"), report);
    let reports: Vec<&Value> = match report["runs"].as_array() {
        Some(runs) => runs.iter().map(|run| &run["report"]).collect(),
        None => vec![report],
    };
    let movements: Vec<&str> = page.split("<details class=\"movement\"").skip(1).collect();
    for report in reports {
        let handovers = report["handovers"].as_array().expect("a list");
        assert_eq!(movements.len(), handovers.len());
        for (movement, handover) in movements.iter().zip(handovers) {
            let (terminal, to) = (handover["terminal"].as_str().expect("text"), handover["to"].as_str().expect("text"));
            assert!(movement.contains(&format!(" to {terminal} on {to}, ")), "no packet by {to}");
            assert!(movement.contains(&format!("<title>{terminal} to ")), "no message of {terminal}");
            let marks = movement.matches(", lost</title>").count() as u64;
            let is_whole = !movement.contains("more</b> were lost");
            let lost = handover["lost"].as_u64().expect("a number");
            assert!(!is_whole || marks >= lost.min(MAX_MARKS), "{marks} of {handover}");
        }
    }
}

/// The names of checks that did not hold, in one run or in those of all modes.
fn failed_checks(report: &Value) -> Vec<&str> {
    let reports: Vec<&Value> = match report["runs"].as_array() {
        Some(runs) => runs.iter().map(|run| &run["report"]).collect(),
        None => vec![report],
    };
    let checks = reports.into_iter().flat_map(|report| report["checks"].as_array().expect("a list"));
    checks.filter(|check| check["ok"] == false).filter_map(|check| check["name"].as_str()).collect()
}
