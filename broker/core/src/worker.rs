//! A worker: one thread, its connections, and how a message gets from one of them to all that want it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::account::{Account, AccountId};
use crate::conn::{Conn, Cut, STALL, Stall, Traffic};
use crate::interest::LocalInterest;
use crate::message::{Batch, Entry};
use crate::node::{Node, WorkerMessage};
use crate::outbound::BufferPool;
use crate::route::Route;
use crate::routes::RouteCache;
use crate::subject;
use crate::subscription::{ById, Subscription};

/// A worker's own part of an account.
pub(crate) struct LocalAccount {
    pub(crate) account: Arc<Account>,
    pub(crate) interest: RefCell<LocalInterest>,
    /// Traffic of connections that are gone; the rest is summed when asked for.
    past: Cell<Traffic>,
}

/// Messages of other workers handled before a connection's turn goes on: its peers wait meanwhile.
const MESSAGES_A_DRAIN: usize = 4;
/// Queue groups of one filter on one worker: matching looks at all of them.
const MAX_GROUPS: usize = 1024;

/// What one worker owns. Never leaves its thread.
pub struct Worker {
    pub(crate) index: usize,
    pub(crate) node: Arc<Node>,
    conns: RefCell<HashMap<u64, Rc<Conn>, foldhash::fast::RandomState>>,
    accounts: RefCell<Vec<Option<Rc<LocalAccount>>>>,
    routes: RefCell<RouteCache>,
    pub(crate) pool: RefCell<BufferPool>,
    pub(crate) dirty: RefCell<Vec<Rc<Conn>>>,
    /// Runs for other workers, collected until the end of the read batch.
    pub(crate) outgoing: RefCell<Batch>,
    /// Room for an encoded run that goes to several connections.
    pub(crate) image: RefCell<Vec<u8>>,
    /// Room for the subscriptions that a subject matches.
    pub(crate) targets: Cell<Vec<Rc<Subscription>>>,
    /// Room for the entries of a run.
    pub(crate) entries: Cell<Vec<Entry>>,
    /// A recipient that passed half its bound during this batch.
    pub(crate) behind: RefCell<Option<Rc<Conn>>>,
    random: Cell<u64>,
}

/// Why a subscription was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The filter cannot match anything.
    BadSubject,
    /// The account has no place for one more.
    AccountLimit,
    /// The filter has too many queue groups.
    GroupLimit,
}

impl Worker {
    pub(crate) fn new(index: usize, node: Arc<Node>) -> Rc<Self> {
        let entries = node.limits.route_cache_entries;
        Rc::new(Self {
            index,
            node,
            conns: RefCell::default(),
            accounts: RefCell::default(),
            routes: RefCell::new(RouteCache::new(entries)),
            pool: RefCell::default(),
            dirty: RefCell::default(),
            outgoing: RefCell::default(),
            image: RefCell::default(),
            targets: Cell::default(),
            entries: Cell::default(),
            behind: RefCell::default(),
            // Any odd constant will do: queue members need an even spread, not secrecy.
            random: Cell::new(0x9e37_79b9_7f4a_7c15 ^ ((index as u64) << 32)),
        })
    }

    pub fn index(&self) -> usize {
        self.index
    }

    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Takes a connection in that [`Node::assign`] gave to this worker.
    pub fn add(&self, conn: &Rc<Conn>) {
        self.conns.borrow_mut().insert(conn.id(), Rc::clone(conn));
    }

    /// Ends a connection: its subscriptions go, and nothing is delivered to it any more. What waits to be written
    /// may still be.
    pub fn detach(&self, conn: &Rc<Conn>) {
        if self.conns.borrow_mut().remove(&conn.id()).is_none() {
            return;
        }
        self.node.connection_removed(self.index);
        self.unsubscribe_all(conn);
        conn.close();
        if let Some(local) = self.account(conn.account()) {
            let mut past = local.past.get();
            past.add(&conn.traffic());
            local.past.set(past);
        }
    }

    /// This worker's connections.
    pub fn conns(&self) -> Vec<Rc<Conn>> {
        self.conns.borrow().values().cloned().collect()
    }

    pub fn conn(&self, id: u64) -> Option<Rc<Conn>> {
        self.conns.borrow().get(&id).cloned()
    }

    /// Traffic of an account on this worker since the start.
    pub fn account_traffic(&self, id: AccountId) -> Traffic {
        let mut sum = self.account(id).map(|local| local.past.get()).unwrap_or_default();
        for conn in self.conns.borrow().values().filter(|conn| conn.account() == id) {
            sum.add(&conn.traffic());
        }
        sum
    }

    /// Makes a subscription. It is visible to every worker when this returns. An id that the connection uses
    /// already stands for what it stood for.
    ///
    /// # Errors
    /// The filter is malformed, or the account is full.
    pub fn subscribe(
        &self,
        conn: &Rc<Conn>,
        filter: &[u8],
        queue: Option<&[u8]>,
        id: &[u8],
    ) -> Result<(), SubscribeError> {
        if conn.subscription(id).is_some() {
            return Ok(());
        }
        if !subject::is_insertable(filter) {
            return Err(SubscribeError::BadSubject);
        }
        let Some(local) = self.account(conn.account()) else {
            return Err(SubscribeError::AccountLimit);
        };
        if queue.is_some_and(|name| local.interest.borrow().groups_beside(filter, name) >= MAX_GROUPS) {
            return Err(SubscribeError::GroupLimit);
        }
        if !local.account.try_subscribe() {
            return Err(SubscribeError::AccountLimit);
        }
        let subscription = Subscription::new(Rc::clone(conn), filter, queue, id);
        local
            .interest
            .borrow_mut()
            .insert(&subscription, &local.account.interest);
        conn.subscriptions.borrow_mut().insert(ById(subscription));
        Ok(())
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, subscription: &Rc<Subscription>) {
        let conn = subscription.conn();
        if conn.subscriptions.borrow_mut().remove(subscription.id()) {
            self.forget(subscription);
        }
    }

    /// Ends all subscriptions of a connection.
    #[expect(clippy::mutable_key_type, reason = "hashed by its id, which never changes")]
    pub fn unsubscribe_all(&self, conn: &Rc<Conn>) {
        let subscriptions = std::mem::take(&mut *conn.subscriptions.borrow_mut());
        for subscription in &subscriptions {
            self.forget(&subscription.0);
        }
    }

    fn forget(&self, subscription: &Rc<Subscription>) {
        subscription.close();
        if let Some(local) = self.account(subscription.conn().account()) {
            local
                .interest
                .borrow_mut()
                .remove(subscription, &local.account.interest);
            local.account.unsubscribe();
        }
    }

    /// A plain subscription of `conn` that `subject` reaches.
    pub fn own_subscription(&self, conn: &Rc<Conn>, subject: &[u8]) -> Option<Rc<Subscription>> {
        let local = self.account(conn.account())?;
        let matches = local.interest.borrow().matches(subject);
        matches
            .plain
            .into_iter()
            .find(|subscription| Rc::ptr_eq(subscription.conn(), conn))
    }

    /// Appends bytes that are not a delivery (answers of the protocol) to what waits for a connection.
    pub fn enqueue(&self, conn: &Rc<Conn>, write: impl FnOnce(&mut Vec<u8>)) {
        if !conn.is_closed() {
            conn.out.borrow_mut().append(&mut self.pool.borrow_mut(), write);
            self.mark_dirty(conn);
            self.cut_beyond_bound(conn);
        }
    }

    /// Cuts a connection for which more waits than may.
    pub(crate) fn cut_beyond_bound(&self, conn: &Rc<Conn>) {
        if conn.pending_bytes() <= self.node.limits.max_pending_bytes {
            return;
        }
        self.flush(conn);
        let pending_bytes = conn.pending_bytes();
        if pending_bytes > self.node.limits.max_pending_bytes {
            conn.close();
            conn.io().cut(Cut::PendingBytes { pending_bytes });
        }
    }

    /// Writes what waits for one connection, as far as its socket takes it.
    pub fn flush(&self, conn: &Rc<Conn>) {
        let mut out = conn.out.borrow_mut();
        if out.pending() > 0 {
            conn.io().flush(&mut out, &mut self.pool.borrow_mut());
        }
    }

    /// The end of a read batch: hands runs to other workers, then writes to this worker's recipients.
    pub fn finish_batch(&self) {
        self.send_outgoing();
        let mut dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        for conn in dirty.drain(..) {
            conn.dirty.set(false);
            self.flush(&conn);
        }
        // Writing may have marked others (a connection that was cut); they are few.
        let mut marked = self.dirty.borrow_mut();
        dirty.append(&mut marked);
        *marked = dirty;
    }

    /// The publisher should not be read from now. Asked again until it says no; a slow recipient holds it back for
    /// [`STALL`] at most, a full inbox of another worker or a full tap as long as it is full.
    pub fn is_stalled(&self, conn: &Conn) -> bool {
        let mut stall = conn.stall.borrow_mut();
        let stalled = match &*stall {
            None => return false,
            Some(Stall::Recipient(recipient, since)) => {
                since.elapsed() < STALL && !recipient.is_closed() && self.is_behind(recipient)
            }
            Some(Stall::Until(end)) => Instant::now() < *end,
            Some(Stall::Tap(tap)) => tap.is_full(),
            Some(Stall::Worker(worker)) => {
                self.node.waiting_bytes(*worker) > self.node.limits.worker_queue_bytes
            }
        };
        if !stalled {
            *stall = None;
        }
        stalled
    }

    fn is_behind(&self, conn: &Conn) -> bool {
        conn.out
            .try_borrow()
            .is_ok_and(|out| out.pending() > self.node.limits.max_pending_bytes / 2)
    }

    /// Forgets what was worked out from permissions or limits that changed.
    pub fn invalidate_routes(&self) {
        *self.routes.borrow_mut() = RouteCache::new(self.node.limits.route_cache_entries);
    }

    /// Handles a little of what other workers sent. A connection calls it before it reads, until all is done that
    /// was sent before (`mark`: a first call gives `None` and gets one): whatever was published before its next
    /// command came is then delivered before that command is answered. `None`: done.
    pub fn drain_inbox(self: &Rc<Self>, mark: Option<usize>) -> Option<usize> {
        let inbox = self.node.inbox(self.index);
        let mark = mark.unwrap_or_else(|| inbox.mark());
        let mut drained = 0;
        while drained < MESSAGES_A_DRAIN && !inbox.has_reached(mark) {
            let Some(message) = inbox.try_recv() else { break };
            self.receive(message, self);
            drained += 1;
        }
        if drained > 0 {
            self.finish_batch();
        }
        (!inbox.has_reached(mark)).then_some(mark)
    }

    /// Handles what other threads sent.
    pub(crate) fn receive(&self, message: WorkerMessage, this: &Rc<Self>) {
        match message {
            WorkerMessage::Batch(batch) => self.deliver_batch(&batch),
            WorkerMessage::Call(call) => call(this),
        }
    }

    pub(crate) fn account(&self, id: AccountId) -> Option<Rc<LocalAccount>> {
        if let Some(Some(local)) = self.accounts.borrow().get(id.0 as usize) {
            return Some(Rc::clone(local));
        }
        let account = self.node.accounts.get(id)?;
        let mut accounts = self.accounts.borrow_mut();
        let at = id.0 as usize;
        if accounts.len() <= at {
            accounts.resize_with(at + 1, || None);
        }
        let interest = RefCell::new(LocalInterest::new(self.index));
        let local = Rc::new(LocalAccount {
            account,
            interest,
            past: Cell::default(),
        });
        accounts[at] = Some(Rc::clone(&local));
        Some(local)
    }

    #[inline]
    pub(crate) fn route(&self, local: &LocalAccount, subject: &[u8]) -> Rc<Route> {
        self.routes
            .borrow_mut()
            .route(self.index, &local.account, &local.interest.borrow(), subject)
    }

    #[inline]
    pub(crate) fn mark_dirty(&self, conn: &Rc<Conn>) {
        if !conn.dirty.replace(true) {
            self.dirty.borrow_mut().push(Rc::clone(conn));
        }
    }

    /// xorshift64: an even spread over queue members.
    pub(crate) fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn send_outgoing(&self) {
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.is_empty() {
            return;
        }
        let batch = Arc::new(std::mem::take(&mut *outgoing));
        drop(outgoing);
        let bytes = batch.size_bytes();
        let workers = batch.runs.iter().fold(0, |all, run| all | run.workers);
        for worker in (0..64).filter(|worker| workers & (1 << worker) != 0) {
            let waiting = self
                .node
                .send(worker, WorkerMessage::Batch(Arc::clone(&batch)), bytes);
            if waiting > self.node.limits.worker_queue_bytes {
                self.stall_origins(&batch, worker);
            }
        }
    }

    fn stall_origins(&self, batch: &Batch, worker: usize) {
        let origins = batch.runs.iter().filter_map(|run| run.origin);
        for origin in origins.filter(|origin| origin.worker == self.index) {
            if let Some(conn) = self.conn(origin.conn) {
                *conn.stall.borrow_mut() = Some(Stall::Worker(worker));
            }
        }
    }
}
