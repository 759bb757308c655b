//! The watch over the workers: each is to take a turn whenever it is woken. While all do, the service manager hears that all
//! is well; a worker that does not is told of on standard error, in the manager's status and in `drover show workers`.
//!
//! Left out: why it stands still. A debugger says, or a core dump where the manager ends the process.

use super::Notifier;
use stack::runtime::{Clock, Heartbeat, Load, Waker};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks at the most: what a worker that sleeps is woken for.
const PERIOD: Duration = Duration::from_secs(1);
/// And at the least, whatever the manager wants.
const MIN_PERIOD: Duration = Duration::from_millis(1);
/// Looks within the manager's time at the least, so that a message or two may be late.
const LOOKS: u32 = 4;
/// After how long without a turn a worker counts as one that stands still. A turn takes some milliseconds at the most.
const PATIENCE: Duration = Duration::from_secs(5);

/// A worker to be watched.
#[derive(Debug)]
pub struct WatchedWorker {
    /// Its number.
    pub number: usize,
    /// Name of its thread.
    pub thread: String,
    /// The core that it is pinned to.
    pub core: Option<usize>,
    /// Where it counts its turns.
    pub load: Arc<Load>,
    /// What wakes it.
    pub waker: Waker,
}

/// What is watched, and who hears of it.
#[derive(Debug, Default)]
pub struct WatchConfig {
    /// The workers.
    pub workers: Vec<WatchedWorker>,
    /// The service manager.
    pub notifier: Option<Arc<Notifier>>,
    /// What it is told of the node while all is well.
    pub status: String,
    /// The time within which it wants to hear that all is well; it does not where absent.
    pub watchdog_time: Option<Duration>,
    /// Whether the node has begun to end. Nothing is watched from then on: workers end one after the other.
    pub is_stopping: Arc<AtomicBool>,
}

/// The watch while the node runs.
#[derive(Debug)]
pub(super) struct Watch {
    workers: Vec<Worker>,
    notifier: Option<Arc<Notifier>>,
    status: String,
    wants_to_hear: bool,
    is_stopping: Arc<AtomicBool>,
    period: Duration,
    patience: Duration,
    next: Instant,
}

#[derive(Debug)]
struct Worker {
    number: usize,
    thread: String,
    core: Option<usize>,
    heartbeat: Heartbeat,
    /// For how long it has been standing still; `None`: it is not.
    stalled: Option<Duration>,
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As the kernel has it, and whatever lists threads.
        let thread = self.thread.get(..15).unwrap_or(&self.thread);
        let core = self.core.map_or("no core of its own".to_owned(), |core| format!("core {core}"));
        write!(f, "worker {} (thread {thread}, {core})", self.number)
    }
}

impl Watch {
    pub(super) fn new(config: WatchConfig) -> Self {
        let WatchConfig { workers, notifier, status, watchdog_time, is_stopping } = config;
        let period = watchdog_time.map_or(PERIOD, |time| (time / LOOKS).clamp(MIN_PERIOD, PERIOD));
        // The manager's time counts from the last message, which came up to a period before the worker stopped.
        let patience = watchdog_time.map_or(PATIENCE, |time| PATIENCE.min(time / 2));
        let watched = workers.into_iter().map(|worker| Worker {
            number: worker.number,
            thread: worker.thread,
            core: worker.core,
            heartbeat: Heartbeat::new(worker.load, worker.waker),
            stalled: None,
        });
        Watch {
            workers: watched.collect(),
            wants_to_hear: watchdog_time.is_some(),
            notifier,
            status,
            is_stopping,
            period,
            patience,
            next: Instant::now(),
        }
    }

    /// Looks at the workers, where it is time for that; how long until it is again. `None`: there is nobody to watch.
    pub(super) fn look(&mut self) -> Option<Duration> {
        if self.workers.is_empty() || self.is_stopping.load(Ordering::Relaxed) {
            return None;
        }
        if Instant::now() >= self.next {
            self.look_at_all();
            self.next = Instant::now() + self.period;
        }
        Some(self.next.saturating_duration_since(Instant::now()))
    }

    fn look_at_all(&mut self) {
        let now = Clock.now();
        let mut changed = false;
        for worker in &mut self.workers {
            let silence = worker.heartbeat.silence(now).filter(|&silence| silence >= self.patience);
            match (silence, worker.stalled) {
                (Some(silence), None) => {
                    worker.heartbeat.note_stall();
                    super::complain(&format!(
                        "{worker} has taken no turn for {:.1} s: what comes to it is lost; where it stands a debugger \
                         says, and only a restart of the node helps where it does not go on",
                        silence.as_secs_f64()
                    ));
                    changed = true;
                }
                (None, Some(stalled)) => {
                    super::complain(&format!(
                        "{worker} takes turns again, after {:.1} s at the least without one",
                        stalled.as_secs_f64()
                    ));
                    changed = true;
                }
                _ => {}
            }
            worker.stalled = silence;
        }
        let Some(notifier) = &self.notifier else { return };
        if changed {
            notifier.status(&self.stalled().unwrap_or_else(|| self.status.clone()));
        }
        if self.wants_to_hear && self.workers.iter().all(|worker| worker.heartbeat.is_steady()) {
            notifier.watchdog();
        }
    }

    /// Which workers stand still, for people.
    pub(super) fn stalled(&self) -> Option<String> {
        let stalled: Vec<String> = self
            .workers
            .iter()
            .filter_map(|worker| {
                let stalled = worker.stalled?;
                Some(format!("{worker} has taken no turn for {:.1} s", stalled.as_secs_f64()))
            })
            .collect();
        (!stalled.is_empty()).then(|| stalled.join("; "))
    }

    /// Whether the first worker, which answers for all, stands still.
    pub(super) fn is_first_stalled(&self) -> bool {
        self.workers.first().is_some_and(|worker| worker.stalled.is_some())
    }
}
