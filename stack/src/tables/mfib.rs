//! The multicast forwarding table: (S,G), then (*,G).
//!
//! An entry is two adjacent cache lines: source and group, the port that the RPF check accepts, the outgoing ports as a
//! bitmap, and the count of packets that the owner keeps.

use super::hash::{HashTable, Slot, TableFull};
use super::{Accept, Mroute, MrouteKey, PortSet};
use crate::machine::PortId;
use core::net::Ipv6Addr;
use core::sync::atomic::Ordering;

const LOCAL: u64 = 1 << 8;

/// Multicast routes.
pub(crate) struct Mfib(HashTable<4, 5, 1>);

impl Mfib {
    /// An empty table for up to `limit` routes.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        Mfib(HashTable::new(limit, seed))
    }

    /// Where (*,G) stands.
    pub(crate) fn find_any_source(&self, group: Ipv6Addr) -> Option<Slot> {
        self.0.find(&key(Ipv6Addr::UNSPECIFIED, group))
    }

    /// Where (S,G) stands, for each of a batch of [`Mfib::key`]s.
    #[inline]
    pub(crate) fn find_batch(&self, keys: &[[u64; 4]], slots: &mut [Option<Slot>]) {
        self.0.find_batch(keys, slots);
    }

    /// What [`Mfib::find_batch`] looks for.
    #[inline(always)]
    pub(crate) fn key(source: Ipv6Addr, group: Ipv6Addr) -> [u64; 4] {
        key(source, group)
    }

    /// Whether exactly (S,G) stands at `slot`, which a binding remembered.
    #[inline(always)]
    pub(crate) fn is_at(&self, slot: Slot, key: &[u64; 4]) -> bool {
        self.0.is_at(slot, key)
    }

    /// Where exactly (S,G) stands.
    #[inline]
    pub(crate) fn find_exact(&self, key: &[u64; 4]) -> Option<Slot> {
        self.0.find(key)
    }

    /// Asks for the cache lines of an entry that a binding remembered.
    #[inline(always)]
    pub(crate) fn prefetch_hint(&self, slot: Slot) {
        if self.0.has(slot) {
            self.0.prefetch(slot);
        }
    }

    /// The route at `slot`, which is counted.
    #[inline(always)]
    pub(crate) fn take(&self, slot: Slot) -> Mroute {
        let packets = self.0.owner_word(slot, 0);
        packets.store(packets.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        route(self.0.value(slot))
    }

    /// Sets a route.
    ///
    /// # Errors
    /// [`TableFull`].
    pub(crate) fn insert(&mut self, name: MrouteKey, mroute: Mroute) -> Result<(), TableFull> {
        let accept = match mroute.accept {
            Accept::Port(port) => u64::from(port.0),
            Accept::Local => LOCAL,
        };
        let [a, b, c, d] = mroute.forward.words();
        self.0.insert(key(name.source, name.group), [accept, a, b, c, d]).map(|_| ())
    }

    /// The route of this name.
    pub(crate) fn get(&self, name: MrouteKey) -> Option<Mroute> {
        self.0.get(&key(name.source, name.group)).map(route)
    }

    /// Removes a route.
    pub(crate) fn remove(&mut self, name: MrouteKey) -> bool {
        self.0.remove(&key(name.source, name.group))
    }

    /// Every route with the packets that it has matched, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (MrouteKey, Mroute, u64)> {
        let mut all: Vec<_> = self
            .0
            .iter()
            .map(|(slot, [a, b, c, d], value)| {
                let name = MrouteKey { source: address(a, b), group: address(c, d) };
                (name, route(value), self.0.owner_word(slot, 0).load(Ordering::Relaxed))
            })
            .collect();
        all.sort_by_key(|&(name, ..)| name);
        all.into_iter()
    }

    /// Number of routes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[inline(always)]
fn route([accept, a, b, c, d]: [u64; 5]) -> Mroute {
    let accept = if accept == LOCAL { Accept::Local } else { Accept::Port(PortId(accept as u8)) };
    Mroute { accept, forward: PortSet::from_words([a, b, c, d]) }
}

#[inline(always)]
fn key(source: Ipv6Addr, group: Ipv6Addr) -> [u64; 4] {
    let (source, group) = (source.to_bits(), group.to_bits());
    [(source >> 64) as u64, source as u64, (group >> 64) as u64, group as u64]
}

fn address(high: u64, low: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low))
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
                let mroute = Mroute { accept, forward: PortSet::from_words(words) };
                if operation == 2 {
                    prop_assert_eq!(mfib.remove(name), map.remove(&name).is_some());
                } else {
                    mfib.insert(name, mroute).unwrap();
                    map.insert(name, mroute);
                }
                let found = mfib.find_exact(&Mfib::key(name.source, name.group));
                prop_assert_eq!(found.map(|slot| mfib.take(slot)), map.get(&name).copied());
            }
            let all: Vec<_> = mfib.iter().map(|(name, mroute, _)| (name, mroute)).collect();
            prop_assert_eq!(all, map.into_iter().collect::<Vec<_>>());
        }
    }
}
