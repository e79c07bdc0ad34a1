//! How far each log was durable: a small file of its own, so that a log that lost its end is found out.
//!
//! Two slots, written in turn, each of
//! ```text
//! "MSWM", version u32 = 1, turn u64, count u32, count x (group u32, next index u64), CRC32C u32      (little-endian)
//! ```

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::log::{GroupId, StorageError};

const MAGIC: &[u8; 4] = b"MSWM";
const VERSION: u32 = 1;
const HEADER: usize = 20;
const ROW: usize = 12;
const SLOT: usize = 256 << 10;

/// Groups that a slot has room for.
pub const MAX_GROUPS: usize = (SLOT - HEADER - 4) / ROW;

/// For each group the index after the last durable one.
pub type Marks = BTreeMap<GroupId, u64>;

/// The file.
pub struct Watermark {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    turn: u64,
}

impl Watermark {
    /// Makes the file, with room for both slots.
    pub fn create(path: &Path) -> Result<Watermark, StorageError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        let file = file.map_err(|error| failed(path, &error))?;
        let watermark = Watermark {
            path: path.into(),
            inner: Mutex::new(Inner { file, turn: 0 }),
        };
        watermark.fill().map_err(|error| failed(path, &error))?;
        // Both, so that one that is damaged later is not all there is.
        watermark.write(Marks::new)?;
        watermark.write(Marks::new)?;
        Ok(watermark)
    }

    /// Opens the file and reads the newer slot.
    pub fn open(path: &Path, is_writable: bool) -> Result<(Watermark, Marks), StorageError> {
        let file = OpenOptions::new().read(true).write(is_writable).open(path);
        let file = file.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => damaged(path, "the file is missing"),
            _ => failed(path, &error),
        })?;
        let slots = [0, 1].map(|slot| read_slot(&file, slot));
        let newest = slots.into_iter().flatten().max_by_key(|(turn, _)| *turn);
        let (turn, marks) = newest.ok_or_else(|| damaged(path, "no slot of it is whole"))?;
        forget_pages(&file);
        Ok((
            Watermark {
                path: path.into(),
                inner: Mutex::new(Inner { file, turn }),
            },
            marks,
        ))
    }

    /// Writes what `marks` says now. Durable when it returns. [`StorageError::Full`]: what was written last still holds.
    ///
    /// Of two calls at the same time, the later one asks last.
    pub fn write(&self, marks: impl FnOnce() -> Marks) -> Result<usize, StorageError> {
        let mut inner = self.lock();
        let marks = marks();
        if marks.len() > MAX_GROUPS {
            return Err(StorageError::Io(format!(
                "{} groups are more than {MAX_GROUPS}",
                marks.len()
            )));
        }
        let turn = inner.turn + 1;
        let slot = encode(turn, &marks);
        let offset = (turn % 2) * SLOT as u64;
        let written = inner
            .file
            .write_all_at(&slot, offset)
            .and_then(|()| inner.file.sync_data());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => StorageError::Full {
                free_bytes: 0,
                mark_bytes: SLOT as u64,
            },
            _ => failed(&self.path, &error),
        })?;
        inner.turn = turn;
        Ok(slot.len())
    }

    fn fill(&self) -> std::io::Result<()> {
        let inner = self.lock();
        inner.file.write_all_at(&vec![0; 2 * SLOT], 0)?;
        inner.file.sync_data()?;
        forget_pages(&inner.file);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a file out of the page cache. What is written or read at once stays there in one piece, and the kernel counts a
/// small write into it as one of all of it: half a megabyte, many times a second, in `write_bytes` of the process.
fn forget_pages(file: &File) {
    // A hint: without it only the count is wrong.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

pub(crate) fn encode(turn: u64, marks: &Marks) -> Vec<u8> {
    let mut slot = Vec::with_capacity(HEADER + marks.len() * ROW + 4);
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&VERSION.to_le_bytes());
    slot.extend_from_slice(&turn.to_le_bytes());
    slot.extend_from_slice(&(marks.len() as u32).to_le_bytes());
    for (group, next) in marks {
        slot.extend_from_slice(&group.0.to_le_bytes());
        slot.extend_from_slice(&next.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&slot);
    slot.extend_from_slice(&checksum.to_le_bytes());
    slot
}

fn read_slot(file: &File, slot: u64) -> Option<(u64, Marks)> {
    let mut bytes = vec![0; SLOT];
    let mut read = 0;
    while read < SLOT {
        match file.read_at(&mut bytes[read..], slot * SLOT as u64 + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(_) => return None,
        }
    }
    decode(&bytes[..read])
}

pub(crate) fn decode(slot: &[u8]) -> Option<(u64, Marks)> {
    let word = |at: usize| Some(u32::from_le_bytes(slot.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?));
    if slot.get(..4)? != MAGIC || word(4)? != VERSION {
        return None;
    }
    let count = word(16)? as usize;
    let end = HEADER + count.min(MAX_GROUPS) * ROW;
    if crc32c::crc32c(slot.get(..end)?) != word(end)? {
        return None;
    }
    let row = |k: usize| Some((GroupId(word(HEADER + k * ROW)?), long(HEADER + k * ROW + 4)?));
    Some((long(8)?, (0..count).map(row).collect::<Option<Marks>>()?))
}

fn failed(path: &Path, error: &std::io::Error) -> StorageError {
    StorageError::Io(format!("{}: {error}", path.display()))
}

fn damaged(path: &Path, what: &str) -> StorageError {
    StorageError::Damaged {
        file: path.into(),
        offset: 0,
        what: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slots_round_trip(turn: u64, marks: BTreeMap<u32, u64>) {
            let marks: Marks = marks.into_iter().map(|(group, next)| (GroupId(group), next)).collect();
            prop_assert_eq!(decode(&encode(turn, &marks)), Some((turn, marks)));
        }

        #[test]
        fn any_bytes_are_survived(slot: Vec<u8>) {
            let _ = decode(&slot);
        }
    }

    /// Bytes that this thread made dirty, as the kernel counts.
    fn written() -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.unwrap().parse().unwrap()
    }

    #[test]
    fn a_mark_counts_as_the_pages_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watermark");
        let check = |watermark: Watermark| {
            let before = written();
            for turn in 0..10 {
                watermark.write(|| Marks::from([(GroupId(1), turn)])).unwrap();
            }
            assert!(written() - before <= 10 * 8192);
        };
        check(Watermark::create(&path).unwrap());
        check(Watermark::open(&path, true).unwrap().0);
    }

    #[test]
    fn a_torn_slot_leaves_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watermark");
        let marks = |next| Marks::from([(GroupId(1), next)]);
        let watermark = Watermark::create(&path).unwrap();
        watermark.write(|| marks(5)).unwrap();
        watermark.write(|| marks(9)).unwrap();
        drop(watermark);
        assert_eq!(Watermark::open(&path, true).unwrap().1, marks(9));
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"x", 30).unwrap();
        assert_eq!(Watermark::open(&path, true).unwrap().1, marks(5));
        file.write_all_at(b"x", SLOT as u64 + 30).unwrap();
        assert!(matches!(
            Watermark::open(&path, true),
            Err(StorageError::Damaged { .. })
        ));
    }
}
