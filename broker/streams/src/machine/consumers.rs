//! Consumers of a stream: how they come, go and advance, and what that removes.

use mainstem_storage::StorageError;

use super::consumer::ConsumerState;
use super::context::Context;
use super::stream::StreamState;
use crate::command::{ConsumerId, Outcome, Progress};
use crate::config::{AckPolicy, ConsumerConfig, DeliverPolicy, Retention, check_consumer_update};
use crate::error::Error;
use crate::keys::consumer;
use crate::matching::{Filters, collide};

const DONE: Outcome = Outcome::Done { removed: 0 };

/// About what a new consumer costs at a checkpoint.
const CONSUMER_BYTES: usize = 512;

impl StreamState {
    /// Whether a consumer with this configuration may be created now.
    pub fn check_new_consumer(&self, config: &ConsumerConfig) -> Result<(), Error> {
        if self.config.max_consumers > 0 && self.consumers.len() as i64 >= self.config.max_consumers {
            return Err(Error::MaximumConsumers);
        }
        if self.config.retention != Retention::WorkQueue {
            return Ok(());
        }
        if config.ack_policy != AckPolicy::Explicit {
            return Err(Error::WorkQueueRequiresExplicitAck);
        }
        if config.deliver_policy != DeliverPolicy::All {
            return Err(Error::WorkQueueConsumerNotDeliverAll);
        }
        if self.consumers.is_empty() {
            return Ok(());
        }
        if config.filters().next().is_none() {
            return Err(Error::WorkQueueMultipleUnfiltered);
        }
        self.check_partition(config, None)
    }

    /// Whether a consumer may get this configuration now. `bound`: somebody listens on its deliver subject.
    pub fn check_changed_consumer(
        &self,
        old: &ConsumerState,
        new: &ConsumerConfig,
        bound: bool,
    ) -> Result<(), Error> {
        if self.config.retention == Retention::WorkQueue {
            self.check_partition(new, Some(old.id))?;
        }
        check_consumer_update(&old.config, new, bound)
    }

    /// No message of a work queue is for two consumers.
    fn check_partition(&self, config: &ConsumerConfig, but: Option<ConsumerId>) -> Result<(), Error> {
        let others = self.consumers.values().filter(|other| Some(other.id) != but);
        let collides = |other: &Filters| {
            config
                .filters()
                .any(|filter| other.is_all() || other.iter().any(|other| collide(filter.as_bytes(), other)))
        };
        match others.into_iter().any(|other| collides(&other.filters)) {
            true => Err(Error::WorkQueueConsumerNotUnique),
            false => Ok(()),
        }
    }

    pub(super) fn create_consumer(
        &mut self,
        cx: &mut Context,
        id: ConsumerId,
        start_seq: u64,
        config: ConsumerConfig,
        now_ns: u64,
    ) -> Outcome {
        let consumer = ConsumerState::new(id, config, start_seq, now_ns);
        if let Some(existing) = self.consumer_named(&consumer.name) {
            return match existing.config == consumer.config {
                true => DONE,
                false => Outcome::Refused(Error::ConsumerNameInUse),
            };
        }
        if let Err(error) = self.check_new_consumer(&consumer.config) {
            return Outcome::Refused(error);
        }
        cx.changed_bytes += CONSUMER_BYTES;
        self.note_change(cx, |change| change.consumers = true);
        self.add_consumer(consumer);
        DONE
    }

    pub(super) fn update_consumer(
        &mut self,
        cx: &mut Context,
        id: ConsumerId,
        config: ConsumerConfig,
    ) -> Result<Outcome, StorageError> {
        let Some(old) = self.consumers.get(&id) else {
            return Ok(Outcome::Refused(Error::ConsumerNotFound));
        };
        if let Err(error) = self.check_changed_consumer(old, &config, false) {
            return Ok(Outcome::Refused(error));
        }
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return Ok(Outcome::Refused(Error::ConsumerNotFound));
        };
        let before = consumer.filters.clone();
        consumer.reconfigure(config);
        let is_other = before != consumer.filters;
        self.interest.remove(id, &before);
        self.interest.add(id, &consumer.filters);
        cx.changed_bytes += CONSUMER_BYTES;
        self.note_change(cx, |change| change.consumers = true);
        let removed = match is_other {
            true => self.remove_unwanted(cx, self.first_seq)?,
            false => 0,
        };
        Ok(Outcome::Done { removed })
    }

    pub(super) fn delete_consumer(
        &mut self,
        cx: &mut Context,
        id: ConsumerId,
    ) -> Result<Outcome, StorageError> {
        let Some(consumer) = self.take_consumer(id) else {
            return Ok(Outcome::Refused(Error::ConsumerNotFound));
        };
        cx.rows.delete(consumer::key(cx.rows.group(), self.id, id));
        self.note_change(cx, |change| change.consumers = true);
        let floor = consumer.ack_floor.stream + 1;
        let from = consumer.given_up.first().map_or(floor, |seq| floor.min(*seq));
        let removed = self.remove_unwanted(cx, from)?;
        Ok(Outcome::Done { removed })
    }

    /// Where messages stay for as long as somebody wants them: removes those at or after `from` that nobody does.
    pub(super) fn remove_unwanted(&mut self, cx: &mut Context, from: u64) -> Result<u64, StorageError> {
        if self.config.retention != Retention::Interest {
            return Ok(0);
        }
        if self.consumers.is_empty() {
            let removed = self.remove_all(cx, self.last_seq)?;
            return Ok(removed);
        }
        let mut removed = 0;
        let mut seq = from;
        while let Some(live) = self.next_live(&cx.rows, seq)? {
            removed += u64::from(self.remove_if_unwanted(cx, live)?);
            seq = live + 1;
        }
        Ok(removed)
    }

    fn remove_if_unwanted(&mut self, cx: &mut Context, seq: u64) -> Result<bool, StorageError> {
        let Some(position) = self.position(&cx.rows, seq)? else {
            return Ok(false);
        };
        let subject = self.subject_at(cx, &position)?;
        let consumers = &self.consumers;
        let needs = |id| {
            consumers
                .get(&id)
                .is_some_and(|consumer| consumer.needs(seq, &subject))
        };
        if self.interest.is_any(&subject, needs) {
            return Ok(false);
        }
        self.remove_known(cx, &position, &subject)?;
        Ok(true)
    }

    pub(super) fn advance(&mut self, cx: &mut Context, progress: &Progress) -> Result<Outcome, StorageError> {
        let retention = self.config.retention;
        let Some(consumer) = self.consumers.get_mut(&progress.consumer) else {
            return Ok(Outcome::Refused(Error::ConsumerNotFound));
        };
        if !consumer.changed {
            cx.changed_bytes += consumer.row_bytes();
        }
        let before = consumer.delivered.stream;
        consumer.advance(progress, retention == Retention::Interest);
        let after = consumer.delivered.stream;
        let is_unacked = consumer.config.ack_policy == AckPolicy::None;
        let filters = (retention != Retention::Limits).then(|| consumer.filters.clone());
        self.note_change(cx, |change| change.consumers = true);
        let Some(filters) = filters else { return Ok(DONE) };
        let mut done = progress.done.clone();
        if is_unacked && before < after {
            done.push((before + 1, after));
        }
        let mut removed = 0;
        for (first, last) in done {
            removed += self.remove_done(cx, &filters, first, last)?;
        }
        Ok(Outcome::Done { removed })
    }

    /// Removes what one consumer is done with, and no other one wants.
    fn remove_done(
        &mut self,
        cx: &mut Context,
        filters: &Filters,
        first: u64,
        last: u64,
    ) -> Result<u64, StorageError> {
        let mut removed = 0;
        let mut seq = first;
        while let Some(live) = self.next_live(&cx.rows, seq)?.filter(|live| *live <= last) {
            seq = live + 1;
            if self.config.retention == Retention::Interest {
                removed += u64::from(self.remove_if_unwanted(cx, live)?);
                continue;
            }
            let Some(position) = self.position(&cx.rows, live)? else {
                continue;
            };
            let subject = self.subject_at(cx, &position)?;
            if filters.matches(&subject) {
                self.remove_known(cx, &position, &subject)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Messages were removed on request: consumers no longer wait for their acknowledgement.
    pub(super) fn skip_removed(&mut self, cx: &mut Context) -> Result<(), StorageError> {
        let mut consumers = std::mem::take(&mut self.consumers);
        let mut failed = None;
        for consumer in consumers.values_mut() {
            let first_seq = self.first_seq;
            consumer.skip(first_seq, |seq| match self.is_live(&cx.rows, seq) {
                Ok(is_live) => is_live,
                Err(error) => {
                    failed = Some(error);
                    true
                }
            });
        }
        self.consumers = consumers;
        failed.map_or(Ok(()), Err)
    }
}
