//! A log and a state on a disk that can crash after any step.
#![allow(dead_code)] // each test file uses a part of it

pub mod ledger;
mod rows;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use bytes::Bytes;
use crossbeam::channel::{self, Sender};
use mainstem_storage::log::{Cleaned, Done};
use mainstem_storage::state::Op as RowOp;
use mainstem_storage::{Batch, Bounds, Entry, GroupId, Kept, LogStore, Note, StorageError};

#[derive(Clone)]
enum Op {
    Append(GroupId, Vec<Entry>),
    Truncate(GroupId, u64),
    Purge(GroupId, u64, Bytes),
    Note(GroupId, Note, Bytes),
}

#[derive(Default)]
struct Log {
    kept: Option<Kept>,
    first: u64,
    entries: BTreeMap<u64, Bytes>,
    notes: BTreeMap<Note, Bytes>,
    next: u64,
    durable: u64,
}

/// What a disk holds, and what is on its way there.
#[derive(Default)]
struct World {
    logs: BTreeMap<GroupId, Log>,
    rows: BTreeMap<Vec<u8>, Bytes>,
    /// Written and not known to be durable: a crash keeps a prefix of each.
    ops: Vec<Op>,
    batches: Vec<Batch>,
    durable_ops: Vec<Op>,
    durable_batches: Vec<Batch>,
    steps: u64,
    crash_at: Option<u64>,
    crashed: bool,
    full: Option<StorageError>,
    damaged: Option<u64>,
}

/// A node's storage, in memory.
#[derive(Clone)]
pub struct Disk {
    world: Arc<Mutex<World>>,
    writer: Sender<(usize, Done)>,
}

/// What a crash left.
pub struct Remains {
    ops: Vec<Op>,
    batches: Vec<Batch>,
}

impl World {
    /// A step of the disk; `false`: it has crashed.
    fn step(&mut self) -> bool {
        self.steps += 1;
        if self.crash_at.is_some_and(|at| self.steps >= at) {
            self.crashed = true;
        }
        !self.crashed
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Append(group, entries) => {
                let log = self.logs.entry(*group).or_default();
                for entry in entries {
                    assert_eq!(entry.index, log.next, "appended out of order");
                    log.entries.insert(entry.index, entry.data.clone());
                    log.next = entry.index + 1;
                }
            }
            Op::Truncate(group, from) => {
                let log = self.logs.entry(*group).or_default();
                log.entries.split_off(from);
                log.next = (*from).max(log.first);
            }
            Op::Purge(group, first, note) => {
                let log = self.logs.entry(*group).or_default();
                log.first = log.first.max(*first);
                log.next = log.next.max(*first);
                log.notes.insert(Note::Purged, note.clone());
            }
            Op::Note(group, note, value) => {
                self.logs
                    .entry(*group)
                    .or_default()
                    .notes
                    .insert(*note, value.clone());
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        for op in &batch.ops {
            match op {
                RowOp::Put(key, value) => drop(self.rows.insert(key.clone(), Bytes::from(value.clone()))),
                RowOp::Delete(key) => drop(self.rows.remove(key)),
                RowOp::DeleteRange(from, to) => self.rows.retain(|key, _| key < from || key >= to),
            }
        }
    }
}

impl Disk {
    pub fn new() -> Disk {
        Disk::from(Remains {
            ops: Vec::new(),
            batches: Vec::new(),
        })
    }

    /// A disk with what a crash left.
    pub fn from(remains: Remains) -> Disk {
        let mut world = World::default();
        remains.ops.iter().for_each(|op| world.apply(op));
        remains.batches.iter().for_each(|batch| world.write(batch));
        for log in world.logs.values_mut() {
            log.durable = log.next;
        }
        world.durable_ops = remains.ops;
        world.durable_batches = remains.batches;
        let world = Arc::new(Mutex::new(world));
        let (writer, queue) = channel::bounded::<(usize, Done)>(1 << 16);
        let writing = world.clone();
        thread::spawn(move || {
            while let Ok((count, done)) = queue.recv() {
                if finish(&writing, count) {
                    done(Ok(()));
                } else {
                    std::mem::forget(done);
                }
            }
        });
        Disk { world, writer }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the disk at the given step from now: nothing takes effect or completes after that.
    pub fn crash_after(&self, steps: u64) {
        let mut world = self.world();
        world.crash_at = Some(world.steps + steps);
    }

    pub fn has_crashed(&self) -> bool {
        self.world().crashed
    }

    pub fn steps(&self) -> u64 {
        self.world().steps
    }

    /// Crashes now if it has not. Of what was not durable, `keep` (0 to 100 percent) of the operations and batches stay.
    pub fn crash(&self, keep: (usize, usize)) -> Remains {
        let mut world = self.world();
        world.crashed = true;
        let mut ops = world.durable_ops.clone();
        let kept = world.ops.len() * keep.0.min(100) / 100;
        ops.extend(world.ops[..kept].iter().cloned());
        let mut batches = world.durable_batches.clone();
        let kept = world.batches.len() * keep.1.min(100) / 100;
        batches.extend(world.batches[..kept].iter().cloned());
        Remains { ops, batches }
    }

    /// Forgets the last `count` operations of the log, as a disk does that lied about its fsyncs.
    pub fn lose(remains: &mut Remains, count: usize) {
        let left = remains.ops.len().saturating_sub(count);
        remains.ops.truncate(left);
    }

    pub fn set_full(&self, full: Option<StorageError>) {
        self.world().full = full;
    }

    /// Reading this entry fails from now on.
    pub fn damage(&self, index: u64) {
        self.world().damaged = Some(index);
    }

    pub fn row_count(&self) -> usize {
        self.world().rows.len()
    }

    fn submit(&self, op: Op, done: Done) {
        let mut world = self.world();
        if !world.step() {
            // Nobody is told of anything any more, not even that nothing will come.
            return std::mem::forget(done);
        }
        let group = match &op {
            Op::Append(group, _)
            | Op::Truncate(group, _)
            | Op::Purge(group, _, _)
            | Op::Note(group, _, _) => *group,
        };
        world.apply(&op);
        let kept = world.logs.get(&group).and_then(|log| log.kept);
        if kept == Some(Kept::Memory) {
            let log = world.logs.get_mut(&group).unwrap();
            log.durable = log.next;
            drop(world);
            return done(Ok(()));
        }
        world.ops.push(op);
        let (later, now): (Done, Option<Done>) = if kept == Some(Kept::Async) {
            (Box::new(|_| ()), Some(done))
        } else {
            (done, None)
        };
        self.writer.send((1, later)).unwrap();
        drop(world);
        if let Some(done) = now {
            done(Ok(()));
        }
    }
}

/// Makes the next operations durable; `false`: the disk has crashed.
fn finish(world: &Mutex<World>, count: usize) -> bool {
    let mut world = world.lock().unwrap();
    if !world.step() {
        return false;
    }
    let ops: Vec<Op> = world.ops.drain(..count).collect();
    for op in &ops {
        if let Op::Append(group, entries) = op {
            let log = world.logs.get_mut(group).unwrap();
            log.durable = log.durable.max(entries.last().map_or(0, |entry| entry.index + 1));
        }
    }
    world.durable_ops.extend(ops);
    true
}

impl LogStore for Disk {
    fn open_group(&self, group: GroupId, kept: Kept) -> Result<(), StorageError> {
        self.world().logs.entry(group).or_default().kept = Some(kept);
        Ok(())
    }

    fn is_full(&self) -> Option<StorageError> {
        self.world().full.clone()
    }

    fn append(&self, group: GroupId, entries: Vec<Entry>, done: Done) {
        self.submit(Op::Append(group, entries), done);
    }

    fn truncate(&self, group: GroupId, from: u64, done: Done) {
        self.submit(Op::Truncate(group, from), done);
    }

    fn purge(&self, group: GroupId, first: u64, note: Bytes, done: Done) {
        self.submit(Op::Purge(group, first, note), done);
    }

    fn set_note(&self, group: GroupId, note: Note, value: Bytes, done: Done) {
        self.submit(Op::Note(group, note, value), done);
    }

    fn note(&self, group: GroupId, note: Note) -> Result<Option<Bytes>, StorageError> {
        Ok(self
            .world()
            .logs
            .get(&group)
            .and_then(|log| log.notes.get(&note).cloned()))
    }

    fn bounds(&self, group: GroupId) -> Bounds {
        let world = self.world();
        let log = world.logs.get(&group);
        log.map_or(Bounds { first: 0, next: 0 }, |log| Bounds {
            first: log.first,
            next: log.next,
        })
    }

    fn durable(&self, group: GroupId) -> u64 {
        self.world().logs.get(&group).map_or(0, |log| log.durable)
    }

    fn sync(&self, group: GroupId, done: Done) {
        let _ = group;
        let _ = self.writer.send((0, done));
    }

    fn read(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, StorageError> {
        let world = self.world();
        let mut bytes = 0;
        let mut entries = Vec::new();
        for (index, data) in world.logs[&group].entries.range(range) {
            if world.damaged == Some(*index) {
                if entries.is_empty() {
                    return Err(damaged());
                }
                break;
            }
            bytes += data.len();
            entries.push(Entry {
                index: *index,
                data: data.clone(),
            });
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(entries)
    }

    fn get(&self, group: GroupId, index: u64) -> Result<Bytes, StorageError> {
        let world = self.world();
        let entry = world
            .logs
            .get(&group)
            .and_then(|log| log.entries.get(&index).cloned());
        entry.ok_or(StorageError::Missing {
            group: group.0,
            index,
        })
    }

    fn set_liveness(&self, _group: GroupId, _liveness: Arc<dyn mainstem_storage::log::Liveness>) {}

    fn clean(
        &self,
        _checkpoint: &mut dyn FnMut() -> Result<(), StorageError>,
    ) -> Result<Cleaned, StorageError> {
        Ok(Cleaned::default())
    }
}

pub fn damaged() -> StorageError {
    StorageError::Damaged {
        file: "000001.log".into(),
        offset: 42,
        what: "checksum".into(),
    }
}
