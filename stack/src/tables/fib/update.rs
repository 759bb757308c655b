//! How the trie changes: a prefix finds its place, and nodes come, go, and change their width as they fill and empty.

use super::Fib;
use super::bucket::{self, BUCKET, Item, common};
use super::lines::Size;
use super::word::{Below, Leaf, Node, Word};
use arrayvec::ArrayVec;

/// A node of four bits becomes one of eight when so many of its slots lead to nodes.
const WIDEN: usize = 8;
/// A node of eight bits becomes nodes of four when it holds no more than so much.
const NARROW: usize = 12;
/// A node becomes a bucket when no more prefixes than so are left in it: one fewer than fit, so that a prefix that comes
/// and goes does not make and break the node.
const FOLD: usize = BUCKET - 1;
/// Nodes on a way down at the most.
const DEEPEST: usize = 28;

/// What one insertion takes at the most: a skip, a node and the buckets of five prefixes; and, where this makes a node
/// wider, the buckets of what was in eight.
const INSERTION: [usize; 4] = pieces(6 + WIDEN * BUCKET, 5 + WIDEN * BUCKET, 2, 1);
/// What it takes to make nodes of four bits out of one of eight, and buckets or skips out of these.
const NARROWING: [usize; 4] = pieces(NARROW + 1, NARROW + 1, NARROW + 2, 0);
/// What it takes to make one bucket or skip.
const FOLDING: [usize; 4] = pieces(1, 1, 0, 0);

const fn pieces(lines: usize, pairs: usize, narrow_nodes: usize, wide_nodes: usize) -> [usize; 4] {
    let mut pieces = [0; 4];
    pieces[Size::Line as usize] = lines;
    pieces[Size::Pair as usize] = pairs;
    pieces[Size::Sixteen as usize] = narrow_nodes;
    pieces[Size::TwoHundredFiftySix as usize] = wide_nodes;
    pieces
}

/// A node on the way down: where the word of the position stands under which it lies, at which bit, and the node.
#[derive(Clone, Copy)]
struct Step {
    at: usize,
    depth: u32,
    node: Node,
}

impl Fib {
    /// Whether one more prefix can be inserted, whichever it is.
    pub(super) fn has_room_for_any(&self) -> bool {
        self.lines.has_room_for(INSERTION)
    }

    fn below(&self, at: usize) -> Below {
        Word(self.lines[at]).below()
    }

    fn set_below(&mut self, at: usize, below: Below) {
        self.lines[at] = Word(self.lines[at]).with_below(below).0;
    }

    /// Sets a prefix in `node` or below it; returns what it was. `from` is where the word with the node stands, 0 for the
    /// root.
    pub(super) fn put(&mut self, mut from: usize, mut node: Node, item: Item) -> Leaf {
        loop {
            if item.length() <= node.end() {
                return node.set(&mut self.lines, item);
            }
            let (mut at, mut depth) = (node.slot(item.bits), node.end());
            node = loop {
                match self.below(at) {
                    Below::Node(next) => break next,
                    Below::Skip(line) => {
                        let (path, end) = bucket::skip_path(&self.lines, line);
                        let shared = common(path, item.bits).min(item.length());
                        if shared < end {
                            self.split(at, depth, line, shared.min(item.length() - 1));
                            continue;
                        }
                        (at, depth) = (bucket::skip_word(line), end);
                        if item.length() == end {
                            let word = Word(self.lines[at]);
                            self.lines[at] = word.with_leaf(item.leaf).0;
                            return word.leaf();
                        }
                    }
                    below => return self.put_in_bucket((from, node), at, depth, below, item),
                }
            };
            from = at;
        }
    }

    /// Sets a prefix in the bucket `below` a position in `parent`, or where nothing is yet.
    fn put_in_bucket(&mut self, parent: (usize, Node), at: usize, depth: u32, below: Below, item: Item) -> Leaf {
        let mut items = bucket::items(&self.lines, below);
        bucket::free(&mut self.lines, below);
        let mut previous = Leaf::NONE;
        match items.iter_mut().find(|other| other.is_as(item)) {
            Some(same) => previous = core::mem::replace(&mut same.leaf, item.leaf),
            None => items.push(item),
        }
        if items.len() <= BUCKET {
            let below = bucket::new_bucket(&mut self.lines, &items);
            self.set_below(at, below);
            return previous;
        }
        let shared = items.iter().map(|other| common(other.bits, item.bits).min(other.length() - 1)).min();
        let node = Node::new(&mut self.lines, shared.unwrap_or(depth) / 4 * 4, 4);
        self.link(at, depth, item.bits, node);
        let from = match self.below(at) {
            Below::Skip(line) => bucket::skip_word(line),
            _ => at,
        };
        for item in items {
            self.put(from, node, item);
        }
        self.widen(parent.0, parent.1);
        Leaf::NONE
    }

    /// Makes `node` what lies below a position, behind a skip where it begins later.
    fn link(&mut self, at: usize, depth: u32, bits: u128, node: Node) {
        let mut below = Below::Node(node);
        if node.depth > depth {
            let path = bits & mask(node.depth);
            below = bucket::new_skip(&mut self.lines, path, node.depth, Word(0).with_below(below));
        }
        self.set_below(at, below);
    }

    /// Puts a node into a skip, where a prefix leaves or ends that has `shared` bits with it.
    fn split(&mut self, at: usize, depth: u32, skip: usize, shared: u32) {
        let (path, end) = bucket::skip_path(&self.lines, skip);
        let node = Node::new(&mut self.lines, shared / 4 * 4, 4);
        self.link(at, depth, path, node);
        self.hang(node, skip, path, end);
    }

    /// Puts a skip below a slot of `node`: what is behind it, where it ends with the node.
    fn hang(&mut self, node: Node, skip: usize, path: u128, end: u32) {
        let slot = node.slot(path);
        if end > node.end() {
            self.set_below(slot, Below::Skip(skip));
        } else {
            let word = Word(self.lines[bucket::skip_word(skip)]);
            self.set_below(slot, word.below());
            if word.leaf() != Leaf::NONE {
                self.lines[slot] = Word(self.lines[slot]).with_leaf(word.leaf()).0;
            }
            bucket::free(&mut self.lines, Below::Skip(skip));
        }
    }

    /// Makes a node of eight bits out of one of four and its children, where that is worth while.
    fn widen(&mut self, from: usize, node: Node) {
        let is_next = |below| matches!(below, Below::Node(child) if child.depth == node.end());
        if node.stride != 4 || !node.depth.is_multiple_of(8) {
            return;
        }
        if node.slots().filter(|&at| is_next(self.below(at))).count() < WIDEN {
            return;
        }
        let wide = Node::new(&mut self.lines, node.depth, 8);
        for index in node.heap_indexes() {
            let leaf = node.heap(&self.lines, index);
            wide.set_heap(&mut self.lines, index, leaf);
        }
        let mut again = ArrayVec::<Item, { (16 - WIDEN) * BUCKET }>::new();
        for (digit, at) in node.slots().enumerate() {
            let word = Word(self.lines[at]);
            if node.is_exact(word.leaf()) {
                wide.set_heap(&mut self.lines, 1 << 4 | digit, word.leaf());
            }
            match word.below() {
                Below::Node(child) => {
                    for index in child.heap_indexes() {
                        let leaf = child.heap(&self.lines, index);
                        wide.set_heap(&mut self.lines, widened(index, digit), leaf);
                    }
                    self.lines.copy_within(child.slots(), wide.slots().start + (digit << 4));
                    child.free(&mut self.lines);
                }
                Below::Skip(line) => {
                    let (path, end) = bucket::skip_path(&self.lines, line);
                    self.hang(wide, line, path, end);
                }
                below => {
                    again.extend(bucket::items(&self.lines, below));
                    bucket::free(&mut self.lines, below);
                }
            }
        }
        wide.spread(&mut self.lines);
        node.free(&mut self.lines);
        self.set_below(from, Below::Node(wide));
        for item in again {
            self.put(from, wide, item);
        }
    }

    /// Removes a prefix that is not the default route; returns what it was.
    pub(super) fn take(&mut self, bits: u128, length: u32) -> Leaf {
        let mut steps = ArrayVec::<Step, DEEPEST>::new();
        let mut node = Node::ROOT;
        let leaf = 'found: loop {
            if length <= node.end() {
                break node.remove(&mut self.lines, bits, length);
            }
            let (at, depth) = (node.slot(bits), node.end());
            let mut position = at;
            node = loop {
                match self.below(position) {
                    Below::Node(next) => break next,
                    Below::Skip(line) => {
                        let (path, end) = bucket::skip_path(&self.lines, line);
                        if common(path, bits).min(length) < end {
                            return Leaf::NONE;
                        }
                        position = bucket::skip_word(line);
                        if length == end {
                            let word = Word(self.lines[position]);
                            self.lines[position] = word.with_leaf(Leaf::NONE).0;
                            // The node behind it may now go up.
                            if let Below::Node(node) = word.below() {
                                steps.push(Step { at, depth, node });
                            }
                            break 'found word.leaf();
                        }
                    }
                    below => break 'found self.take_from_bucket(at, below, bits, length),
                }
            };
            steps.push(Step { at, depth, node });
        };
        if leaf != Leaf::NONE {
            while let Some(step) = steps.pop() {
                if !self.shrink(step, bits) {
                    break;
                }
            }
        }
        leaf
    }

    fn take_from_bucket(&mut self, at: usize, below: Below, bits: u128, length: u32) -> Leaf {
        let mut items = bucket::items(&self.lines, below);
        let Some(index) = items.iter().position(|item| item.bits == bits && item.length() == length) else {
            return Leaf::NONE;
        };
        let item = items.remove(index);
        bucket::free(&mut self.lines, below);
        let below = bucket::new_bucket(&mut self.lines, &items);
        self.set_below(at, below);
        item.leaf
    }

    /// Makes less of a node out of which something was taken; returns whether there may be less of the one above it, too.
    fn shrink(&mut self, step: Step, bits: u128) -> bool {
        let Step { at, depth, node } = step;
        if node.stride == 4 {
            return self.fold(step, bits);
        }
        if !node.holds_at_most(&self.lines, NARROW) || !self.lines.has_room_for(NARROWING) {
            return false;
        }
        let from = match self.below(at) {
            Below::Skip(line) => bucket::skip_word(line),
            _ => at,
        };
        let narrow = Node::new(&mut self.lines, node.depth, 4);
        for index in narrow.heap_indexes() {
            let leaf = node.heap(&self.lines, index);
            narrow.set_heap(&mut self.lines, index, leaf);
        }
        for (digit, slot) in narrow.slots().enumerate() {
            let leaf = node.heap(&self.lines, 1 << 4 | digit);
            self.lines[slot] = Word(0).with_leaf(leaf).0;
            let child = Node::new(&mut self.lines, narrow.end(), 4);
            for index in child.heap_indexes() {
                let leaf = node.heap(&self.lines, widened(index, digit));
                child.set_heap(&mut self.lines, index, leaf);
            }
            let first = node.slots().start + (digit << 4);
            self.lines.copy_within(first..first + 16, child.slots().start);
            child.spread(&mut self.lines);
            self.set_below(slot, Below::Node(child));
            let bits = bits & mask(node.depth) | (digit as u128) << (128 - narrow.end());
            self.fold(Step { at: slot, depth: narrow.end(), node: child }, bits);
        }
        narrow.spread(&mut self.lines);
        node.free(&mut self.lines);
        self.set_below(from, Below::Node(narrow));
        self.fold(Step { at, depth, node: narrow }, bits)
    }

    /// Makes a bucket out of a node of four bits with few prefixes, and a skip out of one that only leads to another.
    fn fold(&mut self, step: Step, bits: u128) -> bool {
        let Step { at, depth, node } = step;
        let path = bits & mask(node.depth);
        let above = self.below(at);
        let mut items = ArrayVec::<Item, FOLD>::new();
        let mut children = ArrayVec::<(usize, Below), FOLD>::new();
        let above_leaf = match above {
            Below::Skip(line) => Word(self.lines[bucket::skip_word(line)]).leaf(),
            _ => Leaf::NONE,
        };
        if above_leaf != Leaf::NONE {
            items.push(Item { bits: path, leaf: above_leaf });
        }
        for index in node.heap_indexes() {
            let leaf = node.heap(&self.lines, index);
            let own = index.ilog2();
            let bits = path | ((index ^ 1 << own) as u128) << (128 - node.depth - own);
            if leaf != Leaf::NONE && items.try_push(Item { bits, leaf }).is_err() {
                return false;
            }
        }
        for (digit, slot) in node.slots().enumerate() {
            let (word, bits) = (Word(self.lines[slot]), path | (digit as u128) << (128 - node.end()));
            let leaf = word.leaf();
            if node.is_exact(leaf) && items.try_push(Item { bits, leaf }).is_err() {
                return false;
            }
            if word.below() != Below::Nothing && children.try_push((digit, word.below())).is_err() {
                return false;
            }
        }
        if let Some(&(digit, below)) =
            children.iter().find(|(_, below)| matches!(below, Below::Node(_) | Below::Skip(_)))
        {
            if children.len() > 1 || !items.is_empty() || !self.lines.has_room_for(FOLDING) {
                return false;
            }
            node.free(&mut self.lines);
            bucket::free(&mut self.lines, above);
            match below {
                Below::Node(child) => {
                    self.link(at, depth, path | (digit as u128) << (128 - node.end()), child);
                }
                below => self.set_below(at, below),
            }
            return false;
        }
        for &(_, below) in &children {
            for item in bucket::items(&self.lines, below) {
                if items.try_push(item).is_err() {
                    return false;
                }
            }
        }
        if !items.is_empty() && !self.lines.has_room_for(FOLDING) {
            return false;
        }
        for (_, below) in children {
            bucket::free(&mut self.lines, below);
        }
        node.free(&mut self.lines);
        bucket::free(&mut self.lines, above);
        let below = bucket::new_bucket(&mut self.lines, &items);
        self.set_below(at, below);
        true
    }
}

/// Where a prefix of the node of four bits behind the slot `digit` stands in the heap of the node of eight.
fn widened(index: usize, digit: usize) -> usize {
    let own = index.ilog2();
    1 << (4 + own) | digit << own | index ^ 1 << own
}

fn mask(length: u32) -> u128 {
    if length == 0 { 0 } else { u128::MAX << (128 - length) }
}
