//! Making a state consistent again that lost rows. For `mainstem doctor`: nobody uses the group.

use mainstem_storage::{Batch, StateStore, StorageError};

use super::GroupMachine;
use super::context::Context;
use super::live::Live;
use super::stream::StreamState;
use super::view::View;
use crate::command::StreamId;
use crate::keys::{Kind, of_kind};

/// Messages between two looks at how much is to be written.
const STEP: usize = 10_000;

impl GroupMachine {
    /// Works out anew which messages the streams `hurt` have and under which subjects, from their runs and from the log,
    /// and how much of the log is needed. Returns how many messages each of them lost.
    pub(crate) fn mend(
        &self,
        state: &dyn StateStore,
        hurt: &[StreamId],
    ) -> Result<Vec<(StreamId, u64)>, StorageError> {
        self.with(|view| view.mend(state, hurt))
    }
}

impl View {
    fn mend(
        &mut self,
        state: &dyn StateStore,
        hurt: &[StreamId],
    ) -> Result<Vec<(StreamId, u64)>, StorageError> {
        let buckets = of_kind(self.cx.rows.group(), Kind::Bucket);
        self.cx.rows.delete_prefix(&buckets);
        self.cx.live = Live::default();
        let mut ids: Vec<StreamId> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        let mut lost = Vec::new();
        for id in ids {
            if hurt.contains(&id) {
                lost.push((id, self.mend_stream(state, id)?));
            } else if let Some((stream, cx)) = self.parts(id) {
                stream.each_run(cx, |live, run, bytes| live.add(run.index, bytes))?;
            }
            self.write(state)?;
        }
        Ok(lost)
    }

    fn mend_stream(&mut self, state: &dyn StateStore, id: StreamId) -> Result<u64, StorageError> {
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(0);
        };
        let (had, first) = (stream.msgs, stream.first_seq);
        stream.forget_messages(cx);
        let mut next = first;
        while let Some((stream, cx)) = self.parts(id).filter(|(stream, _)| next <= stream.last_seq) {
            next = stream.take_back(cx, next)?;
            self.write(state)?;
        }
        let Some((stream, cx)) = self.parts(id) else {
            return Ok(0);
        };
        stream.begin_with_first(cx, first)?;
        stream.enforce_subject_limits(cx)?;
        while !stream.enforce_limits(cx)?.is_all {}
        stream.skip_removed(cx)?;
        Ok(had.saturating_sub(stream.msgs))
    }

    fn write(&mut self, state: &dyn StateStore) -> Result<(), StorageError> {
        let mut batch = Batch::default();
        self.checkpoint(&mut batch)?;
        state.write(batch)?;
        self.written();
        Ok(())
    }
}

impl StreamState {
    fn forget_messages(&mut self, cx: &mut Context) {
        self.subjects.clear(&mut cx.rows, self.id);
        (self.msgs, self.bytes, self.num_subjects) = (0, 0, 0);
        self.sole_subject = None;
        self.state_changed = true;
    }

    /// Takes in the messages from `seq` on that are there, some at a time. Returns where to go on.
    fn take_back(&mut self, cx: &mut Context, mut seq: u64) -> Result<u64, StorageError> {
        for _ in 0..STEP {
            seq = self.deleted.next_live(&cx.rows, self.id, seq)?;
            if seq > self.last_seq {
                break;
            }
            let Some(position) = self.runs.position(&cx.rows, self.id, seq)? else {
                let run = self.runs.run_from(&cx.rows, self.id, seq)?;
                let end = run.map_or(self.last_seq + 1, |run| run.first_seq);
                self.give_up(cx, seq, end)?;
                seq = end;
                continue;
            };
            match cx.subject_at(&position) {
                Ok(subject) => {
                    let pushed = self.subjects.push(&mut cx.rows, self.id, &subject, position, 0)?;
                    self.num_subjects += u64::from(pushed.is_new);
                    if self.msgs == 0 {
                        self.first_seq = seq;
                    }
                    self.msgs += 1;
                    self.bytes += u64::from(position.size);
                    cx.live.add(position.index, u64::from(position.size));
                    cx.changed_bytes += pushed.changed_bytes;
                }
                Err(StorageError::Missing { .. } | StorageError::Damaged { .. }) => {
                    self.give_up(cx, seq, seq + 1)?;
                }
                Err(error) => return Err(error),
            }
            seq += 1;
        }
        self.state_changed = true;
        Ok(seq)
    }

    /// Messages from `from` to before `to` are gone. Those before the first one that is left need no mark.
    fn give_up(&mut self, cx: &mut Context, from: u64, to: u64) -> Result<(), StorageError> {
        if self.msgs == 0 {
            return Ok(());
        }
        for seq in from..to {
            cx.changed_bytes += self.deleted.set(&cx.rows, self.id, seq)?.changed_bytes;
        }
        Ok(())
    }

    /// Drops what is before the first message that is left; it was `before`.
    fn begin_with_first(&mut self, cx: &mut Context, before: u64) -> Result<(), StorageError> {
        if self.msgs == 0 {
            self.begin_after(cx, self.last_seq);
            return Ok(());
        }
        let first = self.first_seq;
        self.deleted.trim(&mut cx.rows, self.id, before, first)?;
        self.runs.trim(&mut cx.rows, self.id, before, first)
    }
}
