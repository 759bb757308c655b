//! The token bucket behind everything that anybody can provoke: ICMPv6 errors (RFC 4443 §2.4 (f)), Binding Errors
//! (RFC 6275 §9.3.3), refusals, notices, repeated updates.

use crate::time::{Duration, Instant};

/// Lets a burst pass at once and then one after every interval.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    /// What one token takes to come, in nanoseconds; `None`: none ever comes.
    token_nanos: Option<u64>,
    burst_nanos: u64,
    /// How full it is, in the nanoseconds that it took to fill.
    level_nanos: u64,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens, refilled at `rate` tokens a second. At a rate of zero nothing ever passes.
    pub fn per_second(rate: u32, burst: u32) -> Self {
        match 1_000_000_000u64.checked_div(u64::from(rate)) {
            Some(nanos) => Self::new(Some(nanos), burst),
            None => Self::new(None, 0),
        }
    }

    /// A full bucket of `burst` tokens, to which one comes after every `interval`.
    pub fn every(interval: Duration, burst: u32) -> Self {
        Self::new(Some(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX)), burst)
    }

    fn new(token_nanos: Option<u64>, burst: u32) -> Self {
        let burst_nanos = token_nanos.unwrap_or(0).saturating_mul(u64::from(burst));
        TokenBucket { token_nanos, burst_nanos, level_nanos: burst_nanos, at: Instant::ORIGIN }
    }

    /// Takes a token; whether there was one.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = u64::try_from(now.since(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        self.level_nanos = self.level_nanos.saturating_add(passed).min(self.burst_nanos);
        match self.token_nanos.and_then(|token| self.level_nanos.checked_sub(token)) {
            Some(rest) => {
                self.level_nanos = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bucket: &mut TokenBucket, millis: u64) -> usize {
        (0..100).filter(|_| bucket.take(Instant::from_millis(millis))).count()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = TokenBucket::per_second(10, 3);
        assert_eq!(passed(&mut bucket, 5000), 3);
        assert_eq!(passed(&mut bucket, 5099), 0);
        assert_eq!(passed(&mut bucket, 5100), 1);
        assert_eq!(passed(&mut bucket, 5300), 2);
        assert_eq!(passed(&mut bucket, 60_000), 3);
        // Time that goes back gives nothing.
        assert_eq!(passed(&mut bucket, 1000), 0);
    }

    #[test]
    fn one_an_interval() {
        let mut bucket = TokenBucket::every(Duration::from_millis(100), 2);
        assert_eq!(passed(&mut bucket, 0), 2);
        assert_eq!(passed(&mut bucket, 150), 1);
        assert_eq!(passed(&mut bucket, 200), 1);
        assert_eq!(passed(&mut bucket, 100_000), 2);
    }

    #[test]
    fn nothing_passes_at_a_rate_of_zero() {
        assert_eq!(passed(&mut TokenBucket::per_second(0, 5), 1_000_000), 0);
    }
}
