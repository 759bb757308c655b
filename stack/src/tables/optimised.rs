//! Pairs of home address and correspondent whose packets need not go through the home agent: the correspondent has a
//! binding to the care-of address that stands beside the pair. Under another care-of address the pair says nothing.

use super::hash::{HashTable, TableFull};
use crate::addr::halves;
use core::net::Ipv6Addr;

/// The pairs of a mobility agent, one cache line each.
pub(crate) struct OptimisedPairs(HashTable<4, 2, 0>);

impl OptimisedPairs {
    /// An empty table for up to `limit` pairs.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        OptimisedPairs(HashTable::new(limit, seed))
    }

    /// A handle for another thread.
    pub(crate) fn reader(&mut self) -> Self {
        OptimisedPairs(self.0.reader())
    }

    /// Whether there is none.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the correspondent has a binding of the home address to this care-of address.
    #[inline]
    pub(crate) fn contains(&self, home_address: Ipv6Addr, correspondent: Ipv6Addr, care_of: Ipv6Addr) -> bool {
        self.0.get(&key(home_address, correspondent)) == Some(halves(care_of))
    }

    /// Sets a pair.
    ///
    /// # Errors
    /// [`TableFull`].
    pub(crate) fn insert(
        &mut self,
        home_address: Ipv6Addr,
        correspondent: Ipv6Addr,
        care_of: Ipv6Addr,
    ) -> Result<(), TableFull> {
        self.0.insert(key(home_address, correspondent), halves(care_of)).map(|_| ())
    }

    /// Removes a pair.
    pub(crate) fn remove(&mut self, home_address: Ipv6Addr, correspondent: Ipv6Addr) -> bool {
        self.0.remove(&key(home_address, correspondent))
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn key(home_address: Ipv6Addr, correspondent: Ipv6Addr) -> [u64; 4] {
    let ([h0, h1], [c0, c1]) = (halves(home_address), halves(correspondent));
    [h0, h1, c0, c1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn pairs_match_a_plain_map(
            operations in prop::collection::vec((any::<bool>(), 1u16..5, 1u16..5, 0u16..3), 0..100),
        ) {
            let of = |number| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number);
            let mut table = OptimisedPairs::new(8, 1);
            let mut map = BTreeMap::new();
            for (set, home, correspondent, care_of) in operations {
                let (pair, care_of) = ((of(home), of(correspondent)), of(care_of));
                if !set {
                    prop_assert_eq!(table.remove(pair.0, pair.1), map.remove(&pair).is_some());
                } else if map.len() < 8 || map.contains_key(&pair) {
                    table.insert(pair.0, pair.1, care_of).unwrap();
                    map.insert(pair, care_of);
                } else {
                    prop_assert!(table.insert(pair.0, pair.1, care_of).is_err());
                }
                for other in (0..3).map(of) {
                    prop_assert_eq!(table.contains(pair.0, pair.1, other), map.get(&pair) == Some(&other));
                }
                prop_assert_eq!(table.len(), map.len());
                prop_assert_eq!(table.is_empty(), map.is_empty());
            }
        }
    }
}
