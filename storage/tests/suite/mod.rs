//! What every store promises.

mod cleaning;
mod log;
mod rows;

use std::any::Any;
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use mainstem_storage::{Done, Entry, GroupId, LogStore, StateStore, StorageError};

pub use cleaning::*;
pub use log::*;
pub use rows::*;

/// A store that is open.
pub struct Opened {
    pub log: Arc<dyn LogStore>,
    pub state: Arc<dyn StateStore>,
    /// Closed when it is dropped.
    #[allow(dead_code, reason = "it is held")]
    pub keep: Box<dyn Any>,
}

/// Opens the same store again and again. The one before must be dropped.
pub trait Factory {
    fn open(&mut self) -> Opened;
}

pub const A: GroupId = GroupId(1);
pub const B: GroupId = GroupId(2);

/// Waits for a completion.
pub fn wait(start: impl FnOnce(Done)) -> Result<(), StorageError> {
    let (done, finished) = mpsc::sync_channel(1);
    start(Box::new(move |result| done.send(result).unwrap()));
    finished.recv().unwrap()
}

/// An entry whose bytes tell its group and index.
pub fn data(group: GroupId, index: u64, len: usize) -> Bytes {
    let text = format!("{}/{index}/", group.0);
    text.bytes()
        .cycle()
        .take(len.max(text.len()))
        .collect::<Vec<u8>>()
        .into()
}

/// Appends entries of `len` bytes up to, not including, `to`.
pub fn append(log: &dyn LogStore, group: GroupId, to: u64, len: usize) {
    let first = log.bounds(group).next;
    for index in first..to {
        let entry = Entry {
            index,
            data: data(group, index, len),
        };
        if index + 1 == to {
            wait(|done| log.append(group, vec![entry], done)).unwrap();
        } else {
            log.append(group, vec![entry], Box::new(|result| result.unwrap()));
        }
    }
}

/// Reads a range entry by entry and as a whole, and compares it with what [`append`] wrote.
pub fn check(log: &dyn LogStore, group: GroupId, range: std::ops::Range<u64>, len: usize) {
    for index in range.clone() {
        assert_eq!(
            log.get(group, index).unwrap(),
            data(group, index, len),
            "{group:?} {index}"
        );
    }
    let mut next = range.start;
    while next < range.end {
        let entries = log.read(group, next..range.end, 10_000).unwrap();
        assert!(!entries.is_empty());
        for entry in entries {
            assert_eq!(
                entry,
                Entry {
                    index: next,
                    data: data(group, next, len)
                }
            );
            next += 1;
        }
    }
}
