//! How much of a worker's time goes to signalling.
//!
//! Machines take thousands of times as long for a message as the data plane for a packet, and anybody on a link can send
//! messages. So while there is more to forward than a turn takes, signalling has a tenth of the time; what it used beyond
//! that it is short of later. While there is not, it has as much as there is, half a millisecond a turn: by then the rings
//! of the ports have filled no further than the next turns empty them.

use crate::time::{Duration, Instant};

/// Signalling has one part while forwarding has so many.
const PARTS: i64 = 9;
/// What signalling has of a turn that does not forward as much as it can, in nanoseconds.
const QUIET_NANOS: i64 = 500_000;
/// What it can have saved for when forwarding takes all the time, in nanoseconds.
const MAX_SAVED_NANOS: i64 = 100_000;

/// The time that signalling has left.
#[derive(Debug)]
pub(super) struct Share {
    /// Without a clock nothing takes time, and signalling is never short of it.
    clock: Option<fn() -> Instant>,
    left_nanos: i64,
    /// Until when the time is accounted for.
    last: Instant,
}

impl Share {
    pub(super) fn new(clock: Option<fn() -> Instant>) -> Self {
        Share { clock, left_nanos: QUIET_NANOS, last: Instant::ORIGIN }
    }

    /// A turn that began at `began` has got as far as signalling. `is_pressed`: there was as much to forward as a turn takes.
    pub(super) fn begin(&mut self, began: Instant, is_pressed: bool) {
        let Some(clock) = self.clock else { return };
        self.last = clock();
        let earned = nanos(self.last.since(began)) / PARTS;
        self.left_nanos = match is_pressed {
            true => self.left_nanos.saturating_add(earned).min(MAX_SAVED_NANOS),
            false => QUIET_NANOS,
        };
    }

    /// Whether there is time for a message, which then begins. What it took is known when this is asked again.
    pub(super) fn has_time(&mut self) -> bool {
        let Some(clock) = self.clock else { return true };
        let now = clock();
        self.left_nanos = self.left_nanos.saturating_sub(nanos(now.since(self.last)));
        self.last = now;
        self.left_nanos > 0
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    std::thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn clock() -> Instant {
        Instant::ORIGIN + Duration::from_micros(NOW.get())
    }

    fn pass(micros: u64) {
        NOW.set(NOW.get() + micros);
    }

    /// Messages of `each` microseconds that have time in a turn that forwards for `forwarding` microseconds.
    fn messages(share: &mut Share, forwarding: u64, is_pressed: bool, each: u64) -> u64 {
        let began = clock();
        pass(forwarding);
        share.begin(began, is_pressed);
        let mut count = 0;
        while count < 1000 && share.has_time() {
            count += 1;
            pass(each);
        }
        count
    }

    #[test]
    fn a_tenth_of_the_time_where_there_is_more_to_forward() {
        let mut share = Share::new(Some(clock));
        let (began, turns, each) = (clock(), 10_000, 30);
        let count: u64 = (0..turns).map(|_| messages(&mut share, 45, true, each)).sum();
        let all = clock().since(began).as_micros() as u64;
        // What was saved at the start is a hundred microseconds.
        assert!(count * each * 10 <= all + 10 * 130, "{count} messages in {all} us");
        assert!(count * each * 10 >= all - 10 * 130, "{count} messages in {all} us");
    }

    #[test]
    fn a_long_message_is_paid_for_later() {
        let mut share = Share::new(Some(clock));
        assert_eq!(messages(&mut share, 9, true, 1000), 1);
        let waited = (0..).take_while(|_| messages(&mut share, 90, true, 1) == 0).count();
        assert_eq!(waited, 90, "900 us at 10 us a turn");
    }

    #[test]
    fn half_a_millisecond_where_there_is_not() {
        let mut share = Share::new(Some(clock));
        for _ in 0..3 {
            assert_eq!(messages(&mut share, 1, false, 10), 50);
        }
        assert_eq!(messages(&mut share, 1, false, 10_000), 1);
        assert_eq!(messages(&mut share, 1, false, 10_000), 1, "quiet turns owe nothing");
        assert_eq!(messages(&mut share, 0, true, 1), 0);
    }

    #[test]
    fn without_a_clock_there_is_always_time() {
        let mut share = Share::new(None);
        assert_eq!(messages(&mut share, 1, true, 10_000), 1000);
    }
}
