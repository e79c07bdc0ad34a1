//! Which messages between a stream's first and last were removed.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;

use foldhash::HashMap;
use mainstem_storage::{Batch, StorageError};

use super::rows::Rows;
use super::stream::StreamState;
use crate::command::StreamId;
use crate::keys::deleted::{self, Bits, SEQS};
use crate::keys::{Kind, of_stream};

/// Blocks in RAM at most, when nothing of them has changed.
const MAX_HELD: usize = 64;

/// Removals that are remembered one by one.
const MAX_RECENT: usize = 1024;

/// Blocks that are looked up one by one when counting; more are read one after the other.
const FEW: u64 = 4;

/// What a block costs at a checkpoint, about.
const BLOCK_BYTES: usize = (SEQS / 8) as usize + 24;

/// Removed messages of a stream, by blocks of sequences.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    /// Blocks that changed, and some that were used lately; true: not in the rows as it is here.
    held: HashMap<u64, (Bits, bool)>,
    pub(super) recent: Recent,
}

/// The messages that were removed last, but for those that were the first then. It is not kept over a restart.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    count: u64,
    seqs: VecDeque<u64>,
}

impl Recent {
    pub(super) fn note(&mut self, seq: u64) {
        if self.seqs.len() >= MAX_RECENT {
            self.seqs.pop_front();
        }
        self.seqs.push_back(seq);
        self.count += 1;
    }
}

impl StreamState {
    /// Removals behind the first message, since the machine was opened.
    pub fn removals_inside(&self) -> u64 {
        self.deleted.recent.count
    }

    /// The sequences of the last `count` of them; `None`: these are too many to remember.
    pub fn removed_inside(&self, count: u64) -> Option<impl Iterator<Item = u64>> {
        let seqs = &self.deleted.recent.seqs;
        let from = seqs.len().checked_sub(usize::try_from(count).ok()?)?;
        Some(seqs.range(from..).copied())
    }
}

/// What removing a message did.
pub(crate) struct Set {
    /// All of the 64 around it are removed.
    pub(crate) is_word_full: bool,
    pub(crate) changed_bytes: usize,
}

impl Deleted {
    /// Removes a message.
    pub(crate) fn set(&mut self, rows: &Rows, stream: StreamId, seq: u64) -> Result<Set, StorageError> {
        let (bits, is_changed) = self.hold(rows, stream, seq / SEQS)?;
        bits.set(seq % SEQS);
        Ok(Set {
            is_word_full: bits.is_word_full(seq % SEQS),
            changed_bytes: if std::mem::replace(is_changed, true) {
                0
            } else {
                BLOCK_BYTES
            },
        })
    }

    fn hold(&mut self, rows: &Rows, stream: StreamId, block: u64) -> Result<&mut (Bits, bool), StorageError> {
        match self.held.entry(block) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(place) => {
                let bits = stored(rows, stream, block)?.unwrap_or_else(Bits::new);
                Ok(place.insert((bits, false)))
            }
        }
    }

    /// Sees to it that looking at the sequences from `from` to `to` reads no row.
    pub(crate) fn hold_range(
        &mut self,
        rows: &Rows,
        stream: StreamId,
        from: u64,
        to: u64,
    ) -> Result<(), StorageError> {
        for block in from / SEQS..=to / SEQS {
            self.hold(rows, stream, block)?;
        }
        Ok(())
    }

    /// Puts what changed into the batch.
    pub(crate) fn save(&self, batch: &mut Batch, group: u32, stream: StreamId) {
        for (block, (bits, _)) in self.held.iter().filter(|(_, (_, is_changed))| *is_changed) {
            batch.put(deleted::key(group, stream, *block), bits.encode());
        }
    }

    /// The store has what was put into the last batch.
    pub(crate) fn written(&mut self) {
        for (_, is_changed) in self.held.values_mut() {
            *is_changed = false;
        }
    }

    /// Forgets what the rows have, if it is much.
    pub(crate) fn forget(&mut self) {
        if self.held.len() > MAX_HELD {
            self.held.retain(|_, (_, is_changed)| *is_changed);
        }
    }

    fn with<R>(
        &self,
        rows: &Rows,
        stream: StreamId,
        block: u64,
        look: impl FnOnce(Option<&Bits>) -> R,
    ) -> Result<R, StorageError> {
        match self.held.get(&block) {
            Some((bits, _)) => Ok(look(Some(bits))),
            None => Ok(look(stored(rows, stream, block)?.as_ref())),
        }
    }

    /// The first at or after `seq` that was not removed.
    pub(crate) fn next_live(&self, rows: &Rows, stream: StreamId, mut seq: u64) -> Result<u64, StorageError> {
        loop {
            let offset = self.with(rows, stream, seq / SEQS, |bits| match bits {
                Some(bits) => bits.next_clear(seq % SEQS),
                None => Some(seq % SEQS),
            })?;
            match offset {
                Some(offset) => return Ok(seq / SEQS * SEQS + offset),
                None => seq = (seq / SEQS + 1) * SEQS,
            }
        }
    }

    /// How many from `from` to `to`, both included, were removed.
    pub(crate) fn count(
        &self,
        rows: &Rows,
        stream: StreamId,
        from: u64,
        to: u64,
    ) -> Result<u64, StorageError> {
        if from > to {
            return Ok(0);
        }
        let of = |block: u64, bits: &Bits| {
            let start = from.max(block * SEQS) - block * SEQS;
            let end = (to + 1).min((block + 1) * SEQS) - block * SEQS;
            bits.count(start, end)
        };
        let (first, last) = (from / SEQS, to / SEQS);
        let mut count = 0;
        if last - first < FEW {
            for block in first..=last {
                count += self.with(rows, stream, block, |bits| bits.map_or(0, |bits| of(block, bits)))?;
            }
            return Ok(count);
        }
        for (block, (bits, _)) in &self.held {
            if (first..=last).contains(block) {
                count += of(*block, bits);
            }
        }
        let prefix = of_stream(rows.group(), Kind::Deleted, stream);
        let key = deleted::key(rows.group(), stream, first);
        rows.scan_prefix_from(&key, &prefix, |key, value| {
            let Some(block) = deleted::block_of(key).filter(|block| *block <= last) else {
                return Ok(ControlFlow::Break(()));
            };
            if !self.held.contains_key(&block) {
                count += of(block, &decode(rows, value)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// Shows those from `from` to `to`, both included, in order, until told to stop.
    pub(crate) fn each(
        &self,
        rows: &Rows,
        stream: StreamId,
        from: u64,
        to: u64,
        mut show: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        let mut show_all = |block: u64, bits: &Bits| {
            let start = block * SEQS;
            let mut removed = bits.each(
                from.saturating_sub(start),
                (to + 1).saturating_sub(start).min(SEQS),
            );
            removed.try_for_each(|offset| show(start + offset))
        };
        let (first, last) = (from / SEQS, to / SEQS);
        let mut held: Vec<_> = self
            .held
            .iter()
            .map(|(block, (bits, _))| (*block, bits))
            .collect();
        held.retain(|(block, _)| (first..=last).contains(block));
        held.sort_unstable_by_key(|(block, _)| *block);
        let mut held = held.into_iter().peekable();
        let mut is_over = false;
        let prefix = of_stream(rows.group(), Kind::Deleted, stream);
        let key = deleted::key(rows.group(), stream, first);
        rows.scan_prefix_from(&key, &prefix, |key, value| {
            let Some(block) = deleted::block_of(key).filter(|block| *block <= last) else {
                return Ok(ControlFlow::Break(()));
            };
            let mut flow = ControlFlow::Continue(());
            while flow.is_continue()
                && let Some((block, bits)) = held.next_if(|(held, _)| *held < block)
            {
                flow = show_all(block, bits);
            }
            if flow.is_continue() {
                // What is held is newer than the row.
                flow = match held.next_if(|(held, _)| *held == block) {
                    Some((_, bits)) => show_all(block, bits),
                    None => show_all(block, &decode(rows, value)?),
                };
            }
            is_over = flow.is_break();
            Ok(flow)
        })?;
        if !is_over {
            let _ = held.try_for_each(|(block, bits)| show_all(block, bits));
        }
        Ok(())
    }

    /// The stream's first sequence went from `from` to `to`: drops what is wholly before it.
    pub(crate) fn trim(
        &mut self,
        rows: &mut Rows,
        stream: StreamId,
        from: u64,
        to: u64,
    ) -> Result<(), StorageError> {
        let end = to / SEQS;
        if from / SEQS == end {
            return Ok(());
        }
        self.held.retain(|block, _| *block >= end);
        // What is before `from` went when the stream's first sequence came there.
        let behind = deleted::key(rows.group(), stream, end);
        let mut keys = Vec::new();
        rows.scan(
            &deleted::key(rows.group(), stream, from / SEQS),
            &behind,
            |key, _| {
                keys.push(key.to_vec());
                Ok(ControlFlow::Continue(()))
            },
        )?;
        keys.into_iter().for_each(|key| rows.delete(key));
        Ok(())
    }

    /// All messages of the stream are gone.
    pub(crate) fn clear(&mut self, rows: &mut Rows, stream: StreamId) {
        self.held.clear();
        rows.delete_prefix(&of_stream(rows.group(), Kind::Deleted, stream));
    }
}

fn stored(rows: &Rows, stream: StreamId, block: u64) -> Result<Option<Bits>, StorageError> {
    let value = rows.get(&deleted::key(rows.group(), stream, block))?;
    value.map(|value| decode(rows, &value)).transpose()
}

fn decode(rows: &Rows, value: &[u8]) -> Result<Bits, StorageError> {
    Bits::decode(value).map_err(|error| rows.damaged("removed messages", error))
}
