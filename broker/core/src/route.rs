//! Where the messages of one subject go, worked out once and remembered while nothing changes.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::account::Account;
use crate::interest::{LocalInterest, WorkerMask, shard_of};
use crate::subject;
use crate::subscription::Subscription;
use crate::tap::{self, Tap};

/// All targets of a subject, as one worker sees them.
pub(crate) struct Route {
    stamp: Stamp,
    /// This worker's plain subscriptions.
    pub(crate) plain: Vec<Rc<Subscription>>,
    /// Other workers with plain subscriptions.
    pub(crate) workers: WorkerMask,
    pub(crate) queues: Vec<QueueRoute>,
    pub(crate) taps: Vec<Arc<dyn Tap>>,
    /// So many leading tokens decided; all subjects that begin with them and have more go the same way. `None`: the
    /// whole subject decides.
    decisive: Option<usize>,
}

/// One queue group: one member gets each message.
pub(crate) struct QueueRoute {
    pub(crate) name: Arc<[u8]>,
    /// This worker's members.
    pub(crate) members: Vec<Rc<Subscription>>,
    /// Other workers with members, and how many.
    pub(crate) workers: Vec<(usize, Arc<AtomicU32>)>,
}

/// Who takes a message of a queue group.
pub(crate) enum Pick {
    Member(usize),
    Worker(usize),
}

/// The versions that a route was worked out from.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    node: (u64, u64),
    local: (u64, u64),
}

impl Stamp {
    #[inline]
    fn now(account: &Account, local: &LocalInterest, shard: usize) -> Self {
        Self {
            node: account.interest.generations(shard),
            local: local.generations(shard),
        }
    }
}

impl QueueRoute {
    /// Picks by `random`, each member of the node with the same chance. `None`: no member is left.
    pub(crate) fn pick(&self, random: u64) -> Option<Pick> {
        let local = self.members.len() as u64;
        let total = local + self.workers.iter().map(weight).sum::<u64>();
        if total == 0 {
            return None;
        }
        let mut at = random % total;
        if at < local {
            return Some(Pick::Member(at as usize));
        }
        at -= local;
        for worker in &self.workers {
            let weight = weight(worker);
            if at < weight {
                return Some(Pick::Worker(worker.0));
            }
            at -= weight;
        }
        // Counts moved between the sum and here.
        (local > 0).then_some(Pick::Member(0))
    }
}

fn weight((_, count): &(usize, Arc<AtomicU32>)) -> u64 {
    u64::from(count.load(Ordering::Relaxed))
}

impl Route {
    /// Works the route out.
    pub(crate) fn build(worker: usize, account: &Account, local: &LocalInterest, subject: &[u8]) -> Self {
        // The stamp comes first: a change in between makes the route stale, never wrongly fresh.
        let stamp = Stamp::now(account, local, shard_of(subject));
        let mut route = Self {
            stamp,
            plain: Vec::new(),
            workers: 0,
            queues: Vec::new(),
            taps: Vec::new(),
            decisive: None,
        };
        if subject::tokens(subject).any(<[u8]>::is_empty) {
            return route;
        }
        let matches = local.matches(subject);
        let mut is_checked = false;
        route.plain = matches.plain;
        let mut may_get = |target: &Rc<Subscription>| {
            is_checked |= target.conn().has_rights();
            !target.conn().denies_delivery(target, subject)
        };
        route.plain.retain(&mut may_get);
        for (name, mut members) in matches.queues {
            members.retain(&mut may_get);
            route.queues.push(QueueRoute {
                name,
                members,
                workers: Vec::new(),
            });
        }
        let decisive = account.interest.visit(subject, |interest| {
            route.workers |= interest.plain & !(1 << worker);
            tap::add_once(&mut route.taps, &interest.taps);
            for queue in &interest.queues {
                let others = queue.members.iter().filter(|(member, _)| *member != worker);
                let others: Vec<_> = others
                    .map(|(member, count)| (*member, Arc::clone(count)))
                    .collect();
                if others.is_empty() {
                    continue;
                }
                match route.queues.iter_mut().find(|have| have.name == queue.name) {
                    Some(have) => have.workers.extend(others),
                    None => route.queues.push(QueueRoute {
                        name: Arc::clone(&queue.name),
                        members: Vec::new(),
                        workers: others,
                    }),
                }
            }
        });
        // The first token has chosen the shard in any case.
        let decisive = decisive.max(matches.decisive).max(1);
        let is_wide = !is_checked && decisive < subject::tokens(subject).count();
        route.decisive = is_wide.then_some(decisive);
        route
    }

    /// Nothing that it was worked out from has changed.
    #[inline]
    pub(crate) fn is_fresh(&self, account: &Account, local: &LocalInterest, shard: usize) -> bool {
        self.stamp == Stamp::now(account, local, shard)
    }

    pub(crate) fn decisive(&self) -> Option<usize> {
        self.decisive
    }

    pub(crate) fn targets(&self) -> usize {
        self.plain.len() + self.queues.iter().map(|queue| queue.members.len()).sum::<usize>()
    }
}
