//! The token bucket that limits errors (RFC 4443 §2.4 (f)).

use crate::time::Instant;

/// Tokens come at a steady rate and are kept up to a burst.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    per_second: u64,
    burst_nanos: u64,
    /// Filled level in nanoseconds of the rate: one token is `1e9 / per_second`.
    level_nanos: u64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let per_second = u64::from(per_second.max(1));
        let burst_nanos = u64::from(burst) * 1_000_000_000 / per_second;
        TokenBucket { per_second, burst_nanos, level_nanos: burst_nanos, at: Instant::ORIGIN }
    }

    /// Takes a token; answers whether there was one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = u64::try_from(now.since(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        self.level_nanos = self.level_nanos.saturating_add(passed).min(self.burst_nanos);
        let token = 1_000_000_000 / self.per_second;
        if self.level_nanos < token {
            return false;
        }
        self.level_nanos -= token;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let mut bucket = TokenBucket::new(10, 3);
        let start = Instant::from_secs(5);
        assert_eq!((0..10).filter(|_| bucket.take(start)).count(), 3);
        assert!(!bucket.take(Instant::from_millis(5099)));
        assert!(bucket.take(Instant::from_millis(5100)));
        assert!(!bucket.take(Instant::from_millis(5101)));
        assert_eq!((0..10).filter(|_| bucket.take(Instant::from_secs(60))).count(), 3);
    }
}
