//! Lines that end a walk or shorten it: buckets of up to four prefixes, and skips.
//!
//! A bucket's prefixes stand whole, in the order of their lengths, so that the last one that matches is the longest. In
//! the first line are the upper halves and behind each its leaf and the number of its bits that do not count; a wide bucket
//! has the lower halves in a second line, and masks of the bits that count. Free places repeat the first prefix: a lookup
//! compares four, always.

use super::lines::{LINE_WORDS, Lines, Size};
use super::word::{Below, Leaf, Word};
use arrayvec::ArrayVec;

/// Prefixes of a bucket at the most.
pub(super) const BUCKET: usize = 4;
/// In the word of a place: it repeats the first prefix.
const REPEATED: u64 = 1 << 31;
const REST_SHIFT: u32 = 32;

/// A skip's words: the bits in common, how many bits do not count, and the word behind them.
const SKIP_REST: usize = 2;
const SKIP_WORD: usize = 3;

/// A prefix and its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) bits: u128,
    pub(super) leaf: Leaf,
}

impl Item {
    pub(super) fn length(self) -> u32 {
        self.leaf.rank() - 1
    }

    /// Whether both are for the same prefix.
    pub(super) fn is_as(self, other: Item) -> bool {
        self.bits == other.bits && self.leaf.rank() == other.leaf.rank()
    }
}

/// How many bits two addresses have in common from the left.
pub(super) fn common(a: u128, b: u128) -> u32 {
    (a ^ b).leading_zeros()
}

/// The longest match in a narrow bucket at this place, else `best`.
#[inline(always)]
pub(super) fn narrow_match(line: &[u64; LINE_WORDS], high: u64, best: Leaf) -> Leaf {
    let mut best = best;
    for i in 0..BUCKET {
        let word = line[BUCKET + i];
        if (line[i] ^ high).wrapping_shr((word >> REST_SHIFT) as u32) == 0 {
            best = Word(word).leaf();
        }
    }
    best
}

/// The same in a wide bucket, and whether a prefix longer than /64 has the address's upper half.
#[inline(always)]
pub(super) fn wide_match(lines: &[u64; 2 * LINE_WORDS], [high, low]: [u64; 2], best: Leaf) -> (Leaf, bool) {
    let (mut best, mut deep) = (best, false);
    for i in 0..BUCKET {
        let (word, mask) = (lines[BUCKET + i], lines[3 * BUCKET + i]);
        let above = (lines[i] ^ high).wrapping_shr((word >> REST_SHIFT) as u32);
        best = core::hint::select_unpredictable(
            above | (lines[2 * BUCKET + i] ^ low) & mask == 0,
            Word(word).leaf(),
            best,
        );
        deep |= above == 0 && mask != 0;
    }
    (best, deep)
}

/// The word of a skip for an address with these bits; an empty one where the bits in common are not its own.
#[inline(always)]
pub(super) fn skip_match(line: &[u64; LINE_WORDS], [high, low]: [u64; 2]) -> Word {
    let differs = (wide(line[0], line[1]) ^ wide(high, low)).wrapping_shr(line[SKIP_REST] as u32) != 0;
    Word(if differs { 0 } else { line[SKIP_WORD] })
}

/// Whether a skip asks for bits of an address's lower half.
#[inline(always)]
pub(super) fn is_low_skip(line: &[u64; LINE_WORDS]) -> bool {
    line[SKIP_REST] < 64
}

fn wide(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// Where the word of a skip stands.
pub(super) fn skip_word(line: usize) -> usize {
    line * LINE_WORDS + SKIP_WORD
}

/// The bits in common of a skip, and where they end.
pub(super) fn skip_path(lines: &Lines, line: usize) -> (u128, u32) {
    let words = &lines[line * LINE_WORDS..];
    (wide(words[0], words[1]), 128 - words[SKIP_REST] as u32)
}

/// A new skip over bits in common that end at `depth`.
pub(super) fn new_skip(lines: &mut Lines, path: u128, depth: u32, word: Word) -> Below {
    let line = lines.take(Size::Line);
    let words = &mut lines[line * LINE_WORDS..];
    (words[0], words[1]) = ((path >> 64) as u64, path as u64);
    (words[SKIP_REST], words[SKIP_WORD]) = (u64::from(128 - depth), word.0);
    Below::Skip(line)
}

/// The prefixes of a bucket; none of anything else.
pub(super) fn items(lines: &Lines, below: Below) -> ArrayVec<Item, { BUCKET + 1 }> {
    let (line, is_wide) = match below {
        Below::Narrow(line) => (line, false),
        Below::Wide(line) => (line, true),
        _ => return ArrayVec::new(),
    };
    let words = &lines[line * LINE_WORDS..];
    let item = |i: usize| {
        let low = if is_wide { words[2 * BUCKET + i] } else { 0 };
        let word = words[BUCKET + i];
        (word & REPEATED == 0).then_some(Item { bits: wide(words[i], low), leaf: Word(word).leaf() })
    };
    (0..BUCKET).filter_map(item).collect()
}

/// A bucket of these prefixes, of which there are at most [`BUCKET`]; no bucket for none.
pub(super) fn new_bucket(lines: &mut Lines, items: &[Item]) -> Below {
    let Some(shortest) = items.iter().copied().min_by_key(|item| item.leaf.rank()) else { return Below::Nothing };
    let is_wide = items.iter().any(|item| item.length() > 64);
    let mut ordered = [shortest; BUCKET];
    let first = BUCKET - items.len();
    ordered[first..].copy_from_slice(items);
    ordered[first..].sort_unstable_by_key(|item| item.leaf.rank());
    let line = lines.take(if is_wide { Size::Pair } else { Size::Line });
    let words = &mut lines[line * LINE_WORDS..];
    for (i, item) in ordered.into_iter().enumerate() {
        let rest = 64_u32.saturating_sub(item.length());
        let repeated = if i < first { REPEATED } else { 0 };
        words[i] = (item.bits >> 64) as u64;
        words[BUCKET + i] = u64::from(rest) << REST_SHIFT | repeated | u64::from(item.leaf.0);
        if is_wide {
            words[2 * BUCKET + i] = item.bits as u64;
            words[3 * BUCKET + i] = u64::MAX.checked_shl(128 - item.length()).unwrap_or(0);
        }
    }
    if is_wide { Below::Wide(line) } else { Below::Narrow(line) }
}

/// Takes back a bucket or a skip.
pub(super) fn free(lines: &mut Lines, below: Below) {
    match below {
        Below::Narrow(line) | Below::Skip(line) => lines.give_back(line, Size::Line),
        Below::Wide(line) => lines.give_back(line, Size::Pair),
        Below::Nothing | Below::Node(_) => {}
    }
}
