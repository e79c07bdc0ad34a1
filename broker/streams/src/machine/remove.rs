//! Removing messages: by limits, purges, acknowledgements and requests.

use std::ops::ControlFlow;

use bytes::Bytes;
use mainstem_storage::StorageError;

use super::context::Context;
use super::stream::StreamState;
use super::{Position, subjects};
use crate::config::Discard;
use crate::matching::Filters;

/// Sequences that a filtered purge takes at once.
const PURGE_STEP: usize = 4096;

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
            self.runs.trim(&mut cx.rows, self.id, next)?;
        } else {
            self.remove_inside(cx, seq)?;
        }
        if let Some(last) = removed.new_last {
            if let Some(position) = self.runs.position(&cx.rows, self.id, last)? {
                self.subjects.set_last(subject, position);
            }
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
    fn begin_after(&mut self, cx: &mut Context, last_seq: u64) {
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
        let mut seq = self.first_seq;
        while let Some(first) = self.next_live(&cx.rows, seq)? {
            let Some(run) = self.runs.run_from(&cx.rows, self.id, first)? else {
                break;
            };
            let from = first.max(run.first_seq);
            let dead = match self.num_deleted() {
                0 => 0,
                _ => self.deleted.count(&cx.rows, self.id, from, run.last_seq())?,
            };
            let live = run.last_seq() + 1 - from - dead;
            cx.live.remove(run.index, live * u64::from(run.size));
            seq = run.last_seq() + 1;
        }
        self.begin_after(cx, last_seq);
        self.note_change(cx, |change| change.removed = true);
        Ok(removed)
    }

    /// Removes the first message.
    pub(super) fn remove_first(&mut self, cx: &mut Context) -> Result<(), StorageError> {
        match self.remove(cx, self.first_seq)? {
            true => Ok(()),
            false => Err(cx.lost(self.id, self.first_seq)),
        }
    }

    /// Brings the stream within its limits.
    pub(super) fn enforce_limits(&mut self, cx: &mut Context) -> Result<(), StorageError> {
        if self.config.discard != Discard::Old {
            return Ok(());
        }
        let max_msgs = limit(self.config.max_msgs);
        let max_bytes = limit(self.config.max_bytes);
        while self.msgs > 0 && (self.msgs > max_msgs || self.bytes > max_bytes) {
            self.remove_first(cx)?;
        }
        Ok(())
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

    /// Removes messages that are older than `before_ns`.
    pub(super) fn expire(&mut self, cx: &mut Context, before_ns: u64) -> Result<u64, StorageError> {
        let mut removed = 0;
        while self.msgs > 0 {
            let Some(position) = self.position(&cx.rows, self.first_seq)? else {
                return Err(cx.lost(self.id, self.first_seq));
            };
            if position.timestamp_ns >= before_ns {
                break;
            }
            let subject = self.subject_at(cx, &position)?;
            self.remove_known(cx, &position, &subject)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes messages below `below_seq` (0: all) that match, but for the newest `keep`.
    pub(super) fn purge(
        &mut self,
        cx: &mut Context,
        filters: &Filters,
        below_seq: u64,
        keep: u64,
    ) -> Result<u64, StorageError> {
        if below_seq == 1 {
            return Ok(0);
        }
        if filters.is_all() {
            if below_seq > self.last_seq {
                return self.remove_all(cx, below_seq - 1);
            }
            if below_seq > 0 {
                return self.remove_below(cx, below_seq);
            }
            if keep == 0 {
                return self.remove_all(cx, self.last_seq);
            }
            return self.remove_but(cx, keep);
        }
        self.purge_subjects(cx, filters, below_seq, keep)
    }

    fn remove_below(&mut self, cx: &mut Context, below_seq: u64) -> Result<u64, StorageError> {
        let mut removed = 0;
        while self.msgs > 0 && self.first_seq < below_seq {
            self.remove_first(cx)?;
            removed += 1;
        }
        Ok(removed)
    }

    fn remove_but(&mut self, cx: &mut Context, keep: u64) -> Result<u64, StorageError> {
        let removed = self.msgs.saturating_sub(keep);
        for _ in 0..removed {
            self.remove_first(cx)?;
        }
        Ok(removed)
    }

    fn purge_subjects(
        &mut self,
        cx: &mut Context,
        filters: &Filters,
        below_seq: u64,
        keep: u64,
    ) -> Result<u64, StorageError> {
        let mut left = u64::MAX;
        if keep > 0 {
            let mut matching = 0;
            self.subjects.scan(&cx.rows, self.id, filters, |_, row| {
                matching += row.count;
                Ok(ControlFlow::Continue(()))
            })?;
            left = u64::saturating_sub(matching, keep);
        }
        let end = if below_seq == 0 { u64::MAX } else { below_seq };
        let mut removed = 0;
        while left > 0 {
            let step = self.oldest_matching(cx, filters, end, left.min(PURGE_STEP as u64) as usize)?;
            if step.is_empty() {
                break;
            }
            for (seq, subject) in &step {
                self.remove_of_subject(cx, *seq, subject)?;
            }
            removed += step.len() as u64;
            left -= step.len() as u64;
        }
        Ok(removed)
    }

    /// The oldest messages that match, below `end`, in order.
    fn oldest_matching(
        &self,
        cx: &Context,
        filters: &Filters,
        end: u64,
        limit: usize,
    ) -> Result<Vec<(u64, std::rc::Rc<[u8]>)>, StorageError> {
        let mut oldest = std::collections::BinaryHeap::new();
        self.subjects.scan(&cx.rows, self.id, filters, |subject, row| {
            let subject: std::rc::Rc<[u8]> = subject.into();
            let prefix = subjects::blocks_of(&cx.rows, self.id, &subject);
            subjects::scan_postings(&cx.rows, &prefix, row, 0, |seq| {
                let is_full = oldest.len() >= limit;
                if seq >= end || (is_full && oldest.peek().is_some_and(|(largest, _)| seq > *largest)) {
                    return ControlFlow::Break(());
                }
                oldest.push((seq, std::rc::Rc::clone(&subject)));
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
