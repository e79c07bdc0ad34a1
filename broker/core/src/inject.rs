//! What the broker itself publishes: answers of an API, acknowledgements, deliveries of a consumer.
//!
//! An [`Injection`] is filled on any thread and handed to the workers whose subscriptions want it, one wake-up each.
//! Its subjects are mostly used once (an inbox a request), so they are matched directly: the route cache is for
//! subjects that come back.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::account::{Account, AccountId};
use crate::interest::{QueueInterest, WorkerMask};
use crate::message::{Batch, Body, Message};
use crate::node::{Node, WorkerMessage};
use crate::subscription::Subscription;
use crate::tap::{self, Source, Tap};
use crate::worker::{LocalAccount, Worker};

/// Messages of the broker for one account. Those with equal routes stay in order, also from one injection to the next
/// of the same thread.
pub struct Injection {
    account: Arc<Account>,
    batch: Batch,
    captured: bool,
}

/// What became of an [`Injection`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Messages that somebody is there for, as far as the node-wide interest says.
    pub reached: usize,
    /// More waits for a worker now than its bound: come again later.
    pub full: bool,
}

impl Injection {
    pub fn new(account: &Arc<Account>) -> Self {
        Self {
            account: Arc::clone(account),
            batch: Batch::default(),
            captured: false,
        }
    }

    /// Taps take these messages as well: a stream stores them, an API answers them. Without it they are for subscriptions
    /// only, so that a delivery does not come back by accident.
    #[must_use]
    pub fn captured(mut self) -> Self {
        self.captured = true;
        self
    }

    /// Closes `gate` for a while when a recipient has fallen behind.
    #[must_use]
    pub fn gated(mut self, gate: &Arc<Gate>) -> Self {
        self.batch.gate = Some(Arc::clone(gate));
        self
    }

    /// Adds a message: it goes to the subscriptions that match `route`, which see `subject`. `headers` is a header block
    /// with its blank line; empty: none. An empty `reply`: none.
    pub fn push(&mut self, route: &[u8], subject: &[u8], reply: &[u8], headers: &[u8], payload: &[u8]) {
        let message = Message {
            route,
            subject,
            reply,
            header_len: headers.len(),
            body: Body::Parts(headers, payload),
        };
        self.batch.add(self.account.id, &message);
    }

    /// The same for headers and payload in one block, of which the first `header_len` bytes are headers: the block is
    /// kept, not copied.
    pub fn push_shared(
        &mut self,
        route: &[u8],
        subject: &[u8],
        reply: &[u8],
        header_len: usize,
        body: &Bytes,
    ) {
        let message = Message {
            route,
            subject,
            reply,
            header_len,
            body: Body::Shared(body),
        };
        self.batch.add(self.account.id, &message);
    }

    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Bytes that it holds, about.
    pub fn size_bytes(&self) -> usize {
        self.batch.size_bytes()
    }
}

impl Node {
    /// Hands an injection to the workers whose subscriptions want its messages.
    pub fn inject(&self, injection: Injection) -> Injected {
        let Injection {
            account,
            mut batch,
            captured,
        } = injection;
        let mut injected = Injected::default();
        let mut workers = 0;
        for at in 0..batch.runs.len() {
            let targets = address(&account, &mut batch, at, captured);
            workers |= targets.workers;
            if targets.anybody {
                injected.reached += batch.runs[at].entries.len();
            }
        }
        injected.full = self.send_batch(batch, workers);
        injected
    }

    /// More waits for some worker than its bound: whoever injects much waits a while.
    pub fn is_full(&self) -> bool {
        let is_full = |worker| self.waiting_bytes(worker) > self.limits.worker_queue_bytes;
        (0..self.worker_count()).any(is_full)
    }

    /// Sends a batch to each of `workers`; says whether more than its bound waits for one of them now.
    fn send_batch(&self, batch: Batch, mut workers: WorkerMask) -> bool {
        let bytes = batch.size_bytes();
        let batch = Arc::new(batch);
        let mut full = false;
        while workers != 0 {
            let worker = workers.trailing_zeros() as usize;
            workers &= workers - 1;
            let waiting = self.send(worker, WorkerMessage::Batch(Arc::clone(&batch)), bytes);
            full |= waiting > self.limits.worker_queue_bytes;
        }
        full
    }
}

/// Where a run goes.
struct Targets {
    workers: WorkerMask,
    anybody: bool,
}

/// Writes into a run of the batch which workers it is for, and appends what goes to queue groups.
fn address(account: &Account, batch: &mut Batch, at: usize, captured: bool) -> Targets {
    let mut plain = 0;
    let mut queues: Vec<QueueInterest> = Vec::new();
    let mut taps: Vec<Arc<dyn Tap>> = Vec::new();
    account.interest.visit(batch.route(&batch.runs[at]), |interest| {
        plain |= interest.plain;
        interest.queues.iter().for_each(|queue| join(&mut queues, queue));
        if captured {
            tap::add_once(&mut taps, &interest.taps);
        }
    });
    let run = batch.run(&batch.runs[at]);
    let source = Source {
        account: account.id,
        worker: 0,
        conn: 0,
    };
    taps.iter().for_each(|tap| tap.take(source, &run));
    batch.runs[at].workers = plain;
    let workers = plain | send_to_queues(batch, at, &queues);
    Targets {
        workers,
        anybody: workers != 0 || !taps.is_empty(),
    }
}

/// A queue group that is there at several filters is one group.
fn join(queues: &mut Vec<QueueInterest>, found: &QueueInterest) {
    match queues.iter_mut().find(|queue| queue.name == found.name) {
        Some(queue) => queue.members.extend_from_slice(&found.members),
        None => queues.push(found.clone()),
    }
}

fn send_to_queues(batch: &mut Batch, at: usize, queues: &[QueueInterest]) -> WorkerMask {
    let mut workers = 0;
    for queue in queues {
        for entry in batch.runs[at].entries.clone() {
            if let Some(worker) = pick(queue) {
                batch.add_queue_run(at, entry, &queue.name, worker);
                workers |= 1 << worker;
            }
        }
    }
    workers
}

/// A worker with members of the group, each member with the same chance.
fn pick(queue: &QueueInterest) -> Option<usize> {
    let weight = |count: &std::sync::atomic::AtomicU32| u64::from(count.load(Ordering::Relaxed));
    let total: u64 = queue.members.iter().map(|(_, count)| weight(count)).sum();
    let mut at = random().checked_rem(total)?;
    for (worker, count) in &queue.members {
        let weight = weight(count);
        if at < weight {
            return Some(*worker);
        }
        at -= weight;
    }
    queue.members.first().map(|(worker, _)| *worker)
}

/// splitmix64: an even spread over queue members.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let x = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) >> 16
}

/// Tells whoever injects that recipients have fallen behind.
#[derive(Debug, Default)]
pub struct Gate {
    /// Nanoseconds since the first use of any gate.
    closed_until: AtomicU64,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Gate {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// No recipient has been behind for a while.
    pub fn is_open(&self) -> bool {
        let closed_until = self.closed_until.load(Ordering::Relaxed);
        closed_until == 0 || now_ns() >= closed_until
    }

    pub(crate) fn close_for(&self, time: Duration) {
        self.closed_until
            .store(now_ns() + time.as_nanos() as u64, Ordering::Relaxed);
    }
}

fn now_ns() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// The subscriptions that the last route matched: most injections have one route.
pub(crate) struct Matched<'a> {
    worker: &'a Worker,
    account: AccountId,
    route: Option<&'a [u8]>,
    targets: Vec<Rc<Subscription>>,
}

impl<'a> Matched<'a> {
    pub(crate) fn new(worker: &'a Worker) -> Self {
        Self {
            worker,
            account: AccountId(0),
            route: None,
            targets: worker.targets.take(),
        }
    }

    /// This worker's plain subscriptions that match `route`.
    pub(crate) fn targets(&mut self, local: &LocalAccount, route: &'a [u8]) -> &[Rc<Subscription>] {
        if self.route != Some(route) || self.account != local.account.id {
            (self.route, self.account) = (Some(route), local.account.id);
            let targets = &mut self.targets;
            targets.clear();
            local.interest.borrow().visit_plain(route, |target| {
                if !target.conn().denies_delivery(target, route) {
                    targets.push(Rc::clone(target));
                }
            });
        }
        &self.targets
    }
}

impl Drop for Matched<'_> {
    fn drop(&mut self) {
        self.targets.clear();
        self.worker.targets.set(std::mem::take(&mut self.targets));
    }
}
