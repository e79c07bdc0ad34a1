//! A stream as the machine holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::HashMap;
use mainstem_storage::{Batch, StorageError};

use super::consumer::ConsumerState;
use super::context::{Change, Context};
use super::deleted::Deleted;
use super::interest::Interest;
use super::msg_ids::MsgIds;
use super::rows::Rows;
use super::runs::Runs;
use super::subjects::Subjects;
use super::{MAX_SEQ, Position};
use crate::command::{ConsumerId, StreamId};
use crate::config::StreamConfig;
use crate::keys::stream::{self, StateRow, StreamRow};

/// A stream: what it is, and what it holds.
pub struct StreamState {
    pub id: StreamId,
    pub account: Arc<str>,
    pub config: Arc<StreamConfig>,
    /// Nanoseconds since the Unix epoch.
    pub created_ns: u64,
    pub msgs: u64,
    /// As nats-server counts them: with a few for each message.
    pub bytes: u64,
    /// Of the first message; without messages, the next sequence.
    pub first_seq: u64,
    pub last_seq: u64,
    /// When the last message came, whether it is there or not; 0: none came.
    pub last_ns: u64,
    pub num_subjects: u64,
    pub(super) consumers: BTreeMap<ConsumerId, ConsumerState>,
    consumer_names: HashMap<Arc<str>, ConsumerId>,
    /// What its consumers want.
    pub(super) interest: Interest,
    /// The subject of all messages, where that is known.
    pub(super) sole_subject: Option<Bytes>,
    pub(super) last_msg_id: Box<[u8]>,
    pub(super) runs: Runs,
    pub(super) subjects: Subjects,
    pub(super) deleted: Deleted,
    pub(super) msg_ids: MsgIds,
    /// What changed since somebody asked.
    pub(super) change: Change,
    /// The last expiry did not remove all that it should.
    pub expires_more: bool,
    /// Its configuration is not in the rows.
    pub(super) config_changed: bool,
    /// What it holds is not in the rows.
    pub(super) state_changed: bool,
}

impl StreamState {
    pub(super) fn new(id: StreamId, account: &str, config: StreamConfig, created_ns: u64) -> Self {
        let first_seq = config.first_seq.clamp(1, MAX_SEQ);
        let state = StateRow {
            first_seq,
            last_seq: first_seq - 1,
            ..StateRow::default()
        };
        let row = StreamRow {
            account: account.into(),
            created_ns,
            config,
        };
        Self {
            config_changed: true,
            state_changed: true,
            ..Self::from_rows(id, row, state)
        }
    }

    pub(super) fn from_rows(id: StreamId, row: StreamRow, state: StateRow) -> Self {
        Self {
            id,
            account: row.account.into(),
            config: Arc::new(row.config),
            created_ns: row.created_ns,
            msgs: state.msgs,
            bytes: state.bytes,
            first_seq: state.first_seq,
            last_seq: state.last_seq,
            last_ns: state.last_ns,
            num_subjects: state.num_subjects,
            consumers: BTreeMap::new(),
            consumer_names: HashMap::default(),
            interest: Interest::default(),
            sole_subject: state.sole_subject,
            last_msg_id: state.last_msg_id,
            runs: Runs::new(state.tail),
            subjects: Subjects::default(),
            deleted: Deleted::default(),
            msg_ids: MsgIds {
                buckets: state.msg_ids,
            },
            change: Change::default(),
            expires_more: false,
            config_changed: false,
            state_changed: false,
        }
    }

    /// Puts what changed into the batch. It counts as changed until it is [written](StreamState::written).
    pub(super) fn save(&self, batch: &mut Batch, group: u32) {
        if self.config_changed {
            let row = StreamRow {
                account: (*self.account).into(),
                created_ns: self.created_ns,
                config: (*self.config).clone(),
            };
            batch.put(stream::key(group, self.id), row.encode());
        }
        if self.state_changed {
            self.subjects.save(batch, group, self.id);
            self.deleted.save(batch, group, self.id);
            let row = StateRow {
                msgs: self.msgs,
                bytes: self.bytes,
                first_seq: self.first_seq,
                last_seq: self.last_seq,
                last_ns: self.last_ns,
                num_subjects: self.num_subjects,
                sole_subject: self.sole_subject.clone(),
                last_msg_id: self.last_msg_id.clone(),
                msg_ids: self.msg_ids.buckets.clone(),
                tail: self.runs.tail.clone(),
            };
            batch.put(stream::state_key(group, self.id), row.encode());
        }
        for consumer in self.consumers.values() {
            consumer.save(batch, group, self.id);
        }
    }

    /// The store has what was put into the last batch.
    pub(super) fn written(&mut self) {
        if self.state_changed {
            self.subjects.written();
            self.deleted.written();
        }
        for consumer in self.consumers.values_mut() {
            consumer.changed = false;
        }
        self.config_changed = false;
        self.state_changed = false;
    }

    /// Notes a change, for those who ask for them.
    pub(super) fn note_change(&mut self, cx: &mut Context, note: impl FnOnce(&mut Change)) {
        if self.change == Change::default() {
            cx.changed.push(self.id);
        }
        note(&mut self.change);
    }

    /// Sequences between the first and the last whose messages are gone.
    pub fn num_deleted(&self) -> u64 {
        self.span() - self.msgs
    }

    /// Sequences from the first to the last.
    fn span(&self) -> u64 {
        (self.last_seq + 1).saturating_sub(self.first_seq)
    }

    /// In the order of their ids.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &ConsumerState> + DoubleEndedIterator {
        self.consumers.values()
    }

    pub fn consumer(&self, id: ConsumerId) -> Option<&ConsumerState> {
        self.consumers.get(&id)
    }

    pub fn consumer_named(&self, name: &str) -> Option<&ConsumerState> {
        self.consumer(*self.consumer_names.get(name)?)
    }

    pub(super) fn add_consumer(&mut self, consumer: ConsumerState) {
        self.consumer_names
            .insert(Arc::clone(&consumer.name), consumer.id);
        self.interest.add(consumer.id, &consumer.filters);
        self.consumers.insert(consumer.id, consumer);
    }

    pub(super) fn take_consumer(&mut self, id: ConsumerId) -> Option<ConsumerState> {
        let consumer = self.consumers.remove(&id)?;
        self.consumer_names.remove(&consumer.name);
        self.interest.remove(id, &consumer.filters);
        Some(consumer)
    }

    /// The first message at or after `seq`; `None`: there is none.
    pub(super) fn next_live(&self, rows: &Rows, seq: u64) -> Result<Option<u64>, StorageError> {
        let mut seq = seq.max(self.first_seq);
        if seq <= self.last_seq && self.msgs < self.span() {
            seq = self.deleted.next_live(rows, self.id, seq)?;
        }
        Ok((seq <= self.last_seq && self.msgs > 0).then_some(seq))
    }

    pub(super) fn is_live(&self, rows: &Rows, seq: u64) -> Result<bool, StorageError> {
        Ok(self.next_live(rows, seq)? == Some(seq))
    }

    /// Where a message is; `None`: there is none with that sequence.
    pub(super) fn position(&mut self, rows: &Rows, seq: u64) -> Result<Option<Position>, StorageError> {
        match self.is_live(rows, seq)? {
            true => self.runs.position(rows, self.id, seq),
            false => Ok(None),
        }
    }

    /// Messages at or after `seq`, exactly.
    pub(super) fn count_from(&self, rows: &Rows, seq: u64) -> Result<u64, StorageError> {
        if seq <= self.first_seq {
            return Ok(self.msgs);
        }
        if seq > self.last_seq {
            return Ok(0);
        }
        let removed = match self.msgs < self.span() {
            true => self.deleted.count(rows, self.id, seq, self.last_seq)?,
            false => 0,
        };
        Ok(self.last_seq - seq + 1 - removed)
    }
}
