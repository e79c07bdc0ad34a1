//! A log and a state in RAM.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mainstem_storage::state::Op;
use mainstem_storage::{
    Batch, Bounds, Cleaned, Done, Entry, GroupId, Kept, Liveness, LogStore, Note, Rows, StateStore,
    StorageError,
};

/// What Raft writes behind the data of an entry: node, term, kind (1: proposed), version.
const TRAILER: [u8; 18] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];

#[derive(Default)]
pub(super) struct Log(Mutex<BTreeMap<u64, Bytes>>);

impl Log {
    pub(super) fn push(&self, index: u64, data: &Bytes) {
        self.set(index, [data, &TRAILER[..]].concat().into());
    }

    pub(super) fn set(&self, index: u64, stored: Bytes) {
        self.0.lock().unwrap().insert(index, stored);
    }

    pub(super) fn forget(&self, index: u64) {
        self.0.lock().unwrap().remove(&index);
    }
}

impl LogStore for Log {
    fn open_group(&self, _: GroupId, _: Kept) -> Result<(), StorageError> {
        Ok(())
    }

    fn is_full(&self) -> Option<StorageError> {
        None
    }

    fn append(&self, _: GroupId, entries: Vec<Entry>, done: Done) {
        for entry in entries {
            self.set(entry.index, entry.data);
        }
        done(Ok(()));
    }

    fn truncate(&self, _: GroupId, _: u64, done: Done) {
        done(Ok(()));
    }

    fn purge(&self, _: GroupId, _: u64, _: Bytes, done: Done) {
        done(Ok(()));
    }

    fn set_note(&self, _: GroupId, _: Note, _: Bytes, done: Done) {
        done(Ok(()));
    }

    fn note(&self, _: GroupId, _: Note) -> Result<Option<Bytes>, StorageError> {
        Ok(None)
    }

    fn bounds(&self, _: GroupId) -> Bounds {
        Bounds { first: 1, next: 1 }
    }

    fn durable(&self, _: GroupId) -> u64 {
        u64::MAX
    }

    fn sync(&self, _: GroupId, done: Done) {
        done(Ok(()));
    }

    fn read(&self, _: GroupId, _: Range<u64>, _: usize) -> Result<Vec<Entry>, StorageError> {
        Ok(Vec::new())
    }

    fn get(&self, group: GroupId, index: u64) -> Result<Bytes, StorageError> {
        let missing = StorageError::Missing {
            group: group.0,
            index,
        };
        self.0.lock().unwrap().get(&index).cloned().ok_or(missing)
    }

    fn set_liveness(&self, _: GroupId, _: Arc<dyn Liveness>) {}

    fn clean(&self, _: &mut dyn FnMut() -> Result<(), StorageError>) -> Result<Cleaned, StorageError> {
        Ok(Cleaned::default())
    }
}

#[derive(Default)]
pub(super) struct State(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl State {
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl StateStore for State {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self
            .0
            .lock()
            .unwrap()
            .get(key)
            .map(|value| Bytes::copy_from_slice(value)))
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut rows = self.0.lock().unwrap();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => drop(rows.insert(key, value)),
                Op::Delete(key) => drop(rows.remove(&key)),
                Op::DeleteRange(from, to) => rows.retain(|key, _| *key < from || *key >= to),
            }
        }
        Ok(())
    }

    fn rows(&self) -> Box<dyn Rows + '_> {
        let rows = self.0.lock().unwrap().clone().into_iter().collect();
        Box::new(Snapshot { rows, at: 0 })
    }

    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

struct Snapshot {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    at: usize,
}

impl Rows for Snapshot {
    fn current(&self) -> Option<(&[u8], &[u8])> {
        self.rows.get(self.at).map(|(key, value)| (&key[..], &value[..]))
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.at = self.rows.partition_point(|(other, _)| other.as_slice() < key);
        Ok(())
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<(), StorageError> {
        let behind = self.rows.partition_point(|(other, _)| other.as_slice() <= key);
        self.at = behind.checked_sub(1).unwrap_or(usize::MAX);
        Ok(())
    }

    fn next(&mut self) -> Result<(), StorageError> {
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        self.at = self.at.checked_sub(1).unwrap_or(usize::MAX);
        Ok(())
    }
}
