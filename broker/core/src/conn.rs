//! One client connection as the core sees it: where its messages wait, and what it may do.

use std::cell::{Cell, Ref, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::account::AccountId;
use crate::config::ResponsePermission;
use crate::message::{Entry, Run};
use crate::outbound::{BufferPool, Outbound};
use crate::permissions::Permissions;
use crate::subscription::{ById, Subscription};
use crate::tap::Tap;

/// Writes a protocol's delivery frames. One static instance a kind of connection: the core calls it on the hot
/// path, for a whole run at a time.
pub trait Encoder: Sync {
    /// Appends the frames of all messages of the run, for the subscription that the client calls `id`.
    fn run(&self, out: &mut Vec<u8>, run: &Run<'_>, id: &[u8]);
    /// Appends what stands before one message's body; returns how many leading bytes of the body to leave out.
    fn head(&self, out: &mut Vec<u8>, run: &Run<'_>, entry: &Entry, id: &[u8]) -> usize;
    /// What stands after a body.
    fn tail(&self) -> &'static [u8];
}

/// The front's side of a connection.
pub trait ConnIo {
    /// Write what waits in `out` now, as far as the socket takes it.
    fn flush(&self, out: &mut Outbound, pool: &mut BufferPool);
    /// The connection is to end for this reason; it is closed for the core already.
    fn cut(&self, reason: Cut);
    /// Nobody was there for a message that this connection published with a reply subject.
    fn no_responders(&self, subject: &[u8], reply: &[u8]);
}

/// Why the core cuts a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// More than its bound of bytes waits for it.
    PendingBytes { pending_bytes: usize },
}

/// Messages and bytes of a connection; bytes are headers and payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub in_msgs: u64,
    pub in_bytes: u64,
    pub out_msgs: u64,
    pub out_bytes: u64,
}

impl Traffic {
    pub fn add(&mut self, other: &Traffic) {
        self.in_msgs += other.in_msgs;
        self.in_bytes += other.in_bytes;
        self.out_msgs += other.out_msgs;
        self.out_bytes += other.out_bytes;
    }
}

/// What holds a publisher back.
#[derive(Clone)]
pub(crate) enum Stall {
    /// A recipient on this worker is past half its bound.
    Recipient(Rc<Conn>, Instant),
    /// Another worker's inbox is past its bound.
    Worker(usize),
    /// Another worker asked for it.
    Until(Instant),
    /// A tap has no room.
    Tap(Arc<dyn Tap>),
}

/// How long a slow recipient holds a publisher back, at most.
pub(crate) const STALL: Duration = Duration::from_millis(10);

/// A connection. All of it belongs to one worker.
pub struct Conn {
    id: u64,
    account: Cell<AccountId>,
    encoder: Cell<&'static dyn Encoder>,
    io: Box<dyn ConnIo>,
    pub(crate) out: RefCell<Outbound>,
    pub(crate) subscriptions: RefCell<HashSet<ById, foldhash::fast::RandomState>>,
    /// Deliver its own messages to it.
    echo: Cell<bool>,
    closed: Cell<bool>,
    /// Waits for the flush at the end of a batch.
    pub(crate) dirty: Cell<bool>,
    pub(crate) traffic: Cell<Traffic>,
    rights: RefCell<Option<Box<Rights>>>,
    pub(crate) stall: RefCell<Option<Stall>>,
}

/// Restrictions of one connection, and what it may do beyond them for a while.
struct Rights {
    permissions: Arc<Permissions>,
    /// Reply subjects of requests it was sent (`allow_responses`): answers so far, and since when.
    replies: HashMap<Box<[u8]>, (i64, Instant), foldhash::fast::RandomState>,
    /// Last publish decision: publishers repeat themselves.
    last_publish: (Vec<u8>, bool),
}

/// Reply subjects that a connection may owe an answer to, at most; then the expired ones go, and the oldest half.
const MAX_OPEN_REPLIES: usize = 8192;

impl Conn {
    pub fn new(id: u64, account: AccountId, encoder: &'static dyn Encoder, io: Box<dyn ConnIo>) -> Rc<Self> {
        Rc::new(Self {
            id,
            account: Cell::new(account),
            encoder: Cell::new(encoder),
            io,
            out: RefCell::default(),
            subscriptions: RefCell::default(),
            echo: Cell::new(true),
            closed: Cell::new(false),
            dirty: Cell::new(false),
            traffic: Cell::default(),
            rights: RefCell::default(),
            stall: RefCell::default(),
        })
    }

    /// Unique in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn account(&self) -> AccountId {
        self.account.get()
    }

    /// Moves the connection, which must have no subscriptions, to another account.
    pub fn set_account(&self, account: AccountId) {
        debug_assert!(
            self.subscriptions.borrow().is_empty(),
            "subscriptions stay behind"
        );
        self.account.set(account);
    }

    pub fn encoder(&self) -> &'static dyn Encoder {
        self.encoder.get()
    }

    pub fn set_encoder(&self, encoder: &'static dyn Encoder) {
        self.encoder.set(encoder);
    }

    pub fn echo(&self) -> bool {
        self.echo.get()
    }

    pub fn set_echo(&self, echo: bool) {
        self.echo.set(echo);
    }

    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    /// Bytes that wait to be written.
    pub fn pending_bytes(&self) -> usize {
        self.out.borrow().pending()
    }

    pub fn subscription_count(&self) -> usize {
        self.subscriptions.borrow().len()
    }

    /// The subscription that the client calls `id`.
    pub fn subscription(&self, id: &[u8]) -> Option<Rc<Subscription>> {
        let subscriptions = self.subscriptions.borrow();
        subscriptions.get(id).map(|found| Rc::clone(&found.0))
    }

    /// All subscriptions, in no order.
    pub fn all_subscriptions(&self) -> Vec<Rc<Subscription>> {
        self.subscriptions
            .borrow()
            .iter()
            .map(|found| Rc::clone(&found.0))
            .collect()
    }

    pub fn set_permissions(&self, permissions: Option<Arc<Permissions>>) {
        *self.rights.borrow_mut() = permissions.map(|permissions| {
            Box::new(Rights {
                permissions,
                replies: HashMap::default(),
                last_publish: (Vec::new(), true),
            })
        });
    }

    pub fn permissions(&self) -> Option<Arc<Permissions>> {
        self.rights
            .borrow()
            .as_ref()
            .map(|rights| Arc::clone(&rights.permissions))
    }

    /// What it may publish depends on the subject.
    #[inline]
    pub fn restricts_publish(&self) -> bool {
        self.rights
            .borrow()
            .as_ref()
            .is_some_and(|rights| rights.permissions.restricts_publish())
    }

    /// It may publish one message to `subject`. An answer to a request that it was sent is used up by asking.
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        let mut rights = self.rights.borrow_mut();
        let Some(rights) = rights.as_deref_mut() else {
            return true;
        };
        if !rights.permissions.restricts_publish() {
            return true;
        }
        if rights.last_publish.0 != subject {
            rights.last_publish = (subject.to_vec(), rights.permissions.may_publish(subject));
        }
        rights.last_publish.1 || rights.use_reply(subject)
    }

    /// Remembers the reply subjects of requests that were just delivered, where the user may answer them.
    pub(crate) fn expect_answers(&self, run: &Run<'_>) {
        let mut rights = self.rights.borrow_mut();
        let Some(rights) = rights.as_deref_mut() else {
            return;
        };
        let Some(bounds) = rights.permissions.responses() else {
            return;
        };
        for entry in run.entries.iter().filter(|entry| !entry.reply.is_empty()) {
            let reply = run.reply(entry);
            if rights.permissions.may_publish(reply) {
                continue;
            }
            if rights.replies.len() >= MAX_OPEN_REPLIES {
                rights.prune_replies(bounds);
            }
            rights.replies.insert(Box::from(reply), (0, Instant::now()));
        }
    }

    #[inline]
    pub(crate) fn has_rights(&self) -> bool {
        self.rights.borrow().is_some()
    }

    /// A message on `subject` must not reach this subscription.
    pub(crate) fn denies_delivery(&self, subscription: &Subscription, subject: &[u8]) -> bool {
        let rights: Ref<'_, _> = self.rights.borrow();
        rights.as_ref().is_some_and(|rights| {
            rights
                .permissions
                .needs_delivery_check(subscription.filter(), subscription.queue())
                && rights.permissions.denies_delivery(subject, subscription.queue())
        })
    }

    pub(crate) fn io(&self) -> &dyn ConnIo {
        &*self.io
    }

    /// Drops what waits to be written.
    pub fn forget_pending(&self) {
        self.out.borrow_mut().clear();
    }

    /// Ends it for the core: nothing is delivered any more.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        *self.stall.borrow_mut() = None;
    }

    #[inline]
    pub(crate) fn count_out(&self, msgs: u64, bytes: u64) {
        let mut traffic = self.traffic.get();
        traffic.out_msgs += msgs;
        traffic.out_bytes += bytes;
        self.traffic.set(traffic);
    }

    #[inline]
    pub(crate) fn count_in(&self, msgs: u64, bytes: u64) {
        let mut traffic = self.traffic.get();
        traffic.in_msgs += msgs;
        traffic.in_bytes += bytes;
        self.traffic.set(traffic);
    }
}

impl Rights {
    fn use_reply(&mut self, subject: &[u8]) -> bool {
        let Some(bounds) = self.permissions.responses() else {
            return false;
        };
        let Some((answers, since)) = self.replies.get_mut(subject) else {
            return false;
        };
        *answers += 1;
        let used_up = bounds.max_messages > 0 && *answers > bounds.max_messages;
        if used_up || is_expired(*since, bounds) {
            self.replies.remove(subject);
            return false;
        }
        true
    }

    fn prune_replies(&mut self, bounds: ResponsePermission) {
        self.replies.retain(|_, (answers, since)| {
            !(is_expired(*since, bounds) || bounds.max_messages > 0 && *answers >= bounds.max_messages)
        });
        if self.replies.len() >= MAX_OPEN_REPLIES {
            let mut times: Vec<Instant> = self.replies.values().map(|(_, since)| *since).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.replies.retain(|_, (_, since)| *since > middle);
        }
    }
}

fn is_expired(since: Instant, bounds: ResponsePermission) -> bool {
    u64::try_from(bounds.expires_ms)
        .is_ok_and(|expires_ms| expires_ms > 0 && since.elapsed() > Duration::from_millis(expires_ms))
}
