//! The unicast forwarding table: longest prefix match (RFC 8200 leaves the how to us).
//!
//! A trie over the address: the first 16 bits index the root, then eight bits a level. A lookup therefore costs one
//! step for each eight bits of the longest prefix around its destination, however many prefix lengths are in use, and
//! [`Fib::lookup_batch`] takes a whole batch down a level at a time, so that the cache misses overlap.
//!
//! A node is one cache line. Of its 256 slots, neighbours that hold the same word form a run, and the node stores a word
//! a run: a bitmap marks where runs start, so a slot's word is found by counting bits. Up to six runs stand in the node
//! itself, more of them in an array of their own. A word is empty, a leaf (the prefix ends within this level) or a node.
//! Where both would be true the leaf goes down into the child as its fallback. So an update touches the slots of one
//! node and the fallbacks of its children, never a whole subtree.
//!
//! Each worker has a table of its own and is told every route: routes are few and change seldom compared to bindings
//! and trees, so there is nothing to share.

use super::prefetch::prefetch;
use crate::addr::Prefix;
use crate::packet::BATCH_SIZE;
use core::net::Ipv6Addr;
use std::collections::BTreeMap;

const ROOT_BITS: u32 = 16;
const INLINE: usize = 6;

/// What a slot holds: 0 nothing; bit 31 set, the number of a node; else a leaf, prefix length + 1 above 23 bits of value.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u32);

impl Word {
    const EMPTY: Word = Word(0);

    fn leaf(length: u8, value: u32) -> Self {
        debug_assert!(value <= MAX_VALUE);
        Word((u32::from(length) + 1) << 23 | value)
    }

    fn node(index: u32) -> Self {
        Word(1 << 31 | index)
    }

    #[inline(always)]
    fn as_node(self) -> Option<usize> {
        (self.0 >> 31 == 1).then_some((self.0 & 0x7fff_ffff) as usize)
    }

    /// Prefix length + 1 of a leaf, 0 of nothing.
    fn rank(self) -> u32 {
        self.0 >> 23
    }

    fn value(self) -> u32 {
        self.0 & MAX_VALUE
    }
}

/// The largest value that a route can have.
pub(crate) const MAX_VALUE: u32 = (1 << 23) - 1;

#[repr(C, align(64))]
#[derive(Clone)]
struct Node {
    /// Bit i: slot i starts a run. Bit 0 is always set.
    starts: [u64; 4],
    /// Runs that start before word i + 1 of `starts`.
    before: [u8; 3],
    /// Whether the words of the runs stand here.
    is_inline: bool,
    /// The leaf of this node's own prefix or a shorter one below the parent's level.
    fallback: Word,
    /// The words of the runs, or in the first the number of their array.
    runs: [u32; INLINE],
}

impl Node {
    #[inline(always)]
    fn rank(&self, slot: u8) -> usize {
        let word = usize::from(slot >> 6);
        let below = self.starts[word] & (u64::MAX >> (63 - (slot & 63)));
        let before = if word == 0 { 0 } else { self.before[word - 1] };
        usize::from(before) + below.count_ones() as usize - 1
    }
}

/// Longest prefix match from prefixes to small numbers.
pub(crate) struct Fib {
    root: Box<[Word]>,
    fallback: Word,
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    arrays: Vec<Vec<Word>>,
    free_arrays: Vec<u32>,
    prefixes: BTreeMap<Prefix, u32>,
}

/// Nodes for which room is reserved, for each prefix that is expected: so many are made where prefixes are a subnet's and
/// lie far apart.
const NODES_A_PREFIX: usize = 2;
/// Prefixes for each array of runs for which room is reserved.
const PREFIXES_AN_ARRAY: usize = 4;

impl Fib {
    /// An empty table. Up to about `prefixes` of them nothing is moved to make room, so that no insertion takes long: the
    /// memory is reserved, and costs the pages that are used.
    pub(crate) fn new(prefixes: usize) -> Self {
        Fib {
            root: vec![Word::EMPTY; 1 << ROOT_BITS].into_boxed_slice(),
            fallback: Word::EMPTY,
            nodes: Vec::with_capacity(prefixes.saturating_mul(NODES_A_PREFIX)),
            free_nodes: Vec::new(),
            arrays: Vec::with_capacity(prefixes / PREFIXES_AN_ARRAY),
            free_arrays: Vec::new(),
            prefixes: BTreeMap::new(),
        }
    }

    /// The value of the longest prefix that `address` is in.
    #[cfg(test)]
    pub(crate) fn lookup(&self, address: Ipv6Addr) -> Option<u32> {
        let bits = address.to_bits();
        let mut best = self.fallback;
        let mut word = self.root[(bits >> (128 - ROOT_BITS)) as usize];
        let mut shift = 128 - ROOT_BITS;
        while let Some(index) = word.as_node() {
            shift -= 8;
            let node = &self.nodes[index];
            if node.fallback != Word::EMPTY {
                best = node.fallback;
            }
            word = self.slot(node, (bits >> shift) as u8);
        }
        if word != Word::EMPTY {
            best = word;
        }
        (best != Word::EMPTY).then(|| best.value())
    }

    /// The value of the longest prefix around each address of a batch of at most [`BATCH_SIZE`].
    pub(crate) fn lookup_batch(&self, addresses: &[Ipv6Addr], values: &mut [Option<u32>]) {
        let mut best = [self.fallback; BATCH_SIZE];
        let mut word = [Word::EMPTY; BATCH_SIZE];
        let (mut walking, mut count) = ([0u8; BATCH_SIZE], 0);
        for (i, address) in addresses.iter().enumerate().take(BATCH_SIZE) {
            word[i] = self.root[(address.to_bits() >> (128 - ROOT_BITS)) as usize];
            match word[i].as_node() {
                Some(node) => {
                    prefetch(&self.nodes[node]);
                    walking[count] = i as u8;
                    count += 1;
                }
                None if word[i] != Word::EMPTY => best[i] = word[i],
                None => {}
            }
        }
        let mut shift = 128 - ROOT_BITS;
        while count > 0 {
            shift -= 8;
            let mut still = 0;
            for k in 0..count {
                let i = usize::from(walking[k]);
                let Some(node) = word[i].as_node() else { continue };
                let node = &self.nodes[node];
                if node.fallback != Word::EMPTY {
                    best[i] = node.fallback;
                }
                word[i] = self.slot(node, (addresses[i].to_bits() >> shift) as u8);
                if let Some(node) = word[i].as_node() {
                    prefetch(&self.nodes[node]);
                    walking[still] = i as u8;
                    still += 1;
                } else if word[i] != Word::EMPTY {
                    best[i] = word[i];
                }
            }
            count = still;
        }
        for (value, best) in values.iter_mut().zip(&best[..addresses.len()]) {
            *value = (*best != Word::EMPTY).then(|| best.value());
        }
    }

    /// Sets the value of a prefix; returns the one it had.
    ///
    /// # Panics
    /// For a value above [`MAX_VALUE`]: values are indexes whose number the caller limits.
    pub(crate) fn insert(&mut self, prefix: Prefix, value: u32) -> Option<u32> {
        assert!(value <= MAX_VALUE);
        let previous = self.prefixes.insert(prefix, value);
        let length = prefix.length();
        let rank = u32::from(length) + 1;
        self.replace(prefix, Word::leaf(length, value), |word| word.rank() <= rank);
        previous
    }

    /// Removes a prefix; returns its value.
    pub(crate) fn remove(&mut self, prefix: Prefix) -> Option<u32> {
        let value = self.prefixes.remove(&prefix)?;
        let rank = u32::from(prefix.length()) + 1;
        // What holds there now: the longest shorter prefix, where it ends on the same level; a shorter one is found as a
        // fallback on the way.
        let cover = (level_start(prefix.length())..prefix.length()).rev().find_map(|length| {
            let shorter = Prefix::new(prefix.address(), length)?;
            self.prefixes.get(&shorter).map(|&value| Word::leaf(length, value))
        });
        self.replace(prefix, cover.unwrap_or(Word::EMPTY), |word| word.rank() == rank);
        Some(value)
    }

    /// Puts `word` into the slots of `prefix` whose leaf `matches`, at the level where the prefix ends.
    fn replace(&mut self, prefix: Prefix, word: Word, matches: impl Fn(Word) -> bool) {
        let (bits, length) = (prefix.address().to_bits(), u32::from(prefix.length()));
        if length == 0 {
            self.fallback = word;
            return;
        }
        if length <= ROOT_BITS {
            let first = (bits >> (128 - ROOT_BITS)) as usize;
            for index in first..first + (1 << (ROOT_BITS - length)) {
                match self.root[index].as_node() {
                    Some(node) if matches(self.nodes[node].fallback) => self.nodes[node].fallback = word,
                    None if matches(self.root[index]) => self.root[index] = word,
                    _ => {}
                }
            }
            return;
        }
        // Down to the node in which the prefix ends; a leaf on the way becomes the fallback of a new node.
        let mut path = arrayvec::ArrayVec::<(usize, u8), 16>::new();
        let root_index = (bits >> (128 - ROOT_BITS)) as usize;
        let mut at = match self.root[root_index].as_node() {
            Some(node) => node,
            None => {
                let node = self.new_node(self.root[root_index]);
                self.root[root_index] = Word::node(node as u32);
                node
            }
        };
        let mut shift = 128 - ROOT_BITS - 8;
        while length > 128 - shift {
            let slot = (bits >> shift) as u8;
            let current = self.slot(&self.nodes[at], slot);
            let next = match current.as_node() {
                Some(node) => node,
                None => {
                    let node = self.new_node(current);
                    let mut slots = self.slots(at);
                    slots[usize::from(slot)] = Word::node(node as u32);
                    self.set_slots(at, &slots);
                    node
                }
            };
            path.push((at, slot));
            at = next;
            shift -= 8;
        }
        let first = usize::from((bits >> shift) as u8);
        let mut slots = self.slots(at);
        for slot in &mut slots[first..first + (1 << (128 - shift - length))] {
            match slot.as_node() {
                Some(node) if matches(self.nodes[node].fallback) => self.nodes[node].fallback = word,
                None if matches(*slot) => *slot = word,
                _ => {}
            }
        }
        self.set_slots(at, &slots);
        // Nodes that hold nothing any more go away again.
        while self.is_empty_node(at) {
            let fallback = self.nodes[at].fallback;
            self.free_node(at);
            match path.pop() {
                Some((parent, slot)) => {
                    let mut slots = self.slots(parent);
                    slots[usize::from(slot)] = fallback;
                    self.set_slots(parent, &slots);
                    at = parent;
                }
                None => {
                    self.root[root_index] = fallback;
                    break;
                }
            }
        }
    }

    #[inline(always)]
    fn slot(&self, node: &Node, slot: u8) -> Word {
        let rank = node.rank(slot);
        if node.is_inline { Word(node.runs[rank]) } else { self.arrays[node.runs[0] as usize][rank] }
    }

    fn is_empty_node(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.starts == [1, 0, 0, 0] && node.runs[0] == Word::EMPTY.0
    }

    fn slots(&self, node: usize) -> [Word; 256] {
        let node = &self.nodes[node];
        core::array::from_fn(|slot| self.slot(node, slot as u8))
    }

    fn set_slots(&mut self, index: usize, slots: &[Word; 256]) {
        let mut starts = [0u64; 4];
        let mut runs = Vec::with_capacity(8);
        for (i, &slot) in slots.iter().enumerate() {
            if i == 0 || slots[i - 1] != slot {
                starts[i >> 6] |= 1 << (i & 63);
                runs.push(slot);
            }
        }
        let mut before = [0u8; 3];
        let mut count = 0;
        for (before, word) in before.iter_mut().zip(starts) {
            count += word.count_ones() as u8;
            *before = count;
        }
        let is_inline = runs.len() <= INLINE;
        let array = (!self.nodes[index].is_inline).then(|| self.nodes[index].runs[0]);
        let mut stored = [0; INLINE];
        if is_inline {
            for (place, run) in stored.iter_mut().zip(&runs) {
                *place = run.0;
            }
            if let Some(array) = array {
                self.arrays[array as usize] = Vec::new();
                self.free_arrays.push(array);
            }
        } else {
            let array = array.or_else(|| self.free_arrays.pop()).unwrap_or_else(|| {
                self.arrays.push(Vec::new());
                self.arrays.len() as u32 - 1
            });
            self.arrays[array as usize] = runs;
            stored[0] = array;
        }
        let node = &mut self.nodes[index];
        (node.starts, node.before, node.is_inline, node.runs) = (starts, before, is_inline, stored);
    }

    fn new_node(&mut self, fallback: Word) -> usize {
        let node = Node { starts: [1, 0, 0, 0], before: [1; 3], is_inline: true, fallback, runs: [0; INLINE] };
        match self.free_nodes.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index as usize
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        }
    }

    fn free_node(&mut self, index: usize) {
        debug_assert!(self.nodes[index].is_inline);
        self.free_nodes.push(index as u32);
    }
}

/// The shortest prefix length that ends on the same level as `length`.
fn level_start(length: u8) -> u8 {
    match length {
        0 => 0,
        1..=16 => 1,
        _ => (length - 1) / 8 * 8 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(map: &BTreeMap<Prefix, u32>, address: Ipv6Addr) -> Option<u32> {
        map.iter().filter(|(p, _)| p.contains(address)).max_by_key(|(p, _)| p.length()).map(|(_, &v)| v)
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        // Few distinct bits, so that prefixes nest and meet.
        (prop::collection::vec(0u8..4, 16), 0u8..=128).prop_map(|(octets, length)| {
            let octets: [u8; 16] = core::array::from_fn(|i| octets[i] * if i % 2 == 0 { 0x55 } else { 0x40 });
            Prefix::new(octets.into(), length).unwrap()
        })
    }

    proptest! {
        #[test]
        fn matches_a_plain_map(operations in prop::collection::vec((prefix(), 0u32..1000, any::<bool>()), 1..120)) {
            let mut fib = Fib::new(8);
            let mut map = BTreeMap::new();
            for (prefix, value, add) in &operations {
                if *add {
                    prop_assert_eq!(fib.insert(*prefix, *value), map.insert(*prefix, *value));
                } else {
                    prop_assert_eq!(fib.remove(*prefix), map.remove(prefix));
                }
            }
            let probes: Vec<Ipv6Addr> = operations
                .iter()
                .flat_map(|(p, _, _)| {
                    let bits = p.address().to_bits();
                    [bits, bits | 1, bits ^ 1 << (128 - u32::from(p.length()).max(1)), !bits].map(Ipv6Addr::from_bits)
                })
                .collect();
            for chunk in probes.chunks(BATCH_SIZE) {
                let mut values = [None; BATCH_SIZE];
                fib.lookup_batch(chunk, &mut values);
                for (address, value) in chunk.iter().zip(values) {
                    prop_assert_eq!(value, reference(&map, *address));
                    prop_assert_eq!(fib.lookup(*address), value);
                }
            }
            for prefix in map.keys().copied().collect::<Vec<_>>() {
                fib.remove(prefix);
            }
            prop_assert_eq!(fib.free_nodes.len(), fib.nodes.len());
            prop_assert_eq!(fib.free_arrays.len(), fib.arrays.len());
        }
    }
}
