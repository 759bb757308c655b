//! Where entries stand: slots with numbers that stay the same, in blocks, so that no growth moves what is there; and lists
//! through them, which cost an entry eight octets each and no allocation.

/// Slots of a block.
const BLOCK: usize = 1024;
/// The number of no slot.
const NONE: u32 = u32::MAX;

/// Number of a slot that is taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct EntryId(pub(super) u32);

impl EntryId {
    fn of(number: u32) -> Option<Self> {
        (number != NONE).then_some(EntryId(number))
    }
}

/// The lists that an entry can be in, each at most once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chain {
    /// Of those with the same root.
    Root,
    /// Of those whose join timers expire together.
    Join,
    /// Of those whose expiry timers expire together.
    Expiry,
}

const CHAINS: usize = 3;

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
}

const UNLINKED: Link = Link { previous: NONE, next: NONE };

/// A list, in the order in which it was appended to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct List {
    first: u32,
    last: u32,
}

impl List {
    /// Nothing in it.
    pub(crate) const EMPTY: List = List { first: NONE, last: NONE };

    pub(crate) fn first(&self) -> Option<EntryId> {
        EntryId::of(self.first)
    }
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    /// Of a free slot, the first's `next` is the next free one.
    links: [Link; CHAINS],
}

/// The slots.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    blocks: Vec<Box<[Slot<T>]>>,
    /// The first of the free slots that were taken once.
    free: u32,
    /// Slots that were ever taken: the first so many.
    used: u32,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { blocks: Vec::new(), free: NONE, used: 0, len: 0 }
    }
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many slots were ever taken since there was none.
    pub(crate) fn slots(&self) -> usize {
        self.used as usize
    }

    /// Takes a slot; gives the value back where there is none.
    pub(crate) fn insert(&mut self, value: T) -> Result<EntryId, T> {
        let number = match self.free {
            NONE if self.used == NONE => return Err(value),
            NONE => {
                if self.used as usize == self.blocks.len() * BLOCK {
                    self.blocks.push((0..BLOCK).map(|_| Slot { value: None, links: [UNLINKED; CHAINS] }).collect());
                }
                self.used += 1;
                self.used - 1
            }
            free => free,
        };
        let slot = self.slot_mut(number);
        let next_free = slot.links[0].next;
        *slot = Slot { value: Some(value), links: [UNLINKED; CHAINS] };
        if number == self.free {
            self.free = next_free;
        }
        self.len += 1;
        Ok(EntryId(number))
    }

    /// Frees a slot, which is in no list any more. The blocks stay: to give back a hundred mebioctets takes milliseconds.
    pub(crate) fn remove(&mut self, id: EntryId) -> Option<T> {
        let free = self.free;
        let slot = self.slot_mut(id.0);
        let value = slot.value.take()?;
        slot.links[0].next = free;
        self.free = id.0;
        self.len -= 1;
        if self.len == 0 {
            (self.free, self.used) = (NONE, 0);
        }
        Some(value)
    }

    pub(crate) fn get(&self, id: EntryId) -> Option<&T> {
        self.blocks.get(id.0 as usize / BLOCK)?[id.0 as usize % BLOCK].value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: EntryId) -> Option<&mut T> {
        self.blocks.get_mut(id.0 as usize / BLOCK)?[id.0 as usize % BLOCK].value.as_mut()
    }

    /// All, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EntryId, &T)> {
        let slots = self.blocks.iter().flatten().enumerate();
        slots.filter_map(|(number, slot)| Some((EntryId(number as u32), slot.value.as_ref()?)))
    }

    /// Puts an entry at the end of a list. It is in none of this chain.
    pub(crate) fn append(&mut self, list: &mut List, chain: Chain, id: EntryId) {
        self.slot_mut(id.0).links[chain as usize] = Link { previous: list.last, next: NONE };
        match list.last {
            NONE => list.first = id.0,
            last => self.slot_mut(last).links[chain as usize].next = id.0,
        }
        list.last = id.0;
    }

    /// Takes an entry out of the list that it is in; whether the list is empty now.
    pub(crate) fn unlink(&mut self, list: &mut List, chain: Chain, id: EntryId) -> bool {
        let link = core::mem::replace(&mut self.slot_mut(id.0).links[chain as usize], UNLINKED);
        match link.previous {
            NONE => list.first = link.next,
            previous => self.slot_mut(previous).links[chain as usize].next = link.next,
        }
        match link.next {
            NONE => list.last = link.previous,
            next => self.slot_mut(next).links[chain as usize].previous = link.previous,
        }
        list.first == NONE
    }

    /// The entries of a list, in order.
    pub(crate) fn list(&self, list: List, chain: Chain) -> impl Iterator<Item = EntryId> {
        let next = move |id: &EntryId| EntryId::of(self.slot(id.0).links[chain as usize].next);
        core::iter::successors(list.first(), next)
    }

    fn slot(&self, number: u32) -> &Slot<T> {
        &self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }

    fn slot_mut(&mut self, number: u32) -> &mut Slot<T> {
        &mut self.blocks[number as usize / BLOCK][number as usize % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tib::Entry;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_entry_takes_two_cache_lines() {
        assert_eq!(size_of::<Slot<Entry>>(), 128);
    }

    proptest! {
        #[test]
        fn matches_plain_maps(operations in prop::collection::vec((0u8..6, 0usize..40, 0usize..3), 0..400)) {
            let mut slab = Slab::default();
            let mut values = BTreeMap::new();
            let mut lists = [List::EMPTY; 3];
            let mut plain: [Vec<EntryId>; 3] = Default::default();
            let chains = [Chain::Root, Chain::Join, Chain::Expiry];
            for (number, (operation, which, list)) in operations.into_iter().enumerate() {
                let id = values.keys().nth(which % values.len().max(1)).copied();
                match (operation, id) {
                    (0 | 1, _) => {
                        let id = slab.insert(number).unwrap();
                        prop_assert_eq!(values.insert(id, number), None);
                    }
                    (2, Some(id)) => {
                        for ((list, plain), chain) in lists.iter_mut().zip(&mut plain).zip(chains) {
                            if plain.contains(&id) {
                                plain.retain(|&other| other != id);
                                prop_assert_eq!(slab.unlink(list, chain, id), plain.is_empty());
                            }
                        }
                        prop_assert_eq!(slab.remove(id), values.remove(&id));
                        prop_assert_eq!(slab.get(id), None);
                    }
                    (_, Some(id)) if plain[list].contains(&id) => {
                        plain[list].retain(|&other| other != id);
                        prop_assert_eq!(slab.unlink(&mut lists[list], chains[list], id), plain[list].is_empty());
                    }
                    (_, Some(id)) => {
                        plain[list].push(id);
                        slab.append(&mut lists[list], chains[list], id);
                    }
                    _ => {}
                }
                prop_assert_eq!(slab.len(), values.len());
                for ((&list, plain), chain) in lists.iter().zip(&plain).zip(chains) {
                    prop_assert_eq!(&slab.list(list, chain).collect::<Vec<_>>(), plain);
                }
            }
            let all: Vec<_> = slab.iter().map(|(id, &value)| (id, value)).collect();
            prop_assert_eq!(all, values.into_iter().collect::<Vec<_>>());
        }
    }
}
