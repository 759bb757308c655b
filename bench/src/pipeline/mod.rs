//! What a packet costs in the data plane of a node, without ports.
//!
//! Batches of packets are made outside the timed section; what is timed is [`path::Path::process`]: all stages, and
//! giving the frames back. The paths take turns, so that a bad minute of the machine meets all of them.

mod frame;
mod path;

use crate::calibration::Probes;
use crate::machine::Machine;
use crate::statistics::{Durations, Percentiles, Spread};
use crate::{Report, allocations};
use anyhow::Result;
use clap::{Args, ValueEnum};
use path::{Kind, MAX_BRANCHES, MAX_ENTRIES, Path};
use serde::Serialize;
use stack::packet::{BATCH_SIZE, Batch};
use stack::rng::Rng;
use std::time::Instant;

/// Empty sections that are timed to know what timing costs.
const CLOCK_SAMPLES: usize = 20_001;

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

/// A path's figures.
#[derive(Serialize)]
struct Line {
    path: Kind,
    entries: u32,
    branches: u8,
    packet_octets: usize,
    frame_octets: usize,
    distribution: &'static str,
    packets: u64,
    /// Of each repetition the median batch: what else runs on the machine interrupts some batches, and not the median one.
    ns_per_packet: Spread,
    /// Of each repetition the mean over all batches, interruptions included.
    mean_ns_per_packet: Spread,
    /// Nanoseconds of whole batches, timing included.
    batch_ns: Percentiles,
    allocations_per_packet: f64,
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
    let report = Report {
        benchmark: "pipeline",
        machine,
        calibration: probes.finish(),
        method: Method { packets: options.packets, repetitions: options.repetitions, batch: options.batch, clock_ns },
        results: runs.iter().map(Run::line).collect::<Vec<Line>>(),
    };
    if options.json { report.print_json() } else { print(&report) }
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
        }
    }

    /// One repetition. The caches belong to another path when it begins, so that an eighth more goes ahead untimed.
    fn repeat(&mut self, packets: u64, batch: u64, clock_ns: f64) -> Result<()> {
        self.pass(packets / 8, batch, |_| {})?;
        let mut batches = Durations::new();
        let (mut nanos, mut allocations) = (0, 0);
        self.pass(packets, batch, |sample| {
            batches.record(sample.nanos);
            nanos += sample.nanos;
            allocations += sample.allocations;
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

    /// Sends so many packets in batches, and tells what each batch cost.
    fn pass(&mut self, packets: u64, size: u64, mut tell: impl FnMut(Sample)) -> Result<()> {
        let (mut batch, mut out) = (Batch::new(), Batch::new());
        let mut left = packets;
        while left > 0 {
            for _ in 0..size.min(left) {
                let index = self.rng.below(u64::from(self.path.entries)) as u32;
                self.path.generate(&mut batch, index, self.sent as u32)?;
                self.sent += 1;
            }
            left -= batch.len() as u64;
            let before = allocations::count();
            let started = Instant::now();
            self.path.process(&mut batch, &mut out);
            let nanos = started.elapsed().as_nanos() as u64;
            tell(Sample { nanos, allocations: allocations::count() - before });
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

    fn line(&self) -> Line {
        Line {
            path: self.path.kind,
            entries: self.path.entries,
            branches: self.path.branches,
            packet_octets: self.octets,
            frame_octets: self.path.frame.octets().len(),
            distribution: "uniform",
            packets: self.packets,
            ns_per_packet: Spread::of(&self.nanos_per_packet).rounded(),
            mean_ns_per_packet: Spread::of(&self.mean_nanos_per_packet).rounded(),
            batch_ns: self.batches.percentiles(),
            allocations_per_packet: self.allocations as f64 / self.packets as f64,
        }
    }
}

/// What a batch cost.
struct Sample {
    nanos: u64,
    allocations: u64,
}

/// Nanoseconds between two looks at the clock with nothing between them.
fn clock_nanos() -> f64 {
    let samples: Vec<f64> = (0..CLOCK_SAMPLES)
        .map(|_| {
            let started = Instant::now();
            started.elapsed().as_nanos() as f64
        })
        .collect();
    Spread::of(&samples).median
}

fn print(report: &Report<Method, Line>) -> Result<()> {
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
            line.path.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default(),
            line.entries,
            line.branches,
            line.packet_octets,
            median,
            format!("[{min:.1}-{max:.1}]"),
            1e3 / median,
            line.mean_ns_per_packet.median,
            line.batch_ns.p50,
            line.batch_ns.p99,
            line.allocations_per_packet
        );
    }
    println!(
        "\nns a packet: the median batch of a repetition, then median [min-max] over repetitions; mean: over all batches, \
         interruptions by others included\nbatch, p99: median and 99th percentile of the nanoseconds of a batch"
    );
    Ok(())
}
