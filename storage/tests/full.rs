//! A disk that is really full: nothing acknowledged is lost, and it goes on alone when there is room again.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mainstem_storage::{Entry, Kept, Options, Storage, StorageError};

#[allow(dead_code, unused_imports, reason = "shared with the conformance suite")]
mod suite;

use suite::{A, check, data, wait};

/// A small file system in RAM, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(mb: u64) -> Small {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={mb}m"), "tmpfs"])
            .arg(folder.path());
        assert!(mount.status().unwrap().success());
        Small(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn options(mark_bytes: u64) -> Options {
    Options {
        segment_bytes: 4 << 20,
        state_buffer_bytes: 4 << 20,
        batch_bytes: 1 << 20,
        mark_bytes,
        ballast_bytes: 4 << 20,
        ..Options::default()
    }
}

/// Appends for as long as the store takes it, or, if it does not ask, until nothing is completed any more.
fn fill(storage: &Storage, asks: bool, len: usize) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "it never got full");
        if asks && storage.log.is_full().is_some() {
            break;
        }
        let index = storage.log.bounds(A).next;
        let entry = Entry {
            index,
            data: data(A, index, len),
        };
        let (before, counter) = (Instant::now(), done.clone());
        storage.log.append(
            A,
            vec![entry],
            Box::new(move |result| {
                result.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
            }),
        );
        while done.load(Ordering::Relaxed) <= index {
            if !asks && before.elapsed() > Duration::from_secs(2) {
                return done.load(Ordering::Relaxed);
            }
            std::thread::park_timeout(Duration::from_micros(100));
        }
    }
    done.load(Ordering::Relaxed)
}

fn wait_until(what: &str, is_it: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_it() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
#[cfg_attr(not(can_mount), ignore = "mounting a file system needs root")]
fn below_the_mark_nothing_is_taken_and_it_goes_on_alone() {
    let disk = Small::mount(96);
    let storage = Storage::open(disk.path(), options(32 << 20)).unwrap();
    storage.log.open_group(A, Kept::Synced).unwrap();
    let filler = disk.path().join("filler");
    wait_until("space is known", || storage.metrics().free_bytes > 0);
    let free = storage.metrics().free_bytes;
    fs::write(&filler, vec![1; free as usize - (48 << 20)]).unwrap();
    let acknowledged = fill(&storage, true, 20_000);
    assert!(matches!(storage.log.is_full(), Some(StorageError::Full { .. })));
    // What its group has decided on is still written.
    wait(|done| {
        let entry = Entry {
            index: acknowledged,
            data: data(A, acknowledged, 20_000),
        };
        storage.log.append(A, vec![entry], done)
    })
    .unwrap();
    fs::remove_file(&filler).unwrap();
    wait_until("it goes on", || storage.log.is_full().is_none());
    check(&*storage.log, A, 0..acknowledged + 1, 20_000);
}

#[test]
#[cfg_attr(not(can_mount), ignore = "mounting a file system needs root")]
fn a_disk_that_somebody_else_fills_is_survived() {
    let disk = Small::mount(96);
    let storage = Storage::open(disk.path(), options(0)).unwrap();
    storage.log.open_group(A, Kept::Synced).unwrap();
    wait_until("space is known", || storage.metrics().free_bytes > 0);
    let filler = disk.path().join("filler");
    let free = storage.metrics().free_bytes;
    fs::write(&filler, vec![1; free as usize - (24 << 20)]).unwrap();
    let acknowledged = fill(&storage, false, 20_000);
    assert!(acknowledged > 10);
    check(&*storage.log, A, 0..acknowledged, 20_000);
    fs::remove_file(&filler).unwrap();
    wait_until("what waits is written", || {
        storage.log.durable(A) == storage.log.bounds(A).next
    });
    wait_until("it goes on", || storage.log.is_full().is_none());
    let next = storage.log.bounds(A).next;
    wait(|done| {
        storage.log.append(
            A,
            vec![Entry {
                index: next,
                data: data(A, next, 20_000),
            }],
            done,
        );
    })
    .unwrap();
    check(&*storage.log, A, 0..next + 1, 20_000);
    storage.close().unwrap();
    let storage = Storage::open(disk.path(), options(0)).unwrap();
    assert!(storage.read_only().is_none());
    storage.log.open_group(A, Kept::Synced).unwrap();
    check(&*storage.log, A, 0..next + 1, 20_000);
}
