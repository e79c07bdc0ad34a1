//! What a group's owner gives: the machine that its log drives.

use std::any::Any;

use bytes::Bytes;
use mainstem_storage::{Batch, StorageError};

/// What applying an entry says to whoever proposed it.
pub type Reply = Box<dyn Any + Send + Sync>;

/// A replicated state machine: the same entries in the same order give the same state on every replica.
///
/// Its rows are written back: changes stay in RAM until [`checkpoint`](Machine::checkpoint) hands them over. After a
/// crash the machine is opened from rows that stand at some earlier entry, and the log is applied again from there.
///
/// All its rows have keys that begin with the group's number (`u32`, big-endian) and a byte other than 0, which is
/// this crate's own.
pub trait Machine: Send + Sync + 'static {
    /// Applies one entry. `data` is what was proposed. Reads no clock, no randomness and no node's own configuration.
    ///
    /// An error means that the machine can not go on (what it needed to read is damaged): the group stops, and says why.
    fn apply(&self, index: u64, data: &Bytes) -> Result<Reply, StorageError>;

    /// Puts all rows that changed since the last call into the batch. The next call is [`written`](Machine::written):
    /// until then the state store does not have these rows, so they must not be read from there.
    ///
    /// After an error nothing of the batch is written, and the group stops: rows that are not all there must not pass for
    /// what the log says.
    fn checkpoint(&self, batch: &mut Batch) -> Result<(), StorageError>;

    /// The last checkpoint's rows can be read from the state store: what holds them in RAM may be dropped.
    fn written(&self);

    /// About how many bytes [`checkpoint`](Machine::checkpoint) would write.
    fn dirty_bytes(&self) -> usize;
}
