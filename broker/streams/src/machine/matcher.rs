//! The next messages that match filters, without looking at those that do not.
//!
//! Of one subject, its postings say. Of filters with wildcards, the next few hundred matches are worked out at once, by
//! whichever costs less: merging the postings of the subjects that match, or looking at every message.

use std::collections::{BinaryHeap, VecDeque};
use std::ops::ControlFlow;

use foldhash::HashMap;
use mainstem_storage::StorageError;

use super::Position;
use super::context::Context;
use super::stream::StreamState;
use super::subjects;
use crate::command::StreamId;
use crate::matching::Filters;

/// Matches that are worked out at once. As the other bounds, low in tests.
const AHEAD: usize = if cfg!(test) { 8 } else { 512 };

/// Filters that are remembered, of all streams: of those who go on, and of those who ask once.
const REMEMBERED: usize = if cfg!(test) { 2 } else { 1024 };
const REMEMBERED_ONCE: usize = if cfg!(test) { 1 } else { 64 };

/// Messages at the end, or near where a single match is looked for, that are looked at one by one in any case.
const NEAR: u64 = if cfg!(test) { 4 } else { 256 };

/// Messages that are looked at, one by one, before giving the caller a turn.
const LOOK: u64 = if cfg!(test) { 16 } else { 65_536 };

/// Work of reading a subject's row, in messages looked at.
const SUBJECT_COST: u64 = 8;

/// Refills before it is worked out anew what costs less.
const PLAN_FOR: u32 = 64;

/// Matches of filters that were worked out.
#[derive(Debug, Default)]
struct Ahead {
    seqs: VecDeque<u64>,
    /// All matches from here ...
    from: u64,
    /// ... to here are in `seqs`.
    through: u64,
    plan: Plan,
    plan_left: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum Plan {
    #[default]
    Merge,
    Look,
}

/// What was worked out, by stream and filters.
#[derive(Debug, Default)]
struct Memory {
    ahead: HashMap<StreamId, HashMap<Filters, Ahead>>,
    len: usize,
}

impl Memory {
    fn forget(&mut self, stream: StreamId) {
        let gone = self.ahead.remove(&stream);
        self.len -= gone.map_or(0, |gone| gone.len());
    }

    fn holds(&self, stream: StreamId, filters: &Filters) -> bool {
        let of_stream = self.ahead.get(&stream);
        of_stream.is_some_and(|of_stream| of_stream.contains_key(filters))
    }

    fn of(&mut self, stream: StreamId, filters: &Filters, most: usize) -> &mut Ahead {
        if !self.holds(stream, filters) {
            if self.len >= most {
                self.forget_one();
            }
            self.len += 1;
            let of_stream = self.ahead.entry(stream).or_default();
            of_stream.insert(filters.clone(), Ahead::default());
        }
        let of_stream = self.ahead.entry(stream).or_default();
        of_stream.entry(filters.clone()).or_default()
    }

    /// Forgets some filters, no matter which.
    fn forget_one(&mut self) {
        let Some((&stream, of_stream)) = self.ahead.iter_mut().next() else {
            return;
        };
        if let Some(filters) = of_stream.keys().next().cloned() {
            of_stream.remove(&filters);
            self.len -= 1;
        }
        if of_stream.is_empty() {
            self.ahead.remove(&stream);
        }
    }
}

/// Finds matches, and remembers what it worked out.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    going_on: Memory,
    /// Of those who ask once, so that the others' is not forgotten for it.
    once: Memory,
}

impl Matcher {
    /// A stream is gone.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        self.going_on.forget(stream);
        self.once.forget(stream);
    }

    /// The first message at or after `from` that matches, for whoever does not go on from there.
    pub(crate) fn next_once(
        &mut self,
        cx: &mut Context,
        stream: &mut StreamState,
        filters: &Filters,
        from: u64,
    ) -> Result<Option<u64>, StorageError> {
        if filters.is_all() || filters.literal().is_some() || self.going_on.holds(stream.id, filters) {
            return self.next(cx, stream, filters, from);
        }
        let from = from.max(stream.first_seq);
        if !self.once.holds(stream.id, filters) {
            let mut found = VecDeque::new();
            let end = stream.last_seq.min(from.saturating_add(NEAR));
            stream.look(cx, filters, from, end, 1, &mut found)?;
            if !found.is_empty() || end == stream.last_seq {
                return Ok(found.pop_front());
            }
        }
        self.once
            .of(stream.id, filters, REMEMBERED_ONCE)
            .next(cx, stream, filters, from)
    }

    /// The first message at or after `from` that matches.
    pub(crate) fn next(
        &mut self,
        cx: &mut Context,
        stream: &mut StreamState,
        filters: &Filters,
        from: u64,
    ) -> Result<Option<u64>, StorageError> {
        if filters.is_all() {
            return stream.next_live(&cx.rows, from);
        }
        if let Some(subject) = filters.literal() {
            return stream.next_of_subject(cx, subject, from);
        }
        self.going_on
            .of(stream.id, filters, REMEMBERED)
            .next(cx, stream, filters, from.max(stream.first_seq))
    }
}

impl StreamState {
    pub(super) fn next_of_subject(
        &mut self,
        cx: &Context,
        subject: &[u8],
        from: u64,
    ) -> Result<Option<u64>, StorageError> {
        if self.sole_subject.as_deref() == Some(subject) {
            return self.next_live(&cx.rows, from);
        }
        self.subjects.next(&cx.rows, self.id, subject, from)
    }

    /// The last message that matches. It is mostly one of the last of all.
    pub(super) fn last_match(
        &mut self,
        cx: &mut Context,
        filters: &Filters,
    ) -> Result<Option<Position>, StorageError> {
        if !filters.are_literal() {
            let near = self.first_seq.max((self.last_seq + 1).saturating_sub(NEAR));
            for seq in (near..=self.last_seq).rev() {
                let Some(position) = self.position(&cx.rows, seq)? else {
                    continue;
                };
                if filters.matches(&self.subject_at(cx, &position)?) {
                    return Ok(Some(position));
                }
            }
            if near == self.first_seq {
                return Ok(None);
            }
        }
        let mut last: Option<Position> = None;
        self.subjects.scan(&cx.rows, self.id, filters, |_, row| {
            if last.is_none_or(|last| row.last.seq > last.seq) {
                last = Some(row.last);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(last)
    }

    /// Looks at every message from `from` to `end`, for `limit` that match. Returns how far it came.
    fn look(
        &mut self,
        cx: &mut Context,
        filters: &Filters,
        from: u64,
        end: u64,
        limit: usize,
        found: &mut VecDeque<u64>,
    ) -> Result<u64, StorageError> {
        let mut seq = from;
        while let Some(live) = self.next_live(&cx.rows, seq)?.filter(|live| *live <= end) {
            seq = live + 1;
            let Some(position) = self.runs.position(&cx.rows, self.id, live)? else {
                return Err(cx.lost(self.id, live));
            };
            if filters.matches(&self.subject_at(cx, &position)?) {
                found.push_back(live);
                if found.len() >= limit {
                    return Ok(live);
                }
            }
        }
        Ok(end)
    }
}

impl Ahead {
    fn next(
        &mut self,
        cx: &mut Context,
        stream: &mut StreamState,
        filters: &Filters,
        mut from: u64,
    ) -> Result<Option<u64>, StorageError> {
        if from < self.from || from > self.through + 1 {
            self.seqs.clear();
            self.from = from;
            self.through = from.saturating_sub(1);
        }
        loop {
            while self.seqs.front().is_some_and(|seq| *seq < from) {
                self.seqs.pop_front();
            }
            self.from = from;
            while let Some(seq) = self.seqs.front().copied() {
                // It may have been removed meanwhile.
                if stream.is_live(&cx.rows, seq)? {
                    return Ok(Some(seq));
                }
                self.seqs.pop_front();
            }
            from = from.max(self.through + 1);
            if from > stream.last_seq {
                return Ok(None);
            }
            self.refill(cx, stream, filters, from)?;
        }
    }

    fn refill(
        &mut self,
        cx: &mut Context,
        stream: &mut StreamState,
        filters: &Filters,
        from: u64,
    ) -> Result<(), StorageError> {
        if stream.last_seq - from < NEAR {
            return self.look(cx, stream, filters, from);
        }
        if self.plan_left == 0 {
            self.plan = plan(cx, stream, filters)?;
            self.plan_left = PLAN_FOR;
        }
        self.plan_left -= 1;
        match self.plan {
            Plan::Merge => self.merge(cx, stream, filters, from),
            Plan::Look => self.look(cx, stream, filters, from),
        }
    }

    /// Looks at every message.
    fn look(
        &mut self,
        cx: &mut Context,
        stream: &mut StreamState,
        filters: &Filters,
        from: u64,
    ) -> Result<(), StorageError> {
        let end = stream.last_seq.min(from + LOOK);
        self.through = stream.look(cx, filters, from, end, AHEAD, &mut self.seqs)?;
        Ok(())
    }

    /// Merges the postings of all subjects that match.
    fn merge(
        &mut self,
        cx: &mut Context,
        stream: &mut StreamState,
        filters: &Filters,
        from: u64,
    ) -> Result<(), StorageError> {
        let mut nearest = BinaryHeap::new();
        stream
            .subjects
            .scan(&cx.rows, stream.id, filters, |subject, row| {
                let prefix = subjects::blocks_of(&cx.rows, stream.id, subject);
                subjects::scan_postings(&cx.rows, &prefix, row, from, |seq| {
                    let is_full = nearest.len() >= AHEAD;
                    if is_full && nearest.peek().is_some_and(|farthest| seq > *farthest) {
                        return ControlFlow::Break(());
                    }
                    nearest.push(seq);
                    if is_full {
                        nearest.pop();
                    }
                    ControlFlow::Continue(())
                })?;
                Ok(ControlFlow::Continue(()))
            })?;
        self.through = match nearest.len() < AHEAD {
            true => stream.last_seq,
            false => nearest.peek().copied().unwrap_or(stream.last_seq),
        };
        self.seqs.extend(nearest.into_sorted_vec());
        Ok(())
    }
}

/// Which way costs less to find the next [`AHEAD`] matches.
fn plan(cx: &Context, stream: &StreamState, filters: &Filters) -> Result<Plan, StorageError> {
    let (mut subjects, mut matching) = (0_u64, 0_u64);
    stream.subjects.scan(&cx.rows, stream.id, filters, |_, row| {
        subjects += 1;
        matching += row.count;
        Ok(ControlFlow::Continue(()))
    })?;
    let merging = subjects.saturating_mul(SUBJECT_COST);
    let looking = (AHEAD as u64).saturating_mul(stream.msgs) / matching.max(1);
    Ok(if looking <= merging {
        Plan::Look
    } else {
        Plan::Merge
    })
}
