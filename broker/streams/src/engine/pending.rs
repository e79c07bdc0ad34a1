//! Messages that were delivered and not acknowledged: until when, how often, and which are to be delivered again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::ops::RangeInclusive;

/// Stale deadlines that are kept before the heap is made anew.
const STALE: usize = 1024;

/// One message that waits for its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unacked {
    /// Consumer sequence of its first delivery.
    pub(super) consumer_seq: u64,
    /// Deliveries so far.
    pub(super) count: u64,
    /// When it is delivered again.
    deadline_ns: u64,
    /// It waits to be delivered again.
    queued: bool,
    /// It stands in the queue, also when it waits for a later time meanwhile.
    in_again: bool,
}

/// All of a consumer's, by stream sequence.
#[derive(Debug, Default)]
pub(super) struct Pending {
    unacked: BTreeMap<u64, Unacked>,
    /// Deadlines, soonest first. One that is not its message's own any more means nothing.
    deadlines: BinaryHeap<Reverse<(u64, u64)>>,
    again: VecDeque<u64>,
    redelivered: usize,
    queued: usize,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.unacked.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unacked.is_empty()
    }

    /// Messages that were delivered more than once.
    pub(super) fn redelivered(&self) -> usize {
        self.redelivered
    }

    /// Messages that wait to be delivered again.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Unacked> {
        self.unacked.get(&seq)
    }

    /// The lowest of them.
    pub(super) fn first(&self) -> Option<(u64, &Unacked)> {
        self.unacked.iter().next().map(|(&seq, unacked)| (seq, unacked))
    }

    pub(super) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.unacked.keys().copied()
    }

    /// The message was delivered for the `count`th time.
    pub(super) fn delivered(&mut self, seq: u64, consumer_seq: u64, count: u64, deadline_ns: u64) {
        let unacked = self.unacked.entry(seq).or_insert(Unacked {
            consumer_seq,
            count: 0,
            deadline_ns,
            queued: false,
            in_again: false,
        });
        if unacked.count <= 1 && count > 1 {
            self.redelivered += 1;
        }
        unacked.count = count;
        self.set_deadline(seq, deadline_ns);
    }

    /// Changes when the message is delivered again; it no longer waits for that now.
    pub(super) fn set_deadline(&mut self, seq: u64, deadline_ns: u64) {
        let Some(unacked) = self.unacked.get_mut(&seq) else {
            return;
        };
        unacked.deadline_ns = deadline_ns;
        if std::mem::take(&mut unacked.queued) {
            self.queued -= 1;
        }
        self.deadlines.push(Reverse((deadline_ns, seq)));
        if self.deadlines.len() > 2 * self.unacked.len() + STALE {
            self.deadlines = self
                .unacked
                .iter()
                .filter(|(_, unacked)| !unacked.queued)
                .map(|(&seq, unacked)| Reverse((unacked.deadline_ns, seq)))
                .collect();
        }
    }

    /// The message waits for nothing any more.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Unacked> {
        let unacked = self.unacked.remove(&seq)?;
        self.forget(&unacked);
        Some(unacked)
    }

    /// The same for all of a range: their sequences, ascending.
    pub(super) fn remove_range(&mut self, range: RangeInclusive<u64>) -> Vec<u64> {
        let removed: Vec<u64> = self.unacked.range(range).map(|(&seq, _)| seq).collect();
        for &seq in &removed {
            self.remove(seq);
        }
        removed
    }

    fn forget(&mut self, unacked: &Unacked) {
        self.redelivered -= usize::from(unacked.count > 1);
        self.queued -= usize::from(unacked.queued);
        if self.unacked.is_empty() {
            self.deadlines.clear();
            self.again.clear();
        }
    }

    /// Deliver it again as soon as possible.
    pub(super) fn queue(&mut self, seq: u64) {
        if let Some(unacked) = self.unacked.get_mut(&seq)
            && !std::mem::replace(&mut unacked.queued, true)
        {
            self.queued += 1;
            if !std::mem::replace(&mut unacked.in_again, true) {
                self.again.push_back(seq);
            }
        }
    }

    /// The next message to deliver again, with how often it was delivered. It stays queued until it is delivered.
    pub(super) fn next_queued(&mut self) -> Option<(u64, Unacked)> {
        while let Some(seq) = self.again.pop_front() {
            if let Some(unacked) = self.unacked.get_mut(&seq) {
                unacked.in_again = false;
                if unacked.queued {
                    return Some((seq, *unacked));
                }
            }
        }
        None
    }

    /// Puts back what [`next_queued`](Pending::next_queued) gave and was not delivered.
    pub(super) fn put_back(&mut self, seq: u64) {
        if let Some(unacked) = self.unacked.get_mut(&seq)
            && !std::mem::replace(&mut unacked.in_again, true)
        {
            self.again.push_front(seq);
        }
    }

    /// Messages whose time is over at `now_ns`, ascending. Each is to be queued, delayed or removed.
    pub(super) fn expired(&mut self, now_ns: u64) -> Vec<u64> {
        let mut expired = Vec::new();
        while let Some(&Reverse((deadline_ns, seq))) = self.deadlines.peek() {
            if deadline_ns > now_ns {
                break;
            }
            self.deadlines.pop();
            if self.is_current(seq, deadline_ns) {
                expired.push(seq);
            }
        }
        expired.sort_unstable();
        expired.dedup();
        expired
    }

    /// When the next message's time is over.
    pub(super) fn next_deadline(&mut self) -> Option<u64> {
        while let Some(&Reverse((deadline_ns, seq))) = self.deadlines.peek() {
            if self.is_current(seq, deadline_ns) {
                return Some(deadline_ns);
            }
            self.deadlines.pop();
        }
        None
    }

    /// The last deadline of all.
    pub(super) fn last_deadline(&self) -> Option<u64> {
        self.unacked.values().map(|unacked| unacked.deadline_ns).max()
    }

    fn is_current(&self, seq: u64, deadline_ns: u64) -> bool {
        self.unacked
            .get(&seq)
            .is_some_and(|unacked| unacked.deadline_ns == deadline_ns && !unacked.queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_acknowledged_in_time_expires_once() {
        let mut pending = Pending::default();
        pending.delivered(1, 1, 1, 100);
        pending.delivered(2, 2, 1, 101);
        assert_eq!(pending.next_deadline(), Some(100));
        assert_eq!(pending.expired(100), [1]);
        pending.queue(1);
        assert_eq!(pending.expired(100), []);
        assert_eq!(pending.next_deadline(), Some(101));
    }

    #[test]
    fn a_later_deadline_replaces_the_earlier() {
        let mut pending = Pending::default();
        pending.delivered(1, 1, 1, 100);
        pending.set_deadline(1, 200);
        assert_eq!(pending.expired(150), []);
        assert_eq!(pending.expired(200), [1]);
    }

    #[test]
    fn an_acknowledged_message_is_not_delivered_again() {
        let mut pending = Pending::default();
        pending.delivered(1, 1, 1, 100);
        pending.delivered(2, 2, 1, 100);
        pending.queue(1);
        pending.queue(2);
        assert!(pending.remove(1).is_some());
        assert_eq!(pending.next_queued().map(|(seq, _)| seq), Some(2));
        assert_eq!(pending.queued(), 1);
        pending.delivered(2, 3, 2, 300);
        assert_eq!((pending.queued(), pending.redelivered()), (0, 1));
        assert_eq!(pending.get(2).map(|unacked| unacked.consumer_seq), Some(2));
    }

    #[test]
    fn a_queued_message_that_gets_a_delay_waits_for_it() {
        let mut pending = Pending::default();
        pending.delivered(1, 1, 1, 100);
        pending.queue(1);
        pending.set_deadline(1, 500);
        assert_eq!(pending.next_queued(), None);
        assert_eq!(pending.expired(500), [1]);
    }

    #[test]
    fn a_message_stands_in_the_queue_once() {
        let mut pending = Pending::default();
        pending.delivered(1, 1, 1, 100);
        for _ in 0..3 {
            pending.queue(1);
            pending.set_deadline(1, 500);
        }
        pending.queue(1);
        assert_eq!(pending.again.len(), 1);
        assert_eq!(pending.next_queued().map(|(seq, _)| seq), Some(1));
        assert_eq!(pending.next_queued(), None);
        pending.put_back(1);
        pending.put_back(1);
        assert_eq!(pending.next_queued().map(|(seq, _)| seq), Some(1));
        assert_eq!(pending.next_queued(), None);
    }

    #[test]
    fn deadlines_of_what_was_acknowledged_do_not_pile_up() {
        let mut pending = Pending::default();
        pending.delivered(1, 1, 1, u64::MAX);
        for seq in 2..100_000 {
            pending.delivered(seq, seq, 1, 1_000_000 + seq);
            pending.remove(seq);
        }
        assert!(pending.deadlines.len() <= STALE + 3);
    }
}
