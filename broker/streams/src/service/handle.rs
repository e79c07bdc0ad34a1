//! Streams and consumers as fronts hold them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::command::{ConsumerId, StreamId};
use crate::config::{Storage, StreamConfig};
use crate::engine::Desk;
use crate::error::Error;
use crate::meta::Placed;
use crate::proposer::Door;
use crate::service::account::AccountUsage;

/// A stream that exists. Cheap to clone; outlives the stream, whose publishes are then refused.
#[derive(Clone)]
pub struct StreamRef(Arc<Handle>);

struct Handle {
    account: Arc<str>,
    name: Arc<str>,
    id: StreamId,
    storage: Storage,
    /// Publishes are not answered.
    no_ack: AtomicBool,
    /// Messages may be got directly.
    direct: AtomicBool,
    /// The highest number that was given to a consumer.
    consumer_ids: AtomicU64,
    /// What it held when somebody last looked.
    bytes: AtomicU64,
    usage: Arc<AccountUsage>,
    /// Of all accounts.
    node: Arc<AccountUsage>,
    door: Arc<Door>,
    desk: Desk,
}

impl StreamRef {
    pub(crate) fn new(
        placed: &Placed,
        usage: Arc<AccountUsage>,
        node: Arc<AccountUsage>,
        door: Arc<Door>,
        desk: Desk,
    ) -> Self {
        let stream = Self(Arc::new(Handle {
            account: Arc::clone(&placed.account),
            name: Arc::from(&*placed.config.name),
            id: placed.id,
            storage: placed.config.storage,
            no_ack: AtomicBool::new(false),
            direct: AtomicBool::new(false),
            consumer_ids: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            usage,
            node,
            door,
            desk,
        }));
        stream.reconfigure(&placed.config);
        stream
    }

    pub fn account(&self) -> &Arc<str> {
        &self.0.account
    }

    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    pub fn id(&self) -> StreamId {
        self.0.id
    }

    /// Publishes to it are not answered.
    pub fn is_silent(&self) -> bool {
        self.0.no_ack.load(Ordering::Relaxed)
    }

    /// So much waits to be written that its publishers are to be held back.
    pub fn is_full(&self) -> bool {
        self.0.door.is_full()
    }

    pub(crate) fn door(&self) -> &Arc<Door> {
        &self.0.door
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// Messages may be got directly.
    pub(crate) fn allows_direct(&self) -> bool {
        self.0.direct.load(Ordering::Relaxed)
    }

    /// Why `more` bytes can not be stored, as far as the limits of the account and the node are concerned.
    pub(crate) fn is_over(&self, more: usize) -> Option<Error> {
        if self.0.usage.is_over(self.0.storage, more) {
            return Some(Error::AccountResourcesExceeded);
        }
        self.0
            .node
            .is_over(self.0.storage, more)
            .then_some(Error::InsufficientResources)
    }

    /// A number for a new consumer. `highest`: the highest that one of its consumers has.
    pub(crate) fn new_consumer_id(&self, highest: u64) -> ConsumerId {
        self.0.consumer_ids.fetch_max(highest, Ordering::Relaxed);
        ConsumerId(self.0.consumer_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Takes over what is remembered of the configuration.
    pub(crate) fn reconfigure(&self, config: &StreamConfig) {
        self.0.no_ack.store(config.no_ack, Ordering::Relaxed);
        self.0.direct.store(config.allow_direct, Ordering::Relaxed);
    }

    /// Notes what the stream holds now, for the account's limits.
    pub(crate) fn set_bytes(&self, bytes: u64) {
        let before = self.0.bytes.swap(bytes, Ordering::Relaxed);
        let change = bytes.wrapping_sub(before) as i64;
        self.0.usage.add(self.0.storage, change);
        self.0.node.add(self.0.storage, change);
    }
}

impl fmt::Debug for StreamRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamRef({}/{})", self.0.account, self.0.name)
    }
}

/// A consumer that somebody uses. Cheap to clone.
#[derive(Clone)]
pub struct ConsumerRef(Arc<(StreamRef, Arc<str>)>);

impl ConsumerRef {
    pub(crate) fn new(stream: StreamRef, name: Arc<str>) -> Self {
        Self(Arc::new((stream, name)))
    }

    pub fn stream(&self) -> &StreamRef {
        &self.0.0
    }

    pub fn name(&self) -> &Arc<str> {
        &self.0.1
    }
}

impl fmt::Debug for ConsumerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsumerRef({:?}/{})", self.stream(), self.name())
    }
}
