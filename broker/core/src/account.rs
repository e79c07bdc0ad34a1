//! Accounts: every subject belongs to one, and nothing crosses from one to another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::config::{AccountConfig, GLOBAL_ACCOUNT};
use crate::interest::NodeInterest;
use crate::subject;
use crate::tap::{Tap, TapId, TapInterest};

/// Place of an account in the node's list; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(pub u32);

/// One subject space.
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub interest: NodeInterest,
    limits: ArcSwap<AccountConfig>,
    connections: AtomicU32,
    subscriptions: AtomicU32,
    /// Taps that ever were.
    taps: AtomicU64,
}

impl Account {
    /// Takes a place for one more connection, if the account has one left.
    pub fn try_connect(&self) -> bool {
        let limit = self.limits.load().max_connections.unwrap_or(u32::MAX);
        try_add(&self.connections, limit)
    }

    /// Gives a connection's place back.
    pub fn disconnect(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a place for one more subscription, if the account has one left.
    pub fn try_subscribe(&self) -> bool {
        let limit = self.limits.load().max_subscriptions.unwrap_or(u32::MAX);
        try_add(&self.subscriptions, limit)
    }

    /// Gives a subscription's place back.
    pub fn unsubscribe(&self) {
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections now.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Subscriptions now.
    pub fn subscriptions(&self) -> u32 {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// Has `tap` take what is published to the subjects that `filter` matches, from the next run on. `None`: the
    /// filter cannot match anything.
    pub fn add_tap(&self, filter: &[u8], tap: Arc<dyn Tap>) -> Option<TapId> {
        if !subject::is_insertable(filter) {
            return None;
        }
        let number = self.taps.fetch_add(1, Ordering::Relaxed);
        self.interest.add_tap(filter, TapInterest { number, tap });
        Some(TapId {
            filter: Box::from(filter),
            number,
        })
    }

    /// Takes a tap away; a run that is on its way may still reach it.
    pub fn remove_tap(&self, id: &TapId) {
        self.interest.remove_tap(&id.filter, id.number);
    }

    /// Somebody subscribes to the subject, on any worker.
    pub fn has_interest(&self, subject: &[u8]) -> bool {
        self.interest.has_subscribers(subject)
    }

    /// Largest payload in bytes, where the account has a limit of its own.
    pub fn max_payload_bytes(&self) -> Option<u32> {
        self.limits.load().max_payload_bytes
    }
}

fn try_add(count: &AtomicU32, limit: u32) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < limit).then_some(count + 1)
        })
        .is_ok()
}

/// All accounts of the node. Reading takes no lock; an account, once there, stays until the process ends.
pub struct Accounts {
    list: ArcSwap<Vec<Arc<Account>>>,
    names: Mutex<HashMap<String, AccountId>>,
}

impl Default for Accounts {
    fn default() -> Self {
        let accounts = Self {
            list: ArcSwap::default(),
            names: Mutex::default(),
        };
        accounts.get_or_create(GLOBAL_ACCOUNT);
        accounts
    }
}

impl Accounts {
    /// The account with this id.
    pub fn get(&self, id: AccountId) -> Option<Arc<Account>> {
        self.list.load().get(id.0 as usize).cloned()
    }

    /// The account for users without one.
    pub fn global(&self) -> Arc<Account> {
        self.get_or_create(GLOBAL_ACCOUNT)
    }

    /// All accounts, in the order they came.
    pub fn all(&self) -> Arc<Vec<Arc<Account>>> {
        self.list.load_full()
    }

    /// The account of this name.
    pub fn get_or_create(&self, name: &str) -> Arc<Account> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let list = self.list.load();
        if let Some(account) = names.get(name).and_then(|id| list.get(id.0 as usize)) {
            return Arc::clone(account);
        }
        let account = Arc::new(Account {
            id: AccountId(list.len() as u32),
            name: name.to_owned(),
            interest: NodeInterest::default(),
            limits: ArcSwap::from_pointee(AccountConfig {
                name: name.to_owned(),
                ..AccountConfig::default()
            }),
            connections: AtomicU32::new(0),
            subscriptions: AtomicU32::new(0),
            taps: AtomicU64::new(0),
        });
        let mut longer = Vec::clone(&list);
        longer.push(Arc::clone(&account));
        self.list.store(Arc::new(longer));
        names.insert(name.to_owned(), account.id);
        account
    }

    /// Creates what is missing and sets the limits of the rest.
    pub fn configure(&self, configs: &[AccountConfig]) {
        for config in configs {
            self.get_or_create(&config.name)
                .limits
                .store(Arc::new(config.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_ids_and_limits_hold() {
        let accounts = Accounts::default();
        let a = accounts.get_or_create("A");
        assert_eq!(accounts.get_or_create("A").id, a.id);
        assert_ne!(accounts.global().id, a.id);
        accounts.configure(&[AccountConfig {
            name: "A".into(),
            max_connections: Some(1),
            ..Default::default()
        }]);
        assert!(a.try_connect());
        assert!(!a.try_connect());
        a.disconnect();
        assert!(a.try_connect());
    }
}
