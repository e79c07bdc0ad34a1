//! The data folder: what is in it, and whose it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::log::StorageError;

/// What stands in the file `FORMAT`.
const FORMAT: &str = "mainstem data, format 1\n";

/// A data folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// Keeps other processes out until it is dropped.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "closing it unlocks")] File);

impl Folder {
    /// The folder; it is made when it is not there.
    pub fn open(path: &Path) -> Result<Folder, StorageError> {
        fs::create_dir_all(path).map_err(|error| failed(path, &error))?;
        Ok(Folder(path.into()))
    }

    /// A folder that must be there.
    pub fn existing(path: &Path) -> Result<Folder, StorageError> {
        let folder = Folder(path.into());
        if folder.is_new()? {
            return Err(StorageError::Io(format!(
                "{} holds no data of a node",
                path.display()
            )));
        }
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub fn cold(&self) -> PathBuf {
        self.0.join("cold")
    }

    pub fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    pub fn watermark(&self) -> PathBuf {
        self.0.join("watermark")
    }

    /// Takes the folder for this process.
    pub fn lock(&self) -> Result<Lock, StorageError> {
        let path = self.0.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(|error| failed(&path, &error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StorageError::Locked(self.0.clone())),
            Err(error) => Err(failed(&path, &error.into())),
        }
    }

    /// Whether nothing was ever completely made here. An unknown format, or data without one, is an error.
    pub fn is_new(&self) -> Result<bool, StorageError> {
        let path = self.0.join("FORMAT");
        match fs::read_to_string(&path) {
            Ok(format) if format == FORMAT => Ok(false),
            Ok(format) => Err(damaged(&path, format!("its format is unknown: {format:?}"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.has_data() {
                    return Err(damaged(&path, "the file is missing, but there is data".into()));
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(damaged(&path, "it is no text".into()))
            }
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Says that all is there. Durable when it returns, and so are the folder's entries.
    pub fn complete(&self) -> Result<(), StorageError> {
        let path = self.0.join("FORMAT");
        let written = || -> io::Result<()> {
            let new = self.0.join("FORMAT.new");
            let mut file = File::create(&new)?;
            file.write_all(FORMAT.as_bytes())?;
            file.sync_all()?;
            File::open(&self.0)?.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.0)?.sync_all()?;
            // Folders above may have been made with it. What can not be opened was there before.
            let above = self
                .0
                .ancestors()
                .skip(1)
                .filter(|folder| !folder.as_os_str().is_empty());
            for folder in above.filter_map(|folder| File::open(folder).ok()) {
                folder.sync_all()?;
            }
            Ok(())
        };
        written().map_err(|error| failed(&path, &error))
    }

    /// Whether a database has more than what an interrupted first start leaves.
    fn has_data(&self) -> bool {
        let files = [self.log(), self.cold(), self.state()]
            .into_iter()
            .filter_map(|folder| fs::read_dir(folder).ok());
        let mut names = files.flatten().flatten().map(|file| file.file_name());
        names.any(|name| name.to_string_lossy().ends_with(".sst"))
    }
}

fn failed(path: &Path, error: &io::Error) -> StorageError {
    StorageError::Io(format!("{}: {error}", path.display()))
}

fn damaged(path: &Path, what: String) -> StorageError {
    StorageError::Damaged {
        file: path.into(),
        offset: 0,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(folder.path()).unwrap();
        let lock = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(StorageError::Locked(_))));
        drop(lock);
        folder.lock().unwrap();
    }

    #[test]
    fn a_format_that_is_unknown_or_lost_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(folder.is_new().unwrap());
        fs::create_dir(folder.log()).unwrap();
        File::create(folder.log().join("000007.sst")).unwrap();
        assert!(matches!(folder.is_new(), Err(StorageError::Damaged { .. })));
        folder.complete().unwrap();
        assert!(!folder.is_new().unwrap());
        fs::write(dir.path().join("FORMAT"), "mainstem data, format 2\n").unwrap();
        assert!(matches!(folder.is_new(), Err(StorageError::Damaged { .. })));
    }
}
