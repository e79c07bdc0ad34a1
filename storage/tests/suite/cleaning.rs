use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mainstem_storage::log::Liveness;
use mainstem_storage::{Kept, LogStore, StorageError};

use super::*;

/// Needs the entries that it is told; of odd ones only their first half.
struct Needs {
    indexes: Mutex<BTreeSet<u64>>,
    len: u64,
}

impl Needs {
    fn new(indexes: impl IntoIterator<Item = u64>, len: u64) -> Arc<Needs> {
        Arc::new(Needs {
            indexes: Mutex::new(indexes.into_iter().collect()),
            len,
        })
    }
}

impl Liveness for Needs {
    fn live_bytes(&self, range: Range<u64>) -> u64 {
        self.indexes.lock().unwrap().range(range).count() as u64 * self.len
    }

    fn strip(&self, index: u64, entry: &Bytes) -> Option<Bytes> {
        let needed = self.indexes.lock().unwrap().contains(&index);
        needed.then(|| {
            if index % 2 == 1 {
                entry.slice(..entry.len().min(50))
            } else {
                entry.clone()
            }
        })
    }
}

fn clean(log: &dyn LogStore) -> mainstem_storage::log::Cleaned {
    let mut checkpoints = 0;
    let cleaned = log
        .clean(&mut || {
            checkpoints += 1;
            Ok(())
        })
        .unwrap();
    assert!(checkpoints > 0 || cleaned.segments_freed == 0);
    cleaned
}

fn check_kept(log: &dyn LogStore, index: u64, len: usize) {
    let expected = data(A, index, len);
    let expected = if index % 2 == 1 {
        expected.slice(..50)
    } else {
        expected
    };
    let got = log.get(A, index).unwrap();
    // What is not cleaned yet is whole.
    assert!(got == expected || got == data(A, index, len), "{index}");
}

pub fn cleaning_frees_what_nothing_needs(mut store: Box<dyn Factory>) {
    let opened = store.open();
    let log = &*opened.log;
    log.open_group(A, Kept::Synced).unwrap();
    log.set_liveness(A, Needs::new([], 200));
    append(log, A, 5000, 200);
    assert_eq!(clean(log).bytes_freed, 0);
    wait(|done| log.purge(A, 4900, "p".into(), done)).unwrap();
    let cleaned = clean(log);
    assert!(cleaned.bytes_freed > 500_000, "{cleaned:?}");
    assert!(cleaned.bytes_copied < 40_000, "{cleaned:?}");
    assert!(matches!(log.get(A, 100), Err(StorageError::Missing { .. })));
    check(log, A, 4900..5000, 200);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    check(&*opened.log, A, 4900..5000, 200);
    assert!(matches!(
        opened.log.get(A, 100),
        Err(StorageError::Missing { .. })
    ));
}

pub fn cleaning_keeps_what_is_needed(mut store: Box<dyn Factory>) {
    let opened = store.open();
    let log = &*opened.log;
    log.open_group(A, Kept::Synced).unwrap();
    log.open_group(B, Kept::Synced).unwrap();
    let needed: Vec<u64> = (0..5000)
        .filter(|index| index % 37 == 0 || (300..330).contains(index))
        .collect();
    log.set_liveness(A, Needs::new(needed.clone(), 200));
    log.set_liveness(B, Needs::new([], 200));
    append(log, A, 2000, 200);
    append(log, B, 10, 200);
    append(log, A, 5000, 200);
    wait(|done| log.purge(A, 4900, "p".into(), done)).unwrap();
    let cleaned = clean(log);
    assert!(
        cleaned.bytes_freed > 500_000 && cleaned.bytes_copied > 0,
        "{cleaned:?}"
    );
    let look = |log: &dyn LogStore| {
        needed
            .iter()
            .filter(|index| **index < 4900)
            .for_each(|index| check_kept(log, *index, 200));
        assert!(matches!(log.get(A, 1), Err(StorageError::Missing { .. })));
        check(log, A, 4900..5000, 200);
        check(log, B, 0..10, 200);
    };
    look(log);
    drop(opened);
    let opened = store.open();
    opened.log.open_group(A, Kept::Synced).unwrap();
    opened.log.open_group(B, Kept::Synced).unwrap();
    look(&*opened.log);
}

pub fn cleaning_again_and_again_keeps_what_is_needed(mut store: Box<dyn Factory>) {
    let mut needed: Vec<u64> = Vec::new();
    for round in 0..6 {
        let opened = store.open();
        let log = &*opened.log;
        log.open_group(A, Kept::Synced).unwrap();
        let to = (round + 1) * 1500;
        needed.extend((round * 1500..to).step_by(11));
        // Half of what there is goes each time.
        needed = needed
            .iter()
            .copied()
            .filter(|index| (index + round) % 2 == 0)
            .collect();
        let needs = Needs::new(needed.clone(), 200);
        log.set_liveness(A, needs);
        append(log, A, to, 200);
        wait(|done| log.purge(A, to - 50, "p".into(), done)).unwrap();
        clean(log);
        clean(log);
        needed
            .iter()
            .filter(|index| **index < to - 50)
            .for_each(|index| check_kept(log, *index, 200));
        check(log, A, to - 50..to, 200);
    }
}

pub fn a_memory_group_is_cleaned(mut store: Box<dyn Factory>) {
    let opened = store.open();
    let log = &*opened.log;
    log.open_group(A, Kept::Memory).unwrap();
    log.set_liveness(A, Needs::new([5, 8], 200));
    append(log, A, 1000, 200);
    assert_eq!(clean(log).bytes_freed, 0);
    wait(|done| log.purge(A, 900, "p".into(), done)).unwrap();
    assert!(clean(log).bytes_freed > 150_000);
    check_kept(log, 5, 200);
    check_kept(log, 8, 200);
    assert!(matches!(log.get(A, 6), Err(StorageError::Missing { .. })));
    check(log, A, 900..1000, 200);
}
