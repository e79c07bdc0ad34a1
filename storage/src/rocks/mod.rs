//! The store on RocksDB.

pub mod alter;
pub mod clean;
pub mod copy;
pub mod db;
pub mod error;
pub mod log;
pub mod memory;
pub mod meta;
pub mod reader;
pub mod recover;
pub mod salvage;
pub mod shared;
pub mod state;
pub mod verify;
pub mod writer;
