//! Files and the environment, with errors in Go's words, which nats-server prints as they are.

use std::io;
use std::path::Path;

use nats_conf::Source;

/// The disk and the environment of this process.
pub(super) struct Disk;

impl Source for Disk {
    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        read(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        let call = if error.kind() == io::ErrorKind::IsADirectory {
            "read"
        } else {
            "open"
        };
        format!("{call} {}: {}", path.display(), system_error(&error))
    })
}

/// `no such file or directory`, without Rust's capital and number.
pub(super) fn system_error(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default()
}

/// Checks that a file can be read and holds something in PEM form; what it is, the listener finds out.
pub(super) fn has_pem(path: &Path) -> Result<bool, String> {
    let bytes = read(path)?;
    Ok(bytes.windows(11).any(|window| window == b"-----BEGIN "))
}
