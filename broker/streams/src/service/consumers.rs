//! Consumers: created, changed, removed, described.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Streams;
use super::lane::Lane;
use super::reconcile::done;
use super::streams::page;
use super::types::{Action, ConsumerInfo, Page};
use crate::command::{Command, ConsumerId, StreamId};
use crate::config::{ConsumerConfig, ConsumerLimits, DeliverPolicy, StreamConfig};
use crate::error::Error;
use crate::machine::View;
use crate::matching::Filters;
use crate::meta::Placed;
use crate::service::outlet::Advisory;

/// Letters of a name that is made up.
const NAME_LETTERS: usize = 8;

impl Streams {
    /// Creates a consumer, or changes the one that has its name.
    pub async fn create_consumer(
        &self,
        account: &str,
        stream: &str,
        config: ConsumerConfig,
        action: Action,
        pedantic: bool,
    ) -> Result<ConsumerInfo, Error> {
        let _turn = self.turns.of(account, stream).await;
        let (placed, lane) = self.place(account, stream)?;
        let mut config = config;
        config.validate(&placed.config, &self.consumer_limits(account), pedantic)?;
        if !config.durable.is_empty() {
            config.name = config.durable.clone();
        }
        let existing = match config.name.is_empty() {
            true => None,
            false => self.existing(lane, placed.id, &config.name),
        };
        let key = match existing {
            Some((id, before)) => {
                self.update_consumer(lane, &placed, (id, &before), config, action)
                    .await?;
                (placed.id, id)
            }
            None if action == Action::Update => return Err(Error::ConsumerDoesNotExist),
            None => self.new_consumer(account, lane, &placed, config).await?,
        };
        ask(lane, move |engine| engine.take_into_use(key))
            .await?
            .ok_or(Error::ConsumerNotFound)
    }

    async fn new_consumer(
        &self,
        account: &str,
        lane: &Lane,
        placed: &Placed,
        mut config: ConsumerConfig,
    ) -> Result<(StreamId, ConsumerId), Error> {
        config.is_unnamed = config.name.is_empty();
        if config.is_unnamed {
            config.name = self.made_up_name(lane, placed.id);
        }
        self.check_count(account, lane, placed)?;
        let handle = self.registry.by_id(placed.id).ok_or(Error::StreamNotFound)?;
        let (start_seq, highest) = lane.machine.with(|view| -> Result<_, Error> {
            let stream = view.stream(placed.id).ok_or(Error::StreamNotFound)?;
            stream.check_new_consumer(&config)?;
            let highest = stream.consumers().next_back().map_or(0, |consumer| consumer.id.0);
            Ok((start_of(view, placed.id, &config)?, highest))
        })?;
        let consumer = handle.new_consumer_id(highest);
        let name: Arc<str> = Arc::from(&*config.name);
        done(
            lane.door
                .call(&Command::CreateConsumer {
                    stream: placed.id,
                    consumer,
                    start_seq,
                    config,
                })
                .await?,
        )?;
        let stream = Arc::clone(handle.name());
        self.outlet.advisory(
            account,
            Advisory::ConsumerCreated {
                stream,
                consumer: name,
            },
        );
        Ok((placed.id, consumer))
    }

    async fn update_consumer(
        &self,
        lane: &Lane,
        placed: &Placed,
        (id, before): (ConsumerId, &ConsumerConfig),
        mut config: ConsumerConfig,
        action: Action,
    ) -> Result<(), Error> {
        config.is_unnamed = before.is_unnamed;
        if *before == config {
            return Ok(());
        }
        if action == Action::Create {
            return Err(Error::ConsumerAlreadyExists);
        }
        let key = (placed.id, id);
        let bound = ask(lane, move |engine| engine.is_bound(key)).await?;
        lane.machine.with(|view| {
            let stream = view.stream(placed.id).ok_or(Error::StreamNotFound)?;
            let consumer = stream.consumer(id).ok_or(Error::ConsumerNotFound)?;
            stream.check_changed_consumer(consumer, &config, bound)
        })?;
        config.name = before.name.clone();
        done(
            lane.door
                .call(&Command::UpdateConsumer {
                    stream: placed.id,
                    consumer: id,
                    config,
                })
                .await?,
        )?;
        lane.desk.run(move |engine| engine.reconfigure(key));
        Ok(())
    }

    pub async fn delete_consumer(&self, account: &str, stream: &str, name: &str) -> Result<(), Error> {
        let _turn = self.turns.of(account, stream).await;
        let (placed, lane) = self.place(account, stream)?;
        let (consumer, _) = self
            .existing(lane, placed.id, name)
            .ok_or(Error::ConsumerNotFound)?;
        let command = Command::DeleteConsumer {
            stream: placed.id,
            consumer,
        };
        done(lane.door.call(&command).await?)?;
        self.outlet.advisory(
            account,
            Advisory::ConsumerDeleted {
                stream: Arc::from(stream),
                consumer: Arc::from(name),
            },
        );
        Ok(())
    }

    pub async fn consumer_info(
        &self,
        account: &str,
        stream: &str,
        name: &str,
    ) -> Result<ConsumerInfo, Error> {
        let (placed, lane) = self.place(account, stream)?;
        let (id, _) = self
            .existing(lane, placed.id, name)
            .ok_or(Error::ConsumerNotFound)?;
        let key = (placed.id, id);
        ask(lane, move |engine| engine.info(key))
            .await?
            .ok_or(Error::ConsumerNotFound)
    }

    /// The names of a stream's consumers, in order.
    pub fn consumer_names(
        &self,
        account: &str,
        stream: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Page<Arc<str>>, Error> {
        let (placed, lane) = self.place(account, stream)?;
        Ok(page(consumers_of(lane, placed.id), offset, limit, |(name, _)| {
            name
        }))
    }

    pub async fn consumer_list(
        &self,
        account: &str,
        stream: &str,
        offset: usize,
        limit: usize,
    ) -> Result<Page<ConsumerInfo>, Error> {
        let (placed, lane) = self.place(account, stream)?;
        let keys = page(consumers_of(lane, placed.id), offset, limit, |(_, id)| {
            (placed.id, id)
        });
        let items = ask(lane, move |engine| {
            keys.items.iter().filter_map(|key| engine.info(*key)).collect()
        });
        Ok(Page {
            items: items.await?,
            total: keys.total,
            offset: keys.offset,
        })
    }

    fn existing(
        &self,
        lane: &Lane,
        stream: StreamId,
        name: &str,
    ) -> Option<(ConsumerId, Arc<ConsumerConfig>)> {
        lane.machine.with(|view| {
            let consumer = view.stream(stream)?.consumer_named(name)?;
            Some((consumer.id, Arc::clone(&consumer.config)))
        })
    }

    fn consumer_limits(&self, account: &str) -> ConsumerLimits {
        ConsumerLimits {
            max_request_batch: self.options.max_request_batch,
            max_ack_pending: self.options.max_ack_pending,
            account_max_ack_pending: self.registry.usage(account).limits().max_ack_pending,
        }
    }

    fn check_count(&self, account: &str, lane: &Lane, placed: &Placed) -> Result<(), Error> {
        let of_stream = placed.config.max_consumers;
        let of_account = self.registry.usage(account).limits().max_consumers;
        let limit = match (of_stream > 0, of_account > 0) {
            (true, true) => of_stream.min(of_account),
            (true, false) => of_stream,
            (false, true) => of_account,
            (false, false) => return Ok(()),
        };
        let count = lane.machine.with(|view| {
            view.stream(placed.id)
                .map_or(0, |stream| stream.consumers().len())
        });
        match count as i64 >= limit {
            true => Err(Error::MaximumConsumers),
            false => Ok(()),
        }
    }

    /// A name that no consumer of the stream has.
    fn made_up_name(&self, lane: &Lane, stream: StreamId) -> Box<str> {
        loop {
            let name = letters(RandomState::new().hash_one(self.clock.steady_ns()));
            if self.existing(lane, stream, &name).is_none() {
                return name;
            }
        }
    }
}

/// Has the engine answer something.
async fn ask<R: Send + 'static>(
    lane: &Lane,
    question: impl FnOnce(&mut crate::engine::Engine) -> R + Send + 'static,
) -> Result<R, Error> {
    let (tell, answer) = oneshot::channel();
    lane.desk.run(move |engine| {
        // Who asked may be gone.
        let _ = tell.send(question(engine));
    });
    answer.await.map_err(|_| Error::NotAvailable)
}

fn consumers_of(lane: &Lane, stream: StreamId) -> Vec<(Arc<str>, ConsumerId)> {
    let mut all: Vec<(Arc<str>, ConsumerId)> = lane.machine.with(|view| {
        let stream = view.stream(stream);
        let consumers = stream.into_iter().flat_map(|stream| stream.consumers());
        consumers
            .map(|consumer| (Arc::clone(&consumer.name), consumer.id))
            .collect()
    });
    all.sort();
    all
}

/// The first sequence that a consumer may get, by its policy.
fn start_of(view: &mut View, id: StreamId, config: &ConsumerConfig) -> Result<u64, Error> {
    let stream = view.stream(id).ok_or(Error::StreamNotFound)?;
    let (first, last) = (stream.first_seq, stream.last_seq);
    let filters = Filters::new(config.filters());
    let start = match config.deliver_policy {
        DeliverPolicy::All => first,
        DeliverPolicy::New => last + 1,
        DeliverPolicy::ByStartSequence => return Ok(config.opt_start_seq.max(first)),
        DeliverPolicy::ByStartTime => {
            let start_ns = config.opt_start_time_ns.unwrap_or(0).max(0) as u64;
            view.seq_at_time(id, start_ns)?
        }
        DeliverPolicy::Last => view
            .last_match(id, &filters)?
            .map_or(last + 1, |position| position.seq),
        // The first of the last messages is found when the consumer is taken into use.
        DeliverPolicy::LastPerSubject => first,
    };
    Ok(start.clamp(first, last + 1))
}

/// A number in letters and digits.
fn letters(mut number: u64) -> Box<str> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut name = String::with_capacity(NAME_LETTERS);
    for _ in 0..NAME_LETTERS {
        name.push(char::from(ALPHABET[(number % 62) as usize]));
        number /= 62;
    }
    name.into()
}

/// The limits that the stream is to have for its consumers are kept by those that it has.
pub(super) fn check_consumers(lane: &Lane, placed: &Placed, new: &StreamConfig) -> Result<(), Error> {
    let (old, limits) = (placed.config.consumer_limits, new.consumer_limits);
    let threshold = limits.inactive_threshold_ns;
    let pending = limits.max_ack_pending;
    let changed = (threshold > 0 && threshold != old.inactive_threshold_ns)
        || (pending > 0 && pending != old.max_ack_pending);
    if !changed {
        return Ok(());
    }
    let mut beyond: Vec<String> = lane.machine.with(|view| {
        let consumers = view
            .stream(placed.id)
            .into_iter()
            .flat_map(|stream| stream.consumers());
        let beyond = consumers.filter(|consumer| {
            let config = &consumer.config;
            (threshold > 0 && config.inactive_threshold_ns > threshold)
                || (pending > 0 && config.max_ack_pending > pending)
        });
        beyond.map(|consumer| consumer.name.to_string()).collect()
    });
    if beyond.is_empty() {
        return Ok(());
    }
    beyond.sort();
    let names = beyond.join(", ");
    Err(Error::InvalidStream(
        format!("change to limits violates consumers: {names}").into(),
    ))
}
