//! The same state, kept naively: every message in a map.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Command, ConsumerId, Outcome, Pending, Rollup, SeqPair, StreamId};
use crate::config::{AckPolicy, Discard, Retention, StreamConfig};
use crate::error::{Error, StoreRefusal};
use crate::matching::Filters;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
    pub(super) at_ns: u64,
    /// What is accounted for it.
    size: u64,
}

/// What a publish asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) subject: String,
    pub(super) payload: Vec<u8>,
    pub(super) msg_id: String,
    pub(super) expected_last: Option<u64>,
    pub(super) expected_subject: Option<u64>,
    pub(super) rollup: Rollup,
    /// Messages of a record that covers several; 0: a record of one.
    pub(super) batch: u32,
}

impl Wish {
    fn size(&self) -> u64 {
        (self.subject.len() + self.payload.len() + 30) as u64
    }

    fn count(&self) -> u64 {
        u64::from(self.batch.max(1))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Consumer {
    pub(super) filters: Filters,
    pub(super) ack: AckPolicy,
    pub(super) delivered: SeqPair,
    pub(super) floor: u64,
    pub(super) pending: BTreeMap<u64, Pending>,
    pub(super) given_up: BTreeSet<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) config: StreamConfig,
    pub(super) messages: BTreeMap<u64, Stored>,
    pub(super) first: u64,
    pub(super) last: u64,
    ids: BTreeMap<String, (u64, u64)>,
    pub(super) consumers: BTreeMap<ConsumerId, Consumer>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) streams: BTreeMap<StreamId, Stream>,
}

impl Consumer {
    fn needs(&self, seq: u64, subject: &str) -> bool {
        self.filters.matches(subject.as_bytes())
            && (seq > self.delivered.stream
                || self.pending.contains_key(&seq)
                || self.given_up.contains(&seq)
                || (self.ack == AckPolicy::All && seq > self.floor))
    }

    fn raise_floor(&mut self) {
        let floor = self
            .pending
            .keys()
            .next()
            .map_or(self.delivered.stream, |seq| seq - 1);
        self.floor = self.floor.max(floor);
    }
}

impl Stream {
    pub(super) fn bytes(&self) -> u64 {
        self.messages.values().map(|message| message.size).sum()
    }

    pub(super) fn of_subject(&self, subject: &str) -> Vec<u64> {
        let same = self
            .messages
            .iter()
            .filter(|(_, message)| message.subject == subject);
        same.map(|(seq, _)| *seq).collect()
    }

    pub(super) fn matching(&self, filters: &Filters) -> Vec<u64> {
        let matching = self
            .messages
            .iter()
            .filter(|(_, message)| filters.matches(message.subject.as_bytes()));
        matching.map(|(seq, _)| *seq).collect()
    }

    fn settle(&mut self) {
        self.first = self.messages.keys().next().copied().unwrap_or(self.last + 1);
    }

    fn publish(&mut self, wish: &Wish, now_ns: u64) -> Outcome {
        let refused = Outcome::Refused;
        let config = self.config.clone();
        if config.sealed {
            return refused(Error::StreamSealed);
        }
        if let Some(expected) = wish.expected_subject {
            let last = self.of_subject(&wish.subject).last().copied().unwrap_or(0);
            if last != expected {
                return refused(Error::WrongLastSequence { last });
            }
        }
        if wish.expected_last.is_some_and(|seq| seq != self.last) {
            return refused(Error::WrongLastSequence { last: self.last });
        }
        if let Some((seq, at_ns)) = self.ids.get(&wish.msg_id)
            && now_ns - at_ns < config.duplicate_window_ns as u64
        {
            return Outcome::Duplicate { seq: *seq };
        }
        if wish.rollup != Rollup::None && !config.allow_rollup {
            return refused(Error::RollupFailed("rollup not permitted".into()));
        }
        let message = Stored {
            subject: wish.subject.clone(),
            payload: wish.payload.clone(),
            at_ns: now_ns,
            size: wish.size() / wish.count(),
        };
        let is_wanted = config.retention != Retention::Interest
            || self
                .consumers
                .values()
                .any(|consumer| consumer.filters.matches(wish.subject.as_bytes()));
        if !is_wanted {
            self.last += wish.count();
            self.note(wish, now_ns);
            self.settle();
            self.roll_up(wish, 0);
            return Outcome::Stored { seq: self.last };
        }
        if config.discard == Discard::New
            && let Some(refusal) = self.refusal(wish)
        {
            return refused(Error::StoreFailed(refusal));
        }
        for _ in 0..wish.count() {
            self.last += 1;
            self.messages.insert(self.last, message.clone());
        }
        self.enforce_subject(&wish.subject);
        self.enforce();
        self.settle();
        self.note(wish, now_ns);
        self.roll_up(wish, wish.count());
        Outcome::Stored { seq: self.last }
    }

    fn refusal(&self, wish: &Wish) -> Option<StoreRefusal> {
        let config = &self.config;
        let over = |value: u64, limit: i64| limit > 0 && value > limit as u64;
        let same = self.of_subject(&wish.subject);
        let replaced = over(same.len() as u64 + 1, config.max_msgs_per_subject).then(|| same[0]);
        if replaced.is_some() && config.discard_new_per_subject && wish.rollup == Rollup::None {
            return Some(StoreRefusal::MaxMsgsPerSubject);
        }
        if over(self.messages.len() as u64 + 1, config.max_msgs) && replaced.is_none() {
            return Some(StoreRefusal::MaxMsgs);
        }
        let freed = replaced.map_or(0, |seq| self.messages[&seq].size);
        let is_over = over(self.bytes() + wish.size(), config.max_bytes);
        (is_over && freed < wish.size()).then_some(StoreRefusal::MaxBytes)
    }

    fn note(&mut self, wish: &Wish, now_ns: u64) {
        if !wish.msg_id.is_empty() {
            self.ids.insert(wish.msg_id.clone(), (self.last, now_ns));
        }
    }

    fn roll_up(&mut self, wish: &Wish, keep: u64) {
        let filters = match wish.rollup {
            Rollup::None => return,
            Rollup::Subject => Filters::new([&wish.subject]),
            Rollup::All => Filters::all(),
        };
        self.purge(&filters, 0, keep);
    }

    fn enforce_subject(&mut self, subject: &str) {
        let max = self.config.max_msgs_per_subject;
        let same = self.of_subject(subject);
        if max > 0 {
            for seq in same.iter().take(same.len().saturating_sub(max as usize)) {
                self.messages.remove(seq);
            }
        }
    }

    fn enforce(&mut self) {
        if self.config.discard != Discard::Old {
            return;
        }
        let (max_msgs, max_bytes) = (self.config.max_msgs, self.config.max_bytes);
        while (max_msgs > 0 && self.messages.len() as i64 > max_msgs)
            || (max_bytes > 0 && self.bytes() as i64 > max_bytes)
        {
            self.messages.pop_first();
        }
    }

    fn purge(&mut self, filters: &Filters, below: u64, keep: u64) -> u64 {
        if below == 1 {
            return 0;
        }
        let before = self.messages.len();
        if filters.is_all() && below > self.last {
            self.messages.clear();
            self.last = below - 1;
        } else {
            let end = if below == 0 { u64::MAX } else { below };
            let matching = self.matching(filters);
            let keep = if filters.is_all() && below > 0 { 0 } else { keep };
            let most = matching.len().saturating_sub(keep as usize);
            for seq in matching.into_iter().filter(|seq| *seq < end).take(most) {
                self.messages.remove(&seq);
            }
        }
        self.settle();
        for consumer in self.consumers.values_mut() {
            let pending = consumer.pending.len();
            consumer.pending.retain(|seq, _| self.messages.contains_key(seq));
            consumer.given_up.retain(|seq| self.messages.contains_key(seq));
            if pending != consumer.pending.len() || consumer.delivered.stream + 1 < self.first {
                consumer.delivered.stream = consumer.delivered.stream.max(self.first - 1);
                consumer.raise_floor();
            }
        }
        (before - self.messages.len()) as u64
    }

    fn remove_unwanted(&mut self) {
        if self.config.retention == Retention::Interest {
            let consumers = &self.consumers;
            self.messages.retain(|seq, message| {
                consumers
                    .values()
                    .any(|consumer| consumer.needs(*seq, &message.subject))
            });
            self.settle();
        }
    }

    fn advance(&mut self, progress: &crate::command::Progress) -> u64 {
        let before = self.messages.len();
        let retention = self.config.retention;
        let Some(consumer) = self.consumers.get_mut(&progress.consumer) else {
            return 0;
        };
        let start = consumer.delivered.stream;
        if progress.delivered.consumer >= consumer.delivered.consumer {
            consumer.delivered.consumer = progress.delivered.consumer;
            consumer.delivered.stream = start.max(progress.delivered.stream);
        }
        for pending in &progress.pending {
            consumer.pending.insert(pending.stream_seq, *pending);
        }
        let is_done = |seq: u64| {
            progress
                .done
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&seq))
        };
        consumer.pending.retain(|seq, _| !is_done(*seq));
        consumer.given_up.retain(|seq| !is_done(*seq));
        for seq in &progress.given_up {
            consumer.pending.remove(seq);
            if retention == Retention::Interest {
                consumer.given_up.insert(*seq);
            }
        }
        consumer.raise_floor();
        let (consumer, end) = (consumer.clone(), consumer.delivered.stream);
        let consumers = &self.consumers;
        let unacked = consumer.ack == AckPolicy::None;
        self.messages.retain(|seq, message| {
            let is_done = is_done(*seq) || (unacked && *seq > start && *seq <= end);
            !is_done
                || match retention {
                    Retention::Limits => true,
                    Retention::WorkQueue => !consumer.filters.matches(message.subject.as_bytes()),
                    Retention::Interest => consumers
                        .values()
                        .any(|other| other.needs(*seq, &message.subject)),
                }
        });
        self.settle();
        (before - self.messages.len()) as u64
    }
}

impl Model {
    pub(super) fn publish(&mut self, stream: StreamId, wish: &Wish, now_ns: u64) -> Outcome {
        match self.streams.get_mut(&stream) {
            Some(stream) => stream.publish(wish, now_ns),
            None => Outcome::Refused(Error::StreamNotFound),
        }
    }

    /// Applies what needs no look at the outcome.
    pub(super) fn apply(&mut self, command: &Command) -> Option<u64> {
        match command {
            Command::CreateStream { stream, config, .. } => {
                let first = config.first_seq.max(1);
                let created = Stream {
                    config: config.clone(),
                    messages: BTreeMap::new(),
                    first,
                    last: first - 1,
                    ids: BTreeMap::new(),
                    consumers: BTreeMap::new(),
                };
                self.streams.entry(*stream).or_insert(created);
                Some(0)
            }
            Command::DeleteStream { stream } => {
                let gone = self.streams.remove(stream)?;
                Some(gone.messages.len() as u64)
            }
            Command::UpdateStream { stream, config } => {
                let stream = self.streams.get_mut(stream)?;
                let before = stream.messages.len();
                stream.config = config.clone();
                stream.enforce();
                for subject in stream
                    .messages
                    .values()
                    .map(|m| m.subject.clone())
                    .collect::<BTreeSet<_>>()
                {
                    stream.enforce_subject(&subject);
                }
                stream.settle();
                Some((before - stream.messages.len()) as u64)
            }
            Command::Purge {
                stream,
                filter,
                below_seq,
                keep,
            } => {
                let filters = if filter.is_empty() {
                    Filters::all()
                } else {
                    Filters::new([&**filter])
                };
                Some(self.streams.get_mut(stream)?.purge(&filters, *below_seq, *keep))
            }
            Command::DeleteMessage { stream, seq } => {
                let stream = self.streams.get_mut(stream)?;
                stream.messages.remove(seq)?;
                stream.settle();
                Some(1)
            }
            Command::Expire { stream, before_ns } => {
                let stream = self.streams.get_mut(stream)?;
                let before = stream.messages.len();
                stream.messages.retain(|_, message| message.at_ns >= *before_ns);
                stream.settle();
                Some((before - stream.messages.len()) as u64)
            }
            Command::CreateConsumer {
                stream,
                consumer,
                start_seq,
                config,
            } => {
                let stream = self.streams.get_mut(stream)?;
                let created = Consumer {
                    filters: Filters::new(config.filters()),
                    ack: config.ack_policy,
                    delivered: SeqPair {
                        consumer: 0,
                        stream: start_seq.saturating_sub(1),
                    },
                    floor: start_seq.saturating_sub(1),
                    ..Consumer::default()
                };
                stream.consumers.insert(*consumer, created);
                Some(0)
            }
            Command::DeleteConsumer { stream, consumer } => {
                let stream = self.streams.get_mut(stream)?;
                let before = stream.messages.len();
                stream.consumers.remove(consumer)?;
                stream.remove_unwanted();
                Some((before - stream.messages.len()) as u64)
            }
            Command::Progress(progress) => {
                let stream = self.streams.get_mut(&progress.stream)?;
                stream.consumers.get(&progress.consumer)?;
                Some(stream.advance(progress))
            }
            Command::UpdateConsumer { .. } => None,
        }
    }
}
