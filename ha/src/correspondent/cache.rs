//! The binding cache of a correspondent (RFC 6275 §9.1), with what has to be remembered of bindings that ended (§5.2.8,
//! §9.5.3) and which one makes room for another (§9.6).
//!
//! An entry that ends leaves its sequence number behind for as long as any nonce that could have authorised one of its
//! Binding Updates is accepted. Both kinds of entry are counted: there are at most so many bindings, and at most twice
//! as many entries.

use super::nonce::MAX_NONCE_LIFETIME;
use core::net::Ipv6Addr;
use stack::time::{Duration, Instant};
use stack::wire::mobility::option::NonceIndices;
use std::collections::{BTreeMap, BTreeSet};

/// A binding that was not used for so long after the data plane was asked is idle.
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// Bindings that are looked at for one that may go.
const CANDIDATES: usize = 4;
/// Pairs of nonces that one terminal may have spent and that are still accepted.
const MAX_SPENT: usize = 8;

/// A binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The home address.
    pub home_address: Ipv6Addr,
    /// The care-of address.
    pub care_of: Ipv6Addr,
    /// The sequence number of the last Binding Update accepted.
    pub sequence: u16,
    /// The lifetime granted.
    pub lifetime: Duration,
    /// When it ends.
    pub expires_at: Instant,
    /// What has authorised it.
    pub authorisation: Authorisation,
}

/// What has authorised a binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authorisation {
    /// Return routability, by these nonces.
    ReturnRoutability(NonceIndices),
    /// A key that was configured (RFC 4449).
    Preconfigured,
}

/// A pair of nonces that may not be used again with a pair of addresses (RFC 6275 §9.5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spent {
    pub(super) care_of: Ipv6Addr,
    pub(super) nonces: NonceIndices,
    /// When one of the two is no longer accepted anyway.
    pub(super) until: Instant,
}

#[derive(Clone, Debug)]
struct Entry {
    state: State,
    /// That of the last Binding Update accepted.
    sequence: u16,
    /// When it was accepted.
    updated_at: Instant,
    spent: Vec<Spent>,
}

#[derive(Clone, Debug)]
enum State {
    Bound(Binding, Usage),
    /// Only the sequence number, and the nonces that were spent, are remembered.
    Ended,
}

/// What the data plane has said of a binding.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// When it was last asked.
    asked_at: Instant,
    /// Whether it has seen a packet since.
    used: bool,
    /// When the binding was made, refreshed or last known to be used.
    last_used_at: Instant,
}

/// Whether a binding of a home address can be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// It is there, or there is room.
    Free,
    /// In place of this idle one.
    Replacing(Ipv6Addr),
    /// No. Of these bindings one may go the next time, if they turn out to be idle.
    None { ask: Vec<Ipv6Addr> },
}

/// The cache.
#[derive(Clone, Debug)]
pub struct BindingCache {
    entries: BTreeMap<Ipv6Addr, Entry>,
    /// The bindings by the time of their last use, as far as it is known.
    by_use: BTreeSet<(Instant, Ipv6Addr)>,
    limit: usize,
}

impl BindingCache {
    /// An empty cache of at most `limit` bindings.
    pub const fn new(limit: usize) -> Self {
        BindingCache { entries: BTreeMap::new(), by_use: BTreeSet::new(), limit }
    }

    /// The binding of a home address.
    pub fn get(&self, home_address: Ipv6Addr) -> Option<&Binding> {
        match &self.entries.get(&home_address)?.state {
            State::Bound(binding, _) => Some(binding),
            State::Ended => None,
        }
    }

    /// Every binding, in the order of home addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.entries.values().filter_map(|entry| match &entry.state {
            State::Bound(binding, _) => Some(binding),
            State::Ended => None,
        })
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.by_use.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_use.is_empty()
    }

    /// How many entries there are, those of bindings that have ended included: twice the limit at the most.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The sequence number that the next Binding Update has to follow.
    pub(super) fn last_sequence(&self, home_address: Ipv6Addr) -> Option<u16> {
        self.entries.get(&home_address).map(|entry| entry.sequence)
    }

    /// Whether this pair of nonces was spent with these addresses.
    pub(super) fn is_spent(
        &self,
        now: Instant,
        home_address: Ipv6Addr,
        care_of: Ipv6Addr,
        nonces: NonceIndices,
    ) -> bool {
        let entry = self.entries.get(&home_address);
        entry
            .iter()
            .flat_map(|entry| &entry.spent)
            .any(|spent| now < spent.until && spent.care_of == care_of && spent.nonces == nonces)
    }

    /// Whether a binding of this home address can be had.
    pub(super) fn room_for(&self, now: Instant, home_address: Ipv6Addr) -> Room {
        let entry = self.entries.get(&home_address);
        let full = Room::None { ask: Vec::new() };
        match entry {
            Some(Entry { state: State::Bound(..), .. }) => return Room::Free,
            // A terminal that deletes faster than nonces grow old waits for them.
            Some(entry) if entry.spent.iter().filter(|spent| now < spent.until).count() >= MAX_SPENT => return full,
            None if self.entries.len() >= 2 * self.limit => return full,
            _ if self.len() < self.limit => return Room::Free,
            _ => {}
        }
        let mut ask = Vec::new();
        for &(_, candidate) in self.by_use.iter().take(CANDIDATES) {
            let Some(usage) = self.usage(candidate) else { continue };
            if now.since(usage.asked_at) >= IDLE_AFTER {
                if !usage.used {
                    return Room::Replacing(candidate);
                }
                ask.push(candidate);
            }
        }
        Room::None { ask }
    }

    /// Makes a binding or replaces it. Whoever calls this has asked [`BindingCache::room_for`], and asks the data plane
    /// whether it is used.
    pub(super) fn set(&mut self, now: Instant, binding: Binding) {
        let home_address = binding.home_address;
        self.forget_use(home_address);
        self.by_use.insert((now, home_address));
        let usage = Usage { asked_at: now, used: false, last_used_at: now };
        let mut spent = self.entries.remove(&home_address).map(|entry| entry.spent).unwrap_or_default();
        spent.retain(|spent| now < spent.until);
        let state = State::Bound(binding, usage);
        self.entries.insert(home_address, Entry { state, sequence: binding.sequence, updated_at: now, spent });
    }

    /// The terminal has deleted its binding, by an update of this sequence number.
    pub(super) fn note_deletion(&mut self, now: Instant, home_address: Ipv6Addr, sequence: u16, spent: Option<Spent>) {
        if let Some(entry) = self.entries.get_mut(&home_address) {
            (entry.sequence, entry.updated_at) = (sequence, now);
            entry.spent.retain(|spent| now < spent.until);
            entry.spent.extend(spent);
        }
    }

    /// Ends a binding. What it leaves behind is to be forgotten at the time that is returned with it, where it leaves
    /// anything.
    pub(super) fn end(&mut self, now: Instant, home_address: Ipv6Addr) -> Option<(Binding, Option<Instant>)> {
        let binding = *self.get(home_address)?;
        self.forget_use(home_address);
        let entry = self.entries.get_mut(&home_address)?;
        entry.state = State::Ended;
        let forget_at = entry.updated_at + MAX_NONCE_LIFETIME;
        if now >= forget_at {
            self.entries.remove(&home_address);
            return Some((binding, None));
        }
        Some((binding, Some(forget_at)))
    }

    /// Forgets what a binding has left behind.
    pub(super) fn forget(&mut self, home_address: Ipv6Addr) {
        if self.get(home_address).is_none() {
            self.entries.remove(&home_address);
        }
    }

    /// The data plane was asked whether this binding is used.
    pub(super) fn note_asked(&mut self, now: Instant, home_address: Ipv6Addr) {
        if let Some(Entry { state: State::Bound(_, usage), .. }) = self.entries.get_mut(&home_address) {
            (usage.asked_at, usage.used) = (now, false);
        }
    }

    /// It is.
    pub(super) fn note_used(&mut self, now: Instant, home_address: Ipv6Addr) {
        let Some(Entry { state: State::Bound(_, usage), .. }) = self.entries.get_mut(&home_address) else { return };
        let before = core::mem::replace(&mut usage.last_used_at, now);
        usage.used = true;
        self.by_use.remove(&(before, home_address));
        self.by_use.insert((now, home_address));
    }

    /// Whether it was used since the data plane was asked.
    pub(super) fn is_used(&self, home_address: Ipv6Addr) -> bool {
        self.usage(home_address).is_some_and(|usage| usage.used)
    }

    fn usage(&self, home_address: Ipv6Addr) -> Option<&Usage> {
        match &self.entries.get(&home_address)?.state {
            State::Bound(_, usage) => Some(usage),
            State::Ended => None,
        }
    }

    fn forget_use(&mut self, home_address: Ipv6Addr) {
        if let Some(last_used_at) = self.usage(home_address).map(|usage| usage.last_used_at) {
            self.by_use.remove(&(last_used_at, home_address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(number: u16) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number)
    }

    fn binding(number: u16, now: Instant) -> Binding {
        Binding {
            home_address: home(number),
            care_of: Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, number),
            sequence: number,
            lifetime: Duration::from_secs(420),
            expires_at: now + Duration::from_secs(420),
            authorisation: Authorisation::ReturnRoutability(NonceIndices { home: 1, care_of: 2 }),
        }
    }

    #[test]
    fn the_sequence_number_outlives_the_binding_by_the_nonces() {
        let mut cache = BindingCache::new(4);
        let start = Instant::from_secs(100);
        cache.set(start, binding(7, start));
        let ended = start + Duration::from_secs(5);
        let (_, forget_at) = cache.end(ended, home(7)).unwrap();
        assert_eq!(forget_at, Some(start + MAX_NONCE_LIFETIME));
        assert_eq!((cache.get(home(7)), cache.last_sequence(home(7))), (None, Some(7)));
        cache.forget(home(7));
        assert_eq!((cache.entries(), cache.last_sequence(home(7))), (0, None));
        // One whose last update is older than any nonce leaves nothing behind.
        cache.set(start, binding(8, start));
        let (_, forget_at) = cache.end(start + Duration::from_secs(300), home(8)).unwrap();
        assert_eq!((forget_at, cache.entries()), (None, 0));
    }

    #[test]
    fn an_idle_binding_makes_room_and_one_in_use_does_not() {
        let mut cache = BindingCache::new(2);
        let start = Instant::from_secs(100);
        for number in [1, 2] {
            assert_eq!(cache.room_for(start, home(number)), Room::Free);
            cache.set(start, binding(number, start));
        }
        assert_eq!(cache.room_for(start, home(1)), Room::Free, "its own");
        let soon = start + Duration::from_secs(9);
        assert_eq!(cache.room_for(soon, home(3)), Room::None { ask: Vec::new() });
        cache.note_used(soon, home(1));
        let later = start + IDLE_AFTER;
        assert_eq!(cache.room_for(later, home(3)), Room::Replacing(home(2)));
        cache.note_used(later, home(2));
        let ask = vec![home(1), home(2)];
        assert_eq!(cache.room_for(later, home(3)), Room::None { ask });
        cache.note_asked(later, home(1));
        cache.note_asked(later, home(2));
        cache.note_used(later, home(2));
        assert_eq!(cache.room_for(later + IDLE_AFTER, home(3)), Room::Replacing(home(1)));
        assert_eq!((cache.len(), cache.is_used(home(1)), cache.is_used(home(2))), (2, false, true));
    }

    #[test]
    fn entries_are_bounded_with_those_that_have_ended() {
        let mut cache = BindingCache::new(3);
        let start = Instant::from_secs(100);
        let mut refused = 0;
        for number in 0..50 {
            match cache.room_for(start, home(number)) {
                Room::Free => {
                    cache.set(start, binding(number, start));
                    cache.end(start, home(number));
                }
                _ => refused += 1,
            }
        }
        assert_eq!((cache.entries(), cache.len(), refused), (6, 0, 44));
        // Who is remembered may come back.
        assert_eq!(cache.room_for(start, home(0)), Room::Free);
    }

    #[test]
    fn spent_nonces_are_refused_until_they_are_too_old_and_do_not_pile_up() {
        let mut cache = BindingCache::new(3);
        let start = Instant::from_secs(100);
        let care_of = binding(1, start).care_of;
        let until = start + Duration::from_secs(60);
        for pair in 0..MAX_SPENT as u16 {
            assert_eq!(cache.room_for(start, home(1)), Room::Free);
            cache.set(start, binding(1, start));
            let nonces = NonceIndices { home: pair, care_of: pair };
            cache.note_deletion(start, home(1), pair, Some(Spent { care_of, nonces, until }));
            cache.end(start, home(1));
            assert!(cache.is_spent(start, home(1), care_of, nonces));
            assert!(!cache.is_spent(start, home(1), home(1), nonces));
            assert!(!cache.is_spent(start, home(2), care_of, nonces));
            assert!(!cache.is_spent(until, home(1), care_of, nonces));
        }
        assert_eq!(cache.room_for(start, home(1)), Room::None { ask: Vec::new() });
        assert_eq!(cache.room_for(until, home(1)), Room::Free);
    }
}
