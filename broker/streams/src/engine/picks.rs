//! Which messages a consumer gets next.

use super::Engine;
use super::consumer::Consumer;
use super::input::Key;
use crate::machine::{Position, View};
use mainstem_storage::StorageError;

/// Messages of one slice at most.
const SLICE: usize = 256;

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
        let pending = self
            .parts
            .machine
            .with(|view| count_pending(view, consumer, consumer.next_seq, 0));
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
    let mut bytes = SLICE_BYTES.saturating_sub(max_bytes);
    redeliveries(view, consumer, &mut picks, limit, &mut bytes)?;
    let (next_seq, from_list) = fresh(view, consumer, &mut picks, limit, &mut bytes)?;
    let mut pending = count_pending(view, consumer, next_seq, from_list)?;
    for pick in picks.list.iter_mut().rev() {
        pick.pending = pending;
        pending += u64::from(pick.is_new);
    }
    Ok(picks)
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
        match view.position(consumer.key.0, seq)? {
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

/// Messages that were not delivered yet. Says where the next slice begins: at which sequence, and at which place of the
/// list of last messages.
fn fresh(
    view: &mut View,
    consumer: &mut Consumer,
    picks: &mut Picks,
    limit: usize,
    bytes: &mut u64,
) -> Result<(u64, usize), StorageError> {
    let (mut next_seq, mut listed) = (consumer.next_seq, 0);
    let mut room = consumer.room();
    loop {
        if picks.is_full(limit, *bytes) {
            break;
        }
        if room == 0 {
            picks.stop = Stop::Unacked;
            break;
        }
        let position = match consumer.last_per_subject.get(listed) {
            Some(&seq) => {
                listed += 1;
                view.position(consumer.key.0, seq)?
            }
            None => match view.next_match(consumer.key.0, &consumer.filters, next_seq)? {
                Some(position) => Some(position),
                None => {
                    picks.stop = Stop::End;
                    break;
                }
            },
        };
        // A listed message that was removed meanwhile.
        let Some(position) = position else { continue };
        let seq = position.seq;
        if consumer.takes_acks() && seq > consumer.reserved {
            listed -= usize::from(listed > 0 && seq < next_seq);
            picks.stop = Stop::Reserve(seq);
            break;
        }
        let count = if seq <= consumer.uncertain { 2 } else { 1 };
        next_seq = next_seq.max(seq + 1);
        if consumer.max_deliver().is_some_and(|max| count > max) {
            picks.give_up.push((seq, count - 1));
            continue;
        }
        *bytes += u64::from(position.size);
        room = room.saturating_sub(1);
        picks.list.push(Pick {
            position,
            count,
            is_new: true,
            pending: 0,
        });
    }
    Ok((next_seq, listed))
}

/// Messages from `next_seq` on that match, and those of the list of last messages behind its first `listed`.
pub(super) fn count_pending(
    view: &mut View,
    consumer: &Consumer,
    next_seq: u64,
    listed: usize,
) -> Result<u64, StorageError> {
    let rest = consumer.last_per_subject.len().saturating_sub(listed) as u64;
    Ok(rest + view.count_from(consumer.key.0, &consumer.filters, next_seq)?)
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
}
