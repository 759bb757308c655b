//! The hash table: one thread changes it while another reads.

use super::hash::HashTable;
use crate::check;
use loom::sync::atomic::Ordering;
use loom::thread;

type Table = HashTable<1, 2, 1>;

const STEADY: [u64; 1] = [1];
const OTHER: [u64; 1] = [2];

/// A value of this key whose words belong together.
fn value(key: [u64; 1], number: u64) -> [u64; 2] {
    [key[0] << 32 | number, key[0] << 32 | number]
}

#[track_caller]
fn assert_whole(key: [u64; 1], found: [u64; 2]) {
    assert_eq!(found[0], found[1], "torn");
    assert_eq!(found[0] >> 32, key[0], "another key's");
}

#[test]
fn a_value_that_is_replaced_is_read_whole() {
    check(|| {
        let mut table = Table::new(2, 7);
        table.insert(STEADY, value(STEADY, 1)).unwrap();
        let reader = table.reader();
        let reads = thread::spawn(move || {
            let found = reader.get(&STEADY).expect("it is there throughout");
            assert_whole(STEADY, found);
        });
        table.insert(STEADY, value(STEADY, 2)).unwrap();
        reads.join().unwrap();
    });
}

/// The writer takes the key out and gives its slot to another while a reader has found the slot and not read it.
#[test]
fn a_slot_that_goes_to_another_key_is_not_mistaken() {
    check(|| {
        let mut table = Table::new(1, 7);
        let slot = table.insert(STEADY, value(STEADY, 1)).unwrap();
        let reader = table.reader();
        let reads = thread::spawn(move || {
            if let Some(found) = reader.value_of(slot, &STEADY) {
                assert_whole(STEADY, found);
            }
            if let Some(found) = reader.value_of(slot, &OTHER) {
                assert_whole(OTHER, found);
            }
        });
        assert!(table.remove(&STEADY));
        assert_eq!(table.insert(OTHER, value(OTHER, 1)), Ok(slot));
        reads.join().unwrap();
    });
}

#[test]
fn a_new_entry_is_there_whole_or_not_at_all() {
    check(|| {
        let mut table = Table::new(2, 7);
        let reader = table.reader();
        let reads = thread::spawn(move || {
            let mut slots = [None];
            reader.locate_batch(&[OTHER], &mut slots);
            if let Some(slot) = slots[0] {
                assert_whole(OTHER, reader.value_of(slot, &OTHER).expect("nobody takes it out"));
            }
        });
        table.insert(OTHER, value(OTHER, 1)).unwrap();
        reads.join().unwrap();
    });
}

/// Eight keys of one bucket, which has room for seven: the last stands in the next. While others of the bucket come and go
/// it is found.
#[test]
fn a_key_beyond_its_bucket_is_found_while_others_come_and_go() {
    check(|| {
        let mut table = Table::new(9, 7);
        let home = |table: &Table, key: u64| {
            let mut alone = Table::new(9, 7);
            alone.insert([key], [0; 2]).unwrap();
            assert_eq!(alone.shared.bucket_mask, table.shared.bucket_mask);
            (0..=alone.shared.bucket_mask)
                .find(|bucket| (1..8).any(|i| alone.shared.buckets.at(bucket * 8 + i).load(Ordering::Relaxed) != 0))
        };
        let together: Vec<u64> = (1..100).filter(|&key| home(&table, key) == Some(0)).take(9).collect();
        for &key in &together[..8] {
            table.insert([key], value([key], 1)).unwrap();
        }
        let beyond = [together[7]];
        let reader = table.reader();
        let reads = thread::spawn(move || {
            assert_whole(beyond, reader.get(&beyond).expect("it is there throughout"));
        });
        assert!(table.remove(&[together[0]]));
        table.insert([together[8]], value([together[8]], 1)).unwrap();
        reads.join().unwrap();
    });
}

#[test]
fn nothing_that_is_added_is_lost() {
    check(|| {
        let mut table = Table::new(1, 7);
        let slot = table.insert(STEADY, value(STEADY, 1)).unwrap();
        let reader = table.reader();
        let adds = thread::spawn(move || {
            reader.add(slot, 0, 1 << 32);
        });
        table.add(slot, 0, 1 << 32);
        // As a route's hint is set: a difference in the other half.
        table.add(slot, 0, 5);
        adds.join().unwrap();
        assert_eq!(table.side_word(slot, 0).load(Ordering::Relaxed), 2 << 32 | 5);
    });
}
