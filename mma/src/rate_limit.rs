//! A token bucket for answers to messages that nobody has authenticated.

use stack::time::Instant;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Lets `rate` answers pass in a second, and as many at once.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    rate: u32,
    /// Answers that may pass, in billionths.
    tokens: u64,
    filled_at: Instant,
}

impl RateLimit {
    pub(crate) fn new(rate: u32) -> Self {
        RateLimit { rate, tokens: u64::from(rate) * NANOS_PER_SEC, filled_at: Instant::ORIGIN }
    }

    /// Whether an answer may pass now.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        let nanos = u64::try_from(now.since(self.filled_at).as_nanos()).unwrap_or(u64::MAX);
        let full = u64::from(self.rate) * NANOS_PER_SEC;
        self.tokens = self.tokens.saturating_add(nanos.saturating_mul(u64::from(self.rate))).min(full);
        self.filled_at = self.filled_at.max(now);
        match self.tokens.checked_sub(NANOS_PER_SEC) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_at_once_and_then_the_rate() {
        let mut limit = RateLimit::new(10);
        let passed =
            |limit: &mut RateLimit, millis| (0..100).filter(|_| limit.admit(Instant::from_millis(millis))).count();
        assert_eq!(passed(&mut limit, 0), 10);
        assert_eq!(passed(&mut limit, 99), 0);
        assert_eq!(passed(&mut limit, 100), 1);
        assert_eq!(passed(&mut limit, 600), 5);
        assert_eq!(passed(&mut limit, 60_000), 10);
        assert_eq!(passed(&mut RateLimit::new(0), 1_000_000), 0);
    }
}
