//! A data group with all that works for it.

use std::sync::Arc;

use mainstem_raft::Group;
use mainstem_storage::Kept;

use super::types::StoredMessage;
use crate::engine::Desk;
use crate::error::Error;
use crate::machine::{GroupMachine, Position};
use crate::proposer::Door;

/// The group of names.
pub(super) const META: u32 = 0;

/// Places of the lanes.
pub(super) const FILE: usize = 0;
pub(super) const MEMORY: usize = 1;
pub(super) const ASYNC: usize = 2;

/// The data groups: their numbers, and how each is kept.
pub(super) const GROUPS: [(u32, Kept); 3] = [(1, Kept::Synced), (2, Kept::Memory), (3, Kept::Async)];

/// One data group.
pub(super) struct Lane {
    pub(super) group: Arc<Group>,
    pub(super) machine: Arc<GroupMachine>,
    pub(super) log: Arc<dyn mainstem_storage::LogStore>,
    pub(super) door: Arc<Door>,
    pub(super) desk: Desk,
    pub(super) on_disk: bool,
}

impl Lane {
    pub(super) fn number(&self) -> u32 {
        self.group.id().0
    }

    /// Reads a message. `None`: it is not there any more.
    pub(super) fn load(&self, position: &Position) -> Result<Option<StoredMessage>, Error> {
        let stored = match self.log.get(self.group.id(), position.index) {
            Ok(stored) => stored,
            Err(mainstem_storage::StorageError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let entry = mainstem_raft::payload(&stored);
        let Some(native) = crate::engine::native(&entry, position.ordinal as usize)? else {
            return Ok(None);
        };
        Ok(Some(StoredMessage {
            seq: position.seq,
            timestamp_ns: position.timestamp_ns,
            subject: entry.slice_ref(native.subject),
            headers: entry.slice_ref(native.headers),
            payload: entry.slice_ref(native.payload),
            last_seq: 0,
            pending: 0,
        }))
    }
}
