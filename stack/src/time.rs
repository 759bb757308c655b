//! Time as the machines see it: an [`Instant`] handed in from outside, and [`Timers`], the deadlines a machine keeps.
//!
//! Nothing here reads a clock. The runtime and the simulator each have one; everything else is told what time it is,
//! which is why the same machines run in both.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use std::collections::{BTreeMap, BTreeSet};

pub use core::time::Duration;

/// A point in time, in nanoseconds since an origin that the clock's owner chose. Monotonic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ORIGIN: Instant = Instant(0);
    /// Later than any time that is ever reached.
    pub const FAR_FUTURE: Instant = Instant(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros * 1_000)
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis * 1_000_000)
    }

    /// The instant `secs` seconds after the origin.
    pub const fn from_secs(secs: u64) -> Self {
        Instant(secs * 1_000_000_000)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole milliseconds since the origin.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time since `earlier`; zero where `earlier` is in fact later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// Saturates at [`Instant::FAR_FUTURE`].
    fn add(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, rhs: Instant) -> Duration {
        self.since(rhs)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// The deadlines of one machine, at most one for each key.
///
/// Setting, cancelling and expiring cost O(log n). Timers due at the same instant come out in the order of their keys,
/// so that a run with the same inputs is the same run.
#[derive(Debug, Clone)]
pub struct Timers<K: Ord + Copy> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Timers { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// No timer is running.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the timer `key`, or restarts it where it runs.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(previous) = self.by_key.insert(key, at) {
            self.by_time.remove(&(previous, key));
        }
        self.by_time.insert((at, key));
    }

    /// Lets `key` expire no later than `at`: starts it where it does not run, shortens it where it runs longer.
    pub fn set_no_later(&mut self, key: K, at: Instant) {
        if self.deadline(key).is_none_or(|current| current > at) {
            self.set(key, at);
        }
    }

    /// Stops `key`; returns whether it was running.
    pub fn cancel(&mut self, key: K) -> bool {
        match self.by_key.remove(&key) {
            Some(at) => self.by_time.remove(&(at, key)),
            None => false,
        }
    }

    /// When `key` expires, where it runs.
    pub fn deadline(&self, key: K) -> Option<Instant> {
        self.by_key.get(&key).copied()
    }

    /// Whether `key` runs.
    pub fn is_running(&self, key: K) -> bool {
        self.by_key.contains_key(&key)
    }

    /// When the first timer expires.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// The first timer to expire, and when.
    pub fn first(&self) -> Option<(Instant, K)> {
        self.by_time.first().copied()
    }

    /// Takes the next timer that is due at `now`; call until it returns `None`.
    pub fn pop_expired(&mut self, now: Instant) -> Option<K> {
        let &(at, key) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    /// The timers that run, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, Instant)> + '_ {
        self.by_key.iter().map(|(&key, &at)| (key, at))
    }

    /// How many timers run.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no timer runs.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_in_order_of_time_then_key() {
        let mut timers = Timers::new();
        timers.set('b', Instant::from_millis(5));
        timers.set('a', Instant::from_millis(5));
        timers.set('c', Instant::from_millis(1));
        assert_eq!(timers.next_deadline(), Some(Instant::from_millis(1)));
        assert_eq!(timers.first(), Some((Instant::from_millis(1), 'c')));
        let now = Instant::from_millis(5);
        let order: Vec<char> = core::iter::from_fn(|| timers.pop_expired(now)).collect();
        assert_eq!(order, ['c', 'a', 'b']);
        assert!(timers.is_empty());
    }

    #[test]
    fn restarting_a_timer_leaves_one() {
        let mut timers = Timers::new();
        timers.set(1, Instant::from_secs(1));
        timers.set(1, Instant::from_secs(2));
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.pop_expired(Instant::from_millis(1500)), None);
        timers.set_no_later(1, Instant::from_secs(3));
        assert_eq!(timers.deadline(1), Some(Instant::from_secs(2)));
        assert_eq!(timers.iter().collect::<Vec<_>>(), [(1, Instant::from_secs(2))]);
        assert!(timers.cancel(1));
        assert!(!timers.cancel(1));
    }
}
