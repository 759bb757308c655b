//! Where the packets of a group go on a link whose only listener is known: to that listener's own link-layer address
//! (RFC 6085), and not to the group's (RFC 2464 §7). One entry a port and group, one cache line each.

use super::hash::{HashTable, TableFull};
use crate::addr::{MacAddress, halves};
use crate::machine::PortId;
use core::net::Ipv6Addr;

/// The groups with one known listener.
pub(crate) struct Deliveries(HashTable<3, 1, 0>);

impl Deliveries {
    /// An empty table for up to `limit` pairs of port and group.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        Deliveries(HashTable::new(limit, seed))
    }

    /// A handle for another thread.
    pub(crate) fn reader(&mut self) -> Self {
        Deliveries(self.0.reader())
    }

    /// The link-layer address of the group's only listener on a port.
    #[inline]
    pub(crate) fn get(&self, port: PortId, [high, low]: [u64; 2]) -> Option<MacAddress> {
        let [word] = self.0.get(&key(port, [high, low]))?;
        let [_, _, octets @ ..] = word.to_be_bytes();
        Some(MacAddress(octets))
    }

    /// Sets the address.
    ///
    /// # Errors
    /// [`TableFull`].
    pub(crate) fn insert(&mut self, port: PortId, group: Ipv6Addr, address: MacAddress) -> Result<(), TableFull> {
        let [a, b, c, d, e, f] = address.0;
        let word = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        self.0.insert(key(port, halves(group)), [word]).map(|_| ())
    }

    /// The group is for everybody again; whether it was not.
    pub(crate) fn remove(&mut self, port: PortId, group: Ipv6Addr) -> bool {
        self.0.remove(&key(port, halves(group)))
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Never all zeros, whatever the group.
#[inline(always)]
fn key(port: PortId, [high, low]: [u64; 2]) -> [u64; 3] {
    [1 << 63 | u64::from(port.0), high, low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn entries_match_a_plain_map(
            operations in prop::collection::vec((any::<bool>(), 0u8..3, 0u16..5, any::<[u8; 6]>()), 0..100),
        ) {
            let of = |number| Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, number);
            let mut table = Deliveries::new(8, 1);
            let reader = table.reader();
            let mut map = BTreeMap::new();
            for (set, port, group, address) in operations {
                let (pair, address) = ((PortId(port), of(group)), MacAddress(address));
                if !set {
                    prop_assert_eq!(table.remove(pair.0, pair.1), map.remove(&pair).is_some());
                } else if map.len() < 8 || map.contains_key(&pair) {
                    table.insert(pair.0, pair.1, address).unwrap();
                    map.insert(pair, address);
                } else {
                    prop_assert!(table.insert(pair.0, pair.1, address).is_err());
                }
                for pair in (0..3).flat_map(|port| (0..5).map(move |group| (PortId(port), of(group)))) {
                    prop_assert_eq!(table.get(pair.0, halves(pair.1)), map.get(&pair).copied());
                    prop_assert_eq!(reader.get(pair.0, halves(pair.1)), map.get(&pair).copied());
                }
                prop_assert_eq!(table.len(), map.len());
            }
        }
    }
}
