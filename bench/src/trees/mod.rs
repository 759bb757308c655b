//! What a router's trees cost: the machine of crate `pim` with many (S,G) entries, on a virtual clock.
//!
//! A neighbour joins all of them within a second, 32 joins a message, and joins them once more a period later. Meanwhile the
//! router refreshes them at its own upstream neighbour; that neighbour restarts, the source moves behind another one, and at
//! the end all joins run out. Every call of the machine is timed with the taking of its answers: while it lasts, the worker
//! forwards nothing.

mod result;
mod site;

use crate::allocations;
use crate::calibration::Probes;
use crate::handover::stopwatch::Clock;
use crate::machine::Machine;
use crate::memory;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{Line, Report};
use anyhow::{Result, ensure};
use clap::Args;
use result::{More, Operation, line};
use serde::Serialize;
use site::{Site, Tally};
use stack::time::Duration;

/// (S,G) entries at the most.
const MAX_ENTRIES: u32 = 10_000_000;
/// Octets that an entry is reckoned with, which is more than it takes.
const RECKONED_OCTETS: u64 = 1024;
/// Time that all joins take.
const JOINING: Duration = Duration::from_secs(1);
/// Periods of refreshes that are looked at. The joins of the neighbour hold for 3.5.
const PERIODS: u32 = 3;
/// Time in which the joins that a neighbour or a route calls for have left.
const SETTLING: Duration = Duration::from_secs(10);

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// (S,G) entries
    #[arg(long, value_delimiter = ',', default_value = "1000000", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ENTRIES)))]
    entries: Vec<u32>,
    /// Sources that they are spread over; no more than entries
    #[arg(long, value_delimiter = ',', default_value = "1,1000", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ENTRIES)))]
    sources: Vec<u32>,
    /// What calls are timed by
    #[arg(long, value_enum, default_value_t = Clock::Thread)]
    clock: Clock,
    #[command(flatten)]
    output: Output,
}

/// How the figures came to be.
#[derive(Serialize)]
struct Method {
    joins_per_message: usize,
    join_prune_period_seconds: u64,
    clock: Clock,
}

/// Measures and prints.
pub(crate) fn main(options: &Options) -> Result<()> {
    options.output.prepare()?;
    let mut plans = Vec::new();
    for &entries in &options.entries {
        let (needed, available) = (u64::from(entries) * RECKONED_OCTETS, memory::available_octets() / 2);
        ensure!(
            needed <= available,
            "{entries} entries are reckoned with {} MiB, and half of what is available is {} MiB: ask for fewer",
            needed >> 20,
            available >> 20
        );
        for &sources in &options.sources {
            ensure!(sources <= entries, "{sources} sources of {entries} entries: ask for fewer sources");
            plans.push((entries, sources));
        }
    }
    let machine = Machine::here();
    let mut probes = Probes::new();
    let progress = Progress::new(plans.len() as u64);
    let mut results = Vec::new();
    for (entries, sources) in plans {
        progress.begin(|| format!("{entries} entries of {sources} sources"));
        probes.probe();
        results.extend(measure(entries, sources, options.clock)?);
        progress.step();
    }
    probes.probe();
    drop(progress);
    let report = Report {
        benchmark: "trees",
        machine,
        calibration: probes.finish(),
        method: Method {
            joins_per_message: site::JOINS_PER_MESSAGE,
            join_prune_period_seconds: site::PERIOD.as_secs(),
            clock: options.clock,
        },
        results,
    };
    options.output.publish(&report, &result::charts(&report.results), print)
}

/// The life of so many entries.
fn measure(entries: u32, sources: u32, clock: Clock) -> Result<Vec<Line<More>>> {
    let mut site = Site::new(entries, sources, clock);
    let messages = site.messages();
    let (heap, resident) = (allocations::octets(), memory::resident_octets());
    let mut lines = Vec::new();
    let mut end = |site: &mut Site, operation, count| -> Tally {
        let tally = site.take_tally();
        lines.push(line(entries, sources, operation, &tally, count));
        tally
    };

    let start = site.now();
    site.receive(&messages, JOINING);
    ensure!(site.entry_count() == entries as usize, "the router has {} entries", site.entry_count());
    let joins = end(&mut site, Operation::Join, entries).joins;
    // Those that are spread may be refreshed within the same second.
    ensure!(joins >= u64::from(entries), "{joins} of {entries} joins went on");
    let octets = |site: &Site| {
        let heap = allocations::octets() - heap - site.held_octets();
        let resident = memory::resident_octets().saturating_sub(resident);
        [heap.max(0) as f64, resident as f64].map(|octets| (octets / f64::from(entries) * 10.0).round() / 10.0)
    };
    let mut taken = octets(&site);

    let mut refreshed = joins;
    for period in 1..=PERIODS {
        if period == 2 {
            site.receive(&messages, JOINING);
            refreshed += end(&mut site, Operation::Rejoin, entries).joins;
        }
        site.run_until(start + JOINING + site::PERIOD * period);
        refreshed += end(&mut site, Operation::Refresh(period), entries).joins;
        let now = octets(&site);
        taken = [taken[0].max(now[0]), taken[1].max(now[1])];
    }
    let entry_count = u64::from(entries);
    let expected = entry_count * u64::from(PERIODS + 1);
    ensure!(refreshed >= expected, "{refreshed} joins were sent of {expected}");

    site.restart_upstream();
    site.run_for(SETTLING);
    let tally = end(&mut site, Operation::Restart, entries);
    ensure!(tally.joins >= entry_count, "{} of {entries} joins were repeated", tally.joins);

    site.move_source();
    site.run_for(SETTLING);
    let tally = end(&mut site, Operation::Reroute, entries);
    ensure!(tally.joins >= entry_count, "{} of {entries} joins moved", tally.joins);

    site.run_until_idle();
    ensure!(site.entry_count() == 0, "{} entries are left", site.entry_count());
    end(&mut site, Operation::Expire, entries);

    let first = &mut lines[0].more;
    (first.allocated_octets_per_entry, first.resident_octets_per_entry) = (Some(taken[0]), Some(taken[1]));
    Ok(lines)
}

fn print(report: &Report<Method, More>) {
    println!("{}", report.machine);
    println!("{}", report.calibration);
    println!(
        "{} joins a message received; t_periodic {} s, on a virtual clock; calls are timed by {}",
        report.method.joins_per_message,
        report.method.join_prune_period_seconds,
        match report.method.clock {
            Clock::Thread => "the time that the thread had a core",
            Clock::Wall => "the clock on the wall",
        }
    );
    println!(
        "\n{:<16} {:>8} {:>8} {:>9} {:>9} {:>6} {:>9} {:>11} {:>9} {:>9} {:>7} {:>7}",
        "operation",
        "entries",
        "sources",
        "ns",
        "messages",
        "fill",
        "calls",
        "longest us",
        "most",
        "a second",
        "octets",
        "RSS"
    );
    let or_none = |octets: Option<f64>| octets.map_or("-".to_owned(), |octets| format!("{octets:.0}"));
    for line in &report.results {
        let more = &line.more;
        println!(
            "{:<16} {:>8} {:>8} {:>9.1} {:>9} {:>6.1} {:>9} {:>11.1} {:>9} {:>9} {:>7} {:>7}",
            line.path,
            line.entries,
            more.sources,
            line.ns_per_packet.median,
            more.messages,
            more.requests_per_message,
            more.calls,
            more.longest_call_ns as f64 / 1e3,
            more.most_messages_in_a_call,
            more.most_messages_in_a_second,
            or_none(more.allocated_octets_per_entry),
            or_none(more.resident_octets_per_entry)
        );
    }
    println!(
        "\nns: of all calls of the operation together, an entry\n\
         messages: Join/Prune messages sent; fill: joins and prunes in each; most: messages in one call; a second: messages \
         in the busiest one\n\
         octets: of the allocator, an entry, at the most during the refreshes; RSS: by what the process grew"
    );
}
