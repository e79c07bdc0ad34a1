//! Deliveries: a slice of one consumer's messages at a time.

use bytes::Bytes;
use mainstem_record::{EntryReader, Record};
use mainstem_storage::{GroupId, StorageError};

use super::consumer::Consumer;
use super::input::Key;
use super::picks::{self, Pick, Picks, Stop};
use super::{Engine, Parts};
use crate::command::{self, record_of};
use crate::service::outlet::{Delivery, Room, Status, Target};

/// After a recipient's queue was found full.
const FULL_NS: u64 = 2_000_000;

/// After a message could not be read.
const BROKEN_NS: u64 = 1_000_000_000;

/// What a delivery costs on the way besides its subject, headers and payload, about: for flow control and rates.
const OVERHEAD_BYTES: u64 = 64;

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
                    push.looked(false, self.now_ns);
                }
                push.may_deliver()
            }
            None => {
                let listens = |to: &Target| outlet.has_interest(&to.account, &to.subject);
                consumer.waiting.requests.retain(|request| listens(&request.to));
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
        consumer.waiting.requests.retain(|request| {
            let ends = request.no_wait && (request.expires_ns.is_none() || request.delivered > 0);
            if ends {
                outlet.status(&request.to, handle, &Status::NoMessages);
            }
            !ends
        });
    }

    /// A message that was to be delivered again is not there any more.
    pub(super) fn forget(&mut self, key: Key, seq: u64) {
        if let Some(consumer) = self.consumers.get_mut(&key)
            && consumer.pending.remove(seq).is_some()
        {
            consumer.news.given_up(seq);
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
            None => (self.waiting.wanted(), u64::MAX),
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

    /// Notes that a message was delivered; its consumer sequence.
    fn note(&mut self, pick: &Pick, now_ns: u64, wall_ns: u64) -> u64 {
        let seq = pick.position.seq;
        self.delivered.consumer += 1;
        let consumer_seq = self.delivered.consumer;
        if pick.is_new {
            self.delivered.stream = self.delivered.stream.max(seq);
            while self.last_per_subject.front().is_some_and(|&listed| listed <= seq) {
                self.last_per_subject.pop_front();
            }
            self.next_seq = self.next_seq.max(seq + 1);
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
    fn put_back(&mut self, picks: &[Pick]) {
        for pick in picks.iter().rev().filter(|pick| !pick.is_new) {
            self.pending.put_back(pick.position.seq);
        }
    }
}

/// Delivers the picks to those who wait.
fn hand_out(
    parts: &Parts,
    consumer: &mut Consumer,
    picks: &[Pick],
    now_ns: u64,
) -> Result<Room, StorageError> {
    if picks.is_empty() {
        return Ok(Room::More);
    }
    let (frames, frame_of) = load(parts, picks)?;
    let mut slice = Slice {
        parts,
        now_ns,
        wall_ns: parts.clock.wall_ns(),
        room: Room::More,
        deliveries: Vec::new(),
    };
    let share = picks.len().div_ceil(consumer.waiting.len().max(1)) as u64;
    let mut given = 0;
    for (at, pick) in picks.iter().enumerate() {
        let Some(frame) = frame_of[at].map(|frame| &frames[frame]) else {
            slice.skip(consumer, pick);
            continue;
        };
        let Some(delivery) = delivery_of(consumer, pick, frame)? else {
            slice.skip(consumer, pick);
            continue;
        };
        if !slice.offer(consumer, delivery, pick, &mut given, share) {
            slice.flush(consumer);
            consumer.put_back(&picks[at..]);
            return Ok(slice.room);
        }
    }
    slice.flush(consumer);
    Ok(slice.room)
}

/// The entries that hold the picks, and which of them holds each; none: it is not there any more.
fn load(parts: &Parts, picks: &[Pick]) -> Result<(Vec<Bytes>, Vec<Option<usize>>), StorageError> {
    let (mut frames, mut frame_of) = (Vec::new(), Vec::with_capacity(picks.len()));
    let mut last = None;
    for pick in picks {
        let index = pick.position.index;
        if last.is_none_or(|(of, _)| of != index) {
            let frame = match parts.log.get(GroupId(parts.group), index) {
                Ok(stored) => {
                    frames.push(mainstem_raft::payload(&stored));
                    Some(frames.len() - 1)
                }
                Err(StorageError::Missing { .. }) => None,
                Err(error) => return Err(error),
            };
            last = Some((index, frame));
        }
        frame_of.push(last.and_then(|(_, frame)| frame));
    }
    Ok((frames, frame_of))
}

fn delivery_of<'a>(
    consumer: &Consumer,
    pick: &Pick,
    frame: &'a Bytes,
) -> Result<Option<Delivery<'a>>, StorageError> {
    let Some(native) = native(frame, pick.position.ordinal as usize)? else {
        return Ok(None);
    };
    let headers_only = consumer.config.headers_only;
    Ok(Some(Delivery {
        subject: native.subject,
        headers: native.headers,
        payload: if headers_only { &[] } else { native.payload },
        payload_len: native.payload.len(),
        headers_only,
        frame,
        timestamp_ns: pick.position.timestamp_ns,
        stream_seq: pick.position.seq,
        consumer_seq: 0,
        delivered: pick.count,
        pending: pick.pending,
        ack: consumer.takes_acks(),
    }))
}

/// The message that a command of an entry publishes. `None`: it was left out of the log, because nobody needs it.
pub(crate) fn native(
    entry: &[u8],
    ordinal: usize,
) -> Result<Option<mainstem_record::Native<'_>>, StorageError> {
    let damaged = |what: String| StorageError::Damaged {
        file: "log".into(),
        offset: 0,
        what,
    };
    let reader = EntryReader::new(entry).map_err(|error| damaged(error.to_string()))?;
    let command = reader
        .command(ordinal)
        .ok_or_else(|| damaged(format!("an entry has no command {ordinal}")))?;
    if command.is_empty() {
        return Ok(None);
    }
    match record_of(command).map_err(|error| damaged(error.to_string()))? {
        Some((_, Record::Native(native))) => Ok(Some(native)),
        _ => Err(damaged("a command publishes no message of its own".into())),
    }
}

/// Deliveries on their way to one recipient.
struct Slice<'a> {
    parts: &'a Parts,
    now_ns: u64,
    wall_ns: u64,
    room: Room,
    deliveries: Vec<Delivery<'a>>,
}

impl<'a> Slice<'a> {
    /// Gives a message to the one whose turn it is; false: nobody takes it.
    fn offer(
        &mut self,
        consumer: &mut Consumer,
        mut delivery: Delivery<'a>,
        pick: &Pick,
        given: &mut u64,
        share: u64,
    ) -> bool {
        if !consumer.is_push() && !self.turn(consumer, &delivery, given, share) {
            return false;
        }
        delivery.consumer_seq = consumer.note(pick, self.now_ns, self.wall_ns);
        self.deliveries.push(delivery);
        if let Some(request) = consumer
            .waiting
            .requests
            .front()
            .filter(|request| request.left == 0)
        {
            let status = request.completed();
            self.end_request(consumer, status.as_ref());
            *given = 0;
        }
        true
    }

    /// Finds the request whose turn it is, and counts the message for it.
    fn turn(
        &mut self,
        consumer: &mut Consumer,
        delivery: &Delivery<'a>,
        given: &mut u64,
        share: u64,
    ) -> bool {
        if *given >= share && consumer.waiting.len() > 1 {
            self.flush(consumer);
            consumer.waiting.requests.rotate_left(1);
            *given = 0;
        }
        loop {
            let Some(request) = consumer.waiting.requests.front_mut() else {
                return false;
            };
            let bytes = match request.bytes_left {
                Some(_) => self.wire_bytes(&consumer.handle, delivery),
                None => 0,
            };
            if request.take(bytes) {
                request.beat(self.now_ns);
                *given += 1;
                return true;
            }
            let status = request.too_large();
            self.end_request(consumer, Some(&status));
            *given = 0;
        }
    }

    fn wire_bytes(&self, consumer: &crate::service::handle::ConsumerRef, delivery: &Delivery<'a>) -> u64 {
        let own = delivery.subject.len() + delivery.headers.len() + delivery.payload.len();
        (own + self.parts.outlet.added_bytes(consumer, delivery)) as u64
    }

    /// The request whose turn it is ends: after its messages, with a word.
    fn end_request(&mut self, consumer: &mut Consumer, status: Option<&Status>) {
        self.flush(consumer);
        if let (Some(request), Some(status)) = (consumer.waiting.requests.pop_front(), status) {
            self.parts.outlet.status(&request.to, &consumer.handle, status);
        }
    }

    /// A message is not there any more.
    fn skip(&mut self, consumer: &mut Consumer, pick: &Pick) {
        let seq = pick.position.seq;
        if pick.is_new {
            consumer.next_seq = consumer.next_seq.max(seq + 1);
            consumer.last_per_subject.retain(|&listed| listed != seq);
        } else if consumer.pending.remove(seq).is_some() {
            consumer.news.given_up(seq);
        }
    }

    /// Sends what is collected to the one whose turn it was.
    fn flush(&mut self, consumer: &mut Consumer) {
        if self.deliveries.is_empty() {
            return;
        }
        let bytes = self.deliveries.iter().map(|delivery| {
            OVERHEAD_BYTES + (delivery.subject.len() + delivery.headers.len() + delivery.payload.len()) as u64
        });
        let bytes: u64 = bytes.sum();
        let outlet = &self.parts.outlet;
        let to = match (&consumer.push, consumer.waiting.requests.front()) {
            (Some(push), _) => &push.to,
            (None, Some(request)) => &request.to,
            (None, None) => return,
        };
        if outlet.deliver(to, &consumer.handle, &self.deliveries) == Room::Full {
            self.room = Room::Full;
        }
        self.deliveries.clear();
        if let Some(push) = &mut consumer.push {
            if let Some(id) = push.flow.as_mut().and_then(|flow| flow.sent(bytes)) {
                outlet.status(&push.to, &consumer.handle, &Status::FlowControl { id });
            }
            if push.next_heartbeat_ns.is_some() {
                push.next_heartbeat_ns = Some(self.now_ns + consumer.config.idle_heartbeat_ns.max(0) as u64);
            }
        }
        if consumer.config.rate_limit_bits_per_s > 0 {
            let takes_ns =
                u128::from(bytes) * 8 * 1_000_000_000 / u128::from(consumer.config.rate_limit_bits_per_s);
            let from_ns = consumer.pace.not_before_ns.max(self.now_ns);
            consumer.pace.not_before_ns = from_ns.saturating_add(u64::try_from(takes_ns).unwrap_or(u64::MAX));
        }
    }
}
