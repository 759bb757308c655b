//! Rings of what waits, one a key, all of them in one slab: the newest of each, and of all together, stay.
//!
//! A ring is there while it holds something. Everything is made at the start, so that nothing is allocated for what comes
//! to wait; the memory is touched where it is used.

use crate::tables::{HashTable, TableFull};
use crate::time::Instant;

/// What a ring belongs to.
pub(super) type Key = [u64; 4];
/// Where an item stands, for as long as it waits.
pub(super) type Number = u32;

/// An item is in two lists: that of its ring, and that of all. The oldest is the first in both.
const OF_RING: usize = 0;
const OF_ALL: usize = 1;

#[derive(Clone, Copy, Default)]
struct Ends {
    first: Option<Number>,
    last: Option<Number>,
}

#[derive(Clone, Copy, Default)]
struct Links {
    before: Option<Number>,
    after: Option<Number>,
}

struct Item<T> {
    value: T,
    until: Instant,
    ring: u32,
    links: [Links; 2],
}

#[derive(Clone, Copy)]
struct Ring {
    key: Key,
    ends: Ends,
    count: usize,
}

/// The rings.
pub(super) struct Rings<T> {
    /// Numbers of rings.
    index: HashTable<4, 1, 0>,
    rings: Vec<Ring>,
    free_rings: Vec<u32>,
    items: Vec<Option<Item<T>>>,
    free_items: Vec<Number>,
    all: Ends,
    limit: usize,
    limit_of_ring: usize,
}

impl<T> Rings<T> {
    /// Room for `limit` items, and for `limit_of_ring` of each ring.
    pub(super) fn new(limit: usize, limit_of_ring: usize, seed: u64) -> Self {
        Rings {
            index: HashTable::new(limit.try_into().unwrap_or(u32::MAX), seed),
            rings: Vec::with_capacity(limit),
            free_rings: Vec::with_capacity(limit),
            items: Vec::with_capacity(limit),
            free_items: Vec::with_capacity(limit),
            all: Ends::default(),
            limit,
            limit_of_ring,
        }
    }

    /// Items that wait.
    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free_items.len()
    }

    /// Whether there is room for any.
    pub(super) fn has_room(&self) -> bool {
        self.limit > 0 && self.limit_of_ring > 0
    }

    /// Appends to a ring; answers the oldest, of the ring or of all, where it had to make room.
    ///
    /// # Errors
    /// The value, where there is no room for any ([`Rings::has_room`]).
    pub(super) fn push(&mut self, key: Key, value: T, until: Instant) -> Result<Option<T>, T> {
        if !self.has_room() {
            return Err(value);
        }
        let oldest = match self.ring(&key).filter(|ring| ring.count >= self.limit_of_ring) {
            Some(ring) => ring.ends.first,
            None if self.len() >= self.limit => self.all.first,
            None => None,
        };
        let displaced = oldest.and_then(|number| self.take(number));
        let Ok(ring) = self.find_or_make(key) else { return Err(value) };
        let item = Some(Item { value, until, ring, links: [Links::default(); 2] });
        let number = match self.free_items.pop() {
            Some(number) => {
                self.items[number as usize] = item;
                number
            }
            None => {
                self.items.push(item);
                self.items.len() as Number - 1
            }
        };
        self.append(number, ring);
        Ok(displaced)
    }

    /// The oldest of all, and until when it waits.
    pub(super) fn oldest(&self) -> Option<(Number, Instant)> {
        let number = self.all.first?;
        Some((number, self.item(number)?.until))
    }

    /// The oldest of a ring.
    pub(super) fn first_of(&self, key: &Key) -> Option<Number> {
        // Where nothing waits, nothing is looked up.
        self.all.first?;
        self.ring(key)?.ends.first
    }

    /// The next of the same ring.
    pub(super) fn after(&self, number: Number) -> Option<Number> {
        self.item(number)?.links[OF_RING].after
    }

    /// An item that waits.
    pub(super) fn get(&self, number: Number) -> Option<&T> {
        self.item(number).map(|item| &item.value)
    }

    /// Takes an item out; its ring ends with the last one.
    pub(super) fn take(&mut self, number: Number) -> Option<T> {
        let item = self.items.get_mut(number as usize)?.take()?;
        self.free_items.push(number);
        let ring = item.ring as usize;
        for list in [OF_RING, OF_ALL] {
            let Links { before, after } = item.links[list];
            match before.and_then(|before| self.items[before as usize].as_mut()) {
                Some(before) => before.links[list].after = after,
                None => self.ends(list, ring).first = after,
            }
            match after.and_then(|after| self.items[after as usize].as_mut()) {
                Some(after) => after.links[list].before = before,
                None => self.ends(list, ring).last = before,
            }
        }
        self.rings[ring].count -= 1;
        if self.rings[ring].count == 0 {
            self.index.remove(&self.rings[ring].key);
            self.free_rings.push(item.ring);
        }
        Some(item.value)
    }

    fn append(&mut self, number: Number, ring: u32) {
        let ring = ring as usize;
        for list in [OF_RING, OF_ALL] {
            let ends = self.ends(list, ring);
            let before = ends.last.replace(number);
            if before.is_none() {
                ends.first = Some(number);
            }
            if let Some(before) = before.and_then(|before| self.items[before as usize].as_mut()) {
                before.links[list].after = Some(number);
            }
            if let Some(item) = &mut self.items[number as usize] {
                item.links[list] = Links { before, after: None };
            }
        }
        self.rings[ring].count += 1;
    }

    fn ends(&mut self, list: usize, ring: usize) -> &mut Ends {
        if list == OF_ALL { &mut self.all } else { &mut self.rings[ring].ends }
    }

    fn item(&self, number: Number) -> Option<&Item<T>> {
        self.items.get(number as usize)?.as_ref()
    }

    fn ring(&self, key: &Key) -> Option<&Ring> {
        let [ring] = self.index.get(key)?;
        self.rings.get(ring as usize)
    }

    fn find_or_make(&mut self, key: Key) -> Result<u32, TableFull> {
        if let Some([ring]) = self.index.get(&key) {
            return Ok(ring as u32);
        }
        let number = self.free_rings.last().copied().unwrap_or(self.rings.len() as u32);
        self.index.insert(key, [u64::from(number)])?;
        let ring = Ring { key, ends: Ends::default(), count: 0 };
        match self.free_rings.pop() {
            Some(number) => self.rings[number as usize] = ring,
            None => self.rings.push(ring),
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> Key {
        [1, 2, 3, number.into()]
    }

    /// The keys and values in the order in which they came, as plain as can be.
    type Plain = Vec<(u8, u32)>;

    fn of_ring(rings: &Rings<u32>, number: u8) -> Vec<u32> {
        let mut at = rings.first_of(&key(number));
        core::iter::from_fn(|| {
            let number = at?;
            at = rings.after(number);
            rings.get(number).copied()
        })
        .collect()
    }

    proptest! {
        #[test]
        fn rings_match_a_plain_list(
            (limit, limit_of_ring) in (0usize..12, 0usize..5),
            operations in prop::collection::vec((0u8..6, 0u8..5, 0usize..4), 0..150),
        ) {
            let mut rings = Rings::new(limit, limit_of_ring, 1);
            let mut plain = Plain::new();
            let capacity = (rings.items.capacity(), rings.rings.capacity());
            for (value, (operation, of, place)) in (0u32..).zip(operations) {
                let until = Instant::from_secs(u64::from(value));
                match operation {
                    0 => {
                        let mut at = rings.first_of(&key(of));
                        for _ in 0..place {
                            at = at.and_then(|number| rings.after(number));
                        }
                        let taken = at.and_then(|number| rings.take(number));
                        let there = plain.iter().filter(|(ring, _)| *ring == of).nth(place).copied();
                        prop_assert_eq!(taken, there.map(|(_, value)| value));
                        plain.retain(|&other| Some(other) != there);
                    }
                    1 => {
                        let taken = rings.oldest().and_then(|(number, _)| rings.take(number));
                        let there = (!plain.is_empty()).then(|| plain.remove(0).1);
                        prop_assert_eq!(taken, there);
                    }
                    _ if !rings.has_room() => prop_assert_eq!(rings.push(key(of), value, until), Err(value)),
                    _ => {
                        let is_full = plain.iter().filter(|(ring, _)| *ring == of).count() >= limit_of_ring;
                        let oldest = plain.iter().position(|(ring, _)| !is_full || *ring == of);
                        let gives_way = is_full || plain.len() >= limit;
                        let there = oldest.filter(|_| gives_way).map(|place| plain.remove(place).1);
                        prop_assert_eq!(rings.push(key(of), value, until), Ok(there));
                        plain.push((of, value));
                    }
                }
                prop_assert_eq!(rings.len(), plain.len());
                let first = plain.first().map(|&(_, value)| Instant::from_secs(u64::from(value)));
                prop_assert_eq!(rings.oldest().map(|(_, until)| until), first);
                for ring in 0..5 {
                    let there: Vec<_> = plain.iter().filter(|(of, _)| *of == ring).map(|&(_, value)| value).collect();
                    prop_assert_eq!(of_ring(&rings, ring), there);
                }
                let keys = plain.iter().map(|(ring, _)| ring).collect::<std::collections::BTreeSet<_>>();
                prop_assert_eq!(rings.index.len(), keys.len());
                prop_assert_eq!((rings.items.capacity(), rings.rings.capacity()), capacity);
            }
        }
    }
}
