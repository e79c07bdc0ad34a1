//! The one thread that writes the log: everything that waits goes into one batch, one fsync, then everybody is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use crossbeam::channel::Receiver;
use rocksdb::WriteBatch;

use super::alter;
use super::db;
use super::error::{abort, is_no_space};
use super::meta;
use super::shared::Shared;
use crate::directory::Run;
use crate::frame::{self, ENTRY_OVERHEAD, FRAME_OVERHEAD};
use crate::group::Group;
use crate::log::{Done, GroupId, Note, StorageError};

/// Between two tries of a write that found no room.
const NO_SPACE_WAIT: Duration = Duration::from_millis(100);

/// Something to be written.
pub enum Op {
    Append {
        group: Arc<Group>,
        first: u64,
        entries: Vec<Bytes>,
        done: Option<Done>,
    },
    Truncate {
        group: Arc<Group>,
        from: u64,
        done: Done,
    },
    Purge {
        group: Arc<Group>,
        first: u64,
        note: Bytes,
        done: Done,
    },
    Note {
        group: Arc<Group>,
        note: Note,
        value: Bytes,
        done: Done,
    },
    Sync {
        done: Done,
    },
    /// Runs that cleaning moved, or found to be dead.
    Move {
        moved: Vec<Moved>,
        done: Done,
    },
}

/// A run that is now elsewhere.
pub struct Moved {
    pub group: Arc<Group>,
    pub from: Run,
    /// `None`: nothing of it is needed.
    pub to: Option<Run>,
}

impl Op {
    fn bytes(&self) -> usize {
        match self {
            Op::Append { entries, .. } => entries.iter().map(Bytes::len).sum(),
            _ => 64,
        }
    }

    /// Whether it reads what is on disk, so that it can not share a batch with what comes before it.
    fn is_alone(&self) -> bool {
        matches!(self, Op::Truncate { .. } | Op::Move { .. })
    }
}

/// Entries that left RAM's bound behind them.
struct Kept {
    group: Arc<Group>,
    last: u64,
    truncations: u64,
    bytes: usize,
}

/// Entries of one group on their way into a frame.
#[derive(Default)]
struct Open {
    first: u64,
    entries: Vec<Option<Bytes>>,
    bytes: usize,
}

/// The writer's own state.
pub struct Writer {
    shared: Arc<Shared>,
    ops: Receiver<Op>,
    /// The segment that is written to, and what it holds.
    active: u64,
    active_bytes: u64,
    active_groups: BTreeMap<GroupId, Arc<Group>>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    frame: Vec<u8>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, ops: Receiver<Op>, active: u64) -> Writer {
        Writer {
            shared,
            ops,
            active,
            active_bytes: 0,
            active_groups: BTreeMap::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            frame: Vec::new(),
        }
    }

    /// Writes until nobody can hand over anything any more.
    pub fn run(mut self) {
        let mut next = None;
        while let Some(op) = next.take().or_else(|| self.ops.recv().ok()) {
            if op.is_alone() {
                self.write_alone(op);
                continue;
            }
            let mut bytes = op.bytes();
            let mut batch = vec![op];
            while bytes < self.shared.options.batch_bytes {
                match self.ops.try_recv() {
                    Ok(op) if op.is_alone() => {
                        next = Some(op);
                        break;
                    }
                    Ok(op) => {
                        bytes += op.bytes();
                        batch.push(op);
                    }
                    Err(_) => break,
                }
            }
            self.write_together(batch, bytes);
        }
    }

    fn write_together(&mut self, ops: Vec<Op>, bytes: usize) {
        let appended = loop {
            let mut batch = WriteBatch::default();
            let mut appended = Vec::new();
            let built = self.build(&ops, &mut batch, &mut appended);
            self.check(built);
            if batch.is_empty() {
                break appended;
            }
            if self.commit(batch) {
                let metrics = &self.shared.metrics;
                metrics.batch_bytes.record(bytes as u64);
                metrics.batch_ops.record(ops.len() as u64);
                break appended;
            }
        };
        self.record(appended);
        for op in ops {
            self.finish(op);
        }
        self.shared.watermark_changed();
        self.evict();
        if self.active_bytes >= self.shared.options.segment_bytes {
            self.rotate();
        }
    }

    fn build(
        &mut self,
        ops: &[Op],
        batch: &mut WriteBatch,
        appended: &mut Vec<(GroupId, Run)>,
    ) -> Result<(), StorageError> {
        let shared = self.shared.clone();
        let mut open: BTreeMap<GroupId, Open> = BTreeMap::new();
        let meta = shared.db.family(db::META)?;
        for op in ops {
            match op {
                Op::Append {
                    group,
                    first,
                    entries,
                    ..
                } => {
                    self.active_groups
                        .entry(group.id)
                        .or_insert_with(|| group.clone());
                    let frame = open.entry(group.id).or_default();
                    for (index, data) in (*first..).zip(entries) {
                        let more = data.len() + ENTRY_OVERHEAD;
                        if !frame.entries.is_empty() && frame.bytes + more > shared.options.frame_bytes {
                            appended.push((group.id, self.put_frame(group.id, frame, batch)?));
                        }
                        if frame.entries.is_empty() {
                            frame.first = index;
                        }
                        frame.entries.push(Some(data.clone()));
                        frame.bytes += more;
                    }
                }
                Op::Purge {
                    group, first, note, ..
                } => {
                    batch.put_cf(meta, meta::first_key(group.id), first.to_le_bytes());
                    batch.put_cf(meta, meta::note_key(group.id, Note::Purged), note);
                }
                Op::Note {
                    group, note, value, ..
                } => {
                    batch.put_cf(meta, meta::note_key(group.id, *note), value);
                }
                Op::Sync { .. } | Op::Truncate { .. } | Op::Move { .. } => (),
            }
        }
        for (group, mut frame) in open {
            if !frame.entries.is_empty() {
                appended.push((group, self.put_frame(group, &mut frame, batch)?));
            }
        }
        Ok(())
    }

    fn put_frame(
        &mut self,
        group: GroupId,
        open: &mut Open,
        batch: &mut WriteBatch,
    ) -> Result<Run, StorageError> {
        let hot = self.shared.db.family(db::HOT)?;
        frame::encode(group, open.first, &open.entries, &mut self.frame);
        batch.put_cf(hot, frame::key(self.active, group, open.first), &self.frame);
        let bytes = (self.frame.len() + FRAME_OVERHEAD) as u64;
        let last = open.first + open.entries.len() as u64 - 1;
        self.active_bytes += bytes;
        open.entries.clear();
        open.bytes = 0;
        Ok(Run {
            first: open.first,
            last,
            segment: self.active,
            bytes,
        })
    }

    /// Writes a batch. `false`: the disk was full, so it is to be tried again. Anything else ends the process.
    fn commit(&self, batch: WriteBatch) -> bool {
        let clock = &self.shared.options.env.clock;
        let start = clock.now_ns();
        match self.shared.db.write_synced(batch) {
            Ok(()) => {
                self.shared
                    .metrics
                    .sync_ns
                    .record(clock.now_ns().saturating_sub(start));
                true
            }
            Err(error) if is_no_space(&error) => {
                self.shared.space.ran_out(error.as_ref());
                thread::park_timeout(NO_SPACE_WAIT);
                false
            }
            Err(error) => abort(error.as_ref()),
        }
    }

    /// Writes a small batch, as often as it takes.
    fn commit_small(&self, batch: &WriteBatch) {
        while !self.commit(WriteBatch::from_data(batch.data())) {}
    }

    /// What is wrong with the database itself is nothing to go on after.
    fn check<T>(&self, result: Result<T, StorageError>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => abort(&error.to_string()),
        }
    }

    fn record(&self, appended: Vec<(GroupId, Run)>) {
        for (group, run) in appended {
            if let Some(group) = self.active_groups.get(&group) {
                group.lock().runs.append(run);
            }
        }
    }

    fn finish(&mut self, op: Op) {
        match op {
            Op::Append {
                group,
                first,
                entries,
                done,
            } => {
                let next = first + entries.len() as u64;
                let bytes: usize = entries.iter().map(|data| data.len() + size_of::<Bytes>()).sum();
                let truncations = {
                    let mut state = group.lock();
                    state.written = state.written.max(next);
                    state.truncations
                };
                self.kept_bytes += bytes;
                self.kept.push_back(Kept {
                    group,
                    last: next - 1,
                    truncations,
                    bytes,
                });
                if let Some(done) = done {
                    done(Ok(()));
                }
            }
            Op::Purge {
                group, first, done, ..
            } => {
                let mut state = group.lock();
                state.written = state.written.max(first);
                drop(state);
                done(Ok(()));
            }
            Op::Note { done, .. } | Op::Sync { done } => done(Ok(())),
            Op::Truncate { done, .. } | Op::Move { done, .. } => done(Ok(())),
        }
    }

    /// Forgets the oldest entries in RAM, down to the bound.
    fn evict(&mut self) {
        while self.kept_bytes > self.shared.options.tail_bytes {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.kept_bytes -= oldest.bytes;
            let mut state = oldest.group.lock();
            // Entries of the same index may have been appended since, and not be written yet.
            if state.truncations == oldest.truncations {
                state.evict(oldest.last);
            }
        }
        self.shared
            .metrics
            .tail_bytes
            .store(self.kept_bytes as u64, Ordering::Relaxed);
    }

    /// Closes the segment: its directory is written, and what follows goes into the next one.
    fn rotate(&mut self) {
        let mut batch = WriteBatch::default();
        let rows = self.put_directory(&mut batch);
        self.check(rows);
        self.commit_small(&batch);
        if let Err(error) = self.shared.db.rotate() {
            // The segment stays in the log's own file and in RAM until there is room.
            tracing::warn!("a segment of the log can not be flushed now: {error}");
        }
        self.active += 1;
        self.shared.active.store(self.active, Ordering::Release);
        self.active_bytes = 0;
        self.active_groups.clear();
    }

    fn put_directory(&self, batch: &mut WriteBatch) -> Result<(), StorageError> {
        let meta = self.shared.db.family(db::META)?;
        for (id, group) in &self.active_groups {
            let runs = group.lock().runs.of_segment(self.active);
            if !runs.is_empty() {
                batch.put_cf(
                    meta,
                    meta::directory_key(self.active, *id),
                    meta::encode_runs(&runs),
                );
            }
        }
        batch.put_cf(meta, [meta::ACTIVE], (self.active + 1).to_le_bytes());
        Ok(())
    }

    fn write_alone(&mut self, op: Op) {
        let mut batch = WriteBatch::default();
        let built = match &op {
            Op::Truncate { group, from, .. } => {
                alter::truncate(&self.shared, self.active, group, *from, &mut batch)
            }
            Op::Move { moved, .. } => alter::relocate(&self.shared, moved, &mut batch),
            _ => Ok(()),
        };
        self.check(built);
        if !batch.is_empty() {
            self.commit_small(&batch);
        }
        self.finish(op);
    }
}
