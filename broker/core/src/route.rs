//! Where the messages of one subject go, worked out once and remembered while nothing changes.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::account::{Account, AccountId};
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
    fn build(worker: usize, account: &Account, local: &LocalInterest, subject: &[u8]) -> Self {
        // The stamp comes first: a change in between makes the route stale, never wrongly fresh.
        let stamp = Stamp::now(account, local, shard_of(subject));
        let mut route = Self {
            stamp,
            plain: Vec::new(),
            workers: 0,
            queues: Vec::new(),
            taps: Vec::new(),
        };
        if subject::tokens(subject).any(<[u8]>::is_empty) {
            return route;
        }
        let matches = local.matches(subject);
        route.plain = matches.plain;
        route
            .plain
            .retain(|target| !target.conn().denies_delivery(target, subject));
        for (name, mut members) in matches.queues {
            members.retain(|target| !target.conn().denies_delivery(target, subject));
            route.queues.push(QueueRoute {
                name,
                members,
                workers: Vec::new(),
            });
        }
        account.interest.visit(subject, |interest| {
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
        route
    }

    fn targets(&self) -> usize {
        self.plain.len() + self.queues.iter().map(|queue| queue.members.len()).sum::<usize>()
    }
}

/// One worker's routes: a table of fixed size in which a new subject takes the place of another.
pub(crate) struct RouteCache {
    slots: Vec<Option<Slot>>,
    hasher: foldhash::fast::RandomState,
    /// Targets that all remembered routes hold.
    targets: usize,
}

struct Slot {
    account: AccountId,
    subject: Box<[u8]>,
    shard: usize,
    route: Rc<Route>,
}

/// Targets that a cache holds at most (8 bytes each); past it the cache starts anew.
const MAX_TARGETS: usize = 1 << 20;

impl RouteCache {
    pub(crate) fn new(entries: usize) -> Self {
        let slots = entries.clamp(64, 1 << 20).next_power_of_two();
        Self {
            slots: std::iter::repeat_with(|| None).take(slots).collect(),
            hasher: foldhash::fast::RandomState::default(),
            targets: 0,
        }
    }

    /// The route of `subject`: remembered, or worked out now.
    #[inline]
    pub(crate) fn route(
        &mut self,
        worker: usize,
        account: &Account,
        local: &LocalInterest,
        subject: &[u8],
    ) -> Rc<Route> {
        let at = self.place(account.id, subject);
        if let Some(slot) = &self.slots[at]
            && slot.account == account.id
            && *slot.subject == *subject
            && slot.route.stamp == Stamp::now(account, local, slot.shard)
        {
            return Rc::clone(&slot.route);
        }
        self.remember(at, worker, account, local, subject)
    }

    #[inline]
    fn place(&self, account: AccountId, subject: &[u8]) -> usize {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = self.hasher.build_hasher();
        hasher.write(subject);
        hasher.write_u32(account.0);
        hasher.finish() as usize & (self.slots.len() - 1)
    }

    #[cold]
    fn remember(
        &mut self,
        at: usize,
        worker: usize,
        account: &Account,
        local: &LocalInterest,
        subject: &[u8],
    ) -> Rc<Route> {
        let route = Rc::new(Route::build(worker, account, local, subject));
        if let Some(old) = self.slots[at].take() {
            self.targets -= old.route.targets();
        }
        if self.targets + route.targets() > MAX_TARGETS {
            self.clear();
        }
        self.targets += route.targets();
        self.slots[at] = Some(Slot {
            account: account.id,
            subject: Box::from(subject),
            shard: shard_of(subject),
            route: Rc::clone(&route),
        });
        route
    }

    fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.targets = 0;
    }
}
