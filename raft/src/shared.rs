//! What the parts of one group tell each other.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use mainstem_storage::{GroupId, StorageError};
use tokio::sync::Notify;

/// One group's counters and its end.
#[derive(Debug)]
pub struct Shared {
    group: GroupId,
    /// Next entry to apply.
    applied: AtomicU64,
    /// Next entry to commit.
    committed: AtomicU64,
    failure: OnceLock<StorageError>,
    /// Told when enough was applied for a snapshot to be worth it.
    pub snapshot_due: Notify,
}

impl Shared {
    pub fn new(group: GroupId) -> Shared {
        Shared {
            group,
            applied: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            failure: OnceLock::new(),
            snapshot_due: Notify::new(),
        }
    }

    pub fn set_applied(&self, next: u64) {
        self.applied.store(next, Ordering::Release);
    }

    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    pub fn set_committed(&self, next: u64) {
        self.committed.store(next, Ordering::Release);
    }

    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// The group can not go on. The first reason is kept and logged; the error is passed through in openraft's shape.
    pub fn fail(&self, error: StorageError) -> std::io::Error {
        if self.failure.set(error.clone()).is_ok() {
            tracing::error!(group = self.group.0, %error, "the group stops");
        }
        std::io::Error::other(error)
    }

    pub fn failure(&self) -> Option<&StorageError> {
        self.failure.get()
    }
}
