//! How long routers take to graft a terminal's tree: from a report to the Join, from a Join to the next Join.
//!
//! What is timed is a whole turn of a router's worker over memory ports: the frame is received, goes through the data
//! plane to the machines, changes their state and the tables, and what they answer has left when the turn ends. Links are
//! not part of it, nor is what happens between turns: leaving, timers, hellos.

mod site;
mod stage;

use crate::calibration::Probes;
use crate::machine::Machine;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::Report;
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use site::{Place, Site, Terminal};
use stack::rng::Rng;
use stack::time::Duration;
use stage::{More, Stage, Stages};

/// Terminals at the most: what a router's table of trees holds unless it is told otherwise.
const MAX_TERMINALS: i64 = 65_536;
/// Time between two moves, on the routers' clock.
const BETWEEN_MOVES: Duration = Duration::from_millis(1);
/// One of so many moves has the crossover's branches looked at, which takes long where there are many trees.
const LOOKED_AT: u32 = 64;
/// Blocks of moves at the most; after each the machine is probed.
const BLOCKS: u32 = 8;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Moves of terminals from one access router to the other
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    moves: u32,
    /// Terminals in the site, each with a group of its own
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=MAX_TERMINALS))]
    terminals: u32,
    #[command(flatten)]
    output: Output,
}

/// How the figures came to be.
#[derive(Serialize)]
struct Method {
    moves: u32,
    terminals: u32,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    options.output.prepare()?;
    let machine = Machine::here();
    let mut probes = Probes::new();
    probes.probe();
    let progress = Progress::new(options.moves.into());
    progress.begin(|| format!("{} terminals arrive", options.terminals));
    let mut bench = Bench::new(options.terminals)?;
    progress.begin(|| "moves".to_owned());
    // The first moves fill the caches and what grows once.
    for _ in 0..options.moves / 10 {
        bench.step()?;
    }
    bench.stages = Stages::new();
    for step in 0..options.moves {
        bench.step()?;
        progress.step();
        if (step + 1) % options.moves.div_ceil(BLOCKS) == 0 || step + 1 == options.moves {
            probes.probe();
            bench.stages.end_block();
        }
    }
    drop(progress);
    let report = Report {
        benchmark: "handover",
        machine,
        calibration: probes.finish(),
        method: Method { moves: options.moves, terminals: options.terminals },
        results: bench.stages.all.iter().map(|stage| stage.line(options.terminals)).collect(),
    };
    options.output.publish(&report, &stage::charts(&report.results), print)
}

/// The site and where its terminals are.
struct Bench {
    site: Site,
    at: Vec<usize>,
    steps: u32,
    rng: Rng,
    stages: Stages,
}

impl Bench {
    /// All terminals have joined, each behind one of the access routers.
    fn new(terminals: u32) -> Result<Self> {
        let at = (0..terminals as usize).map(|terminal| terminal % 2).collect();
        let site = Site::new(terminals)?;
        let mut bench = Bench { site, at, steps: 0, rng: Rng::new(3), stages: Stages::new() };
        for terminal in 0..terminals {
            bench.arrive(terminal)?;
        }
        Ok(bench)
    }

    /// A terminal moves within the site, leaves it, and comes back.
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        let terminal = self.rng.below(self.at.len() as u64) as u32;
        self.move_within(terminal)?;
        self.leave(terminal, self.at[terminal as usize])?;
        ensure!(
            self.site.trees(Place::Root) == self.at.len() - 1 && self.site.trees(Place::Core) == self.at.len() - 1,
            "a tree that nobody listens to is still there"
        );
        self.arrive(terminal)
    }

    /// Make before break: the report goes to the new access router, the Join to the crossover; then the old one hears
    /// that the terminal has left.
    fn move_within(&mut self, number: u32) -> Result<()> {
        let terminal = Terminal(number);
        let (old, new) = (self.at[number as usize], 1 - self.at[number as usize]);
        self.rest()?;
        let (access, up) = self.site.turn(Place::Access(new), 1, terminal.join())?;
        let join = site::join_of(up, terminal.group()).context("no Join has left the access router")?;
        let (crossover, up) = self.site.turn(Place::Core, new + 1, join)?;
        ensure!(site::join_of(up, terminal.group()).is_none(), "the crossover has asked for a tree that it has");
        if self.steps.is_multiple_of(LOOKED_AT) {
            ensure!(self.site.branches(Place::Core, terminal.group()) == 2, "the crossover has no second branch");
        }
        self.stages.record(Stage::Access, access);
        self.stages.record(Stage::Crossover, crossover);
        self.stages.record(Stage::Handover, access + crossover);
        self.leave(number, old)?;
        self.at[number as usize] = new;
        Ok(())
    }

    /// The terminal's tree is built from its access router to the root.
    fn arrive(&mut self, number: u32) -> Result<()> {
        let terminal = Terminal(number);
        let at = self.at[number as usize];
        self.rest()?;
        let trees = self.site.trees(Place::Root);
        let (access, up) = self.site.turn(Place::Access(at), 1, terminal.join())?;
        let join = site::join_of(up, terminal.group()).context("no Join has left the access router")?;
        let (core, up) = self.site.turn(Place::Core, at + 1, join)?;
        ensure!(self.site.trees(Place::Core) == trees + 1, "the core router has no route for the group");
        let join = site::join_of(up, terminal.group()).context("no Join has left the core router")?;
        let (root, _) = self.site.turn(Place::Root, 0, join)?;
        ensure!(self.site.trees(Place::Root) == trees + 1, "the root has no route for the group");
        self.stages.record(Stage::Access, access);
        self.stages.record(Stage::Core, core);
        self.stages.record(Stage::Root, root);
        self.stages.record(Stage::Arrival, access + core + root);
        Ok(())
    }

    fn leave(&mut self, number: u32, at: usize) -> Result<()> {
        self.rest()?;
        self.site.hear(Place::Access(at), 1, Terminal(number).leave())?;
        self.site.settle()
    }

    /// Time passes, and what is due is done.
    fn rest(&mut self) -> Result<()> {
        self.site.advance(BETWEEN_MOVES);
        self.site.settle()
    }
}

fn print(report: &Report<Method, More>) {
    println!("{}", report.machine);
    println!("{}", report.calibration);
    println!("{} moves of {} terminals", report.method.moves, report.method.terminals);
    println!(
        "\n{:<10} {:<38} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "stage", "what", "samples", "p50 us", "p99 us", "p99.9 us", "max us"
    );
    for More { stage, what, samples, ns, .. } in report.results.iter().map(|line| &line.more) {
        let [p50, p99, p999, max] = [ns.p50, ns.p99, ns.p999, ns.max].map(|nanos| nanos as f64 / 1e3);
        println!("{stage:<10} {what:<38} {samples:>8} {p50:>9.1} {p99:>9.1} {p999:>9.1} {max:>9.1}");
    }
}
