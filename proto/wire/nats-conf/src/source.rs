use std::path::Path;

/// Where a parse gets files and environment variables from.
pub trait Source {
    /// Reads a whole file. The error text is shown as it is, so it should name the file
    /// (`open a.conf: no such file or directory`).
    fn read(&self, path: &Path) -> Result<Vec<u8>, String>;

    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
}

/// No files and no environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSource;

impl Source for NoSource {
    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        Err(format!("open {}: no such file or directory", path.display()))
    }

    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
}
