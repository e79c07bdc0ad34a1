//! Rows on the simulated disk: a journal of batches.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::codec::{self, BATCH, Record};
use super::disk::{Disk, File};
use crate::log::{GroupId, StorageError};
use crate::state::{Batch, Op, Rows, StateStore};

type Map = BTreeMap<Vec<u8>, Bytes>;

/// The rows. A batch is on disk when it is flushed; a crash brings back a prefix of the others.
pub struct SimState {
    disk: Disk,
    rows: Mutex<Arc<Map>>,
}

impl SimState {
    pub fn open(disk: &Disk) -> SimState {
        let (records, length) = codec::decode(disk.read(File::State));
        disk.cut(File::State, length);
        let mut rows = Map::new();
        for record in records {
            decode(&record.data)
                .into_iter()
                .for_each(|op| apply(&mut rows, op));
        }
        SimState {
            disk: disk.clone(),
            rows: Mutex::new(Arc::new(rows)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Map>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(rows: &mut Map, op: Op) {
    match op {
        Op::Put(key, value) => drop(rows.insert(key, value.into())),
        Op::Delete(key) => drop(rows.remove(&key)),
        Op::DeleteRange(from, to) => rows.retain(|key, _| *key < from || *key >= to),
    }
}

/// Each write as kind, two lengths and two strings.
fn encode(ops: &[Op]) -> Vec<u8> {
    let mut out = Vec::new();
    for op in ops {
        let (kind, a, b): (u8, &[u8], &[u8]) = match op {
            Op::Put(key, value) => (0, key, value),
            Op::Delete(key) => (1, key, &[]),
            Op::DeleteRange(from, to) => (2, from, to),
        };
        out.push(kind);
        out.extend_from_slice(&(a.len() as u32).to_le_bytes());
        out.extend_from_slice(&(b.len() as u32).to_le_bytes());
        out.extend_from_slice(a);
        out.extend_from_slice(b);
    }
    out
}

fn decode(mut data: &[u8]) -> Vec<Op> {
    let mut ops = Vec::new();
    while let Some((op, rest)) = decode_one(data) {
        ops.push(op);
        data = rest;
    }
    ops
}

fn decode_one(data: &[u8]) -> Option<(Op, &[u8])> {
    let length = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?) as usize);
    let (a, b) = (length(1)?, length(5)?);
    let (first, rest) = data.get(9..)?.split_at_checked(a)?;
    let (second, rest) = rest.split_at_checked(b)?;
    let op = match data[0] {
        0 => Op::Put(first.into(), second.into()),
        1 => Op::Delete(first.into()),
        2 => Op::DeleteRange(first.into(), second.into()),
        _ => return None,
    };
    Some((op, rest))
}

impl StateStore for SimState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.lock().get(key).cloned())
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        let mut rows = self.lock();
        let record = Record {
            kind: BATCH,
            group: GroupId(0),
            index: 0,
            data: encode(&batch.ops).into(),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        self.disk.append(File::State, &bytes);
        let rows = Arc::make_mut(&mut rows);
        batch.ops.into_iter().for_each(|op| apply(rows, op));
        Ok(())
    }

    fn rows(&self) -> Box<dyn Rows + '_> {
        Box::new(SimRows {
            rows: self.lock().clone(),
            at: None,
        })
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.disk.sync(File::State);
        Ok(())
    }
}

struct SimRows {
    rows: Arc<Map>,
    at: Option<Vec<u8>>,
}

impl SimRows {
    fn go(&mut self, to: Option<Vec<u8>>) -> Result<(), StorageError> {
        self.at = to;
        Ok(())
    }
}

impl Rows for SimRows {
    fn current(&self) -> Option<(&[u8], &[u8])> {
        let (key, value) = self.rows.get_key_value(self.at.as_ref()?)?;
        Some((key, value))
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        let to = self
            .rows
            .range::<[u8], _>((Bound::Included(key), Bound::Unbounded))
            .next();
        self.go(to.map(|(key, _)| key.clone()))
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<(), StorageError> {
        let to = self
            .rows
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back();
        self.go(to.map(|(key, _)| key.clone()))
    }

    fn next(&mut self) -> Result<(), StorageError> {
        let Some(at) = &self.at else { return Ok(()) };
        let to = self
            .rows
            .range::<[u8], _>((Bound::Excluded(&at[..]), Bound::Unbounded))
            .next();
        self.go(to.map(|(key, _)| key.clone()))
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        let Some(at) = &self.at else { return Ok(()) };
        let to = self
            .rows
            .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&at[..])))
            .next_back();
        self.go(to.map(|(key, _)| key.clone()))
    }
}
