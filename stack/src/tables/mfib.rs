//! The multicast forwarding table: (S,G), then (*,G).
//!
//! An entry is one cache line: source and group, the port that the RPF check accepts, the outgoing ports as a bitmap, and
//! the count of packets that the owner keeps. Trees with a port above the 64th, which only a very large router has, keep
//! their bitmap in a second table.

use super::hash::{HashTable, Slot, TableFull};
use super::{Accept, Mroute, MrouteKey, PortSet};
use crate::addr::{halves, whole};
use crate::machine::PortId;
use core::net::Ipv6Addr;
use core::sync::atomic::Ordering;

const LOCAL: u64 = 1 << 8;
/// Beside [`LOCAL`]: out of Register messages too.
const REGISTERED: u64 = 1 << 10;
/// The outgoing ports stand in the second table.
const WIDE: u64 = 1 << 9;

/// Multicast routes.
pub(crate) struct Mfib {
    routes: HashTable<4, 2, 1>,
    wide: HashTable<4, 4, 0>,
}

/// A route all of whose ports are below the 65th.
#[derive(Clone, Copy)]
pub(crate) struct NarrowRoute {
    accept: u64,
    /// Outgoing ports, port 0 the lowest bit.
    pub(crate) ports: u64,
}

impl NarrowRoute {
    /// Whether packets of this node take it.
    #[inline(always)]
    pub(crate) fn is_local(self) -> bool {
        self.accept == LOCAL
    }

    /// Whether packets take it that come in there.
    #[inline(always)]
    pub(crate) fn accepts(self, port: PortId) -> bool {
        self.accept == u64::from(port.0)
    }
}

impl Mfib {
    /// An empty table for up to `limit` routes.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        Mfib { routes: HashTable::new(limit, seed), wide: HashTable::new(limit, seed) }
    }

    /// A handle for another thread.
    pub(crate) fn reader(&mut self) -> Self {
        Mfib { routes: self.routes.reader(), wide: self.wide.reader() }
    }

    /// Where (*,G) stands.
    pub(crate) fn find_any_source(&self, group: Ipv6Addr) -> Option<Slot> {
        self.routes.find(&key(Ipv6Addr::UNSPECIFIED, group))
    }

    /// Where (S,G) stands, for each of a batch of [`Mfib::key`]s.
    #[inline]
    pub(crate) fn find_batch(&self, keys: &[[u64; 4]], slots: &mut [Option<Slot>]) {
        self.routes.find_batch(keys, slots);
    }

    /// Where (S,G) stands, if it is there, for each of a batch of keys: [`Mfib::narrow`] says whether it is.
    #[inline]
    pub(crate) fn locate_batch(&self, keys: &[[u64; 4]], slots: &mut [Option<Slot>]) {
        self.routes.locate_batch(keys, slots);
    }

    /// What [`Mfib::find_batch`] looks for.
    #[inline(always)]
    pub(crate) fn key(source: Ipv6Addr, group: Ipv6Addr) -> [u64; 4] {
        key(source, group)
    }

    /// Whether exactly (S,G) stands at `slot`, which a binding remembered.
    #[inline(always)]
    pub(crate) fn is_at(&self, slot: Slot, key: &[u64; 4]) -> bool {
        self.routes.is_at(slot, key)
    }

    /// Where exactly (S,G) stands.
    #[inline]
    pub(crate) fn find_exact(&self, key: &[u64; 4]) -> Option<Slot> {
        self.routes.find(key)
    }

    /// Asks for the cache line where the lookup of (S,G) begins.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, key: &[u64; 4]) {
        self.routes.prefetch_bucket(key);
    }

    /// Asks for the cache line of (S,G).
    #[inline]
    pub(crate) fn prefetch_entry(&self, key: &[u64; 4]) {
        self.routes.prefetch_entry(key);
    }

    /// Asks for the cache lines of an entry that a binding remembered.
    #[inline(always)]
    pub(crate) fn prefetch_hint(&self, slot: Slot) {
        if self.routes.has(slot) {
            self.routes.prefetch(slot);
        }
    }

    /// The route at `slot`.
    #[inline(always)]
    pub(crate) fn route(&self, slot: Slot) -> Mroute {
        let (key, [way, forward]) = self.routes.entry(slot);
        let forward = if way & WIDE == 0 { [forward, 0, 0, 0] } else { self.wide.get(&key).unwrap_or_default() };
        let accept = match way & (LOCAL | REGISTERED) {
            0 => Accept::Port(PortId(way as u8)),
            LOCAL => Accept::Local,
            _ => Accept::RendezvousPoint,
        };
        Mroute::new(accept, PortSet::from_words(forward))
    }

    /// What the express way needs of the route at `slot`; `None` where it is not that of `key`, and where one of its ports
    /// is above the 64th.
    #[inline(always)]
    pub(crate) fn narrow(&self, slot: Slot, key: &[u64; 4]) -> Option<NarrowRoute> {
        let [way, ports] = self.routes.value_of(slot, key)?;
        (way & WIDE == 0).then_some(NarrowRoute { accept: way, ports })
    }

    /// Counts a packet of the route at `slot`.
    #[inline(always)]
    pub(crate) fn count(&self, slot: Slot) {
        self.routes.add(slot, 0, 1);
    }

    /// Sets a route.
    ///
    /// # Errors
    /// [`TableFull`].
    pub(crate) fn insert(&mut self, name: MrouteKey, mroute: Mroute) -> Result<(), TableFull> {
        let key = key(name.source, name.group);
        let accept = match mroute.accept {
            Accept::Port(port) => u64::from(port.0),
            Accept::Local => LOCAL,
            Accept::RendezvousPoint => LOCAL | REGISTERED,
        };
        let words = mroute.forward.words();
        if words[1..] == [0; 3] {
            self.routes.insert(key, [accept, words[0]])?;
            self.wide.remove(&key);
        } else {
            if self.routes.len() >= self.routes.limit() && self.routes.find(&key).is_none() {
                return Err(TableFull);
            }
            // The ports are there before they are looked for.
            self.wide.insert(key, words)?;
            self.routes.insert(key, [accept | WIDE, 0])?;
        }
        Ok(())
    }

    /// The route of this name.
    pub(crate) fn get(&self, name: MrouteKey) -> Option<Mroute> {
        self.routes.find(&key(name.source, name.group)).map(|slot| self.route(slot))
    }

    /// Removes a route.
    pub(crate) fn remove(&mut self, name: MrouteKey) -> bool {
        let key = key(name.source, name.group);
        let there = self.routes.remove(&key);
        self.wide.remove(&key);
        there
    }

    /// Every route with the packets that it has matched, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (MrouteKey, Mroute, u64)> {
        let mut all: Vec<_> = self
            .routes
            .iter()
            .map(|(slot, [a, b, c, d], _)| {
                let name = MrouteKey { source: whole([a, b]), group: whole([c, d]) };
                (name, self.route(slot), self.routes.side_word(slot, 0).load(Ordering::Relaxed))
            })
            .collect();
        all.sort_by_key(|&(name, ..)| name);
        all.into_iter()
    }

    /// Number of routes.
    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }
}

#[inline(always)]
fn key(source: Ipv6Addr, group: Ipv6Addr) -> [u64; 4] {
    let ([a, b], [c, d]) = (halves(source), halves(group));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn matches_a_plain_map(operations in prop::collection::vec((0u8..3, 0u16..6, 1u16..6, any::<[u64; 4]>()), 0..120)) {
            let mut mfib = Mfib::new(64, 1);
            let mut map = BTreeMap::new();
            for (operation, source, group, words) in operations {
                let name = MrouteKey {
                    source: Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, source),
                    group: Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, group),
                };
                let accept = if operation == 0 { Accept::Local } else { Accept::Port(PortId(source as u8)) };
                // Most trees have no port beyond the first word's.
                let words = if words[3] % 4 == 0 { words } else { [words[0], 0, 0, 0] };
                let mroute = Mroute::new(accept, PortSet::from_words(words));
                if operation == 2 {
                    prop_assert_eq!(mfib.remove(name), map.remove(&name).is_some());
                } else {
                    mfib.insert(name, mroute).unwrap();
                    map.insert(name, mroute);
                }
                let found = mfib.find_exact(&Mfib::key(name.source, name.group));
                prop_assert_eq!(found.map(|slot| mfib.route(slot)), map.get(&name).copied());
            }
            let all: Vec<_> = mfib.iter().map(|(name, mroute, _)| (name, mroute)).collect();
            prop_assert_eq!(all, map.into_iter().collect::<Vec<_>>());
        }
    }
}
