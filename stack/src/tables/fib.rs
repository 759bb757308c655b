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
//! slots have come to lead to nodes, all of them become one node of eight bits: one visit for two, at the price of twice
//! their memory or somewhat more. This is undone, a little later each, when prefixes go. An update touches the slots of one
//! node or one bucket, whose prefixes are all known on the spot: what covers a prefix that is removed stands in the same
//! node, and a shorter one is found on the way down. The most that an update can cost is the making of one node of eight
//! bits, but for prefixes shorter than /8, which fill many slots of the root.
//!
//! A node keeps the prefixes that end within it apart from its slots, so that nothing beside the trie has to know them.
//! Memory is mapped at the start, touched as it is needed, used again, and never moved (`lines`).
//!
//! [`Fib::lookup_batch`] takes a batch down a level at a time: what a level reads was asked for while the others of the
//! batch were looked at. Buckets come last, whatever level they are at; who is done drops out.
//!
//! Compared with others: DIR-24-8 reads twice at the most, at the price of rewriting up to 2^23 slots for one update, and
//! 128 bits would make it a trie of fourteen levels. Poptrie packs nodes of six bits by counting the bits of a map; it is
//! smaller, needs `popcnt`, which the baseline of x86-64 does not have, and moves arrays on updates. Here memory is spent
//! on slots that need no counting, and saved by not opening a node for fewer than five prefixes.
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
use core::mem::MaybeUninit;
use lines::{LINE_WORDS, Lines};
use node::ROOT_STRIDE;
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

/// The addresses of a batch that are at the same kind of place, in the order of the batch.
struct Walks([MaybeUninit<Walk>; BATCH_SIZE]);

impl Walks {
    const fn new() -> Self {
        Walks([MaybeUninit::uninit(); BATCH_SIZE])
    }

    /// Writes behind the `count` that there are; it counts or does not, without a branch.
    #[inline(always)]
    fn push_if(&mut self, condition: bool, walk: Walk, count: &mut usize) {
        self.0[*count].write(walk);
        *count += usize::from(condition);
    }

    /// # Safety
    /// At least `k + 1` walks were pushed.
    #[inline(always)]
    unsafe fn get(&self, k: usize) -> Walk {
        // SAFETY: what was pushed was written, and nothing makes it uninitialised again.
        unsafe { self.0[k].assume_init() }
    }
}

/// Where an address of a batch has got to: from the right the word to be read next (the first of its line unless it is a
/// slot; 32 bits), which address (8), and [`Word::line_form`] (8).
#[derive(Clone, Copy)]
struct Walk(u64);

impl Walk {
    #[inline(always)]
    fn place(self) -> usize {
        self.0 as u32 as usize
    }

    #[inline(always)]
    fn index(self) -> usize {
        (self.0 >> 32) as usize & 0xff
    }

    #[inline(always)]
    fn form(self) -> u64 {
        self.0 >> 40
    }
}

/// Takes an address on from the word that it has come to: what is the best of it, and where it goes.
#[inline(always)]
fn step(words: &[u64], word: Word, index: usize, address: [u64; 2], best: &mut Leaf) -> Walk {
    *best = word.leaf().or(*best);
    let place = word.line() * LINE_WORDS + word.digit(address);
    let form = word.line_form();
    prefetch(words.as_ptr().wrapping_add(place));
    if form > NARROW {
        prefetch(words.as_ptr().wrapping_add(place + LINE_WORDS));
    }
    Walk(place as u64 | (index as u64) << 32 | form << 40)
}

impl Fib {
    /// An empty table with room for at least `prefixes` that lie as those of networks do: [`LINES_A_PREFIX`] each, as long
    /// as there are not 2^26 in all (4 GiB). No insertion waits for memory to be moved, and none is touched before it is
    /// used.
    pub(crate) fn new(prefixes: usize) -> Self {
        let lines = prefixes.saturating_mul(LINES_A_PREFIX).saturating_add(Node::ROOT_LINES + SPARE_LINES);
        Fib { lines: Lines::new(lines.min(MAX_LINES), Node::ROOT_LINES), default: Leaf::NONE }
    }

    /// Whether there is room for one more prefix.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_for_any()
    }

    /// The value of the longest prefix around each address, of which the halves are given, of a batch of at most
    /// [`BATCH_SIZE`].
    ///
    /// Neighbours in a batch are often for one network: of such a run the first is looked up, and the others have what it
    /// has, where no bit of the lower half was asked for or they are the same address.
    pub(crate) fn lookup_batch(&self, addresses: &[[u64; 2]], values: &mut [Option<u32>]) {
        let addresses = &addresses[..addresses.len().min(BATCH_SIZE)];
        let mut best = [self.default; BATCH_SIZE];
        let Some(&[first, _]) = addresses.first() else { return };
        let (mut heads, mut count, mut before) = ([0; BATCH_SIZE], 0, !first);
        for (index, &[network, _]) in addresses.iter().enumerate() {
            heads[count] = index as u8;
            count += usize::from(network != before);
            before = network;
        }
        let deep = self.walk(addresses, &heads[..count], &mut best);
        if count < addresses.len() {
            let (mut others, mut count, mut head) = ([0; BATCH_SIZE], 0, 0);
            for (index, &[network, low]) in addresses.iter().enumerate() {
                if network != addresses[head][0] {
                    head = index;
                }
                if deep >> head & 1 == 0 || low == addresses[head][1] {
                    best[index] = best[head];
                } else {
                    others[count] = index as u8;
                    count += 1;
                }
            }
            self.walk(addresses, &others[..count], &mut best);
        }
        for (value, best) in values.iter_mut().zip(&best[..addresses.len()]) {
            *value = best.value();
        }
    }

    /// Looks up the addresses at `indexes`. Answers for which of them bits of the lower half were asked for, the first
    /// address being the lowest bit.
    fn walk(&self, addresses: &[[u64; 2]], indexes: &[u8], best: &mut [Leaf; BATCH_SIZE]) -> u64 {
        let words: &[u64] = &self.lines;
        // An address is in one of them at the most, and in none while it is looked at: both have room for it.
        let (mut nodes, mut ends) = (Walks::new(), Walks::new());
        let (mut node_count, mut end_count) = (0, 0);
        let mut deep = 0;
        for &index in indexes {
            let index = usize::from(index);
            let word = Word(words[(addresses[index][0] >> (64 - ROOT_STRIDE)) as usize]);
            let walk = step(words, word, index, addresses[index], &mut best[index]);
            nodes.push_if(word.is_node(), walk, &mut node_count);
            ends.push_if(walk.form() != 0, walk, &mut end_count);
        }
        while node_count + end_count > 0 {
            while node_count > 0 {
                for k in 0..core::mem::take(&mut node_count) {
                    // SAFETY: `k` is below what was pushed, and what is pushed here is at `k` at the most.
                    let walk = unsafe { nodes.get(k) };
                    let (word, index) = (Word(words[walk.place()]), walk.index());
                    let walk = step(words, word, index, addresses[index], &mut best[index]);
                    deep |= u64::from(word.is_low_node()) << index;
                    nodes.push_if(word.is_node(), walk, &mut node_count);
                    ends.push_if(walk.form() != 0, walk, &mut end_count);
                }
            }
            for k in 0..core::mem::take(&mut end_count) {
                // SAFETY: `k` is below what was pushed, and nothing is pushed here.
                let walk = unsafe { ends.get(k) };
                let (here, address) = (&words[walk.place()..], addresses[walk.index()]);
                let best = &mut best[walk.index()];
                let line = here.first_chunk().expect("a line");
                match walk.form() {
                    NARROW => *best = bucket::narrow_match(line, address[0], *best),
                    SKIP => {
                        // Behind a skip is a node, or the address has nothing to do with it.
                        let word = bucket::skip_match(line, address);
                        let walk = step(words, word, walk.index(), address, best);
                        deep |= u64::from(bucket::is_low_skip(line) || word.is_low_node()) << walk.index();
                        nodes.push_if(word.is_node(), walk, &mut node_count);
                    }
                    _ => {
                        let lines = here.first_chunk().expect("two lines");
                        let (found, is_deep) = bucket::wide_match(lines, address, *best);
                        *best = found;
                        deep |= u64::from(is_deep) << walk.index();
                    }
                }
            }
        }
        deep
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
