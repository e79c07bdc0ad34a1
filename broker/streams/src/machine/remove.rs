//! Removing messages: by limits, purges, acknowledgements and requests.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::rc::Rc;

use bytes::Bytes;
use mainstem_storage::StorageError;

use super::context::Context;
use super::live::Live;
use super::stream::StreamState;
use super::{Position, subjects};
use crate::command::Outcome;
use crate::config::Discard;
use crate::keys::run::Run;
use crate::matching::Filters;

/// Messages that one command removes at most where each has to be looked at: nobody else has a turn meanwhile.
const STEP: u64 = if cfg!(test) { 3 } else { 2048 };

/// A message's sequence and subject.
type Found = (u64, Rc<[u8]>);

/// What a command removed.
#[derive(Clone, Copy)]
pub(super) struct Removal {
    pub(super) removed: u64,
    /// There is nothing more to be removed.
    pub(super) is_all: bool,
}

impl Removal {
    pub(super) fn outcome(self) -> Outcome {
        let removed = self.removed;
        match self.is_all {
            true => Outcome::Done { removed },
            false => Outcome::Partly { removed },
        }
    }
}

impl StreamState {
    /// Removes one message. False: there is none.
    pub(super) fn remove(&mut self, cx: &mut Context, seq: u64) -> Result<bool, StorageError> {
        let Some(position) = self.position(&cx.rows, seq)? else {
            return Ok(false);
        };
        let subject = self.subject_at(cx, &position)?;
        self.remove_known(cx, &position, &subject)?;
        Ok(true)
    }

    /// The subject of a message, from what is known or from the log.
    pub(super) fn subject_at(&self, cx: &mut Context, position: &Position) -> Result<Bytes, StorageError> {
        match &self.sole_subject {
            Some(subject) => Ok(subject.clone()),
            None => cx.subject_at(position),
        }
    }

    /// Removes a message that is there, and of which is known where.
    pub(super) fn remove_known(
        &mut self,
        cx: &mut Context,
        position: &Position,
        subject: &[u8],
    ) -> Result<(), StorageError> {
        let seq = position.seq;
        let removed = self.subjects.remove(&mut cx.rows, self.id, subject, seq)?;
        cx.changed_bytes += removed.changed_bytes;
        self.state_changed = true;
        self.msgs -= 1;
        self.bytes = self.bytes.saturating_sub(u64::from(position.size));
        cx.live.remove(position.index, u64::from(position.size));
        self.note_change(cx, |change| change.removed = true);
        if removed.is_empty {
            self.num_subjects = self.num_subjects.saturating_sub(1);
        }
        if self.msgs == 0 {
            self.begin_after(cx, self.last_seq);
            return Ok(());
        }
        if seq == self.first_seq {
            let next = self.next_live_after_first(cx)?;
            self.deleted.trim(&mut cx.rows, self.id, seq, next)?;
            self.first_seq = next;
            self.runs.trim(&mut cx.rows, self.id, seq, next)?;
        } else {
            self.deleted.recent.note(seq);
            self.change.removed_inside += 1;
            self.remove_inside(cx, seq)?;
        }
        if let Some(last) = removed.new_last
            && let Some(position) = self.runs.position(&cx.rows, self.id, last)?
        {
            self.subjects.set_last(subject, position);
        }
        Ok(())
    }

    /// Marks a message as removed that is not the first.
    pub(super) fn remove_inside(&mut self, cx: &mut Context, seq: u64) -> Result<(), StorageError> {
        let set = self.deleted.set(&cx.rows, self.id, seq)?;
        cx.changed_bytes += set.changed_bytes;
        if !set.is_word_full {
            return Ok(());
        }
        let (deleted, id, first_seq) = (&self.deleted, self.id, self.first_seq);
        self.runs
            .drop_if_dead(&mut cx.rows, id, seq, |rows, first, last| {
                let first = first.max(first_seq);
                Ok(deleted.count(rows, id, first, last)? == (last + 1).saturating_sub(first))
            })
    }

    /// The message behind the first, which is gone already.
    fn next_live_after_first(&mut self, cx: &Context) -> Result<u64, StorageError> {
        let seq = self.first_seq + 1;
        let span = self.last_seq + 1 - seq;
        match self.msgs < span {
            true => self.deleted.next_live(&cx.rows, self.id, seq),
            false => Ok(seq),
        }
    }

    /// Nothing is left, and the next sequence is the one behind `last_seq`.
    pub(super) fn begin_after(&mut self, cx: &mut Context, last_seq: u64) {
        self.first_seq = last_seq + 1;
        self.last_seq = last_seq;
        self.msgs = 0;
        self.bytes = 0;
        self.num_subjects = 0;
        self.sole_subject = None;
        self.state_changed = true;
        self.runs.clear(&mut cx.rows, self.id);
        self.deleted.clear(&mut cx.rows, self.id);
        self.subjects.clear(&mut cx.rows, self.id);
    }

    /// Removes all messages, without asking for their subjects.
    pub(super) fn remove_all(&mut self, cx: &mut Context, last_seq: u64) -> Result<u64, StorageError> {
        let removed = self.msgs;
        self.each_run(cx, |live, run, bytes| live.remove(run.index, bytes))?;
        self.begin_after(cx, last_seq);
        self.note_change(cx, |change| change.removed = true);
        Ok(removed)
    }

    /// Shows every run, and how many bytes of its messages are there.
    pub(super) fn each_run(
        &mut self,
        cx: &mut Context,
        mut show: impl FnMut(&mut Live, &Run, u64),
    ) -> Result<(), StorageError> {
        if self.msgs == 0 {
            return Ok(());
        }
        let (id, first_seq, is_whole) = (self.id, self.first_seq, self.num_deleted() == 0);
        let (deleted, Context { rows, live, .. }) = (&mut self.deleted, cx);
        self.runs.each(rows, id, first_seq, |run| {
            let (from, to) = (run.first_seq.max(first_seq), run.last_seq());
            let mut messages = to + 1 - from;
            if !is_whole {
                deleted.hold_range(rows, id, from, to)?;
                messages -= deleted.count(rows, id, from, to)?;
            }
            show(live, run, messages * u64::from(run.size));
            Ok(())
        })
    }

    /// Removes the first message.
    pub(super) fn remove_first(&mut self, cx: &mut Context) -> Result<(), StorageError> {
        match self.remove(cx, self.first_seq)? {
            true => Ok(()),
            false => Err(cx.lost(self.id, self.first_seq)),
        }
    }

    /// It has not more than it may.
    pub(super) fn is_within_limits(&self) -> bool {
        let (max_msgs, max_bytes) = (limit(self.config.max_msgs), limit(self.config.max_bytes));
        self.config.discard != Discard::Old || (self.msgs <= max_msgs && self.bytes <= max_bytes)
    }

    /// Brings the stream within its limits, a step at most.
    pub(super) fn enforce_limits(&mut self, cx: &mut Context) -> Result<Removal, StorageError> {
        self.remove_while(cx, |stream, _| Ok(!stream.is_within_limits()))
    }

    /// Removes the first messages for as long as `is_wanted`, a step at most.
    fn remove_while(
        &mut self,
        cx: &mut Context,
        mut is_wanted: impl FnMut(&mut Self, &Context) -> Result<bool, StorageError>,
    ) -> Result<Removal, StorageError> {
        let mut removed = 0;
        while self.msgs > 0 && is_wanted(self, cx)? {
            if removed == STEP {
                return Ok(Removal {
                    removed,
                    is_all: false,
                });
            }
            self.remove_first(cx)?;
            removed += 1;
        }
        Ok(Removal {
            removed,
            is_all: true,
        })
    }

    /// Brings a subject within the limit of messages for each.
    pub(super) fn enforce_subject_limit(
        &mut self,
        cx: &mut Context,
        subject: &[u8],
    ) -> Result<(), StorageError> {
        let max = limit(self.config.max_msgs_per_subject);
        while let Some((count, first, last)) = self.subjects.summary(&cx.rows, self.id, subject)? {
            if count <= max {
                break;
            }
            if first == last.seq {
                self.remove_known(cx, &last, subject)?;
            } else {
                self.remove_of_subject(cx, first, subject)?;
            }
        }
        Ok(())
    }

    /// Removes a message whose subject is known.
    pub(super) fn remove_of_subject(
        &mut self,
        cx: &mut Context,
        seq: u64,
        subject: &[u8],
    ) -> Result<(), StorageError> {
        match self.position(&cx.rows, seq)? {
            Some(position) => self.remove_known(cx, &position, subject),
            None => Err(cx.lost(self.id, seq)),
        }
    }

    /// Brings every subject within the limit of messages for each.
    pub(super) fn enforce_subject_limits(&mut self, cx: &mut Context) -> Result<(), StorageError> {
        let max = limit(self.config.max_msgs_per_subject);
        let mut over = Vec::new();
        self.subjects
            .scan(&cx.rows, self.id, &Filters::all(), |subject, row| {
                if row.count > max {
                    over.push(subject.to_vec());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        over.sort();
        for subject in over {
            self.enforce_subject_limit(cx, &subject)?;
        }
        Ok(())
    }

    /// Removes messages that are older than `before_ns`, a step at most.
    pub(super) fn expire(&mut self, cx: &mut Context, before_ns: u64) -> Result<Removal, StorageError> {
        let removal = self.remove_while(cx, |stream, cx| {
            match stream.position(&cx.rows, stream.first_seq)? {
                Some(position) => Ok(position.timestamp_ns < before_ns),
                None => Err(cx.lost(stream.id, stream.first_seq)),
            }
        })?;
        self.expires_more = !removal.is_all;
        Ok(removal)
    }

    /// Removes messages below `below_seq` (0: all) that match, but for the newest `keep`: all of them at once where
    /// nothing is left, else a step at most.
    pub(super) fn purge(
        &mut self,
        cx: &mut Context,
        filters: &Filters,
        below_seq: u64,
        keep: u64,
    ) -> Result<Removal, StorageError> {
        let all = |removed| Removal {
            removed,
            is_all: true,
        };
        if below_seq == 1 {
            return Ok(all(0));
        }
        if !filters.is_all() {
            return self.purge_subjects(cx, filters, below_seq, keep);
        }
        if below_seq > self.last_seq {
            return self.remove_all(cx, below_seq - 1).map(all);
        }
        if below_seq > 0 {
            return self.remove_while(cx, |stream, _| Ok(stream.first_seq < below_seq));
        }
        match keep {
            0 => self.remove_all(cx, self.last_seq).map(all),
            _ => self.remove_while(cx, |stream, _| Ok(stream.msgs > keep)),
        }
    }

    fn purge_subjects(
        &mut self,
        cx: &mut Context,
        filters: &Filters,
        below_seq: u64,
        keep: u64,
    ) -> Result<Removal, StorageError> {
        let end = if below_seq == 0 { u64::MAX } else { below_seq };
        let step = match keep {
            // What goes is the same in any order.
            0 => self.some_matching(cx, filters, end)?,
            _ => {
                let mut matching = 0;
                self.subjects.scan(&cx.rows, self.id, filters, |_, row| {
                    matching += row.count;
                    Ok(ControlFlow::Continue(()))
                })?;
                let wanted = matching.saturating_sub(keep).min(STEP + 1);
                self.oldest_matching(cx, filters, end, wanted as usize)?
            }
        };
        let removed = step.len().min(STEP as usize);
        for (seq, subject) in &step[..removed] {
            self.remove_of_subject(cx, *seq, subject)?;
        }
        Ok(Removal {
            removed: removed as u64,
            is_all: step.len() == removed,
        })
    }

    /// Messages that match, below `end`: one more than a step, if there are so many.
    fn some_matching(&self, cx: &Context, filters: &Filters, end: u64) -> Result<Vec<Found>, StorageError> {
        let mut found = Vec::new();
        self.subjects.scan(&cx.rows, self.id, filters, |subject, row| {
            let subject: Rc<[u8]> = subject.into();
            let prefix = subjects::blocks_of(&cx.rows, self.id, &subject);
            subjects::scan_postings(&cx.rows, &prefix, row, 0, |seq| {
                if seq >= end || found.len() as u64 > STEP {
                    return ControlFlow::Break(());
                }
                found.push((seq, Rc::clone(&subject)));
                ControlFlow::Continue(())
            })?;
            Ok(match found.len() as u64 > STEP {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        // In an order that does not depend on what is in RAM.
        found.sort_unstable();
        Ok(found)
    }

    /// The oldest messages that match, below `end`, in order.
    fn oldest_matching(
        &self,
        cx: &Context,
        filters: &Filters,
        end: u64,
        limit: usize,
    ) -> Result<Vec<Found>, StorageError> {
        let mut oldest = BinaryHeap::new();
        self.subjects.scan(&cx.rows, self.id, filters, |subject, row| {
            let subject: Rc<[u8]> = subject.into();
            let prefix = subjects::blocks_of(&cx.rows, self.id, &subject);
            subjects::scan_postings(&cx.rows, &prefix, row, 0, |seq| {
                let is_full = oldest.len() >= limit;
                if seq >= end || (is_full && oldest.peek().is_some_and(|(largest, _)| seq > *largest)) {
                    return ControlFlow::Break(());
                }
                oldest.push((seq, Rc::clone(&subject)));
                if is_full {
                    oldest.pop();
                }
                ControlFlow::Continue(())
            })?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(oldest.into_sorted_vec())
    }
}

/// A limit of a configuration: -1 and 0 are none.
pub(super) fn limit(value: i64) -> u64 {
    u64::try_from(value)
        .ok()
        .filter(|limit| *limit > 0)
        .unwrap_or(u64::MAX)
}
