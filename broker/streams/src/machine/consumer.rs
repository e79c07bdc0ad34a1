//! A consumer as the machine holds it: what every replica knows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainstem_storage::Batch;

use crate::command::{ConsumerId, Pending, Progress, SeqPair, StreamId};
use crate::config::{AckPolicy, ConsumerConfig};
use crate::keys::consumer::{self, ConsumerRow};
use crate::matching::Filters;

/// A consumer: what it is, and how far it has come.
pub struct ConsumerState {
    pub id: ConsumerId,
    pub name: Arc<str>,
    pub config: Arc<ConsumerConfig>,
    pub filters: Filters,
    /// Nanoseconds since the Unix epoch.
    pub created_ns: u64,
    /// The last delivery that is known.
    pub delivered: SeqPair,
    /// Messages up to here may have been delivered.
    pub reserved: u64,
    /// All messages up to here are acknowledged.
    pub ack_floor: SeqPair,
    /// Delivered and not acknowledged, by stream sequence.
    pub pending: BTreeMap<u64, Pending>,
    /// Not to be delivered any more, and never acknowledged. Known only where the stream keeps messages until they are
    /// acknowledged.
    pub given_up: BTreeSet<u64>,
    pub(super) changed: bool,
}

/// About what a pending message costs at a checkpoint.
const PENDING_BYTES: usize = 16;

impl ConsumerState {
    pub(super) fn new(id: ConsumerId, config: ConsumerConfig, start_seq: u64, created_ns: u64) -> Self {
        let before = SeqPair {
            consumer: 0,
            stream: start_seq.saturating_sub(1),
        };
        let row = ConsumerRow {
            created_ns,
            delivered: before,
            ack_floor: before,
            reserved: before.stream,
            config,
            ..ConsumerRow::default()
        };
        Self {
            changed: true,
            ..Self::from_row(id, row)
        }
    }

    pub(super) fn from_row(id: ConsumerId, row: ConsumerRow) -> Self {
        let pending = row
            .pending
            .into_iter()
            .map(|pending| (pending.stream_seq, pending));
        Self {
            id,
            name: name_of(&row.config),
            filters: filters_of(&row.config),
            config: Arc::new(row.config),
            created_ns: row.created_ns,
            delivered: row.delivered,
            reserved: row.reserved,
            ack_floor: row.ack_floor,
            pending: pending.collect(),
            given_up: row.given_up.into_iter().collect(),
            changed: false,
        }
    }

    pub(super) fn save(&self, batch: &mut Batch, group: u32, stream: StreamId) {
        if !self.changed {
            return;
        }
        let row = ConsumerRow {
            created_ns: self.created_ns,
            delivered: self.delivered,
            ack_floor: self.ack_floor,
            reserved: self.reserved,
            pending: self.pending.values().copied().collect(),
            given_up: self.given_up.iter().copied().collect(),
            config: (*self.config).clone(),
        };
        batch.put(consumer::key(group, stream, self.id), row.encode());
    }

    /// About how many bytes it costs at a checkpoint.
    pub(super) fn row_bytes(&self) -> usize {
        256 + (self.pending.len() + self.given_up.len()) * PENDING_BYTES
    }

    pub(super) fn reconfigure(&mut self, config: ConsumerConfig) {
        self.filters = filters_of(&config);
        self.config = Arc::new(config);
        self.changed = true;
    }

    /// Takes in what the leader says. `keep_given_up`: messages that are given up are still wanted.
    pub(super) fn advance(&mut self, progress: &Progress, keep_given_up: bool) {
        self.changed = true;
        if progress.delivered.consumer >= self.delivered.consumer {
            self.delivered.consumer = progress.delivered.consumer;
            self.delivered.stream = self.delivered.stream.max(progress.delivered.stream);
        }
        self.reserved = progress.reserved.max(self.delivered.stream);
        for pending in &progress.pending {
            self.pending.insert(pending.stream_seq, *pending);
        }
        for (first, last) in &progress.done {
            take_range(&mut self.pending, *first, *last);
            self.given_up.retain(|seq| !(*first..=*last).contains(seq));
        }
        for seq in &progress.given_up {
            self.pending.remove(seq);
            if keep_given_up {
                self.given_up.insert(*seq);
            }
        }
        self.raise_floor();
    }

    /// Messages up to `seq` are gone, and some others: what the consumer had of them is no longer pending.
    pub(super) fn skip(&mut self, first_seq: u64, mut is_live: impl FnMut(u64) -> bool) {
        let before = self.pending.len();
        self.pending.retain(|seq, _| is_live(*seq));
        self.given_up.retain(|seq| is_live(*seq));
        if before != self.pending.len() || self.delivered.stream + 1 < first_seq {
            self.delivered.stream = self.delivered.stream.max(first_seq.saturating_sub(1));
            self.reserved = self.reserved.max(self.delivered.stream);
            self.changed = true;
            self.raise_floor();
        }
    }

    fn raise_floor(&mut self) {
        let floor = match self.pending.first_key_value() {
            Some((seq, pending)) => SeqPair {
                stream: seq - 1,
                consumer: pending.consumer_seq.saturating_sub(1),
            },
            None => self.delivered,
        };
        if floor.stream >= self.ack_floor.stream {
            self.ack_floor.stream = floor.stream;
            self.ack_floor.consumer = self.ack_floor.consumer.max(floor.consumer);
        }
    }

    /// It still waits for the message, or for its acknowledgement.
    pub(super) fn needs(&self, seq: u64, subject: &[u8]) -> bool {
        self.filters.matches(subject)
            && (seq > self.delivered.stream
                || (self.config.ack_policy == AckPolicy::All && seq > self.ack_floor.stream)
                || self.pending.contains_key(&seq)
                || self.given_up.contains(&seq))
    }
}

fn name_of(config: &ConsumerConfig) -> Arc<str> {
    match config.durable.is_empty() {
        true => Arc::from(&*config.name),
        false => Arc::from(&*config.durable),
    }
}

fn filters_of(config: &ConsumerConfig) -> Filters {
    Filters::new(config.filters())
}

fn take_range(pending: &mut BTreeMap<u64, Pending>, first: u64, last: u64) {
    if first == last {
        pending.remove(&first);
        return;
    }
    let seqs: Vec<u64> = pending
        .range(first..=last.max(first))
        .map(|(seq, _)| *seq)
        .collect();
    for seq in seqs {
        pending.remove(&seq);
    }
}
