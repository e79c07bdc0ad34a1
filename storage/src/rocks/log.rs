//! The log of all groups on RocksDB.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use crossbeam::channel::{self, Sender};

use super::db::LogDb;
use super::reader::Reader;
use super::recover::Recovered;
use super::shared::{Shared, keep};
use super::writer::{Op, Writer};
use crate::folder::Lock;
use crate::group::{Found, Group};
use crate::log::{Bounds, Cleaned, Done, Entry, GroupId, Kept, Liveness, LogStore, Note, StorageError};
use crate::options::Options;
use crate::space::Space;
use crate::watermark::Watermark;

/// Operations that wait for the writer at most. Whoever comes then waits, too.
const MAX_WAITING: usize = 16 << 10;
/// What a log is opened with.
pub struct Parts {
    pub db: LogDb,
    pub options: Options,
    pub space: Space,
    pub watermark: Watermark,
    pub recovered: Recovered,
    pub read_only: Option<StorageError>,
    pub lock: Arc<Lock>,
}

/// What a change of a group leaves to do.
struct Next {
    /// For the writer.
    op: Option<Op>,
    /// Who is told at once.
    tell: Option<(Done, Result<(), StorageError>)>,
}

impl Next {
    fn write(op: Op) -> Next {
        Next {
            op: Some(op),
            tell: None,
        }
    }

    fn tell(done: Done, result: Result<(), StorageError>) -> Next {
        Next {
            op: None,
            tell: Some((done, result)),
        }
    }
}

/// The log. Its threads end when it is dropped.
pub struct RocksLog {
    shared: Arc<Shared>,
    /// `None`: the writer is gone, or never was.
    ops: Option<Sender<Op>>,
    writer: Option<JoinHandle<()>>,
    keeper: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    /// Held while a group is added.
    adding: Mutex<()>,
    pub(super) cleaner: Mutex<super::clean::Cleaner>,
}

impl RocksLog {
    pub fn start(parts: Parts) -> Result<RocksLog, StorageError> {
        let (active, next_cold) = (parts.recovered.active, parts.recovered.next_cold);
        let shared = Arc::new(Shared::new(parts));
        let is_read_only = shared.read_only().is_some();
        let mut log = RocksLog {
            shared,
            ops: None,
            writer: None,
            keeper: None,
            adding: Mutex::default(),
            cleaner: Mutex::new(super::clean::Cleaner::new(next_cold)),
        };
        if !is_read_only {
            log.spawn(active)?;
        }
        Ok(log)
    }

    fn spawn(&mut self, active: u64) -> Result<(), StorageError> {
        let failed = |error| StorageError::Io(format!("no thread for the log: {error}"));
        let (ops, queue) = channel::bounded(MAX_WAITING);
        let writer = Writer::new(self.shared.clone(), queue, active);
        let thread = thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer.run());
        self.writer = Some(thread.map_err(failed)?);
        self.ops = Some(ops);
        let (stop, shared) = (Arc::new(AtomicBool::new(false)), self.shared.clone());
        let stopped = stop.clone();
        let keeper = thread::Builder::new()
            .name("log-keeper".into())
            .spawn(move || keep(&shared, &stopped));
        self.keeper = Some((stop, keeper.map_err(failed)?));
        Ok(())
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            db: &self.shared.db,
            cache: &self.shared.cache,
            metrics: &self.shared.metrics,
        }
    }

    fn group(&self, id: GroupId) -> Result<Arc<Group>, StorageError> {
        let unknown = || StorageError::Io(format!("group {} is not open", id.0));
        self.shared.groups.load().get(&id).cloned().ok_or_else(unknown)
    }

    /// Hands an operation to the writer, which tells whoever waits for it; so does this where there is no writer.
    pub(super) fn send(&self, op: Op) {
        if let Err(op) = self.queue(op) {
            self.refuse(op);
        }
    }

    /// Gives the operation back where there is no writer.
    fn queue(&self, op: Op) -> Result<(), Op> {
        match &self.ops {
            Some(ops) => ops.send(op).map_err(|error| error.into_inner()),
            None => Err(op),
        }
    }

    fn refuse(&self, op: Op) {
        let reason = self.closed();
        match op {
            Op::Append { done, .. } => done.into_iter().for_each(|done| done(Err(reason.clone()))),
            Op::Truncate { done, .. }
            | Op::Purge { done, .. }
            | Op::Note { done, .. }
            | Op::Sync { done }
            | Op::Move { done, .. } => done(Err(reason)),
        }
    }

    fn closed(&self) -> StorageError {
        let read_only = self.shared.read_only();
        read_only.unwrap_or_else(|| StorageError::Io("the log is closed".into()))
    }

    /// Changes a group and hands the change over, in one order.
    fn change(&self, id: GroupId, done: Done, change: impl FnOnce(&Arc<Group>, Done) -> Next) {
        let group = match (self.shared.read_only(), self.group(id)) {
            (None, Ok(group)) => group,
            (Some(error), _) | (_, Err(error)) => return done(Err(error)),
        };
        let order = group.order.lock().unwrap_or_else(PoisonError::into_inner);
        let Next { op, tell } = change(&group, done);
        let unsent = op.and_then(|op| self.queue(op).err());
        drop(order);
        // With the lock free: whoever is told may append at once.
        if let Some((done, result)) = tell {
            done(match unsent {
                Some(_) => Err(self.closed()),
                None => result,
            });
        }
        if let Some(op) = unsent {
            self.refuse(op);
        }
    }

    fn close(&mut self) {
        self.ops = None;
        let me = thread::current().id();
        if let Some((stop, keeper)) = self.keeper.take() {
            stop.store(true, Ordering::Release);
            keeper.thread().unpark();
            if keeper.thread().id() != me {
                // It has nothing to say.
                let _ = keeper.join();
            }
        }
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != me
        {
            let _ = writer.join();
        }
        if self.shared.read_only().is_none() {
            self.shared.write_watermark();
        }
    }
}

impl Drop for RocksLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl LogStore for RocksLog {
    fn open_group(&self, group: GroupId, kept: Kept) -> Result<(), StorageError> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = self.shared.groups.load_full();
        if let Some(group) = groups.get(&group) {
            group.open(kept);
            return Ok(());
        }
        let new = Group::new(group, Found::default());
        new.open(kept);
        let mut groups = BTreeMap::clone(&groups);
        groups.insert(group, Arc::new(new));
        self.shared.groups.store(Arc::new(groups));
        Ok(())
    }

    fn is_full(&self) -> Option<StorageError> {
        let read_only = self.shared.read_only();
        let read_only = read_only.map(|reason| StorageError::ReadOnly(reason.to_string()));
        read_only.or_else(|| self.shared.space.is_full())
    }

    fn append(&self, group: GroupId, entries: Vec<Entry>, done: Done) {
        let metrics = &self.shared.metrics;
        self.change(group, done, |group, done| {
            let kept = group.kept();
            let mut state = group.lock();
            let in_order = (state.next..)
                .zip(&entries)
                .all(|(index, entry)| index == entry.index);
            if !in_order {
                let next = state.next;
                let error = format!("entries for group {} are not at {next}", group.id.0);
                return Next::tell(done, Err(StorageError::Io(error)));
            }
            if entries.is_empty() {
                return Next::tell(done, Ok(()));
            }
            let entries: Vec<Bytes> = entries.into_iter().map(|entry| entry.data).collect();
            let first = state.append(entries.iter().cloned(), kept);
            drop(state);
            if kept == Kept::Memory {
                return Next::tell(done, Ok(()));
            }
            let bytes: usize = entries.iter().map(Bytes::len).sum();
            metrics.appended_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            let (tell, done) = match kept {
                Kept::Async => (Some((done, Ok(()))), None),
                Kept::Synced | Kept::Memory => (None, Some(done)),
            };
            let op = Some(Op::Append {
                group: group.clone(),
                first,
                entries,
                done,
            });
            Next { op, tell }
        });
    }

    fn truncate(&self, group: GroupId, from: u64, done: Done) {
        self.change(group, done, |group, done| {
            let mut state = group.lock();
            state.truncate(from);
            if group.kept() == Kept::Memory {
                state.written = state.next;
                return Next::tell(done, Ok(()));
            }
            Next::write(Op::Truncate {
                group: group.clone(),
                from,
                done,
            })
        });
    }

    fn purge(&self, group: GroupId, first: u64, note: Bytes, done: Done) {
        self.change(group, done, |group, done| {
            let mut state = group.lock();
            state.purge(first);
            state.set_note(Note::Purged, note.clone());
            if group.kept() == Kept::Memory {
                state.written = state.next;
                return Next::tell(done, Ok(()));
            }
            let first = state.first;
            Next::write(Op::Purge {
                group: group.clone(),
                first,
                note,
                done,
            })
        });
    }

    fn set_note(&self, group: GroupId, note: Note, value: Bytes, done: Done) {
        self.change(group, done, |group, done| {
            group.lock().set_note(note, value.clone());
            if group.kept() == Kept::Memory {
                return Next::tell(done, Ok(()));
            }
            Next::write(Op::Note {
                group: group.clone(),
                note,
                value,
                done,
            })
        });
    }

    fn note(&self, group: GroupId, note: Note) -> Result<Option<Bytes>, StorageError> {
        Ok(self.group(group)?.lock().note(note))
    }

    fn bounds(&self, group: GroupId) -> Bounds {
        self.group(group)
            .map_or(Bounds { first: 0, next: 0 }, |group| group.bounds())
    }

    fn durable(&self, group: GroupId) -> u64 {
        self.group(group).map_or(0, |group| group.lock().written)
    }

    fn sync(&self, group: GroupId, done: Done) {
        self.change(group, done, |group, done| match group.kept() {
            Kept::Memory => Next::tell(done, Ok(())),
            Kept::Synced | Kept::Async => Next::write(Op::Sync { done }),
        });
    }

    fn read(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, StorageError> {
        let group = self.group(group)?;
        self.checked(self.reader().read(&group, range, max_bytes))
    }

    fn get(&self, group: GroupId, index: u64) -> Result<Bytes, StorageError> {
        let group = self.group(group)?;
        self.checked(self.reader().get(&group, index))
    }

    fn set_liveness(&self, group: GroupId, liveness: Arc<dyn Liveness>) {
        if let Ok(group) = self.group(group) {
            group.set_liveness(liveness);
        }
    }

    fn clean(
        &self,
        checkpoint: &mut dyn FnMut() -> Result<(), StorageError>,
    ) -> Result<Cleaned, StorageError> {
        let mut cleaner = self.cleaner.lock().unwrap_or_else(PoisonError::into_inner);
        let cleaned = cleaner.clean(self, checkpoint);
        self.checked(cleaned)
    }
}

impl RocksLog {
    fn checked<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        result.inspect_err(|error| self.shared.found(error))
    }
}
