//! What is due: acknowledgements that did not come, requests that end, heartbeats, consumers that nobody uses.

use super::input::Key;
use super::{Engine, Timer};
use crate::command::Command;
use crate::service::outlet::{Advisory, Status};

/// A consumer without a threshold of its own loses its runtime state when it was not used for so long.
const IDLE_NS: u64 = 30_000_000_000;

impl Engine {
    pub(super) fn take_due(&mut self) {
        while let Some(timer) = self.timers.pop(self.now_ns) {
            match timer {
                Timer::Consumer(key) => self.tick(key),
                Timer::Expire(stream) => self.expire(stream),
                Timer::Progress => self.flush_progress(),
            }
        }
    }

    pub(super) fn tick(&mut self, key: Key) {
        self.redeliver_expired(key);
        self.look_for_interest(key);
        self.end_requests(key);
        self.beat(key);
        if self.retire(key) {
            return;
        }
        self.make_ready(key);
        self.arm(key);
    }

    /// Sets when the consumer is to be looked at again.
    pub(super) fn arm(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        if let Some(push) = &mut consumer.push {
            if push.active {
                push.wait = None;
            } else if push.wait.is_none() {
                let awaited = self.parts.registry.awaited();
                push.wait = Some(awaited.wait(&push.to, key, &self.parts.desk));
                // Who came in between is seen by another look.
                push.look_ns = self.now_ns;
            }
        }
        let push = consumer.push.as_ref();
        let not_before_ns = consumer.pace.not_before_ns;
        let idle_ns = consumer.inactive_threshold_ns().unwrap_or(IDLE_NS);
        let times = [
            consumer.pending.next_deadline(),
            consumer.waiting.next_time(),
            push.map(|push| push.look_ns),
            push.filter(|push| push.active)
                .and_then(|push| push.next_heartbeat_ns),
            (not_before_ns > self.now_ns).then_some(not_before_ns),
            Some(consumer.used_ns.saturating_add(idle_ns).max(self.now_ns + 1)),
        ];
        let at_ns = times.into_iter().flatten().min();
        self.timers.set(Timer::Consumer(key), at_ns);
    }

    /// Queues what was not acknowledged in time, or gives it up.
    fn redeliver_expired(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        for seq in consumer.pending.expired(self.now_ns) {
            self.again(key, seq);
        }
    }

    /// Delivers a message again, if the consumer's limit allows it.
    pub(super) fn again(&mut self, key: Key, seq: u64) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let Some(count) = consumer.pending.get(seq).map(|unacked| unacked.count) else {
            return;
        };
        if consumer.max_deliver().is_some_and(|max| count >= max) {
            self.give_up(key, seq, count);
        } else {
            consumer.pending.queue(seq);
            self.make_ready(key);
        }
    }

    /// A message was delivered as often as the consumer allows.
    pub(super) fn give_up(&mut self, key: Key, seq: u64, deliveries: u64) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        consumer.pending.remove(seq);
        consumer.news.given_up(seq);
        self.dirty.insert(key);
        consumer.move_floor();
        let handle = consumer.handle.clone();
        self.parts.outlet.advisory(
            handle.stream().account(),
            Advisory::MaxDeliver {
                stream: handle.stream().name().clone(),
                consumer: handle.name().clone(),
                stream_seq: seq,
                deliveries,
            },
        );
    }

    /// Somebody may listen to the deliver subject now.
    pub(super) fn listened(&mut self, key: Key) {
        if let Some(push) = self
            .consumers
            .get_mut(&key)
            .and_then(|consumer| consumer.push.as_mut())
        {
            push.look_ns = self.now_ns;
            self.tick(key);
        }
    }

    fn look_for_interest(&mut self, key: Key) {
        let consumers = self.consumers.len();
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let Some(push) = consumer.push.as_mut().filter(|push| push.look_ns <= self.now_ns) else {
            return;
        };
        let active = self.parts.outlet.has_interest(&push.to.account, &push.to.subject);
        if active || push.active {
            consumer.used_ns = self.now_ns;
        }
        if active && !push.active && consumer.config.idle_heartbeat_ns > 0 {
            push.next_heartbeat_ns = Some(self.now_ns + consumer.config.idle_heartbeat_ns as u64);
        }
        push.looked(active, self.now_ns, consumers);
    }

    /// Ends pull requests whose time is over or whose sender is gone.
    pub(super) fn end_requests(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let (now_ns, outlet, handle) = (self.now_ns, &self.parts.outlet, &consumer.handle);
        if !consumer.waiting.is_due(now_ns) {
            return;
        }
        consumer.waiting.requests.retain(|request| {
            if !request.is_expired(now_ns) {
                return true;
            }
            outlet.status(&request.to, handle, &request.timeout());
            false
        });
    }

    fn beat(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let (now_ns, outlet, handle) = (self.now_ns, &self.parts.outlet, &consumer.handle);
        let mut heartbeat = Status::Heartbeat {
            last_consumer_seq: consumer.delivered.consumer,
            last_stream_seq: consumer.next_seq.saturating_sub(1),
            stalled: None,
        };
        if consumer.waiting.is_due(now_ns) {
            consumer.waiting.requests.retain_mut(|request| {
                if request.next_heartbeat_ns.is_none_or(|due| due > now_ns) {
                    return true;
                }
                // It would wait for acknowledgements only.
                if request.is_satisfied() {
                    outlet.status(&request.to, handle, &Status::NoMessages);
                    return false;
                }
                outlet.status(&request.to, handle, &heartbeat);
                request.beat(now_ns);
                true
            });
            consumer.waiting.look_through();
        }
        let Some(push) = consumer.push.as_mut().filter(|push| push.active) else {
            return;
        };
        if push.next_heartbeat_ns.is_some_and(|due| due <= now_ns) {
            if let Status::Heartbeat { stalled, .. } = &mut heartbeat {
                *stalled = push.stalled();
            }
            outlet.status(&push.to, handle, &heartbeat);
            push.next_heartbeat_ns = Some(now_ns + consumer.config.idle_heartbeat_ns as u64);
        }
    }

    /// Lets go of a consumer that nobody uses: of its runtime state, or of all of it where it has a threshold.
    fn retire(&mut self, key: Key) -> bool {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return true;
        };
        let is_used = match &consumer.push {
            Some(push) => push.active,
            None => {
                consumer.waiting.drop_deaf(&*self.parts.outlet);
                !consumer.waiting.is_empty()
            }
        };
        if is_used {
            consumer.used_ns = self.now_ns;
            return false;
        }
        let idle_ns = self.now_ns.saturating_sub(consumer.used_ns);
        match consumer.inactive_threshold_ns() {
            Some(threshold_ns) => {
                // What is delivered may still be at work: the threshold begins when its time is over.
                let last_ns = consumer.pending.last_deadline().unwrap_or(0);
                let busy = !consumer.is_push() && last_ns.saturating_add(threshold_ns) > self.now_ns;
                if idle_ns < threshold_ns || busy {
                    if busy {
                        consumer.used_ns = consumer.used_ns.max(last_ns);
                    }
                    return false;
                }
                self.delete_unused(key);
                true
            }
            None => {
                if idle_ns < IDLE_NS {
                    return false;
                }
                // What the machine does not know would be lost.
                let is_known = consumer.news.is_empty() && self.proposal.is_none();
                let at_rest = consumer.pending.is_empty()
                    && consumer.last_per_subject.is_empty()
                    && !consumer.is_push()
                    && !consumer.takes_back_reserved();
                if is_known && at_rest {
                    self.drop_consumer(key);
                    return true;
                }
                consumer.used_ns = self.now_ns;
                if !consumer.news.is_empty() {
                    self.dirty.insert(key);
                }
                false
            }
        }
    }

    fn delete_unused(&mut self, key: Key) {
        let (stream, consumer) = key;
        // Whether it worked shows when the machine says that the consumer is gone.
        drop(
            self.parts
                .door
                .submit([&Command::DeleteConsumer { stream, consumer }]),
        );
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.used_ns = self.now_ns;
            let handle = consumer.handle.clone();
            let (stream, name) = (handle.stream().name().clone(), handle.name().clone());
            let deleted = Advisory::ConsumerDeleted {
                stream,
                consumer: name,
            };
            self.parts.outlet.advisory(handle.stream().account(), deleted);
        }
        self.arm(key);
    }

    /// A consumer is not in use any more.
    pub(super) fn drop_consumer(&mut self, key: Key) {
        let Some(consumer) = self.consumers.remove(&key) else {
            return;
        };
        let name = (key.0, Box::from(&**consumer.handle.name()));
        // Another consumer may have the name by now.
        if self.names.get(&name) == Some(&key) {
            self.names.remove(&name);
        }
        if let Some(keys) = self.by_stream.get_mut(&key.0) {
            keys.retain(|of| *of != key);
            if keys.is_empty() {
                self.by_stream.remove(&key.0);
            }
        }
        self.timers.set(Timer::Consumer(key), None);
        self.dirty.remove(&key);
    }
}
