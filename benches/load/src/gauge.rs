//! What the threads of a run know of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::poll::nap;

/// After so long without a delivery, what is outstanding counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Counts of a run. Each is written once a batch, so that sharing them costs nothing.
#[derive(Debug)]
pub struct Gauge {
    published: AtomicU64,
    delivered: AtomicU64,
    expected: AtomicU64,
    aborted: AtomicBool,
    /// Deliveries that each published message makes.
    fan: u64,
    /// Deliveries that may be outstanding.
    window: u64,
}

impl Gauge {
    /// `fan` deliveries a message, at most `window` of them outstanding.
    #[must_use]
    pub fn new(fan: u64, window: u64) -> Self {
        Self {
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            expected: AtomicU64::new(u64::MAX),
            aborted: AtomicBool::new(false),
            fan,
            window,
        }
    }

    pub fn add_published(&self, messages: u64) {
        self.published.fetch_add(messages, Relaxed);
    }

    pub fn add_delivered(&self, messages: u64) {
        self.delivered.fetch_add(messages, Relaxed);
    }

    /// Messages published so far.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Relaxed)
    }

    /// Messages delivered so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// All is published: so many deliveries are to come in all.
    pub fn expect(&self, deliveries: u64) {
        self.expected.store(deliveries, Relaxed);
    }

    /// Publishing is over and the number of deliveries known.
    #[must_use]
    pub fn is_expected_known(&self) -> bool {
        self.expected.load(Relaxed) != u64::MAX
    }

    /// All has arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.delivered() >= self.expected.load(Relaxed)
    }

    /// Something failed: every thread stops.
    pub fn abort(&self) {
        self.aborted.store(true, Relaxed);
    }

    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Relaxed)
    }

    /// Waits until fewer deliveries are outstanding than the window holds. A publisher that does this never
    /// makes a slow consumer of a subscriber that reads.
    ///
    /// # Errors
    /// What is outstanding does not come.
    pub fn await_room(&self) -> Result<()> {
        const STEP: Duration = Duration::from_micros(100);
        if !self.is_full() {
            return Ok(());
        }
        let mut delivered = self.delivered();
        let mut since = Instant::now();
        while self.is_full() && !self.is_aborted() {
            nap(STEP);
            if self.delivered() != delivered {
                delivered = self.delivered();
                since = Instant::now();
            } else if since.elapsed() > PATIENCE {
                let outstanding = self.published() * self.fan - delivered;
                bail!(
                    "{outstanding} deliveries are outstanding and none came for {PATIENCE:?}: they are lost"
                );
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.published().saturating_mul(self.fan) > self.delivered().saturating_add(self.window)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_window_counts_deliveries() {
        let gauge = Gauge::new(10, 100);
        gauge.add_published(10);
        gauge.await_room().unwrap();
        gauge.add_published(1);
        assert!(gauge.is_full());
        gauge.add_delivered(10);
        assert!(!gauge.is_full());
    }

    #[test]
    fn an_abort_ends_the_wait() {
        let gauge = Gauge::new(1, 0);
        gauge.add_published(1);
        gauge.abort();
        gauge.await_room().unwrap();
    }

    #[test]
    fn complete_is_known_only_when_all_is_published() {
        let gauge = Gauge::new(1, 0);
        gauge.add_delivered(5);
        assert!(!gauge.is_complete() && !gauge.is_expected_known());
        gauge.expect(6);
        assert!(!gauge.is_complete() && gauge.is_expected_known());
        gauge.add_delivered(1);
        assert!(gauge.is_complete());
    }
}
