//! One group of the simulated log.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{CLEANED, ENTRY, NOTE, PURGE, Record, STRIPPED, TRUNCATE};
use crate::log::{GroupId, Kept, Liveness, Note};

/// A group.
#[derive(Default)]
pub struct Group {
    pub kept: Option<Kept>,
    pub first: u64,
    pub next: u64,
    pub written: u64,
    pub entries: BTreeMap<u64, Bytes>,
    pub notes: BTreeMap<u8, Bytes>,
    pub liveness: Option<Arc<dyn Liveness>>,
}

/// A group's purged entries, and who needs them.
pub type Purged = (GroupId, Option<Arc<dyn Liveness>>, Vec<(u64, Bytes)>);

impl Group {
    pub fn is_memory(&self) -> bool {
        self.kept == Some(Kept::Memory)
    }

    pub fn apply(&mut self, record: Record) {
        match record.kind {
            ENTRY => {
                self.entries.insert(record.index, record.data);
                self.next = record.index + 1;
            }
            STRIPPED => drop(self.entries.insert(record.index, record.data)),
            CLEANED => drop(self.entries.remove(&record.index)),
            TRUNCATE if record.index < self.next => {
                self.entries.split_off(&record.index);
                self.next = record.index;
                self.first = self.first.min(record.index);
            }
            PURGE => {
                self.first = self.first.max(record.index);
                self.next = self.next.max(self.first);
                self.notes.insert(Note::Purged as u8, record.data);
            }
            NOTE => drop(self.notes.insert(record.index as u8, record.data)),
            _ => (),
        }
    }
}
