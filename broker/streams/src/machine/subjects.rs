//! The subjects of a stream: which sequences each has.

use std::ops::ControlFlow;

use foldhash::HashMap;
use mainstem_storage::{Batch, StorageError};

use super::Position;
use super::rows::Rows;
use crate::command::StreamId;
use crate::keys::posting::{self, Posting};
use crate::keys::subject::{self, SubjectRow};
use crate::keys::{self, Kind, of_stream};
use crate::matching::{Filters, literal_prefix, matches};

/// A subject in RAM.
#[derive(Debug)]
struct Held {
    row: SubjectRow,
    /// Not in the rows as it is here.
    changed: bool,
    /// All its messages are gone.
    gone: bool,
    /// Its oldest block, with its key, if it was needed.
    oldest: Option<(Vec<u8>, Vec<Posting>)>,
}

impl Held {
    fn new(row: SubjectRow, changed: bool) -> Self {
        Self {
            row,
            changed,
            gone: false,
            oldest: None,
        }
    }

    /// The first message is gone: finds the next one. Postings below it are ignored, and dropped with their block.
    fn advance(&mut self, rows: &mut Rows, prefix: &[u8]) -> Result<(), StorageError> {
        let from = self.row.first + 1;
        // The first message is in the oldest block. What is before it was dropped: looking there would be a walk over
        // what the store has not forgotten yet.
        let mut dropped: Option<Vec<u8>> = None;
        while self.row.blocks > 0 {
            if self.oldest.is_none() {
                let found = match dropped.take() {
                    Some(key) => rows.first_from(&keys::behind(&key), prefix)?,
                    None => rows.last_to(&at(prefix, self.row.first), prefix)?,
                };
                self.oldest = match found {
                    Some((key, value)) => Some((key, block(rows, &value)?)),
                    None => None,
                };
            }
            let Some((key, postings)) = self.oldest.take() else {
                self.row.blocks = 0;
                break;
            };
            if let Some(next) = next_in(&postings, from) {
                self.row.first = next;
                self.oldest = Some((key, postings));
                return Ok(());
            }
            rows.delete(key.clone());
            dropped = Some(key);
            self.row.blocks -= 1;
        }
        let row = &mut self.row;
        row.first = next_in(&row.tail, from).unwrap_or(row.last.seq);
        let dead = row.tail.partition_point(|posting| posting.end() <= row.first);
        row.tail.drain(..dead);
        if let Some(oldest) = row.tail.first_mut().filter(|oldest| oldest.first < row.first) {
            oldest.len = oldest.end() - row.first;
            oldest.first = row.first;
        }
        Ok(())
    }
}

/// Subjects of one stream: those that changed, and some that were used lately.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    held: HashMap<Box<[u8]>, Held>,
}

/// About what a subject costs at a checkpoint.
const ROW_BYTES: usize = 64;

impl Subjects {
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Forgets what the rows have.
    pub(crate) fn forget(&mut self) {
        self.held.retain(|_, held| held.changed);
    }

    pub(crate) fn clear(&mut self, rows: &mut Rows, stream: StreamId) {
        self.held.clear();
        rows.delete_prefix(&of_stream(rows.group(), Kind::Subject, stream));
        rows.delete_prefix(&of_stream(rows.group(), Kind::Posting, stream));
    }

    /// Puts what changed into the batch.
    pub(crate) fn save(&self, batch: &mut Batch, group: u32, stream: StreamId) {
        let mut changed: Vec<_> = self.held.iter().filter(|(_, held)| held.changed).collect();
        // In the order of their keys the store takes them faster.
        changed.sort_unstable_by_key(|(subject, _)| *subject);
        for (subject, held) in changed {
            let key = subject::key(group, stream, subject);
            match held.gone {
                true => batch.delete(key),
                false => batch.put(key, held.row.encode()),
            }
        }
    }

    /// The store has what was put into the last batch.
    pub(crate) fn written(&mut self) {
        for held in self.held.values_mut() {
            held.changed = false;
        }
    }

    /// The subject's row as it is now.
    pub(crate) fn get(
        &self,
        rows: &Rows,
        stream: StreamId,
        subject: &[u8],
    ) -> Result<Option<SubjectRow>, StorageError> {
        match self.held.get(subject) {
            Some(held) => Ok(Some(&held.row).filter(|_| !held.gone).cloned()),
            None => load(rows, stream, subject),
        }
    }

    /// How many messages, the first and the last: without a copy of the postings.
    pub(crate) fn summary(
        &mut self,
        rows: &Rows,
        stream: StreamId,
        subject: &[u8],
    ) -> Result<Option<(u64, u64, Position)>, StorageError> {
        Ok(self
            .hold(rows, stream, subject)?
            .filter(|held| !held.gone)
            .map(|held| (held.row.count, held.row.first, held.row.last)))
    }

    /// The first message of the subject at or after `from`.
    pub(crate) fn next(
        &self,
        rows: &Rows,
        stream: StreamId,
        subject: &[u8],
        from: u64,
    ) -> Result<Option<u64>, StorageError> {
        let loaded;
        let row = match self.held.get(subject) {
            Some(held) if held.gone => return Ok(None),
            Some(held) => &held.row,
            None => match load(rows, stream, subject)? {
                Some(row) => {
                    loaded = row;
                    &loaded
                }
                None => return Ok(None),
            },
        };
        next_posting(rows, &blocks_of(rows, stream, subject), row, from)
    }

    fn hold(
        &mut self,
        rows: &Rows,
        stream: StreamId,
        subject: &[u8],
    ) -> Result<Option<&mut Held>, StorageError> {
        if !self.held.contains_key(subject) {
            let Some(row) = load(rows, stream, subject)? else {
                return Ok(None);
            };
            self.held.insert(subject.into(), Held::new(row, false));
        }
        Ok(self.held.get_mut(subject))
    }

    /// Adds the messages from `last.seq - more` to `last.seq`. Returns how many the subject has now.
    pub(crate) fn push(
        &mut self,
        rows: &mut Rows,
        stream: StreamId,
        subject: &[u8],
        last: Position,
        more: u64,
    ) -> Result<Pushed, StorageError> {
        let added = Posting {
            first: last.seq - more,
            len: more + 1,
        };
        let Some(held) = self.hold(rows, stream, subject)?.filter(|held| !held.gone) else {
            let row = SubjectRow {
                count: added.len,
                first: added.first,
                last,
                blocks: 0,
                tail: vec![added],
            };
            self.held.insert(subject.into(), Held::new(row, true));
            return Ok(Pushed {
                count: added.len,
                is_new: true,
                replaced: None,
                changed_bytes: ROW_BYTES + subject.len(),
            });
        };
        let row = &mut held.row;
        let mut changed_bytes = if held.changed {
            0
        } else {
            ROW_BYTES + subject.len()
        };
        held.changed = true;
        let replaced = (row.count == 1).then_some(row.last);
        row.count += added.len;
        row.last = last;
        match row.tail.last_mut() {
            Some(newest) if newest.end() == added.first => newest.len += added.len,
            _ => {
                if row.tail.len() >= posting::RUNS {
                    let key = posting::key(rows.group(), stream, subject, row.tail[0].first);
                    rows.put(key, posting::encode(&row.tail));
                    row.tail.clear();
                    row.blocks += 1;
                }
                row.tail.push(added);
                changed_bytes += 4;
            }
        }
        Ok(Pushed {
            count: row.count,
            is_new: false,
            replaced,
            changed_bytes,
        })
    }

    /// Removes a message. Returns the last sequence that is left, if it is another one than before; 0: none is left.
    pub(crate) fn remove(
        &mut self,
        rows: &mut Rows,
        stream: StreamId,
        subject: &[u8],
        seq: u64,
    ) -> Result<Removed, StorageError> {
        let Some(held) = self.hold(rows, stream, subject)?.filter(|held| !held.gone) else {
            return Ok(Removed::default());
        };
        let changed_bytes = if held.changed {
            0
        } else {
            ROW_BYTES + subject.len()
        };
        held.changed = true;
        let row = &mut held.row;
        row.count -= 1;
        let key = posting::of_subject(rows.group(), stream, subject);
        if row.count == 0 {
            held.gone = true;
            if row.blocks > 0 {
                rows.delete_prefix(&key);
            }
            return Ok(Removed {
                is_empty: true,
                new_last: None,
                changed_bytes,
            });
        }
        if seq == row.first {
            held.advance(rows, &key)?;
        } else {
            held.oldest = None;
            remove_posting(rows, &key, row, seq)?;
        }
        let row = &held.row;
        let new_last = match seq == row.last.seq {
            true => last_posting(rows, &key, row)?,
            false => None,
        };
        Ok(Removed {
            is_empty: false,
            new_last,
            changed_bytes,
        })
    }

    /// Notes where the last message is.
    pub(crate) fn set_last(&mut self, subject: &[u8], last: Position) {
        if let Some(held) = self.held.get_mut(subject) {
            held.row.last = last;
        }
    }

    /// Shows all subjects that match one of the filters, in no order that means something.
    pub(crate) fn scan(
        &self,
        rows: &Rows,
        stream: StreamId,
        filters: &Filters,
        mut show: impl FnMut(&[u8], &SubjectRow) -> Result<ControlFlow<()>, StorageError>,
    ) -> Result<(), StorageError> {
        if filters.are_literal() {
            let mut all: Vec<&[u8]> = filters.iter().collect();
            all.sort_unstable();
            all.dedup();
            for subject in all {
                if let Some(row) = self.get(rows, stream, subject)?
                    && show(subject, &row)?.is_break()
                {
                    break;
                }
            }
            return Ok(());
        }
        for (subject, held) in &self.held {
            if !held.gone && filters.matches(subject) && show(subject, &held.row)?.is_break() {
                return Ok(());
            }
        }
        let all: [&[u8]; 1] = [b">"];
        let filters: Vec<&[u8]> = if filters.is_all() {
            all.to_vec()
        } else {
            filters.iter().collect()
        };
        for (number, filter) in filters.iter().enumerate() {
            let key = subject::key(rows.group(), stream, literal_prefix(filter));
            let mut ended = false;
            rows.scan_prefix(&key, |key, value| {
                let subject = subject::subject_of(key);
                let shown = filters[..number].iter().any(|earlier| matches(subject, earlier));
                if shown || !matches(subject, filter) || self.held.contains_key(subject) {
                    return Ok(ControlFlow::Continue(()));
                }
                let row = decode(rows, value)?;
                let flow = show(subject, &row)?;
                ended = flow.is_break();
                Ok(flow)
            })?;
            if ended {
                break;
            }
        }
        Ok(())
    }
}

/// What adding a message did.
pub(crate) struct Pushed {
    /// Messages of the subject now.
    pub(crate) count: u64,
    /// The subject had none before.
    pub(crate) is_new: bool,
    /// The message that was its only one before.
    pub(crate) replaced: Option<Position>,
    pub(crate) changed_bytes: usize,
}

/// What removing a message did.
#[derive(Default)]
pub(crate) struct Removed {
    /// The subject has no message any more.
    pub(crate) is_empty: bool,
    /// Another message is the subject's last now.
    pub(crate) new_last: Option<u64>,
    pub(crate) changed_bytes: usize,
}

fn load(rows: &Rows, stream: StreamId, subject: &[u8]) -> Result<Option<SubjectRow>, StorageError> {
    let key = subject::key(rows.group(), stream, subject);
    rows.get(&key)?.map(|value| decode(rows, &value)).transpose()
}

fn decode(rows: &Rows, value: &[u8]) -> Result<SubjectRow, StorageError> {
    SubjectRow::decode(value).map_err(|error| rows.damaged("a subject", error))
}

fn block(rows: &Rows, value: &[u8]) -> Result<Vec<Posting>, StorageError> {
    posting::decode(value).map_err(|error| rows.damaged("postings", error))
}

fn at(prefix: &[u8], seq: u64) -> Vec<u8> {
    let mut key = prefix.to_vec();
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

fn next_in(postings: &[Posting], from: u64) -> Option<u64> {
    let at = postings.partition_point(|posting| posting.end() <= from);
    postings.get(at).map(|posting| posting.first.max(from))
}

fn count_in(postings: &[Posting], from: u64) -> u64 {
    let at = postings.partition_point(|posting| posting.end() <= from);
    let rest = postings[at..].iter();
    rest.map(|posting| posting.end() - posting.first.max(from)).sum()
}

fn is_before_tail(row: &SubjectRow, seq: u64) -> bool {
    row.blocks > 0 && row.tail.first().is_none_or(|tail| seq < tail.first)
}

/// The first sequence at or after `from`; `prefix` is that of the subject's blocks.
fn next_posting(
    rows: &Rows,
    prefix: &[u8],
    row: &SubjectRow,
    from: u64,
) -> Result<Option<u64>, StorageError> {
    let from = from.max(row.first);
    if from > row.last.seq {
        return Ok(None);
    }
    if is_before_tail(row, from) {
        if let Some((_, value)) = rows.last_to(&at(prefix, from), prefix)?
            && let Some(seq) = next_in(&block(rows, &value)?, from)
        {
            return Ok(Some(seq));
        }
        if let Some((_, value)) = rows.first_from(&at(prefix, from), prefix)?
            && let Some(seq) = next_in(&block(rows, &value)?, from)
        {
            return Ok(Some(seq));
        }
    }
    Ok(next_in(&row.tail, from))
}

/// Shows the sequences from `from` on, until told to stop.
pub(crate) fn scan_postings(
    rows: &Rows,
    prefix: &[u8],
    row: &SubjectRow,
    from: u64,
    mut show: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<(), StorageError> {
    let from = from.max(row.first);
    let mut show_all = |postings: &[Posting]| {
        for posting in postings.iter().filter(|posting| posting.end() > from) {
            for seq in posting.first.max(from)..posting.end() {
                if show(seq).is_break() {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    };
    if is_before_tail(row, from) {
        let first = rows.last_to(&at(prefix, from), prefix)?;
        let key = first.map_or_else(|| at(prefix, from), |(key, _)| key);
        let mut ended = false;
        rows.scan_prefix_from(&key, prefix, |_, value| {
            let flow = show_all(&block(rows, value)?);
            ended = flow.is_break();
            Ok(flow)
        })?;
        if ended {
            return Ok(());
        }
    }
    let _ = show_all(&row.tail);
    Ok(())
}

/// How many messages the subject has at or after `from`, exactly.
pub(crate) fn count_postings(
    rows: &Rows,
    prefix: &[u8],
    row: &SubjectRow,
    from: u64,
) -> Result<u64, StorageError> {
    if from <= row.first {
        return Ok(row.count);
    }
    if from > row.last.seq {
        return Ok(0);
    }
    let mut count = count_in(&row.tail, from);
    if is_before_tail(row, from) {
        let first = rows.last_to(&at(prefix, from), prefix)?;
        let key = first.map_or_else(|| at(prefix, from), |(key, _)| key);
        rows.scan_prefix_from(&key, prefix, |_, value| {
            count += count_in(&block(rows, value)?, from);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(count)
}

/// The last sequence at or before `to`.
pub(crate) fn last_posting_to(
    rows: &Rows,
    prefix: &[u8],
    row: &SubjectRow,
    to: u64,
) -> Result<Option<u64>, StorageError> {
    let last = |postings: &[Posting]| {
        let at = postings
            .partition_point(|posting| posting.first <= to)
            .checked_sub(1)?;
        Some((postings[at].end() - 1).min(to)).filter(|seq| *seq >= row.first)
    };
    if let Some(seq) = last(&row.tail) {
        return Ok(Some(seq));
    }
    let mut key = at(prefix, to);
    // A block that lost its first messages begins behind its key: then it is the one before.
    for _ in 0..2 {
        let Some((found, value)) = rows.last_to(&key, prefix)? else {
            break;
        };
        if let Some(seq) = last(&block(rows, &value)?) {
            return Ok(Some(seq));
        }
        key = at(prefix, posting::first_of(&found).saturating_sub(1));
    }
    Ok(None)
}

fn last_posting(rows: &Rows, prefix: &[u8], row: &SubjectRow) -> Result<Option<u64>, StorageError> {
    if let Some(newest) = row.tail.last() {
        return Ok(Some(newest.end() - 1));
    }
    let newest = rows.last_to(&at(prefix, u64::MAX), prefix)?;
    let Some((_, value)) = newest else { return Ok(None) };
    Ok(block(rows, &value)?.last().map(|posting| posting.end() - 1))
}

/// Takes a sequence out of a list.
fn take_out(postings: &mut Vec<Posting>, seq: u64) {
    let at = postings.partition_point(|posting| posting.end() <= seq);
    let Some(posting) = postings.get_mut(at).filter(|posting| posting.first <= seq) else {
        return;
    };
    let (before, after) = (seq - posting.first, posting.end() - seq - 1);
    match (before, after) {
        (0, 0) => drop(postings.remove(at)),
        (0, _) => {
            *posting = Posting {
                first: seq + 1,
                len: after,
            }
        }
        (_, 0) => posting.len = before,
        _ => {
            posting.len = before;
            postings.insert(
                at + 1,
                Posting {
                    first: seq + 1,
                    len: after,
                },
            );
        }
    }
}

fn remove_posting(
    rows: &mut Rows,
    prefix: &[u8],
    row: &mut SubjectRow,
    seq: u64,
) -> Result<(), StorageError> {
    if !is_before_tail(row, seq) {
        take_out(&mut row.tail, seq);
        return Ok(());
    }
    let Some((key, value)) = rows.last_to(&at(prefix, seq), prefix)? else {
        return Ok(());
    };
    let mut postings = block(rows, &value)?;
    take_out(&mut postings, seq);
    match postings.is_empty() {
        true => {
            row.blocks -= 1;
            rows.delete(key);
        }
        // A block's key may be below its first sequence, never above it.
        false => rows.put(key, posting::encode(&postings)),
    }
    Ok(())
}

/// What the blocks of a subject begin with.
pub(crate) fn blocks_of(rows: &Rows, stream: StreamId, subject: &[u8]) -> Vec<u8> {
    keys::posting::of_subject(rows.group(), stream, subject)
}
