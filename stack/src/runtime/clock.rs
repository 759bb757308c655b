use crate::port::wait::monotonic;
use crate::time::{Duration, Instant};
use std::time::{SystemTime, UNIX_EPOCH};

/// The clock of the workers: nanoseconds of CLOCK_MONOTONIC, so that what several processes of a machine note can be
/// put in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The time now.
    #[inline]
    pub fn now(self) -> Instant {
        monotonic()
    }

    /// The time of day, since the Unix epoch, at [`Instant::ORIGIN`], as it follows from the time of day now: for
    /// captures.
    pub fn origin(self) -> Duration {
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        today.saturating_sub(self.now().since(Instant::ORIGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_the_origin_is_past() {
        let first = Clock.now();
        assert!(Clock.now() >= first && first > Instant::ORIGIN);
        assert!(Clock.origin() > Duration::from_secs(1_600_000_000));
    }
}
