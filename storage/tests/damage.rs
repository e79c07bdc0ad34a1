//! What is damaged is found, said and never served.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mainstem_storage::{Batch, Kept, Options, Storage, StorageError, doctor};

#[allow(dead_code, unused_imports, reason = "shared with the conformance suite")]
mod suite;

use suite::{A, B, append, check, data, wait};

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        frame_bytes: 4 << 10,
        tail_bytes: 0,
        cache_bytes: 0,
        mark_bytes: 0,
        ballast_bytes: 0,
        ..Options::default()
    }
}

fn open(folder: &Path) -> Result<Storage, StorageError> {
    let storage = Storage::open(folder, options())?;
    storage.log.open_group(A, Kept::Synced)?;
    storage.log.open_group(B, Kept::Synced)?;
    Ok(storage)
}

fn accept_loss(folder: &Path) -> Storage {
    let options = Options {
        accept_loss: true,
        ..options()
    };
    let storage = Storage::open(folder, options).unwrap();
    storage.log.open_group(A, Kept::Synced).unwrap();
    storage.log.open_group(B, Kept::Synced).unwrap();
    assert!(storage.read_only().is_none());
    storage
}

/// A store with many segments and some rows, closed.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).unwrap();
    for to in 1..=20 {
        append(&*storage.log, A, to * 100, 200);
        append(&*storage.log, B, to * 10, 200);
    }
    let mut batch = Batch::default();
    (0..1000u32).for_each(|n| batch.put(n.to_be_bytes(), vec![7; 100]));
    storage.state.write(batch).unwrap();
    storage.close().unwrap();
    folder
}

fn files(folder: &Path, is_it: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|path| is_it(path.file_name().unwrap().to_str().unwrap()));
    files.sort();
    files
}

fn flip(file: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// Every entry that can be read is right; returns how many can not.
fn damaged_reads(storage: &Storage) -> usize {
    let mut damaged = 0;
    for (group, next) in [(A, 2000), (B, 200)] {
        for index in 0..next {
            match storage.log.get(group, index) {
                Ok(got) => assert_eq!(got, data(group, index, 200)),
                Err(StorageError::Damaged { .. } | StorageError::Missing { .. }) => damaged += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    damaged
}

#[test]
fn a_whole_store_is_whole() {
    let folder = filled();
    let report = doctor::check(folder.path()).unwrap();
    assert!(report.is_whole(), "{report}");
    assert!(
        report.frames > 100 && report.rows == 1000 && report.groups == 2,
        "{report}"
    );
    let storage = open(folder.path()).unwrap();
    assert!(matches!(
        doctor::check(folder.path()),
        Err(StorageError::Locked(_))
    ));
    assert!(matches!(
        Storage::open(folder.path(), options()),
        Err(StorageError::Locked(_))
    ));
    drop(storage);
}

#[test]
fn a_flipped_byte_in_a_segment_is_never_served() {
    let folder = filled();
    let file = files(&folder.path().join("log"), |name| name.ends_with(".sst")).swap_remove(2);
    flip(&file, 20_000);
    let report = doctor::check(folder.path()).unwrap();
    assert!(!report.is_whole());
    assert!(
        report
            .to_string()
            .contains(file.file_name().unwrap().to_str().unwrap()),
        "{report}"
    );
    assert!(report.to_string().contains("lost: entries"), "{report}");
    let storage = open(folder.path()).unwrap();
    assert!(damaged_reads(&storage) > 0);
    // From when it is found on, nothing is written any more.
    assert!(matches!(
        storage.read_only(),
        Some(StorageError::Damaged { offset: 1.., .. })
    ));
    assert!(matches!(storage.log.is_full(), Some(StorageError::ReadOnly(_))));
    drop(storage);

    let storage = accept_loss(folder.path());
    let lost = damaged_reads(&storage);
    assert!(lost > 0 && lost < 100, "{lost} {report}");
    assert!(matches!(
        storage.log.get(A, 0),
        Ok(_) | Err(StorageError::Missing { .. })
    ));
    append(&*storage.log, A, 2010, 200);
    check(&*storage.log, A, 2000..2010, 200);
}

/// In the file where all entries begin: its first block, and what follows its blocks, by which they are found.
#[test]
fn a_flipped_byte_where_the_entries_begin_is_never_served() {
    let folder = filled();
    let files = files(&folder.path().join("log"), |name| name.ends_with(".sst"));
    let first = files
        .into_iter()
        .find(|file| fs::metadata(file).unwrap().len() > 10_000)
        .unwrap();
    let end = fs::metadata(&first).unwrap().len();
    let mut opened = 0;
    for at in [100].into_iter().chain((end - 2500..end).step_by(100)) {
        flip(&first, at);
        match open(folder.path()) {
            Ok(storage) => {
                let lost = damaged_reads(&storage);
                assert!(lost == 0 || storage.read_only().is_some(), "{lost} at {at}");
                opened += u32::from(lost > 0);
            }
            Err(error) => assert!(matches!(error, StorageError::Damaged { .. }), "{error}"),
        }
        flip(&first, at);
    }
    assert!(opened > 1);
}

#[test]
fn a_flipped_byte_in_the_log_that_was_written_to_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).unwrap();
    append(&*storage.log, A, 100, 200);
    append(&*storage.log, B, 10, 200);
    // The watermark is not far behind.
    std::thread::park_timeout(std::time::Duration::from_millis(500));
    // As after a kill: what is in the files now.
    copy_folder(folder.path(), copy.path());
    drop(storage);
    let wal = files(&copy.path().join("log"), |name| name.ends_with(".log"));
    let wal = wal
        .into_iter()
        .max_by_key(|file| fs::metadata(file).unwrap().len())
        .unwrap();
    flip(&wal, 6_000);
    let before = fs::read(&wal).unwrap();
    for _ in 0..2 {
        let storage = open(copy.path()).unwrap();
        assert!(
            matches!(storage.read_only(), Some(StorageError::Truncated { .. })),
            "{:?}",
            storage.read_only()
        );
        assert!(matches!(storage.log.is_full(), Some(StorageError::ReadOnly(_))));
        let next = storage.log.bounds(A).next;
        assert!(next < 100);
        check(&*storage.log, A, 0..next, 200);
        let refused = wait(|done| {
            let entry = mainstem_storage::Entry {
                index: next,
                data: data(A, next, 10),
            };
            storage.log.append(A, vec![entry], done)
        });
        refused.unwrap_err();
        storage.state.write(Batch::default()).unwrap_err();
    }
    assert_eq!(fs::read(&wal).unwrap(), before);
    assert!(!doctor::check(copy.path()).unwrap().is_whole());

    let storage = accept_loss(copy.path());
    let next = storage.log.bounds(A).next;
    check(&*storage.log, A, 0..next, 200);
    append(&*storage.log, A, next + 5, 200);
    drop(storage);
    let storage = open(copy.path()).unwrap();
    assert!(storage.read_only().is_none());
    check(&*storage.log, A, 0..next + 5, 200);
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file of the store, gone, cut and flipped in the middle: an error, or every read is right or an error.
#[test]
fn any_file_may_be_damaged() {
    let whole = filled();
    let all: Vec<PathBuf> = ["log", "cold", "state"]
        .into_iter()
        .flat_map(|name| {
            files(&whole.path().join(name), |name| {
                !name.starts_with("LOG") && name != "LOCK"
            })
        })
        .chain([whole.path().join("watermark"), whole.path().join("FORMAT")])
        .map(|path| path.strip_prefix(whole.path()).unwrap().to_owned())
        .collect();
    assert!(all.len() > 15);
    // Of the many segments, some.
    let segments = all
        .iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "sst"))
        .skip(3);
    let skipped: Vec<&PathBuf> = segments.step_by(2).collect();
    for path in all.iter().filter(|path| !skipped.contains(path)) {
        for fault in ["gone", "cut", "flipped"] {
            let folder = tempfile::tempdir().unwrap();
            copy_folder(whole.path(), folder.path());
            let file = folder.path().join(path);
            let length = fs::metadata(&file).unwrap().len();
            match fault {
                "gone" => fs::remove_file(&file).unwrap(),
                "cut" => fs::File::options()
                    .write(true)
                    .open(&file)
                    .unwrap()
                    .set_len(length / 2)
                    .unwrap(),
                _ if length > 0 => flip(&file, length / 2),
                _ => continue,
            }
            let report = doctor::check(folder.path());
            match open(folder.path()) {
                Ok(storage) => {
                    let lost = damaged_reads(&storage);
                    let said = report.as_ref().is_ok_and(|report| !report.is_whole());
                    assert!(
                        lost == 0 || said,
                        "{fault} {}: {lost} lost, {report:?}",
                        path.display()
                    );
                }
                Err(StorageError::Damaged { file, what, .. }) => {
                    assert!(
                        file.starts_with(folder.path()),
                        "{fault} {}: {what}",
                        path.display()
                    );
                    assert!(
                        !report.is_ok_and(|report| report.is_whole()),
                        "{fault} {}",
                        path.display()
                    );
                }
                Err(other) => panic!("{fault} {}: {other}", path.display()),
            }
        }
    }
}

#[test]
fn damage_in_rows_that_is_found_later_makes_the_store_read_only() {
    let folder = filled();
    let files = files(&folder.path().join("state"), |name| name.ends_with(".sst"));
    flip(&files[0], 100);
    let storage = open(folder.path()).unwrap();
    assert!(storage.read_only().is_none());
    let found = (0..1000u32).find_map(|n| storage.state.get(&n.to_be_bytes()).err());
    assert!(matches!(found, Some(StorageError::Damaged { .. })), "{found:?}");
    assert!(storage.read_only().is_some());
    assert!(matches!(storage.log.is_full(), Some(StorageError::ReadOnly(_))));
}
