//! Power failures for a process that is killed: what it wrote and did not sync is lost, whole or in part.
//!
//! `faultfs/faultfs.c` is loaded into the process and keeps an undo log. After the process was killed, [`Power::fail`]
//! takes back what a power failure may have taken.

mod journal;
mod undo;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

use crate::random::Random;
pub use undo::{Loss, Lost};

/// The power of one process's folder. The undo log lies beside the folder.
#[derive(Debug)]
pub struct Power {
    watched: PathBuf,
    journal: PathBuf,
}

impl Power {
    /// Watches `folder`, which is made if it is not there. `beside` is a folder of the same file system.
    ///
    /// # Errors
    /// The folders could not be made.
    pub fn new(folder: &Path, beside: &Path) -> Result<Power> {
        let journal = beside.join("faultfs");
        std::fs::create_dir_all(folder)?;
        std::fs::create_dir_all(&journal)?;
        Ok(Power {
            watched: folder.to_path_buf(),
            journal,
        })
    }

    /// What the process needs in its environment.
    ///
    /// # Errors
    /// There is no C compiler, or it fails.
    pub fn environment(&self) -> Result<[(&'static str, PathBuf); 3]> {
        Ok([
            ("LD_PRELOAD", library()?),
            ("FAULTFS_ROOT", self.watched.clone()),
            ("FAULTFS_JOURNAL", self.journal.clone()),
        ])
    }

    /// Takes back what was not synced, as `loss` says. The process must be gone. Watching starts anew.
    ///
    /// # Errors
    /// The undo log can not be read, or a file not be changed.
    pub fn fail(&self, loss: Loss, random: &mut Random) -> Result<Lost> {
        let records = journal::read(&self.journal.join("journal"))?;
        let lost = undo::undo(&self.journal, &records, loss, random)?;
        self.forget()?;
        Ok(lost)
    }

    /// Keeps everything: the process alone was killed.
    ///
    /// # Errors
    /// The undo log can not be removed.
    pub fn forget(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.journal)?;
        std::fs::create_dir_all(&self.journal)?;
        Ok(())
    }
}

/// The library, compiled once a test process.
fn library() -> Result<PathBuf> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = LIBRARY.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(|error| anyhow!(error))
}

fn build() -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("faultfs/faultfs.c");
    let folder = std::env::current_exe()?
        .parent()
        .context("an executable lies in a folder")?
        .to_path_buf();
    let target = folder.join("faultfs.so");
    let new = folder.join(format!("faultfs.{}.so", std::process::id()));
    let compiler = Command::new("cc")
        .args(["-O2", "-Wall", "-shared", "-fPIC", "-o"])
        .arg(&new)
        .arg(&source)
        .args(["-ldl", "-lpthread"])
        .output()
        .context("cc is needed")?;
    ensure!(
        compiler.status.success(),
        "{}",
        String::from_utf8_lossy(&compiler.stderr)
    );
    std::fs::rename(&new, &target)?;
    Ok(target)
}
