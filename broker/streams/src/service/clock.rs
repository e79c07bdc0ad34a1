//! Time, passed in.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Completes when it is time.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The time as the service sees it.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since the Unix epoch, for timestamps. May jump.
    fn wall_ns(&self) -> u64;
    /// Nanoseconds since some moment, for timers. Never goes back.
    fn steady_ns(&self) -> u64;
    /// Completes when [`steady_ns`](Clock::steady_ns) has reached `steady_ns`.
    fn sleep_until(&self, steady_ns: u64) -> Sleep;
}

/// The system's time. Needs a tokio runtime with timers.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64)
    }

    fn steady_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn sleep_until(&self, steady_ns: u64) -> Sleep {
        let at = self.start + Duration::from_nanos(steady_ns);
        Box::pin(tokio::time::sleep_until(at.into()))
    }
}
