//! What the data plane's tables cost: lookups, updates, both together, readers beside a writer, and memory.
//!
//! The tables are reached as the node reaches them: an update is [`stack::pipeline::Dataplane::apply`], and a lookup is
//! what a packet of 64 octets costs whose path needs that one entry. Readers on other cores are data planes beside the
//! writer's, as forwarders have them.

mod contention;
mod operations;
mod result;

use crate::calibration::Probes;
use crate::machine::Machine;
use crate::memory;
use crate::output::Output;
use crate::pipeline::RECKONED_OCTETS;
use crate::pipeline::path::{Kind, MAX_ENTRIES, MAX_NEIGHBORS};
use crate::pipeline::run::Pace;
use crate::progress::Progress;
use crate::report::Report;
use crate::statistics::{Spread, clock_nanos};
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use result::More;
use serde::Serialize;
use stack::packet::BATCH_SIZE;

/// Reading threads at the most.
const MAX_READERS: u64 = 64;

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Table {
    /// The mobility agent's bindings
    Binding,
    /// The home agent's bindings
    HomeBinding,
    /// Multicast routes
    Mfib,
    /// Unicast routes, all /64
    Fib,
    /// Unicast routes of 25 prefix lengths
    FibLengths,
    /// Neighbours on a link
    Neighbor,
}

impl Table {
    /// The path whose packets ask for one entry of the table each.
    pub(crate) fn path(self) -> Kind {
        match self {
            Table::Binding => Kind::MmaGroup,
            Table::HomeBinding => Kind::HaIntercept,
            Table::Mfib => Kind::Multicast,
            Table::Fib => Kind::Unicast,
            Table::FibLengths => Kind::UnicastLengths,
            Table::Neighbor => Kind::OnLink,
        }
    }

    /// As on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Tables to measure; all where absent
    #[arg(long, value_delimiter = ',')]
    tables: Vec<Table>,
    /// Entries of each table
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ENTRIES)))]
    entries: Vec<u32>,
    /// Updates of each kind in each repetition
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    updates: u64,
    /// Lookups in each repetition
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    lookups: u64,
    /// Repetitions; the median over them is the result
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,
    /// Lookups that are made together
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=BATCH_SIZE as u64))]
    batch: u64,
    /// Updates between two batches of lookups where both are mixed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    updates_per_batch: u32,
    /// Reading threads beside the writer, each on a core of its own as far as there are some; 0 leaves this out
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=MAX_READERS))]
    readers: u64,
    #[command(flatten)]
    output: Output,
}

/// How the figures came to be.
#[derive(Serialize)]
struct Method {
    updates: u64,
    lookups: u64,
    repetitions: u32,
    batch: u64,
    updates_per_batch: u32,
    readers: u64,
    /// Nanoseconds that timing costs, which are subtracted from figures a packet and not from percentiles.
    clock_ns: f64,
}

/// What every measurement of a table needs to know.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) table: Table,
    pub(crate) entries: u32,
    pub(crate) updates: u64,
    pub(crate) repetitions: u32,
    pub(crate) updates_per_batch: u32,
    pub(crate) lookups: Pace,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    options.output.prepare()?;
    let clock_ns = clock_nanos();
    let plans = plans(options, clock_ns)?;
    let machine = Machine::here();
    let mut probes = Probes::new();
    let progress = Progress::new(2 * plans.len() as u64);
    let mut results = Vec::new();
    for plan in plans {
        progress.begin(|| format!("{} of {}", plan.table.name(), plan.entries));
        results.extend(operations::measure(plan, &mut probes)?);
        progress.step();
        if options.readers > 0 {
            results.extend(contention::measure(plan, options.readers as usize)?);
        }
        progress.step();
    }
    probes.probe();
    drop(progress);
    let report = Report {
        benchmark: "tables",
        machine,
        calibration: probes.finish(),
        method: Method {
            updates: options.updates,
            lookups: options.lookups,
            repetitions: options.repetitions,
            batch: options.batch,
            updates_per_batch: options.updates_per_batch,
            readers: options.readers,
            clock_ns,
        },
        results,
    };
    options.output.publish(&report, &result::charts(&report.results), print)
}

/// What the options ask for.
///
/// # Errors
/// Where a table can not be so large, or memory might not suffice.
fn plans(options: &Options, clock_ns: f64) -> Result<Vec<Plan>> {
    let available = memory::available_octets() / 2;
    let tables = if options.tables.is_empty() { Table::value_variants() } else { &options.tables };
    let mut plans = Vec::new();
    for &table in tables {
        for &entries in &options.entries {
            ensure!(
                table != Table::Neighbor || entries <= MAX_NEIGHBORS,
                "a data plane has {MAX_NEIGHBORS} neighbours at the most: name the tables that shall have {entries} entries"
            );
            let copies = if table.path().is_told() { options.readers + 1 } else { 1 };
            let needed = u64::from(entries) * RECKONED_OCTETS * copies;
            ensure!(
                needed <= available,
                "{}: {entries} entries in {copies} tables are reckoned with {} MiB, and half of what is available is {} MiB: \
                 ask for fewer entries or readers",
                table.name(),
                needed >> 20,
                available >> 20
            );
            let lookups = Pace { packets: options.lookups, batch: options.batch, clock_ns };
            let Options { updates, repetitions, updates_per_batch, .. } = *options;
            plans.push(Plan { table, entries, updates, repetitions, updates_per_batch, lookups });
        }
    }
    Ok(plans)
}

fn print(report: &Report<Method, More>) {
    let Method { updates, lookups, repetitions, batch, updates_per_batch, readers, clock_ns } = report.method;
    println!("{}", report.machine);
    println!("{}", report.calibration);
    println!(
        "{repetitions} repetitions of {updates} updates of each kind and {lookups} lookups in batches of {batch}; mixed: \
         {updates_per_batch} updates between two batches; {readers} readers"
    );
    println!(
        "\n{:<34} {:>8} {:>8} {:>15} {:>7} {:>8} {:>8} {:>9} {:>9} {:>7}",
        "table/operation", "entries", "ns", "[min-max]", "p50", "p99", "p99.9", "max", "octets", "allocs"
    );
    for line in &report.results {
        let Spread { median, min, max } = line.ns_per_packet;
        let More { latency_ns: latency, octets_per_entry: octets, .. } = &line.more;
        println!(
            "{:<34} {:>8} {:>8.1} {:>15} {:>7} {:>8} {:>8} {:>9} {:>9} {:>7.3}",
            line.path,
            line.entries,
            median,
            format!("[{min:.1}-{max:.1}]"),
            latency.p50,
            latency.p99,
            latency.p999,
            latency.max,
            octets.map_or("-".to_owned(), |octets| format!("{octets:.0}")),
            line.allocations_per_packet
        );
    }
    println!("\nthe longest insertions of each fill, ms, and at how many entries:");
    for line in &report.results {
        let Some(longest) = &line.more.longest else { continue };
        let each = longest.iter().map(|&(entries, nanos)| format!("{:.2} at {entries}", nanos as f64 / 1e6));
        println!("{:<20} {:>8}: {}", line.more.table, line.entries, each.collect::<Vec<_>>().join(", "));
    }
    println!(
        "\nns: the median of a repetition, then median [min-max] over repetitions, {clock_ns} ns for the clock subtracted\n\
         p50 to max: nanoseconds of an update, or of a whole batch of lookups, timing included\n\
         octets: of memory, an entry"
    );
}
