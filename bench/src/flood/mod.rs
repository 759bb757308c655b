//! What a flood of signalling does to the packets that a router forwards, and to its tables.
//!
//! Sections with the flood and without it take turns, so that a bad minute meets both. What is timed is whole turns of the
//! worker, with a full batch of the stream each, and in sections with the flood as many of its frames as have come since the
//! last turn.

mod kind;
mod result;
mod router;

use crate::allocations;
use crate::calibration::Probes;
use crate::handover::stopwatch::{Clock, Stopwatch};
use crate::handover::terminal::STREAM_OCTETS;
use crate::machine::Machine;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{Line, Report};
use crate::statistics::Spread;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use kind::Kind;
use result::{More, Phase};
use router::{MAX_ENTRIES, MAX_GROUPS, Router, Section};
use serde::Serialize;
use std::collections::BTreeMap;

/// Frames of a flood before its second phase: more than the data plane lets through at once.
const SOAK: u32 = 140_000;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// What floods are made of; all kinds unless told otherwise
    #[arg(long, value_delimiter = ',', value_enum)]
    kinds: Vec<Kind>,
    /// Frames of a flood a second
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rates: Vec<u32>,
    /// Terminals whose streams are forwarded
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4096))]
    terminals: u32,
    /// Turns of a section, with 64 packets of the stream each
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    turns: u32,
    /// Pairs of sections, one with the flood and one without, of each phase
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,
    /// What turns are timed by
    #[arg(long, value_enum, default_value_t = Clock::Thread)]
    clock: Clock,
    #[command(flatten)]
    output: Output,
}

/// How the figures came to be.
#[derive(Serialize)]
struct Method {
    turns: u32,
    repetitions: u32,
    clock: Clock,
    /// Frames of a flood before its second phase.
    soak_frames: u32,
    /// Limits of the router's tables: entries, and groups of a port.
    max_entries: u64,
    max_groups: u64,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    options.output.prepare()?;
    let machine = Machine::here();
    let mut probes = Probes::new();
    let kinds = if options.kinds.is_empty() { Kind::value_variants() } else { &options.kinds };
    let plans: Vec<(Kind, u32)> =
        kinds.iter().flat_map(|&kind| options.rates.iter().map(move |&rate| (kind, rate))).collect();
    let progress = Progress::new(plans.len() as u64);
    let mut results = Vec::new();
    for (kind, rate) in plans {
        progress.begin(|| format!("{rate} {} a second", kind.name()));
        probes.probe();
        results.extend(measure(options, kind, rate)?);
        progress.step();
    }
    probes.probe();
    drop(progress);
    let report = Report {
        benchmark: "flood",
        machine,
        calibration: probes.finish(),
        method: Method {
            turns: options.turns,
            repetitions: options.repetitions,
            clock: options.clock,
            soak_frames: SOAK,
            max_entries: MAX_ENTRIES,
            max_groups: MAX_GROUPS,
        },
        results,
    };
    options.output.publish(&report, &result::charts(&report.results), print)
}

/// Both phases of a flood.
fn measure(options: &Options, kind: Kind, rate: u32) -> Result<[Line<More>; 2]> {
    let mut router = Router::new(options.terminals, Stopwatch::new(options.clock))?;
    // Caches fill, and what grows once has grown.
    router.section(options.turns, None)?;
    let begins = phase(&mut router, options, kind, rate, Phase::Begins)?;
    router.soak(kind, SOAK);
    let goes_on = phase(&mut router, options, kind, rate, Phase::GoesOn)?;
    Ok([begins, goes_on])
}

fn phase(router: &mut Router, options: &Options, kind: Kind, rate: u32, phase: Phase) -> Result<Line<More>> {
    let before = router.refusals();
    let (mut calm, mut flooded, mut slower) = (Vec::new(), Vec::new(), Vec::new());
    let mut all = Section::default();
    let allocations = allocations::count();
    for _ in 0..options.repetitions {
        let without = router.section(options.turns, None)?.ns_per_packet();
        let section = router.section(options.turns, Some((kind, rate)))?;
        let with = section.ns_per_packet();
        all.packets += section.packets;
        all.flood += section.flood;
        all.not_taken += section.not_taken;
        calm.push(without);
        flooded.push(with);
        slower.push(with / without - 1.0);
    }
    let allocations = allocations::count() - allocations;
    let fill = router.fill();
    ensure!(
        fill.trees <= MAX_ENTRIES && fill.groups <= MAX_GROUPS,
        "a table has gone beyond its limit: {} trees, {} groups",
        fill.trees,
        fill.groups
    );
    let more = More {
        kind,
        phase,
        rate,
        calm_ns_per_packet: Spread::of(&calm).rounded().median,
        slower: (Spread::of(&slower).median * 1000.0).round() / 1000.0,
        flood_frames: all.flood,
        not_taken: all.not_taken,
        trees: fill.trees,
        groups_listened_to: fill.groups,
        neighbors: fill.neighbors,
        refused: grown(&before, router.refusals()),
    };
    Ok(Line {
        path: format!("{}/{}/{rate}", kind.name(), phase.name()),
        entries: options.terminals.into(),
        groups: options.terminals.into(),
        branches: 1,
        packet_octets: Some(STREAM_OCTETS as u64),
        distribution: "round robin".to_owned(),
        ns_per_packet: Spread::of(&flooded).rounded(),
        instructions_per_packet: None,
        allocations_per_packet: (allocations as f64 / all.packets as f64 * 100.0).round() / 100.0,
        packets: all.packets,
        more,
    })
}

/// By how much each counter has grown, most first; without those that have not.
fn grown(before: &BTreeMap<String, u64>, after: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut grown: Vec<(String, u64)> = after
        .into_iter()
        .map(|(name, count)| {
            let earlier = before.get(&name).copied().unwrap_or(0);
            (name, count.saturating_sub(earlier))
        })
        .filter(|&(_, count)| count > 0)
        .collect();
    grown.sort_by_key(|&(_, count)| core::cmp::Reverse(count));
    grown
}

fn print(report: &Report<Method, More>) {
    println!("{}", report.machine);
    println!("{}", report.calibration);
    println!(
        "{} pairs of sections of {} turns with 64 packets of the stream; limits: {MAX_ENTRIES} trees, {MAX_GROUPS} groups",
        report.method.repetitions, report.method.turns
    );
    println!(
        "\n{:<15} {:>8} {:<8} {:>8} {:>8} {:>9} {:>7} {:>7} {:>11} refused",
        "flood", "a second", "phase", "calm ns", "ns", "slower %", "trees", "groups", "neighbours"
    );
    for line in &report.results {
        let cells = result::row(line);
        let [kind, rate, phase, calm, ns, slower, trees, groups, neighbors, refused] = &cells[..] else { continue };
        println!(
            "{kind:<15} {rate:>8} {phase:<8} {calm:>8} {ns:>8} {slower:>9} {trees:>7} {groups:>7} {neighbors:>11} {refused}"
        );
    }
    println!(
        "\nns: of a packet of the stream, everything that the worker does meanwhile included\n\
         begins: from the first frame on; goes-on: when {SOAK} frames of it have come"
    );
}
