//! Finds an entry by its source and group: hash tables of slot numbers, five octets a place.
//!
//! There are many small tables instead of a large one: a table that grows looks at every key in it again, and while it
//! does, nothing is forwarded.

use super::slab::EntryId;
use core::net::Ipv6Addr;
use hashbrown::HashTable;
use stack::rng::Rng;
use stack::tables::MrouteKey;

const TABLES: usize = 256;
/// An odd constant whose product with a word spreads its bits over 128.
const MIX: u128 = 0xd1b5_4a32_d192_ed03;

#[derive(Debug)]
pub(crate) struct Index {
    /// Strangers choose the keys, and shall not choose where they collide.
    seed: u64,
    tables: Box<[HashTable<u32>]>,
}

impl Index {
    /// Nothing in it.
    pub(crate) fn new(seed: u64) -> Self {
        let tables = (0..TABLES).map(|_| HashTable::new()).collect();
        Index { seed: Rng::new(seed).fork().next_u64(), tables }
    }

    fn hash(&self, key: MrouteKey) -> u64 {
        let mut hash = self.seed;
        for word in [halves(key.source), halves(key.group)].into_iter().flatten() {
            let product = u128::from(hash ^ word) * MIX;
            hash = (product >> 64) as u64 ^ product as u64 ^ word.rotate_left(32);
        }
        hash ^ hash >> 29
    }

    /// A table takes its places from the lowest bits, and the highest to compare.
    fn table(hash: u64) -> usize {
        (hash >> 40) as usize % TABLES
    }

    /// Where the entry stands. `key_of` answers the key of one.
    pub(crate) fn find(&self, key: MrouteKey, key_of: impl Fn(EntryId) -> Option<MrouteKey>) -> Option<EntryId> {
        let hash = self.hash(key);
        self.tables[Self::table(hash)].find(hash, |&id| key_of(EntryId(id)) == Some(key)).map(|&id| EntryId(id))
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(&mut self, key: MrouteKey, id: EntryId, key_of: impl Fn(EntryId) -> Option<MrouteKey>) {
        let hash = self.hash(key);
        let mut table = core::mem::take(&mut self.tables[Self::table(hash)]);
        table.insert_unique(hash, id.0, |&id| key_of(EntryId(id)).map_or(0, |key| self.hash(key)));
        self.tables[Self::table(hash)] = table;
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, key: MrouteKey, id: EntryId) {
        let hash = self.hash(key);
        if let Ok(found) = self.tables[Self::table(hash)].find_entry(hash, |&other| other == id.0) {
            found.remove();
        }
    }

    /// Gives all memory back; nothing is in it.
    pub(crate) fn clear(&mut self) {
        self.tables.iter_mut().for_each(|table| *table = HashTable::new());
    }
}

fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = address.to_bits();
    [(bits >> 64) as u64, bits as u64]
}
