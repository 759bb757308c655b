//! What handovers cost the routers of a site, and how long they take: many terminals, movements at a rate, and storms. And
//! what terminals see of movements within and between sites, beside other ways of moving ([`lab`]).
//!
//! What is timed is whole turns of the routers' workers over memory ports: frames are received, go through the data plane
//! to the machines, change their state and the tables, and what they answer has left when the turn ends. A clock that goes
//! on by what the turns take ([`cores`]) makes latencies of them, waiting included. Links have no length, and no kernel is
//! part of it.

mod agents;
mod chain;
mod charts;
mod cores;
mod field;
mod join;
mod lab;
pub(crate) mod message;
mod result;
mod scenario;
pub(crate) mod site;
mod stage;
pub(crate) mod stopwatch;
pub(crate) mod terminal;

use crate::calibration::Probes;
use crate::machine::Machine;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{Line, Report};
use crate::wire::node;
use crate::wire::stage::Preference;
use agents::{Role, Work};
use anyhow::{Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use lab::Plan;
use result::More;
use scenario::{Found, Scenarios, Spacing, Traffic};
use serde::Serialize;
use site::Place;
use std::path::PathBuf;
use std::thread;
use stopwatch::{Clock, Stopwatch};

/// Terminals at the most: so many listeners a router follows on a link.
const MAX_TERMINALS: i64 = 131_072;
/// Terminals of a storm unless told otherwise.
const STORM: u32 = 10_000;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// What to measure; everything unless told otherwise
    #[arg(long, value_delimiter = ',', value_enum, value_name = "PART")]
    parts: Vec<Part>,
    /// Terminals in the site, each with a group of its own
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=MAX_TERMINALS))]
    terminals: u32,
    /// Moves of terminals from one access router to the other, and as many departures and arrivals
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    moves: u32,
    /// Movements a second
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// How movements follow one another
    #[arg(long, value_enum, default_value_t = Spacing::Random)]
    spacing: Spacing,
    /// Terminals that arrive, and that move, at once [default: 10000, or all where there are fewer]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=MAX_TERMINALS))]
    storm: Option<u32>,
    /// Storms of each kind
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,
    /// What turns are timed by
    #[arg(long, value_enum, default_value_t = Clock::Thread)]
    clock: Clock,
    /// Go before everything else on the core (SCHED_FIFO, where that is permitted): others have a twentieth of it
    #[arg(long)]
    real_time: bool,
    /// The lab file
    #[arg(long, default_value = "configs/lab/baselines.toml", value_name = "FILE")]
    lab: PathBuf,
    /// Runs of the lab in each mode, at each distance
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// One-way delays of the links outside of all sites at which the lab is run as well, milliseconds
    #[arg(long, value_delimiter = ',', default_value = "5,20,50,100", value_name = "MS",
          value_parser = clap::value_parser!(u32).range(0..=1000))]
    outside: Vec<u32>,
    /// The appliance's program, for joins; the one beside this program where absent
    #[arg(long, value_name = "PROGRAM")]
    drover: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// A part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    /// Moves, departures and arrivals at a rate
    Rate,
    /// Many arrivals, and many moves, at once
    Storm,
    /// Binding Updates to a mobility agent, an anchor point and a home agent, one at a time and many at once
    Agents,
    /// Arrivals one at a time over three routers on AF_XDP and veth pairs (needs root)
    Chain,
    /// From a terminal's report to the Join of an access router, the process `drover run`, on veth pairs (needs root)
    Join,
    /// Movements within and between sites in the lab's simulation, in every mode of the lab file
    Lab,
}

/// What a part over real ports has found.
pub(crate) struct OverInterfaces {
    pub(crate) stages: stage::Stages,
    /// How the ports reach their interfaces.
    pub(crate) mode: String,
    /// Frames that were sent again.
    pub(crate) repeated: u64,
}

/// How the figures came to be.
#[derive(Serialize)]
struct Method {
    terminals: u32,
    moves: u32,
    rate: u32,
    spacing: Spacing,
    storm: u32,
    repetitions: u32,
    clock: Clock,
    real_time: bool,
    /// Nanoseconds that timing a turn takes; they are subtracted.
    clock_ns: u64,
    /// How long a terminal that moves has both links, milliseconds.
    overlap_ms: u64,
    /// A turn in which nothing happens, the mean of each router. A frame waits half as long on average for a worker
    /// that spins; this is not part of the latencies.
    idle_turn_ns: Vec<(&'static str, u64)>,
    /// How the ports of the chain reach their interfaces, and how many frames were sent again there; or why there is none.
    chain: String,
    /// The same of the joins.
    join: String,
    lab: String,
    runs: u32,
    /// Checks of the lab file that did not hold.
    lab_checks_failed: Vec<String>,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    let Options { terminals, moves, rate, spacing, repetitions, .. } = *options;
    let storm = options.storm.unwrap_or(STORM.min(terminals));
    ensure!(storm <= terminals, "a storm of {storm} needs as many terminals; there are {terminals}");
    let has = |part| options.parts.is_empty() || options.parts.contains(&part);
    options.output.prepare()?;
    let machine = Machine::here();
    let mut probes = Probes::new();
    probes.probe();
    if options.real_time {
        Preference::RealTime.give(0);
    }
    let stopwatch = Stopwatch::new(options.clock);
    let mut method = Method {
        terminals,
        moves,
        rate,
        spacing,
        storm,
        repetitions,
        clock: options.clock,
        real_time: options.real_time,
        clock_ns: stopwatch.empty_nanos(),
        overlap_ms: field::OVERLAP.as_millis() as u64,
        idle_turn_ns: Vec::new(),
        chain: "left out".to_owned(),
        join: "left out".to_owned(),
        lab: options.lab.display().to_string(),
        runs: options.runs,
        lab_checks_failed: Vec::new(),
    };
    let plan = if has(Part::Lab) { Some(Plan::new(&options.lab, options.runs, &options.outside)?) } else { None };
    let mut steps = plan.as_ref().map_or(0, Plan::steps);
    if has(Part::Rate) || has(Part::Storm) {
        steps += u64::from(terminals);
    }
    steps += if has(Part::Rate) { (u64::from(moves) + u64::from(moves.div_ceil(10))) * 3 } else { 0 };
    steps += if has(Part::Storm) { u64::from(storm) * u64::from(repetitions) * 3 } else { 0 };
    let work = Work { terminals, updates: moves, storm, repetitions };
    steps += if has(Part::Agents) { work.steps() } else { 0 };
    for part in [Part::Chain, Part::Join] {
        steps += if has(part) { u64::from(terminals) + u64::from(moves) + u64::from(moves.div_ceil(10)) } else { 0 };
    }
    let progress = Progress::new(steps);
    let mut found = Vec::new();
    if has(Part::Rate) || has(Part::Storm) {
        progress.begin(|| format!("{terminals} terminals arrive"));
        let mut scenarios = Scenarios::new(Traffic { terminals, rate, spacing }, stopwatch, &progress)?;
        if has(Part::Rate) {
            progress.begin(|| format!("moves, {rate} a second"));
            found.push(scenarios.moves(moves, &progress, || probes.probe())?);
            progress.begin(|| format!("departures and arrivals, {rate} a second"));
            found.push(scenarios.arrivals(moves, &progress, || probes.probe())?);
        }
        if has(Part::Storm) {
            progress.begin(|| format!("storms of {storm}"));
            found.extend(scenarios.storms(storm, repetitions, &progress, || probes.probe())?);
        }
        let cores = scenarios.field().cores();
        method.idle_turn_ns = Place::ALL.map(|place| (place.name(), cores.idle_turn_nanos(place))).to_vec();
    }
    let mut results: Vec<Line<More>> = found.iter().flat_map(|found| result::lines(found, terminals)).collect();
    for role in Role::ALL.into_iter().filter(|_| has(Part::Agents)) {
        progress.begin(|| format!("Binding Updates: {}; {terminals} terminals register", role.name()));
        results.extend(agents::run(role, work, stopwatch, &progress)?);
        probes.probe();
    }
    if has(Part::Chain) {
        progress.begin(|| format!("arrivals over AF_XDP; {terminals} terminals arrive"));
        let passage = chain::run(terminals, moves, options.clock, &progress);
        method.chain = over_interfaces(options, "chain", passage, &mut results)?;
        probes.probe();
    }
    if has(Part::Join) {
        progress.begin(|| format!("joins at an access router; {terminals} terminals arrive"));
        let program = node::program(options.drover.as_deref());
        let preference = if options.real_time { Preference::RealTime } else { Preference::Nice };
        // The thread that measures moves to another namespace and another core.
        let joins = thread::scope(|scope| {
            let run = || join::run(&program, terminals, moves, preference, &progress);
            scope.spawn(run).join().map_err(|_| anyhow!("the thread that measures broke off"))?
        });
        method.join = over_interfaces(options, "join", joins, &mut results)?;
        probes.probe();
    }
    if let Some(plan) = plan {
        let labs = plan.run(&progress)?;
        results.extend(labs.lines);
        method.lab_checks_failed = labs.failed;
    }
    drop(progress);
    let report = Report { benchmark: "handover", machine, calibration: probes.finish(), method, results };
    options.output.publish(&report, &charts::charts(&report.results), print)?;
    ensure!(found.iter().all(Found::is_whole), "something was lost, or a tree is not as it should be; see the results");
    let failed = &report.method.lab_checks_failed;
    ensure!(failed.is_empty(), "checks of the lab did not hold: {}", failed.join("; "));
    Ok(())
}

/// Puts what a part over interfaces has found with the results. What is not asked for by name may be left out: says how it
/// was, or why.
fn over_interfaces(
    options: &Options,
    name: &'static str,
    found: Result<OverInterfaces>,
    results: &mut Vec<Line<More>>,
) -> Result<String> {
    match found {
        Ok(OverInterfaces { stages, mode, repeated }) => {
            results.extend(result::stage_lines(name, &stages, options.terminals));
            Ok(format!("{mode}; {repeated} frames sent again"))
        }
        Err(error) if options.parts.is_empty() => {
            eprintln!("{name} is left out: {error:#}");
            Ok(format!("left out: {error:#}"))
        }
        Err(error) => Err(error),
    }
}

fn print(report: &Report<Method, More>) {
    let Method { terminals, rate, storm, .. } = report.method;
    println!("{}", report.machine);
    println!("{}", report.calibration);
    let is_stage = |line: &Line<More>| matches!(line.more, More::Stage(_));
    if report.results.iter().any(is_stage) {
        println!("{terminals} terminals; {rate} movements a second; storms of {storm}");
        println!(
            "\n{:<28} {:<38} {:>8} {:>10} {:>10} {:>10} {:>10}",
            "stage", "what", "samples", "p50 us", "p99 us", "p99.9 us", "max us"
        );
    }
    for line in &report.results {
        let More::Stage(stage) = &line.more else { continue };
        let [p50, p99, p999, max] =
            [stage.ns.p50, stage.ns.p99, stage.ns.p999, stage.ns.max].map(|nanos| nanos as f64 / 1e3);
        println!(
            "{:<28} {:<38} {:>8} {p50:>10.1} {p99:>10.1} {p999:>10.1} {max:>10.1}",
            line.path, stage.what, stage.samples
        );
    }
    print_table("load and signalling", &charts::loads(&report.results));
    print_table("what came of movements", &charts::outcomes(&report.results));
    print_table("what terminals see; packets and messages are of a movement", &charts::labs(&report.results));
}

/// A table in columns, the first to the left; nothing without rows.
fn print_table(title: &str, (heads, rows): &charts::Table) {
    if rows.is_empty() {
        return;
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).chain([heads[column].len()]).max();
    let widths: Vec<usize> = (0..heads.len()).filter_map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(
                |(column, (cell, &width))| {
                    if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        println!("{}", cells.join("  "));
    };
    println!("\n{title}");
    line(&mut heads.iter().copied());
    rows.iter().for_each(|row| line(&mut row.iter().map(String::as_str)));
}
