//! Handing a slice out: messages are read from the log, and go to those who wait.

use bytes::Bytes;
use mainstem_record::{EntryReader, Native, Record};
use mainstem_storage::{GroupId, StorageError};

use super::Parts;
use super::consumer::Consumer;
use super::picks::Pick;
use crate::command::record_of;
use crate::service::handle::ConsumerRef;
use crate::service::outlet::{Delivery, Room, Status};

/// What a delivery costs on the way besides its subject, headers and payload, about: for flow control and rates.
const OVERHEAD_BYTES: u64 = 64;

/// Delivers the picks to those who wait.
pub(super) fn hand_out(
    parts: &Parts,
    consumer: &mut Consumer,
    picks: &[Pick],
    now_ns: u64,
) -> Result<Room, StorageError> {
    if picks.is_empty() {
        return Ok(Room::More);
    }
    let (frames, frame_of) = load(parts, picks).inspect_err(|_| consumer.put_back(picks))?;
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
        let frame = frame_of[at].map(|frame| &frames[frame]);
        let delivery = match frame.map(|frame| delivery_of(consumer, pick, frame)).transpose() {
            Ok(delivery) => delivery.flatten(),
            // What stands before it goes out: it is noted as delivered.
            Err(error) => {
                slice.flush(consumer);
                consumer.put_back(&picks[at..]);
                return Err(error);
            }
        };
        let Some(delivery) = delivery else {
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
    // The next message is for the next one who waits.
    if given > 0 && consumer.waiting.len() > 1 {
        consumer.waiting.requests.rotate_left(1);
    }
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
pub(crate) fn native(entry: &[u8], ordinal: usize) -> Result<Option<Native<'_>>, StorageError> {
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
            if *given == 0 {
                consumer.waiting.drop_deaf_front(&*self.parts.outlet);
            }
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

    fn wire_bytes(&self, consumer: &ConsumerRef, delivery: &Delivery<'a>) -> u64 {
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
