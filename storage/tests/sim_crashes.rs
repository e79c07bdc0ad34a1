//! The simulated disk: crashes from a seed, and what must be there after them.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::sync::{Arc, Mutex};

use mainstem_storage::sim::{Disk, File, SimStorage};
use mainstem_storage::{Batch, Done, Entry, Kept, LogStore, StateStore, StorageError};
use proptest::prelude::*;

#[allow(dead_code, unused_imports, reason = "shared with the conformance suite")]
mod suite;

use suite::{A, append, check, data};

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Truncate(u64),
    Sync,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..4).prop_map(Step::Append),
        1 => (1u64..4).prop_map(Step::Truncate),
        3 => Just(Step::Sync),
        2 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// What was said to be durable is there; what is there is a prefix of what was handed over.
    #[test]
    fn a_crash_keeps_what_was_durable(seed: u64, steps in steps()) {
        let disk = Disk::new(seed);
        let mut storage = SimStorage::open(&disk).unwrap();
        storage.log.open_group(A, Kept::Synced).unwrap();
        storage.log.hold();
        // The lengths of the log that a crash may leave: that which is durable, and all after it.
        let durable = Arc::new(Mutex::new(0));
        let mut handed = vec![0];
        for step in steps {
            let log = &*storage.log;
            let next = log.bounds(A).next;
            let told = |to: u64| -> Done {
                let durable = durable.clone();
                Box::new(move |result| {
                    result.unwrap();
                    *durable.lock().unwrap() = to;
                })
            };
            match step {
                Step::Append(count) => {
                    let to = next + count as u64;
                    let entries = (next..to).map(|index| Entry { index, data: data(A, index, 30) });
                    log.append(A, entries.collect(), told(to));
                    handed.extend(next + 1..=to);
                }
                Step::Truncate(count) => {
                    let to = next.saturating_sub(count);
                    log.truncate(A, to, told(to));
                    handed.push(to);
                }
                Step::Sync => {
                    log.step();
                    prop_assert_eq!(*durable.lock().unwrap(), log.bounds(A).next);
                    handed = vec![next];
                }
                Step::Crash => {
                    disk.crash();
                    storage = SimStorage::open(&disk).unwrap();
                    let log = &*storage.log;
                    prop_assert!(log.read_only().is_none());
                    log.open_group(A, Kept::Synced).unwrap();
                    log.hold();
                    let next = log.bounds(A).next;
                    prop_assert!(handed.contains(&next), "{} of {:?}", next, handed);
                    check(log, A, 0..next, 30);
                    log.step();
                    *durable.lock().unwrap() = next;
                    handed = vec![next];
                }
            }
        }
    }

    #[test]
    fn the_same_seed_does_the_same(seed: u64) {
        let run = || {
            let disk = Disk::new(seed);
            let storage = SimStorage::open(&disk).unwrap();
            storage.log.open_group(A, Kept::Synced).unwrap();
            storage.log.hold();
            storage.log.append(A, vec![Entry { index: 0, data: data(A, 0, 500) }], Box::new(|_| ()));
            disk.crash();
            disk.len(File::Log)
        };
        prop_assert_eq!(run(), run());
    }

    /// Rows come back as they were after some batch that is not older than the last flush.
    #[test]
    fn a_crash_keeps_whole_batches(seed: u64, flushed in 0u32..20, more in 0u32..20) {
        let disk = Disk::new(seed);
        let storage = SimStorage::open(&disk).unwrap();
        for n in 1..=flushed + more {
            let mut batch = Batch::default();
            batch.put("a", n.to_be_bytes());
            batch.put("b", n.to_be_bytes());
            storage.state.write(batch).unwrap();
            if n == flushed {
                storage.state.flush().unwrap();
            }
        }
        disk.crash();
        let state = SimStorage::open(&disk).unwrap().state;
        let number = |key: &[u8]| {
            let row = state.get(key).unwrap();
            row.map_or(0, |row| u32::from_be_bytes(row[..].try_into().unwrap()))
        };
        prop_assert_eq!(number(b"a"), number(b"b"));
        prop_assert!((flushed..=flushed + more).contains(&number(b"a")));
    }
}

#[test]
fn a_disk_that_lies_is_found_out() {
    let mut found = 0;
    for seed in 0..20 {
        let disk = Disk::new(seed);
        let storage = SimStorage::open(&disk).unwrap();
        storage.log.open_group(A, Kept::Synced).unwrap();
        append(&*storage.log, A, 10, 100);
        disk.lie();
        append(&*storage.log, A, 20, 100);
        disk.crash();
        let storage = SimStorage::open(&disk).unwrap();
        storage.log.open_group(A, Kept::Synced).unwrap();
        let next = storage.log.bounds(A).next;
        check(&*storage.log, A, 0..next, 100);
        assert_eq!(next < 20, storage.log.read_only().is_some());
        found += u64::from(matches!(
            storage.log.read_only(),
            Some(StorageError::Truncated { .. })
        ));
    }
    assert!(found > 10);
}

#[test]
fn a_flipped_bit_is_found_out() {
    let disk = Disk::new(1);
    let storage = SimStorage::open(&disk).unwrap();
    storage.log.open_group(A, Kept::Synced).unwrap();
    append(&*storage.log, A, 10, 100);
    disk.flip(File::Log, 500);
    let storage = SimStorage::open(&disk).unwrap();
    assert!(matches!(
        storage.log.read_only(),
        Some(StorageError::Truncated { .. })
    ));
    assert!(matches!(storage.log.is_full(), Some(StorageError::ReadOnly(_))));
    disk.flip(File::Watermark, 10);
    assert!(matches!(
        SimStorage::open(&disk),
        Err(StorageError::Damaged { .. })
    ));
}

#[test]
fn a_full_disk_is_said() {
    let disk = Disk::new(1);
    let storage = SimStorage::open(&disk).unwrap();
    storage.log.set_mark(1000);
    assert!(storage.log.is_full().is_none());
    disk.set_free_bytes(999);
    let full = storage.log.is_full();
    assert!(matches!(
        full,
        Some(StorageError::Full {
            free_bytes: 999,
            mark_bytes: 1000
        })
    ));
    disk.set_free_bytes(1000);
    assert!(storage.log.is_full().is_none());
}
