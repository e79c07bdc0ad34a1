//! A machine that keeps a list of numbers.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use mainstem_raft::{Machine, Reply};
use mainstem_storage::{Batch, GroupId, StateStore, StorageError};

pub struct Ledger {
    group: GroupId,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    numbers: Vec<u64>,
    /// How many of them stand in rows.
    written: usize,
    /// Handed over by `checkpoint`, and not yet said to be written.
    handed: Option<usize>,
    last_index: u64,
    fails: bool,
}

impl Ledger {
    pub fn open(group: GroupId, state: &dyn StateStore) -> Arc<Ledger> {
        let mut inner = Inner::default();
        let mut rows = state.rows();
        let prefix = key(group, 0);
        rows.seek(&prefix).unwrap();
        while let Some((key, value)) = rows.current() {
            if key[..5] != prefix[..5] {
                break;
            }
            assert_eq!(
                key[5..],
                (inner.numbers.len() as u64).to_be_bytes(),
                "a row is missing"
            );
            inner.numbers.push(u64::from_le_bytes(value.try_into().unwrap()));
            rows.next().unwrap();
        }
        inner.written = inner.numbers.len();
        Arc::new(Ledger {
            group,
            inner: Mutex::new(inner),
        })
    }

    /// From now on checkpoints fail half-way.
    pub fn fail_checkpoints(&self, fails: bool) {
        self.inner.lock().unwrap().fails = fails;
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.inner.lock().unwrap().numbers.clone()
    }
}

fn key(group: GroupId, at: u64) -> Vec<u8> {
    let mut key = group.0.to_be_bytes().to_vec();
    key.push(1);
    key.extend(at.to_be_bytes());
    key
}

impl Machine for Ledger {
    fn apply(&self, index: u64, data: &Bytes) -> Result<Reply, StorageError> {
        let mut inner = self.inner.lock().unwrap();
        assert!(index > inner.last_index, "entry {index} is applied twice");
        inner.last_index = index;
        let number = u64::from_le_bytes(data[..8].try_into().unwrap());
        inner.numbers.push(number);
        Ok(Box::new((number, inner.numbers.len())))
    }

    fn checkpoint(&self, batch: &mut Batch) -> Result<(), StorageError> {
        let mut inner = self.inner.lock().unwrap();
        assert_eq!(inner.handed, None, "a checkpoint before the last one was written");
        for at in inner.written..inner.numbers.len() {
            batch.put(
                key(self.group, at as u64),
                inner.numbers[at].to_le_bytes().to_vec(),
            );
        }
        if inner.fails {
            return Err(StorageError::Io("a row can not be read".into()));
        }
        inner.handed = Some(inner.numbers.len());
        Ok(())
    }

    fn written(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.written = inner.handed.take().expect("nothing was handed over");
    }

    fn dirty_bytes(&self) -> usize {
        let inner = self.inner.lock().unwrap();
        (inner.numbers.len() - inner.written) * 21
    }
}
