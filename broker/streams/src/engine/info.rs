//! What the service asks the engine.

use std::sync::Arc;

use super::Engine;
use super::consumer::Consumer;
use super::input::Key;
use super::picks::count_all;
use crate::command::{SeqPair, StreamId};
use crate::machine::View;
use crate::service::types::{ConsumerInfo, SeqInfo};

impl Engine {
    /// Takes a consumer into use, and describes it.
    pub(crate) fn take_into_use(&mut self, key: Key) -> Option<ConsumerInfo> {
        self.activate(key)?;
        self.info(key)
    }

    /// Somebody listens to the consumer's deliver subject.
    pub(crate) fn is_bound(&mut self, key: Key) -> bool {
        let push = self
            .consumers
            .get(&key)
            .and_then(|consumer| consumer.push.as_ref());
        push.is_some_and(|push| self.parts.outlet.has_interest(&push.to.account, &push.to.subject))
    }

    /// A stream's configuration changed.
    pub(crate) fn stream_reconfigured(&mut self, stream: StreamId) {
        let machine = Arc::clone(&self.parts.machine);
        let retention = machine.with(|view| Some(view.stream(stream)?.config.retention));
        for key in self.by_stream.get(&stream).cloned().unwrap_or_default() {
            if let (Some(consumer), Some(retention)) = (self.consumers.get_mut(&key), retention) {
                consumer.retention = retention;
            }
        }
        self.recheck(stream);
    }

    /// Where a consumer is, whether it is in use or not. `None`: there is none.
    pub(crate) fn info(&mut self, key: Key) -> Option<ConsumerInfo> {
        let machine = Arc::clone(&self.parts.machine);
        let stream = Arc::clone(self.stream(key.0)?.name());
        if self.consumers.contains_key(&key) {
            self.end_requests(key);
            let consumer = self.consumers.get_mut(&key)?;
            consumer.waiting.drop_deaf(&*self.parts.outlet);
            return machine.with(|view| in_use(view, consumer, stream));
        }
        machine.with(|view| at_rest(view, key, stream))
    }
}

fn in_use(view: &mut View, consumer: &mut Consumer, stream: Arc<str>) -> Option<ConsumerInfo> {
    let seq = |pair: SeqPair, last_active_ns| SeqInfo {
        consumer: pair.consumer,
        stream: pair.stream,
        last_active_ns,
    };
    Some(ConsumerInfo {
        stream,
        name: Arc::clone(consumer.handle.name()),
        created_ns: consumer.created_ns,
        config: (*consumer.config).clone(),
        delivered: seq(consumer.delivered, consumer.last_delivery_ns),
        ack_floor: seq(consumer.floor, consumer.last_ack_ns),
        num_ack_pending: consumer.pending.len(),
        num_redelivered: match consumer.max_deliver() {
            Some(1) => 0,
            _ => consumer.pending.redelivered(),
        },
        num_waiting: consumer.waiting.len(),
        num_pending: count_all(view, consumer).ok()?,
        push_bound: consumer.push.as_ref().is_some_and(|push| push.active),
    })
}

fn at_rest(view: &mut View, key: Key, stream: Arc<str>) -> Option<ConsumerInfo> {
    let state = view.stream(key.0)?.consumer(key.1)?;
    let seq = |pair: SeqPair| SeqInfo {
        consumer: pair.consumer,
        stream: pair.stream,
        last_active_ns: 0,
    };
    let mut info = ConsumerInfo {
        stream,
        name: Arc::clone(&state.name),
        created_ns: state.created_ns,
        config: (*state.config).clone(),
        delivered: seq(state.delivered),
        ack_floor: seq(state.ack_floor),
        num_ack_pending: state.pending.len(),
        num_redelivered: state.pending.values().filter(|pending| pending.count > 1).count(),
        num_waiting: 0,
        num_pending: 0,
        push_bound: false,
    };
    let (filters, next_seq) = (state.filters.clone(), state.delivered.stream + 1);
    info.num_pending = view.count_from(key.0, &filters, next_seq).ok()?;
    Some(info)
}
