//! Deadlines of entries: a list for each instant that one has. What one message starts or restarts expires together, so that
//! there are far fewer instants than entries; an entry's part is its place in the list.

use super::slab::{Chain, EntryId, List, Slab};
use stack::time::Instant;
use std::collections::BTreeMap;

/// The deadlines of one kind. When an entry's is, the entry knows.
#[derive(Debug)]
pub(crate) struct Agenda {
    chain: Chain,
    by_time: BTreeMap<Instant, List>,
}

impl Agenda {
    /// No deadline.
    pub(crate) fn new(chain: Chain) -> Self {
        Agenda { chain, by_time: BTreeMap::new() }
    }

    /// Adds that of an entry, which has none.
    pub(crate) fn add<T>(&mut self, slab: &mut Slab<T>, id: EntryId, at: Instant) {
        slab.append(self.by_time.entry(at).or_insert(List::EMPTY), self.chain, id);
    }

    /// Removes that of an entry.
    pub(crate) fn remove<T>(&mut self, slab: &mut Slab<T>, id: EntryId, at: Instant) {
        if let Some(list) = self.by_time.get_mut(&at)
            && slab.unlink(list, self.chain, id)
        {
            self.by_time.remove(&at);
        }
    }

    /// The first; of those at the same time, the one that was added first.
    pub(crate) fn first(&self) -> Option<(Instant, EntryId)> {
        self.by_time.first_key_value().and_then(|(&at, list)| Some((at, list.first()?)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn matches_a_sorted_list(operations in prop::collection::vec((0u8..3, 0usize..8, 0u64..5), 0..200)) {
            let mut slab = Slab::default();
            let ids: Vec<_> = (0..8).map(|number| slab.insert(number).unwrap()).collect();
            let mut agenda = Agenda::new(Chain::Expiry);
            // In the order in which they were added.
            let mut plain: Vec<(Instant, EntryId)> = Vec::new();
            for (operation, which, at) in operations {
                let (id, at) = (ids[which], Instant::from_secs(at));
                if let Some(place) = plain.iter().position(|&(_, other)| other == id) {
                    let (at, _) = plain.remove(place);
                    agenda.remove(&mut slab, id, at);
                }
                if operation > 0 {
                    plain.push((at, id));
                    agenda.add(&mut slab, id, at);
                }
                prop_assert_eq!(agenda.first(), plain.iter().min_by_key(|&&(at, _)| at).copied());
                prop_assert_eq!(agenda.is_empty(), plain.is_empty());
            }
        }
    }
}
