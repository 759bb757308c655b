//! What fits into the queues and below the limits whatever the order in which the packets of a batch get there.
//!
//! Nothing promises an order between the flows of a batch. Which packet a full queue drops, and which error the rate
//! limit holds back, would be the data plane's choice: a batch is drawn so that its queues do not run over, and so that
//! where errors are held back it can be seen how many.

use super::job::Job;
use super::model::{Model, NeighborKey};
use super::oracle::Outcome;
use stack::tables::MrouteKey;
use std::collections::BTreeMap;

/// Packets that wait for one neighbour at the most.
pub(crate) const WAITING_PER_NEIGHBOR: usize = 32;

/// Whether it is known which of these is the first: packets of a row keep their order, and so do calls of the data plane.
fn is_first_known<'a>(mut waiting: impl Iterator<Item = &'a Job>) -> bool {
    let Some(first) = waiting.next() else { return true };
    let train = first.marks.train.filter(|_| !first.marks.is_error);
    waiting.all(|job| job.waits_since != first.waits_since || train.is_some() && job.marks.train == train)
}

pub(crate) struct Room<'a> {
    model: &'a Model,
    /// A neighbour for whom nobody waits any more, and how many did.
    gone: Option<(NeighborKey, usize)>,
    /// Packets that came to wait for each neighbour.
    waiting: BTreeMap<NeighborKey, usize>,
    waiting_sum: usize,
    /// Packets that routes came to keep.
    holds: BTreeMap<MrouteKey, usize>,
    made: usize,
    errors: u64,
    errors_are_frames: bool,
}

impl<'a> Room<'a> {
    pub(crate) fn new(model: &'a Model) -> Self {
        Room {
            model,
            gone: None,
            waiting: BTreeMap::new(),
            waiting_sum: 0,
            holds: BTreeMap::new(),
            made: 0,
            errors: 0,
            errors_are_frames: true,
        }
    }

    /// After so many packets have ceased to wait for a neighbour.
    pub(crate) fn after(model: &'a Model, gone: NeighborKey, count: usize) -> Self {
        Room { gone: Some((gone, count)), ..Room::new(model) }
    }

    fn tokens(&self) -> u64 {
        self.model.error_tokens()
    }

    /// Whether it is plain what becomes of this packet where it does not fit: one packet waits, and if the oldest gives
    /// way to it, it is known which that is.
    pub(crate) fn takes_alone(&self, outcome: &Outcome) -> bool {
        let is_plain = match (outcome.waits.as_slice(), outcome.holds.as_slice()) {
            ([], []) => true,
            ([(key, _)], []) => self.model.neighbors.get(key).is_none_or(|state| is_first_known(state.waiting.iter())),
            ([], [(key, _)]) => is_first_known(self.model.displaced_by(*key).map(|(_, job)| job)),
            _ => false,
        };
        is_plain && outcome.errors <= self.tokens()
    }

    /// Takes what comes of a packet, where it fits beside what was taken before.
    pub(crate) fn takes(&mut self, outcome: &Outcome) -> bool {
        let errors = self.errors + outcome.errors;
        // Whom the node would be told of would depend on which errors are held back, too.
        let is_told = |key: &NeighborKey| self.model.neighbors.get(key).is_some_and(|state| state.notify_use);
        let is_quiet = outcome.errors == 0 || !outcome.uses.iter().any(is_told);
        let errors_are_frames = self.errors_are_frames && is_quiet && outcome.errors_are_frames();
        if outcome.is_unknown || outcome.errors > 0 && errors > self.tokens() && !errors_are_frames {
            return false;
        }
        let limits = self.model.shape.limits;
        let mut waits: BTreeMap<NeighborKey, usize> = BTreeMap::new();
        for (key, _) in &outcome.waits {
            *waits.entry(*key).or_default() += 1;
        }
        let fits = waits.iter().all(|(key, &count)| {
            let there = match self.gone {
                Some((gone, _)) if gone == *key => 0,
                _ => self.model.neighbors.get(key).map_or(0, |state| state.waiting.len()),
            };
            there + self.waiting.get(key).copied().unwrap_or(0) + count <= WAITING_PER_NEIGHBOR
        });
        let is_new = |key: &&NeighborKey| !self.model.neighbors.contains_key(*key) && !self.waiting.contains_key(*key);
        let made = self.made + waits.keys().filter(is_new).count();
        let there = self.model.waiting - self.gone.map_or(0, |(_, count)| count);
        let is_room = there + self.waiting_sum + outcome.waits.len() <= limits.waiting_packets
            && self.model.unresolved + made <= limits.unresolved_neighbors
            && self.model.neighbors.len() + made <= limits.neighbors as usize;
        if !fits || !outcome.waits.is_empty() && !is_room {
            return false;
        }
        let mut holds = self.holds.clone();
        for (key, _) in &outcome.holds {
            *holds.entry(*key).or_default() += 1;
        }
        let has_place =
            |(key, count): (&MrouteKey, &usize)| self.model.held_of(*key) + count <= limits.held_packets_of_route;
        let held = self.model.held.len() + holds.values().sum::<usize>();
        if !outcome.holds.is_empty() && (held > limits.held_packets || !holds.iter().all(has_place)) {
            return false;
        }
        self.holds = holds;
        (self.errors, self.errors_are_frames, self.made) = (errors, errors_are_frames, made);
        self.waiting_sum += outcome.waits.len();
        for (key, count) in waits {
            *self.waiting.entry(key).or_default() += count;
        }
        true
    }
}
