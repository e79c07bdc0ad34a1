//! What the store takes from the world around it: the time, and what the disk says about itself.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A clock that never goes back.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since some fixed moment.
    fn now_ns(&self) -> u64;
}

/// Facts about the disk that holds a folder.
pub trait Disk: Send + Sync + 'static {
    /// Bytes that this process can still write there.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// The world as the store sees it.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub disk: Arc<dyn Disk>,
}

impl Default for Env {
    /// This machine.
    fn default() -> Env {
        Env {
            clock: Arc::new(SystemClock(Instant::now())),
            disk: Arc::new(SystemDisk),
        }
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

struct SystemDisk;

impl Disk for SystemDisk {
    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
