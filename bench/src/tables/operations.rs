//! One thread that fills a table, looks up, updates, and does both by turns.

use super::Plan;
use super::result::{More, Operation, line};
use crate::allocations;
use crate::calibration::Probes;
use crate::memory;
use crate::pipeline::PacketsIn;
use crate::pipeline::path::{Path, Ways};
use crate::pipeline::run::Run;
use crate::report::Line;
use crate::statistics::{Costs, Durations};
use crate::traffic::popularity::{Distribution, Popularity};
use crate::traffic::size::Size;
use anyhow::Result;
use stack::rng::Rng;
use stack::tables::TableUpdate;
use std::time::Instant;

/// Entries that are removed before the first of them comes back, at the most; what they touch is more than a core's own
/// caches hold.
const GROUP: u64 = 8192;
/// A prime above every number of entries, so that multiples of it are entries far from each other.
const STRIDE: u64 = 2_654_435_761;
/// Of a fill, so many of the longest insertions are told one by one.
const LONGEST: usize = 8;
/// Parts of filling a table, each of which has a median.
const FILL_BLOCKS: u32 = 8;

/// Measures all that one thread does.
pub(crate) fn measure(plan: Plan, probes: &mut Probes) -> Result<Vec<Line<More>>> {
    let mut path = Path::without_entries(plan.table.path(), plan.entries, 1, Ways::Express)?;
    let fill = fill(&mut path, plan)?;
    let mut lookup = reader(&path, plan, 7);
    let mut mixed_lookup = reader(&path, plan, 8);
    let mut writer = Writer::new(plan, 9);
    let [mut insert, mut replace, mut delete, mut mixed_update] = core::array::from_fn(|_| Costs::new());
    let mut sent = 0;
    path.touch_all(&mut sent)?;
    lookup.warm_up(&mut path, &mut sent, plan.lookups.packets, plan.lookups.batch)?;
    for _ in 0..plan.repetitions {
        probes.probe();
        lookup.repeat(&mut path, &mut sent, plan.lookups)?;
        let [mut inserts, mut replaces, mut deletes] = core::array::from_fn(|_| Samples::new());
        let mut left = plan.updates;
        while left > 0 {
            // What was removed comes back when all others of the group have been through the cache.
            let group = writer.distinct_entries(left.min(GROUP));
            left -= group.len() as u64;
            for _ in &group {
                let index = writer.next_entry();
                writer.apply(&mut path, Update::Set(index), &mut replaces)?;
            }
            for &index in &group {
                writer.apply(&mut path, Update::Remove(index), &mut deletes)?;
            }
            for &index in &group {
                writer.apply(&mut path, Update::Set(index), &mut inserts)?;
            }
        }
        inserts.end(&mut insert, plan);
        replaces.end(&mut replace, plan);
        deletes.end(&mut delete, plan);
        let mut updates = Samples::new();
        mixed_lookup.repeat_with(&mut path, &mut sent, plan.lookups, |path| {
            (0..plan.updates_per_batch).try_for_each(|_| writer.turn(path, &mut updates))
        })?;
        updates.end(&mut mixed_update, plan);
        path.check_updates()?;
    }
    let mut lines = vec![fill];
    for (operation, costs) in [
        (Operation::Insert, &insert),
        (Operation::Replace, &replace),
        (Operation::Delete, &delete),
        (Operation::Lookup, &lookup.costs()),
        (Operation::MixedLookup, &mixed_lookup.costs()),
        (Operation::MixedUpdate, &mixed_update),
    ] {
        lines.push(line(plan, operation, costs));
    }
    Ok(lines)
}

/// Traffic that looks up.
pub(crate) fn reader(path: &Path, plan: Plan, seed: u64) -> Run {
    let popularity = Popularity::new(Distribution::Uniform, 1.0, plan.entries, seed);
    Run::new(path, Size::Fixed(64), popularity, PacketsIn::Cache)
}

/// All entries one after the other; every insertion is timed, so that growth shows.
fn fill(path: &mut Path, plan: Plan) -> Result<Line<More>> {
    let (heap, resident) = (allocations::octets(), memory::resident_octets());
    let mut writer = Writer::new(plan, 1);
    let mut costs = Costs::new();
    let block = plan.entries.div_ceil(FILL_BLOCKS);
    let mut samples = Samples::new();
    let mut longest = Longest::default();
    for index in 0..plan.entries {
        let nanos = writer.apply(path, Update::Set(index), &mut samples)?;
        longest.add(index, nanos);
        if (index + 1) % block == 0 || index + 1 == plan.entries {
            std::mem::replace(&mut samples, Samples::new()).end(&mut costs, plan);
        }
    }
    path.check_updates()?;
    let (heap, resident) = (allocations::octets() - heap, memory::resident_octets().saturating_sub(resident));
    let mut line = line(plan, Operation::Fill, &costs);
    let each = |octets: f64| (octets / f64::from(plan.entries) * 10.0).round() / 10.0;
    let (heap, resident) = (each(heap.max(0) as f64), each(resident as f64));
    line.more.longest = Some(longest.0);
    line.more.octets_per_entry = Some(heap.max(resident));
    line.more.allocated_octets_per_entry = Some(heap);
    line.more.resident_octets_per_entry = Some(resident);
    Ok(line)
}

/// The longest insertions so far, the longest first: how many entries there were, and nanoseconds.
#[derive(Default)]
struct Longest(Vec<(u32, u64)>);

impl Longest {
    fn add(&mut self, entries: u32, nanos: u64) {
        if self.0.len() < LONGEST || self.0.last().is_some_and(|last| nanos > last.1) {
            let at = self.0.partition_point(|other| other.1 >= nanos);
            self.0.insert(at, (entries, nanos));
            self.0.truncate(LONGEST);
        }
    }
}

/// An update of one entry.
#[derive(Clone, Copy)]
pub(crate) enum Update {
    Set(u32),
    Remove(u32),
}

/// Updates of a repetition.
pub(crate) struct Samples {
    durations: Durations,
    allocations: u64,
}

impl Samples {
    pub(crate) fn new() -> Self {
        Samples { durations: Durations::new(), allocations: 0 }
    }

    /// The repetition is over.
    pub(crate) fn end(self, costs: &mut Costs, plan: Plan) {
        costs.add_repetition(&self.durations, 1, self.allocations, plan.lookups.clock_ns);
    }
}

/// Who updates.
pub(crate) struct Writer {
    entries: u32,
    rng: Rng,
    turns: u64,
}

impl Writer {
    pub(crate) fn new(plan: Plan, seed: u64) -> Self {
        Writer { entries: plan.entries, rng: Rng::new(seed), turns: 0 }
    }

    fn next_entry(&mut self) -> u32 {
        self.rng.below(self.entries.into()) as u32
    }

    /// So many entries, none twice, or all where there are fewer.
    fn distinct_entries(&mut self, count: u64) -> Vec<u32> {
        let (first, entries) = (u64::from(self.next_entry()), u64::from(self.entries));
        (0..count.min(entries)).map(|number| ((first + number * STRIDE) % entries) as u32).collect()
    }

    /// By turns an entry is replaced, and one is removed and inserted again, so that all of them are there afterwards.
    pub(crate) fn turn(&mut self, path: &mut Path, samples: &mut Samples) -> Result<()> {
        self.turns += 1;
        let index = self.next_entry();
        if self.turns.is_multiple_of(2) {
            self.apply(path, Update::Remove(index), samples)?;
        }
        self.apply(path, Update::Set(index), samples)?;
        Ok(())
    }

    /// One timed update; making it is not timed.
    fn apply(&mut self, path: &mut Path, update: Update, samples: &mut Samples) -> Result<u64> {
        let update: TableUpdate = match update {
            Update::Set(index) => path.set_entry(index)?,
            Update::Remove(index) => path.remove_entry(index)?,
        };
        let before = allocations::count();
        let started = Instant::now();
        path.apply(update);
        let nanos = started.elapsed().as_nanos() as u64;
        samples.allocations += allocations::count() - before;
        samples.durations.record(nanos);
        Ok(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_are_kept_in_order() {
        let mut longest = Longest::default();
        for number in 0..100 {
            longest.add(number, u64::from(number * 37 % 100));
        }
        let nanos: Vec<u64> = longest.0.iter().map(|&(_, nanos)| nanos).collect();
        assert_eq!(nanos, [99, 98, 97, 96, 95, 94, 93, 92]);
        assert!(longest.0.iter().all(|&(entries, nanos)| u64::from(entries * 37 % 100) == nanos));
    }

    #[test]
    fn groups_have_no_entry_twice() {
        for entries in [1, 2, 100, 10_007] {
            let mut writer = Writer { entries, rng: Rng::new(1), turns: 0 };
            let mut group = writer.distinct_entries(GROUP);
            assert_eq!(group.len() as u64, GROUP.min(entries.into()));
            group.sort_unstable();
            assert!(group.is_sorted_by(|a, b| a < b) && group.iter().all(|&index| index < entries));
        }
    }
}
