//! Storing messages.

use bytes::Bytes;
use mainstem_record::Record;
use mainstem_storage::StorageError;

use super::context::Context;
use super::remove::limit;
use super::stream::StreamState;
use super::{MAX_SEQ, Position};
use crate::command::{Conditions, Outcome, Publish, Rollup};
use crate::config::{Discard, Retention, Storage};
use crate::error::{Error, StoreRefusal};
use crate::keys::msg_id::Seen;
use crate::keys::run::Run;
use crate::matching::{Filters, is_literal};

/// Largest block of headers, in bytes.
const MAX_HEADER_BYTES: usize = u16::MAX as usize;

/// About what a new run costs at a checkpoint.
const RUN_BYTES: usize = 12;
/// The same for a stream's state.
const STATE_BYTES: usize = 128;

/// Where a message stands in the log, and since when.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) ordinal: u32,
    pub(super) timestamp_ns: u64,
}

/// What is to be known of a record.
struct Message<'a> {
    subject: &'a [u8],
    headers_len: usize,
    body_len: usize,
    /// Sequences that it takes.
    count: u32,
    whole: bool,
}

impl<'a> Message<'a> {
    fn of(record: &Record<'a>) -> Option<Self> {
        match record {
            Record::Native(native) => Some(Self {
                subject: native.subject,
                headers_len: native.headers.len(),
                body_len: native.payload.len(),
                count: 1,
                whole: false,
            }),
            Record::Batch(batch) => Some(Self {
                subject: batch.subject,
                headers_len: 0,
                body_len: batch.data.len(),
                count: batch.messages.max(1),
                whole: true,
            }),
            Record::Reference(_) => None,
        }
    }

    /// What is accounted for it, in all: as nats-server counts.
    fn size(&self, storage: Storage) -> u64 {
        let bytes = (self.subject.len() + self.headers_len + self.body_len) as u64;
        match storage {
            Storage::Memory => bytes + 16,
            Storage::File if self.headers_len == 0 => bytes + 30,
            Storage::File => bytes + 34,
        }
    }
}

impl StreamState {
    /// Stores a message, if all conditions hold.
    pub(super) fn publish(
        &mut self,
        cx: &mut Context,
        place: Place,
        publish: &Publish<'_>,
    ) -> Result<Outcome, StorageError> {
        let Some(message) = Message::of(&publish.record) else {
            return Ok(Outcome::Refused(Error::BadRequest));
        };
        let conditions = &publish.conditions;
        if self.config.sealed {
            return Ok(Outcome::Refused(Error::StreamSealed));
        }
        if !conditions.is_none()
            && let Some(outcome) = self.check(cx, place, &message, conditions)?
        {
            return Ok(outcome);
        }
        if let Some(error) = self.check_size(&message) {
            return Ok(Outcome::Refused(error));
        }
        if self.last_seq > MAX_SEQ - u64::from(message.count) {
            return Ok(Outcome::Refused(Error::StoreFailed(StoreRefusal::MaxMsgs)));
        }
        let is_wanted =
            self.config.retention != Retention::Interest || self.interest.is_any(message.subject, |_| true);
        if !is_wanted {
            return self.pass_over(cx, place, &message, conditions);
        }
        if self.config.discard == Discard::New
            && let Some(refusal) = self.check_room(cx, &message, conditions)?
        {
            return Ok(Outcome::Refused(Error::StoreFailed(refusal)));
        }
        let seq = self.store(cx, place, &message)?;
        self.note_id(cx, place, conditions, seq);
        self.roll_up(cx, conditions, message.subject, u64::from(message.count))?;
        Ok(Outcome::Stored { seq })
    }

    /// What a publish asks for, in the order that nats-server checks it.
    fn check(
        &mut self,
        cx: &mut Context,
        place: Place,
        message: &Message<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<Option<Outcome>, StorageError> {
        let refused = |error| Ok(Some(Outcome::Refused(error)));
        if conditions
            .expected_stream
            .is_some_and(|name| name != self.config.name.as_bytes())
        {
            return refused(Error::StreamMismatch);
        }
        match conditions.expected_last_subject_seq {
            Some(expected) => {
                let subject = conditions.expected_subject.unwrap_or(message.subject);
                let last = self.last_of(cx, subject)?;
                if last != expected {
                    return refused(Error::WrongLastSequence { last });
                }
            }
            None if conditions.expected_subject.is_some() => {
                return refused(Error::ExpectedSubjectSeqMissing);
            }
            None => {}
        }
        if conditions
            .expected_last_seq
            .is_some_and(|seq| seq != self.last_seq)
        {
            return refused(Error::WrongLastSequence { last: self.last_seq });
        }
        if !conditions.msg_id.is_empty() {
            let window_ns = self.window_ns();
            let seen = self.msg_ids.get(
                &cx.rows,
                self.id,
                conditions.msg_id,
                window_ns,
                place.timestamp_ns,
            )?;
            if let Some(seq) = seen {
                return Ok(Some(Outcome::Duplicate { seq }));
            }
        }
        if conditions
            .expected_last_msg_id
            .is_some_and(|id| !id.is_empty() && *id != *self.last_msg_id)
        {
            return refused(Error::WrongLastMsgId {
                last: String::from_utf8_lossy(&self.last_msg_id).into(),
            });
        }
        let may_roll_up = self.config.allow_rollup && !self.config.deny_purge;
        if conditions.rollup != Rollup::None && !may_roll_up {
            return refused(Error::RollupFailed("rollup not permitted".into()));
        }
        Ok(None)
    }

    /// The last sequence of a subject, or of all that match a filter; 0: none.
    fn last_of(&mut self, cx: &mut Context, subject: &[u8]) -> Result<u64, StorageError> {
        if is_literal(subject) {
            let summary = self.subjects.summary(&cx.rows, self.id, subject)?;
            return Ok(summary.map_or(0, |(_, _, last)| last.seq));
        }
        let last = self.last_match(cx, &Filters::new([subject]))?;
        Ok(last.map_or(0, |last| last.seq))
    }

    fn window_ns(&self) -> u64 {
        self.config.duplicate_window_ns.try_into().unwrap_or(0)
    }

    fn check_size(&self, message: &Message<'_>) -> Option<Error> {
        let max = limit(self.config.max_msg_size.into());
        if (message.headers_len + message.body_len) as u64 > max {
            return Some(Error::MessageTooLarge);
        }
        (message.headers_len > MAX_HEADER_BYTES).then_some(Error::HeaderTooLarge)
    }

    /// Whether a message fits where limits refuse new ones.
    fn check_room(
        &mut self,
        cx: &mut Context,
        message: &Message<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<Option<StoreRefusal>, StorageError> {
        let max_of_subject = limit(self.config.max_msgs_per_subject);
        let summary = match max_of_subject {
            u64::MAX => None,
            _ => self.subjects.summary(&cx.rows, self.id, message.subject)?,
        };
        // A subject at its limit gives its oldest message for the new one.
        let replaced = summary.filter(|(count, ..)| *count >= max_of_subject);
        if replaced.is_some() && self.config.discard_new_per_subject && conditions.rollup == Rollup::None {
            return Ok(Some(StoreRefusal::MaxMsgsPerSubject));
        }
        if self.msgs >= limit(self.config.max_msgs) && replaced.is_none() {
            return Ok(Some(StoreRefusal::MaxMsgs));
        }
        let size = message.size(self.config.storage);
        if self.bytes + size > limit(self.config.max_bytes) {
            let freed = match replaced {
                Some((_, first, last)) if first == last.seq => u64::from(last.size),
                Some((_, first, _)) => self
                    .position(&cx.rows, first)?
                    .map_or(0, |position| position.size.into()),
                None => 0,
            };
            if freed < size {
                return Ok(Some(StoreRefusal::MaxBytes));
            }
        }
        Ok(None)
    }

    /// Appends. Returns its last sequence.
    fn store(&mut self, cx: &mut Context, place: Place, message: &Message<'_>) -> Result<u64, StorageError> {
        let was_within = self.is_within_limits();
        let count = u64::from(message.count);
        let size = u32::try_from(message.size(self.config.storage) / count).unwrap_or(u32::MAX);
        let first = self.last_seq + 1;
        let seq = self.last_seq + count;
        let position = Position {
            seq,
            index: place.index,
            ordinal: place.ordinal,
            part: message.count - 1,
            size,
            timestamp_ns: place.timestamp_ns,
        };
        let pushed = self
            .subjects
            .push(&mut cx.rows, self.id, message.subject, position, count - 1)?;
        self.num_subjects += u64::from(pushed.is_new);
        if pushed.is_new {
            let is_sole = self.num_subjects == 1;
            self.sole_subject = is_sole.then(|| Bytes::copy_from_slice(message.subject));
        }
        self.push_run(
            cx,
            Run {
                first_seq: first,
                len: message.count,
                index: place.index,
                ordinal: place.ordinal,
                whole: message.whole,
                size,
                timestamp_ns: place.timestamp_ns,
            },
        )?;
        cx.changed_bytes +=
            pushed.changed_bytes + RUN_BYTES + if self.state_changed { 0 } else { STATE_BYTES };
        cx.live.add(place.index, u64::from(size) * count);
        self.note_change(cx, |change| change.stored = true);
        self.state_changed = true;
        self.msgs += count;
        self.bytes += u64::from(size) * count;
        self.last_seq = seq;
        self.last_ns = place.timestamp_ns;
        if pushed.count > limit(self.config.max_msgs_per_subject) {
            // Mostly it is the only message before that has to go, and where it is needs no look.
            let mut count = pushed.count;
            if let Some(replaced) = pushed.replaced {
                self.remove_known(cx, &replaced, message.subject)?;
                count -= 1;
            }
            if count > limit(self.config.max_msgs_per_subject) {
                self.enforce_subject_limit(cx, message.subject)?;
            }
        }
        // What it takes for this message goes at once. What was too much before goes by steps.
        while !self.enforce_limits(cx)?.is_all && was_within {}
        Ok(seq)
    }

    fn push_run(&mut self, cx: &mut Context, run: Run) -> Result<(), StorageError> {
        if self.runs.is_tail_full() && self.num_deleted() > 0 {
            for run in &self.runs.tail {
                let first = run.first_seq.max(self.first_seq);
                self.deleted
                    .hold_range(&cx.rows, self.id, first, run.last_seq())?;
            }
            let (deleted, id, first_seq) = (&self.deleted, self.id, self.first_seq);
            self.runs.retain_tail(|run| {
                let first = run.first_seq.max(first_seq);
                let removed = deleted.count(&cx.rows, id, first, run.last_seq())?;
                Ok(removed < (run.last_seq() + 1).saturating_sub(first))
            })?;
        }
        self.runs.push(&mut cx.rows, self.id, run);
        Ok(())
    }

    /// Nobody wants the message: only its sequence is used.
    fn pass_over(
        &mut self,
        cx: &mut Context,
        place: Place,
        message: &Message<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<Outcome, StorageError> {
        for _ in 0..message.count {
            self.last_seq += 1;
            if self.msgs == 0 {
                self.first_seq = self.last_seq + 1;
            } else {
                self.remove_inside(cx, self.last_seq)?;
            }
        }
        self.last_ns = place.timestamp_ns;
        cx.changed_bytes += if self.state_changed { 0 } else { STATE_BYTES };
        self.state_changed = true;
        let seq = self.last_seq;
        self.note_id(cx, place, conditions, seq);
        self.roll_up(cx, conditions, message.subject, 0)?;
        Ok(Outcome::Stored { seq })
    }

    fn note_id(&mut self, cx: &mut Context, place: Place, conditions: &Conditions<'_>, seq: u64) {
        // Mostly both are empty. They are not compared then: `memcmp` of nothing at a dangling pointer is a fault that the
        // processor suppresses, which takes 150 ns.
        if conditions.msg_id.is_empty() {
            if !self.last_msg_id.is_empty() {
                self.last_msg_id = Box::default();
            }
            return;
        }
        self.last_msg_id = conditions.msg_id.into();
        let window_ns = self.window_ns();
        if window_ns == 0 {
            return;
        }
        let seen = Seen {
            seq,
            timestamp_ns: place.timestamp_ns,
        };
        self.msg_ids
            .insert(&mut cx.rows, self.id, conditions.msg_id, seen, window_ns);
    }

    fn roll_up(
        &mut self,
        cx: &mut Context,
        conditions: &Conditions<'_>,
        subject: &[u8],
        keep: u64,
    ) -> Result<(), StorageError> {
        let filters = match conditions.rollup {
            Rollup::None => return Ok(()),
            Rollup::Subject => Filters::new([subject]),
            Rollup::All => Filters::all(),
        };
        // It takes effect with the message, however much that is.
        while !self.purge(cx, &filters, 0, keep)?.is_all {}
        self.skip_removed(cx)
    }
}
