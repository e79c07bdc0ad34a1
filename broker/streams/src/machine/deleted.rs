//! Which messages between a stream's first and last were removed.

use std::ops::ControlFlow;

use mainstem_storage::StorageError;

use super::rows::Rows;
use crate::command::StreamId;
use crate::keys::deleted::{self, Bits, SEQS};
use crate::keys::{Kind, of_stream};

/// Removed messages of a stream, by blocks of sequences.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    /// The block that was used last, with its changes.
    open: Option<(u64, Bits, bool)>,
}

impl Deleted {
    /// Removes a message. True: with it, all of the 64 around it are removed.
    pub(crate) fn set(&mut self, rows: &mut Rows, stream: StreamId, seq: u64) -> Result<bool, StorageError> {
        self.open(rows, stream, seq / SEQS)?;
        let Some((_, bits, changed)) = &mut self.open else {
            return Ok(false);
        };
        bits.set(seq % SEQS);
        *changed = true;
        Ok(bits.is_word_full(seq % SEQS))
    }

    fn open(&mut self, rows: &mut Rows, stream: StreamId, block: u64) -> Result<(), StorageError> {
        if self.open.as_ref().is_some_and(|(open, ..)| *open == block) {
            return Ok(());
        }
        self.save(rows, stream);
        let bits = stored(rows, stream, block)?.unwrap_or_else(Bits::new);
        self.open = Some((block, bits, false));
        Ok(())
    }

    /// Puts what changed into the rows.
    pub(crate) fn save(&mut self, rows: &mut Rows, stream: StreamId) {
        if let Some((block, bits, changed @ true)) = &mut self.open {
            rows.put(deleted::key(rows.group(), stream, *block), bits.encode());
            *changed = false;
        }
    }

    fn with<R>(
        &self,
        rows: &Rows,
        stream: StreamId,
        block: u64,
        look: impl FnOnce(Option<&Bits>) -> R,
    ) -> Result<R, StorageError> {
        match &self.open {
            Some((open, bits, _)) if *open == block => Ok(look(Some(bits))),
            _ => Ok(look(stored(rows, stream, block)?.as_ref())),
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
        let part = |block: u64| {
            let start = from.max(block * SEQS) - block * SEQS;
            let end = (to + 1).min((block + 1) * SEQS) - block * SEQS;
            (start, end)
        };
        let mut count = 0;
        if let Some((block, bits, _)) = &self.open {
            if (from / SEQS..=to / SEQS).contains(block) {
                let (start, end) = part(*block);
                count += bits.count(start, end);
            }
        }
        let open = self.open.as_ref().map(|(block, ..)| *block);
        let prefix = of_stream(rows.group(), Kind::Deleted, stream);
        let key = deleted::key(rows.group(), stream, from / SEQS);
        rows.scan_prefix_from(&key, &prefix, |key, value| {
            let Some(block) = deleted::block_of(key).filter(|block| *block <= to / SEQS) else {
                return Ok(ControlFlow::Break(()));
            };
            if Some(block) != open {
                let bits = Bits::decode(value).map_err(|error| rows.damaged("removed messages", error))?;
                let (start, end) = part(block);
                count += bits.count(start, end);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// The stream's first sequence went from `from` to `to`: drops what is wholly before it.
    pub(crate) fn trim(
        &mut self,
        rows: &mut Rows,
        stream: StreamId,
        from: u64,
        to: u64,
    ) -> Result<(), StorageError> {
        if from / SEQS == to / SEQS {
            return Ok(());
        }
        if self.open.as_ref().is_some_and(|(block, ..)| *block < to / SEQS) {
            self.open = None;
        }
        let prefix = of_stream(rows.group(), Kind::Deleted, stream);
        while let Some((key, _)) = rows.first_from(&prefix, &prefix)? {
            if deleted::block_of(&key).is_none_or(|block| block >= to / SEQS) {
                break;
            }
            rows.delete(key);
        }
        Ok(())
    }

    /// All messages of the stream are gone.
    pub(crate) fn clear(&mut self, rows: &mut Rows, stream: StreamId) {
        self.open = None;
        rows.delete_prefix(&of_stream(rows.group(), Kind::Deleted, stream));
    }
}

fn stored(rows: &Rows, stream: StreamId, block: u64) -> Result<Option<Bits>, StorageError> {
    let value = rows.get(&deleted::key(rows.group(), stream, block))?;
    value
        .map(|value| Bits::decode(&value).map_err(|error| rows.damaged("removed messages", error)))
        .transpose()
}
