//! Streams by name and by number, for threads that must not wait.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;

use super::account::AccountUsage;
use super::handle::StreamRef;
use super::start::Options;
use super::types::AccountLimits;
use crate::command::StreamId;
use crate::engine::Awaited;

/// Shards of each table: a change copies one of them.
const SHARDS: usize = 64;

type Names = HashMap<(Arc<str>, Arc<str>), StreamRef, FixedState>;
type Numbers = HashMap<StreamId, StreamRef, FixedState>;

/// All streams of a node. Readers take no lock.
pub(crate) struct Registry {
    names: Vec<ArcSwap<Names>>,
    numbers: Vec<ArcSwap<Numbers>>,
    accounts: Mutex<HashMap<Arc<str>, Arc<AccountUsage>>>,
    default_limits: AccountLimits,
    node: Arc<AccountUsage>,
    /// One change at a time.
    changing: Mutex<()>,
    awaited: Arc<Awaited>,
}

impl Registry {
    pub(crate) fn new(options: &Options) -> Self {
        let node = Arc::new(AccountUsage::new(AccountLimits {
            max_memory_bytes: options.max_memory_bytes,
            max_store_bytes: options.max_store_bytes,
            ..AccountLimits::default()
        }));
        let accounts = options
            .account_limits
            .iter()
            .map(|(name, limits)| (Arc::from(&**name), Arc::new(AccountUsage::new(*limits))))
            .collect();
        Self {
            names: (0..SHARDS).map(|_| ArcSwap::default()).collect(),
            numbers: (0..SHARDS).map(|_| ArcSwap::default()).collect(),
            accounts: Mutex::new(accounts),
            default_limits: options.default_limits,
            node,
            changing: Mutex::new(()),
            awaited: Arc::default(),
        }
    }

    pub(crate) fn find(&self, account: &str, name: &str) -> Option<StreamRef> {
        let shard = self.names[name_shard(account, name)].load();
        shard.get(&(account, name) as &dyn Pair).cloned()
    }

    pub(crate) fn by_id(&self, id: StreamId) -> Option<StreamRef> {
        self.numbers[id.0 as usize % SHARDS].load().get(&id).cloned()
    }

    pub(crate) fn insert(&self, stream: &StreamRef) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (account, name) = (stream.account(), stream.name());
        change(&self.names[name_shard(account, name)], |names| {
            names.insert((Arc::clone(account), Arc::clone(name)), stream.clone());
        });
        change(&self.numbers[stream.id().0 as usize % SHARDS], |numbers| {
            numbers.insert(stream.id(), stream.clone());
        });
    }

    pub(crate) fn remove(&self, stream: &StreamRef) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(stream.account()), Arc::clone(stream.name()));
        change(&self.names[name_shard(&key.0, &key.1)], |names| {
            if names.get(&key).is_some_and(|of| of.id() == stream.id()) {
                names.remove(&key);
            }
        });
        change(&self.numbers[stream.id().0 as usize % SHARDS], |numbers| {
            numbers.remove(&stream.id());
        });
        stream.set_bytes(0);
    }

    /// Deliver subjects that nobody subscribes to yet.
    pub(crate) fn awaited(&self) -> &Arc<Awaited> {
        &self.awaited
    }

    /// What all accounts use together, and the node's limits.
    pub(crate) fn node(&self) -> Arc<AccountUsage> {
        Arc::clone(&self.node)
    }

    /// Accounts have these limits from now on, and those that are not named the default ones.
    pub(crate) fn set_limits(&self, limits: &[(Box<str>, AccountLimits)]) {
        for (name, limits) in limits {
            self.usage(name).set_limits(*limits);
        }
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, usage) in accounts.iter() {
            if !limits.iter().any(|(named, _)| **named == **name) {
                usage.set_limits(self.default_limits);
            }
        }
    }

    pub(crate) fn usage(&self, account: &str) -> Arc<AccountUsage> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = accounts.get(account) {
            return Arc::clone(usage);
        }
        let usage = Arc::new(AccountUsage::new(self.default_limits));
        accounts.insert(Arc::from(account), Arc::clone(&usage));
        usage
    }
}

fn change<M: Clone>(shard: &ArcSwap<M>, change: impl FnOnce(&mut M)) {
    let mut map = M::clone(&shard.load());
    change(&mut map);
    shard.store(Arc::new(map));
}

fn name_shard(account: &str, name: &str) -> usize {
    FixedState::default().hash_one((account, name)) as usize % SHARDS
}

/// An account and a name, owned or not: how the map is asked without making a key.
trait Pair {
    fn pair(&self) -> (&str, &str);
}

impl Pair for (Arc<str>, Arc<str>) {
    fn pair(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl Pair for (&str, &str) {
    fn pair(&self) -> (&str, &str) {
        *self
    }
}

impl<'a> std::borrow::Borrow<dyn Pair + 'a> for (Arc<str>, Arc<str>) {
    fn borrow(&self) -> &(dyn Pair + 'a) {
        self
    }
}

impl std::hash::Hash for dyn Pair + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pair().hash(state);
    }
}

impl PartialEq for dyn Pair + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.pair() == other.pair()
    }
}

impl Eq for dyn Pair + '_ {}
