//! Whether a worker still takes turns, as another thread sees it.

use super::thread::Load;
use crate::port::wait::Waker;
use crate::time::{Duration, Instant};
use std::sync::Arc;

/// Looks now and then whether a worker has taken a turn since the last look.
///
/// Many turns have no reason but a frame, a timer or a command, so that a worker which counts none may well be asleep and
/// in good order. Each look therefore wakes it, which costs it one turn, and the next one expects that turn.
#[derive(Debug)]
pub struct Heartbeat {
    load: Arc<Load>,
    waker: Waker,
    awaited: Option<Awaited>,
}

/// A turn that is to come.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    since: Instant,
    /// Turns that had been taken then.
    turns: u64,
    /// Looks that have not found it.
    looks: u32,
}

impl Heartbeat {
    /// Of the worker that counts its turns in `load` and is woken by `waker`.
    pub fn new(load: Arc<Load>, waker: Waker) -> Self {
        Heartbeat { load, waker, awaited: None }
    }

    /// How long the worker has not taken the turn that it was woken for; `None` where it has.
    ///
    /// One look alone proves nothing: where the whole process stood still, or the machine, the worker has had no more time
    /// than who looks. So the first look that misses a turn says `None` too.
    pub fn silence(&mut self, now: Instant) -> Option<Duration> {
        let turns = self.load.turns();
        match &mut self.awaited {
            Some(awaited) if awaited.turns == turns => {
                awaited.looks += 1;
                (awaited.looks > 1).then(|| now.since(awaited.since))
            }
            awaited => {
                *awaited = Some(Awaited { since: now, turns, looks: 0 });
                self.waker.wake();
                None
            }
        }
    }

    /// Whether the last look found the turn that it expected, or was the first.
    pub fn is_steady(&self) -> bool {
        self.awaited.is_none_or(|awaited| awaited.looks == 0)
    }

    /// Counts in the worker's load that it was found standing still.
    pub fn note_stall(&self) {
        self.load.note_stall();
    }
}
