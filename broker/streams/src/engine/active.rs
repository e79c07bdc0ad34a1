//! Consumers that come into use: their runtime state, made of what the machine knows.

use std::collections::VecDeque;
use std::sync::Arc;

use super::consumer::{Consumer, News, Pace};
use super::input::Key;
use super::pending::Pending;
use super::push::Push;
use super::{Engine, Timer, waiting};
use crate::command::StreamId;
use crate::config::{AckPolicy, ConsumerConfig, DeliverPolicy};
use crate::machine::{ConsumerState, StreamState, View};
use crate::matching::Filters;
use crate::service::handle::ConsumerRef;
use crate::service::outlet::Target;

impl Engine {
    /// Takes up the consumers that need no client to be at work: those that push, those with a threshold; and the
    /// streams whose messages have an age.
    pub(super) fn start(&mut self) {
        let machine = Arc::clone(&self.parts.machine);
        let (keys, aging) = machine.with(|view| {
            let (mut keys, mut aging) = (Vec::new(), Vec::new());
            for stream in view.streams() {
                if stream.config.max_age_ns > 0 {
                    aging.push(stream.id);
                }
                let at_work = |consumer: &&ConsumerState| {
                    consumer.config.is_push() || consumer.config.inactive_threshold_ns > 0
                };
                let of_stream = stream.consumers().filter(at_work);
                keys.extend(of_stream.map(|consumer| (stream.id, consumer.id)));
            }
            (keys, aging)
        });
        for key in keys {
            self.activate(key);
        }
        for stream in aging {
            self.timers.no_later(Timer::Expire(stream), self.now_ns);
        }
    }

    /// The consumer of that name, taken into use. `None`: there is none.
    pub(super) fn in_use(&mut self, stream: StreamId, name: &str) -> Option<Key> {
        // A key of the map owns its name.
        if let Some(key) = self.names.get(&(stream, Box::from(name))) {
            return Some(*key);
        }
        let machine = Arc::clone(&self.parts.machine);
        let id = machine.with(|view| {
            view.stream(stream)?
                .consumer_named(name)
                .map(|consumer| consumer.id)
        })?;
        self.activate((stream, id))
    }

    /// Takes a consumer into use.
    pub(super) fn activate(&mut self, key: Key) -> Option<Key> {
        if self.consumers.contains_key(&key) {
            return Some(key);
        }
        let handle = self.stream(key.0)?;
        let machine = Arc::clone(&self.parts.machine);
        let (now_ns, wall_ns) = (self.now_ns, self.parts.clock.wall_ns());
        let consumer = machine.with(|view| {
            let stream = view.stream(key.0)?;
            let state = stream.consumer(key.1)?;
            let handle = ConsumerRef::new(handle, Arc::clone(&state.name));
            let mut consumer = restore(key, handle, state, stream, now_ns);
            restore_pending(&mut consumer, state, now_ns, wall_ns);
            if stream.config.max_msgs_per_subject != 1 {
                start_with_last(view, &mut consumer);
            }
            Some(consumer)
        })?;
        let name = Box::from(&**consumer.handle.name());
        self.names.insert((key.0, name), key);
        self.by_stream.entry(key.0).or_default().push(key);
        self.consumers.insert(key, consumer);
        self.reserve_ahead(key);
        self.tick(key);
        Some(key)
    }

    /// Reserves the first deliveries before somebody asks for them.
    fn reserve_ahead(&mut self, key: Key) {
        if let Some(consumer) = self.consumers.get_mut(&key)
            && let Some(up_to) = consumer.reservation(None)
        {
            consumer.news.reserve = up_to;
            consumer.reserving = up_to;
            self.dirty.insert(key);
        }
    }

    /// A consumer's configuration changed.
    pub(crate) fn reconfigure(&mut self, key: Key) {
        let machine = Arc::clone(&self.parts.machine);
        let config = machine.with(|view| Some(Arc::clone(&view.stream(key.0)?.consumer(key.1)?.config)));
        let (Some(config), Some(consumer)) = (config, self.consumers.get_mut(&key)) else {
            return;
        };
        consumer.filters = Filters::new(config.filters());
        consumer.counted = None;
        if config.deliver_subject != consumer.config.deliver_subject {
            consumer.push = push_of(&consumer.handle, &config, self.now_ns);
        }
        consumer.config = config;
        consumer.used_ns = self.now_ns;
        self.tick(key);
    }
}

fn restore(
    key: Key,
    handle: ConsumerRef,
    state: &ConsumerState,
    stream: &StreamState,
    now_ns: u64,
) -> Consumer {
    let takes_acks = state.config.ack_policy != AckPolicy::None;
    let next_seq = state.delivered.stream + 1;
    let original = state.config.replay_policy == crate::config::ReplayPolicy::Original;
    Consumer {
        key,
        push: push_of(&handle, &state.config, now_ns),
        handle,
        filters: state.filters.clone(),
        config: Arc::clone(&state.config),
        retention: stream.config.retention,
        created_ns: state.created_ns,
        next_seq,
        delivered: state.delivered,
        floor: state.ack_floor,
        reserved: state.reserved,
        reserving: state.reserved,
        uncertain: match takes_acks {
            true => state.reserved.min(stream.last_seq),
            false => 0,
        },
        counted: None,
        last_per_subject: VecDeque::new(),
        pending: Pending::default(),
        waiting: waiting::Queue::default(),
        pace: Pace {
            original_up_to: original.then_some(stream.last_seq),
            ..Pace::default()
        },
        news: News::default(),
        used_ns: now_ns,
        last_delivery_ns: 0,
        last_ack_ns: 0,
        is_ready: false,
    }
}

fn push_of(handle: &ConsumerRef, config: &ConsumerConfig, now_ns: u64) -> Option<Push> {
    config.is_push().then(|| {
        let to = Target {
            account: handle.stream().account().clone(),
            subject: config.deliver_subject.as_bytes().to_vec().into(),
        };
        Push::new(to, config.flow_control, now_ns)
    })
}

/// What was delivered before is delivered again when the time that it had then is over.
fn restore_pending(consumer: &mut Consumer, state: &ConsumerState, now_ns: u64, wall_ns: u64) {
    for pending in state.pending.values() {
        let count = u64::from(pending.count).max(1);
        let age_ns = wall_ns.saturating_sub(pending.delivered_ns);
        let left_ns = consumer.ack_wait_ns(count).saturating_sub(age_ns);
        consumer.pending.delivered(
            pending.stream_seq,
            pending.consumer_seq,
            count,
            now_ns.saturating_add(left_ns),
        );
    }
}

/// A consumer that begins with the last message of each subject notes which these are.
fn start_with_last(view: &mut View, consumer: &mut Consumer) {
    let fresh = consumer.delivered.consumer == 0;
    if consumer.config.deliver_policy != DeliverPolicy::LastPerSubject || !fresh {
        return;
    }
    let Ok(last) = view.last_per_subject(consumer.key.0, &consumer.filters, 0) else {
        return;
    };
    if let Some(last) = last.last() {
        consumer.next_seq = consumer.next_seq.max(last.seq + 1);
    }
    consumer.last_per_subject = last.into_iter().map(|position| position.seq).collect();
}
