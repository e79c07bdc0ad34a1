//! The same store on a simulated disk, for tests and for simulations of whole clusters: no threads, no time, no files,
//! and the same run again from the same seed.
//!
//! What is not synced is lost, torn or flipped by a [`crash`](Disk::crash). The promises of [`crate::LogStore`] and
//! [`crate::StateStore`] hold as they do for the real store; one suite of tests runs against both.

mod codec;
mod disk;
mod group;
mod log;
mod rows;

use std::sync::Arc;

pub use disk::{Disk, File};
pub use log::SimLog;
pub use rows::SimState;

use crate::log::StorageError;

/// A log and a state on a simulated disk.
pub struct SimStorage {
    pub log: Arc<SimLog>,
    pub state: Arc<SimState>,
}

impl SimStorage {
    /// Opens what is on the disk. The store before must not be used any more.
    pub fn open(disk: &Disk) -> Result<SimStorage, StorageError> {
        Ok(SimStorage {
            log: Arc::new(SimLog::open(disk)?),
            state: Arc::new(SimState::open(disk)),
        })
    }
}
