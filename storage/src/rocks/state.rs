//! Rows on RocksDB.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rocksdb::statistics::Ticker;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, ErrorKind,
    WriteBatch, WriteOptions,
};

use super::db::{Access, base_options};
use super::error::{abort, is_no_space, storage_error};
use super::shared::Shared;
use crate::folder::Lock;
use crate::log::StorageError;
use crate::options::Options;
use crate::state::{Batch, Op, Rows, StateStore};

/// Between two tries of a write that found no room.
const NO_SPACE_WAIT: Duration = Duration::from_millis(100);

/// The rows' database.
pub struct RocksState {
    db: DB,
    options: rocksdb::Options,
    folder: PathBuf,
    unlogged: WriteOptions,
    is_read_only: bool,
    told: OnceLock<Arc<Shared>>,
    _lock: Option<Arc<Lock>>,
}

impl RocksState {
    pub fn open(
        folder: &Path,
        access: Access,
        options: &Options,
        lock: Option<Arc<Lock>>,
    ) -> Result<RocksState, StorageError> {
        let base = db_options(access, options);
        let opened = match access {
            Access::Read | Access::Salvage => DB::open_for_read_only(&base, folder, false),
            Access::Create | Access::Write => DB::open(&base, folder),
        };
        let db = opened.map_err(|error| storage_error(folder, &error))?;
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let is_read_only = access.is_read();
        Ok(RocksState {
            db,
            options: base,
            folder: folder.into(),
            unlogged,
            is_read_only,
            told: OnceLock::new(),
            _lock: lock,
        })
    }

    pub fn ticker(&self, ticker: Ticker) -> u64 {
        self.options.get_ticker_count(ticker)
    }

    /// Reads and checks every block. Returns how many rows there are.
    pub fn verify(&self) -> Result<u64, StorageError> {
        let mut reads = rocksdb::ReadOptions::default();
        reads.fill_cache(false);
        let mut rows = self.db.raw_iterator_opt(reads);
        rows.seek_to_first();
        let mut count = 0;
        while rows.valid() {
            count += 1;
            rows.next();
        }
        rows.status().map(|()| count).map_err(|error| self.error(&error))
    }

    /// Who is told of damage that is found later.
    pub fn tell(&self, log: Arc<Shared>) {
        // There is one log.
        let _ = self.told.set(log);
    }

    fn error(&self, error: &rocksdb::Error) -> StorageError {
        let error = storage_error(&self.folder, error);
        if let Some(log) = self.told.get() {
            log.found(&error);
        }
        error
    }

    /// Writes until there is room for it: what is dropped here could not be made good. A disk that fails is the end.
    fn persist(&self, write: impl Fn() -> Result<(), rocksdb::Error>) -> Result<(), StorageError> {
        let mut is_said = false;
        loop {
            match write() {
                Ok(()) => return Ok(()),
                Err(error) if is_no_space(&error) => {
                    if !is_said {
                        tracing::error!("rows wait for room on the disk: {error}");
                    }
                    is_said = true;
                    thread::park_timeout(NO_SPACE_WAIT);
                }
                Err(error) if error.kind() == ErrorKind::IOError => abort(error.as_ref()),
                Err(error) => return Err(self.error(&error)),
            }
        }
    }

    fn writable(&self) -> Result<(), StorageError> {
        if self.is_read_only {
            return Err(StorageError::ReadOnly("it is damaged".into()));
        }
        Ok(())
    }
}

fn db_options(access: Access, options: &Options) -> rocksdb::Options {
    let mut base = base_options(access);
    let cache = Cache::new_lru_cache(options.state_cache_bytes);
    let mut table = BlockBasedOptions::default();
    // Rows are read one by one, anywhere: each read unpacks a block.
    table.set_block_size(4 << 10);
    table.set_block_cache(&cache);
    table.set_bloom_filter(10.0, false);
    // Indexes and filters are in parts, which come and go with the cache like any block: RAM does not grow with rows.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(4 << 10);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_format_version(5);
    base.set_block_based_table_factory(&table);
    base.set_compression_type(DBCompressionType::Lz4);
    base.set_write_buffer_size(options.state_buffer_bytes);
    base.set_max_write_buffer_number(3);
    // Most rows that are asked for have not changed lately.
    base.set_memtable_whole_key_filtering(true);
    base.set_memtable_prefix_bloom_ratio(0.02);
    base.set_target_file_size_base(32 << 20);
    base
}

impl StateStore for RocksState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self.db.get_pinned(key).map_err(|error| self.error(&error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.writable()?;
        let mut writes = WriteBatch::default();
        for op in batch.ops {
            match op {
                Op::Put(key, value) => writes.put(key, value),
                Op::Delete(key) => writes.delete(key),
                Op::DeleteRange(from, to) => writes.delete_range(from, to),
            }
        }
        let data = writes.data();
        self.persist(|| self.db.write_opt(WriteBatch::from_data(data), &self.unlogged))
    }

    fn rows(&self) -> Box<dyn Rows + '_> {
        Box::new(RocksRows {
            state: self,
            rows: self.db.raw_iterator(),
        })
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.writable()?;
        self.persist(|| self.db.flush())
    }
}

struct RocksRows<'a> {
    state: &'a RocksState,
    rows: DBRawIterator<'a>,
}

impl RocksRows<'_> {
    fn status(&self) -> Result<(), StorageError> {
        if self.rows.valid() {
            return Ok(());
        }
        self.rows.status().map_err(|error| self.state.error(&error))
    }
}

impl Rows for RocksRows<'_> {
    fn current(&self) -> Option<(&[u8], &[u8])> {
        self.rows.item()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.rows.seek(key);
        self.status()
    }

    fn seek_back(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.rows.seek_for_prev(key);
        self.status()
    }

    fn next(&mut self) -> Result<(), StorageError> {
        if self.rows.valid() {
            self.rows.next();
        }
        self.status()
    }

    fn prev(&mut self) -> Result<(), StorageError> {
        if self.rows.valid() {
            self.rows.prev();
        }
        self.status()
    }
}
