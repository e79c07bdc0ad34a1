//! A state that can not be read as a whole: what can be read of it is copied into a new one.
//!
//! The damaged one is kept aside until what is lost has been dealt with ([`forget`]): a repair that was interrupted
//! begins again with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::db::Access;
use super::error::storage_error;
use super::state::RocksState;
use crate::folder::Folder;
use crate::log::StorageError;
use crate::options::Options;
use crate::state::{Batch, StateStore};

/// Rows are copied in batches of this size.
const STEP_BYTES: usize = 1 << 20;
/// How much of a key is looked at, to find where rows can be read again. It is a bound, not a promise: where keys are the
/// same for longer, some rows more are lost.
const MAX_KEY: usize = 512;

/// Rows that are lost: keys behind one that was read, and before the next one that was.
#[derive(Clone, Debug)]
pub struct LostRows {
    pub after: Vec<u8>,
    /// `None`: all that follow.
    pub before: Option<Vec<u8>>,
    pub error: StorageError,
}

impl LostRows {
    /// Whether one of them may have been between `from` and `to`, `to` excluded.
    pub fn may_touch(&self, from: &[u8], to: &[u8]) -> bool {
        self.after.as_slice() < to && self.before.as_deref().is_none_or(|before| before > from)
    }
}

/// Where the damaged state is kept.
fn aside(folder: &Folder) -> PathBuf {
    folder.path().join("state.damaged")
}

/// Why the store is not to be used: a repair of its state did not end.
pub fn check_ended(folder: &Folder) -> Result<(), StorageError> {
    let aside = aside(folder);
    match aside.exists() {
        false => Ok(()),
        true => Err(StorageError::Damaged {
            file: aside,
            offset: 0,
            what: "a repair of the state did not end, and is to be done again".into(),
        }),
    }
}

/// Makes the state one that can be read. Says which rows are lost.
pub fn salvage(folder: &Folder, options: &Options) -> Result<Vec<LostRows>, StorageError> {
    let (state, aside) = (folder.state(), aside(folder));
    // What it lost the first time may not show any more.
    let again = check_ended(folder).err();
    if again.is_some() {
        remove(&state)?;
        rename(folder, &aside, &state)?;
    }
    let opened = RocksState::open(&state, Access::Read, options, None);
    match opened.and_then(|opened| opened.verify()) {
        Ok(_) if again.is_none() => return Ok(Vec::new()),
        Ok(_) | Err(StorageError::Damaged { .. }) => (),
        Err(error) => return Err(error),
    }
    let (source, suspect) = open_anyhow(&state, options)?;
    let new = folder.path().join("state.new");
    remove(&new)?;
    let target = RocksState::open(&new, Access::Create, options, None)?;
    let mut lost = match &source {
        Some(source) => copy(source, &target)?,
        None => Vec::new(),
    };
    lost.extend(suspect.or(again.map(any)));
    drop(source);
    target.flush()?;
    drop(target);
    if state.exists() {
        rename(folder, &state, &aside)?;
    }
    rename(folder, &new, &state)?;
    Ok(lost)
}

/// What is lost has been dealt with.
pub fn forget(folder: &Folder) -> Result<(), StorageError> {
    remove(&aside(folder))
}

/// Opens it without the files that can not be opened, or, where it does not say any more which files there are, with
/// those that are found; then any row may be missing, or an older one. `None`: there is nothing to be opened.
fn open_anyhow(
    state: &Path,
    options: &Options,
) -> Result<(Option<RocksState>, Option<LostRows>), StorageError> {
    let open = || RocksState::open(state, Access::Salvage, options, None);
    let error = match open() {
        Err(error @ StorageError::Damaged { .. }) => error,
        opened => return Ok((Some(opened?), None)),
    };
    let any = any(error);
    let repaired = rocksdb::DB::repair(&rocksdb::Options::default(), state);
    let repaired = repaired.map_err(|error| storage_error(state, &error));
    match repaired.and_then(|()| open()) {
        Err(StorageError::Damaged { .. }) => Ok((None, Some(any))),
        opened => Ok((Some(opened?), Some(any))),
    }
}

/// Any row may be lost.
fn any(error: StorageError) -> LostRows {
    LostRows {
        after: Vec::new(),
        before: None,
        error,
    }
}

fn copy(source: &RocksState, target: &RocksState) -> Result<Vec<LostRows>, StorageError> {
    let (mut lost, mut batch, mut after) = (Vec::new(), Batch::default(), Vec::new());
    let mut rows = source.rows();
    let mut moved = rows.seek(&[]);
    loop {
        match moved {
            Ok(()) => {
                let Some((key, value)) = rows.current() else { break };
                after = key.to_vec();
                batch.put(key, value);
                if batch.bytes >= STEP_BYTES {
                    target.write(std::mem::take(&mut batch))?;
                }
                moved = rows.next();
            }
            Err(error @ StorageError::Damaged { .. }) => {
                let before = next_readable(source, &after);
                lost.push(LostRows {
                    after: after.clone(),
                    before: before.clone(),
                    error,
                });
                let Some(before) = before else { break };
                // An iterator may hold on to the error of an earlier place.
                rows = source.rows();
                moved = rows.seek(&before);
            }
            Err(error) => return Err(error),
        }
    }
    target.write(batch)?;
    Ok(lost)
}

/// The first row that can be read, where the one behind `after` can not; `None`: none can.
fn next_readable(source: &RocksState, after: &[u8]) -> Option<Vec<u8>> {
    let look = |key: &[u8]| -> Result<Option<Vec<u8>>, StorageError> {
        let mut rows = source.rows();
        rows.seek(key)?;
        Ok(rows.current().map(|(key, _)| key.to_vec()))
    };
    // From `bad` on nothing can be read, from `found` on something can: byte by byte the two come closer.
    let (mut bad, mut found) = (Vec::new(), None);
    while bad.len() < MAX_KEY {
        let (mut low, mut high) = (0_u16, 256);
        while low < high {
            let middle = (low + high) / 2;
            bad.push(middle as u8);
            let looked = look(&bad);
            bad.pop();
            match looked {
                Ok(row) => (high, found) = (middle, row),
                Err(_) => low = middle + 1,
            }
        }
        let Some(last_bad) = low.checked_sub(1) else { break };
        bad.push(last_bad as u8);
    }
    found.filter(|found| found.as_slice() > after)
}

fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(path, &error)),
        _ => Ok(()),
    }
}

/// Durable when it returns.
fn rename(folder: &Folder, from: &Path, to: &Path) -> Result<(), StorageError> {
    let renamed = fs::rename(from, to).and_then(|()| File::open(folder.path())?.sync_all());
    renamed.map_err(|error| failed(from, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> StorageError {
    StorageError::Io(format!("{}: {error}", path.display()))
}
