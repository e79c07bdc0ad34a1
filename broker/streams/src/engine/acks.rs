//! What clients say about messages that they got.

use bytes::Bytes;

use super::Engine;
use super::consumer::Consumer;
use super::input::Key;
use crate::command::StreamId;
use crate::config::AckPolicy;
use crate::service::handle::{ConsumerRef, StreamRef};
use crate::service::outlet::{Advisory, Status, Target};
use crate::service::types::{Ack, AckKind};

impl Engine {
    pub(super) fn ack(&mut self, stream: StreamId, name: &str, ack: Ack) {
        let Some(key) = self.in_use(stream, name) else {
            if let (Some(reply), Some(stream)) = (ack.reply, self.stream(stream)) {
                self.nobody(&stream, name, reply);
            }
            return;
        };
        match ack.kind {
            AckKind::Ack => self.acknowledge(key, ack.stream_seq, ack.reply),
            AckKind::Nak { delay_ns } => {
                self.nak(key, &ack, delay_ns);
                self.confirm_at_once(key, ack.reply);
            }
            AckKind::Progress => {
                self.extend(key, ack.stream_seq);
                self.confirm_at_once(key, ack.reply);
            }
            AckKind::Term { ref reason } => {
                let reason = reason.clone();
                self.terminate(key, &ack, reason);
                self.acknowledge(key, ack.stream_seq, ack.reply);
            }
            AckKind::Next(request) => {
                self.acknowledge(key, ack.stream_seq, None);
                self.pull_of(key, request);
            }
        }
        self.arm(key);
    }

    fn acknowledge(&mut self, key: Key, seq: u64, reply: Option<Bytes>) {
        let wall_ns = self.parts.clock.wall_ns();
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        consumer.used_ns = self.now_ns;
        // A sequence that was never delivered: somebody made it up, or a leader before this one knew more.
        if seq >= consumer.next_seq {
            return;
        }
        let was_full = consumer.room() == 0;
        let acknowledged = match consumer.config.ack_policy {
            AckPolicy::Explicit => ack_one(consumer, seq),
            AckPolicy::All => ack_up_to(consumer, seq),
            AckPolicy::None => false,
        };
        if acknowledged {
            consumer.last_ack_ns = wall_ns;
            consumer.move_floor();
        }
        let urgent = !consumer.news.is_empty();
        match reply {
            // It is confirmed when all that was said before is committed.
            Some(reply) if urgent || self.proposal.is_some() => consumer.news.confirm.push(reply),
            Some(reply) => self
                .parts
                .outlet
                .confirmed(consumer.handle.stream().account(), reply),
            None => {}
        }
        if urgent || !consumer.news.confirm.is_empty() {
            self.dirty.insert(key);
        }
        if was_full {
            self.make_ready(key);
        }
    }

    fn nak(&mut self, key: Key, ack: &Ack, delay_ns: u64) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        consumer.used_ns = self.now_ns;
        if ack.consumer_seq <= consumer.floor.consumer || consumer.pending.get(ack.stream_seq).is_none() {
            return;
        }
        let handle = consumer.handle.clone();
        self.parts.outlet.advisory(
            handle.stream().account(),
            Advisory::Nak {
                stream: handle.stream().name().clone(),
                consumer: handle.name().clone(),
                stream_seq: ack.stream_seq,
                consumer_seq: ack.consumer_seq,
                deliveries: ack.delivered,
            },
        );
        match delay_ns {
            0 => self.again(key, ack.stream_seq),
            _ => consumer
                .pending
                .set_deadline(ack.stream_seq, self.now_ns.saturating_add(delay_ns)),
        }
    }

    /// The client is still at work.
    fn extend(&mut self, key: Key, seq: u64) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        consumer.used_ns = self.now_ns;
        if let Some(unacked) = consumer.pending.get(seq) {
            let wait_ns = consumer.ack_wait_ns(unacked.count);
            consumer
                .pending
                .set_deadline(seq, self.now_ns.saturating_add(wait_ns));
        }
    }

    fn terminate(&mut self, key: Key, ack: &Ack, reason: String) {
        let Some(consumer) = self.consumers.get(&key) else {
            return;
        };
        let handle = &consumer.handle;
        self.parts.outlet.advisory(
            handle.stream().account(),
            Advisory::Terminated {
                stream: handle.stream().name().clone(),
                consumer: handle.name().clone(),
                stream_seq: ack.stream_seq,
                consumer_seq: ack.consumer_seq,
                deliveries: ack.delivered,
                reason,
            },
        );
    }

    /// What is not kept needs no commit.
    fn confirm_at_once(&self, key: Key, reply: Option<Bytes>) {
        if let (Some(reply), Some(consumer)) = (reply, self.consumers.get(&key)) {
            self.parts
                .outlet
                .confirmed(consumer.handle.stream().account(), reply);
        }
    }

    /// Tells a client that there is no such consumer.
    pub(super) fn nobody(&self, stream: &StreamRef, name: &str, reply: Bytes) {
        let to = Target {
            account: stream.account().clone(),
            subject: reply,
        };
        let consumer = ConsumerRef::new(stream.clone(), name.into());
        self.parts.outlet.status(&to, &consumer, &Status::NoConsumer);
    }

    pub(super) fn flow_control(&mut self, stream: StreamId, name: &str, id: u64) {
        let Some(key) = self.in_use(stream, name) else {
            return;
        };
        let flow = self
            .consumers
            .get_mut(&key)
            .and_then(|consumer| consumer.push.as_mut()?.flow.as_mut());
        if flow.is_some_and(|flow| flow.answered(id)) {
            self.make_ready(key);
        }
    }
}

/// True: something changed.
fn ack_one(consumer: &mut Consumer, seq: u64) -> bool {
    let known = consumer.pending.remove(seq).is_some();
    if known {
        consumer.news.done(seq);
    }
    known
}

/// The same for all up to a sequence.
fn ack_up_to(consumer: &mut Consumer, seq: u64) -> bool {
    if seq <= consumer.floor.stream {
        return false;
    }
    let first = consumer.floor.stream + 1;
    consumer.pending.remove_range(first..=seq);
    consumer.news.range_done(first, seq);
    true
}
