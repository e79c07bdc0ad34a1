//! `mainstem doctor`: looks at a store that nobody has open, and gives up what it lost if it is told to.

use std::path::{Path, PathBuf};

use clap::Args;
use mainstem_storage::{Options, Storage, StorageError};

use crate::exit::{Exit, Failure};

/// Looks at the store of a broker that is stopped.
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// The broker's data_dir; of a nats-server, the folder `jetstream` below its store_dir
    #[arg(value_name = "folder")]
    folder: PathBuf,
    /// Go on without what is lost: the store can be written again, and what is gone stays gone
    #[arg(long)]
    accept_loss: bool,
}

/// Does it, and ends with 0 where the store is whole, else with 1.
pub fn run(doctor: &Doctor) -> Result<Exit, Failure> {
    let folder = &doctor.folder;
    if !folder.is_dir() {
        return Err(Failure::new(
            Exit::NoInput,
            format!("{} is no folder", folder.display()),
        ));
    }
    let report = mainstem_storage::doctor::check(folder).map_err(|error| failure(&error))?;
    print!("{report}");
    if doctor.accept_loss {
        return accept_loss(folder);
    }
    match report.is_whole() {
        true => Ok(Exit::Ok),
        false => Err(Failure::new(
            Exit::General,
            "the store is damaged: restore it from a copy, or go on without what is lost with --accept-loss",
        )),
    }
}

fn accept_loss(folder: &Path) -> Result<Exit, Failure> {
    let options = Options {
        accept_loss: true,
        ..Options::default()
    };
    let store = Storage::open(folder, options).map_err(|error| failure(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::OsError, format!("cannot start: {error}")))?;
    let accepting = mainstem_streams::accept_loss(&store.log, &store.state, store.lost_rows());
    let said = runtime.block_on(accepting).map_err(|error| failure(&error))?;
    store.close().map_err(|error| failure(&error))?;
    said.iter().for_each(|line| eprintln!("{line}"));
    eprintln!("{} goes on without what is lost", folder.display());
    Ok(Exit::Ok)
}

fn failure(error: &StorageError) -> Failure {
    let exit = match error {
        StorageError::Locked(_) => Exit::Unavailable,
        _ => Exit::IoError,
    };
    Failure::new(exit, error.to_string())
}
