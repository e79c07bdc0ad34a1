//! A consumer that is in use: where it is, and what is under way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::input::Key;
use super::pending::Pending;
use super::picks::Counted;
use super::push::Push;
use super::waiting;
use crate::command::{self, SeqPair};
use crate::config::{AckPolicy, ConsumerConfig, Retention};
use crate::matching::Filters;
use crate::service::handle::ConsumerRef;

/// The runtime state of one consumer. The machine's state follows it by progress commands.
pub(super) struct Consumer {
    pub(super) key: Key,
    pub(super) handle: ConsumerRef,
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) retention: Retention,
    pub(super) created_ns: u64,
    pub(super) filters: Filters,
    /// The next stream sequence to look at.
    pub(super) next_seq: u64,
    pub(super) delivered: SeqPair,
    pub(super) floor: SeqPair,
    /// Stream sequences up to here may be delivered: that is committed.
    pub(super) reserved: u64,
    /// Reserved, or asked to be.
    pub(super) reserving: u64,
    /// Up to here an earlier leader may have delivered: what was, is a redelivery.
    pub(super) uncertain: u64,
    /// How many messages wait, where that is costly to count.
    pub(super) counted: Option<Counted>,
    /// The last message of each subject, to be delivered before all others.
    pub(super) last_per_subject: VecDeque<u64>,
    pub(super) pending: Pending,
    pub(super) waiting: waiting::Queue,
    pub(super) push: Option<Push>,
    pub(super) pace: Pace,
    pub(super) news: News,
    /// When it was last used, on the steady clock.
    pub(super) used_ns: u64,
    /// When it last delivered and was acknowledged, on the wall clock; 0: never.
    pub(super) last_delivery_ns: u64,
    pub(super) last_ack_ns: u64,
    /// It stands in the queue of those that may have something to deliver.
    pub(super) is_ready: bool,
}

/// When it may deliver next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Nothing before this, on the steady clock.
    pub(super) not_before_ns: u64,
    /// Replaying as published, up to this sequence.
    pub(super) original_up_to: Option<u64>,
    /// Timestamp of the last message that was replayed, and when that was on the steady clock.
    pub(super) last: Option<(u64, u64)>,
}

/// What the machine does not know yet.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Deliveries that are not acknowledged, by stream sequence.
    pub(super) pending: BTreeMap<u64, command::Pending>,
    /// Acknowledged, or terminated by the client.
    pub(super) done: Vec<(u64, u64)>,
    /// Delivered as often as allowed, or no longer there.
    pub(super) given_up: Vec<u64>,
    /// Those who want to know when what they said is committed.
    pub(super) confirm: Vec<Bytes>,
    /// Sequences up to here are to be reserved.
    pub(super) reserve: u64,
    /// The last delivery moved.
    pub(super) moved: bool,
}

impl News {
    /// Something that is to be committed at once.
    pub(super) fn is_urgent(&self) -> bool {
        !self.done.is_empty() || !self.given_up.is_empty() || !self.confirm.is_empty() || self.reserve > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_urgent() && !self.moved && self.pending.is_empty()
    }

    /// Notes that a message needs nothing any more. Neighbours are joined.
    pub(super) fn done(&mut self, seq: u64) {
        self.pending.remove(&seq);
        match self.done.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => self.done.push((seq, seq)),
        }
    }

    /// Notes that a message is not delivered any more, although nobody acknowledged it.
    pub(super) fn given_up(&mut self, seq: u64) {
        self.pending.remove(&seq);
        self.given_up.push(seq);
    }

    /// Takes in what was said before and is not committed: what was said since comes on top. Nobody waits for it any
    /// more, and what was to be reserved is asked for anew.
    pub(super) fn put_before(&mut self, mut older: News) {
        // Of a message that is done since, the machine hears in one command that it was pending and that it is done.
        std::mem::swap(&mut self.pending, &mut older.pending);
        self.pending.append(&mut older.pending);
        older.done.append(&mut self.done);
        self.done = older.done;
        older.given_up.append(&mut self.given_up);
        self.given_up = older.given_up;
        self.moved |= older.moved;
    }

    /// Notes that a range needs nothing any more.
    pub(super) fn range_done(&mut self, first: u64, last: u64) {
        let mut inside = self.pending.split_off(&first);
        let mut above = match last.checked_add(1) {
            Some(next) => inside.split_off(&next),
            None => BTreeMap::new(),
        };
        self.pending.append(&mut above);
        self.done.push((first, last));
    }
}

impl Consumer {
    pub(super) fn is_push(&self) -> bool {
        self.push.is_some()
    }

    pub(super) fn takes_acks(&self) -> bool {
        self.config.ack_policy != AckPolicy::None
    }

    /// How many more messages may wait for acknowledgement.
    pub(super) fn room(&self) -> usize {
        if !self.takes_acks() || self.config.max_ack_pending <= 0 {
            return usize::MAX;
        }
        (self.config.max_ack_pending as usize).saturating_sub(self.pending.len())
    }

    /// Deliveries of one message; `None`: no limit.
    pub(super) fn max_deliver(&self) -> Option<u64> {
        u64::try_from(self.config.max_deliver).ok().filter(|&max| max > 0)
    }

    /// How long the `count`th delivery of a message may take to be acknowledged.
    pub(super) fn ack_wait_ns(&self, count: u64) -> u64 {
        let wait_ns = match self.config.backoff_ns.as_slice() {
            [] => self.config.ack_wait_ns,
            steps => steps[(count.max(1) as usize - 1).min(steps.len() - 1)],
        };
        wait_ns.max(0) as u64
    }

    pub(super) fn inactive_threshold_ns(&self) -> Option<u64> {
        u64::try_from(self.config.inactive_threshold_ns)
            .ok()
            .filter(|&threshold| threshold > 0)
    }

    /// What is acknowledged leaves the stream.
    pub(super) fn removes(&self) -> bool {
        self.retention != Retention::Limits
    }

    /// Moves the acknowledgement floor after `seq` was acknowledged.
    pub(super) fn move_floor(&mut self) {
        match self.pending.first() {
            None => {
                self.floor = SeqPair {
                    consumer: self.delivered.consumer,
                    stream: self.next_seq.saturating_sub(1),
                }
            }
            Some((seq, first)) => {
                self.floor.stream = self.floor.stream.max(seq - 1);
                self.floor.consumer = self.floor.consumer.max(first.consumer_seq.saturating_sub(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(stream_seq: u64, count: u32) -> command::Pending {
        command::Pending {
            stream_seq,
            consumer_seq: stream_seq,
            delivered_ns: 1,
            count,
        }
    }

    #[test]
    fn what_was_not_committed_is_said_again_below_what_came_since() {
        let mut older = News::default();
        older.pending.insert(1, pending(1, 1));
        older.pending.insert(2, pending(2, 1));
        older.done(3);
        older.confirm.push(Bytes::from_static(b"r"));
        older.reserve = 50;
        let mut news = News::default();
        news.done(1);
        news.pending.insert(2, pending(2, 2));
        news.put_before(older);
        assert_eq!(news.done, [(3, 3), (1, 1)]);
        assert_eq!(news.pending[&1], pending(1, 1));
        assert_eq!(news.pending[&2], pending(2, 2));
        assert!(news.confirm.is_empty() && news.reserve == 0);
    }
}
