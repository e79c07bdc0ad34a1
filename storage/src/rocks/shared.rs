//! What the threads of a log share, and what has to be done at intervals.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::db::LogDb;
use super::error::abort;
use super::log::Parts;
use crate::cache::FrameCache;
use crate::folder::Lock;
use crate::group::Group;
use crate::log::{GroupId, Kept, StorageError};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::space::Space;
use crate::watermark::{Marks, Watermark};

/// How far the watermark is behind, at most, while the disk keeps up.
const WATERMARK_EVERY: Duration = Duration::from_millis(50);
/// How often the free space is looked at.
const SPACE_EVERY: Duration = Duration::from_millis(500);

/// What the threads of a log share.
pub struct Shared {
    pub db: LogDb,
    pub options: Options,
    pub metrics: Metrics,
    pub cache: FrameCache,
    pub space: Space,
    pub groups: ArcSwap<BTreeMap<GroupId, Arc<Group>>>,
    /// The segment that is written to.
    pub active: AtomicU64,
    watermark: Watermark,
    is_watermark_old: AtomicBool,
    /// The thread that writes it.
    keeper: OnceLock<Thread>,
    read_only: ArcSwap<Option<StorageError>>,
    _lock: Arc<Lock>,
}

impl Shared {
    pub fn new(parts: Parts) -> Shared {
        let Parts {
            db,
            options,
            space,
            watermark,
            recovered,
            read_only,
            lock,
        } = parts;
        let groups = recovered.groups.into_iter();
        let groups = groups
            .map(|(id, found)| (id, Arc::new(Group::new(id, found))))
            .collect();
        Shared {
            db,
            metrics: Metrics::default(),
            cache: FrameCache::new(options.cache_bytes),
            space,
            groups: ArcSwap::new(Arc::new(groups)),
            active: AtomicU64::new(recovered.active),
            watermark,
            is_watermark_old: AtomicBool::new(true),
            keeper: OnceLock::new(),
            read_only: ArcSwap::new(Arc::new(read_only)),
            options,
            _lock: lock,
        }
    }

    pub fn set_read_only(&self, reason: StorageError) {
        self.read_only.store(Arc::new(Some(reason)));
    }

    /// Damage that is found while running makes the store read-only: it can not prove that it is whole.
    pub fn found(&self, error: &StorageError) {
        if matches!(error, StorageError::Damaged { .. })
            && self.read_only().is_none()
            && !self.options.accept_loss
        {
            tracing::error!("the store is read-only from now on: {error}");
            self.set_read_only(error.clone());
        }
    }

    pub fn read_only(&self) -> Option<StorageError> {
        self.read_only.load().as_ref().clone()
    }

    /// Something became durable.
    pub fn watermark_changed(&self) {
        if !self.is_watermark_old.swap(true, Ordering::AcqRel)
            && let Some(keeper) = self.keeper.get()
        {
            keeper.unpark();
        }
    }

    /// Says that a group's log is about to end earlier. Durable when it returns.
    pub fn lower_watermark(&self) -> Result<(), StorageError> {
        self.watermark.write(|| self.marks()).map(drop)
    }

    pub fn write_watermark(&self) {
        if !self.is_watermark_old.swap(false, Ordering::AcqRel) {
            return;
        }
        match self.watermark.write(|| self.marks()) {
            Ok(bytes) => drop(
                self.metrics
                    .watermark_bytes
                    .fetch_add(bytes as u64, Ordering::Relaxed),
            ),
            // The one before still holds: it says less than there is.
            Err(StorageError::Full { .. }) => self.is_watermark_old.store(true, Ordering::Release),
            Err(error) => abort(&error.to_string()),
        }
    }

    fn marks(&self) -> Marks {
        let groups = self.groups.load();
        let groups = groups.values().filter(|group| group.kept() != Kept::Memory);
        groups.map(|group| (group.id, group.lock().written)).collect()
    }
}

/// Does what has to be done at intervals, until it is stopped.
pub fn keep(shared: &Shared, stop: &AtomicBool) {
    // Nobody else sets it.
    let _ = shared.keeper.set(thread::current());
    let clock = &shared.options.env.clock;
    let since = |at: u64| Duration::from_nanos(clock.now_ns().saturating_sub(at));
    let mut looked = None;
    while !stop.load(Ordering::Acquire) {
        let began = clock.now_ns();
        shared.write_watermark();
        if looked.is_none_or(|at| since(at) >= SPACE_EVERY) {
            looked = Some(began);
            shared.space.look();
            shared
                .metrics
                .free_bytes
                .store(shared.space.free_bytes(), Ordering::Relaxed);
        }
        // Not more often than it may be behind, and not at all while nothing changes.
        while !stop.load(Ordering::Acquire) {
            let is_old = shared.is_watermark_old.load(Ordering::Acquire);
            let until = if is_old { WATERMARK_EVERY } else { SPACE_EVERY };
            let Some(rest) = until.checked_sub(since(began)).filter(|rest| !rest.is_zero()) else {
                break;
            };
            thread::park_timeout(rest);
        }
    }
}
