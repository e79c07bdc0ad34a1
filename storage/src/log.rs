//! The log of many groups: what it promises.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

/// A group of replicas that share one log. Numbers are never used again for another group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// How a group's appends are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Complete when fsynced.
    Synced,
    /// Complete when handed to the writer; written and fsynced with the next batch. A crash may lose the end.
    Async,
    /// In RAM alone; complete at once, and empty after a restart.
    Memory,
}

/// One entry of a log. What the bytes mean is its owner's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub index: u64,
    pub data: Bytes,
}

/// Small facts of a group, each overwritten as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Note {
    Vote = 1,
    Committed = 2,
    /// What the owner wants to know about the last purged entry.
    Purged = 3,
}

/// What a log holds as a log. Entries below `first` may still be readable (see [`LogStore::purge`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First index that is not purged.
    pub first: u64,
    /// Next index to append; equal to `first` when there is nothing.
    pub next: u64,
}

/// Told once, from any thread: the operation is durable, or it failed.
pub type Done = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// What went wrong with the disk or what is on it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// What is on disk is not what was written. Never served as data.
    #[error("{file} is damaged at offset {offset}: {what}", file = .file.display())]
    Damaged {
        file: PathBuf,
        offset: u64,
        what: String,
    },
    /// The log ends before what was durable: unsynced writes were reported as synced, or a file was cut.
    #[error("the log of group {group} ends at {last}, but was durable up to {watermark}")]
    Truncated { group: u32, last: u64, watermark: u64 },
    /// Free space is below the mark; appends are refused until there is more.
    #[error("the disk is full: {free_bytes} bytes free, {mark_bytes} wanted")]
    Full { free_bytes: u64, mark_bytes: u64 },
    /// The store was opened read-only because it is damaged.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    #[error("the data folder {folder} is in use by another process", folder = .0.display())]
    Locked(PathBuf),
    /// No such entry: purged and cleaned, or never there.
    #[error("entry {index} of group {group} is not there")]
    Missing { group: u32, index: u64 },
    #[error("{0}")]
    Io(String),
}

/// The log of all groups of a node.
///
/// # Durability
/// - An entry can be read as soon as [`append`](LogStore::append) returns.
/// - `done` is called after the entry, and everything that was handed over for the same group before it, is durable:
///   fsynced for a [`Kept::Synced`] group, at once for the others. Operations of one group become durable in the
///   order they were handed over, and a crash keeps a prefix of them.
/// - What was durable is there after any crash, kill or power loss. If the disk lied, opening says so
///   ([`StorageError::Truncated`]).
/// - A failed fsync ends the process: what it left on disk is unknown, and trying again would hide it. A full disk does
///   not: whoever adds to what is stored asks [`is_full`](LogStore::is_full) first, and whoever removes does not.
pub trait LogStore: Send + Sync + 'static {
    /// Names how a group's appends are kept. To be called once for each group, before anything else of it.
    fn open_group(&self, group: GroupId, kept: Kept) -> Result<(), StorageError>;

    /// Why nothing new should be appended now: the disk is below its mark ([`StorageError::Full`]), or the store is
    /// read-only. Cheap. To be asked before an entry is proposed that makes the store larger: what was proposed is appended
    /// whatever this says, because a log can not refuse what its group has already decided on; the mark leaves room for
    /// it, and for entries that remove something.
    fn is_full(&self) -> Option<StorageError>;

    /// Appends entries with consecutive indexes, the first at `bounds().next`. Never blocks on the disk.
    fn append(&self, group: GroupId, entries: Vec<Entry>, done: Done);

    /// Removes the entries from `from` on. Durable when `done` is called.
    fn truncate(&self, group: GroupId, from: u64, done: Done);

    /// Entries below `first` are no longer part of the log. They stay readable by [`get`](LogStore::get) for as long as
    /// something in them is needed ([`Liveness`]).
    fn purge(&self, group: GroupId, first: u64, note: Bytes, done: Done);

    /// Sets a note. Durable when `done` is called.
    fn set_note(&self, group: GroupId, note: Note, value: Bytes, done: Done);

    fn note(&self, group: GroupId, note: Note) -> Result<Option<Bytes>, StorageError>;

    fn bounds(&self, group: GroupId) -> Bounds;

    /// Last index that is on disk, in the sense of the group's [`Kept`] as `Synced` has it, plus one. For a memory group
    /// the same as `bounds().next`.
    fn durable(&self, group: GroupId) -> u64;

    /// Waits until everything that was handed over for the group before is on disk (also for an async group).
    fn sync(&self, group: GroupId, done: Done);

    /// Consecutive entries from `range.start` on, up to about `max_bytes` of them, at least one if there is one.
    fn read(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, StorageError>;

    /// One entry, also one that is purged and has not been cleaned away. A slice of a frame in the tail where it is
    /// there, else of a frame that is read from disk once and kept in a small cache.
    fn get(&self, group: GroupId, index: u64) -> Result<Bytes, StorageError>;

    /// Who knows which entries below a purge point are needed. To be set before cleaning begins.
    fn set_liveness(&self, group: GroupId, liveness: Arc<dyn Liveness>);

    /// Frees what nothing needs any more, and copies the rest of mostly dead segments forward. Blocking; called from a
    /// thread of its own, at intervals. `checkpoint` makes the state durable as it is now: it is called between finding
    /// out what is dead and removing it, so that no state that still needs it can come back after a crash.
    fn clean(
        &self,
        checkpoint: &mut dyn FnMut() -> Result<(), StorageError>,
    ) -> Result<Cleaned, StorageError>;
}

/// What a cleaning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub segments_freed: u64,
    pub bytes_freed: u64,
    pub bytes_copied: u64,
}

/// Who needs purged entries.
pub trait Liveness: Send + Sync {
    /// About how many bytes of the entries `range` are still needed.
    fn live_bytes(&self, range: Range<u64>) -> u64;
    /// The entry with all that is no longer needed left out; `None`: nothing of it is needed. What is left keeps its
    /// place: [`LogStore::get`] then returns the result instead of the entry.
    fn strip(&self, index: u64, entry: &Bytes) -> Option<Bytes>;
}
