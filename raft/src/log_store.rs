//! A group's log as openraft wants it, on the node's log of all groups.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, stream};
use mainstem_storage::log::Done;
use mainstem_storage::{Entry as StoredEntry, GroupId, Kept, LogStore, Note, StorageError};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogIdOptionExt, LogState, RaftLogReader};
use tokio::sync::oneshot;

use crate::codec::{self, Malformed};
use crate::shared::Shared;
use crate::types::{Entry, LogId, Types, Vote};

/// Bytes that one step of applying reads at most, unless one entry is larger.
const READ_BYTES: usize = 1 << 20;

/// One group's log. Clones are readers of the same log.
#[derive(Clone)]
pub struct GroupLog {
    store: Arc<dyn LogStore>,
    group: GroupId,
    kept: Kept,
    notes: Arc<Mutex<Notes>>,
    shared: Arc<Shared>,
}

/// The group's notes as they are on disk, or on their way there.
#[derive(Debug, Default)]
struct Notes {
    vote: Option<Vote>,
    purged: Option<LogId>,
    committed: Option<LogId>,
    /// `committed` is newer than what was handed to the store. It goes there with the next append: a write of its own
    /// would cost an fsync for each commit, and a replica that comes back with an older one only waits for its leader.
    committed_is_new: bool,
}

impl GroupLog {
    /// Reads the notes. The group must be open in the store.
    pub fn open(
        store: Arc<dyn LogStore>,
        group: GroupId,
        kept: Kept,
        shared: Arc<Shared>,
    ) -> Result<GroupLog, StorageError> {
        let mut notes = Notes::default();
        // The log of a memory group starts empty, and so must what is said about it.
        if kept != Kept::Memory {
            let read = |note| store.note(group, note);
            let invalid = |error| invalid(group, error);
            notes.vote = read(Note::Vote)?
                .map(|b| codec::decode_vote(&b))
                .transpose()
                .map_err(invalid)?;
            notes.purged = read(Note::Purged)?
                .map(|b| codec::decode_log_id(&b))
                .transpose()
                .map_err(invalid)?;
            notes.committed = read(Note::Committed)?
                .map(|b| codec::decode_log_id(&b))
                .transpose()
                .map_err(invalid)?;
        }
        Ok(GroupLog {
            store,
            group,
            kept,
            notes: Arc::new(Mutex::new(notes)),
            shared,
        })
    }

    /// The last entry, which may be purged; `None`: there never was one.
    pub fn last(&self) -> Result<Option<LogId>, StorageError> {
        let bounds = self.store.bounds(self.group);
        if bounds.next == bounds.first {
            return Ok(self.notes().purged);
        }
        let last = bounds.next - 1;
        let entries = self.store.read(self.group, last..bounds.next, READ_BYTES)?;
        let entry = entries.last().filter(|entry| entry.index == last);
        let entry = entry.ok_or(StorageError::Missing {
            group: self.group.0,
            index: last,
        })?;
        let id = codec::decode_entry_id(last, &entry.data).map_err(|error| invalid(self.group, error))?;
        Ok(Some(id))
    }

    pub fn committed(&self) -> Option<LogId> {
        self.notes().committed
    }

    /// Waits until the entry is on disk, whatever the group's appends wait for.
    pub async fn durable(&self, index: u64) -> Result<(), StorageError> {
        if self.store.durable(self.group) > index {
            return Ok(());
        }
        self.wait(|done| self.store.sync(self.group, done)).await
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_note(&self, note: Note, value: bytes::Bytes, done: Done) {
        match self.kept {
            Kept::Memory => done(Ok(())),
            Kept::Synced | Kept::Async => self.store.set_note(self.group, note, value, done),
        }
    }

    async fn wait(&self, start: impl FnOnce(Done)) -> Result<(), StorageError> {
        let (done, finished) = oneshot::channel();
        start(Box::new(move |result| {
            // Whoever waited may be gone.
            let _ = done.send(result);
        }));
        finished
            .await
            .unwrap_or_else(|_| Err(StorageError::Io("the log's writer is gone".into())))
    }

    async fn write(&self, start: impl FnOnce(Done)) -> Result<(), io::Error> {
        self.wait(start).await.map_err(|error| self.shared.fail(error))
    }

    /// Hands the committed index over, in front of an append.
    fn note_committed(&self) {
        let value = {
            let mut notes = self.notes();
            if !std::mem::take(&mut notes.committed_is_new) {
                return;
            }
            notes.committed.as_ref().map(codec::encode_log_id)
        };
        if let Some(value) = value {
            // A failure shows in the append that follows.
            self.set_note(Note::Committed, value, Box::new(|_| ()));
        }
    }

    fn clip(&self, range: impl RangeBounds<u64>) -> Range<u64> {
        let bounds = self.store.bounds(self.group);
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        start.max(bounds.first)..end.min(bounds.next)
    }

    /// The entries of a range, read as they are taken.
    pub fn entries(&self, range: Range<u64>) -> Entries {
        Entries {
            log: self.clone(),
            rest: range,
            read: Vec::new().into_iter(),
        }
    }
}

fn invalid(group: GroupId, error: Malformed) -> StorageError {
    StorageError::Io(format!("the log of group {} can not be read: {error}", group.0))
}

/// Consecutive entries of a log. A gap is an error, and so is an end before the range's.
pub struct Entries {
    log: GroupLog,
    rest: Range<u64>,
    read: std::vec::IntoIter<StoredEntry>,
}

impl Entries {
    /// The next one; `None`: that was all.
    pub fn read_next(&mut self) -> Result<Option<Entry>, StorageError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if self.read.len() == 0 {
            self.read = self
                .log
                .store
                .read(self.log.group, self.rest.clone(), READ_BYTES)?
                .into_iter();
        }
        let index = self.rest.start;
        let stored = self.read.next().filter(|stored| stored.index == index);
        let stored = stored.ok_or(StorageError::Missing {
            group: self.log.group.0,
            index,
        })?;
        let entry =
            codec::decode_entry(index, &stored.data).map_err(|error| invalid(self.log.group, error))?;
        self.rest.start += 1;
        Ok(Some(entry))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, io::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.read_next();
        if taken.is_err() {
            self.rest = 0..0;
        }
        taken.map_err(|error| self.log.shared.fail(error)).transpose()
    }
}

impl RaftLogReader<Types> for GroupLog {
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let range = self.clip(range);
        stream::iter(self.entries(range))
    }

    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let range = self.clip(range);
        self.entries(range).collect()
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.notes().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let read = self.store.read(self.group, self.clip(start..end), READ_BYTES);
        let stored = read.map_err(|error| self.shared.fail(error))?;
        let decoded = stored
            .iter()
            .map(|entry| codec::decode_entry(entry.index, &entry.data));
        decoded
            .collect::<Result<_, _>>()
            .map_err(|error| self.shared.fail(invalid(self.group, error)))
    }
}

impl RaftLogStorage<Types> for GroupLog {
    type LogReader = GroupLog;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let last_log_id = self.last().map_err(|error| self.shared.fail(error))?;
        Ok(LogState {
            last_purged_log_id: self.notes().purged,
            last_log_id,
        })
    }

    async fn get_log_reader(&mut self) -> GroupLog {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.notes().vote = Some(*vote);
        self.write(|done| self.set_note(Note::Vote, codec::encode_vote(vote), done))
            .await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.shared.set_committed(committed.next_index());
        let mut notes = self.notes();
        notes.committed = committed;
        notes.committed_is_new = true;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.committed())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries = entries.into_iter().map(|entry| StoredEntry {
            index: entry.index(),
            data: codec::encode_entry(entry),
        });
        let shared = self.shared.clone();
        let done: Done =
            Box::new(move |result| callback.io_completed(result.map_err(|error| shared.fail(error))));
        self.note_committed();
        self.store.append(self.group, entries.collect(), done);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.write(|done| self.store.truncate(self.group, last.next_index(), done))
            .await
    }

    async fn purge(&mut self, last: LogId) -> Result<(), io::Error> {
        self.notes().purged = Some(last);
        let note = codec::encode_log_id(&last);
        self.write(|done| self.store.purge(self.group, last.index + 1, note, done))
            .await
    }
}
