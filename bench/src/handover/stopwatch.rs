//! How long a turn takes: by the clock on the wall, or by the time that the thread had a core.

use clap::ValueEnum;
use serde::Serialize;
use stack::time::Duration;

/// Empty sections that are timed to know what timing costs.
const SAMPLES: usize = 10_001;

/// What a turn is timed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Clock {
    /// The time that this thread had a core: what others run on the machine meanwhile is not in it
    Thread,
    /// The clock on the wall: a turn that is interrupted lasts until it goes on
    Wall,
}

impl Clock {
    /// The time by this clock, to be compared with an earlier one of the same thread.
    pub(crate) fn now(self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    fn nanos(self) -> u64 {
        let which = match self {
            Clock::Thread => libc::CLOCK_THREAD_CPUTIME_ID,
            Clock::Wall => libc::CLOCK_MONOTONIC,
        };
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is ours and outlives the call, which writes it.
        let answer = unsafe { libc::clock_gettime(which, &raw mut time) };
        assert_eq!(answer, 0, "Linux has both clocks");
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

/// Times sections.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch {
    clock: Clock,
    /// What a section with nothing in it takes, the median.
    empty: u64,
}

impl Stopwatch {
    pub(crate) fn new(clock: Clock) -> Self {
        let mut this = Stopwatch { clock, empty: 0 };
        let mut samples: Vec<u64> = (0..SAMPLES).map(|_| this.time(|| ()).as_nanos() as u64).collect();
        samples.sort_unstable();
        this.empty = samples[SAMPLES / 2];
        this
    }

    /// What `section` takes, without what timing takes; a nanosecond at the least.
    #[inline]
    pub(crate) fn time(&self, section: impl FnOnce()) -> Duration {
        let started = self.clock.nanos();
        section();
        let nanos = self.clock.nanos() - started;
        Duration::from_nanos(nanos.saturating_sub(self.empty).max(1))
    }

    /// What sections are timed by.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Nanoseconds that timing takes.
    pub(crate) fn empty_nanos(&self) -> u64 {
        self.empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_thread_that_sleeps_has_no_core() {
        let sleep = || std::thread::sleep(Duration::from_millis(20));
        assert!(Stopwatch::new(Clock::Wall).time(sleep) >= Duration::from_millis(19));
        assert!(Stopwatch::new(Clock::Thread).time(sleep) < Duration::from_millis(19));
    }

    #[test]
    fn a_thread_that_works_has_one() {
        for clock in [Clock::Thread, Clock::Wall] {
            let stopwatch = Stopwatch::new(clock);
            let mut rounds = 0u64;
            let took = stopwatch.time(|| {
                let started = Instant::now();
                while started.elapsed() < Duration::from_millis(20) {
                    rounds += 1;
                }
            });
            assert!(rounds > 0 && took > Duration::ZERO, "{clock:?}: {took:?}");
        }
    }
}
