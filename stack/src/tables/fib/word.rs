//! What a position of the trie holds, in one word: the longest prefix that is known there, and what lies below.

/// The largest value that a route can have.
pub(crate) const MAX_VALUE: u32 = (1 << 23) - 1;

const VALUE_BITS: u32 = 23;
const LEAF_BITS: u32 = 31;
const LINE_BITS: u32 = 26;
const NIBBLE_SHIFT: u32 = LEAF_BITS + LINE_BITS;
const FORM_SHIFT: u32 = NIBBLE_SHIFT + 5;
const LEAF_MASK: u64 = (1 << LEAF_BITS) - 1;

/// Lines that a word can name.
pub(super) const MAX_LINES: usize = 1 << LINE_BITS;

/// A prefix's length and value in 31 bits, the length plus one above 23 bits of value; zero is no prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leaf(pub(super) u32);

impl Leaf {
    pub(super) const NONE: Leaf = Leaf(0);

    pub(super) fn new(length: u32, value: u32) -> Self {
        debug_assert!(length <= 128 && value <= MAX_VALUE);
        Leaf((length + 1) << VALUE_BITS | value)
    }

    /// The prefix length plus one, zero for none: of two leaves the one with the higher rank counts.
    pub(super) fn rank(self) -> u32 {
        self.0 >> VALUE_BITS
    }

    #[inline(always)]
    pub(super) fn value(self) -> Option<u32> {
        (self != Leaf::NONE).then_some(self.0 & MAX_VALUE)
    }

    /// This leaf, or where it is none the other.
    #[inline(always)]
    pub(super) fn or(self, other: Leaf) -> Leaf {
        core::hint::select_unpredictable(self == Leaf::NONE, other, self)
    }
}

/// A node: where it begins, the bits in front of it, and how many bits it decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) depth: u32,
    pub(super) stride: u32,
}

/// What lies below a position: the longer prefixes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Below {
    Nothing,
    /// A bucket whose prefixes are /64 or shorter.
    Narrow(usize),
    /// A bucket with longer ones.
    Wide(usize),
    /// All have some more bits in common, which stand in this line with the word behind them.
    Skip(usize),
    Node(Node),
}

/// From the top: the form of what lies below (2 bits), how many nibbles of the address are behind those that a node
/// decides (5), where it lies (26), and a [`Leaf`] (31). Form 0 is no node, and in place of the nibbles stands which: 0
/// nothing, 1 and 2 buckets, 3 a skip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word(pub(super) u64);

const ONE_NIBBLE: u64 = 1;
const TWO_NIBBLES: u64 = 2;

pub(super) const NARROW: u64 = 1;
const WIDE: u64 = 2;
pub(super) const SKIP: u64 = 3;

impl Word {
    #[inline(always)]
    pub(super) fn leaf(self) -> Leaf {
        Leaf((self.0 & LEAF_MASK) as u32)
    }

    pub(super) fn with_leaf(self, leaf: Leaf) -> Self {
        Word(self.0 & !LEAF_MASK | u64::from(leaf.0))
    }

    pub(super) fn with_below(self, below: Below) -> Self {
        let (form, behind, line) = match below {
            Below::Nothing => (0, 0, 0),
            Below::Narrow(line) => (0, NARROW, line),
            Below::Wide(line) => (0, WIDE, line),
            Below::Skip(line) => (0, SKIP, line),
            Below::Node(Node { line, depth, stride }) => {
                let form = if stride == 4 { ONE_NIBBLE } else { TWO_NIBBLES };
                (form, u64::from(128 - depth - stride) / 4, line)
            }
        };
        debug_assert!(line < MAX_LINES && behind < 32);
        Word(self.0 & LEAF_MASK | (line as u64) << LEAF_BITS | behind << NIBBLE_SHIFT | form << FORM_SHIFT)
    }

    pub(super) fn below(self) -> Below {
        let (line, behind) = (self.line(), self.0 >> NIBBLE_SHIFT & 31);
        let node = |stride| Below::Node(Node { line, depth: 128 - stride - behind as u32 * 4, stride });
        match (self.0 >> FORM_SHIFT, behind) {
            (ONE_NIBBLE, _) => node(4),
            (TWO_NIBBLES, _) => node(8),
            (_, NARROW) => Below::Narrow(line),
            (_, WIDE) => Below::Wide(line),
            (_, SKIP) => Below::Skip(line),
            _ => Below::Nothing,
        }
    }

    /// Whether a node lies below.
    #[inline(always)]
    pub(super) fn is_node(self) -> bool {
        self.0 >> FORM_SHIFT != 0
    }

    /// Whether a node lies below that asks for bits of an address's lower half. (The root's are of the upper half.)
    #[inline(always)]
    pub(super) fn is_low_node(self) -> bool {
        self.is_node() && self.0 >> NIBBLE_SHIFT & 16 == 0
    }

    /// Which line lies below, if no node does: 0 for nothing, [`NARROW`], [`SKIP`] or else a wide bucket.
    #[inline(always)]
    pub(super) fn line_form(self) -> u64 {
        if self.is_node() { 0 } else { self.0 >> NIBBLE_SHIFT }
    }

    #[inline(always)]
    pub(super) fn line(self) -> usize {
        (self.0 >> LEAF_BITS) as usize & (MAX_LINES - 1)
    }

    /// In a node below, the slot for this address; else 0.
    #[inline(always)]
    pub(super) fn digit(self, [high, low]: [u64; 2]) -> usize {
        /// Octet by octet from the right, what is kept of the address for each form.
        const MASKS: u64 = 0xff_0f_00;
        let behind = (self.0 >> NIBBLE_SHIFT) as u32;
        let half = core::hint::select_unpredictable(behind & 16 == 0, low, high);
        let mask = MASKS >> ((self.0 >> FORM_SHIFT) * 8) & 0xff;
        (half >> (behind % 16 * 4) & mask) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_what_was_put_in() {
        let leaf = Leaf::new(128, MAX_VALUE);
        let line = MAX_LINES - 1;
        let nodes = [(16, 4), (20, 4), (124, 4), (16, 8), (120, 8)];
        let nodes = nodes.map(|(depth, stride)| Below::Node(Node { line, depth, stride }));
        let others = [Below::Nothing, Below::Narrow(line), Below::Wide(line), Below::Skip(line)];
        for below in nodes.into_iter().chain(others) {
            let word = Word(0).with_leaf(leaf).with_below(below);
            assert_eq!((word.leaf(), word.below()), (leaf, below));
            assert_eq!(word.with_leaf(Leaf::NONE).with_leaf(leaf), word);
            assert_eq!(word.is_node(), matches!(below, Below::Node(_)));
            assert_eq!(word.with_below(Below::Nothing).line_form(), 0);
        }
    }

    #[test]
    fn a_node_looks_at_its_own_bits() {
        let bits: u128 = 0xa7 << 80;
        let halves = |bits: u128| [(bits >> 64) as u64, bits as u64];
        let digit =
            |depth, stride| Word(0).with_below(Below::Node(Node { line: 1, depth, stride })).digit(halves(bits));
        assert_eq!((digit(40, 4), digit(44, 4), digit(40, 8), digit(48, 8)), (0xa, 7, 0xa7, 0));
        let digit =
            |depth, stride| Word(0).with_below(Below::Node(Node { line: 1, depth, stride })).digit(halves(bits >> 40));
        assert_eq!((digit(80, 4), digit(84, 4), digit(80, 8), digit(40, 8)), (0xa, 7, 0xa7, 0));
        assert_eq!(Word(0).with_below(Below::Wide(9)).digit([u64::MAX; 2]), 0);
    }
}
