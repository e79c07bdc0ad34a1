//! A worker's own interest: which of its subscriptions want a subject. Single-threaded.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::node::NodeInterest;
use super::trie::{Trie, Value};
use super::{SHARDS, WILDCARD_SHARD, shard_of};
use crate::subscription::Subscription;

/// One worker's subscriptions of one account.
pub struct LocalInterest {
    worker: usize,
    shards: [(Trie<Here>, u64); SHARDS],
}

/// Subscriptions at one filter.
#[derive(Clone, Default)]
struct Here {
    plain: Vec<Rc<Subscription>>,
    queues: Vec<Queue>,
}

#[derive(Clone)]
struct Queue {
    name: Arc<[u8]>,
    members: Vec<Rc<Subscription>>,
    /// What the node-wide trie tells other workers.
    count: Arc<AtomicU32>,
}

impl Value for Here {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }
}

/// A queue group's name and its members.
pub type GroupMatch = (Arc<[u8]>, Vec<Rc<Subscription>>);

/// Subscriptions that match a subject. A queue group that matched through several filters is one group.
#[derive(Default)]
pub struct LocalMatch {
    pub plain: Vec<Rc<Subscription>>,
    pub queues: Vec<GroupMatch>,
    /// How many tokens of the subject decided about it, as [`Trie::visit`] counts them.
    pub decisive: usize,
}

impl LocalInterest {
    pub fn new(worker: usize) -> Self {
        Self {
            worker,
            shards: std::array::from_fn(|_| (Trie::default(), 0)),
        }
    }

    /// As [`NodeInterest::generations`], for this worker's own subscriptions.
    #[inline]
    pub fn generations(&self, shard: usize) -> (u64, u64) {
        (self.shards[shard].1, self.shards[WILDCARD_SHARD].1)
    }

    /// Adds a subscription here and, where it is the first of its kind, to the node's interest.
    pub fn insert(&mut self, subscription: &Rc<Subscription>, node: &NodeInterest) {
        let filter = subscription.filter();
        let (trie, generation) = &mut self.shards[shard_of(filter)];
        *generation += 1;
        let worker = self.worker;
        trie.update(filter, |here| match subscription.queue() {
            None => {
                if here.plain.is_empty() {
                    node.set_plain(filter, worker, true);
                }
                put(&mut here.plain, subscription);
            }
            Some(name) => match here.queues.iter_mut().find(|queue| *queue.name == *name) {
                Some(queue) => {
                    put(&mut queue.members, subscription);
                    queue.count.fetch_add(1, Ordering::Relaxed);
                }
                None => {
                    let name: Arc<[u8]> = Arc::from(name);
                    let count = node.add_queue(filter, &name, worker);
                    let mut members = Vec::with_capacity(1);
                    put(&mut members, subscription);
                    here.queues.push(Queue { name, members, count });
                }
            },
        });
    }

    /// Takes a subscription away, here and, where it was the last of its kind, from the node's interest.
    pub fn remove(&mut self, subscription: &Rc<Subscription>, node: &NodeInterest) {
        let filter = subscription.filter();
        let (trie, generation) = &mut self.shards[shard_of(filter)];
        *generation += 1;
        let worker = self.worker;
        trie.update(filter, |here| match subscription.queue() {
            None => {
                if take(&mut here.plain, subscription) && here.plain.is_empty() {
                    node.set_plain(filter, worker, false);
                }
            }
            Some(name) => {
                let Some(at) = here.queues.iter().position(|queue| *queue.name == *name) else {
                    return;
                };
                let queue = &mut here.queues[at];
                if take(&mut queue.members, subscription) {
                    queue.count.fetch_sub(1, Ordering::Relaxed);
                }
                if queue.members.is_empty() {
                    here.queues.swap_remove(at);
                    node.remove_queue(filter, name, worker);
                }
            }
        });
    }

    /// Queue groups at `filter` other than `name`; 0 when `name` is one of them.
    pub fn groups_beside(&self, filter: &[u8], name: &[u8]) -> usize {
        let Some(here) = self.shards[shard_of(filter)].0.get(filter) else {
            return 0;
        };
        let known = here.queues.iter().any(|queue| *queue.name == *name);
        if known { 0 } else { here.queues.len() }
    }

    /// Visits the plain subscriptions that match `subject`.
    pub(crate) fn visit_plain<'t>(&'t self, subject: &[u8], mut visit: impl FnMut(&'t Rc<Subscription>)) {
        let mut visit = |here: &'t Here| here.plain.iter().for_each(&mut visit);
        let shard = shard_of(subject);
        self.shards[shard].0.visit(subject, &mut visit);
        if shard != WILDCARD_SHARD {
            self.shards[WILDCARD_SHARD].0.visit(subject, &mut visit);
        }
    }

    /// All subscriptions that match `subject`.
    pub fn matches(&self, subject: &[u8]) -> LocalMatch {
        let mut found = LocalMatch::default();
        let mut collect = |here: &Here| {
            found.plain.extend(here.plain.iter().cloned());
            for queue in &here.queues {
                match found.queues.iter_mut().find(|(name, _)| *name == queue.name) {
                    Some((_, members)) => members.extend(queue.members.iter().cloned()),
                    None => found
                        .queues
                        .push((Arc::clone(&queue.name), queue.members.clone())),
                }
            }
        };
        let shard = shard_of(subject);
        let mut decisive = self.shards[shard].0.visit(subject, &mut collect);
        if shard != WILDCARD_SHARD {
            decisive = decisive.max(self.shards[WILDCARD_SHARD].0.visit(subject, &mut collect));
        }
        found.decisive = decisive;
        found
    }
}

/// Appends, and remembers where: a client may hold 100,000 subscriptions to one filter and close.
fn put(subscriptions: &mut Vec<Rc<Subscription>>, subscription: &Rc<Subscription>) {
    subscription.set_place(subscriptions.len());
    subscriptions.push(Rc::clone(subscription));
}

fn take(subscriptions: &mut Vec<Rc<Subscription>>, subscription: &Rc<Subscription>) -> bool {
    let place = subscription.place();
    if !subscriptions
        .get(place)
        .is_some_and(|have| Rc::ptr_eq(have, subscription))
    {
        return false;
    }
    subscriptions.swap_remove(place);
    if let Some(moved) = subscriptions.get(place) {
        moved.set_place(place);
    }
    true
}
