//! The log's databases: how RocksDB is set up for them.
//!
//! What cleaning copies is in one of its own, because it is written without a WAL, and a database that recycles its WAL
//! files can not do without (a gap in it could not be told from its end).

use std::ops::Range;
use std::path::{Path, PathBuf};

use rocksdb::statistics::Ticker;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, DB, DBCompressionType, DBRawIterator, DBRecoveryMode,
    DEFAULT_COLUMN_FAMILY_NAME, FlushOptions, LogLevel, ReadOptions, WriteBatch, WriteOptions,
};

use super::error::storage_error;
use crate::directory::Run;
use crate::folder::Folder;
use crate::frame::key;
use crate::log::{GroupId, StorageError};
use crate::options::Options;

/// What is appended, by segment.
pub const HOT: &str = "log";
/// Notes and directory.
pub const META: &str = "meta";

/// WAL files that are kept for writing again: a block that is overwritten is synced faster than one that is new.
const RECYCLED_WALS: usize = 4;
/// Blocks of the log that RocksDB keeps: half of it is the indexes' alone. Frames have a cache of their own.
const INDEX_CACHE: usize = 8 << 20;

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A new one is made where there is none.
    Create,
    Write,
    /// Nothing on disk is touched.
    Read,
    /// The same, with files that can not be opened: what is in them is an error when it is asked for.
    Salvage,
}

impl Access {
    pub fn is_read(self) -> bool {
        matches!(self, Access::Read | Access::Salvage)
    }
}

/// The log's databases, open.
pub struct LogDb {
    db: DB,
    cold: DB,
    options: rocksdb::Options,
    cold_options: rocksdb::Options,
    folder: PathBuf,
    cold_folder: PathBuf,
    synced: WriteOptions,
    unlogged: WriteOptions,
}

impl LogDb {
    pub fn open(folder: &Folder, access: Access, options: &Options) -> Result<LogDb, StorageError> {
        let (path, cold_path) = (folder.log(), folder.cold());
        let cache = Cache::new_lru_cache(INDEX_CACHE);
        let base = db_options(access, options);
        let families = [HOT, META].map(|name| (name, family_options(&base, name, options, &cache)));
        let opened = match access {
            Access::Read | Access::Salvage => {
                DB::open_cf_with_opts_for_read_only(&base, &path, families, false)
            }
            Access::Create | Access::Write => DB::open_cf_with_opts(&base, &path, families),
        };
        let db = opened.map_err(|error| storage_error(&path, &error))?;
        let mut cold_base = base_options(access);
        cold_base.set_write_buffer_size(memtable_bytes(options));
        let cold_options = family_options(&cold_base, DEFAULT_COLUMN_FAMILY_NAME, options, &cache);
        // Only families that are named have a handle.
        let only = [(DEFAULT_COLUMN_FAMILY_NAME, cold_options.clone())];
        let opened = match access {
            Access::Read | Access::Salvage => {
                DB::open_cf_with_opts_for_read_only(&cold_options, &cold_path, only, false)
            }
            Access::Create | Access::Write => DB::open_cf_with_opts(&cold_options, &cold_path, only),
        };
        let cold = opened.map_err(|error| storage_error(&cold_path, &error))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let (folder, cold_folder) = (path, cold_path);
        Ok(LogDb {
            db,
            cold,
            options: base,
            cold_options,
            folder,
            cold_folder,
            synced,
            unlogged,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn raw(&self) -> &DB {
        &self.db
    }

    /// Where a segment's frames are.
    pub fn frames(&self, is_cold: bool) -> Result<Frames<'_>, StorageError> {
        let (db, name, folder) = match is_cold {
            true => (&self.cold, DEFAULT_COLUMN_FAMILY_NAME, &self.cold_folder),
            false => (&self.db, HOT, &self.folder),
        };
        Ok(Frames {
            db,
            name,
            family: find(db, name, folder)?,
            folder,
        })
    }

    pub fn family(&self, name: &str) -> Result<&ColumnFamily, StorageError> {
        find(&self.db, name, &self.folder)
    }

    /// Durable when it returns. The caller tells a full disk from a broken one.
    pub fn write_synced(&self, batch: WriteBatch) -> Result<(), rocksdb::Error> {
        self.db.write_opt(batch, &self.synced)
    }

    /// Copies, which are durable after [`flush_cold`](LogDb::flush_cold).
    pub fn write_cold(&self, batch: WriteBatch) -> Result<(), StorageError> {
        let written = self.cold.write_opt(batch, &self.unlogged);
        written.map_err(|error| storage_error(&self.cold_folder, &error))
    }

    pub fn flush_cold(&self) -> Result<(), StorageError> {
        self.cold
            .flush()
            .map_err(|error| storage_error(&self.cold_folder, &error))
    }

    /// Begins new files for what is appended from here on.
    pub fn rotate(&self) -> Result<(), StorageError> {
        let mut wait = FlushOptions::default();
        wait.set_wait(false);
        let families = [self.family(HOT)?, self.family(META)?];
        self.db
            .flush_cfs_opt(&families, &wait)
            .map_err(|error| self.error(&error))
    }

    pub fn error(&self, error: &rocksdb::Error) -> StorageError {
        storage_error(&self.folder, error)
    }

    /// A counter, of both databases.
    pub fn ticker(&self, ticker: Ticker) -> u64 {
        self.options.get_ticker_count(ticker) + self.cold_options.get_ticker_count(ticker)
    }
}

/// Frames of hot or of cold segments.
pub struct Frames<'a> {
    db: &'a DB,
    name: &'static str,
    family: &'a ColumnFamily,
    folder: &'a Path,
}

impl<'a> Frames<'a> {
    /// For reading many, which leaves RocksDB's cache to the index.
    pub fn rows(&self) -> DBRawIterator<'a> {
        let mut reads = ReadOptions::default();
        reads.fill_cache(false);
        self.db.raw_iterator_cf_opt(self.family, reads)
    }

    /// For looking at one place. Without filling the cache, RocksDB would read a file's index anew for each.
    pub fn lookup(&self) -> DBRawIterator<'a> {
        self.db.raw_iterator_cf_opt(self.family, ReadOptions::default())
    }

    /// Deletes the files in which nothing but these segments is, as far as they have left level 0.
    pub fn delete_files(&self, segments: Range<u64>) -> Result<(), StorageError> {
        let first = key(segments.start, GroupId(0), 0);
        let last = key(segments.end - 1, GroupId(u32::MAX), u64::MAX);
        let deleted = self.db.delete_file_in_range_cf(self.family, first, last);
        deleted.map_err(|error| self.error(&error))
    }

    /// What its files span, by what the database says of them.
    pub fn files(&self) -> Result<Files, StorageError> {
        let files = self.db.live_files().map_err(|error| self.error(&error))?;
        let of_family = files
            .into_iter()
            .filter(|file| file.column_family_name == self.name);
        let spans = of_family.filter_map(|file| Some((file.start_key?, file.end_key?)));
        Ok(Files::new(spans.collect()))
    }

    pub fn error(&self, error: &rocksdb::Error) -> StorageError {
        storage_error(self.folder, error)
    }

    pub fn damaged(&self, what: String) -> StorageError {
        StorageError::Damaged {
            file: self.folder.into(),
            offset: 0,
            what,
        }
    }
}

/// First and last keys of files, ordered by the first; the last ones are those of all files up to there.
pub struct Files(Vec<(Vec<u8>, Vec<u8>)>);

impl Files {
    fn new(mut spans: Vec<(Vec<u8>, Vec<u8>)>) -> Files {
        spans.sort();
        for at in 1..spans.len() {
            if spans[at].1 < spans[at - 1].1 {
                spans[at].1 = spans[at - 1].1.clone();
            }
        }
        Files(spans)
    }

    /// The last key of all.
    pub fn last(&self) -> Option<&[u8]> {
        self.0.last().map(|(_, end)| end.as_slice())
    }

    /// Whether some file spans keys of the run's frames. `false`: it may still be in RAM.
    pub fn may_hold(&self, group: GroupId, run: &Run) -> bool {
        let (first, last) = (key(run.segment, group, 0), key(run.segment, group, run.last));
        let before = self
            .0
            .partition_point(|(start, _)| start.as_slice() <= last.as_slice());
        before > 0 && self.0[before - 1].1.as_slice() >= first.as_slice()
    }
}

fn find<'a>(db: &'a DB, name: &str, folder: &Path) -> Result<&'a ColumnFamily, StorageError> {
    db.cf_handle(name).ok_or_else(|| StorageError::Damaged {
        file: folder.into(),
        offset: 0,
        what: format!("the column family `{name}` is missing"),
    })
}

/// What both databases have in common.
pub fn base_options(access: Access) -> rocksdb::Options {
    let mut base = rocksdb::Options::default();
    base.create_if_missing(access == Access::Create);
    base.create_missing_column_families(access == Access::Create);
    base.set_paranoid_checks(access != Access::Salvage);
    base.set_max_open_files(512);
    base.set_max_background_jobs(2);
    base.set_bytes_per_sync(1 << 20);
    base.set_ttl(0);
    base.set_periodic_compaction_seconds(0);
    base.set_max_log_file_size(1 << 20);
    base.set_keep_log_file_num(3);
    base.set_log_level(LogLevel::Warn);
    base.set_stats_dump_period_sec(0);
    base.set_max_manifest_file_size(16 << 20);
    base.set_manifest_preallocation_size(64 << 10);
    base.enable_statistics();
    base.set_statistics_level(rocksdb::statistics::StatsLevel::ExceptHistogramOrTimers);
    base
}

fn db_options(access: Access, options: &Options) -> rocksdb::Options {
    let mut base = base_options(access);
    base.set_recycle_log_file_num(RECYCLED_WALS);
    // The mode that recycling works with. What it cuts off silently, the watermark finds.
    base.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // A memtable is switched when a segment is closed, so it must have room for more than one.
    base.set_write_buffer_size(memtable_bytes(options));
    base
}

fn memtable_bytes(options: &Options) -> usize {
    usize::try_from(options.segment_bytes).unwrap_or(usize::MAX / 4) / 4 * 5 + 2 * options.batch_bytes
}

fn family_options(base: &rocksdb::Options, name: &str, options: &Options, cache: &Cache) -> rocksdb::Options {
    let mut family = base.clone();
    let mut table = BlockBasedOptions::default();
    table.set_block_size(16 << 10);
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_format_version(5);
    family.set_block_based_table_factory(&table);
    // One compression for all levels, so that a file that goes down a level is moved and not written again.
    family.set_compression_type(DBCompressionType::None);
    family.set_bottommost_compression_type(DBCompressionType::None);
    if name == META {
        family.set_write_buffer_size(4 << 20);
        return family;
    }
    // One is written to while two are flushed; then appends wait for the disk.
    family.set_max_write_buffer_number(3);
    family.set_target_file_size_base(2 * memtable_bytes(options) as u64);
    // Files are freed once they have left level 0.
    family.set_level_zero_file_num_compaction_trigger(1);
    family
}
