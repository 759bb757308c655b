//! The workers beside the first over the tables of one path: each has a data plane of its own on a thread and a core of
//! its own, as the appliance's forwarders have, and goes the same path with frames of its own.

use super::Traffic;
use super::path::{Path, Seed};
use super::run::{Pace, Run};
use anyhow::{Context, Result, anyhow, ensure};
use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

/// The workers beside the first of one path.
pub(super) struct Crew {
    others: Vec<Other>,
    /// The first worker's part of what all do together, a run for each kind of traffic.
    first: Vec<Run>,
}

/// A worker beside the first.
struct Other {
    orders: Sender<Order>,
    /// Comes after each order; nobody is there any more where the worker has given up.
    done: Receiver<()>,
    thread: JoinHandle<Result<Vec<Run>>>,
}

/// What a worker is to do.
enum Order {
    /// Packets of every kind of traffic that are not timed.
    WarmUp(Pace),
    /// A repetition of one kind of traffic, together with the other workers.
    Repeat(usize, Pace, Presence),
}

/// The cores that the first `workers` workers have, one each.
///
/// # Errors
/// Where there are fewer.
pub(super) fn cores(workers: usize) -> Result<Vec<CoreId>> {
    let mut cores =
        core_affinity::get_core_ids().context("the system does not tell which cores this process may use")?;
    ensure!(
        workers <= cores.len(),
        "--workers {workers}: this process may use {} cores, and each worker has one of its own: ask for {} at the most",
        cores.len(),
        cores.len()
    );
    cores.truncate(workers);
    Ok(cores)
}

/// The calling thread stays on this core.
pub(super) fn pin(core: CoreId) -> Result<()> {
    ensure!(core_affinity::set_for_current(core), "core {} is not to be had", core.id);
    Ok(())
}

impl Other {
    /// Starts a worker, which first hears how the tables are filled.
    fn start(seed: Seed, core: CoreId, traffic: Vec<Traffic>) -> Self {
        let (orders, ordered) = bounded(1);
        let (say, done) = bounded(1);
        let thread = thread::spawn(move || {
            pin(core)?;
            let mut path = seed.path()?;
            let mut runs: Vec<Run> = traffic.into_iter().map(|traffic| traffic.over(&path)).collect();
            let mut sent = 0;
            while let Some(order) = path.hear_until(&ordered) {
                match order {
                    Order::WarmUp(pace) => {
                        runs.iter_mut()
                            .try_for_each(|run| run.warm_up(&mut path, &mut sent, pace.packets, pace.batch))?;
                    }
                    Order::Repeat(number, pace, presence) => {
                        let run = runs.get_mut(number).context("no such traffic")?;
                        run.repeat_among(&mut path, &mut sent, pace, presence)?;
                    }
                }
                check_left(&path)?;
                say.send(()).context("the first worker has ended")?;
            }
            Ok(runs)
        });
        Other { orders, done, thread }
    }

    /// What it has measured.
    fn end(self) -> Result<Vec<Run>> {
        drop(self.orders);
        self.thread.join().map_err(|_| anyhow!("a worker has panicked"))?
    }
}

/// # Errors
/// Where packets were left to the first worker: what was measured is not the path.
fn check_left(path: &Path) -> Result<()> {
    ensure!(path.left() == 0, "{}: {} packets did not go the express way", path.name(), path.left());
    Ok(())
}

/// A crew that is put together while the first worker's tables are empty.
pub(super) struct Hiring {
    cores: Vec<CoreId>,
    others: Vec<Other>,
}

impl Hiring {
    /// Workers for all `cores` but the first, which is the first worker's.
    pub(super) fn new(cores: &[CoreId]) -> Self {
        Hiring { cores: cores.to_vec(), others: Vec::new() }
    }

    /// The next worker, with traffic of its own.
    pub(super) fn hire(&mut self, seed: Seed, traffic: Vec<Traffic>) -> Result<()> {
        let core = *self.cores.get(self.others.len() + 1).context("more workers than cores")?;
        self.others.push(Other::start(seed, core, traffic));
        Ok(())
    }

    /// The crew, with the first worker's part in it.
    pub(super) fn crew(self, first: Vec<Run>) -> Crew {
        Crew { others: self.others, first }
    }
}

impl Crew {
    /// Packets that are not timed, by all others, one after the other.
    pub(super) fn warm_up(&mut self, pace: Pace) -> Result<()> {
        for place in 0..self.others.len() {
            if self.others[place].orders.send(Order::WarmUp(pace)).is_err() || self.others[place].done.recv().is_err() {
                return Err(self.reason(place));
            }
        }
        Ok(())
    }

    /// A repetition of traffic number `number` by all workers at the same time, of which the calling thread is the first.
    pub(super) fn repeat(&mut self, number: usize, path: &mut Path, sent: &mut u64, pace: Pace) -> Result<()> {
        let mut presences = Presence::of(self.others.len() + 1);
        let own = presences.pop().context("nobody is there")?;
        for (other, presence) in self.others.iter().zip(presences) {
            // Whoever has given up is present and done by that, so that nobody waits.
            let _ = other.orders.send(Order::Repeat(number, pace, presence));
        }
        let result = self.first[number].repeat_among(path, sent, pace, own);
        let silent = (0..self.others.len()).filter(|&place| self.others[place].done.recv().is_err()).min();
        match silent {
            Some(place) => Err(self.reason(place)),
            None => result,
        }
    }

    /// Why a worker has given up.
    fn reason(&mut self, place: usize) -> anyhow::Error {
        match self.others.remove(place).end() {
            Err(error) => error,
            Ok(_) => anyhow!("a worker has ended"),
        }
    }

    /// The runs of all workers, the first one's first.
    pub(super) fn end(self) -> Result<Vec<Vec<Run>>> {
        let mut runs = vec![self.first];
        for other in self.others {
            runs.push(other.end()?);
        }
        Ok(runs)
    }
}

/// How many of the workers of a repetition have begun to time, and have ended.
struct Attendance {
    workers: usize,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// A worker's part in a repetition with others; it has begun and ended at the latest when this is dropped.
pub(super) struct Presence {
    all: Arc<Attendance>,
    has_begun: bool,
    has_ended: bool,
}

impl Presence {
    /// Of each of so many workers.
    fn of(workers: usize) -> Vec<Presence> {
        let all = Arc::new(Attendance { workers, begun: AtomicUsize::new(0), ended: AtomicUsize::new(0) });
        (0..workers).map(|_| Presence { all: Arc::clone(&all), has_begun: false, has_ended: false }).collect()
    }

    /// This worker sends; answers whether all do.
    pub(super) fn all_have_begun(&mut self) -> bool {
        if !self.has_begun {
            self.has_begun = true;
            self.all.begun.fetch_add(1, Ordering::Release);
        }
        self.all.begun.load(Ordering::Acquire) == self.all.workers
    }

    /// This worker has timed what it shall; answers whether all have.
    pub(super) fn all_have_ended(&mut self) -> bool {
        self.all_have_begun();
        if !self.has_ended {
            self.has_ended = true;
            self.all.ended.fetch_add(1, Ordering::Release);
        }
        self.all.ended.load(Ordering::Acquire) == self.all.workers
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.all_have_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_who_has_given_up() {
        let mut presences = Presence::of(3);
        let (third, second, mut first) = (presences.pop(), presences.pop(), presences.pop().unwrap());
        assert!(!first.all_have_begun() && !first.all_have_begun());
        drop(third);
        assert!(!first.all_have_begun());
        let mut second = second.unwrap();
        assert!(second.all_have_begun() && first.all_have_begun());
        assert!(!first.all_have_ended() && !first.all_have_ended());
        drop(second);
        assert!(first.all_have_ended());
    }

    #[test]
    fn more_workers_than_cores_are_refused() {
        let all = core_affinity::get_core_ids().unwrap().len();
        assert_eq!(cores(all).unwrap().len(), all);
        let refusal = cores(all + 1).unwrap_err().to_string();
        assert!(refusal.contains(&format!("--workers {}", all + 1)) && refusal.contains("at the most"), "{refusal}");
    }
}
