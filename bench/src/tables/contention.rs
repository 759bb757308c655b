//! Threads that look up, without and with a thread beside them that updates. Each is pinned to a core as far as there are
//! some, and has tables of its own, as workers have.

use super::Plan;
use super::operations::{Samples, Writer, reader};
use super::result::{More, Operation, line};
use crate::pipeline::path::{Path, Ways};
use crate::report::Line;
use crate::statistics::Costs;
use anyhow::{Result, anyhow};
use core_affinity::CoreId;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Updates between two looks at whether the readers are done, and those that make a sample of medians.
const UPDATES_A_LOOK: u32 = 256;

/// Measures so many readers.
pub(crate) fn measure(plan: Plan, readers: usize) -> Result<Vec<Line<More>>> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = |thread: usize| cores.get(thread % cores.len().max(1)).copied();
    // Everybody waits before the readers begin alone, before the writer begins, and nowhere else.
    let start = Barrier::new(readers + 1);
    let reading = AtomicUsize::new(readers);
    let (alone, beside, writer) = thread::scope(|scope| {
        let handles: Vec<_> = (0..readers)
            .map(|number| {
                let (start, reading, core) = (&start, &reading, core(number + 1));
                scope.spawn(move || read(plan, number as u64, core, start, reading))
            })
            .collect();
        let writer = scope.spawn(|| write(plan, core(0), &start, &reading));
        let (mut alone, mut beside) = (Costs::new(), Costs::new());
        for handle in handles {
            let (one, other) = handle.join().map_err(|_| anyhow!("a reader has panicked"))??;
            alone.add(&one);
            beside.add(&other);
        }
        let writer = writer.join().map_err(|_| anyhow!("the writer has panicked"))??;
        Ok::<_, anyhow::Error>((alone, beside, writer))
    })?;
    let results = [
        (Operation::ReaderAlone, alone),
        (Operation::ReaderBesideWriter, beside),
        (Operation::WriterBesideReaders, writer),
    ];
    Ok(results
        .into_iter()
        .map(|(operation, costs)| {
            let mut line = line(plan, operation, &costs);
            line.more.readers = Some(readers as u64);
            line.more.threads_share_cores = Some(readers + 1 > cores.len());
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

/// A reader: so many repetitions alone, and so many beside the writer.
fn read(
    plan: Plan,
    number: u64,
    core: Option<CoreId>,
    start: &Barrier,
    reading: &AtomicUsize,
) -> Result<(Costs, Costs)> {
    // However this ends, the writer is not kept.
    let _done = Done(reading);
    pin(core);
    let mut sent = 0;
    let prepared = Path::new(plan.table.path(), plan.entries, 1, Ways::Express).and_then(|mut path| {
        path.touch_all(&mut sent)?;
        let mut run = reader(&path, plan, 100 + number);
        run.warm_up(&mut path, &mut sent, plan.lookups.packets, plan.lookups.batch)?;
        Ok((path, run))
    });
    start.wait();
    let alone = prepared.and_then(|(mut path, mut run)| {
        (0..plan.repetitions).try_for_each(|_| run.repeat(&mut path, &mut sent, plan.lookups))?;
        Ok((path, run))
    });
    start.wait();
    let (mut path, run) = alone?;
    let mut beside = reader(&path, plan, 200 + number);
    (0..plan.repetitions).try_for_each(|_| beside.repeat(&mut path, &mut sent, plan.lookups))?;
    Ok((run.costs(), beside.costs()))
}

/// The writer: updates until no reader reads any more.
fn write(plan: Plan, core: Option<CoreId>, start: &Barrier, reading: &AtomicUsize) -> Result<Costs> {
    pin(core);
    let prepared = Path::new(plan.table.path(), plan.entries, 1, Ways::Express);
    start.wait();
    start.wait();
    let mut path = prepared?;
    let (mut writer, mut costs) = (Writer::new(plan, 11), Costs::new());
    loop {
        let mut samples = Samples::new();
        (0..UPDATES_A_LOOK).try_for_each(|_| writer.turn(&mut path, &mut samples))?;
        samples.end(&mut costs, plan);
        if reading.load(Ordering::Acquire) == 0 {
            path.check_updates()?;
            return Ok(costs);
        }
    }
}

/// Counts a reader down when it ends.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}
