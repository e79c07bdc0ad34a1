//! A node's log and state on RocksDB.
//!
//! Owns the data folder: the log of every group (`logdb`), the rows that are worked out from it (`statedb`), the
//! watermark that tells a log that lost its end, the lock that keeps a second process out, and the cleaning that frees
//! space. It is the only crate that names rocksdb. It must never know Raft, streams, subjects or a protocol: entries,
//! notes and rows are bytes to it.

mod cache;
mod directory;
pub mod doctor;
pub mod env;
mod folder;
mod frame;
mod group;
pub mod log;
pub mod metrics;
mod options;
mod rocks;
pub mod sim;
mod space;
pub mod state;
mod store;
mod watermark;

pub use env::{Clock, Disk, Env};
pub use log::{Bounds, Cleaned, Done, Entry, GroupId, Kept, Liveness, LogStore, Note, StorageError};
pub use options::Options;
pub use rocks::salvage::LostRows;
pub use state::{Batch, Rows, StateStore};
pub use store::Storage;
