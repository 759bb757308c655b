//! What a packet costs in the data plane of a node, without ports.
//!
//! Batches of packets are made outside the timed section; what is timed is [`path::Path::process`]: all stages, and
//! giving the frames back. The paths take turns, so that a bad minute of the machine meets all of them. Where the tables of
//! all paths do not fit into memory together, the paths take turns in as few rounds as that takes. Of several workers
//! ([`crew`]) the first takes its turn alone before all take theirs together.

mod charts;
mod cold;
mod crew;
mod frame;
pub(crate) mod path;
pub(crate) mod run;

use crate::calibration::Probes;
use crate::machine::Machine;
use crate::memory;
use crate::output::Output;
use crate::processor::Processor;
use crate::progress::Progress;
use crate::report::{Line, Report};
use crate::statistics::{Spread, clock_nanos};
use crate::traffic::popularity::{Distribution, Popularity};
use crate::traffic::size::Size;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
pub(crate) use cold::PacketsIn;
use core_affinity::CoreId;
use crew::{Crew, Hiring};
use path::{Kind, MAX_BRANCHES, MAX_ENTRIES, MAX_NEIGHBORS, Path, Ways};
use run::{More, Pace, Run};
use serde::Serialize;
use stack::packet::BATCH_SIZE;

/// Octets of memory that an entry is reckoned with before it is known what it takes: more than any does, a binding and its
/// multicast route together.
pub(crate) const RECKONED_OCTETS: u64 = 512;
/// Kinds of traffic of a worker at the most, as far as seeds go.
const SEEDS_A_WORKER: u64 = 1000;

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
    /// Octets of the innermost IPv6 packet, from 64 to 1500, or imix; tunnels and Ethernet come on top
    #[arg(long, value_delimiter = ',', default_value = "64")]
    octets: Vec<Size>,
    /// How the entry is drawn that the next packet belongs to
    #[arg(long, value_delimiter = ',', default_value = "uniform")]
    distribution: Vec<Distribution>,
    /// The exponent of Zipf's distribution, above 0 and up to 10
    #[arg(long, default_value_t = 1.0, value_parser = exponent)]
    zipf_exponent: f64,
    /// Where packets are when the data plane begins with them
    #[arg(long, value_delimiter = ',', default_value = "cache")]
    packets_in: Vec<PacketsIn>,
    /// Bindings, of the mobility agent (as many groups with them) and of the home agent
    #[arg(long, value_delimiter = ',', default_value = "1,10000,100000", value_parser = entries())]
    bindings: Vec<u64>,
    /// Unicast routes
    #[arg(long, value_delimiter = ',', default_value = "1,100000", value_parser = entries())]
    routes: Vec<u64>,
    /// Neighbours on the link
    #[arg(long, value_delimiter = ',', default_value = "1,100000", value_parser = clap::value_parser!(u64).range(1..=u64::from(MAX_NEIGHBORS)))]
    neighbors: Vec<u64>,
    /// Groups with an (S,G) route each
    #[arg(long, value_delimiter = ',', default_value = "1,100000", value_parser = entries())]
    groups: Vec<u64>,
    /// Branches of each group's tree
    #[arg(long, value_delimiter = ',', default_value = "1,2,8", value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_BRANCHES)))]
    branches: Vec<u8>,
    /// Whether packets on the common ways skip the stages; `stages` adds `/stages` to the names of paths
    #[arg(long, value_delimiter = ',', default_value = "express")]
    ways: Vec<Ways>,
    /// Paths to measure; all where absent
    #[arg(long, value_delimiter = ',')]
    paths: Vec<Kind>,
    /// Data planes over the same tables that are at work at the same time, each on a core of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    workers: u64,
    #[command(flatten)]
    output: Output,
}

fn exponent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(exponent) if exponent > 0.0 && exponent <= 10.0 => Ok(exponent),
        _ => Err("the exponent is above 0 and at most 10".to_owned()),
    }
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
    workers: u64,
    /// Nanoseconds that timing a batch costs, which are subtracted.
    clock_ns: f64,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    options.packets_in.iter().try_for_each(|packets_in| packets_in.check())?;
    options.output.prepare()?;
    let cores = if options.workers > 1 { crew::cores(usize::try_from(options.workers)?)? } else { Vec::new() };
    let rounds = rounds(specifications(options)?, options.workers, memory::available_octets() / 2)?;
    let machine = Machine::here();
    if let Some(&core) = cores.first() {
        crew::pin(core)?;
    }
    let pace = Pace { packets: options.packets, batch: options.batch, clock_ns: clock_nanos() };
    let processor = Processor::probe();
    let mut probes = Probes::new();
    let beds: u64 = rounds.iter().map(|round| round.len() as u64).sum();
    let progress = Progress::new(beds * (u64::from(options.repetitions) + 2));
    let mut results = Vec::new();
    for round in rounds {
        let mut beds = Vec::new();
        for specification in round {
            progress.begin(|| format!("filling {specification:?}"));
            beds.push(Bed::new(specification, options, &cores)?);
            progress.step();
        }
        for bed in &mut beds {
            bed.each(|run, path, sent| run.warm_up(path, sent, pace.packets, pace.batch))?;
            if let Some(crew) = &mut bed.crew {
                crew.warm_up(pace)?;
            }
        }
        for _ in 0..options.repetitions {
            probes.probe();
            for bed in &mut beds {
                progress.begin(|| bed.path.name());
                bed.repeat(pace)?;
                progress.step();
            }
        }
        probes.probe();
        for mut bed in beds {
            bed.each(|run, path, sent| run.count(path, sent, &processor, pace))?;
            results.extend(bed.lines()?);
            progress.step();
        }
    }
    drop(progress);
    let report = Report {
        benchmark: "pipeline",
        machine,
        calibration: probes.finish(),
        method: Method {
            packets: options.packets,
            repetitions: options.repetitions,
            batch: options.batch,
            workers: options.workers,
            clock_ns: pace.clock_ns,
        },
        results,
    };
    options.output.publish(&report, &charts::charts(&report.results), print)
}

/// Tables to be made.
#[derive(Clone, Copy, Debug)]
struct Specification {
    kind: Kind,
    entries: u32,
    branches: u8,
    ways: Ways,
}

/// What the options ask for. Several workers have the paths that all of them can go.
///
/// # Errors
/// Where a path is asked for that not all workers can go.
fn specifications(options: &Options) -> Result<Vec<Specification>> {
    let kinds = if options.paths.is_empty() { Kind::value_variants() } else { &options.paths };
    let mut specifications = Vec::new();
    ensure!(
        options.workers == 1 || options.ways == [Ways::Express],
        "--ways stages: workers beside the first have the express way alone: leave out --ways or --workers"
    );
    for &kind in kinds {
        if options.workers > 1 && !kind.is_express() {
            ensure!(
                options.paths.is_empty(),
                "--paths {}: workers beside the first have the express way alone, which this path is not: leave it out, or \
                 --workers",
                kind.name()
            );
            continue;
        }
        let (sizes, branches) = match kind {
            Kind::Unicast | Kind::UnicastLengths => (&options.routes[..], &[1][..]),
            Kind::OnLink => (&options.neighbors[..], &[1][..]),
            Kind::Multicast => (&options.groups[..], &options.branches[..]),
            Kind::Terminal | Kind::TerminalGre => (&[1][..], &[1][..]),
            _ => (&options.bindings[..], &[1][..]),
        };
        for &entries in sizes {
            let entries = u32::try_from(entries)?;
            for &branches in branches {
                specifications.extend(options.ways.iter().map(|&ways| Specification { kind, entries, branches, ways }));
            }
        }
    }
    Ok(specifications)
}

/// Puts what fits into so many octets together into one round.
///
/// # Errors
/// Where something does not even fit alone.
fn rounds(specifications: Vec<Specification>, workers: u64, octets: u64) -> Result<Vec<Vec<Specification>>> {
    let mut rounds: Vec<Vec<Specification>> = Vec::new();
    let mut left = 0;
    for specification in specifications {
        let copies = if specification.kind.is_told() { workers } else { 1 };
        let needed = u64::from(specification.entries) * RECKONED_OCTETS * copies;
        ensure!(
            needed <= octets,
            "{} entries are reckoned with {} MiB, and half of what is available is {} MiB: ask for fewer",
            specification.entries,
            needed >> 20,
            octets >> 20
        );
        match rounds.last_mut() {
            Some(round) if needed <= left => round.push(specification),
            _ => {
                rounds.push(vec![specification]);
                left = octets;
            }
        }
        left -= needed;
    }
    Ok(rounds)
}

/// A kind of traffic.
struct Traffic {
    size: Size,
    popularity: Popularity,
    packets_in: PacketsIn,
}

impl Traffic {
    /// All that is asked for, as one worker sends it. Each kind has a sequence of its own, and so has each worker, or one
    /// would find in the cache what the one before has left.
    fn of_worker(worker: usize, entries: u32, options: &Options) -> Vec<Self> {
        let mut all = Vec::new();
        for &distribution in &options.distribution {
            for &packets_in in &options.packets_in {
                for &size in &options.octets {
                    let seed = 7 + all.len() as u64 + SEEDS_A_WORKER * worker as u64;
                    let popularity = Popularity::new(distribution, options.zipf_exponent, entries, seed);
                    all.push(Traffic { size, popularity, packets_in });
                }
            }
        }
        all
    }

    fn over(self, path: &Path) -> Run {
        Run::new(path, self.size, self.popularity, self.packets_in)
    }
}

/// A path and the traffic that goes over it.
struct Bed {
    path: Path,
    state_octets: u64,
    /// Packets of this thread since the beginning.
    sent: u64,
    /// Those of the first worker while it is alone, one for each kind of traffic.
    runs: Vec<Run>,
    /// All workers, where there are several.
    crew: Option<Crew>,
}

impl Bed {
    /// With a worker for each of `cores`, or with the calling thread alone where none is named.
    fn new(specification: Specification, options: &Options, cores: &[CoreId]) -> Result<Self> {
        let Specification { kind, entries, branches, ways } = specification;
        let before = memory::resident_octets();
        let mut hiring = Hiring::new(cores);
        let mut path = match cores.len() {
            0 => Path::new(kind, entries, branches, ways)?,
            workers => {
                let mut worker = 0;
                Path::first(kind, entries, branches, workers - 1, |seed| {
                    worker += 1;
                    hiring.hire(seed, Traffic::of_worker(worker, entries, options))
                })?
            }
        };
        let state_octets = memory::resident_octets().saturating_sub(before);
        let mut sent = 0;
        path.touch_all(&mut sent)?;
        let runs = |worker| -> Vec<Run> {
            Traffic::of_worker(worker, entries, options).into_iter().map(|traffic| traffic.over(&path)).collect()
        };
        let crew = (!cores.is_empty()).then(|| hiring.crew(runs(cores.len())));
        Ok(Bed { runs: runs(0), path, state_octets, sent, crew })
    }

    fn each(&mut self, mut what: impl FnMut(&mut Run, &mut Path, &mut u64) -> Result<()>) -> Result<()> {
        self.runs.iter_mut().try_for_each(|run| what(run, &mut self.path, &mut self.sent))
    }

    /// A repetition of every kind of traffic: by the first worker, and then by all where there are several.
    fn repeat(&mut self, pace: Pace) -> Result<()> {
        for (number, run) in self.runs.iter_mut().enumerate() {
            run.repeat(&mut self.path, &mut self.sent, pace)?;
            if let Some(crew) = &mut self.crew {
                crew.repeat(number, &mut self.path, &mut self.sent, pace)?;
            }
        }
        Ok(())
    }

    fn lines(self) -> Result<Vec<Line<More>>> {
        let Bed { path, state_octets, runs, crew, .. } = self;
        let Some(crew) = crew else {
            return Ok(runs.iter().map(|run| run::line(&path, state_octets, &[run], None)).collect());
        };
        let workers = crew.end()?;
        let line = |(number, alone): (usize, &Run)| {
            let together: Vec<&Run> = workers.iter().map(|runs: &Vec<Run>| &runs[number]).collect();
            run::line(&path, state_octets, &together, Some(alone))
        };
        Ok(runs.iter().enumerate().map(line).collect())
    }
}

fn print(report: &Report<Method, More>) {
    let Method { packets, repetitions, batch, workers, clock_ns } = report.method;
    println!("{}", report.machine);
    println!("{}", report.calibration);
    println!(
        "{repetitions} repetitions of {packets} packets in batches of {batch} by {workers} {}, paths by turns; \
         making the packets is not timed, {clock_ns} ns for the clock are subtracted a batch",
        if workers == 1 { "worker" } else { "workers" }
    );
    println!(
        "\n{:<20} {:>8} {:>8} {:>6} {:<9} {:<6} {:>8} {:>15} {:>6} {:>8} {:>8} {:>8} {:>6}",
        "path",
        "entries",
        "branches",
        "octets",
        "traffic",
        "in",
        "ns",
        "[min-max]",
        "Mpps",
        "mean",
        "batch",
        "p99",
        "allocs"
    );
    for line in &report.results {
        let Spread { median, min, max } = line.ns_per_packet;
        println!(
            "{:<20} {:>8} {:>8} {:>6} {:<9} {:<6} {:>8.1} {:>15} {:>6.2} {:>8.1} {:>8} {:>8} {:>6}",
            line.path,
            line.entries,
            line.branches,
            line.more.size,
            line.distribution,
            line.more.packets_in,
            median,
            format!("[{min:.1}-{max:.1}]"),
            line.more.packets_per_second.median / 1e6,
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
    if workers > 1 {
        print_workers(&report.results);
    }
}

fn print_workers(lines: &[Line<More>]) {
    println!(
        "\n{:<20} {:>8} {:>8} {:>6} {:<9} {:>15} {:>7} {:>15} {:>9}  each worker, ns [min-max]",
        "path", "entries", "branches", "octets", "traffic", "alone, ns [..]", "scaling", "[min-max]", "Mpps"
    );
    for line in lines {
        let (Some(alone), Some(scaling), Some(each)) =
            (line.more.alone_ns_per_packet, line.more.scaling, &line.more.worker_ns_per_packet)
        else {
            continue;
        };
        let spread = |Spread { median, min, max }: &Spread| format!("{median:.1} [{min:.1}-{max:.1}]");
        println!(
            "{:<20} {:>8} {:>8} {:>6} {:<9} {:>15} {:>7.2} {:>15} {:>9.2}  {}",
            line.path,
            line.entries,
            line.branches,
            line.more.size,
            line.distribution,
            spread(&alone),
            scaling.median,
            format!("[{:.2}-{:.2}]", scaling.min, scaling.max),
            line.more.packets_per_second.median / 1e6,
            each.iter().map(spread).collect::<Vec<_>>().join(", ")
        );
    }
    println!(
        "\nns above: what a packet takes a worker while all are at work; Mpps: of all together; alone: the first worker while \
         the others are idle; scaling: all together to that, repetition by repetition"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_hold_what_fits_together_in_order() {
        let specification = |entries| Specification { kind: Kind::Unicast, entries, branches: 1, ways: Ways::Express };
        let of = |sizes: &[u32], workers, octets| {
            let rounds = rounds(sizes.iter().copied().map(specification).collect(), workers, octets)?;
            let entries = |round: &Vec<Specification>| round.iter().map(|bed| bed.entries).collect::<Vec<_>>();
            Ok::<_, anyhow::Error>(rounds.iter().map(entries).collect::<Vec<_>>())
        };
        let room = 10 * RECKONED_OCTETS;
        assert_eq!(of(&[1, 9, 10, 4, 4, 4], 1, room).unwrap(), [vec![1, 9], vec![10], vec![4, 4], vec![4]]);
        assert_eq!(of(&[1, 4, 3], 2, room).unwrap(), [vec![1, 4], vec![3]], "each worker has its own routes");
        assert!(of(&[1, 11], 1, room).is_err());
        assert!(of(&[], 1, room).unwrap().is_empty());
    }

    #[test]
    fn exponents() {
        assert_eq!((exponent("0.99"), exponent("10")), (Ok(0.99), Ok(10.0)));
        for text in ["0", "-1", "nan", "inf", "11", ""] {
            assert!(exponent(text).is_err(), "{text}");
        }
    }
}
