//! Reading single messages, and a few at once.

use super::Streams;
use super::lane::Lane;
use super::types::{Batch, GetBatch, GetMessage, StoredMessage};
use crate::command::StreamId;
use crate::error::Error;
use crate::machine::{Position, View};
use crate::matching::Filters;

/// Messages of one batch at most.
const MAX_BATCH: usize = 1024;

/// Bytes of one batch at most, where the request has no limit.
const MAX_BATCH_BYTES: usize = 1 << 20;

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

    /// Several messages at once.
    pub async fn get_batch(&self, account: &str, stream: &str, get: GetBatch) -> Result<Batch, Error> {
        let (placed, lane) = self.place(account, stream)?;
        match get.multi_last {
            true => last_of_each(lane, placed.id, &get),
            false => one_after_the_other(lane, placed.id, &get),
        }
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

fn one_after_the_other(lane: &Lane, id: StreamId, get: &GetBatch) -> Result<Batch, Error> {
    let filters = filters(get.subjects.iter().map(|subject| &**subject));
    let wanted = limit(get);
    let (positions, pending) = lane.machine.with(|view| -> Result<_, Error> {
        let mut seq = match get.start_ns {
            Some(start_ns) => view.seq_at_time(id, start_ns)?,
            None => get.seq.max(1),
        };
        let (mut positions, mut bytes) = (Vec::new(), 0);
        while positions.len() < wanted
            && bytes < max_bytes(get)
            && let Some(position) = view.next_match(id, &filters, seq)?
        {
            seq = position.seq + 1;
            bytes += position.size as usize;
            positions.push(position);
        }
        Ok((positions, view.count_from(id, &filters, seq)?))
    })?;
    read(lane, &positions, pending, 0)
}

fn last_of_each(lane: &Lane, id: StreamId, get: &GetBatch) -> Result<Batch, Error> {
    let filters = filters(get.subjects.iter().map(|subject| &**subject));
    let wanted = limit(get);
    let (positions, pending, up_to) = lane.machine.with(|view| -> Result<_, Error> {
        let last_seq = view.stream(id).ok_or(Error::StreamNotFound)?.last_seq;
        let up_to = match (get.up_to_seq, get.up_to_ns) {
            (0, None) => last_seq,
            (0, Some(up_to_ns)) => view
                .seq_at_time(id, up_to_ns.saturating_add(1))?
                .saturating_sub(1),
            (seq, _) => seq.min(last_seq),
        };
        let mut last = view.last_per_subject(id, &filters, up_to)?;
        if last.len() > MAX_BATCH {
            return Err(Error::TooManySubjects);
        }
        last.retain(|position| position.seq >= get.seq);
        let (mut positions, mut bytes) = (Vec::new(), 0);
        for position in &last {
            if positions.len() >= wanted || bytes >= max_bytes(get) {
                break;
            }
            bytes += position.size as usize;
            positions.push(*position);
        }
        let pending = (last.len() - positions.len()) as u64;
        Ok((positions, pending, up_to))
    })?;
    read(lane, &positions, pending, up_to)
}

fn limit(get: &GetBatch) -> usize {
    match get.batch {
        0 => MAX_BATCH,
        batch => batch.min(MAX_BATCH),
    }
}

fn max_bytes(get: &GetBatch) -> usize {
    match get.max_bytes {
        0 => MAX_BATCH_BYTES,
        bytes => bytes,
    }
}

/// Reads the messages; `pending` match and are not among them.
fn read(lane: &Lane, positions: &[Position], pending: u64, up_to_seq: u64) -> Result<Batch, Error> {
    let mut batch = Batch {
        pending,
        up_to_seq,
        ..Batch::default()
    };
    let mut left = pending + positions.len() as u64;
    for position in positions {
        left -= 1;
        let Some(mut message) = lane.load(position)? else {
            continue;
        };
        message.pending = left;
        message.last_seq = batch.last_seq;
        batch.last_seq = message.seq;
        batch.messages.push(message);
    }
    Ok(batch)
}
