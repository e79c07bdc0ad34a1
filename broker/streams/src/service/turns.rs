//! One change at a time for each name.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Names are told apart by a hash of so many values.
const PLACES: usize = 64;

/// Turns of those who change streams and consumers.
pub(super) struct Turns(Vec<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| Semaphore::new(1)).collect())
    }

    /// Waits until nobody else changes what has this name. The turn ends when the permit is dropped.
    pub(super) async fn of(&self, account: &str, stream: &str) -> Option<SemaphorePermit<'_>> {
        let place = FixedState::default().hash_one((account, stream)) as usize % PLACES;
        // Nobody closes it.
        self.0[place].acquire().await.ok()
    }
}
