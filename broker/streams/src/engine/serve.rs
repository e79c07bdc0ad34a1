//! Deliveries: a slice of one consumer's messages at a time.

use mainstem_storage::StorageError;

use super::Engine;
use super::consumer::Consumer;
use super::input::Key;
use super::picks::{self, Pick, Picks, Stop};
use super::slice::hand_out;
use crate::command;
use crate::service::outlet::{Room, Status};

/// After a recipient's queue was found full.
const FULL_NS: u64 = 2_000_000;

/// After a message could not be read.
const BROKEN_NS: u64 = 1_000_000_000;

impl Engine {
    /// Delivers what the consumer may get now, up to a slice.
    pub(super) fn serve(&mut self, key: Key) {
        if self.may_deliver(key) {
            self.deliver(key);
        }
        self.arm(key);
    }

    /// Somebody is there to take messages.
    fn may_deliver(&mut self, key: Key) -> bool {
        self.end_requests(key);
        let consumers = self.consumers.len();
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return false;
        };
        if consumer.pace.not_before_ns > self.now_ns {
            return false;
        }
        let outlet = &self.parts.outlet;
        match &mut consumer.push {
            Some(push) => {
                let was_active = push.active;
                if was_active && !outlet.has_interest(&push.to.account, &push.to.subject) {
                    push.looked(false, self.now_ns, consumers);
                }
                push.may_deliver()
            }
            None => {
                // The others are asked for when it is their turn, or when the timer is.
                consumer.waiting.drop_deaf_front(&**outlet);
                !consumer.waiting.is_empty()
            }
        }
    }

    fn deliver(&mut self, key: Key) {
        let now_ns = self.now_ns;
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let (wanted, max_bytes) = consumer.appetite();
        let picked = self
            .parts
            .machine
            .with(|view| picks::collect(view, consumer, wanted, max_bytes));
        let mut picks = match picked {
            Ok(picks) => picks,
            Err(error) => return self.broken(key, &error),
        };
        consumer.keep_pace(&mut picks, now_ns);
        let outcome = hand_out(&self.parts, consumer, &picks.list, now_ns);
        self.after(key, &picks);
        match outcome {
            Ok(Room::More) => {}
            Ok(Room::Full) => self.hold(key, FULL_NS),
            Err(error) => self.broken(key, &error),
        }
    }

    /// What a slice leaves to do.
    fn after(&mut self, key: Key, picks: &Picks) {
        for &(seq, count) in &picks.give_up {
            // What an earlier leader may have delivered is passed here, not by a delivery.
            if let Some(consumer) = self.consumers.get_mut(&key)
                && consumer.pending.get(seq).is_none()
            {
                consumer.pass(seq);
            }
            self.give_up(key, seq, count);
        }
        for &seq in &picks.gone {
            self.forget(key, seq);
        }
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let needed = match picks.stop {
            Stop::Reserve(seq) => Some(seq),
            _ => None,
        };
        if let Some(up_to) = consumer.reservation(needed) {
            consumer.news.reserve = up_to;
            consumer.reserving = up_to;
        }
        if !consumer.news.is_empty() {
            self.dirty.insert(key);
        }
        match picks.stop {
            Stop::Slice => self.make_ready(key),
            Stop::End => self.end_of_stream(key),
            Stop::Unacked | Stop::Reserve(_) => {}
        }
    }

    /// Requests that do not wait end when there is nothing more.
    fn end_of_stream(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let (outlet, handle) = (&self.parts.outlet, &consumer.handle);
        if !consumer.waiting.any_no_wait {
            return;
        }
        consumer.waiting.requests.retain(|request| {
            if request.is_satisfied() {
                outlet.status(&request.to, handle, &Status::NoMessages);
            }
            !request.is_satisfied()
        });
        consumer.waiting.look_through();
    }

    /// A message that waits for its acknowledgement is not there any more.
    pub(super) fn forget(&mut self, key: Key, seq: u64) {
        if let Some(consumer) = self.consumers.get_mut(&key)
            && consumer.pending.remove(seq).is_some()
        {
            consumer.news.done(seq);
            consumer.move_floor();
            self.dirty.insert(key);
        }
    }

    fn hold(&mut self, key: Key, for_ns: u64) {
        if let Some(consumer) = self.consumers.get_mut(&key) {
            let until_ns = self.now_ns + for_ns;
            consumer.pace.not_before_ns = consumer.pace.not_before_ns.max(until_ns);
        }
    }

    fn broken(&mut self, key: Key, error: &StorageError) {
        if let Some(consumer) = self.consumers.get(&key) {
            tracing::error!(consumer = ?consumer.handle, %error, "a message can not be read: deliveries stop here");
        }
        self.hold(key, BROKEN_NS);
    }
}

impl Consumer {
    /// How many messages its recipients take now, and how many bytes.
    fn appetite(&self) -> (u64, u64) {
        let rate_bytes = match self.config.rate_limit_bits_per_s {
            0 => u64::MAX,
            // What a hundredth of a second brings.
            bits => (bits / 800).max(1),
        };
        match &self.push {
            Some(push) => {
                let window = push.flow.as_ref().map_or(u64::MAX, |flow| flow.room());
                (u64::MAX, window.min(rate_bytes))
            }
            None => (self.waiting.wanted(picks::SLICE as u64), u64::MAX),
        }
    }

    /// Replaying as published: leaves only what is due, and notes when the next is.
    fn keep_pace(&mut self, picks: &mut Picks, now_ns: u64) {
        let Some(up_to) = self.pace.original_up_to else {
            return;
        };
        for at in 0..picks.list.len() {
            let Pick { position, is_new, .. } = picks.list[at];
            if !is_new {
                continue;
            }
            if position.seq > up_to {
                self.pace.original_up_to = None;
                return;
            }
            let due_ns = match self.pace.last {
                Some((timestamp_ns, sent_ns)) => sent_ns + position.timestamp_ns.saturating_sub(timestamp_ns),
                None => now_ns,
            };
            if due_ns > now_ns {
                picks.list.truncate(at);
                picks.stop = Stop::Unacked;
                self.pace.not_before_ns = due_ns;
                return;
            }
            self.pace.last = Some((position.timestamp_ns, now_ns));
        }
        if picks.stop == Stop::End && picks.list.is_empty() {
            self.pace.original_up_to = None;
        }
    }

    /// The stream up to a sequence is behind the consumer.
    pub(super) fn pass(&mut self, seq: u64) {
        self.delivered.stream = self.delivered.stream.max(seq);
        while self.last_per_subject.front().is_some_and(|&listed| listed <= seq) {
            self.last_per_subject.pop_front();
        }
        self.next_seq = self.next_seq.max(seq + 1);
    }

    /// Notes that a message was delivered; its consumer sequence.
    pub(super) fn note(&mut self, pick: &Pick, now_ns: u64, wall_ns: u64) -> u64 {
        let seq = pick.position.seq;
        self.delivered.consumer += 1;
        let consumer_seq = self.delivered.consumer;
        if pick.is_new {
            self.pass(seq);
        }
        self.news.moved = true;
        self.last_delivery_ns = wall_ns;
        self.used_ns = now_ns;
        if self.takes_acks() {
            let deadline_ns = now_ns.saturating_add(self.ack_wait_ns(pick.count));
            self.pending.delivered(seq, consumer_seq, pick.count, deadline_ns);
            let first = self
                .pending
                .get(seq)
                .map_or(consumer_seq, |unacked| unacked.consumer_seq);
            self.news.pending.insert(
                seq,
                command::Pending {
                    stream_seq: seq,
                    consumer_seq: first,
                    delivered_ns: wall_ns,
                    count: u32::try_from(pick.count).unwrap_or(u32::MAX),
                },
            );
        } else {
            self.floor = self.delivered;
            if self.removes() {
                self.news.done(seq);
            }
        }
        consumer_seq
    }

    /// Puts back what was picked to be delivered again and was not.
    pub(super) fn put_back(&mut self, picks: &[Pick]) {
        for pick in picks.iter().rev().filter(|pick| !pick.is_new) {
            self.pending.put_back(pick.position.seq);
        }
    }
}
