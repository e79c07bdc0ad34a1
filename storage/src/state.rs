//! Rows that are worked out from the log.

use bytes::Bytes;

use crate::log::StorageError;

/// Writes that take effect together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub ops: Vec<Op>,
    pub bytes: usize,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    /// All keys from the first (inclusive) to the second (exclusive).
    DeleteRange(Vec<u8>, Vec<u8>),
}

impl Batch {
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.ops.push(Op::Put(key, value));
    }

    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += key.len();
        self.ops.push(Op::Delete(key));
    }

    pub fn delete_range(&mut self, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) {
        self.ops.push(Op::DeleteRange(from.into(), to.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// A position among the rows, in the order of their keys.
pub trait Rows {
    /// The row at the position; `None`: at the end. The borrow ends with the next move.
    fn current(&self) -> Option<(&[u8], &[u8])>;
    /// To the first row at or after `key`.
    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError>;
    /// To the last row at or before `key`.
    fn seek_back(&mut self, key: &[u8]) -> Result<(), StorageError>;
    fn next(&mut self) -> Result<(), StorageError>;
    fn prev(&mut self) -> Result<(), StorageError>;
}

/// The state of a node: rows by key. There is no write-ahead log: what was written is durable after
/// [`flush`](StateStore::flush), and a crash brings back a state as it was after some earlier batch, never half a batch.
/// Whoever writes replays the log from what the rows say was applied.
///
/// A batch must stand on durable entries only (`LogStore::durable`): the store may flush whenever it likes.
pub trait StateStore: Send + Sync + 'static {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError>;
    fn write(&self, batch: Batch) -> Result<(), StorageError>;
    /// Rows as they are now; later writes do not change them.
    fn rows(&self) -> Box<dyn Rows + '_>;
    /// Makes all that was written durable. Blocking.
    fn flush(&self) -> Result<(), StorageError>;
}
