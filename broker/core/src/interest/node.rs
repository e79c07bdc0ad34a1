//! Node-wide interest: which workers want a subject.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::trie::{Trie, Value};
use super::{SHARDS, WILDCARD_SHARD, shard_of};
use crate::tap::TapInterest;

/// A set of workers, one bit each.
pub type WorkerMask = u64;

/// What workers want at one filter.
#[derive(Clone, Default)]
pub struct Interest {
    /// Workers with a plain subscription.
    pub plain: WorkerMask,
    pub queues: Vec<QueueInterest>,
    /// Who takes its messages besides subscriptions.
    pub taps: Vec<TapInterest>,
}

/// One queue group at one filter.
#[derive(Clone)]
pub struct QueueInterest {
    pub name: Arc<[u8]>,
    /// Workers that have members, and how many. Counts change without a new version of the trie.
    pub members: Vec<(usize, Arc<AtomicU32>)>,
}

impl Value for Interest {
    fn is_empty(&self) -> bool {
        self.plain == 0 && self.queues.is_empty() && self.taps.is_empty()
    }
}

/// One account's interest on this node. Readers take no lock; writers take turns, a shard at a time.
pub struct NodeInterest {
    shards: [Shard; SHARDS],
}

#[derive(Default)]
struct Shard {
    trie: ArcSwap<Trie<Interest>>,
    /// Grows with each new version of the trie, after it is readable.
    generation: AtomicU64,
    writer: Mutex<()>,
}

impl Default for NodeInterest {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
        }
    }
}

impl NodeInterest {
    /// Generations of the two shards that decide about a subject of `shard`: a cached result is as good as new
    /// while they stand still.
    #[inline]
    pub fn generations(&self, shard: usize) -> (u64, u64) {
        let of = |shard: usize| self.shards[shard].generation.load(Ordering::Acquire);
        (of(shard), of(WILDCARD_SHARD))
    }

    /// Visits the interest of every filter that matches. Returns how many tokens decided about it, as
    /// [`Trie::visit`] does.
    pub fn visit(&self, subject: &[u8], mut visit: impl FnMut(&Interest)) -> usize {
        let shard = shard_of(subject);
        let decisive = self.shards[shard].trie.load().visit(subject, &mut visit);
        if shard == WILDCARD_SHARD {
            return decisive;
        }
        let wild = self.shards[WILDCARD_SHARD].trie.load().visit(subject, &mut visit);
        decisive.max(wild)
    }

    /// A worker's first plain subscription to `filter` came, or its last one went.
    pub fn set_plain(&self, filter: &[u8], worker: usize, wanted: bool) {
        self.update(filter, |interest| {
            if wanted {
                interest.plain |= 1 << worker;
            } else {
                interest.plain &= !(1 << worker);
            }
        });
    }

    /// A worker's first member of a queue group came. Returns the count to keep, set to one.
    pub fn add_queue(&self, filter: &[u8], name: &Arc<[u8]>, worker: usize) -> Arc<AtomicU32> {
        let count = Arc::new(AtomicU32::new(1));
        self.update(filter, |interest| {
            let at = interest
                .queues
                .iter()
                .position(|queue| queue.name == *name)
                .unwrap_or_else(|| {
                    interest.queues.push(QueueInterest {
                        name: Arc::clone(name),
                        members: Vec::new(),
                    });
                    interest.queues.len() - 1
                });
            interest.queues[at].members.push((worker, Arc::clone(&count)));
        });
        count
    }

    /// A worker's last member of a queue group went.
    pub fn remove_queue(&self, filter: &[u8], name: &[u8], worker: usize) {
        self.update(filter, |interest| {
            for queue in interest.queues.iter_mut().filter(|queue| *queue.name == *name) {
                queue.members.retain(|(member, _)| *member != worker);
            }
            interest.queues.retain(|queue| !queue.members.is_empty());
        });
    }

    /// A tap came.
    pub(crate) fn add_tap(&self, filter: &[u8], tap: TapInterest) {
        self.update(filter, |interest| interest.taps.push(tap));
    }

    /// A tap went.
    pub(crate) fn remove_tap(&self, filter: &[u8], number: u64) {
        self.update(filter, |interest| {
            interest.taps.retain(|tap| tap.number != number);
        });
    }

    /// Somebody subscribes to the subject, in a queue group or alone.
    pub fn has_subscribers(&self, subject: &[u8]) -> bool {
        let mut found = false;
        self.visit(subject, |interest| {
            found |= interest.plain != 0 || !interest.queues.is_empty();
        });
        found
    }

    fn update(&self, filter: &[u8], change: impl FnOnce(&mut Interest)) {
        let shard = &self.shards[shard_of(filter)];
        // A writer that panicked left the published trie as it was, so its poison means nothing.
        let _turn = shard.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut trie = Trie::clone(&shard.trie.load());
        trie.update(filter, change);
        shard.trie.store(Arc::new(trie));
        shard.generation.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_move_only_where_something_changed() {
        let interest = NodeInterest::default();
        let orders = shard_of(b"orders.new");
        let before = interest.generations(orders);
        interest.set_plain(b"_INBOX.x.*", 0, true);
        assert_eq!(interest.generations(orders), before);
        interest.set_plain(b"orders.*", 0, true);
        interest.set_plain(b">", 1, true);
        assert_eq!(interest.generations(orders), (before.0 + 1, before.1 + 1));
    }

    #[test]
    fn workers_and_queues_come_and_go() {
        let interest = NodeInterest::default();
        let name: Arc<[u8]> = Arc::from(&b"q"[..]);
        interest.set_plain(b"a.*", 3, true);
        interest.add_queue(b"a.b", &name, 1);
        interest.add_queue(b"a.b", &name, 2);
        let seen = |subject: &[u8]| {
            let (mut plain, mut members) = (0, 0);
            interest.visit(subject, |found| {
                plain |= found.plain;
                members += found
                    .queues
                    .iter()
                    .map(|queue| queue.members.len())
                    .sum::<usize>();
            });
            (plain, members)
        };
        assert_eq!(seen(b"a.b"), (8, 2));
        interest.remove_queue(b"a.b", b"q", 1);
        interest.set_plain(b"a.*", 3, false);
        assert_eq!(seen(b"a.b"), (0, 1));
    }
}
