//! A node's log and state on RocksDB.
//!
//! Owns the data folder: the log of every group (`logdb`), the rows that are worked out from it (`statedb`), the
//! watermark that tells a log that lost its end, the lock that keeps a second process out, and the cleaning that frees
//! space. It is the only crate that names rocksdb. It must never know Raft, streams, subjects or a protocol: entries,
//! notes and rows are bytes to it.

pub mod log;
pub mod state;

pub use log::{Bounds, Done, Entry, GroupId, Kept, LogStore, Note, StorageError};
pub use state::{Batch, Rows, StateStore};
