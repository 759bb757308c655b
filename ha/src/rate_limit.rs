//! A token bucket for answers that anybody can provoke (RFC 6275 §9.3.3, RFC 4443 §2.4 f).

use stack::time::{Duration, Instant};

/// Lets `burst` answers go at once and one more after every `interval`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    burst: u32,
    interval: Duration,
    tokens: u32,
    refilled: Instant,
}

impl RateLimit {
    /// A full bucket.
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        RateLimit { burst, interval, tokens: burst, refilled: Instant::ORIGIN }
    }

    /// Whether one more may go now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let intervals = (now - self.refilled).as_nanos() / self.interval.as_nanos().max(1);
        let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
        if intervals >= self.burst - self.tokens {
            self.tokens = self.burst;
            self.refilled = now;
        } else {
            self.tokens += intervals;
            self.refilled += self.interval * intervals;
        }
        let free = self.tokens > 0;
        self.tokens -= u32::from(free);
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_an_interval() {
        let mut limit = RateLimit::new(3, Duration::from_millis(100));
        let taken = |limit: &mut RateLimit, millis| limit.take(Instant::from_millis(millis));
        assert!((0..3).all(|_| taken(&mut limit, 0)));
        assert!(!taken(&mut limit, 99));
        assert!(taken(&mut limit, 150) && !taken(&mut limit, 150));
        assert!(taken(&mut limit, 200) && !taken(&mut limit, 200));
        assert_eq!((0..5).filter(|_| taken(&mut limit, 100_000)).count(), 3);
    }
}
