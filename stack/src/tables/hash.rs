//! The hash table under every exact-match table: one writer, any number of readers that neither lock nor wait for it.
//!
//! Two arrays of words. A *bucket* is one cache line: seven references, each a slot number with 32 bits of the key's
//! hash beside it, and a count of the entries that found this bucket full on their way. An *entry* is one or more whole
//! cache lines: a sequence number, the key, the value, and words that only the owner uses (a counter, say).
//!
//! A lookup reads the key's home bucket, compares hash bits, and reads the one entry that they name: two memory
//! latencies, which [`HashTable::find_batch`] overlaps for a batch of keys. Where the overflow count is not zero it goes
//! on to the next bucket.
//!
//! No entry ever moves, and no tombstone is left: an insertion adds one to the overflow count of every full bucket that
//! it passes, a removal takes them off again. Why a reader on another core is never wrong:
//!
//! - Each entry is a seqlock: the writer makes the sequence odd, writes, makes it even; a reader copies and tries again
//!   when the sequence changed. What it copied is key and value of one moment.
//! - An entry is complete before its reference is stored (release; acquire in the reader), and the overflow counts on
//!   its way are raised before that and lowered after the reference is gone. So a key that is in the table throughout a
//!   lookup is found.
//! - A slot that was freed and given to another key has that other key in it: the comparison fails, as it must.
//!
//! The size is fixed at the start by the limit on entries. The memory is mapped, not touched: a table costs the pages
//! that its entries use.

use super::prefetch::prefetch;
use super::words::Words;
use crate::packet::BATCH_SIZE;
use crate::sync::{Arc, AtomicU32, AtomicU64, Ordering, fence, spin_loop};

pub(super) const LINE_WORDS: usize = 8;
/// An odd constant whose product with a word spreads its bits over 128.
const MIX: u128 = 0xd1b5_4a32_d192_ed03;
const REFERENCES: usize = LINE_WORDS - 1;

/// A table is full; its limit was set at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the table is full")]
pub struct TableFull;

/// Where an entry stands, for as long as it is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u32);

pub(super) struct Shared<const K: usize, const V: usize, const O: usize> {
    pub(super) buckets: Words,
    entries: Words,
    pub(super) bucket_mask: usize,
    seed: u64,
    limit: u32,
    /// Slots that were ever in use: the first so many.
    used: AtomicU32,
    /// Entries.
    count: AtomicU32,
}

impl<const K: usize, const V: usize, const O: usize> Shared<K, V, O> {
    const STRIDE: usize = (1 + K + V + O).next_multiple_of(LINE_WORDS);

    #[inline(always)]
    fn hash(&self, key: &[u64; K]) -> u64 {
        let mut hash = self.seed;
        for &word in key {
            let product = u128::from(hash ^ word) * MIX;
            hash = (product >> 64) as u64 ^ product as u64 ^ word.rotate_left(32);
        }
        hash ^ hash >> 29
    }

    #[inline(always)]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.bucket_mask
    }

    #[inline(always)]
    fn key_is(&self, slot: u32, key: &[u64; K]) -> bool {
        let base = slot as usize * Self::STRIDE + 1;
        (0..K).all(|i| self.entries.at(base + i).load(Ordering::Relaxed) == key[i])
    }

    /// The first slot at or behind the home bucket whose hash bits match, without a look at its key.
    #[inline(always)]
    fn candidate(&self, hash: u64) -> Option<u32> {
        let tag = hash >> 32;
        let base = self.home(hash) * LINE_WORDS;
        (1..=REFERENCES).find_map(|i| {
            let reference = self.buckets.at(base + i).load(Ordering::Acquire);
            (reference >> 32 == tag && reference as u32 != 0).then(|| reference as u32 - 1)
        })
    }

    fn find(&self, hash: u64, key: &[u64; K]) -> Option<u32> {
        let tag = hash >> 32;
        let mut bucket = self.home(hash);
        for _ in 0..=self.bucket_mask {
            let base = bucket * LINE_WORDS;
            for i in 1..=REFERENCES {
                let reference = self.buckets.at(base + i).load(Ordering::Acquire);
                if reference >> 32 == tag && reference as u32 != 0 && self.key_is(reference as u32 - 1, key) {
                    return Some(reference as u32 - 1);
                }
            }
            if self.buckets.at(base).load(Ordering::Acquire) == 0 {
                return None;
            }
            bucket = (bucket + 1) & self.bucket_mask;
        }
        None
    }

    /// Key and value of one moment.
    #[inline(always)]
    fn read(&self, slot: u32) -> ([u64; K], [u64; V]) {
        let base = slot as usize * Self::STRIDE;
        loop {
            let before = self.entries.at(base).load(Ordering::Acquire);
            let key = core::array::from_fn(|i| self.entries.at(base + 1 + i).load(Ordering::Relaxed));
            let value = core::array::from_fn(|i| self.entries.at(base + 1 + K + i).load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before & 1 == 0 && self.entries.at(base).load(Ordering::Relaxed) == before {
                return (key, value);
            }
            spin_loop();
        }
    }

    /// For the owner.
    fn write(&self, slot: u32, key: &[u64; K], value: &[u64; V]) {
        let base = slot as usize * Self::STRIDE;
        let sequence = self.entries.at(base).load(Ordering::Relaxed);
        self.entries.at(base).store(sequence + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (i, word) in key.iter().chain(value).enumerate() {
            self.entries.at(base + 1 + i).store(*word, Ordering::Relaxed);
        }
        self.entries.at(base).store(sequence + 2, Ordering::Release);
    }

    /// The value at `slot`, where it is that of `key`: both of one moment.
    #[inline(always)]
    fn value_of(&self, slot: u32, key: &[u64; K]) -> Option<[u64; V]> {
        let base = slot as usize * Self::STRIDE;
        loop {
            let before = self.entries.at(base).load(Ordering::Acquire);
            let mut difference = 0;
            for (i, word) in key.iter().enumerate() {
                difference |= self.entries.at(base + 1 + i).load(Ordering::Relaxed) ^ word;
            }
            let value = core::array::from_fn(|i| self.entries.at(base + 1 + K + i).load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before & 1 == 0 && self.entries.at(base).load(Ordering::Relaxed) == before {
                return (difference == 0).then_some(value);
            }
            spin_loop();
        }
    }

    fn get(&self, key: &[u64; K]) -> Option<[u64; V]> {
        let hash = self.hash(key);
        loop {
            let slot = self.find(hash, key)?;
            // The slot may have gone to another key between the two; then the lookup starts again.
            if let Some(value) = self.value_of(slot, key) {
                return Some(value);
            }
        }
    }
}

/// A table of at most a fixed number of entries: `K` words of key, `V` of value, and `O` beside them that stay when the
/// value is replaced.
///
/// The handle that [`HashTable::new`] makes is the owner's; others read the same table ([`HashTable::reader`]). A slot that
/// a reader has found may go to another key before it is read, so that whoever reads a value by its slot says whose it is
/// to be ([`HashTable::value_of`]). The key of all zeros is not allowed: it marks a free entry.
pub(crate) struct HashTable<const K: usize, const V: usize, const O: usize> {
    pub(super) shared: Arc<Shared<K, V, O>>,
    /// Slots to use again: the owner's.
    free: Vec<u32>,
    is_owner: bool,
    /// Whether other threads have handles.
    is_shared: bool,
}

impl<const K: usize, const V: usize, const O: usize> HashTable<K, V, O> {
    /// An empty table for up to `limit` entries; `seed` makes collisions unpredictable from outside.
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        // Seven references a bucket, filled to two thirds at the most.
        let buckets = (limit as usize * 3 / (REFERENCES * 2) + 1).next_power_of_two();
        let shared = Shared {
            buckets: Words::new(buckets * LINE_WORDS),
            entries: Words::new(limit as usize * Shared::<K, V, O>::STRIDE),
            bucket_mask: buckets - 1,
            seed: seed ^ 0xa076_1d64_78bd_642f,
            limit,
            used: AtomicU32::new(0),
            count: AtomicU32::new(0),
        };
        HashTable { shared: Arc::new(shared), free: Vec::new(), is_owner: true, is_shared: false }
    }

    /// A handle for another thread. It reads, and counts; what it is told to change it refuses.
    pub(crate) fn reader(&mut self) -> Self {
        self.is_shared = true;
        HashTable { shared: Arc::clone(&self.shared), free: Vec::new(), is_owner: false, is_shared: true }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed) as usize
    }

    /// Entries that there can be.
    pub(crate) fn limit(&self) -> usize {
        self.shared.limit as usize
    }

    /// Whether there is no entry.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where `key` stands.
    #[inline]
    pub(crate) fn find(&self, key: &[u64; K]) -> Option<Slot> {
        self.shared.find(self.shared.hash(key), key).map(Slot)
    }

    /// The value of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u64; K]) -> Option<[u64; V]> {
        self.shared.get(key)
    }

    /// Where each of `keys` stands; the latencies of memory overlap. Answers for at most [`BATCH_SIZE`] keys.
    #[inline]
    pub(crate) fn find_batch(&self, keys: &[[u64; K]], slots: &mut [Option<Slot>]) {
        self.locate_batch(keys, slots);
        for (slot, key) in slots.iter_mut().zip(keys) {
            if slot.is_some_and(|Slot(slot)| !self.shared.key_is(slot, key)) {
                *slot = self.find(key);
            }
        }
    }

    /// Where each of `keys` stands, if it is in the table: who reads the value there says whose it is to be
    /// ([`HashTable::value_of`]), and once in 2³² lookups it is another's. Asks for the entries' cache lines. Answers for at
    /// most [`BATCH_SIZE`] keys.
    #[inline]
    pub(crate) fn locate_batch(&self, keys: &[[u64; K]], slots: &mut [Option<Slot>]) {
        let shared = &*self.shared;
        let mut hashes = [0; BATCH_SIZE];
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = shared.hash(key);
            prefetch(shared.buckets.at(shared.home(*hash) * LINE_WORDS));
        }
        for ((slot, &hash), key) in slots.iter_mut().zip(&hashes).zip(keys) {
            let found = shared.candidate(hash);
            let overflowed = || shared.buckets.at(shared.home(hash) * LINE_WORDS).load(Ordering::Acquire) != 0;
            *slot = if found.is_none() && overflowed() { shared.find(hash, key) } else { found }.map(Slot);
            if let Some(slot) = *slot {
                self.prefetch(slot);
            }
        }
    }

    /// Asks for the cache line where a lookup of `key` begins. Who is about to look in several tables asks for all of
    /// these first, then for the entries ([`HashTable::prefetch_entry`]), and waits twice for memory and not twice a table.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, key: &[u64; K]) {
        let shared = &*self.shared;
        prefetch(shared.buckets.at(shared.home(shared.hash(key)) * LINE_WORDS));
    }

    /// Asks for the cache lines of the entry that `key` has, or would be given by the owner.
    #[inline]
    pub(crate) fn prefetch_entry(&self, key: &[u64; K]) {
        let found = self.shared.candidate(self.shared.hash(key));
        let slot = found
            .unwrap_or_else(|| self.free.last().copied().unwrap_or_else(|| self.shared.used.load(Ordering::Relaxed)));
        if self.has(Slot(slot)) {
            self.prefetch(Slot(slot));
        }
    }

    /// Asks for the entry's cache lines.
    #[inline(always)]
    pub(crate) fn prefetch(&self, slot: Slot) {
        let base = slot.0 as usize * Shared::<K, V, O>::STRIDE;
        for line in 0..Shared::<K, V, O>::STRIDE / LINE_WORDS {
            prefetch(self.shared.entries.at(base + line * LINE_WORDS));
        }
    }

    /// Key and value of one moment at `slot`, for the owner, whose slots do not go to others meanwhile.
    #[inline(always)]
    pub(crate) fn entry(&self, slot: Slot) -> ([u64; K], [u64; V]) {
        self.shared.read(slot.0)
    }

    /// The value of `key`, where it stands at `slot`, which may be any number that was a slot once.
    #[inline(always)]
    pub(crate) fn value_of(&self, slot: Slot, key: &[u64; K]) -> Option<[u64; V]> {
        if self.has(slot) { self.shared.value_of(slot.0, key) } else { None }
    }

    /// Whether `key` stands at `slot`, which may be any number that was a slot once.
    #[inline(always)]
    pub(crate) fn is_at(&self, slot: Slot, key: &[u64; K]) -> bool {
        self.has(slot) && self.shared.key_is(slot.0, key)
    }

    /// Whether there can be an entry at `slot`.
    #[inline(always)]
    pub(crate) fn has(&self, slot: Slot) -> bool {
        slot.0 < self.shared.limit
    }

    /// Word `index` of those that no lookup reads; zero in a new entry, kept when the value is replaced.
    #[inline(always)]
    pub(crate) fn side_word(&self, slot: Slot, index: usize) -> &AtomicU64 {
        debug_assert!(index < O && self.has(slot));
        self.shared.entries.at(slot.0 as usize * Shared::<K, V, O>::STRIDE + 1 + K + V + index)
    }

    /// Adds to a word that no lookup reads; answers what it was. With handles on other threads nothing added is lost.
    #[inline(always)]
    pub(crate) fn add(&self, slot: Slot, index: usize, more: u64) -> u64 {
        let word = self.side_word(slot, index);
        if self.is_shared {
            return word.fetch_add(more, Ordering::Relaxed);
        }
        let before = word.load(Ordering::Relaxed);
        word.store(before.wrapping_add(more), Ordering::Relaxed);
        before
    }

    /// All keys, with where they stand, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, [u64; K], [u64; V])> {
        (0..self.shared.used.load(Ordering::Acquire)).filter_map(|slot| {
            let (key, value) = self.shared.read(slot);
            (key != [0; K]).then_some((Slot(slot), key, value))
        })
    }

    /// Inserts or replaces; visible to every reader when it returns.
    ///
    /// # Errors
    /// [`TableFull`] for a new key beyond the limit.
    pub(crate) fn insert(&mut self, key: [u64; K], value: [u64; V]) -> Result<Slot, TableFull> {
        debug_assert!(key != [0; K] && self.is_owner);
        if !self.is_owner {
            return Err(TableFull);
        }
        let shared = &*self.shared;
        let hash = shared.hash(&key);
        if let Some(slot) = shared.find(hash, &key) {
            shared.write(slot, &key, &value);
            return Ok(Slot(slot));
        }
        let used = shared.used.load(Ordering::Relaxed);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if used < shared.limit => used,
            None => return Err(TableFull),
        };
        for word in 0..O {
            self.side_word(Slot(slot), word).store(0, Ordering::Relaxed);
        }
        shared.write(slot, &key, &value);
        if slot == used {
            shared.used.store(used + 1, Ordering::Release);
        }
        shared.count.store(shared.count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let reference = hash >> 32 << 32 | u64::from(slot + 1);
        let mut bucket = shared.home(hash);
        loop {
            let base = bucket * LINE_WORDS;
            let words = &shared.buckets;
            if let Some(i) = (1..=REFERENCES).find(|i| words.at(base + i).load(Ordering::Relaxed) as u32 == 0) {
                words.at(base + i).store(reference, Ordering::Release);
                return Ok(Slot(slot));
            }
            let overflow = words.at(base);
            overflow.store(overflow.load(Ordering::Relaxed) + 1, Ordering::Release);
            bucket = (bucket + 1) & shared.bucket_mask;
        }
    }

    /// Removes; returns whether it was there.
    pub(crate) fn remove(&mut self, key: &[u64; K]) -> bool {
        debug_assert!(self.is_owner);
        if !self.is_owner {
            return false;
        }
        let shared = &*self.shared;
        let hash = shared.hash(key);
        let Some(slot) = shared.find(hash, key) else { return false };
        let words = &shared.buckets;
        let reference = hash >> 32 << 32 | u64::from(slot + 1);
        let home = shared.home(hash);
        let mut bucket = home;
        let at = loop {
            let base = bucket * LINE_WORDS;
            if let Some(i) = (1..=REFERENCES).find(|i| words.at(base + i).load(Ordering::Relaxed) == reference) {
                break base + i;
            }
            bucket = (bucket + 1) & shared.bucket_mask;
        };
        words.at(at).store(0, Ordering::Release);
        let mut passed = home;
        while passed != bucket {
            let overflow = words.at(passed * LINE_WORDS);
            overflow.store(overflow.load(Ordering::Relaxed) - 1, Ordering::Release);
            passed = (passed + 1) & shared.bucket_mask;
        }
        // The key goes too, so that a slot kept as a hint does not find a dead entry.
        let (_, value) = shared.read(slot);
        shared.write(slot, &[0; K], &value);
        shared.count.store(shared.count.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
        self.free.push(slot);
        true
    }
}
