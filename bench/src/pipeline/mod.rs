//! What a packet costs in the data plane of a node, without ports.
//!
//! Batches of packets are made outside the timed section; what is timed is [`path::Path::process`]: all stages, and
//! giving the frames back. The paths take turns, so that a bad minute of the machine meets all of them.

mod frame;
mod path;

use crate::allocations;
use crate::calibration::Probes;
use crate::instructions::Instructions;
use crate::machine::Machine;
use crate::report::{Line, Report};
use crate::statistics::{Durations, Percentiles, Spread, clock_nanos};
use anyhow::Result;
use clap::{Args, ValueEnum};
use path::{Kind, MAX_BRANCHES, MAX_ENTRIES, Path};
use serde::Serialize;
use stack::packet::{BATCH_SIZE, Batch};
use stack::rng::Rng;
use std::time::Instant;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Packets of each path in each repetition
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    packets: u64,
    /// Repetitions; the median over them is the result
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    /// Packets that go through the pipeline together
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=BATCH_SIZE as u64))]
    batch: u64,
    /// Octets of the innermost IPv6 packet; tunnels and Ethernet come on top
    #[arg(long, value_delimiter = ',', default_value = "64", value_parser = clap::value_parser!(u64).range(64..=1500))]
    octets: Vec<u64>,
    /// Bindings, of the mobility agent (as many groups with them) and of the home agent
    #[arg(long, value_delimiter = ',', default_value = "1,10000,100000", value_parser = entries())]
    bindings: Vec<u64>,
    /// Unicast routes
    #[arg(long, value_delimiter = ',', default_value = "1,100000", value_parser = entries())]
    routes: Vec<u64>,
    /// Groups with an (S,G) route each
    #[arg(long, value_delimiter = ',', default_value = "1,100000", value_parser = entries())]
    groups: Vec<u64>,
    /// Branches of each group's tree
    #[arg(long, value_delimiter = ',', default_value = "1,2,8", value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_BRANCHES)))]
    branches: Vec<u8>,
    /// Paths to measure; all where absent
    #[arg(long, value_delimiter = ',')]
    paths: Vec<Kind>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

fn entries() -> impl clap::builder::TypedValueParser<Value = u64> {
    clap::value_parser!(u64).range(1..=u64::from(MAX_ENTRIES))
}

/// How the figures came to be.
#[derive(Serialize)]
struct Method {
    packets: u64,
    repetitions: u32,
    batch: u64,
    /// Nanoseconds that timing a batch costs, which are subtracted.
    clock_ns: f64,
}

/// A path's figures beside those that every benchmark has. Nanoseconds a packet are there those of each repetition's
/// median batch: what else runs on the machine interrupts some batches, and not the median one.
#[derive(Serialize)]
struct More {
    frame_octets: usize,
    /// Of each repetition the mean over all batches, interruptions included.
    mean_ns_per_packet: Spread,
    /// Nanoseconds of whole batches, timing included.
    batch_ns: Percentiles,
    /// The same by quantile.
    batch_curve: Vec<(f64, u64)>,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    let machine = Machine::here();
    let mut runs = runs(options)?;
    let mut probes = Probes::new();
    let clock_ns = clock_nanos();
    for run in &mut runs {
        run.repeat(options.packets, options.batch, clock_ns)?;
        run.forget();
    }
    for _ in 0..options.repetitions {
        probes.probe();
        for run in &mut runs {
            run.repeat(options.packets, options.batch, clock_ns)?;
        }
    }
    probes.probe();
    let instructions = Instructions::probe();
    for run in &mut runs {
        run.count_instructions(&instructions, options.packets, options.batch)?;
    }
    let report = Report {
        benchmark: "pipeline",
        machine,
        calibration: probes.finish(),
        method: Method { packets: options.packets, repetitions: options.repetitions, batch: options.batch, clock_ns },
        results: runs.iter().map(Run::line).collect(),
    };
    if options.json {
        println!("{}", report.json()?);
    } else {
        print(&report);
    }
    Ok(())
}

fn runs(options: &Options) -> Result<Vec<Run>> {
    let kinds = if options.paths.is_empty() { Kind::value_variants() } else { &options.paths };
    let mut runs = Vec::new();
    for &octets in &options.octets {
        for &kind in kinds {
            let (sizes, branches) = match kind {
                Kind::Unicast | Kind::UnicastLengths => (&options.routes[..], &[1][..]),
                Kind::Multicast => (&options.groups[..], &options.branches[..]),
                Kind::Terminal | Kind::TerminalGre => (&[1][..], &[1][..]),
                _ => (&options.bindings[..], &[1][..]),
            };
            for &entries in sizes {
                for &branches in branches {
                    let path = Path::new(kind, u32::try_from(entries)?, branches, octets as usize)?;
                    runs.push(Run::new(path, octets as usize));
                }
            }
        }
    }
    Ok(runs)
}

/// A path under measurement.
struct Run {
    path: Path,
    octets: usize,
    rng: Rng,
    /// Packets since the beginning, warm-up included.
    sent: u64,
    packets: u64,
    allocations: u64,
    nanos_per_packet: Vec<f64>,
    mean_nanos_per_packet: Vec<f64>,
    batches: Durations,
    instructions_per_packet: Option<f64>,
}

impl Run {
    fn new(path: Path, octets: usize) -> Self {
        Run {
            path,
            octets,
            rng: Rng::new(7),
            sent: 0,
            packets: 0,
            allocations: 0,
            nanos_per_packet: Vec::new(),
            mean_nanos_per_packet: Vec::new(),
            batches: Durations::new(),
            instructions_per_packet: None,
        }
    }

    /// One repetition. The caches belong to another path when it begins, so that an eighth more goes ahead untimed.
    fn repeat(&mut self, packets: u64, batch: u64, clock_ns: f64) -> Result<()> {
        self.pass(packets / 8, batch, Path::process)?;
        let mut batches = Durations::new();
        let (mut nanos, mut allocations) = (0, 0);
        self.pass(packets, batch, |path, batch, out| {
            let before = allocations::count();
            let started = Instant::now();
            path.process(batch, out);
            let taken = started.elapsed().as_nanos() as u64;
            allocations += allocations::count() - before;
            batches.record(taken);
            nanos += taken;
        })?;
        let median = batches.percentiles().p50 as f64 - clock_ns;
        self.nanos_per_packet.push(median.max(0.0) / batch.min(packets) as f64);
        let total = nanos as f64 - batches.len() as f64 * clock_ns;
        self.mean_nanos_per_packet.push(total.max(0.0) / packets as f64);
        self.batches.add(&batches);
        self.packets += packets;
        self.allocations += allocations;
        self.path.check(self.sent)
    }

    /// Counts the instructions of so many packets, by system calls around each batch, for which reason nothing is timed.
    fn count_instructions(&mut self, counter: &Instructions, packets: u64, batch: u64) -> Result<()> {
        if !counter.is_there() {
            return Ok(());
        }
        let mut sum = Some(0);
        self.pass(packets, batch, |path, batch, out| {
            let counted = counter.count(|| path.process(batch, out));
            sum = sum.zip(counted).map(|(sum, (_, instructions))| sum + instructions);
        })?;
        self.instructions_per_packet = sum.map(|sum| sum as f64 / packets as f64);
        self.path.check(self.sent)
    }

    /// Makes so many packets and gives them in batches to `measure`, which takes each batch through the path.
    fn pass(
        &mut self,
        packets: u64,
        size: u64,
        mut measure: impl FnMut(&mut Path, &mut Batch, &mut Batch),
    ) -> Result<()> {
        let (mut batch, mut out) = (Batch::new(), Batch::new());
        let mut left = packets;
        while left > 0 {
            for _ in 0..size.min(left) {
                let index = self.rng.below(u64::from(self.path.entries)) as u32;
                self.path.generate(&mut batch, index, self.sent as u32)?;
                self.sent += 1;
            }
            left -= batch.len() as u64;
            measure(&mut self.path, &mut batch, &mut out);
        }
        Ok(())
    }

    /// Forgets the warm-up.
    fn forget(&mut self) {
        (self.packets, self.allocations) = (0, 0);
        self.nanos_per_packet.clear();
        self.mean_nanos_per_packet.clear();
        self.batches = Durations::new();
    }

    fn line(&self) -> Line<More> {
        Line {
            path: self.path.kind.name(),
            entries: self.path.entries.into(),
            groups: self.path.groups(),
            branches: self.path.branches.into(),
            packet_octets: Some(self.octets as u64),
            distribution: "uniform".to_owned(),
            ns_per_packet: Spread::of(&self.nanos_per_packet).rounded(),
            instructions_per_packet: self.instructions_per_packet,
            allocations_per_packet: self.allocations as f64 / self.packets as f64,
            packets: self.packets,
            more: More {
                frame_octets: self.path.frame.octets().len(),
                mean_ns_per_packet: Spread::of(&self.mean_nanos_per_packet).rounded(),
                batch_ns: self.batches.percentiles(),
                batch_curve: self.batches.curve(),
            },
        }
    }
}

fn print(report: &Report<Method, More>) {
    let Method { packets, repetitions, batch, clock_ns } = report.method;
    println!("{}", report.machine);
    println!("{}", report.calibration);
    println!(
        "{repetitions} repetitions of {packets} packets in batches of {batch}, paths by turns; \
         making the packets is not timed, {clock_ns} ns for the clock are subtracted a batch"
    );
    println!(
        "\n{:<16} {:>8} {:>8} {:>6} {:>8} {:>15} {:>6} {:>8} {:>8} {:>8} {:>6}",
        "path", "entries", "branches", "octets", "ns", "[min-max]", "Mpps", "mean", "batch", "p99", "allocs"
    );
    for line in &report.results {
        let Spread { median, min, max } = line.ns_per_packet;
        println!(
            "{:<16} {:>8} {:>8} {:>6} {:>8.1} {:>15} {:>6.2} {:>8.1} {:>8} {:>8} {:>6}",
            line.path,
            line.entries,
            line.branches,
            line.packet_octets.unwrap_or_default(),
            median,
            format!("[{min:.1}-{max:.1}]"),
            1e3 / median,
            line.more.mean_ns_per_packet.median,
            line.more.batch_ns.p50,
            line.more.batch_ns.p99,
            line.allocations_per_packet
        );
    }
    println!(
        "\nns a packet: the median batch of a repetition, then median [min-max] over repetitions; mean: over all batches, \
         interruptions by others included\nbatch, p99: median and 99th percentile of the nanoseconds of a batch"
    );
}
