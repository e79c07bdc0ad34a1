//! Questions to the state.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use mainstem_storage::StorageError;

use super::context::{Change, Context};
use super::matcher::Matcher;
use super::stream::StreamState;
use super::{Position, Streams, subjects};
use crate::command::StreamId;
use crate::matching::Filters;

/// Messages at the end that are looked at one by one to be counted. Low in tests.
const NEAR: u64 = if cfg!(test) { 4 } else { 256 };

/// The state of a group between two entries.
pub struct View {
    pub(super) streams: Streams,
    pub(super) cx: Context,
    /// Time of the last entry.
    pub(super) last_ns: u64,
    /// Why nothing more is applied.
    pub(super) broken: Option<StorageError>,
    pub(super) matcher: Matcher,
    pub(super) commands_since_sweep: usize,
    /// Where the log was stripped last, by stream.
    pub(super) places: HashMap<StreamId, u64>,
}

/// A subject, and how many messages it has.
type SubjectCount = (Box<[u8]>, u64);

impl View {
    /// All streams, in no order that means something.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = &StreamState> {
        self.streams.values().map(|stream| &**stream)
    }

    pub fn stream(&self, id: StreamId) -> Option<&StreamState> {
        self.streams.get(&id).map(|stream| &**stream)
    }

    /// Time of the last entry, nanoseconds since the Unix epoch: the next one's is not before it.
    pub fn last_timestamp_ns(&self) -> u64 {
        self.last_ns
    }

    /// Why nothing more is applied.
    pub fn broken(&self) -> Option<&StorageError> {
        self.broken.as_ref()
    }

    /// Which streams changed since the last call, and how.
    pub fn take_changes(&mut self) -> BTreeMap<StreamId, Change> {
        let changed = std::mem::take(&mut self.cx.changed);
        let gone = Change {
            configured: true,
            removed: true,
            ..Change::default()
        };
        let change_of = |id| match self.streams.get_mut(&id) {
            Some(stream) => (id, std::mem::take(&mut stream.change)),
            None => (id, gone),
        };
        changed.into_iter().map(change_of).collect()
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.cx.changed.is_empty()
    }

    /// A stream and what it shares with the others.
    pub(super) fn parts(&mut self, id: StreamId) -> Option<(&mut StreamState, &mut Context)> {
        let stream = self.streams.get_mut(&id)?;
        Some((stream, &mut self.cx))
    }

    /// Where a message is; `None`: there is none with that sequence.
    pub fn position(&mut self, id: StreamId, seq: u64) -> Result<Option<Position>, StorageError> {
        match self.parts(id) {
            Some((stream, cx)) => stream.position(&cx.rows, seq),
            None => Ok(None),
        }
    }

    /// The first message at or after `from` that matches. For whoever asks once: one that goes on asks for
    /// [several](View::next_matches), and what was worked out for it is remembered.
    pub fn next_match(
        &mut self,
        id: StreamId,
        filters: &Filters,
        from: u64,
    ) -> Result<Option<Position>, StorageError> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(None);
        };
        match self.matcher.next_once(&mut self.cx, stream, filters, from)? {
            Some(seq) => stream.runs.position(&self.cx.rows, id, seq),
            None => Ok(None),
        }
    }

    /// The first messages at or after `from` that match, up to `limit`, behind what is in `into`.
    pub fn next_matches(
        &mut self,
        id: StreamId,
        filters: &Filters,
        from: u64,
        limit: usize,
        into: &mut Vec<Position>,
    ) -> Result<(), StorageError> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        let cx = &mut self.cx;
        if filters.is_all() {
            return stream.next_positions(cx, from, limit, into);
        }
        let end = into.len() + limit;
        let mut from = from;
        while into.len() < end
            && let Some(seq) = self.matcher.next(cx, stream, filters, from)?
        {
            let position = stream.runs.position(&cx.rows, id, seq)?;
            into.push(position.ok_or_else(|| cx.lost(id, seq))?);
            from = seq + 1;
        }
        Ok(())
    }

    /// The last message of a subject.
    pub fn last_of_subject(
        &mut self,
        id: StreamId,
        subject: &[u8],
    ) -> Result<Option<Position>, StorageError> {
        let Some(stream) = self.streams.get(&id) else {
            return Ok(None);
        };
        let row = stream.subjects.get(&self.cx.rows, id, subject)?;
        Ok(row.map(|row| row.last))
    }

    /// The last message that matches.
    pub fn last_match(&mut self, id: StreamId, filters: &Filters) -> Result<Option<Position>, StorageError> {
        match self.parts(id) {
            Some((stream, cx)) => stream.last_match(cx, filters),
            None => Ok(None),
        }
    }

    /// Messages at or after `from` that match, exactly.
    pub fn count_from(&mut self, id: StreamId, filters: &Filters, from: u64) -> Result<u64, StorageError> {
        if let Some(count) = self.count_near(id, filters, from)? {
            return Ok(count);
        }
        let Some(stream) = self.streams.get(&id) else {
            return Ok(0);
        };
        let rows = &self.cx.rows;
        let mut count = 0;
        stream.subjects.scan(rows, id, filters, |subject, row| {
            let prefix = subjects::blocks_of(rows, id, subject);
            count += subjects::count_postings(rows, &prefix, row, from)?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// The same where that takes no look at all subjects that match, nor at many messages. `None`: it does.
    pub fn count_near(
        &mut self,
        id: StreamId,
        filters: &Filters,
        from: u64,
    ) -> Result<Option<u64>, StorageError> {
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(Some(0));
        };
        let from = from.max(stream.first_seq);
        if from > stream.last_seq {
            return Ok(Some(0));
        }
        if filters.is_all() {
            return stream.count_from(&cx.rows, from).map(Some);
        }
        if let Some(subject) = filters.literal() {
            let Some(row) = stream.subjects.get(&cx.rows, id, subject)? else {
                return Ok(Some(0));
            };
            let prefix = subjects::blocks_of(&cx.rows, id, subject);
            return subjects::count_postings(&cx.rows, &prefix, &row, from).map(Some);
        }
        if stream.last_seq - from >= NEAR {
            return Ok(None);
        }
        let (mut count, mut seq) = (0, from);
        while let Some(live) = stream.next_live(&cx.rows, seq)? {
            let Some(position) = stream.runs.position(&cx.rows, id, live)? else {
                return Err(cx.lost(id, live));
            };
            let subject = stream.subject_at(cx, &position)?;
            count += u64::from(filters.matches(&subject));
            seq = live + 1;
        }
        Ok(Some(count))
    }

    /// Subjects that match, with how many messages each has, in order; `None`: more than `limit`.
    pub fn subjects(
        &mut self,
        id: StreamId,
        filters: &Filters,
        limit: usize,
    ) -> Result<Option<Vec<SubjectCount>>, StorageError> {
        let Some(stream) = self.streams.get(&id) else {
            return Ok(Some(Vec::new()));
        };
        let mut found = Vec::new();
        stream.subjects.scan(&self.cx.rows, id, filters, |subject, row| {
            found.push((subject.into(), row.count));
            Ok(match found.len() > limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        found.sort_unstable();
        Ok(Some(found).filter(|found| found.len() <= limit))
    }

    /// The last message of each subject that matches, in order. With `up_to`, as it was when that sequence was the last,
    /// of those messages that are still there; 0: now.
    pub fn last_per_subject(
        &mut self,
        id: StreamId,
        filters: &Filters,
        up_to: u64,
    ) -> Result<Vec<Position>, StorageError> {
        let last = self.last_of_few_subjects(id, filters, up_to, usize::MAX)?;
        Ok(last.unwrap_or_default())
    }

    /// The same; `None`: of more than `limit` subjects.
    pub fn last_of_few_subjects(
        &mut self,
        id: StreamId,
        filters: &Filters,
        up_to: u64,
        limit: usize,
    ) -> Result<Option<Vec<Position>>, StorageError> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(Some(Vec::new()));
        };
        let rows = &self.cx.rows;
        let up_to = if up_to == 0 { u64::MAX } else { up_to };
        let (mut last, mut earlier) = (Vec::new(), Vec::new());
        stream.subjects.scan(rows, id, filters, |subject, row| {
            if row.last.seq <= up_to {
                last.push(row.last);
            } else if row.first <= up_to {
                let prefix = subjects::blocks_of(rows, id, subject);
                earlier.extend(subjects::last_posting_to(rows, &prefix, row, up_to)?);
            }
            Ok(match last.len() + earlier.len() > limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        if last.len() + earlier.len() > limit {
            return Ok(None);
        }
        for seq in earlier {
            last.extend(stream.runs.position(rows, id, seq)?);
        }
        last.sort_unstable();
        Ok(Some(last))
    }

    /// The first message that came at or after a time; behind the last one, if there is none.
    pub fn seq_at_time(&mut self, id: StreamId, at_ns: u64) -> Result<u64, StorageError> {
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(1);
        };
        let (mut low, mut high) = (stream.first_seq, stream.last_seq + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match stream.runs.run_from(&cx.rows, id, middle)? {
                Some(run) if run.timestamp_ns < at_ns => low = run.last_seq() + 1,
                _ => high = middle,
            }
        }
        let end = stream.last_seq + 1;
        Ok(stream.next_live(&cx.rows, low)?.unwrap_or(end))
    }

    /// Time of the first message, nanoseconds since the Unix epoch; `None`: there is none.
    pub fn first_timestamp_ns(&mut self, id: StreamId) -> Result<Option<u64>, StorageError> {
        let Some(seq) = self.stream(id).map(|stream| stream.first_seq) else {
            return Ok(None);
        };
        Ok(self.position(id, seq)?.map(|position| position.timestamp_ns))
    }

    /// Sequences between the first and the last whose messages are gone, up to `limit`.
    pub fn deleted(&mut self, id: StreamId, limit: usize) -> Result<Vec<u64>, StorageError> {
        let mut deleted = Vec::new();
        let Some(stream) = self.streams.get(&id).filter(|stream| stream.num_deleted() > 0) else {
            return Ok(deleted);
        };
        let (first, last) = (stream.first_seq, stream.last_seq);
        stream.deleted.each(&self.cx.rows, id, first, last, |seq| {
            if deleted.len() >= limit {
                return ControlFlow::Break(());
            }
            deleted.push(seq);
            ControlFlow::Continue(())
        })?;
        Ok(deleted)
    }
}

impl StreamState {
    /// Positions of messages one after the other: run by run.
    fn next_positions(
        &mut self,
        cx: &Context,
        from: u64,
        limit: usize,
        into: &mut Vec<Position>,
    ) -> Result<(), StorageError> {
        let end = into.len() + limit;
        let mut seq = from;
        while into.len() < end {
            let Some(live) = self.next_live(&cx.rows, seq)? else {
                break;
            };
            let Some(run) = self.runs.run_from(&cx.rows, self.id, live)? else {
                return Err(cx.lost(self.id, live));
            };
            let is_whole = self.num_deleted() == 0;
            seq = live;
            while seq <= run.last_seq() && into.len() < end {
                if !is_whole && !self.is_live(&cx.rows, seq)? {
                    break;
                }
                into.push(Position::of(&run, seq));
                seq += 1;
            }
        }
        Ok(())
    }
}
