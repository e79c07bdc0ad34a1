//! The replicated state of a data group: streams, what they hold, and how far their consumers have come.
//!
//! A message stands in the log and nowhere else; here is where it stands. What changes is kept in RAM until a
//! checkpoint, and little else is: rows are read when they are needed. Applying an entry reads no clock and nothing of this
//! node; where it needs to know the subject of an old message, it reads the log.

mod apply;
mod consumer;
mod consumers;
mod context;
mod deleted;
mod interest;
mod live;
mod liveness;
mod matcher;
mod mend;
mod message;
mod msg_ids;
mod open;
mod publish;
mod remove;
mod rows;
mod runs;
mod stream;
mod subjects;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mainstem_raft::{Machine, Reply, payload};
use mainstem_storage::{Batch, GroupId, LogStore, StateStore, StorageError};

pub use consumer::ConsumerState;
pub use context::Change;
pub use message::Message;
pub use stream::StreamState;
pub use view::View;

use crate::command::StreamId;
use context::Context;

/// The highest sequence: far beyond what is ever reached, and far enough from where numbers end that none overflows.
pub(crate) const MAX_SEQ: u64 = 1 << 62;

/// Where a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub seq: u64,
    /// The entry.
    pub index: u64,
    /// The record's place in the entry.
    pub ordinal: u32,
    /// The message's place in the record.
    pub part: u32,
    /// What is accounted for it.
    pub size: u32,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
}

type Streams = HashMap<StreamId, Box<StreamState>, foldhash::fast::RandomState>;

/// A data group's machine.
pub struct GroupMachine {
    group: GroupId,
    log: Arc<dyn LogStore>,
    state: Mutex<View>,
    /// Called after entries that changed something, with the machine's lock free.
    on_change: Box<dyn Fn() + Send + Sync>,
}

impl GroupMachine {
    /// Opens the machine with the rows that are there. `on_change` is called when there is something to
    /// [take](View::take_changes), from the thread that applies: it must not block.
    pub fn open(
        group: GroupId,
        log: Arc<dyn LogStore>,
        state: Arc<dyn StateStore>,
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<Self>, StorageError> {
        let cx = Context::new(group, Arc::clone(&log), state);
        Ok(Arc::new(Self {
            group,
            log,
            state: Mutex::new(View::open(cx)?),
            on_change: Box::new(on_change),
        }))
    }

    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Looks at the state, which stands still meanwhile.
    pub fn with<R>(&self, look: impl FnOnce(&mut View) -> R) -> R {
        look(&mut self.lock())
    }

    /// An entry's data, for [`Message::read`].
    pub fn entry(&self, index: u64) -> Result<Bytes, StorageError> {
        Ok(payload(&self.log.get(self.group, index)?))
    }

    /// A message: slices of its entry. Not under the machine's lock.
    pub fn load(&self, position: &Position) -> Result<Message, StorageError> {
        let entry = self.entry(position.index)?;
        Message::read(&entry, position).ok_or(StorageError::Missing {
            group: self.group.0,
            index: position.index,
        })
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        // A panic leaves a state that is marked as broken, so it is safe to look at.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine for GroupMachine {
    fn apply(&self, index: u64, data: &Bytes) -> Result<Reply, StorageError> {
        let (outcomes, is_changed) = {
            let mut view = self.lock();
            let outcomes = view.apply(index, data)?;
            (outcomes, view.is_changed())
        };
        if is_changed {
            (self.on_change)();
        }
        Ok(Box::new(outcomes))
    }

    fn checkpoint(&self, batch: &mut Batch) -> Result<(), StorageError> {
        self.lock().checkpoint(batch)
    }

    fn written(&self) {
        self.lock().written();
    }

    fn dirty_bytes(&self) -> usize {
        self.lock().changed_bytes()
    }
}
