//! The unicast forwarding table: longest prefix match (RFC 8200 leaves the how to us).
//!
//! A trie over the address whose *nodes* are read directly and whose ends are *buckets* of whole prefixes:
//!
//! - The root decides the first 16 bits; a node decides four or eight more, with a slot of eight octets for each value of
//!   them. One read of one slot gives the longest prefix that ends within the node around an address, and what lies below.
//! - What lies below is nothing, a node, a bucket, or a skip. A bucket is one cache line with up to four prefixes of any
//!   length beyond the slot's, which are compared whole (two lines, where one of them is longer than /64). So a branch of
//!   the trie is as deep as it takes to have four prefixes or fewer left, and a lone route is the root's slot and a bucket.
//! - A skip is a line with the bits that everything below has in common, and the node behind them.
//!
//! The fifth prefix of a bucket makes it a node of four bits, where its prefixes first differ. Where eight of a node's 16
//! slots have come to lead to nodes, they become one node of eight bits; it takes no more memory than they did. All this is undone, a
//! little later each, when prefixes go. An update touches the slots of one node or one bucket, whose prefixes are all
//! known on the spot: what covers a prefix that is removed stands in the same node, and a shorter one is found on the way
//! down. The most that an update can cost is the making of one node of eight bits.
//!
//! A node keeps the prefixes that end within it apart from its slots, so that nothing beside the trie has to know them.
//! Memory is mapped at the start, touched as it is needed, used again, and never moved (`lines`).
//!
//! [`Fib::lookup_batch`] takes a batch down a level at a time: what a level reads was asked for while the others of the
//! batch were looked at. Buckets come last, whatever level they are at; who is done drops out.
//!
//! Compared with others: DIR-24-8 has two reads for every lookup, at the price of rewriting up to 2^24 slots for one
//! update, and 128-bit addresses would make it a trie of fourteen levels. Poptrie packs nodes of six bits by counting the
//! bits of a map; it is smaller, needs `popcnt`, which the baseline of x86-64 does not have, and moves arrays on updates.
//! Here memory is spent on slots that need no counting, and saved by not opening a node for fewer than five prefixes.
//!
//! Each worker has a table of its own and is told every route: routes are few and change seldom compared to bindings
//! and trees, so there is nothing to share.

mod bucket;
mod lines;
mod node;
mod update;
mod word;

use super::prefetch::prefetch;
use crate::addr::Prefix;
use crate::packet::BATCH_SIZE;
use core::net::Ipv6Addr;
use lines::{LINE_WORDS, Lines};
use word::{Leaf, MAX_LINES, NARROW, Node, SKIP, Word};

pub(crate) use word::MAX_VALUE;

/// Lines for each prefix at the most, on average; random ones take less than one.
const LINES_A_PREFIX: usize = 8;
/// Lines for a few prefixes that need many.
const SPARE_LINES: usize = 4096;

/// Longest prefix match from prefixes to small numbers.
pub(crate) struct Fib {
    /// The root, then the other nodes, buckets and skips.
    lines: Lines,
    /// The default route.
    default: Leaf,
}

/// Where an address of a batch has got to.
#[derive(Clone, Copy)]
struct Walk {
    /// The word to be read next, the first of its line unless it is a slot.
    place: u32,
    /// Which address.
    index: u8,
    /// [`Word::line_form`].
    form: u8,
}

/// The addresses of a batch: the longest prefix so far of each, and those that are not done.
struct Walks {
    best: [Leaf; BATCH_SIZE],
    /// At a slot.
    nodes: [Walk; BATCH_SIZE],
    node_count: usize,
    /// At a bucket or a skip.
    ends: [Walk; BATCH_SIZE],
    end_count: usize,
}

impl Walks {
    /// Takes an address on from the word that it has come to.
    #[inline(always)]
    fn step(&mut self, words: &[u64], word: Word, index: u8, octets: &[u8; 16]) {
        let best = &mut self.best[usize::from(index) % BATCH_SIZE];
        *best = word.leaf().or(*best);
        let place = word.line() * LINE_WORDS + word.digit(octets);
        let form = word.line_form();
        prefetch(words.as_ptr().wrapping_add(place));
        if form > NARROW {
            prefetch(words.as_ptr().wrapping_add(place + LINE_WORDS));
        }
        // Without a branch: both lists have room for one more, which counts for one of them or for none.
        let walk = Walk { place: place as u32, index, form: form as u8 };
        self.nodes[self.node_count % BATCH_SIZE] = walk;
        self.node_count += usize::from(word.is_node());
        self.ends[self.end_count % BATCH_SIZE] = walk;
        self.end_count += usize::from(form != 0);
    }
}

impl Fib {
    /// An empty table with room for at least `prefixes` that lie as those of networks do. No insertion waits for memory
    /// to be moved, and none is touched before it is used.
    pub(crate) fn new(prefixes: usize) -> Self {
        let lines = prefixes.saturating_mul(LINES_A_PREFIX).saturating_add(Node::ROOT_LINES + SPARE_LINES);
        Fib { lines: Lines::new(lines.min(MAX_LINES), Node::ROOT_LINES), default: Leaf::NONE }
    }

    /// Whether there is room for one more prefix.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for_any()
    }

    /// The value of the longest prefix around each address of a batch of at most [`BATCH_SIZE`].
    pub(crate) fn lookup_batch(&self, addresses: &[Ipv6Addr], values: &mut [Option<u32>]) {
        let words: &[u64] = &self.lines;
        let nothing = Walk { place: 0, index: 0, form: 0 };
        let mut walks = Walks {
            best: [self.default; BATCH_SIZE],
            nodes: [nothing; BATCH_SIZE],
            node_count: 0,
            ends: [nothing; BATCH_SIZE],
            end_count: 0,
        };
        for (index, address) in addresses.iter().enumerate().take(BATCH_SIZE) {
            let octets = &address.octets();
            let slot = usize::from(u16::from_be_bytes([octets[0], octets[1]]));
            walks.step(words, Word(words[slot]), index as u8, octets);
        }
        while walks.node_count + walks.end_count > 0 {
            while walks.node_count > 0 {
                for k in 0..core::mem::take(&mut walks.node_count) {
                    let Walk { place, index, .. } = walks.nodes[k];
                    walks.step(words, Word(words[place as usize]), index, &addresses[usize::from(index)].octets());
                }
            }
            for k in 0..core::mem::take(&mut walks.end_count) {
                let Walk { place, index, form } = walks.ends[k];
                let (words_here, address) = (&words[place as usize..], &addresses[usize::from(index)]);
                let best = &mut walks.best[usize::from(index)];
                let line = words_here.first_chunk().expect("a line");
                match u64::from(form) {
                    NARROW => *best = bucket::narrow_match(line, (address.to_bits() >> 64) as u64, *best),
                    SKIP => {
                        let word = bucket::skip_match(line, address.to_bits());
                        walks.step(words, word, index, &address.octets());
                    }
                    _ => {
                        let lines = words_here.first_chunk().expect("two lines");
                        *best = bucket::wide_match(lines, address.to_bits(), *best);
                    }
                }
            }
        }
        for (value, best) in values.iter_mut().zip(&walks.best[..addresses.len()]) {
            *value = best.value();
        }
    }

    /// Sets the value of a prefix; returns the one it had.
    ///
    /// # Panics
    /// For a value above [`MAX_VALUE`]: values are indexes whose number the caller limits. For a new prefix where
    /// [`Fib::has_room`] says that there is none.
    pub(crate) fn insert(&mut self, prefix: Prefix, value: u32) -> Option<u32> {
        assert!(value <= MAX_VALUE);
        let leaf = Leaf::new(prefix.length().into(), value);
        let previous = if prefix.length() == 0 {
            core::mem::replace(&mut self.default, leaf)
        } else {
            self.put(0, Node::ROOT, bucket::Item { bits: prefix.address().to_bits(), leaf })
        };
        previous.value()
    }

    /// Removes a prefix; returns its value.
    pub(crate) fn remove(&mut self, prefix: Prefix) -> Option<u32> {
        let leaf = if prefix.length() == 0 {
            core::mem::replace(&mut self.default, Leaf::NONE)
        } else {
            self.take(prefix.address().to_bits(), prefix.length().into())
        };
        leaf.value()
    }
}

#[cfg(test)]
mod tests;
