//! Freeing space: whole segments that nothing needs, and mostly dead ones whose rest is copied forward.
//!
//! A crash at any point loses nothing: the copies are flushed before the directory points at them, the state is durable
//! before anything that an older one needs goes, and files go when no directory row names them any more. What a crash
//! leaves behind (copies without a row, files without one) goes with the next cleaning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use super::copy::Copier;
use super::log::RocksLog;
use super::memory::MemoryCleaner;
use super::writer::{Moved, Op};
use crate::directory::{COLD, Run};
use crate::group::Group;
use crate::log::{Cleaned, Kept, StorageError};

/// The part of a segment that has to be dead for it to be worth a copy when the disk is full.
const FULL_GARBAGE: f64 = 0.1;

/// What is remembered between cleanings.
pub struct Cleaner {
    next_cold: u64,
    memory: MemoryCleaner,
}

/// A run in a segment, and what of it is needed.
pub struct Piece {
    pub group: Arc<Group>,
    pub run: Run,
    pub live: u64,
}

impl Cleaner {
    pub fn new(next_cold: u64) -> Cleaner {
        Cleaner {
            next_cold,
            memory: MemoryCleaner::default(),
        }
    }

    pub fn clean(
        &mut self,
        log: &RocksLog,
        checkpoint: &mut dyn FnMut() -> Result<(), StorageError>,
    ) -> Result<Cleaned, StorageError> {
        let shared = log.shared();
        let mut cleaned = Cleaned::default();
        if let Some(reason) = shared.read_only() {
            return Err(StorageError::ReadOnly(reason.to_string()));
        }
        for group in shared.groups.load_full().values() {
            if group.kept() == Kept::Memory {
                cleaned.bytes_freed += self.memory.clean(group);
            }
        }
        let found = self.find(log);
        if !found.is_empty() {
            let mut copier = Copier::new(shared, self.next_cold);
            let moved = copy(&mut copier, found, &mut cleaned);
            // Also after a failure: what it left in a segment must not be written over.
            self.next_cold = copier.next();
            let moved = moved?;
            checkpoint()?;
            relocate(log, moved)?;
            shared
                .metrics
                .segments_freed
                .fetch_add(cleaned.segments_freed, Ordering::Relaxed);
            shared
                .metrics
                .cold_bytes
                .fetch_add(cleaned.bytes_copied, Ordering::Relaxed);
        }
        self.delete_files(log)?;
        Ok(cleaned)
    }

    /// Closed segments that are dead, and those that are dead enough to be worth a copy, up to the bound of one
    /// cleaning.
    fn find(&self, log: &RocksLog) -> BTreeMap<u64, Vec<Piece>> {
        let shared = log.shared();
        let options = &shared.options;
        let is_full = shared.space.is_full().is_some();
        // On a full disk everything that is freed counts, and there is little room for copies.
        let garbage = if is_full { FULL_GARBAGE } else { options.garbage };
        let mut budget = match is_full {
            true => options.clean_bytes.min(options.segment_bytes),
            false => options.clean_bytes,
        };
        let mut found = BTreeMap::new();
        for (segment, pieces) in census(log) {
            let bytes: u64 = pieces.iter().map(|piece| piece.run.bytes).sum();
            let live: u64 = pieces.iter().map(|piece| piece.live).sum();
            let dead = bytes.saturating_sub(live);
            let is_worth_it = dead as f64 >= bytes as f64 * garbage && dead > 0;
            if live > 0 && (!is_worth_it || live > budget) {
                continue;
            }
            budget -= live.min(budget);
            found.insert(segment, pieces);
        }
        found
    }

    /// Deletes the files of segments that no directory row names. Files on level 0 are left for later.
    fn delete_files(&self, log: &RocksLog) -> Result<(), StorageError> {
        let shared = log.shared();
        let active = shared.active.load(Ordering::Acquire);
        let mut named = BTreeSet::new();
        for group in shared.groups.load_full().values() {
            named.extend(group.lock().runs.iter().map(|run| run.segment));
        }
        for (is_cold, segments) in [(false, 0..active), (true, COLD..self.next_cold)] {
            let frames = shared.db.frames(is_cold)?;
            let named = named.range(segments.clone()).copied();
            let mut from = segments.start;
            for to in named.chain([segments.end]) {
                if to > from {
                    frames.delete_files(from..to)?;
                }
                from = to + 1;
            }
        }
        Ok(())
    }
}

/// How many closed segments there are, and their bytes. Asks no machine.
pub fn segments(log: &RocksLog) -> (u64, u64) {
    let active = log.shared().active.load(Ordering::Acquire);
    let (mut segments, mut bytes) = (BTreeSet::new(), 0);
    for group in log.shared().groups.load().values() {
        let state = group.lock();
        let closed = |run: &&Run| run.is_cold() || run.segment < active;
        for run in state.runs.iter().filter(closed) {
            segments.insert(run.segment);
            bytes += run.bytes;
        }
    }
    (segments.len() as u64, bytes)
}

/// All closed segments, and what is in each.
fn census(log: &RocksLog) -> BTreeMap<u64, Vec<Piece>> {
    let active = log.shared().active.load(Ordering::Acquire);
    let mut segments: BTreeMap<u64, Vec<Piece>> = BTreeMap::new();
    for group in log.shared().groups.load_full().values() {
        let (first, runs) = {
            let state = group.lock();
            (state.first, state.runs.iter().copied().collect::<Vec<_>>())
        };
        for run in runs
            .into_iter()
            .filter(|run| run.is_cold() || run.segment < active)
        {
            let live = live(group, &run, first);
            segments.entry(run.segment).or_default().push(Piece {
                group: group.clone(),
                run,
                live,
            });
        }
    }
    segments
}

/// Bytes of a run that are needed, about.
fn live(group: &Group, run: &Run, first: u64) -> u64 {
    // Of a group that nobody opened, nobody knows.
    if group.opened().is_none() || first <= run.first {
        return run.bytes;
    }
    let purged_end = first.min(run.last + 1);
    let whole = u128::from(run.last - run.first + 1);
    let unpurged = u128::from(run.bytes) * u128::from(run.last + 1 - purged_end) / whole;
    let unpurged = u64::try_from(unpurged).unwrap_or(run.bytes);
    let is_any = u64::from(purged_end <= run.last);
    let purged = group
        .liveness()
        .map_or(0, |liveness| liveness.live_bytes(run.first..purged_end));
    (purged + unpurged.max(is_any)).min(run.bytes)
}

/// Copies what is needed of segments, and makes it durable.
fn copy(
    copier: &mut Copier<'_>,
    found: BTreeMap<u64, Vec<Piece>>,
    cleaned: &mut Cleaned,
) -> Result<Vec<Moved>, StorageError> {
    let mut moved = Vec::new();
    for (segment, pieces) in found {
        let before: u64 = pieces.iter().map(|piece| piece.run.bytes).sum();
        let is_dead = pieces.iter().all(|piece| piece.live == 0);
        let copied = if is_dead {
            drop_all(&pieces)
        } else {
            copier.copy(segment, &pieces)?
        };
        let after: u64 = copied
            .iter()
            .filter_map(|moved| moved.to)
            .map(|run| run.bytes)
            .sum();
        cleaned.segments_freed += 1;
        cleaned.bytes_copied += after;
        cleaned.bytes_freed += before.saturating_sub(after);
        moved.extend(copied);
    }
    copier.finish()?;
    Ok(moved)
}

fn drop_all(pieces: &[Piece]) -> Vec<Moved> {
    let dropped = |piece: &Piece| Moved {
        group: piece.group.clone(),
        from: piece.run,
        to: None,
    };
    pieces.iter().map(dropped).collect()
}

/// Has the writer point the directory at the copies, and waits until that is durable.
fn relocate(log: &RocksLog, moved: Vec<Moved>) -> Result<(), StorageError> {
    let (done, finished) = mpsc::sync_channel(1);
    log.send(Op::Move {
        moved,
        done: Box::new(move |result| {
            // Whoever waits is there until it is told.
            let _ = done.send(result);
        }),
    });
    finished
        .recv()
        .unwrap_or_else(|_| Err(StorageError::Io("the log's writer is gone".into())))
}
