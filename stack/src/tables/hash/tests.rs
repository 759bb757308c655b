//! The table against a plain map, and while other threads read it. `tests/models` has it under every order of memory
//! that the language allows.

use super::hash::{HashTable, LINE_WORDS, TableFull};
use crate::packet::BATCH_SIZE;
use core::sync::atomic::Ordering;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

type Small = HashTable<2, 3, 1>;

proptest! {
    #[test]
    fn matches_a_plain_map(
        limit in 1u32..40,
        seed: u64,
        operations in prop::collection::vec((0u8..4, 1u64..60, any::<u64>()), 0..300),
    ) {
        let mut table = Small::new(limit, seed);
        let mut map = BTreeMap::new();
        for (operation, k, v) in operations {
            let (key, value) = ([k, k << 7], [v, !v, k]);
            match operation {
                0 => prop_assert_eq!(table.remove(&key), map.remove(&key).is_some()),
                1 => prop_assert_eq!(table.get(&key), map.get(&key).copied()),
                _ if map.len() < limit as usize || map.contains_key(&key) => {
                    let slot = table.insert(key, value).unwrap();
                    map.insert(key, value);
                    prop_assert!(table.is_at(slot, &key));
                    prop_assert_eq!(table.entry(slot).1, value);
                }
                _ => prop_assert!(table.insert(key, value).is_err()),
            }
            prop_assert_eq!(table.len(), map.len());
        }
        let found: BTreeMap<_, _> = table.iter().map(|(_, key, value)| (key, value)).collect();
        prop_assert_eq!(&found, &map);
        let keys: Vec<[u64; 2]> = (1..60).map(|k| [k, k << 7]).collect();
        let mut slots = [None; BATCH_SIZE];
        table.find_batch(&keys, &mut slots);
        for (key, slot) in keys.iter().zip(slots) {
            prop_assert_eq!(slot.map(|slot| table.entry(slot).1), map.get(key).copied());
        }
        for key in map.keys() {
            table.remove(key);
        }
        for bucket in 0..=table.shared.bucket_mask {
            for word in 0..LINE_WORDS {
                prop_assert_eq!(table.shared.buckets.at(bucket * LINE_WORDS + word).load(Ordering::Relaxed), 0);
            }
        }
    }
}

#[test]
fn a_full_bucket_overflows_and_recovers() {
    // One bucket for all: every key meets every other.
    let mut table = HashTable::<1, 1, 0>::new(4, 9);
    assert_eq!(table.shared.bucket_mask, 0);
    let mut large = HashTable::<1, 1, 0>::new(3000, 9);
    for key in 1..=3000 {
        large.insert([key], [key]).unwrap();
    }
    assert_eq!(large.insert([3001], [0]), Err(TableFull));
    for key in (1..=3000).step_by(2) {
        assert!(large.remove(&[key]));
    }
    for key in 1..=3000 {
        assert_eq!(large.get(&[key]), (key % 2 == 0).then_some([key]));
    }
    table.insert([1], [1]).unwrap();
    assert_eq!(table.get(&[1]), Some([1]));
}

#[test]
fn a_side_word_survives_a_new_value_and_not_a_new_entry() {
    let mut table = Small::new(2, 1);
    let slot = table.insert([1, 1], [0; 3]).unwrap();
    table.side_word(slot, 0).store(77, Ordering::Relaxed);
    assert_eq!(table.insert([1, 1], [5; 3]), Ok(slot));
    assert_eq!(table.side_word(slot, 0).load(Ordering::Relaxed), 77);
    table.remove(&[1, 1]);
    assert!(!table.is_at(slot, &[1, 1]), "a hint does not find a dead entry");
    let again = table.insert([2, 2], [0; 3]).unwrap();
    assert_eq!(table.side_word(again, 0).load(Ordering::Relaxed), 0);
}

/// Readers on other threads while the writer inserts, replaces and removes as fast as it can. Every value is made of
/// its key and one number, so that a torn entry shows; half of the keys are never removed and must always be found.
#[test]
fn readers_never_see_a_torn_entry_nor_miss_a_key() {
    const KEYS: u64 = 64;
    const ROUNDS: u64 = 40_000;
    let mut table = HashTable::<2, 6, 0>::new(KEYS as u32, 3);
    let value = |key: u64, number: u64| core::array::from_fn(|i| number.wrapping_mul(i as u64 + 1) ^ key);
    let steady = |key: u64| key.is_multiple_of(2);
    for key in (1..=KEYS).filter(|&key| steady(key)) {
        table.insert([key, key], value(key, 0)).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2u64 {
            let (table, done) = (table.reader(), &done);
            scope.spawn(move || {
                let mut key = reader;
                while !done.load(Ordering::Relaxed) {
                    key = key % KEYS + 1;
                    match table.get(&[key, key]) {
                        Some(found) => assert_eq!(found, value(key, found[0] ^ key)),
                        None => assert!(!steady(key), "key {key} is always there"),
                    }
                }
            });
        }
        let mut state = 1u64;
        for number in 1..=ROUNDS {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = (state >> 33) % KEYS + 1;
            if steady(key) || state >> 63 == 0 {
                table.insert([key, key], value(key, number)).unwrap();
            } else {
                table.remove(&[key, key]);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}
