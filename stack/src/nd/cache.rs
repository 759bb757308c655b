//! The neighbour cache of one port (RFC 4861 §5.1), bounded: entries that nobody uses make room for new ones.

use super::nud::State;
use crate::addr::MacAddress;
use crate::time::Instant;
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet};

/// A neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its reachability.
    pub state: State,
    /// Its link-layer address; `None` while INCOMPLETE.
    pub link_address: Option<MacAddress>,
    /// Whether it said that it is a router.
    pub is_router: bool,
    /// Solicitations sent in this state, where it is INCOMPLETE or PROBE.
    pub solicitations: u32,
    /// Whether a solicitation could not be sent because the port had no address to send it from.
    pub unsent: bool,
    /// When it came to this state.
    pub since: Instant,
}

/// Why a neighbour is not taken into the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// The neighbours of one port.
#[derive(Clone, Debug)]
pub(super) struct NeighborCache {
    entries: BTreeMap<Ipv6Addr, Entry>,
    /// STALE and INCOMPLETE entries, the oldest first.
    by_age: [BTreeSet<(Instant, Ipv6Addr)>; 2],
    max_entries: usize,
    max_incomplete: usize,
}

impl NeighborCache {
    pub(super) fn new(max_entries: usize, max_incomplete: usize) -> Self {
        NeighborCache { entries: BTreeMap::new(), by_age: Default::default(), max_entries, max_incomplete }
    }

    pub(super) fn get(&self, address: Ipv6Addr) -> Option<&Entry> {
        self.entries.get(&address)
    }

    /// The entry, to change what `state` and `since` do not say.
    pub(super) fn get_mut(&mut self, address: Ipv6Addr) -> Option<&mut Entry> {
        self.entries.get_mut(&address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, &Entry)> {
        self.entries.iter().map(|(&address, entry)| (address, entry))
    }

    /// Whom a new entry in `state` pushes out: nobody, or the oldest INCOMPLETE entry where there are too many of them, or
    /// the oldest STALE one where there are too many of all. Entries in use stay.
    pub(super) fn to_evict(&self, state: State) -> Result<Option<Ipv6Addr>, Full> {
        let oldest = |ages: &BTreeSet<(Instant, Ipv6Addr)>| ages.first().map(|&(_, address)| address);
        if state == State::Incomplete && self.by_age[1].len() >= self.max_incomplete {
            return oldest(&self.by_age[1]).map(Some).ok_or(Full);
        }
        if self.entries.len() >= self.max_entries {
            return oldest(&self.by_age[0]).map(Some).ok_or(Full);
        }
        Ok(None)
    }

    /// Adds an entry; the caller has made room.
    pub(super) fn insert(&mut self, now: Instant, address: Ipv6Addr, state: State, link_address: Option<MacAddress>) {
        self.remove(address);
        let entry = Entry { state, link_address, is_router: false, solicitations: 0, unsent: false, since: now };
        self.entries.insert(address, entry);
        if let Some(ages) = self.ages(state) {
            ages.insert((now, address));
        }
    }

    /// Gives an entry a new state.
    pub(super) fn set_state(&mut self, now: Instant, address: Ipv6Addr, state: State) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let (old, since) = (entry.state, entry.since);
        entry.state = state;
        entry.since = now;
        entry.solicitations = 0;
        if let Some(ages) = self.ages(old) {
            ages.remove(&(since, address));
        }
        if let Some(ages) = self.ages(state) {
            ages.insert((now, address));
        }
    }

    pub(super) fn remove(&mut self, address: Ipv6Addr) -> Option<Entry> {
        let entry = self.entries.remove(&address)?;
        if let Some(ages) = self.ages(entry.state) {
            ages.remove(&(entry.since, address));
        }
        Some(entry)
    }

    fn ages(&mut self, state: State) -> Option<&mut BTreeSet<(Instant, Ipv6Addr)>> {
        match state {
            State::Stale => Some(&mut self.by_age[0]),
            State::Incomplete => Some(&mut self.by_age[1]),
            State::Reachable | State::Delay | State::Probe => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> (Instant, Ipv6Addr) {
        (Instant::from_secs(n), Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(n)))
    }

    #[test]
    fn room_is_made_by_age_and_use() {
        let mut cache = NeighborCache::new(3, 2);
        for (n, state) in [(1, State::Stale), (2, State::Stale), (3, State::Reachable)] {
            assert_eq!(cache.to_evict(state), Ok(None));
            cache.insert(at(n).0, at(n).1, state, Some(MacAddress([2, 0, 0, 0, 0, n as u8])));
        }
        assert_eq!(cache.to_evict(State::Stale), Ok(Some(at(1).1)));
        cache.set_state(at(4).0, at(1).1, State::Delay);
        assert_eq!(cache.to_evict(State::Incomplete), Ok(Some(at(2).1)));
        cache.remove(at(2).1);
        cache.insert(at(5).0, at(5).1, State::Incomplete, None);
        assert_eq!(cache.to_evict(State::Stale), Err(Full));
        cache.remove(at(3).1);
        cache.insert(at(6).0, at(6).1, State::Incomplete, None);
        assert_eq!(cache.to_evict(State::Incomplete), Ok(Some(at(5).1)));
        assert_eq!(cache.iter().count(), 3);
    }
}
