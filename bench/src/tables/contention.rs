//! One table, a thread that updates it, and threads beside it that look up: the first worker and its forwarders.
//!
//! The readers read bindings and multicast routes where the writer writes them; of routes and neighbours each has a copy and
//! is told, as forwarders are.

use super::Plan;
use super::operations::{Samples, Writer, reader};
use super::result::{More, Operation, line};
use crate::pipeline::path::{Path, Seed};
use crate::report::Line;
use crate::statistics::{Costs, Durations};
use anyhow::{Result, anyhow, ensure};
use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Updates between two looks at whether the readers are done, and those that make a sample of medians.
const UPDATES_A_LOOK: u32 = 256;
/// Insertions at the most whose way to another core is timed.
const MAX_ROUNDS: u64 = 20_000;
/// Those that make a sample of medians.
const ROUNDS_A_SAMPLE: u64 = 500;

/// What the threads of a measurement share.
struct Stage {
    /// Everybody waits: until the tables are full; before the readers begin alone; before the writer begins; before
    /// insertions are watched.
    start: Barrier,
    /// Whether the tables are full.
    full: AtomicBool,
    /// Readers that read.
    reading: AtomicUsize,
    /// Whether the writer has seen that none does.
    has_written: AtomicBool,
    /// Rounds in which the first reader has seen the entry gone, and those in which it has seen it again.
    gone: AtomicU64,
    seen: AtomicU64,
    /// When the insertion of the round began, in nanoseconds since `origin`.
    begun: AtomicU64,
    origin: Instant,
    /// Rounds; none where threads share cores.
    rounds: u64,
    /// Whether a thread has given up, so that nobody waits for it.
    failed: AtomicBool,
}

/// What a reader has measured: lookups alone, those beside the writer, and the part of these that found nothing.
type Read = (Costs, Costs, f64);

/// Measures so many readers.
pub(crate) fn measure(plan: Plan, readers: usize) -> Result<Vec<Line<More>>> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = |thread: usize| cores.get(thread % cores.len().max(1)).copied();
    let share_cores = readers + 1 > cores.len();
    let stage = Stage {
        start: Barrier::new(readers + 1),
        full: AtomicBool::new(false),
        reading: AtomicUsize::new(readers),
        has_written: AtomicBool::new(false),
        gone: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        begun: AtomicU64::new(0),
        origin: Instant::now(),
        rounds: if share_cores { 0 } else { plan.updates.min(MAX_ROUNDS) },
        failed: AtomicBool::new(false),
    };
    let (give, seeds) = bounded(readers);
    let (results, writer) = thread::scope(|scope| {
        let handles: Vec<_> = (0..readers)
            .map(|number| {
                let (stage, seeds, core) = (&stage, seeds.clone(), core(number + 1));
                scope.spawn(move || read(plan, number, core, stage, &seeds))
            })
            .collect();
        let writer = scope.spawn(|| write(plan, readers, core(0), &stage, give));
        let mut results: Vec<(Read, Costs)> = Vec::new();
        for handle in handles {
            results.push(handle.join().map_err(|_| anyhow!("a reader has panicked"))??);
        }
        let writer = writer.join().map_err(|_| anyhow!("the writer has panicked"))??;
        Ok::<_, anyhow::Error>((results, writer))
    })?;
    let [mut alone, mut beside, mut visible] = core::array::from_fn(|_| Costs::new());
    let mut missed = 0.0;
    for ((one, other, part), seen) in &results {
        alone.add(one);
        beside.add(other);
        visible.add(seen);
        missed += part / results.len() as f64;
    }
    let mut operations = vec![
        (Operation::ReaderAlone, alone, None),
        (Operation::ReaderBesideWriter, beside, Some(missed)),
        (Operation::WriterBesideReaders, writer, None),
    ];
    if stage.rounds > 0 {
        operations.push((Operation::Visible, visible, None));
    }
    Ok(operations
        .into_iter()
        .map(|(operation, costs, missed)| {
            let mut line = line(plan, operation, &costs);
            line.more.readers = Some(readers as u64);
            line.more.threads_share_cores = Some(share_cores);
            line.more.missed = missed;
            line
        })
        .collect())
}

fn pin(core: Option<CoreId>) {
    // A thread that may not be pinned runs where the kernel puts it.
    if let Some(core) = core {
        core_affinity::set_for_current(core);
    }
}

/// A reader: so many repetitions alone, and so many beside the writer; the first one also watches insertions.
fn read(
    plan: Plan,
    number: usize,
    core: Option<CoreId>,
    stage: &Stage,
    seeds: &Receiver<Seed>,
) -> Result<(Read, Costs)> {
    pin(core);
    // However this ends, the writer is not kept.
    let done = Done(&stage.reading);
    let prepared = seeds.recv().map_err(|_| anyhow!("the writer has no table")).and_then(Seed::path);
    let prepared = prepared.map(|mut path| {
        while !stage.full.load(Ordering::Acquire) {
            path.hear();
        }
        path.hear();
        path
    });
    stage.start.wait();
    let mut sent = 0;
    let seed = (number as u64 + 1) * 100;
    let prepared = prepared.and_then(|mut path| {
        let mut run = reader(&path, plan, seed);
        run.warm_up(&mut path, &mut sent, plan.lookups.packets, plan.lookups.batch)?;
        Ok((path, run))
    });
    stage.start.wait();
    let alone = prepared.and_then(|(mut path, mut run)| {
        (0..plan.repetitions).try_for_each(|_| run.repeat(&mut path, &mut sent, plan.lookups))?;
        Ok((path, run))
    });
    stage.start.wait();
    let read = alone.and_then(|(mut path, run)| {
        let (before, left) = (sent, path.left());
        let mut beside = reader(&path, plan, seed + 1);
        (0..plan.repetitions).try_for_each(|_| beside.repeat(&mut path, &mut sent, plan.lookups))?;
        let missed = (path.left() - left) as f64 / (sent - before).max(1) as f64;
        Ok((path, (run.costs(), beside.costs(), missed)))
    });
    drop(done);
    let mut read = read;
    if let Ok((path, _)) = &mut read {
        // Who has read goes on listening, or the writer would wait for it.
        while stage.reading.load(Ordering::Acquire) > 0 {
            path.hear();
        }
    } else {
        stage.failed.store(true, Ordering::Release);
    }
    while let Ok((path, _)) = &mut read
        && !stage.has_written.load(Ordering::Acquire)
    {
        path.hear();
    }
    stage.start.wait();
    let (mut path, read) = read?;
    let visible = if number == 0 { watch(plan, &mut path, stage) } else { listen(&mut path, stage) };
    if visible.is_err() {
        stage.failed.store(true, Ordering::Release);
    }
    Ok((read, visible?))
}

/// Hears what the others need of the writer, until the last round.
fn listen(path: &mut Path, stage: &Stage) -> Result<Costs> {
    while stage.seen.load(Ordering::Acquire) < stage.rounds {
        path.hear();
        stage.goes_on()?;
    }
    Ok(Costs::new())
}

/// Waits for an entry to go and to come back, round by round.
fn watch(plan: Plan, path: &mut Path, stage: &Stage) -> Result<Costs> {
    let frame = path.frame(64);
    let (mut costs, mut durations) = (Costs::new(), Durations::new());
    for round in 1..=stage.rounds {
        let index = entry(plan, round);
        while path.takes(&frame, index)? {
            stage.goes_on()?;
        }
        stage.gone.store(round, Ordering::Release);
        while !path.takes(&frame, index)? {
            stage.goes_on()?;
        }
        let now = stage.origin.elapsed().as_nanos() as u64;
        durations.record(now.saturating_sub(stage.begun.load(Ordering::Acquire)));
        stage.seen.store(round, Ordering::Release);
        if round % ROUNDS_A_SAMPLE == 0 || round == stage.rounds {
            costs.add_repetition(&durations, 1, 0, plan.lookups.clock_ns);
            durations = Durations::new();
        }
    }
    Ok(costs)
}

/// The entry of a round, far from that of the one before.
fn entry(plan: Plan, round: u64) -> u32 {
    (round.wrapping_mul(2_654_435_761) % u64::from(plan.entries)) as u32
}

/// The writer: updates until no reader reads any more, then takes entries away and inserts them for the first reader.
fn write(plan: Plan, readers: usize, core: Option<CoreId>, stage: &Stage, give: Sender<Seed>) -> Result<Costs> {
    pin(core);
    let path =
        Path::first(plan.table.path(), plan.entries, 1, readers, |seed| Ok(give.send(seed)?)).and_then(|mut path| {
            path.touch_all(&mut 0)?;
            Ok(path)
        });
    // Readers that have nothing to read end by this.
    drop(give);
    stage.full.store(true, Ordering::Release);
    stage.start.wait();
    stage.start.wait();
    stage.start.wait();
    let mut costs = Costs::new();
    let mut updated = path.map(|path| (path, Writer::new(plan, 11)));
    while let Ok((path, writer)) = &mut updated {
        let mut samples = Samples::new();
        if let Err(error) = (0..UPDATES_A_LOOK).try_for_each(|_| writer.turn(path, &mut samples)) {
            updated = Err(error);
            break;
        }
        samples.end(&mut costs, plan);
        if stage.reading.load(Ordering::Acquire) == 0 {
            break;
        }
    }
    if updated.is_err() {
        stage.failed.store(true, Ordering::Release);
    }
    stage.has_written.store(true, Ordering::Release);
    stage.start.wait();
    let (mut path, _) = updated?;
    let inserted = insert(plan, &mut path, stage);
    if inserted.is_err() {
        stage.failed.store(true, Ordering::Release);
    }
    inserted?;
    path.check_updates()?;
    Ok(costs)
}

/// Takes an entry away and inserts it, round by round.
fn insert(plan: Plan, path: &mut Path, stage: &Stage) -> Result<()> {
    for round in 1..=stage.rounds {
        let index = entry(plan, round);
        let (remove, set) = (path.remove_entry(index)?, path.set_entry(index)?);
        path.apply(remove);
        stage.await_round(&stage.gone, round)?;
        stage.begun.store(stage.origin.elapsed().as_nanos() as u64, Ordering::Release);
        path.apply(set);
        stage.await_round(&stage.seen, round)?;
    }
    Ok(())
}

impl Stage {
    fn goes_on(&self) -> Result<()> {
        ensure!(!self.failed.load(Ordering::Acquire), "another thread of the measurement has given up");
        Ok(())
    }

    fn await_round(&self, rounds: &AtomicU64, round: u64) -> Result<()> {
        while rounds.load(Ordering::Acquire) < round {
            self.goes_on()?;
            core::hint::spin_loop();
        }
        Ok(())
    }
}

/// Counts a reader down when it ends.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}
