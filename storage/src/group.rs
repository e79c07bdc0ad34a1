//! One group's log as it is in RAM: bounds, the recent entries, and where the others are.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::directory::{Run, Runs};
use crate::log::{Bounds, GroupId, Kept, Liveness, Note};

/// Notes a group has at most.
const NOTES: usize = 4;

/// A group.
pub struct Group {
    pub id: GroupId,
    kept: AtomicU8,
    /// Held from changing the state until the change is in the writer's queue, so that both have the same order. The
    /// writer never takes it.
    pub order: Mutex<()>,
    state: Mutex<State>,
    liveness: Mutex<Option<Arc<dyn Liveness>>>,
}

/// What changes.
#[derive(Default)]
pub struct State {
    pub first: u64,
    pub next: u64,
    /// The index after the last one that is on disk.
    pub written: u64,
    /// Grows with each truncation.
    pub truncations: u64,
    pub runs: Runs,
    tail: VecDeque<Bytes>,
    /// All entries of a memory group.
    memory: BTreeMap<u64, Bytes>,
    notes: [Option<Bytes>; NOTES],
}

/// Where an entry is.
#[derive(Debug)]
pub enum Place {
    Here(Bytes),
    In(Run),
    Nowhere,
}

/// A group as it is found on disk.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub first: u64,
    pub runs: Runs,
    pub notes: Vec<(u8, Bytes)>,
}

impl Found {
    /// The index after the last entry, or the first one to come.
    pub fn next(&self) -> u64 {
        self.runs.next().unwrap_or(0).max(self.first)
    }
}

impl Group {
    /// A group with what was found of it. Its entries are kept [`Kept::Synced`] until told otherwise.
    pub fn new(id: GroupId, found: Found) -> Group {
        let next = found.next();
        let mut state = State {
            first: found.first,
            next,
            written: next,
            runs: found.runs,
            ..State::default()
        };
        for (note, value) in found.notes {
            if let Some(place) = state.notes.get_mut(usize::from(note)) {
                *place = Some(value);
            }
        }
        Group {
            id,
            kept: AtomicU8::new(0),
            order: Mutex::default(),
            state: Mutex::new(state),
            liveness: Mutex::default(),
        }
    }

    /// `None`: nobody opened the group yet.
    pub fn opened(&self) -> Option<Kept> {
        match self.kept.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Kept::Synced),
            2 => Some(Kept::Async),
            _ => Some(Kept::Memory),
        }
    }

    pub fn kept(&self) -> Kept {
        self.opened().unwrap_or(Kept::Synced)
    }

    pub fn open(&self, kept: Kept) {
        let number = match kept {
            Kept::Synced => 1,
            Kept::Async => 2,
            Kept::Memory => 3,
        };
        if kept == Kept::Memory {
            *self.lock() = State::default();
        }
        self.kept.store(number, Ordering::Release);
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn liveness(&self) -> Option<Arc<dyn Liveness>> {
        self.liveness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn set_liveness(&self, liveness: Arc<dyn Liveness>) {
        *self.liveness.lock().unwrap_or_else(PoisonError::into_inner) = Some(liveness);
    }

    pub fn bounds(&self) -> Bounds {
        let state = self.lock();
        Bounds {
            first: state.first,
            next: state.next,
        }
    }
}

impl State {
    /// Takes entries in; returns their first index.
    pub fn append(&mut self, entries: impl IntoIterator<Item = Bytes>, kept: Kept) -> u64 {
        let first = self.next;
        for data in entries {
            match kept {
                Kept::Memory => drop(self.memory.insert(self.next, data)),
                Kept::Synced | Kept::Async => self.tail.push_back(data),
            }
            self.next += 1;
        }
        if kept == Kept::Memory {
            self.written = self.next;
        }
        first
    }

    /// First index in the tail.
    fn tail_first(&self) -> u64 {
        self.next - self.tail.len() as u64
    }

    /// Bytes of the tail that go when everything up to `last` does.
    pub fn evict(&mut self, last: u64) {
        while self.tail_first() <= last && self.tail.pop_front().is_some() {}
    }

    pub fn place(&self, index: u64) -> Place {
        if index >= self.next {
            return Place::Nowhere;
        }
        if let Some(data) = self.memory.get(&index) {
            return Place::Here(data.clone());
        }
        if let Some(place) = index.checked_sub(self.tail_first()) {
            return self
                .tail
                .get(place as usize)
                .map_or(Place::Nowhere, |data| Place::Here(data.clone()));
        }
        self.runs.find(index).map_or(Place::Nowhere, Place::In)
    }

    /// Removes the entries from `from` on.
    pub fn truncate(&mut self, from: u64) {
        if from >= self.next {
            return;
        }
        let kept = from.saturating_sub(self.tail_first()) as usize;
        self.tail.truncate(kept);
        self.memory.split_off(&from);
        self.next = from;
        self.first = self.first.min(from);
        self.truncations += 1;
    }

    /// Moves the log's begin; behind its end, the log is empty and goes on there.
    pub fn purge(&mut self, first: u64) {
        self.first = self.first.max(first);
        if self.first > self.next {
            self.tail.clear();
            self.next = self.first;
        }
    }

    pub fn note(&self, note: Note) -> Option<Bytes> {
        self.notes.get(note as usize).cloned().flatten()
    }

    pub fn set_note(&mut self, note: Note, value: Bytes) {
        if let Some(place) = self.notes.get_mut(note as usize) {
            *place = Some(value);
        }
    }

    /// The purged entries of a memory group.
    pub fn purged_in_memory(&self, from: u64, limit: usize) -> Vec<(u64, Bytes)> {
        let purged = self.memory.range(from..self.first).take(limit);
        purged.map(|(index, data)| (*index, data.clone())).collect()
    }

    pub fn replace_in_memory(&mut self, index: u64, data: Option<Bytes>) {
        match data {
            Some(data) => drop(self.memory.insert(index, data)),
            None => drop(self.memory.remove(&index)),
        }
    }

    /// What a clipped range holds.
    pub fn clip(&self, range: Range<u64>) -> Range<u64> {
        range.start..range.end.min(self.next)
    }
}
