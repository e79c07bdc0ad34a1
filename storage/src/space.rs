//! Free space: the mark below which nothing new is taken, and the ballast that is given back when there is none.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::env::Disk;
use crate::log::StorageError;

/// Watches the free space of a folder.
pub struct Space {
    folder: PathBuf,
    ballast: PathBuf,
    disk: Arc<dyn Disk>,
    mark_bytes: u64,
    ballast_bytes: u64,
    free_bytes: AtomicU64,
    is_full: AtomicBool,
    is_ballast_there: AtomicBool,
}

impl Space {
    pub fn new(folder: &Path, disk: Arc<dyn Disk>, mark_bytes: u64, ballast_bytes: u64) -> Space {
        let ballast = folder.join("ballast");
        let size = std::fs::metadata(&ballast).map_or(0, |meta| meta.len());
        Space {
            folder: folder.into(),
            ballast,
            disk,
            mark_bytes,
            ballast_bytes,
            free_bytes: AtomicU64::new(u64::MAX),
            is_full: AtomicBool::new(false),
            is_ballast_there: AtomicBool::new(size >= ballast_bytes),
        }
    }

    /// Why nothing new should be written.
    pub fn is_full(&self) -> Option<StorageError> {
        self.is_full.load(Ordering::Relaxed).then(|| StorageError::Full {
            free_bytes: self.free_bytes.load(Ordering::Relaxed),
            mark_bytes: self.mark_bytes,
        })
    }

    pub fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// Looks at the disk. Called at intervals.
    pub fn look(&self) {
        let free = match self.disk.free_bytes(&self.folder) {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!("the free space of {} is unknown: {error}", self.folder.display());
                return;
            }
        };
        self.free_bytes.store(free, Ordering::Relaxed);
        let is_full = self.is_full.load(Ordering::Relaxed);
        // Some more than the mark ends it, so that it does not flap.
        let mark = if is_full {
            self.mark_bytes.saturating_add(self.mark_bytes / 8)
        } else {
            self.mark_bytes
        };
        self.set_full(free < mark);
        if free > mark.saturating_add(self.ballast_bytes.saturating_mul(2)) {
            self.take_ballast();
        }
    }

    /// Gives the ballast back where there is less than the mark: what is opened may have to write before it can be asked.
    pub fn make_room(&self) {
        self.look();
        if self.is_full().is_some() {
            self.ran_out("it is below its mark");
        }
    }

    /// A write found no room: gives the ballast back.
    pub fn ran_out(&self, what: &str) {
        self.set_full(true);
        if self.is_ballast_there.swap(false, Ordering::Relaxed) {
            tracing::error!("the disk is full: {what}; the ballast is given back");
            if let Err(error) = OpenOptions::new().write(true).truncate(true).open(&self.ballast) {
                tracing::warn!("the ballast can not be given back: {error}");
            }
        }
    }

    fn set_full(&self, is_full: bool) {
        if self.is_full.swap(is_full, Ordering::Relaxed) == is_full {
            return;
        }
        let (free, mark) = (self.free_bytes(), self.mark_bytes);
        if is_full {
            tracing::error!("the disk is full: {free} bytes free, {mark} wanted; nothing new is stored");
        } else {
            tracing::info!("the disk has room again: {free} bytes free");
        }
    }

    fn take_ballast(&self) {
        if self.ballast_bytes == 0 || self.is_ballast_there.load(Ordering::Relaxed) {
            return;
        }
        match write_ballast(&self.ballast, self.ballast_bytes) {
            Ok(()) => self.is_ballast_there.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!("no ballast: {error}"),
        }
    }
}

/// Takes the blocks, and leaves the disk's contents alone where it can.
fn write_ballast(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = vec![0; 1 << 20];
            let mut rest = bytes;
            while rest > 0 {
                let part = rest.min(zeros.len() as u64);
                file.write_all(&zeros[..part as usize])?;
                rest -= part;
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(AtomicU64);

    impl Disk for Says {
        fn free_bytes(&self, _: &Path) -> std::io::Result<u64> {
            Ok(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn the_mark_holds_until_there_is_some_more() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Says(AtomicU64::new(100_000)));
        let space = Space::new(folder.path(), disk.clone(), 8_000, 4_096);
        let ballast = || std::fs::metadata(folder.path().join("ballast")).map_or(0, |meta| meta.len());
        let look = |free| {
            disk.0.store(free, Ordering::Relaxed);
            space.look();
            space.is_full().is_some()
        };
        assert!(!look(100_000));
        assert_eq!(ballast(), 4_096);
        assert!(look(7_999));
        assert!(look(8_500));
        assert!(!look(9_000));
        space.ran_out("test");
        assert!(space.is_full().is_some());
        assert_eq!(ballast(), 0);
        assert!(!look(16_000));
        assert_eq!(ballast(), 0);
        assert!(!look(20_000));
        assert_eq!(ballast(), 4_096);
    }
}
