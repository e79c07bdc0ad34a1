//! Where the binary under test is.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// Names the broker binary under test; unset, the one that cargo left beside the tests is used.
pub const BROKER_VARIABLE: &str = "MAINSTEM_BIN";

/// The broker under test: `$MAINSTEM_BIN`, else `mainstem` in the folder of the profile that this
/// test executable was built in (`target/release/deps/x-123` looks for `target/release/mainstem`).
///
/// # Errors
/// No such file: cargo builds another package's binary only when told to.
pub fn broker() -> Result<PathBuf> {
    let path = match std::env::var_os(BROKER_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => beside_this_executable()?,
    };
    ensure!(
        path.is_file(),
        "no broker at {}: run `cargo build --release -p mainstem` first, or set {BROKER_VARIABLE}",
        path.display()
    );
    Ok(path)
}

fn beside_this_executable() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("where is this executable?")?;
    let folder = executable.parent().context("an executable lies in a folder")?;
    let profile = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    Ok(profile.join("mainstem"))
}
