//! Copying what is left of segments into cold ones.

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::WriteBatch;

use super::clean::Piece;
use super::recover::Frames;
use super::shared::Shared;
use super::writer::Moved;
use crate::directory::{COLD, Run};
use crate::frame::{self, ENTRY_OVERHEAD, FRAME_OVERHEAD};
use crate::group::Group;
use crate::log::{GroupId, Liveness, StorageError};

/// Absent entries in a row that are still written down, instead of beginning a new frame.
const MAX_GAP: u64 = 16;

/// Writes cold segments.
pub struct Copier<'a> {
    shared: &'a Arc<Shared>,
    segment: u64,
    segment_bytes: u64,
    batch: WriteBatch,
    value: Vec<u8>,
}

/// A frame in the making, and the run that its frames make.
struct Draft {
    first: u64,
    entries: Vec<Option<Bytes>>,
    bytes: usize,
    run: Option<Run>,
}

impl<'a> Copier<'a> {
    pub fn new(shared: &'a Arc<Shared>, segment: u64) -> Copier<'a> {
        Copier {
            shared,
            segment,
            segment_bytes: 0,
            batch: WriteBatch::default(),
            value: Vec::new(),
        }
    }

    /// Copies what is needed of a segment's runs; says where each is now.
    pub fn copy(&mut self, segment: u64, pieces: &[Piece]) -> Result<Vec<Moved>, StorageError> {
        // A segment that exceeds its memtable would be two files that overlap.
        let more: u64 = pieces.iter().map(|piece| piece.live).sum();
        if self.segment_bytes > 0 && self.segment_bytes + more > self.shared.options.segment_bytes {
            self.next_segment()?;
        }
        let db = &self.shared.db;
        let mut frames = Frames::new(db, segment & COLD != 0, segment, GroupId(0))?;
        let mut drafts: Vec<(Stripper, Draft)> = pieces
            .iter()
            .map(|piece| (Stripper::of(piece), Draft::new()))
            .collect();
        while let Some((found, id, frame)) = frames.next()? {
            if found != segment {
                break;
            }
            for (piece, (stripper, draft)) in pieces.iter().zip(&mut drafts) {
                if piece.group.id != id {
                    continue;
                }
                let range = frame.first().max(piece.run.first)..frame.next().min(piece.run.last + 1);
                for index in range {
                    if let Some(data) = frame.get(index).and_then(|data| stripper.strip(index, data)) {
                        self.add(&piece.group, draft, index, data)?;
                    }
                }
            }
        }
        let mut moved = Vec::new();
        for (piece, (_, mut draft)) in pieces.iter().zip(drafts) {
            self.put(&piece.group, &mut draft)?;
            moved.push(Moved {
                group: piece.group.clone(),
                from: piece.run,
                to: draft.run,
            });
        }
        Ok(moved)
    }

    /// Makes everything durable.
    pub fn finish(&mut self) -> Result<(), StorageError> {
        if self.segment_bytes > 0 {
            self.next_segment()?;
        }
        Ok(())
    }

    /// The number of the first segment that nothing was written to.
    pub fn next(&self) -> u64 {
        self.segment + u64::from(self.segment_bytes > 0)
    }

    fn next_segment(&mut self) -> Result<(), StorageError> {
        self.write()?;
        self.shared.db.flush_cold()?;
        self.segment += 1;
        self.segment_bytes = 0;
        Ok(())
    }

    fn add(&mut self, group: &Group, draft: &mut Draft, index: u64, data: Bytes) -> Result<(), StorageError> {
        let next = draft.first + draft.entries.len() as u64;
        let more = data.len() + ENTRY_OVERHEAD * (index - next.min(index) + 1) as usize;
        let is_full = draft.bytes + more > self.shared.options.frame_bytes;
        if !draft.entries.is_empty() && (is_full || index - next > MAX_GAP) {
            self.put(group, draft)?;
        }
        if draft.entries.is_empty() {
            draft.first = index;
        }
        let missing = (index - draft.first) as usize - draft.entries.len();
        draft.entries.extend(std::iter::repeat_n(None, missing));
        draft.bytes += data.len() + ENTRY_OVERHEAD * (missing + 1);
        draft.entries.push(Some(data));
        Ok(())
    }

    fn put(&mut self, group: &Group, draft: &mut Draft) -> Result<(), StorageError> {
        if draft.entries.is_empty() {
            return Ok(());
        }
        frame::encode(group.id, draft.first, &draft.entries, &mut self.value);
        let key = frame::key(self.segment, group.id, draft.first);
        self.batch.put(key, &self.value);
        let bytes = (self.value.len() + FRAME_OVERHEAD) as u64;
        let last = draft.first + draft.entries.len() as u64 - 1;
        let run = draft.run.get_or_insert(Run {
            first: draft.first,
            last,
            segment: self.segment,
            bytes: 0,
        });
        run.last = last;
        run.bytes += bytes;
        self.segment_bytes += bytes;
        draft.entries.clear();
        draft.bytes = 0;
        if self.batch.size_in_bytes() >= self.shared.options.batch_bytes {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StorageError> {
        let batch = std::mem::take(&mut self.batch);
        self.shared.db.write_cold(batch)
    }
}

impl Draft {
    fn new() -> Draft {
        Draft {
            first: 0,
            entries: Vec::new(),
            bytes: 0,
            run: None,
        }
    }
}

/// Decides what is kept of an entry.
struct Stripper {
    /// Entries from here on are part of the log and kept as they are.
    first: u64,
    liveness: Option<Arc<dyn Liveness>>,
}

impl Stripper {
    fn of(piece: &Piece) -> Stripper {
        let first = if piece.group.opened().is_some() {
            piece.group.lock().first
        } else {
            0
        };
        Stripper {
            first,
            liveness: piece.group.liveness(),
        }
    }

    fn strip(&self, index: u64, data: Bytes) -> Option<Bytes> {
        if index >= self.first {
            return Some(data);
        }
        self.liveness.as_ref()?.strip(index, &data)
    }
}
