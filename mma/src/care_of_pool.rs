//! Care-of addresses: who has which, and which are kept back.
//!
//! Correspondents and home agents may send to a care-of address for some time after its binding is gone. Until then it is
//! given to nobody but the terminal that had it.

use crate::config::ConfigError;
use core::net::Ipv6Addr;
use stack::addr::{self, Prefix};
use stack::rng::Rng;
use stack::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// Where care-of addresses come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CareOfMode {
    /// The agent chooses one for each terminal.
    Assigned {
        /// Of this prefix, 64 to 112 bits.
        prefix: Prefix,
    },
    /// The prefix and the interface identifier from which the terminal registers first: it knows its care-of address
    /// before it has asked.
    Stateless {
        /// A /64.
        prefix: Prefix,
    },
    /// All terminals have the same one; their packets are told apart by home address.
    Shared {
        /// An address that is used for nothing else.
        address: Ipv6Addr,
    },
}

impl CareOfMode {
    /// The addresses that the data plane has to take for care-of addresses.
    pub(crate) const fn prefix(&self) -> Prefix {
        match *self {
            CareOfMode::Assigned { prefix } | CareOfMode::Stateless { prefix } => prefix,
            CareOfMode::Shared { address } => Prefix::host(address),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let (prefix, lengths, needed) = match *self {
            CareOfMode::Assigned { prefix } => (prefix, 64..=112, "64 to 112"),
            CareOfMode::Stateless { prefix } => (prefix, 64..=64, "64"),
            CareOfMode::Shared { address } => (Prefix::host(address), 128..=128, "128"),
        };
        if !lengths.contains(&prefix.length()) {
            return Err(ConfigError::CareOfPrefix { length: prefix.length(), needed });
        }
        if addr::is_routable_unicast(prefix.address()) { Ok(()) } else { Err(ConfigError::Address(prefix.address())) }
    }
}

/// Why a terminal gets no care-of address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoCareOf {
    /// The one that it would have is another terminal's, or kept back.
    Taken,
    /// None was found that is free.
    Exhausted,
}

/// How many addresses are tried before the pool counts as exhausted.
const MAX_TRIES: u32 = 256;

/// The addresses that are in use or kept back.
#[derive(Clone, Debug)]
pub(crate) struct CareOfPool {
    mode: CareOfMode,
    /// This node's own, which may be in the same prefix.
    reserved: BTreeSet<Ipv6Addr>,
    in_use: BTreeSet<Ipv6Addr>,
    kept_back: BTreeMap<Ipv6Addr, KeptBack>,
    /// The address that a home address had last, where it is kept back.
    last_of: BTreeMap<Ipv6Addr, Ipv6Addr>,
    /// All that are kept back, in the order in which they were released, which is that of the ends of their quarantine.
    order: BTreeMap<u64, Ipv6Addr>,
    next_place: u64,
    quarantine: Duration,
    limit: usize,
    rng: Rng,
}

#[derive(Clone, Copy, Debug)]
struct KeptBack {
    until: Instant,
    home_address: Ipv6Addr,
    /// The key in the order.
    place: u64,
}

impl CareOfPool {
    pub(crate) fn new(
        mode: CareOfMode,
        reserved: impl IntoIterator<Item = Ipv6Addr>,
        quarantine: Duration,
        limit: usize,
        rng: Rng,
    ) -> Self {
        CareOfPool {
            mode,
            reserved: reserved.into_iter().collect(),
            in_use: BTreeSet::new(),
            kept_back: BTreeMap::new(),
            last_of: BTreeMap::new(),
            order: BTreeMap::new(),
            next_place: 0,
            quarantine,
            limit,
            rng,
        }
    }

    /// A care-of address for a terminal that has none, registering from `access_address`.
    pub(crate) fn assign(
        &mut self,
        now: Instant,
        home_address: Ipv6Addr,
        access_address: Ipv6Addr,
    ) -> Result<Ipv6Addr, NoCareOf> {
        self.end_quarantines(now);
        let care_of = match self.mode {
            CareOfMode::Shared { address } => return Ok(address),
            CareOfMode::Stateless { prefix } => {
                let identifier = addr::interface_identifier(access_address);
                let care_of = addr::with_interface_identifier(prefix.address(), identifier);
                if !self.is_free(care_of) && !self.is_kept_for(care_of, home_address) {
                    return Err(NoCareOf::Taken);
                }
                care_of
            }
            CareOfMode::Assigned { prefix } => match self.last_of.get(&home_address) {
                Some(&care_of) => care_of,
                None => self.choose(prefix).ok_or(NoCareOf::Exhausted)?,
            },
        };
        self.take_up(care_of);
        Ok(care_of)
    }

    /// Takes an address that its terminal has made itself: the regional one of an anchor point.
    pub(crate) fn claim(&mut self, now: Instant, address: Ipv6Addr) -> Result<(), NoCareOf> {
        self.end_quarantines(now);
        if !self.is_free(address) && !self.is_kept_for(address, address) {
            return Err(NoCareOf::Taken);
        }
        self.take_up(address);
        Ok(())
    }

    /// The address is in use from now on, kept back or not before.
    fn take_up(&mut self, care_of: Ipv6Addr) {
        if let Some(KeptBack { place, home_address, .. }) = self.kept_back.remove(&care_of) {
            self.order.remove(&place);
            self.forget_last(home_address, care_of);
        }
        self.in_use.insert(care_of);
    }

    /// The terminal no longer has this address. Returns how many others are free before their time for it.
    pub(crate) fn release(&mut self, now: Instant, home_address: Ipv6Addr, care_of: Ipv6Addr) -> u64 {
        self.end_quarantines(now);
        if !self.in_use.remove(&care_of) {
            return 0;
        }
        let (until, place) = (now + self.quarantine, self.next_place);
        self.next_place += 1;
        self.kept_back.insert(care_of, KeptBack { until, home_address, place });
        self.last_of.insert(home_address, care_of);
        self.order.insert(place, care_of);
        let mut cut_short = 0;
        while self.kept_back.len() > self.limit && self.end_first_quarantine() {
            cut_short += 1;
        }
        cut_short
    }

    /// How many addresses are kept back.
    pub(crate) fn kept_back(&self) -> usize {
        self.kept_back.len()
    }

    fn end_quarantines(&mut self, now: Instant) {
        let is_over = |kept_back: &KeptBack| kept_back.until <= now;
        while let Some((_, care_of)) = self.order.first_key_value()
            && self.kept_back.get(care_of).is_none_or(is_over)
        {
            self.end_first_quarantine();
        }
    }

    fn end_first_quarantine(&mut self) -> bool {
        let Some((_, care_of)) = self.order.pop_first() else { return false };
        if let Some(kept_back) = self.kept_back.remove(&care_of) {
            self.forget_last(kept_back.home_address, care_of);
        }
        true
    }

    fn forget_last(&mut self, home_address: Ipv6Addr, care_of: Ipv6Addr) {
        if self.last_of.get(&home_address) == Some(&care_of) {
            self.last_of.remove(&home_address);
        }
    }

    fn choose(&mut self, prefix: Prefix) -> Option<Ipv6Addr> {
        let host_mask = u128::MAX >> prefix.length();
        for _ in 0..MAX_TRIES {
            let random = u128::from(self.rng.next_u64());
            let care_of = Ipv6Addr::from_bits(prefix.address().to_bits() | random & host_mask);
            if self.is_free(care_of) {
                return Some(care_of);
            }
        }
        None
    }

    fn is_free(&self, care_of: Ipv6Addr) -> bool {
        !self.in_use.contains(&care_of)
            && !self.kept_back.contains_key(&care_of)
            && !self.reserved.contains(&care_of)
            && !is_anycast(care_of)
    }

    fn is_kept_for(&self, care_of: Ipv6Addr, home_address: Ipv6Addr) -> bool {
        self.kept_back.get(&care_of).is_some_and(|kept_back| kept_back.home_address == home_address)
    }
}

/// Interface identifiers that are no one node's (RFC 4291 §2.6.1, RFC 2526 §2).
fn is_anycast(address: Ipv6Addr) -> bool {
    let identifier = addr::interface_identifier(address);
    identifier == 0 || identifier | 0x7f == 0xfdff_ffff_ffff_ffff || identifier >= 0xffff_ffff_ffff_ff80
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARANTINE: Duration = Duration::from_secs(420);

    fn home(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n)
    }

    fn access(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0xa, 0, 0, 0, n)
    }

    fn pool(mode: CareOfMode, limit: usize) -> CareOfPool {
        CareOfPool::new(mode, [], QUARANTINE, limit, Rng::new(1))
    }

    #[test]
    fn an_address_goes_back_to_the_terminal_that_had_it_and_to_nobody_else() {
        let prefix: Prefix = "2001:db8:f:c0a::/112".parse().unwrap();
        let mut pool = pool(CareOfMode::Assigned { prefix }, 10);
        let now = Instant::from_secs(1);
        let care_of = pool.assign(now, home(1), access(1)).unwrap();
        assert!(prefix.contains(care_of));
        assert_eq!(pool.release(now, home(1), care_of), 0);
        for n in 2..1000 {
            assert_ne!(pool.assign(now, home(n), access(n)), Ok(care_of));
        }
        assert_eq!(pool.assign(now, home(1), access(1)), Ok(care_of));
        pool.release(now, home(1), care_of);
        assert_eq!(pool.kept_back(), 1);
        let after = now + QUARANTINE;
        let _ = pool.assign(after, home(1000), access(1));
        assert_eq!(pool.kept_back(), 0);
    }

    #[test]
    fn stateless_is_prefix_and_identifier() {
        let prefix: Prefix = "2001:db8:f:c0a::/64".parse().unwrap();
        let mut pool = pool(CareOfMode::Stateless { prefix }, 10);
        let now = Instant::from_secs(1);
        let care_of: Ipv6Addr = "2001:db8:f:c0a::7".parse().unwrap();
        assert_eq!(pool.assign(now, home(1), access(7)), Ok(care_of));
        assert_eq!(pool.assign(now, home(2), access(7)), Err(NoCareOf::Taken));
        pool.release(now, home(1), care_of);
        assert_eq!(pool.assign(now, home(2), access(7)), Err(NoCareOf::Taken));
        assert_eq!(pool.assign(now, home(1), access(7)), Ok(care_of));
        pool.release(now, home(1), care_of);
        assert_eq!(pool.assign(now + QUARANTINE, home(2), access(7)), Ok(care_of));
    }

    #[test]
    fn shared_is_the_one_address() {
        let address = home(99);
        let mut pool = pool(CareOfMode::Shared { address }, 10);
        for n in 1..4 {
            assert_eq!(pool.assign(Instant::ORIGIN, home(n), access(n)), Ok(address));
        }
        assert_eq!(pool.release(Instant::ORIGIN, home(1), address), 0);
        assert_eq!(pool.kept_back(), 0);
    }

    #[test]
    fn quarantine_has_a_limit() {
        let prefix: Prefix = "2001:db8:f:c0a::/64".parse().unwrap();
        let mut pool = pool(CareOfMode::Assigned { prefix }, 2);
        let now = Instant::from_secs(1);
        let given: Vec<_> = (1..=3).map(|n| pool.assign(now, home(n), access(n)).unwrap()).collect();
        let cut: Vec<_> = (1..=3).map(|n| pool.release(now, home(n), given[usize::from(n) - 1])).collect();
        assert_eq!(cut, [0, 0, 1]);
        assert_eq!(pool.kept_back(), 2);
        // The second and third are still theirs.
        assert_eq!(pool.assign(now, home(3), access(3)), Ok(given[2]));
        assert_eq!(pool.assign(now, home(2), access(2)), Ok(given[1]));
    }

    #[test]
    fn who_comes_and_goes_leaves_one_entry() {
        let prefix: Prefix = "2001:db8:f:c0a::/64".parse().unwrap();
        let mut pool = pool(CareOfMode::Assigned { prefix }, 2);
        let mut now = Instant::from_secs(1);
        let care_of = pool.assign(now, home(1), access(1)).unwrap();
        let anchor: Ipv6Addr = "2001:db8:f:c0a::7".parse().unwrap();
        for _ in 0..1000 {
            pool.claim(now, anchor).unwrap();
            for (home_address, address) in [(home(1), care_of), (anchor, anchor)] {
                assert_eq!(pool.release(now, home_address, address), 0);
            }
            assert_eq!((pool.order.len(), pool.kept_back(), pool.last_of.len()), (2, 2, 2));
            now += Duration::from_millis(100);
            assert_eq!(pool.assign(now, home(1), access(1)), Ok(care_of));
        }
        // It is kept back from the last release on.
        pool.release(now, home(1), care_of);
        now += QUARANTINE - Duration::from_millis(1);
        assert_eq!(pool.claim(now, home(9)), Ok(()));
        assert_eq!(pool.kept_back(), 1);
        now += Duration::from_millis(1);
        assert_eq!(pool.claim(now, home(8)), Ok(()));
        assert_eq!((pool.order.len(), pool.kept_back()), (0, 0));
    }

    #[test]
    fn a_full_prefix_is_exhausted() {
        let prefix: Prefix = "2001:db8:f:c0a::/112".parse().unwrap();
        let mut pool = pool(CareOfMode::Assigned { prefix }, 10);
        pool.in_use = (0..=0xffffu128).map(|n| Ipv6Addr::from_bits(prefix.address().to_bits() | n)).collect();
        assert_eq!(pool.assign(Instant::ORIGIN, home(1), access(1)), Err(NoCareOf::Exhausted));
    }

    #[test]
    fn anycast_identifiers_are_nobody_s() {
        for (text, expected) in [
            ("2001:db8::", true),
            ("2001:db8::1", false),
            ("2001:db8::fdff:ffff:ffff:ff80", true),
            ("2001:db8::fdff:ffff:ffff:ffff", true),
            ("2001:db8::fdff:ffff:ffff:ff7f", false),
        ] {
            assert_eq!(is_anycast(text.parse().unwrap()), expected, "{text}");
        }
    }
}
