//! Nodes: a slot for each value of the bits that a node decides, and the prefixes that end within it.
//!
//! A prefix that ends behind the node's last bit stands in its slot. A shorter one stands in a heap (the prefix of
//! `l` bits `b` at `2^l + b`, so that half the index is the next shorter one), which only updates read; lookups find it in
//! every slot of its range that no longer one has.

use super::bucket::Item;
use super::lines::{LINE_WORDS, Lines, Size};
use super::word::{Below, Leaf, Node, Word};
use core::ops::Range;

/// Bits that the root decides.
pub(super) const ROOT_STRIDE: u32 = 16;

impl Node {
    /// The node at the top, for which there is no word.
    pub(super) const ROOT: Node = Node { line: 0, depth: 0, stride: ROOT_STRIDE };

    /// Lines of the root: a word a slot, half a word a place of the heap.
    pub(super) const ROOT_LINES: usize = (1 << ROOT_STRIDE) * 3 / 2 / LINE_WORDS;

    /// A new node of four or eight bits.
    pub(super) fn new(lines: &mut Lines, depth: u32, stride: u32) -> Self {
        let size = if stride == 4 { Size::Sixteen } else { Size::TwoHundredFiftySix };
        Node { line: lines.take(size), depth, stride }
    }

    /// Takes the node back.
    pub(super) fn free(self, lines: &mut Lines) {
        lines.give_back(self.line, if self.stride == 4 { Size::Sixteen } else { Size::TwoHundredFiftySix });
    }

    /// The first bit behind those that the node decides.
    pub(super) fn end(self) -> u32 {
        self.depth + self.stride
    }

    /// Where the slots stand.
    pub(super) fn slots(self) -> Range<usize> {
        let first = self.line * LINE_WORDS;
        first..first + (1 << self.stride)
    }

    fn digit(self, bits: u128) -> usize {
        (bits >> (128 - self.end())) as usize & ((1 << self.stride) - 1)
    }

    /// Where the slot of an address stands.
    pub(super) fn slot(self, bits: u128) -> usize {
        self.line * LINE_WORDS + self.digit(bits)
    }

    /// Whether the prefix of this leaf ends behind the node's last bit.
    pub(super) fn is_exact(self, leaf: Leaf) -> bool {
        leaf.rank() == self.end() + 1
    }

    fn heap_place(self, index: usize) -> (usize, u32) {
        (self.line * LINE_WORDS + (1 << self.stride) + index / 2, index as u32 % 2 * 32)
    }

    /// The prefix at an index of the heap.
    pub(super) fn heap(self, lines: &Lines, index: usize) -> Leaf {
        let (at, shift) = self.heap_place(index);
        Leaf((lines[at] >> shift) as u32)
    }

    pub(super) fn set_heap(self, lines: &mut Lines, index: usize, leaf: Leaf) {
        let (at, shift) = self.heap_place(index);
        lines[at] = lines[at] & !(u64::from(u32::MAX) << shift) | u64::from(leaf.0) << shift;
    }

    /// The indexes of the heap.
    pub(super) fn heap_indexes(self) -> Range<usize> {
        2..1 << self.stride
    }

    /// The prefix at `index` of the heap or the longest around it, of those that end within the node.
    fn cover(self, lines: &Lines, mut index: usize) -> Leaf {
        while index > 1 {
            let leaf = self.heap(lines, index);
            if leaf != Leaf::NONE {
                return leaf;
            }
            index >>= 1;
        }
        Leaf::NONE
    }

    /// Index in the heap, and the slots, of a prefix that ends before the last bit.
    fn range(self, bits: u128, length: u32) -> (usize, Range<usize>) {
        let (own, rest) = (length - self.depth, self.end() - length);
        let first = self.slot(bits);
        (1 << own | self.digit(bits) >> rest, first..first + (1 << rest))
    }

    /// Sets a prefix that ends within the node; returns what it was.
    pub(super) fn set(self, lines: &mut Lines, item: Item) -> Leaf {
        if self.is_exact(item.leaf) {
            let at = self.slot(item.bits);
            let previous = Word(lines[at]).leaf();
            lines[at] = Word(lines[at]).with_leaf(item.leaf).0;
            return if self.is_exact(previous) { previous } else { Leaf::NONE };
        }
        let (index, slots) = self.range(item.bits, item.length());
        let previous = self.heap(lines, index);
        self.set_heap(lines, index, item.leaf);
        for slot in &mut lines[slots] {
            if Word(*slot).leaf().rank() <= item.leaf.rank() {
                *slot = Word(*slot).with_leaf(item.leaf).0;
            }
        }
        previous
    }

    /// Removes a prefix that ends within the node; returns what it was.
    pub(super) fn remove(self, lines: &mut Lines, bits: u128, length: u32) -> Leaf {
        if length == self.end() {
            let at = self.slot(bits);
            let previous = Word(lines[at]).leaf();
            if !self.is_exact(previous) {
                return Leaf::NONE;
            }
            let cover = self.cover(lines, (1 << self.stride | self.digit(bits)) >> 1);
            lines[at] = Word(lines[at]).with_leaf(cover).0;
            return previous;
        }
        let (index, slots) = self.range(bits, length);
        let previous = self.heap(lines, index);
        if previous != Leaf::NONE {
            self.set_heap(lines, index, Leaf::NONE);
            let cover = self.cover(lines, index >> 1);
            for slot in &mut lines[slots] {
                if Word(*slot).leaf().rank() == previous.rank() {
                    *slot = Word(*slot).with_leaf(cover).0;
                }
            }
        }
        previous
    }

    /// Gives every slot the longest prefix of the heap, but those that have their own.
    pub(super) fn spread(self, lines: &mut Lines) {
        debug_assert!(self.stride <= 8);
        let mut longest = [Leaf::NONE; 256];
        for index in self.heap_indexes() {
            longest[index] = self.heap(lines, index).or(longest[index >> 1]);
        }
        for (digit, at) in self.slots().enumerate() {
            let word = Word(lines[at]);
            if !self.is_exact(word.leaf()) {
                lines[at] = word.with_leaf(longest[(1 << self.stride | digit) >> 1]).0;
            }
        }
    }

    /// Whether at most `count` of slots and places of the heap hold something of their own.
    pub(super) fn holds_at_most(self, lines: &Lines, count: usize) -> bool {
        let slots = self.slots().filter(|&at| {
            let word = Word(lines[at]);
            word.below() != Below::Nothing || self.is_exact(word.leaf())
        });
        let prefixes = self.heap_indexes().filter(|&index| self.heap(lines, index) != Leaf::NONE);
        slots.chain(prefixes).nth(count).is_none()
    }
}
