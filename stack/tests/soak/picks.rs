//! A set from which one can be drawn.

use stack::rng::Rng;
use std::collections::BTreeMap;

/// The members, and where each stands among them.
pub(crate) struct Picks<K> {
    all: Vec<K>,
    places: BTreeMap<K, usize>,
}

impl<K: Ord + Copy> Picks<K> {
    pub(crate) fn new() -> Self {
        Picks { all: Vec::new(), places: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn insert(&mut self, key: K) {
        if !self.places.contains_key(&key) {
            self.places.insert(key, self.all.len());
            self.all.push(key);
        }
    }

    pub(crate) fn remove(&mut self, key: K) {
        let Some(place) = self.places.remove(&key) else { return };
        self.all.swap_remove(place);
        if let Some(&moved) = self.all.get(place) {
            self.places.insert(moved, place);
        }
    }

    /// Any of them.
    pub(crate) fn any(&self, rng: &mut Rng) -> Option<K> {
        self.all.get(rng.below(self.all.len() as u64) as usize).copied()
    }
}
