//! Node keys and nonces (RFC 6275 §5.2.1, §5.2.2, §5.2.7): all that a correspondent knows of terminals whose addresses it
//! tests, the same for all of them.
//!
//! A nonce and a key of its own are made when a test message needs one and the present pair has served long enough, so
//! that a node which nobody asks makes none. The index names both.

use mma::return_routability::NodeKey;
use mma::secret::SecretRng;
use stack::time::{Duration, Instant};
use std::collections::VecDeque;

/// MAX_NONCE_LIFETIME (RFC 6275 §12): a nonce is not accepted later than this after its first use.
pub const MAX_NONCE_LIFETIME: Duration = Duration::from_secs(240);
/// MAX_TOKEN_LIFETIME (RFC 6275 §12): a token is accepted at least so long.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(210);
/// How long a nonce is given out: the difference of the two.
const NONCE_INTERVAL: Duration = Duration::from_secs(30);
/// The same, after one that was given out was spent (RFC 6275 §9.5.3).
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// Octets of a nonce (RFC 6275 §5.2.2).
const NONCE_LEN: usize = 8;

/// A nonce and the node key that belongs to it.
pub(super) struct Nonce {
    /// What terminals name it by.
    pub(super) index: u16,
    /// Kcn.
    pub(super) key: NodeKey,
    /// The nonce.
    pub(super) value: [u8; NONCE_LEN],
    /// When it was first used.
    first_used: Instant,
}

impl Nonce {
    /// When it is no longer accepted.
    pub(super) fn expires_at(&self) -> Instant {
        self.first_used + MAX_NONCE_LIFETIME
    }
}

/// The present nonce and those before it that are still accepted; never more than [`MAX_NONCE_LIFETIME`] holds of
/// [`RENEWAL_INTERVAL`].
pub(super) struct Nonces {
    secrets: SecretRng,
    /// Oldest first.
    accepted: VecDeque<Nonce>,
    next_index: u16,
    /// Whether the present one is to be replaced early.
    spent: bool,
}

impl Nonces {
    pub(super) fn new(mut secrets: SecretRng) -> Self {
        // Where an index starts tells nothing of how long the node has run.
        let next_index = secrets.next_u16();
        Nonces { secrets, accepted: VecDeque::new(), next_index, spent: false }
    }

    /// The nonce of new tokens.
    pub(super) fn present(&mut self, now: Instant) -> &Nonce {
        self.forget_expired(now);
        let interval = if self.spent { RENEWAL_INTERVAL } else { NONCE_INTERVAL };
        if self.accepted.back().is_none_or(|present| now.since(present.first_used) >= interval) {
            self.spent = false;
            self.accepted.push_back(Nonce {
                index: self.next_index,
                key: NodeKey::generate(&mut self.secrets),
                value: self.secrets.octets(),
                first_used: now,
            });
            self.next_index = self.next_index.wrapping_add(1);
        }
        self.accepted.back().expect("one was made where there was none")
    }

    /// The nonce of this index, where it is accepted.
    pub(super) fn find(&self, now: Instant, index: u16) -> Option<&Nonce> {
        self.accepted.iter().find(|nonce| nonce.index == index && now < nonce.expires_at())
    }

    /// A terminal may not use this nonce any more: where it is the present one, the terminal's next test shall not have
    /// to wait for the next.
    pub(super) fn spend(&mut self, index: u16) {
        self.spent |= self.accepted.back().is_some_and(|present| present.index == index);
    }

    /// How many are accepted.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accepted.len()
    }

    fn forget_expired(&mut self, now: Instant) {
        while self.accepted.front().is_some_and(|oldest| now >= oldest.expires_at()) {
            self.accepted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces() -> Nonces {
        Nonces::new(SecretRng::simulated(1))
    }

    /// RFC 6275 §5.2.7: a token is accepted for MAX_TOKEN_LIFETIME after it was given out, whenever that was, and no
    /// nonce for longer than MAX_NONCE_LIFETIME.
    #[test]
    fn a_token_is_accepted_for_its_lifetime_and_a_nonce_for_no_more_than_its_own() {
        let mut nonces = nonces();
        let start = Instant::from_secs(1000);
        let mut given = Vec::new();
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            given.push((now, nonces.present(now).index));
            assert!(nonces.len() <= 8, "{} nonces", nonces.len());
            for &(at, index) in &given {
                let accepted = nonces.find(now, index).is_some();
                let first = given.iter().find(|&&(_, other)| other == index).unwrap().0;
                assert_eq!(accepted, now.since(first) < MAX_NONCE_LIFETIME);
                assert!(accepted || now.since(at) >= MAX_TOKEN_LIFETIME);
            }
        }
    }

    #[test]
    fn each_nonce_has_an_index_a_value_and_a_key_of_its_own() {
        let mut nonces = nonces();
        let home = core::net::Ipv6Addr::LOCALHOST;
        let mut seen = std::collections::BTreeSet::new();
        for turn in 0..20 {
            let nonce = nonces.present(Instant::from_secs(30 * turn));
            let token = nonce.key.home_token(home, &[0; 8]);
            assert!(seen.insert((nonce.index, nonce.value, token.0)));
        }
        let values: std::collections::BTreeSet<_> = seen.iter().map(|&(_, value, _)| value).collect();
        let keys: std::collections::BTreeSet<_> = seen.iter().map(|&(.., key)| key).collect();
        assert_eq!((values.len(), keys.len()), (20, 20));
    }

    #[test]
    fn the_index_wraps() {
        let mut nonces = nonces();
        nonces.next_index = u16::MAX;
        assert_eq!(nonces.present(Instant::from_secs(0)).index, u16::MAX);
        assert_eq!(nonces.present(Instant::from_secs(30)).index, 0);
        assert!(nonces.find(Instant::from_secs(30), u16::MAX).is_some());
    }

    #[test]
    fn a_spent_nonce_is_followed_by_another_within_a_second_and_no_faster() {
        let mut nonces = nonces();
        let first = nonces.present(Instant::from_secs(0)).index;
        nonces.spend(first);
        assert_eq!(nonces.present(Instant::from_millis(900)).index, first);
        let second = nonces.present(Instant::from_secs(1)).index;
        assert_ne!(second, first);
        nonces.spend(first);
        assert_eq!(nonces.present(Instant::from_secs(3)).index, second, "an old one is no reason");
        for second in 3..600 {
            let now = Instant::from_secs(second);
            let index = nonces.present(now).index;
            nonces.spend(index);
            assert!(nonces.len() <= 240, "{} nonces", nonces.len());
        }
    }
}
