//! How much signalling strangers may cause: so much in all, and so much from any one prefix.
//!
//! The prefixes share a fixed number of buckets, chosen by a hash that nobody outside knows: memory does not grow with
//! the sources, and who floods takes tokens from few others.

use core::net::Ipv6Addr;
use mma::secret::SecretRng;
use stack::rate::TokenBucket;
use stack::time::Instant;

/// Buckets of prefixes.
const BUCKETS: usize = 1024;

/// Messages a second in the long run, and at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// A second.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

impl Rate {
    fn bucket(self) -> TokenBucket {
        TokenBucket::per_second(self.per_second, self.burst)
    }
}

/// The limits of one kind of message.
#[derive(Debug)]
pub(super) struct SourceLimit {
    all: TokenBucket,
    prefixes: Vec<TokenBucket>,
    key: [u64; 2],
}

impl SourceLimit {
    pub(super) fn new(all: Rate, prefix: Rate, secrets: &mut SecretRng) -> Self {
        SourceLimit {
            all: all.bucket(),
            prefixes: vec![prefix.bucket(); BUCKETS],
            // Odd, so that the multiplication loses nothing.
            key: [secrets.next_u64(), secrets.next_u64() | 1],
        }
    }

    /// Whether one more message of this source's /64 may be looked at. A prefix that has had its share takes none of
    /// what is there for all.
    pub(super) fn take(&mut self, now: Instant, source: Ipv6Addr) -> bool {
        let prefix = (source.to_bits() >> 64) as u64;
        let mixed = u128::from(prefix ^ self.key[0]).wrapping_mul(u128::from(self.key[1]));
        let index = ((mixed >> 64) as u64 ^ mixed as u64) as usize % BUCKETS;
        self.prefixes[index].take(now) && self.all.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_its_share_and_all_have_theirs() {
        let (all, prefix) = (Rate { per_second: 100, burst: 50 }, Rate { per_second: 10, burst: 5 });
        let mut limit = SourceLimit::new(all, prefix, &mut SecretRng::simulated(1));
        let source = |prefix: u16, host: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, prefix, 0, 0, 0, host);
        let now = Instant::from_secs(1);
        // One prefix, however many of its addresses are used.
        assert_eq!((0..1000).filter(|&host| limit.take(now, source(1, host))).count(), 5);
        // The others are not worse off, but for those few that share its bucket.
        let others = (2..9).filter(|&prefix| limit.take(now, source(prefix, 1))).count();
        assert!(others >= 6, "{others} of 7");
        // All of them together.
        let flood = (9..2000).filter(|&prefix| limit.take(now, source(prefix, 1))).count();
        assert_eq!(flood, 50 - 5 - others);
        let later = Instant::from_secs(2);
        assert!(limit.take(later, source(1, 1)));
    }
}
