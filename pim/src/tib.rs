//! The tree information base: one entry for each (S,G) and (*,G) of which something is known (RFC 7761 §4.1.2, §4.1.3,
//! §4.1.4), and the two timers that nearly every entry has. A (*,G) has the unspecified address as source.
//!
//! There may be a million entries, so that an entry is small ([`entry`]), and what finds it costs few octets more: a slot
//! number in a hash table for its key, and its place in three lists, by root and by either timer. What is known of a root
//! is known once. Lists and slots are in the order of what happened; whatever leaves here in an order is sorted.

mod agenda;
mod entry;
mod index;
mod slab;
mod way;

pub(crate) use agenda::Agenda;
pub(crate) use entry::{Entry, SharedState};
pub(crate) use slab::{Chain, EntryId, Slab};
pub(crate) use way::Way;

use crate::join_timer::{Due, JoinTimers};
use crate::rpf::LinkNeighbor;
use core::net::Ipv6Addr;
use index::Index;
use slab::List;
use stack::addr::Prefix;
use stack::machine::PortId;
use stack::rng::Rng;
use stack::tables::MrouteKey;
use stack::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use way::Ways;

/// The entries.
#[derive(Debug)]
pub(crate) struct Tib {
    slab: Slab<Entry>,
    index: Index,
    /// Entries by what their trees grow towards.
    by_root: BTreeMap<Ipv6Addr, List>,
    /// Sources of the (S,G) entries, by any-source group.
    by_group: BTreeMap<Ipv6Addr, BTreeSet<Ipv6Addr>>,
    ways: Ways,
    expiries: Agenda,
    join_timers: JoinTimers,
}

impl Tib {
    /// No entry. `period` is t_periodic.
    pub(crate) fn new(seed: u64, period: Duration) -> Self {
        Tib {
            slab: Slab::default(),
            index: Index::new(seed),
            by_root: BTreeMap::new(),
            by_group: BTreeMap::new(),
            ways: Ways::default(),
            expiries: Agenda::new(Chain::Expiry),
            join_timers: JoinTimers::new(period),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    fn find(&self, key: MrouteKey) -> Option<EntryId> {
        self.index.find(key, |id| self.slab.get(id).map(Entry::key))
    }

    pub(crate) fn get(&self, key: MrouteKey) -> Option<&Entry> {
        self.slab.get(self.find(key)?)
    }

    pub(crate) fn get_mut(&mut self, key: MrouteKey) -> Option<&mut Entry> {
        self.slab.get_mut(self.find(key)?)
    }

    /// Makes the entry, which is not there yet. With `shared` it is that of a source of an any-source group.
    pub(crate) fn insert(&mut self, key: MrouteKey, root: Ipv6Addr, way: Way, shared: Option<Box<SharedState>>) {
        let is_of_any_source_group = shared.is_some();
        let entry = Entry::new(key, root, self.ways.take(way), shared);
        let root = entry.root();
        let Ok(id) = self.slab.insert(entry) else { return };
        self.index.insert(key, id, |id| self.slab.get(id).map(Entry::key));
        self.slab.append(self.by_root.entry(root).or_insert(List::EMPTY), Chain::Root, id);
        if is_of_any_source_group {
            self.by_group.entry(key.group).or_default().insert(key.source);
        }
    }

    /// Removes the entry and its timers.
    pub(crate) fn remove(&mut self, key: MrouteKey) {
        let Some(id) = self.find(key) else { return };
        self.set_join_timer_of(id, None);
        self.set_expiry_of(id, None);
        let Some(entry) = self.slab.get(id) else { return };
        let root = entry.root();
        self.leave_root(root, id);
        self.index.remove(key, id);
        let Some(entry) = self.slab.remove(id) else { return };
        if self.slab.len() == 0 {
            self.index.clear();
        }
        if entry.shared.is_some()
            && let Some(sources) = self.by_group.get_mut(&key.group)
        {
            sources.remove(&key.source);
            if sources.is_empty() {
                self.by_group.remove(&key.group);
            }
        }
        self.ways.give_back(entry.into_way());
    }

    fn leave_root(&mut self, root: Ipv6Addr, id: EntryId) {
        if let Some(list) = self.by_root.get_mut(&root)
            && self.slab.unlink(list, Chain::Root, id)
        {
            self.by_root.remove(&root);
        }
    }

    /// Gives a (*,G) another root; answers the one that it had.
    pub(crate) fn set_root(&mut self, key: MrouteKey, root: Ipv6Addr) -> Option<Ipv6Addr> {
        let id = self.find(key)?;
        let former = self.slab.get(id)?.root();
        self.leave_root(former, id);
        self.slab.append(self.by_root.entry(root).or_insert(List::EMPTY), Chain::Root, id);
        self.slab.get_mut(id)?.set_root(root);
        Some(former)
    }

    /// Gives an entry another way to its root; answers the one that it had, where that is another.
    pub(crate) fn set_way(&mut self, key: MrouteKey, way: Way) -> Option<Way> {
        let id = self.find(key)?;
        let entry = self.slab.get_mut(id).filter(|entry| **entry.way() != way)?;
        let former = entry.set_way(self.ways.take(way));
        let answer = *former;
        self.ways.give_back(former);
        Some(answer)
    }

    /// Whether the way of any entry leads over this port.
    pub(crate) fn has_way_over(&self, port: PortId) -> bool {
        self.ways.has(port)
    }

    /// The entries, in the order of their keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (MrouteKey, &Entry)> {
        let mut all: Vec<(MrouteKey, EntryId)> = self.slab.iter().map(|(id, entry)| (entry.key(), id)).collect();
        all.sort_unstable();
        all.into_iter().filter_map(|(key, id)| Some((key, self.slab.get(id)?)))
    }

    /// The entries from this slot on, in the order of their slots, each with its own: whoever goes on later has cost only
    /// what it looked at.
    pub(crate) fn iter_from_slot(&self, slot: usize) -> impl Iterator<Item = (usize, MrouteKey, &Entry)> {
        (slot..self.slots()).filter_map(|slot| {
            let entry = self.at_slot(slot)?;
            Some((slot, entry.key(), entry))
        })
    }

    /// Keys of the entries of which `wanted` holds, in order.
    pub(crate) fn keys_where(&self, mut wanted: impl FnMut(&Entry) -> bool) -> Vec<MrouteKey> {
        let entries = self.slab.iter().filter(|(_, entry)| wanted(entry));
        let mut keys: Vec<MrouteKey> = entries.map(|(_, entry)| entry.key()).collect();
        keys.sort_unstable();
        keys
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.slab.slots()
    }

    /// The entry that stands in a slot, if one does.
    pub(crate) fn at_slot(&self, slot: usize) -> Option<&Entry> {
        self.slab.get(EntryId(u32::try_from(slot).ok()?))
    }

    /// Keys of the entries whose source, or rendezvous point, has this prefix: those of sources first, each in order.
    /// `None` where there are more than `most`.
    pub(crate) fn keys_rooted_in(&self, prefix: Prefix, most: usize) -> Option<Vec<MrouteKey>> {
        let first = prefix.address();
        let host_bits = u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0);
        let last = Ipv6Addr::from_bits(first.to_bits() | host_bits);
        let lists = self.by_root.range(first..=last).map(|(_, &list)| list);
        let entries = lists.flat_map(|list| self.slab.list(list, Chain::Root)).filter_map(|id| self.slab.get(id));
        let mut keys: Vec<(bool, Ipv6Addr, MrouteKey)> = entries
            .map(|entry| {
                let key = entry.key();
                (key.source.is_unspecified(), entry.root(), key)
            })
            .take(most.saturating_add(1))
            .collect();
        if keys.len() > most {
            return None;
        }
        keys.sort_unstable();
        Some(keys.into_iter().map(|(.., key)| key).collect())
    }

    /// Keys of the (S,G) entries of an any-source group.
    pub(crate) fn sources_of(&self, group: Ipv6Addr) -> Vec<MrouteKey> {
        self.by_group.get(&group).into_iter().flatten().map(|&source| MrouteKey { source, group }).collect()
    }

    /// Starts, moves or stops the join timer of an entry that has a neighbour upstream.
    pub(crate) fn set_join_timer(&mut self, key: MrouteKey, at: Option<Instant>) {
        if let Some(id) = self.find(key) {
            self.set_join_timer_of(id, at);
        }
    }

    fn set_join_timer_of(&mut self, id: EntryId, at: Option<Instant>) {
        let Some(entry) = self.slab.get_mut(id) else { return };
        let Some(neighbor) = entry.upstream_neighbor() else { return };
        let previous = entry.join_timer();
        if previous == at {
            return;
        }
        entry.set_join_timer(at);
        self.join_timers.set(&mut self.slab, neighbor, id, previous, at);
    }

    /// When the first join timer of this neighbour's entries expires.
    pub(crate) fn next_join(&self, neighbor: LinkNeighbor) -> Option<Instant> {
        self.join_timers.next_deadline(neighbor)
    }

    /// When the next join of an entry leaves, where one has left to this neighbour now.
    pub(crate) fn next_refresh(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        neighbor: LinkNeighbor,
        per_packet: usize,
    ) -> Instant {
        self.join_timers.next_refresh(rng, now, neighbor, per_packet)
    }

    /// Stops the join timers of this neighbour's entries that are to run now ([`JoinTimers::take_due`]).
    pub(crate) fn take_due_joins(&mut self, neighbor: LinkNeighbor, due: Due) -> Vec<MrouteKey> {
        let mut keys = Vec::new();
        for id in self.join_timers.take_due(&mut self.slab, neighbor, due) {
            if let Some(entry) = self.slab.get_mut(id) {
                entry.set_join_timer(None);
                keys.push(entry.key());
            }
        }
        keys
    }

    /// Starts, moves or stops the expiry timer that an entry holds itself.
    pub(crate) fn set_expiry(&mut self, key: MrouteKey, expiry: Option<(PortId, Instant)>) {
        if let Some(id) = self.find(key) {
            self.set_expiry_of(id, expiry);
        }
    }

    fn set_expiry_of(&mut self, id: EntryId, expiry: Option<(PortId, Instant)>) {
        let Some(entry) = self.slab.get_mut(id) else { return };
        let previous = entry.expiry();
        entry.set_expiry(expiry);
        if let Some((_, at)) = previous {
            self.expiries.remove(&mut self.slab, id, at);
        }
        if let Some((_, at)) = expiry {
            self.expiries.add(&mut self.slab, id, at);
        }
    }

    /// When the first of the expiry timers that entries hold themselves expires.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(at, _)| at)
    }

    /// The first of the expiry timers that entries hold themselves: when, and whose.
    pub(crate) fn first_expiry(&self) -> Option<(Instant, MrouteKey, PortId)> {
        let (at, id) = self.expiries.first()?;
        let entry = self.slab.get(id)?;
        Some((at, entry.key(), entry.expiry()?.0))
    }
}

/// The name of (*,G).
pub(crate) const fn any_source_key(group: Ipv6Addr) -> MrouteKey {
    MrouteKey { source: Ipv6Addr::UNSPECIFIED, group }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpf::{RouteMetric, RpfInfo};
    use proptest::prelude::*;

    fn key(source: u16, group: u16) -> MrouteKey {
        let source = match source {
            0 => Ipv6Addr::UNSPECIFIED,
            _ => Ipv6Addr::new(0x2001, 0xdb8, source / 2, 0, 0, 0, 0, source),
        };
        MrouteKey { source, group: Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, group) }
    }

    fn way(port: u8) -> Way {
        let neighbor = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, port.into());
        let rpf = RpfInfo::Via { port: PortId(port), next_hop: neighbor, neighbor: Some(neighbor) };
        Way { rpf, metric: RouteMetric::default() }
    }

    /// What is known of an entry, as plain as can be.
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Plain {
        root: Ipv6Addr,
        way: Way,
        has_shared_tree: bool,
        join_timer: Option<Instant>,
        expiry: Option<(PortId, Instant)>,
    }

    proptest! {
        #[test]
        fn matches_plain_maps(
            operations in prop::collection::vec((0u8..9, 0u16..5, 0u16..5, 0u8..3, 0u64..6), 0..250),
        ) {
            let mut tib = Tib::new(1, Duration::from_secs(60));
            let mut plain: BTreeMap<MrouteKey, Plain> = BTreeMap::new();
            for (operation, source, group, port, secs) in operations {
                let key = key(source, group);
                let at = (secs > 0).then(|| Instant::from_secs(secs));
                let root = match source {
                    0 => Ipv6Addr::new(0x2001, 0xdb8, port.into(), 0, 0, 0, 0, 0xff),
                    _ => key.source,
                };
                let known = plain.get_mut(&key);
                match (operation, known) {
                    (0..=2, None) => {
                        let has_shared_tree = source > 0 && group > 2;
                        tib.insert(key, root, way(port), has_shared_tree.then(Box::default));
                        let entry = Plain { root, way: way(port), has_shared_tree, join_timer: None, expiry: None };
                        plain.insert(key, entry);
                    }
                    (3, Some(_)) => {
                        tib.remove(key);
                        plain.remove(&key);
                    }
                    (4, Some(known)) if source == 0 => {
                        prop_assert_eq!(tib.set_root(key, root), Some(known.root));
                        known.root = root;
                    }
                    (5, Some(known)) => {
                        // As a router does: the timer is another neighbour's then.
                        tib.set_join_timer(key, None);
                        let former = core::mem::replace(&mut known.way, way(port));
                        known.join_timer = None;
                        prop_assert_eq!(tib.set_way(key, way(port)), (former != way(port)).then_some(former));
                        let entry = tib.get_mut(key).unwrap();
                        prop_assert_eq!(entry.upstream_neighbor(), former.rpf.neighbor());
                        entry.set_upstream_neighbor(way(port).rpf.neighbor());
                    }
                    (6, Some(known)) => {
                        tib.set_join_timer(key, at);
                        known.join_timer = at;
                    }
                    (7 | 8, Some(known)) => {
                        known.expiry = at.map(|at| (PortId(port), at));
                        tib.set_expiry(key, known.expiry);
                    }
                    _ => {}
                }
                prop_assert_eq!(tib.len(), plain.len());
                let entries: Vec<_> = tib.iter().map(|(key, entry)| (key, Plain {
                    root: entry.root(),
                    way: **entry.way(),
                    has_shared_tree: entry.shared.is_some(),
                    join_timer: entry.join_timer(),
                    expiry: entry.expiry(),
                })).collect();
                prop_assert_eq!(&entries, &plain.iter().map(|(&key, &entry)| (key, entry)).collect::<Vec<_>>());
                prop_assert_eq!(tib.get(key).is_some(), plain.contains_key(&key));
                // A walk that is taken up at each slot anew meets every entry once.
                let (mut walked, mut slot) = (BTreeSet::new(), 0);
                while let Some((at, key, _)) = tib.iter_from_slot(slot).next() {
                    prop_assert!(walked.insert(key));
                    slot = at + 1;
                }
                prop_assert!(walked.iter().eq(plain.keys()));
                let first = plain.values().filter_map(|entry| Some(entry.expiry?.1)).min();
                prop_assert_eq!(tib.first_expiry().map(|(at, ..)| at), first);
                if let Some((at, key, port)) = tib.first_expiry() {
                    prop_assert_eq!(plain[&key].expiry, Some((port, at)));
                }
                for port in 0..3 {
                    let neighbor = way(port).rpf.neighbor().unwrap();
                    let of_neighbor = plain.values().filter(|entry| entry.way == way(port));
                    prop_assert_eq!(tib.next_join(neighbor), of_neighbor.filter_map(|entry| entry.join_timer).min());
                    prop_assert_eq!(tib.has_way_over(PortId(port)), plain.values().any(|entry| entry.way == way(port)));
                }
                for (prefix, subnet) in [("2001:db8::/32", None), ("2001:db8:1::/48", Some(1))] {
                    let is_in = |entry: &Plain| subnet.is_none_or(|subnet| entry.root.segments()[2] == subnet);
                    let mut expected: Vec<_> = plain.iter().filter(|(_, entry)| is_in(entry)).collect();
                    expected.sort_by_key(|(key, entry)| (key.source.is_unspecified(), entry.root, **key));
                    let expected: Vec<_> = expected.into_iter().map(|(&key, _)| key).collect();
                    let prefix = prefix.parse().unwrap();
                    let most = expected.len();
                    prop_assert_eq!(tib.keys_rooted_in(prefix, most), Some(expected));
                    prop_assert!(most == 0 || tib.keys_rooted_in(prefix, most - 1).is_none());
                }
                let sources = plain.iter().filter(|(other, entry)| other.group == key.group && entry.has_shared_tree);
                prop_assert_eq!(tib.sources_of(key.group), sources.map(|(&key, _)| key).collect::<Vec<_>>());
            }
        }
    }
}
