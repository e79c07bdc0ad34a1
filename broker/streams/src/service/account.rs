//! What an account uses of streams, and what it may use.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::config::Storage;
use crate::service::types::AccountLimits;

/// The bytes that an account's streams hold. Counted when streams change, so it may lag by a few entries.
#[derive(Debug)]
pub(crate) struct AccountUsage {
    memory_bytes: AtomicI64,
    store_bytes: AtomicI64,
    max_memory_bytes: AtomicI64,
    max_store_bytes: AtomicI64,
    limits: Mutex<AccountLimits>,
}

impl AccountUsage {
    pub(crate) fn new(limits: AccountLimits) -> Self {
        let usage = Self {
            memory_bytes: AtomicI64::new(0),
            store_bytes: AtomicI64::new(0),
            max_memory_bytes: AtomicI64::new(-1),
            max_store_bytes: AtomicI64::new(-1),
            limits: Mutex::new(limits),
        };
        usage.set_limits(limits);
        usage
    }

    pub(crate) fn limits(&self) -> AccountLimits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_limits(&self, limits: AccountLimits) {
        self.max_memory_bytes
            .store(limits.max_memory_bytes, Ordering::Relaxed);
        self.max_store_bytes
            .store(limits.max_store_bytes, Ordering::Relaxed);
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    pub(crate) fn add(&self, storage: Storage, bytes: i64) {
        self.held(storage).fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self, storage: Storage) -> u64 {
        self.held(storage).load(Ordering::Relaxed).max(0) as u64
    }

    /// `more` bytes of this storage would be more than the account may have.
    pub(crate) fn is_over(&self, storage: Storage, more: usize) -> bool {
        let limit = match storage {
            Storage::Memory => &self.max_memory_bytes,
            Storage::File => &self.max_store_bytes,
        }
        .load(Ordering::Relaxed);
        limit >= 0
            && self
                .held(storage)
                .load(Ordering::Relaxed)
                .saturating_add(more as i64)
                > limit
    }

    fn held(&self, storage: Storage) -> &AtomicI64 {
        match storage {
            Storage::Memory => &self.memory_bytes,
            Storage::File => &self.store_bytes,
        }
    }
}
