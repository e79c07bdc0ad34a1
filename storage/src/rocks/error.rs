//! What RocksDB says went wrong.

use std::path::{Path, PathBuf};

use rocksdb::{Error, ErrorKind};

use crate::log::StorageError;

/// Turns RocksDB's error into ours. `folder` is where its files are.
pub fn storage_error(folder: &Path, error: &Error) -> StorageError {
    let what = error.to_string();
    if is_no_space(error) {
        return StorageError::Full {
            free_bytes: 0,
            mark_bytes: 1,
        };
    }
    let missing = what.contains("No such file") || what.contains("does not exist");
    match error.kind() {
        ErrorKind::Corruption => damaged(folder, what),
        ErrorKind::IOError | ErrorKind::InvalidArgument | ErrorKind::NotFound if missing => {
            damaged(folder, what)
        }
        _ => StorageError::Io(what),
    }
}

/// Whether the disk had no room, which passes.
pub fn is_no_space(error: &Error) -> bool {
    let what = error.to_string();
    what.contains("No space left") || what.contains("NoSpace") || what.contains("Disk quota exceeded")
}

fn damaged(folder: &Path, what: String) -> StorageError {
    if what.contains("create_if_missing is false") {
        let what = "the file is missing".to_owned();
        return StorageError::Damaged {
            file: folder.join("CURRENT"),
            offset: 0,
            what,
        };
    }
    let file = what
        .split([' ', ',', ';', '\'', '"'])
        .find_map(|word| file(folder, word));
    let offset = what
        .split_once(" offset ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    StorageError::Damaged {
        file: file.unwrap_or_else(|| folder.into()),
        offset: offset.unwrap_or(0),
        what,
    }
}

/// The file that a word of a message names.
fn file(folder: &Path, word: &str) -> Option<PathBuf> {
    let word = word.trim_end_matches([':', '.', ')']).trim_start_matches('(');
    let name = Path::new(word).file_name()?.to_str()?;
    let is_file = name.ends_with(".sst")
        || name.ends_with(".log")
        || name.starts_with("MANIFEST-")
        || name.starts_with("OPTIONS-")
        || name == "CURRENT";
    is_file.then(|| folder.join(name))
}

/// Ends the process. What is on disk is unknown from here on, so nothing may be acknowledged any more.
pub fn abort(what: &str) -> ! {
    tracing::error!("the disk failed, and what it holds is unknown: {what}");
    eprintln!("mainstem: the disk failed, and what it holds is unknown: {what}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(what: &str) -> (PathBuf, u64) {
        match damaged(Path::new("/data/log"), what.into()) {
            StorageError::Damaged { file, offset, .. } => (file, offset),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn file_and_offset_are_found() {
        let block = "Corruption: block checksum mismatch: stored = 1, computed = 2, type = 4  in /data/log/000009.sst offset 4096 size 77";
        assert_eq!(parse(block), ("/data/log/000009.sst".into(), 4096));
        let missing = "Corruption: Can't access /000012.sst: IO error: No such file or directory: While stat a file for size: /x/000012.sst: No such";
        assert_eq!(parse(missing), ("/data/log/000012.sst".into(), 0));
        assert_eq!(parse("Corruption: nobody knows"), ("/data/log".into(), 0));
    }
}
