//! Reading single messages, and many at once, a piece after the other.

use super::Streams;
use super::lane::Lane;
use super::types::{GetBatch, GetMessage, StoredMessage};
use crate::command::StreamId;
use crate::error::Error;
use crate::machine::{Position, View};
use crate::matching::Filters;

/// Subjects at most of which the last message is given at once, as nats-server.
const MAX_SUBJECTS: usize = 1024;

/// Messages of one batch at most.
const MAX_BATCH: usize = 1 << 20;

/// Bytes of one batch at most, and where the request has no limit: what nats-server lets wait for a client.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// Messages of one piece at most, and accounted bytes from which on a piece is full.
const PIECE: usize = 256;
const PIECE_BYTES: usize = 512 << 10;

/// How often a message is looked up again that was removed between looking and reading.
const LOOKS: usize = 3;

impl Streams {
    pub async fn get_message(
        &self,
        account: &str,
        stream: &str,
        get: GetMessage,
    ) -> Result<StoredMessage, Error> {
        let (placed, lane) = self.place(account, stream)?;
        for _ in 0..LOOKS {
            let found = lane.machine.with(|view| find(view, placed.id, &get))?;
            let Some(position) = found else { break };
            if let Some(message) = lane.load(&position)? {
                return Ok(message);
            }
        }
        Err(Error::NoMessageFound)
    }

    /// Several messages, read as they are asked for.
    pub fn get_batch(&self, account: &str, stream: &str, get: &GetBatch) -> Result<Batch<'_>, Error> {
        let (placed, lane) = self.place(account, stream)?;
        lane.machine.with(|view| Batch::begin(lane, view, placed.id, get))
    }
}

fn find(view: &mut View, id: StreamId, get: &GetMessage) -> Result<Option<Position>, Error> {
    Ok(match get {
        GetMessage::Seq(seq) => view.position(id, *seq)?,
        GetMessage::LastBySubject(subject) => view.last_match(id, &Filters::new([&**subject]))?,
        GetMessage::NextBySubject { subject, seq } => {
            view.next_match(id, &Filters::new([&**subject]), *seq)?
        }
        GetMessage::Since { subject, start_ns } => {
            let seq = view.seq_at_time(id, *start_ns)?;
            view.next_match(id, &filters(subject.as_deref().into_iter()), seq)?
        }
    })
}

fn filters<'a>(subjects: impl Iterator<Item = &'a str>) -> Filters {
    let subjects: Vec<&str> = subjects.filter(|subject| !subject.is_empty()).collect();
    Filters::new(subjects)
}

/// A batch that is being read. Between two pieces others have their turn: what is removed meanwhile is left out, and what
/// comes meanwhile is not in it.
pub struct Batch<'a> {
    lane: &'a Lane,
    stream: StreamId,
    filters: Filters,
    /// Messages that are known and not read yet.
    known: std::vec::IntoIter<Position>,
    /// More of them are looked for from here on, up to the stream's last message when the batch began.
    next: u64,
    end: u64,
    /// What was not looked at yet begins here.
    unread: u64,
    multi_last: bool,
    messages_left: usize,
    bytes_left: usize,
    /// Messages that match behind the last one that was read.
    pending: u64,
    last_seq: u64,
    up_to_seq: u64,
}

/// What is said at the end of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEnd {
    /// Messages that match and are not in the batch.
    pub pending: u64,
    /// Last sequence of the batch.
    pub last_seq: u64,
    /// The sequence up to which `multi_last` looked.
    pub up_to_seq: u64,
}

impl<'a> Batch<'a> {
    fn begin(lane: &'a Lane, view: &mut View, stream: StreamId, get: &GetBatch) -> Result<Self, Error> {
        let last_seq = view.stream(stream).ok_or(Error::StreamNotFound)?.last_seq;
        let mut batch = Self {
            lane,
            stream,
            filters: filters(get.subjects.iter().map(|subject| &**subject)),
            known: Vec::new().into_iter(),
            next: last_seq + 1,
            end: last_seq,
            unread: last_seq + 1,
            multi_last: get.multi_last,
            messages_left: limit(get.batch, MAX_BATCH),
            bytes_left: limit(get.max_bytes, MAX_BATCH_BYTES),
            pending: 0,
            last_seq: 0,
            up_to_seq: 0,
        };
        match get.multi_last {
            true => batch.find_last_of_each(view, get)?,
            false => {
                batch.next = match get.start_ns {
                    Some(start_ns) => view.seq_at_time(stream, start_ns)?,
                    None => get.seq.max(1),
                };
                batch.unread = batch.next;
                batch.pending = view.count_from(stream, &batch.filters, batch.next)?;
            }
        }
        Ok(batch)
    }

    fn find_last_of_each(&mut self, view: &mut View, get: &GetBatch) -> Result<(), Error> {
        self.up_to_seq = match (get.up_to_seq, get.up_to_ns) {
            (0, None) => self.end,
            (0, Some(up_to_ns)) => {
                let first_seq = view.stream(self.stream).map_or(1, |stream| stream.first_seq);
                match view.seq_at_time(self.stream, up_to_ns)? {
                    seq if seq > first_seq => seq - 1,
                    // Nothing was there yet.
                    _ => return Ok(()),
                }
            }
            (seq, _) => seq.min(self.end),
        };
        let mut last = view
            .last_of_few_subjects(self.stream, &self.filters, self.up_to_seq, MAX_SUBJECTS)?
            .ok_or(Error::TooManySubjects)?;
        last.retain(|position| position.seq >= get.seq);
        self.pending = last.len() as u64;
        self.known = last.into_iter();
        Ok(())
    }

    /// The next messages; none: this was all.
    pub fn read(&mut self) -> Result<Vec<StoredMessage>, Error> {
        let mut messages = Vec::new();
        while messages.is_empty() && self.messages_left > 0 && self.bytes_left > 0 {
            let piece = self.piece()?;
            if piece.is_empty() {
                break;
            }
            for position in piece {
                if self.bytes_left == 0 {
                    break;
                }
                self.unread = position.seq + 1;
                self.pending = self.pending.saturating_sub(1);
                let Some(mut message) = self.lane.load(&position)? else {
                    continue;
                };
                message.pending = self.pending;
                message.last_seq = self.last_seq;
                self.last_seq = message.seq;
                self.messages_left -= 1;
                let bytes = message.subject.len() + message.headers.len() + message.payload.len();
                self.bytes_left = self.bytes_left.saturating_sub(bytes);
                messages.push(message);
            }
        }
        Ok(messages)
    }

    /// Messages to be read together.
    fn piece(&mut self) -> Result<Vec<Position>, Error> {
        let most = self.messages_left.min(PIECE);
        let mut found: Vec<Position> = Vec::new();
        let mut bytes = 0;
        let mut is_room = |position: &Position| {
            let is_room = bytes < PIECE_BYTES;
            bytes += position.size as usize;
            is_room
        };
        if self.next > self.end {
            let rest = self.known.as_slice();
            let fitting = rest.iter().take(most).take_while(|position| is_room(position));
            let count = fitting.count();
            found.extend(self.known.by_ref().take(count));
            return Ok(found);
        }
        let (stream, next) = (self.stream, self.next);
        self.lane
            .machine
            .with(|view| view.next_matches(stream, &self.filters, next, most, &mut found))?;
        let is_last = found.len() < most;
        let fitting = found
            .iter()
            .take_while(|position| position.seq <= self.end && is_room(position));
        let count = fitting.count();
        self.next = match found.get(count) {
            Some(left_out) => left_out.seq,
            None if is_last => self.end + 1,
            None => found.last().map_or(self.end, |last| last.seq) + 1,
        };
        found.truncate(count);
        Ok(found)
    }

    /// What to say behind the last message.
    pub fn end(&self) -> Result<BatchEnd, Error> {
        let mut pending = self.pending;
        let (stream, from) = (self.stream, self.unread);
        if !self.multi_last {
            pending = self.lane.machine.with(|view| -> Result<u64, Error> {
                match view.stream(stream).is_some_and(|now| now.last_seq > self.end) {
                    true => Ok(view.count_from(stream, &self.filters, from)?),
                    false => Ok(pending),
                }
            })?;
        }
        Ok(BatchEnd {
            pending,
            last_seq: self.last_seq,
            up_to_seq: self.up_to_seq,
        })
    }
}

/// A limit of a request, where 0 is none.
fn limit(wanted: usize, most: usize) -> usize {
    match wanted {
        0 => most,
        _ => wanted.min(most),
    }
}
