//! What all streams of a group share while an entry is applied.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use mainstem_record::{EntryReader, Record};
use mainstem_storage::{GroupId, LogStore, StateStore, StorageError};

use super::Position;
use super::live::Live;
use super::rows::Rows;
use crate::command::{StreamId, record_of};

/// The group's rows and log, and what changed.
pub(crate) struct Context {
    pub(crate) rows: Rows,
    pub(crate) live: Live,
    pub(crate) changed: Changed,
    /// About what changes of streams and subjects cost at a checkpoint.
    pub(crate) changed_bytes: usize,
    log: Arc<dyn LogStore>,
    /// The entry that was read last.
    entry: Option<(u64, Bytes)>,
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// There are new messages.
    pub stored: bool,
    /// Messages were removed.
    pub removed: bool,
    /// How many of them stood behind the first one.
    pub removed_inside: u64,
    /// It, or its configuration, is new, or it is gone.
    pub configured: bool,
    /// A consumer was created, changed or deleted.
    pub consumers: bool,
}

/// Streams that changed since somebody asked. What changed, the stream knows; unless it is gone.
pub(crate) type Changed = Vec<StreamId>;

impl Context {
    pub(crate) fn new(group: GroupId, log: Arc<dyn LogStore>, state: Arc<dyn StateStore>) -> Self {
        Self {
            rows: Rows::new(group.0, state),
            live: Live::default(),
            changed: Changed::new(),
            changed_bytes: 0,
            log,
            entry: None,
        }
    }

    /// An entry's data.
    pub(crate) fn entry(&mut self, index: u64) -> Result<Bytes, StorageError> {
        if let Some((_, entry)) = self.entry.as_ref().filter(|(held, _)| *held == index) {
            return Ok(entry.clone());
        }
        let group = GroupId(self.rows.group());
        let entry = mainstem_raft::payload(&self.log.get(group, index)?);
        self.entry = Some((index, entry.clone()));
        Ok(entry)
    }

    /// The subject of a stored message.
    pub(crate) fn subject_at(&mut self, position: &Position) -> Result<Bytes, StorageError> {
        let entry = self.entry(position.index)?;
        match record_at(&entry, position) {
            Some(Record::Native(native)) => Ok(entry.slice_ref(native.subject)),
            Some(Record::Batch(batch)) => Ok(entry.slice_ref(batch.subject)),
            _ => Err(self.no_record(position)),
        }
    }

    /// What to say when a record is not where it should be.
    pub(crate) fn no_record(&self, position: &Position) -> StorageError {
        StorageError::Damaged {
            file: PathBuf::from(format!("the log of group {}", self.rows.group())),
            offset: position.index,
            what: format!(
                "entry {} has no message at place {} (sequence {})",
                position.index, position.ordinal, position.seq
            ),
        }
    }

    /// What to say when an entry is not what was proposed.
    pub(crate) fn bad_entry(&self, index: u64, error: &dyn std::error::Error) -> StorageError {
        StorageError::Damaged {
            file: PathBuf::from(format!("the log of group {}", self.rows.group())),
            offset: index,
            what: format!("entry {index}: {error}"),
        }
    }

    /// What to say when the rows do not know where a message is.
    pub(crate) fn lost(&self, stream: StreamId, seq: u64) -> StorageError {
        StorageError::Damaged {
            file: PathBuf::from(format!("the state of group {}", self.rows.group())),
            offset: seq,
            what: format!("message {seq} of stream {} is in no block", stream.0),
        }
    }
}

/// The record at a place of an entry.
pub(crate) fn record_at<'a>(entry: &'a Bytes, position: &Position) -> Option<Record<'a>> {
    let reader = EntryReader::new(entry).ok()?;
    let command = reader.command(position.ordinal as usize)?;
    record_of(command).ok().flatten().map(|(_, record)| record)
}
