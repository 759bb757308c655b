//! What has changed from one run to another, beyond the noise.
//!
//! A result is its path, sizes and distribution; those that only one run has are named and not judged. The rule:
//!
//! 1. A run's interval is the minimum to the maximum over its repetitions.
//! 2. The machine's two calibration probes say how much faster or slower it was in the second run: the medians' ratio for
//!    arithmetic, and for loads that miss the cache. Code is a mixture of both, and which is not known; so the second run's
//!    interval is stretched to whatever lies between these two ratios and 1.
//! 3. A result has changed where the intervals then do not overlap, and the medians, the second brought towards the first by
//!    the ratio that explains most of it, still differ by more than [`FLOOR`].
//! 4. Allocations a packet and instructions a packet do not depend on the machine's hour: more than [`FLOOR`] of either is
//!    a change, and so is an allocation where there was none.
//!
//! The rule would rather miss a change than invent one: it is for runs on one machine with the same options. The exit code
//! is 0 where nothing has become slower, 1 where something has, 2 where the runs cannot be compared.

use crate::output;
use crate::statistics::Spread;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A smaller part than this is no change, whatever the repetitions say: the same code at another address differs as much.
const FLOOR: f64 = 0.03;
/// Allocations a packet that are no change, where that is more than [`FLOOR`] of them.
const ALLOCATIONS_FLOOR: f64 = 1e-3;

/// What to compare.
#[derive(Args)]
pub(crate) struct Options {
    /// JSON of the earlier run
    before: PathBuf,
    /// JSON of the later run
    after: PathBuf,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// A run, as far as it matters here.
#[derive(Deserialize)]
struct Run {
    benchmark: String,
    machine: Machine,
    calibration: Calibration,
    results: Vec<Line>,
}

#[derive(Deserialize)]
struct Machine {
    cpu: String,
    date: String,
    optimised: bool,
}

#[derive(Deserialize)]
struct Calibration {
    integer_loop_ns: Spread,
    dependent_load_ns: Spread,
}

#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    name: Name,
    ns_per_packet: Spread,
    instructions_per_packet: Option<f64>,
    allocations_per_packet: f64,
}

/// What makes two results the same.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Name {
    path: String,
    entries: u64,
    groups: u64,
    branches: u32,
    packet_octets: Option<u64>,
    distribution: String,
    /// Data planes at work at the same time.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    workers: u64,
    /// Keys that only some benchmarks have: the mix of sizes, where packets are, threads that read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packets_in: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    readers: Option<u64>,
}

fn one() -> u64 {
    1
}

fn is_one(workers: &u64) -> bool {
    *workers == 1
}

/// What became of a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Same,
    Faster,
    Slower,
    OnlyBefore,
    OnlyAfter,
}

/// A result of both runs.
#[derive(Serialize)]
struct Change {
    #[serde(flatten)]
    name: Name,
    verdict: Verdict,
    before_ns: Option<Spread>,
    after_ns: Option<Spread>,
    /// What else than time has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Comparison {
    benchmark: String,
    /// How much slower arithmetic was in the later run.
    integer_loop_ratio: f64,
    /// How much slower a load that misses the cache was.
    dependent_load_ratio: f64,
    changes: Vec<Change>,
}

/// Compares and prints; answers whether something has become slower.
pub(crate) fn main(options: &Options) -> Result<bool> {
    let (before, after) = (read(&options.before)?, read(&options.after)?);
    let comparison = compare(&before, &after)?;
    output::end_quietly_when_nobody_reads();
    if options.json {
        println!("{}", serde_json::to_string_pretty(&comparison)?);
    } else {
        print!("{}", table(&before, &after, &comparison)?);
    }
    Ok(comparison.changes.iter().any(|change| change.verdict == Verdict::Slower))
}

fn read(path: &Path) -> Result<Run> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no run of bench", path.display()))
}

fn compare(before: &Run, after: &Run) -> Result<Comparison> {
    ensure!(
        before.benchmark == after.benchmark,
        "one run is of bench {}, the other of bench {}",
        before.benchmark,
        after.benchmark
    );
    let ratio = |probe: fn(&Calibration) -> Spread| -> Result<f64> {
        let (before, after) = (probe(&before.calibration).median, probe(&after.calibration).median);
        ensure!(before > 0.0 && after > 0.0, "a run has no calibration");
        Ok(after / before)
    };
    let integer_loop_ratio = ratio(|calibration| calibration.integer_loop_ns)?;
    let dependent_load_ratio = ratio(|calibration| calibration.dependent_load_ns)?;
    let slack = Slack::of(integer_loop_ratio, dependent_load_ratio);
    let mut changes = Vec::new();
    for line in &before.results {
        let other = after.results.iter().find(|other| other.name == line.name);
        let (verdict, because) = match other {
            Some(other) => judge(line, other, slack),
            None => (Verdict::OnlyBefore, None),
        };
        let after_ns = other.map(|other| other.ns_per_packet);
        changes.push(Change {
            name: line.name.clone(),
            verdict,
            before_ns: Some(line.ns_per_packet),
            after_ns,
            because,
        });
    }
    for line in after.results.iter().filter(|line| before.results.iter().all(|other| other.name != line.name)) {
        let after_ns = Some(line.ns_per_packet);
        let verdict = Verdict::OnlyAfter;
        changes.push(Change { name: line.name.clone(), verdict, before_ns: None, after_ns, because: None });
    }
    ensure!(
        changes.iter().any(|change| change.before_ns.is_some() && change.after_ns.is_some()),
        "no result is in both"
    );
    Ok(Comparison { benchmark: before.benchmark.clone(), integer_loop_ratio, dependent_load_ratio, changes })
}

/// How much of a difference the machine may explain: factors around 1.
#[derive(Clone, Copy)]
struct Slack {
    least: f64,
    most: f64,
}

impl Slack {
    fn of(a: f64, b: f64) -> Self {
        Slack { least: a.min(b).min(1.0), most: a.max(b).max(1.0) }
    }
}

fn judge(before: &Line, after: &Line, slack: Slack) -> (Verdict, Option<String>) {
    let (a, b) = (before.allocations_per_packet, after.allocations_per_packet);
    if (b - a).abs() > ALLOCATIONS_FLOOR.max(a * FLOOR) {
        let verdict = if b > a { Verdict::Slower } else { Verdict::Faster };
        return (verdict, Some(format!("allocations a packet: {a} before, {b} after")));
    }
    let time = judge_time(before.ns_per_packet, after.ns_per_packet, slack);
    match before.instructions_per_packet.zip(after.instructions_per_packet) {
        Some((a, b)) if time == Verdict::Same && a > 0.0 && (b / a - 1.0).abs() > FLOOR => {
            let verdict = if b > a { Verdict::Slower } else { Verdict::Faster };
            (verdict, Some(format!("instructions a packet: {a:.0} before, {b:.0} after")))
        }
        _ => (time, None),
    }
}

fn judge_time(before: Spread, after: Spread, slack: Slack) -> Verdict {
    if after.min / slack.most > before.max && after.median / slack.most > before.median * (1.0 + FLOOR) {
        Verdict::Slower
    } else if after.max / slack.least < before.min && after.median / slack.least * (1.0 + FLOOR) < before.median {
        Verdict::Faster
    } else {
        Verdict::Same
    }
}

fn table(before: &Run, after: &Run, comparison: &Comparison) -> Result<String> {
    let mut text = String::new();
    for (name, Machine { cpu, date, optimised }) in [("before", &before.machine), ("after", &after.machine)] {
        let build = if *optimised { "" } else { ", NOT OPTIMISED" };
        writeln!(text, "{name:<7} {date}, {cpu}{build}")?;
    }
    let [arithmetic, loads] =
        [comparison.integer_loop_ratio, comparison.dependent_load_ratio].map(|ratio| (ratio - 1.0) * 100.0);
    writeln!(text, "the machine: arithmetic takes {arithmetic:+.1} %, loads that miss the cache take {loads:+.1} %")?;
    if before.machine.cpu != after.machine.cpu || before.machine.optimised != after.machine.optimised {
        writeln!(text, "NOTE: other processor or other build; the figures compare badly")?;
    }
    writeln!(
        text,
        "\n{:<28} {:>8} {:>8} {:>6} {:<12} {:>22} {:>22} {:>8}",
        "path",
        "entries",
        "branches",
        "octets",
        "distribution",
        "before, ns [min-max]",
        "after, ns [min-max]",
        "change"
    )?;
    for Change { name, verdict, before_ns, after_ns, because } in &comparison.changes {
        let ns = |spread: &Option<Spread>| match spread {
            Some(Spread { median, min, max }) => format!("{median:.1} [{min:.1}-{max:.1}]"),
            None => "-".to_owned(),
        };
        let change = match (before_ns, after_ns) {
            (Some(a), Some(b)) if a.median > 0.0 => format!("{:+.1} %", (b.median / a.median - 1.0) * 100.0),
            _ => String::new(),
        };
        let verdict = match verdict {
            Verdict::Same => "",
            Verdict::Faster => "  faster",
            Verdict::Slower => "  SLOWER",
            Verdict::OnlyBefore => "  only before",
            Verdict::OnlyAfter => "  only after",
        };
        let octets = name.size.clone().or(name.packet_octets.map(|octets| octets.to_string()));
        let because = because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default();
        writeln!(
            text,
            "{:<28} {:>8} {:>8} {:>6} {:<12} {:>22} {:>22} {:>8}{verdict}{because}",
            if name.workers > 1 { format!("{} ×{}", name.path, name.workers) } else { name.path.clone() },
            name.entries,
            name.branches,
            octets.as_deref().unwrap_or("-"),
            name.distribution,
            ns(before_ns),
            ns(after_ns),
            change
        )?;
    }
    let count = |verdict| comparison.changes.iter().filter(|change| change.verdict == verdict).count();
    writeln!(
        text,
        "\n{} slower, {} faster, {} the same within the noise",
        count(Verdict::Slower),
        count(Verdict::Faster),
        count(Verdict::Same)
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(min: f64, median: f64, max: f64) -> Spread {
        Spread { median, min, max }
    }

    fn line(path: &str, ns: Spread) -> Line {
        let (packet_octets, distribution) = (Some(64), "uniform".to_owned());
        let path = path.to_owned();
        let (size, packets_in, readers) = (None, None, None);
        Line {
            name: Name {
                path,
                entries: 1,
                groups: 0,
                branches: 1,
                packet_octets,
                distribution,
                workers: 1,
                size,
                packets_in,
                readers,
            },
            ns_per_packet: ns,
            instructions_per_packet: None,
            allocations_per_packet: 0.0,
        }
    }

    fn run(integer_loop: f64, load: f64, results: Vec<Line>) -> Run {
        let probe = |ns| spread(ns, ns, ns);
        Run {
            benchmark: "pipeline".to_owned(),
            machine: Machine { cpu: "cpu".to_owned(), date: "today".to_owned(), optimised: true },
            calibration: Calibration { integer_loop_ns: probe(integer_loop), dependent_load_ns: probe(load) },
            results,
        }
    }

    fn verdicts(before: &Run, after: &Run) -> Vec<Verdict> {
        compare(before, after).unwrap().changes.iter().map(|change| change.verdict).collect()
    }

    fn verdict(before: Spread, after: Spread, integer_loop: f64, load: f64) -> Verdict {
        let (before, after) =
            (run(1.0, 100.0, vec![line("a", before)]), run(integer_loop, load, vec![line("a", after)]));
        verdicts(&before, &after)[0]
    }

    #[test]
    fn only_what_does_not_overlap_has_changed() {
        let before = spread(95.0, 100.0, 110.0);
        assert_eq!(verdict(before, before, 1.0, 100.0), Verdict::Same);
        assert_eq!(verdict(before, spread(105.0, 120.0, 130.0), 1.0, 100.0), Verdict::Same);
        assert_eq!(verdict(before, spread(111.0, 120.0, 130.0), 1.0, 100.0), Verdict::Slower);
        assert_eq!(verdict(before, spread(70.0, 80.0, 94.0), 1.0, 100.0), Verdict::Faster);
        assert_eq!(verdict(before, spread(70.0, 80.0, 96.0), 1.0, 100.0), Verdict::Same);
    }

    #[test]
    fn a_little_is_no_change_however_sure() {
        assert_eq!(verdict(spread(100.0, 100.0, 100.0), spread(102.0, 102.0, 102.0), 1.0, 100.0), Verdict::Same);
        assert_eq!(verdict(spread(100.0, 100.0, 100.0), spread(104.0, 104.0, 104.0), 1.0, 100.0), Verdict::Slower);
        assert_eq!(verdict(spread(100.0, 100.0, 100.0), spread(98.0, 98.0, 98.0), 1.0, 100.0), Verdict::Same);
        assert_eq!(verdict(spread(100.0, 100.0, 100.0), spread(96.0, 96.0, 96.0), 1.0, 100.0), Verdict::Faster);
    }

    #[test]
    fn what_the_machine_explains_is_no_change() {
        let (before, slower) = (spread(99.0, 100.0, 101.0), spread(139.0, 140.0, 141.0));
        assert_eq!(verdict(before, slower, 1.0, 150.0), Verdict::Same, "loads were half as long again");
        assert_eq!(verdict(before, slower, 1.5, 100.0), Verdict::Same, "arithmetic was");
        assert_eq!(verdict(before, slower, 1.1, 110.0), Verdict::Slower, "a tenth does not explain it");
        assert_eq!(verdict(before, slower, 0.5, 50.0), Verdict::Slower, "the machine was faster");
        let faster = spread(69.0, 70.0, 71.0);
        assert_eq!(verdict(before, faster, 1.0, 60.0), Verdict::Same);
        assert_eq!(verdict(before, faster, 1.0, 150.0), Verdict::Faster);
    }

    #[test]
    fn allocations_and_instructions_are_judged_without_time() {
        let ns = spread(90.0, 100.0, 110.0);
        let (mut before, mut after) = (line("a", ns), line("a", ns));
        after.allocations_per_packet = 0.5;
        let slack = Slack::of(1.0, 1.0);
        assert_eq!(judge(&before, &after, slack).0, Verdict::Slower);
        assert_eq!(judge(&after, &before, slack).0, Verdict::Faster);
        (before.allocations_per_packet, after.allocations_per_packet) = (40.0, 41.0);
        assert_eq!(judge(&before, &after, slack).0, Verdict::Same);
        after.allocations_per_packet = 42.0;
        assert_eq!(judge(&before, &after, slack).0, Verdict::Slower);
        (before.allocations_per_packet, after.allocations_per_packet) = (0.0, 0.0);
        (before.instructions_per_packet, after.instructions_per_packet) = (Some(200.0), Some(204.0));
        assert_eq!(judge(&before, &after, slack).0, Verdict::Same);
        after.instructions_per_packet = Some(220.0);
        assert_eq!(judge(&before, &after, slack).0, Verdict::Slower);
        before.instructions_per_packet = None;
        assert_eq!(judge(&before, &after, slack).0, Verdict::Same);
    }

    #[test]
    fn runs_of_other_numbers_of_workers_are_not_compared() {
        let ns = spread(1.0, 1.0, 1.0);
        let (one, mut two) = (line("a", ns), line("a", ns));
        two.name.workers = 2;
        let before = run(1.0, 1.0, vec![one, line("b", ns)]);
        let after = run(1.0, 1.0, vec![two, line("b", ns)]);
        assert_eq!(verdicts(&before, &after), [Verdict::OnlyBefore, Verdict::Same, Verdict::OnlyAfter]);
        assert!(table(&before, &after, &compare(&before, &after).unwrap()).unwrap().contains("a ×2"));
    }

    #[test]
    fn what_only_one_has_is_not_judged() {
        let ns = spread(1.0, 1.0, 1.0);
        let before = run(1.0, 1.0, vec![line("a", ns), line("b", ns)]);
        let after = run(1.0, 1.0, vec![line("c", ns), line("a", ns)]);
        assert_eq!(verdicts(&before, &after), [Verdict::Same, Verdict::OnlyBefore, Verdict::OnlyAfter]);
        let text = table(&before, &after, &compare(&before, &after).unwrap()).unwrap();
        assert!(text.contains("only before") && text.contains("0 slower, 0 faster, 1 the same"));
        assert!(compare(&before, &run(1.0, 1.0, vec![line("d", ns)])).is_err(), "nothing in common");
        assert!(compare(&before, &run(0.0, 1.0, vec![line("a", ns)])).is_err(), "no calibration");
        let mut other = run(1.0, 1.0, vec![line("a", ns)]);
        other.benchmark = "tables".to_owned();
        assert!(compare(&before, &other).is_err(), "another benchmark");
    }
}
