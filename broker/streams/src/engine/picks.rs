//! Which messages a consumer gets next.

use super::Engine;
use super::consumer::Consumer;
use super::input::Key;
use crate::machine::{Position, StreamState, View};
use mainstem_storage::StorageError;

/// Messages of one slice at most.
pub(super) const SLICE: usize = 256;

/// Bytes of one slice, about.
const SLICE_BYTES: u64 = 256 << 10;

/// Stream sequences that are reserved ahead.
const AHEAD: u64 = 2048;

/// A message to deliver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    pub(super) position: Position,
    /// How often it will have been delivered.
    pub(super) count: u64,
    /// It was not delivered before by this leader.
    pub(super) is_new: bool,
    /// Messages that wait for the consumer after this one.
    pub(super) pending: u64,
}

/// Why there are not more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// There are no more.
    End,
    /// There may be more.
    Slice,
    /// Too many wait for acknowledgement.
    Unacked,
    /// Sequences up to this one have to be reserved first.
    Reserve(u64),
}

/// The next messages of a consumer.
#[derive(Debug)]
pub(super) struct Picks {
    pub(super) list: Vec<Pick>,
    pub(super) stop: Stop,
    /// Messages that were delivered as often as allowed, with that number.
    pub(super) give_up: Vec<(u64, u64)>,
    /// Messages that are not there any more.
    pub(super) gone: Vec<u64>,
}

impl Picks {
    fn is_full(&self, limit: usize, bytes: u64) -> bool {
        self.list.len() >= limit || bytes >= SLICE_BYTES
    }
}

impl Engine {
    /// Messages that wait for the consumer now.
    pub(super) fn waiting_messages(&mut self, key: Key) -> u64 {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return 0;
        };
        let queued = consumer.pending.queued() as u64;
        let pending = self.parts.machine.with(|view| count_all(view, consumer));
        pending.unwrap_or(0) + queued
    }
}

/// At most `wanted` messages, and `bytes` of them where that is a limit.
pub(super) fn collect(
    view: &mut View,
    consumer: &mut Consumer,
    wanted: u64,
    max_bytes: u64,
) -> Result<Picks, StorageError> {
    let limit = SLICE.min(usize::try_from(wanted).unwrap_or(SLICE));
    let mut picks = Picks {
        list: Vec::new(),
        stop: Stop::Slice,
        give_up: Vec::new(),
        gone: Vec::new(),
    };
    match fill(view, consumer, &mut picks, limit, max_bytes) {
        Ok(()) => Ok(picks),
        Err(error) => {
            consumer.put_back(&picks.list);
            for &(seq, _) in &picks.give_up {
                consumer.pending.put_back(seq);
            }
            Err(error)
        }
    }
}

fn fill(
    view: &mut View,
    consumer: &mut Consumer,
    picks: &mut Picks,
    limit: usize,
    max_bytes: u64,
) -> Result<(), StorageError> {
    let mut bytes = SLICE_BYTES.saturating_sub(max_bytes);
    redeliveries(view, consumer, picks, limit, &mut bytes)?;
    let passed = fresh(view, consumer, picks, limit, &mut bytes)?;
    let mut pending = count_pending(view, consumer, &passed)?;
    for pick in picks.list.iter_mut().rev() {
        pick.pending = pending;
        pending += u64::from(pick.is_new);
    }
    Ok(())
}

fn redeliveries(
    view: &mut View,
    consumer: &mut Consumer,
    picks: &mut Picks,
    limit: usize,
    bytes: &mut u64,
) -> Result<(), StorageError> {
    while !picks.is_full(limit, *bytes) {
        let Some((seq, unacked)) = consumer.pending.next_queued() else {
            break;
        };
        if consumer.max_deliver().is_some_and(|max| unacked.count >= max) {
            picks.give_up.push((seq, unacked.count));
            continue;
        }
        let position = view
            .position(consumer.key.0, seq)
            .inspect_err(|_| consumer.pending.put_back(seq))?;
        match position {
            Some(position) => {
                *bytes += u64::from(position.size);
                picks.list.push(Pick {
                    position,
                    count: unacked.count + 1,
                    is_new: false,
                    pending: 0,
                });
            }
            None => picks.gone.push(seq),
        }
    }
    Ok(())
}

/// Messages that were not delivered yet: first those of the list of last messages, then what follows in the stream.
fn fresh(
    view: &mut View,
    consumer: &Consumer,
    picks: &mut Picks,
    limit: usize,
    bytes: &mut u64,
) -> Result<Passed, StorageError> {
    let mut passed = Passed {
        next_seq: consumer.next_seq,
        listed: 0,
        matched: 0,
    };
    let mut room = consumer.room();
    while let Some(&seq) = consumer.last_per_subject.get(passed.listed) {
        if picks.is_full(limit, *bytes) {
            return Ok(passed);
        }
        // One that is not there any more was removed meanwhile.
        if let Some(position) = view.position(consumer.key.0, seq)?
            && !pick(consumer, picks, &position, &mut room, bytes)
        {
            return Ok(passed);
        }
        passed.listed += 1;
    }
    let wanted = limit.saturating_sub(picks.list.len()).min(room.max(1));
    let mut positions = Vec::with_capacity(wanted);
    view.next_matches(
        consumer.key.0,
        &consumer.filters,
        passed.next_seq,
        wanted,
        &mut positions,
    )?;
    let all = positions.len();
    for position in positions {
        if picks.is_full(limit, *bytes) || !pick(consumer, picks, &position, &mut room, bytes) {
            return Ok(passed);
        }
        passed.next_seq = position.seq + 1;
        passed.matched += 1;
    }
    if all < wanted {
        picks.stop = Stop::End;
    }
    Ok(passed)
}

/// How far picking came.
struct Passed {
    /// Where the next slice begins.
    next_seq: u64,
    /// Messages of the list.
    listed: usize,
    /// Messages behind the list.
    matched: u64,
}

/// Takes a message that was not delivered yet; false: it has to wait, and [`Picks::stop`] says why.
fn pick(
    consumer: &Consumer,
    picks: &mut Picks,
    position: &Position,
    room: &mut usize,
    bytes: &mut u64,
) -> bool {
    if *room == 0 {
        picks.stop = Stop::Unacked;
        return false;
    }
    if consumer.takes_acks() && position.seq > consumer.reserved {
        picks.stop = Stop::Reserve(position.seq);
        return false;
    }
    let count = if position.seq <= consumer.uncertain { 2 } else { 1 };
    if consumer.max_deliver().is_some_and(|max| count > max) {
        picks.give_up.push((position.seq, count - 1));
        return true;
    }
    *bytes += u64::from(position.size);
    *room = room.saturating_sub(1);
    picks.list.push(Pick {
        position: *position,
        count,
        is_new: true,
        pending: 0,
    });
    true
}

/// What is known of how many messages wait behind a sequence, as long as nothing is removed there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    next_seq: u64,
    /// The stream's last sequence when it was counted.
    last_seq: u64,
    /// Removals inside the stream until then.
    removals: u64,
    count: u64,
}

impl Counted {
    /// Nothing of what was counted was removed.
    fn holds(&self, stream: &StreamState) -> bool {
        if stream.first_seq > self.next_seq {
            return false;
        }
        let counted = self.next_seq..=self.last_seq;
        let since = stream.removals_inside().checked_sub(self.removals);
        let removed = since.and_then(|count| stream.removed_inside(count));
        self.count == 0 || removed.is_some_and(|mut removed| !removed.any(|seq| counted.contains(&seq)))
    }
}

/// Messages behind what was passed that match, and those that are left of the list of last messages.
fn count_pending(view: &mut View, consumer: &mut Consumer, passed: &Passed) -> Result<u64, StorageError> {
    let listed = consumer.last_per_subject.len().saturating_sub(passed.listed) as u64;
    let (id, next_seq) = (consumer.key.0, passed.next_seq);
    let Some(stream) = view.stream(id) else {
        return Ok(listed);
    };
    let (last_seq, removals) = (stream.last_seq, stream.removals_inside());
    let holds = |counted: &Counted| counted.next_seq == consumer.next_seq && counted.holds(stream);
    let known = match consumer.counted.filter(holds) {
        Some(counted) => {
            with_new(view, consumer, &counted, last_seq)?.map(|count| count.saturating_sub(passed.matched))
        }
        None => None,
    };
    let count = match known {
        Some(count) => count,
        None => view.count_from(id, &consumer.filters, next_seq)?,
    };
    consumer.counted = Some(Counted {
        next_seq,
        last_seq,
        removals,
        count,
    });
    Ok(listed + count)
}

/// The count with what was stored since; `None`: that is too much to go through.
fn with_new(
    view: &mut View,
    consumer: &Consumer,
    counted: &Counted,
    last_seq: u64,
) -> Result<Option<u64>, StorageError> {
    if last_seq == counted.last_seq {
        return Ok(Some(counted.count));
    }
    let from = counted.next_seq.max(counted.last_seq + 1);
    let new = match view.count_near(consumer.key.0, &consumer.filters, from)? {
        Some(new) => new,
        None => {
            let mut new = Vec::new();
            view.next_matches(consumer.key.0, &consumer.filters, from, SLICE, &mut new)?;
            if new.len() >= SLICE {
                return Ok(None);
            }
            new.len() as u64
        }
    };
    Ok(Some(counted.count + new))
}

/// All that waits, when nothing is passed.
pub(super) fn count_all(view: &mut View, consumer: &mut Consumer) -> Result<u64, StorageError> {
    let nothing = Passed {
        next_seq: consumer.next_seq,
        listed: 0,
        matched: 0,
    };
    count_pending(view, consumer, &nothing)
}

impl Consumer {
    /// The sequence up to which to reserve, where that is due. `needed`: a delivery waits for it.
    pub(super) fn reservation(&self, needed: Option<u64>) -> Option<u64> {
        let from = match needed {
            Some(seq) => seq,
            None if self.takes_acks() && self.next_seq + AHEAD / 2 > self.reserving => self.next_seq,
            None => return None,
        };
        // What can be delivered once only is lost when it is reserved and not delivered: not far ahead then.
        let ahead = if self.max_deliver() == Some(1) {
            AHEAD / 32
        } else {
            AHEAD
        };
        Some(from + ahead).filter(|&up_to| up_to > self.reserving)
    }

    /// Nothing beyond the last delivery was delivered: who takes up the consumer next need not think so. False: nothing
    /// is reserved.
    pub(super) fn takes_back_reserved(&mut self) -> bool {
        let takes_back = self.takes_acks() && self.reserved > self.delivered.stream;
        if takes_back {
            self.reserved = self.delivered.stream;
            self.reserving = self.reserved;
            self.news.moved = true;
        }
        takes_back
    }
}
