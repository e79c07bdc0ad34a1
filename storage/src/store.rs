//! A node's store: opening it, and finding out whether it is whole.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rocksdb::WriteBatch;
use rocksdb::statistics::Ticker;

use crate::folder::{Folder, Lock};
use crate::group::Found;
use crate::log::{GroupId, LogStore, StorageError};
use crate::metrics::{Snapshot, Written};
use crate::options::Options;
use crate::rocks::clean::segments;
use crate::rocks::db::{self, Access, LogDb};
use crate::rocks::error::storage_error;
use crate::rocks::log::{Parts, RocksLog};
use crate::rocks::meta;
use crate::rocks::recover::{Recovered, recover, recover_rest};
use crate::rocks::salvage::{LostRows, check_ended, forget, salvage};
use crate::rocks::state::RocksState;
use crate::rocks::verify::{Extent, verify};
use crate::space::Space;
use crate::state::StateStore;
use crate::watermark::{Marks, Watermark};

/// A node's log and state. It is closed when this and all handles to it are dropped.
pub struct Storage {
    pub log: Arc<dyn LogStore>,
    pub state: Arc<dyn StateStore>,
    rocks_log: Arc<RocksLog>,
    rocks_state: Arc<RocksState>,
    folder: Folder,
    lost_rows: Vec<LostRows>,
}

impl Storage {
    /// Opens the store in a data folder, and makes it where there is none.
    ///
    /// What can not be read at all is an error: [`StorageError::Damaged`] with the file. A store that can be read but
    /// is not whole is opened read-only, and nothing on disk is touched: see [`read_only`](Storage::read_only).
    pub fn open(folder: &Path, options: Options) -> Result<Storage, StorageError> {
        let folder = Folder::open(folder)?;
        let lock = Arc::new(folder.lock()?);
        if folder.is_new()? {
            make(&folder, &options, &lock)?;
        }
        let disk = options.env.disk.clone();
        let space = Space::new(folder.path(), disk, options.mark(), options.ballast_bytes);
        space.make_room();
        let lost_rows = if options.accept_loss {
            repair(&folder, &options)?
        } else {
            check_ended(&folder)?;
            Vec::new()
        };
        let (recovered, mut read_only) = inspect(&folder, &options)?;
        let mut access = if read_only.is_some() {
            Access::Read
        } else {
            Access::Write
        };
        let opened = match open_databases(&folder, access, &options, &lock) {
            // Opening for writing writes down what is in the log's own file, which needs room.
            Err(error @ StorageError::Full { .. }) => {
                (access, read_only) = (Access::Read, Some(error));
                open_databases(&folder, access, &options, &lock)
            }
            opened => opened,
        };
        let (db, state) = opened?;
        let (watermark, _) = open_watermark(&folder, access, &options)?;
        let recovered = match access {
            Access::Read | Access::Salvage => recovered,
            Access::Create | Access::Write => begin_segment(&db, give_up_lost(&db, recovered, &options)?)?,
        };
        let state = Arc::new(state);
        let parts = Parts {
            db,
            options,
            space,
            watermark,
            recovered,
            read_only,
            lock,
        };
        let log = Arc::new(RocksLog::start(parts)?);
        state.tell(log.shared().clone());
        Ok(Storage {
            log: log.clone(),
            state: state.clone(),
            rocks_log: log,
            rocks_state: state,
            folder,
            lost_rows,
        })
    }

    /// Rows that are not there any more, in a store that was opened to accept loss: what they said is to be made good
    /// before it is [closed](Storage::close).
    pub fn lost_rows(&self) -> &[LostRows] {
        &self.lost_rows
    }

    /// Why nothing can be written, for good.
    pub fn read_only(&self) -> Option<StorageError> {
        self.rocks_log.shared().read_only()
    }

    /// The counters now.
    pub fn metrics(&self) -> Snapshot {
        let shared = self.rocks_log.shared();
        let metrics = &shared.metrics;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (segments, segment_bytes) = segments(&self.rocks_log);
        Snapshot {
            sync_ns: metrics.sync_ns.read(),
            batch_bytes: metrics.batch_bytes.read(),
            batch_ops: metrics.batch_ops.read(),
            appended_bytes: read(&metrics.appended_bytes),
            written: Written {
                wal: shared.db.ticker(Ticker::WalFileBytes),
                flush: shared.db.ticker(Ticker::FlushWriteBytes),
                compaction: shared.db.ticker(Ticker::CompactWriteBytes),
                cold: read(&metrics.cold_bytes),
                watermark: read(&metrics.watermark_bytes),
                state_flush: self.rocks_state.ticker(Ticker::FlushWriteBytes),
                state_compaction: self.rocks_state.ticker(Ticker::CompactWriteBytes),
            },
            tail_bytes: read(&metrics.tail_bytes),
            tail_hits: read(&metrics.tail_hits),
            cache_hits: read(&metrics.cache_hits),
            disk_reads: read(&metrics.disk_reads),
            segments,
            segments_freed: read(&metrics.segments_freed),
            segment_bytes,
            free_bytes: read(&metrics.free_bytes),
        }
    }

    /// Writes what waits, and makes the state durable. The files are closed when the last handle is dropped.
    pub fn close(self) -> Result<(), StorageError> {
        if self.read_only().is_some() {
            return Ok(());
        }
        self.state.flush()?;
        match self.lost_rows.is_empty() {
            true => Ok(()),
            false => forget(&self.folder),
        }
    }
}

/// Takes entries that can not be read out of the directory, where that is accepted.
fn give_up_lost(db: &LogDb, mut recovered: Recovered, options: &Options) -> Result<Recovered, StorageError> {
    if !options.accept_loss {
        return Ok(recovered);
    }
    let meta = db.family(db::META)?;
    let mut batch = WriteBatch::default();
    for lost in verify(db, &recovered, Extent::All)?.lost {
        let (group, indexes) = (lost.group.0, &lost.indexes);
        tracing::warn!(
            group,
            from = indexes.start,
            to = indexes.end - 1,
            "given up: {}",
            lost.error
        );
        let Some(found) = recovered.groups.get_mut(&lost.group) else {
            continue;
        };
        found.runs.cut(lost.indexes);
        let runs = found.runs.of_segment(lost.segment);
        batch.put_cf(
            meta,
            meta::directory_key(lost.segment, lost.group),
            meta::encode_runs(&runs),
        );
    }
    db.write_synced(batch).map_err(|error| db.error(&error))?;
    Ok(recovered)
}

fn make(folder: &Folder, options: &Options, lock: &Arc<Lock>) -> Result<(), StorageError> {
    drop(LogDb::open(folder, Access::Create, options)?);
    drop(RocksState::open(
        &folder.state(),
        Access::Create,
        options,
        Some(lock.clone()),
    )?);
    drop(Watermark::create(&folder.watermark())?);
    folder.complete()
}

/// What the log holds, and what is wrong with it, found out without touching it. All that is still part of a log is
/// read: what is below it is looked at when somebody asks for it.
fn inspect(folder: &Folder, options: &Options) -> Result<(Recovered, Option<StorageError>), StorageError> {
    if options.accept_loss {
        let recovered = recover_rest(&LogDb::open(folder, Access::Read, options)?)?;
        return Ok((recovered, None));
    }
    let db = LogDb::open(folder, Access::Read, options)?;
    let recovered = recover(&db)?;
    let (_, marks) = open_watermark(folder, Access::Read, options)?;
    if let Some(wrong) = shorter(&recovered, &marks).or_else(|| holes(&recovered, folder)) {
        return Ok((recovered, Some(wrong)));
    }
    let lost = verify(&db, &recovered, Extent::Log)?.lost;
    Ok((recovered, lost.into_iter().next().map(|lost| lost.error)))
}

fn open_databases(
    folder: &Folder,
    access: Access,
    options: &Options,
    lock: &Arc<Lock>,
) -> Result<(LogDb, RocksState), StorageError> {
    let log = LogDb::open(folder, access, options)?;
    let state = RocksState::open(&folder.state(), access, options, Some(lock.clone()))?;
    Ok((log, state))
}

/// Has RocksDB make do with the files that are there, where it can not open the log as it is, and copies what can be
/// read of a state. Says which rows are lost.
fn repair(folder: &Folder, options: &Options) -> Result<Vec<LostRows>, StorageError> {
    if let Err(StorageError::Damaged { file, .. }) = LogDb::open(folder, Access::Read, options) {
        let is_cold = file.starts_with(folder.cold());
        let path = if is_cold { folder.cold() } else { folder.log() };
        tracing::warn!(
            "{} can not be opened as it is: made new of what is there",
            path.display()
        );
        let repaired = rocksdb::DB::repair(&rocksdb::Options::default(), &path);
        repaired.map_err(|error| storage_error(&path, &error))?;
    }
    salvage(folder, options)
}

fn open_watermark(
    folder: &Folder,
    access: Access,
    options: &Options,
) -> Result<(Watermark, Marks), StorageError> {
    match Watermark::open(&folder.watermark(), access != Access::Read) {
        Err(StorageError::Damaged { .. }) if options.accept_loss => {
            Ok((Watermark::create(&folder.watermark())?, Marks::new()))
        }
        opened => opened,
    }
}

/// A log that ends before what was durable.
pub(crate) fn shorter(recovered: &Recovered, marks: &Marks) -> Option<StorageError> {
    let next = |group: &GroupId| recovered.groups.get(group).map_or(0, Found::next);
    let mut short = marks.iter().filter(|(group, mark)| next(group) < **mark);
    short.next().map(|(group, mark)| StorageError::Truncated {
        group: group.0,
        last: next(group).saturating_sub(1),
        watermark: mark.saturating_sub(1),
    })
}

/// A log that misses something in between.
pub(crate) fn holes(recovered: &Recovered, folder: &Folder) -> Option<StorageError> {
    recovered.groups.iter().find_map(|(group, found)| {
        let gap = found.runs.gaps(found.first..found.next()).into_iter().next()?;
        let what = format!(
            "entries {} to {} of group {} are missing",
            gap.start,
            gap.end - 1,
            group.0
        );
        Some(StorageError::Damaged {
            file: folder.log(),
            offset: 0,
            what,
        })
    })
}

/// Closes the segment that was written to: a memtable that was read back is flushed, and what follows must not overlap it.
fn begin_segment(db: &LogDb, mut recovered: Recovered) -> Result<Recovered, StorageError> {
    if !recovered.is_active_used {
        return Ok(recovered);
    }
    let meta = db.family(db::META)?;
    let mut batch = WriteBatch::default();
    for (group, found) in &recovered.groups {
        let runs = found.runs.of_segment(recovered.active);
        if !runs.is_empty() {
            batch.put_cf(
                meta,
                meta::directory_key(recovered.active, *group),
                meta::encode_runs(&runs),
            );
        }
    }
    recovered.active += 1;
    batch.put_cf(meta, [meta::ACTIVE], recovered.active.to_le_bytes());
    db.write_synced(batch).map_err(|error| db.error(&error))?;
    Ok(recovered)
}
