//! From sequences to places in the log.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use mainstem_storage::StorageError;

use super::Position;
use super::rows::{Row, Rows};
use crate::command::StreamId;
use crate::keys::run::{self, Run};
use crate::keys::{Kind, of_stream};

/// Blocks that a stream remembers decoded.
const REMEMBERED: usize = 4;

type Block = Arc<Vec<Run>>;

/// A stream's runs: the newest here, the others in rows.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(super) tail: Vec<Run>,
    /// Blocks that were used last, by their first sequence.
    remembered: BTreeMap<u64, Block>,
    /// The block that holds the stream's first message, if it is in one.
    head: Option<Block>,
    /// There is no block, and none has to be looked for.
    no_blocks: bool,
}

impl Position {
    pub(super) fn of(run: &Run, seq: u64) -> Self {
        let offset = (seq - run.first_seq) as u32;
        let (ordinal, part) = match run.whole {
            true => (run.ordinal, offset),
            false => (run.ordinal + offset, 0),
        };
        Self {
            seq,
            index: run.index,
            ordinal,
            part,
            size: run.size,
            timestamp_ns: run.timestamp_ns,
        }
    }
}

fn find(runs: &[Run], seq: u64) -> Option<&Run> {
    let at = runs.partition_point(|run| run.first_seq <= seq).checked_sub(1)?;
    runs.get(at).filter(|run| seq <= run.last_seq())
}

fn decode(rows: &Rows, row: Option<Row>) -> Result<Option<Block>, StorageError> {
    let Some((_, value)) = row else { return Ok(None) };
    let runs = run::decode(&value).map_err(|error| rows.damaged("a block of runs", error))?;
    Ok(Some(Arc::new(runs)).filter(|runs| !runs.is_empty()))
}

impl Runs {
    pub(crate) fn new(tail: Vec<Run>) -> Self {
        Self {
            tail,
            ..Self::default()
        }
    }

    /// Appends; its sequences are above all others.
    pub(crate) fn push(&mut self, rows: &mut Rows, stream: StreamId, run: Run) {
        if self.tail.last_mut().is_some_and(|last| last.merge(&run)) {
            return;
        }
        if self.is_tail_full() {
            let key = run::key(rows.group(), stream, self.tail[0].first_seq);
            rows.put(key, run::encode(&self.tail));
            self.tail.clear();
            self.no_blocks = false;
        }
        self.tail.push(run);
    }

    /// The next run that begins makes a block of the tail.
    pub(crate) fn is_tail_full(&self) -> bool {
        self.tail.len() >= run::RUNS
    }

    /// Drops runs of the tail of which nothing is left.
    pub(crate) fn retain_tail(
        &mut self,
        mut is_live: impl FnMut(&Run) -> Result<bool, StorageError>,
    ) -> Result<(), StorageError> {
        let mut kept = Vec::with_capacity(self.tail.len());
        for run in &self.tail {
            if is_live(run)? {
                kept.push(*run);
            }
        }
        self.tail = kept;
        Ok(())
    }

    /// Where a sequence is; `None`: in no run. It may have been removed.
    pub(crate) fn position(
        &mut self,
        rows: &Rows,
        stream: StreamId,
        seq: u64,
    ) -> Result<Option<Position>, StorageError> {
        if let Some(run) = self.in_tail(seq) {
            return Ok(run.map(|run| Position::of(run, seq)));
        }
        let block = self.block_of(rows, stream, seq)?;
        Ok(block.and_then(|block| find(&block, seq).map(|run| Position::of(run, seq))))
    }

    /// The run that holds `seq`, or the first one behind it. Its messages may have been removed.
    pub(crate) fn run_from(
        &mut self,
        rows: &Rows,
        stream: StreamId,
        seq: u64,
    ) -> Result<Option<Run>, StorageError> {
        if self.tail.first().is_none_or(|first| seq < first.first_seq) {
            let at = |block: &Block| block.iter().find(|run| run.last_seq() >= seq).copied();
            if let Some(run) = self.block_of(rows, stream, seq)?.as_ref().and_then(at) {
                return Ok(Some(run));
            }
            let key = run::key(rows.group(), stream, seq);
            let prefix = of_stream(rows.group(), Kind::Runs, stream);
            if let Some(block) = decode(rows, rows.first_from(&key, &prefix)?)? {
                return Ok(block.first().copied());
            }
        }
        Ok(self.tail.iter().find(|run| run.last_seq() >= seq).copied())
    }

    /// Shows the runs from the one that holds `seq` on. Their messages may have been removed.
    pub(crate) fn each(
        &self,
        rows: &Rows,
        stream: StreamId,
        seq: u64,
        mut show: impl FnMut(&Run) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut show_all = |runs: &[Run]| {
            let mut rest = runs.iter().filter(|run| run.last_seq() >= seq);
            rest.try_for_each(&mut show)
        };
        let prefix = of_stream(rows.group(), Kind::Runs, stream);
        let first = rows.last_to(&run::key(rows.group(), stream, seq), &prefix)?;
        let from = first.map_or_else(|| prefix.clone(), |(key, _)| key);
        rows.scan_prefix_from(&from, &prefix, |_, value| {
            let runs = run::decode(value).map_err(|error| rows.damaged("a block of runs", error))?;
            show_all(&runs)?;
            Ok(ControlFlow::Continue(()))
        })?;
        show_all(&self.tail)
    }

    /// `None`: not in the tail. `Some(None)`: in no run, but it would be in the tail.
    fn in_tail(&self, seq: u64) -> Option<Option<&Run>> {
        let first = self.tail.first()?;
        (seq >= first.first_seq).then(|| find(&self.tail, seq))
    }

    fn block_of(&mut self, rows: &Rows, stream: StreamId, seq: u64) -> Result<Option<Block>, StorageError> {
        let covers = |block: &Block| {
            let (first, last) = (block.first(), block.last());
            first.is_some_and(|run| run.first_seq <= seq) && last.is_some_and(|run| seq <= run.last_seq())
        };
        if let Some(head) = self.head.as_ref().filter(|block| covers(block)) {
            return Ok(Some(Arc::clone(head)));
        }
        let remembered = self.remembered.range(..=seq).next_back();
        if let Some((_, block)) = remembered.filter(|(_, block)| covers(block)) {
            return Ok(Some(Arc::clone(block)));
        }
        let key = run::key(rows.group(), stream, seq);
        let prefix = of_stream(rows.group(), Kind::Runs, stream);
        let block = decode(rows, rows.last_to(&key, &prefix)?)?;
        if let Some(block) = &block {
            if self.remembered.len() >= REMEMBERED {
                self.remembered.pop_first();
            }
            self.remembered.insert(block[0].first_seq, Arc::clone(block));
        }
        Ok(block)
    }

    /// The stream begins with `first_seq` now instead of `before`: drops what is wholly before it.
    pub(crate) fn trim(
        &mut self,
        rows: &mut Rows,
        stream: StreamId,
        before: u64,
        first_seq: u64,
    ) -> Result<(), StorageError> {
        let mut dropped = None;
        while !self.no_blocks {
            match self.head.take() {
                Some(head) if head.last().is_some_and(|run| run.last_seq() >= first_seq) => {
                    self.head = Some(head);
                    break;
                }
                Some(head) => {
                    let key = run::key(rows.group(), stream, head[0].first_seq);
                    rows.delete(key.clone());
                    dropped = Some(key);
                }
                None => {}
            }
            // What is before the first message was dropped: looking there would be a walk over what the store has not
            // forgotten yet.
            let prefix = of_stream(rows.group(), Kind::Runs, stream);
            let from = match dropped.take() {
                Some(key) => key,
                None => {
                    let at = run::key(rows.group(), stream, before);
                    let block = match self.in_tail(before).is_some() {
                        true => None,
                        false => rows.last_to(&at, &prefix)?,
                    };
                    block.map_or(at, |(key, _)| key)
                }
            };
            if self.tail.first().is_some_and(|run| run.first_seq <= first_seq) {
                // What is left of the blocks is before the tail, so no block is needed.
                self.drop_blocks(rows, &from, &prefix)?;
            } else {
                self.head = decode(rows, rows.first_from(&from, &prefix)?)?;
                self.no_blocks = self.head.is_none();
            }
        }
        let dead = self.tail.partition_point(|run| run.last_seq() < first_seq);
        self.tail.drain(..dead);
        Ok(())
    }

    fn drop_blocks(&mut self, rows: &mut Rows, from: &[u8], prefix: &[u8]) -> Result<(), StorageError> {
        let mut keys = Vec::new();
        rows.scan_prefix_from(from, prefix, |key, _| {
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        keys.into_iter().for_each(|key| rows.delete(key));
        self.remembered.clear();
        self.no_blocks = true;
        Ok(())
    }

    /// All messages of the stream are gone.
    pub(crate) fn clear(&mut self, rows: &mut Rows, stream: StreamId) {
        *self = Self {
            no_blocks: true,
            ..Self::default()
        };
        rows.delete_prefix(&of_stream(rows.group(), Kind::Runs, stream));
    }

    /// Drops the block that holds `seq` if `is_dead` says of its first and last sequence that nothing between them is
    /// left.
    pub(crate) fn drop_if_dead(
        &mut self,
        rows: &mut Rows,
        stream: StreamId,
        seq: u64,
        is_dead: impl FnOnce(&Rows, u64, u64) -> Result<bool, StorageError>,
    ) -> Result<(), StorageError> {
        if self.in_tail(seq).is_some() {
            return Ok(());
        }
        let Some(block) = self.block_of(rows, stream, seq)? else {
            return Ok(());
        };
        let (first, last) = (block[0].first_seq, block[block.len() - 1].last_seq());
        if seq <= last && is_dead(rows, first, last)? {
            rows.delete(run::key(rows.group(), stream, first));
            self.remembered.remove(&first);
            if self.head.as_ref().is_some_and(|head| head[0].first_seq == first) {
                self.head = None;
            }
        }
        Ok(())
    }
}
