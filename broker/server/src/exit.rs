//! How the process ends: codes of sysexits.h, and what is printed before.

use std::io;
use std::process::ExitCode;

/// Why the process ends, as sysexits.h numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// nats-server's code for everything.
    General = 1,
    /// The command line is wrong.
    Usage = 64,
    /// A file or folder to read is not there.
    NoInput = 66,
    /// A port or a store is in use, or a server cannot be reached.
    Unavailable = 69,
    /// A defect of the program.
    Software = 70,
    /// The system refused something it should not (threads, sockets).
    OsError = 71,
    /// A file or folder cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    IoError = 74,
    /// Not permitted, such as a port below 1024.
    NoPermission = 77,
    /// The configuration is wrong.
    Config = 78,
}

/// An end with something to say on standard error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .lines.join("\n"))]
pub struct Failure {
    pub exit: Exit,
    /// Whole lines, without a line end.
    pub lines: Vec<String>,
}

impl Exit {
    /// The code for a socket that could not be bound.
    pub fn of_bind(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::Unavailable,
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            // No such address on this machine, or a name that does not resolve.
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput => Self::Config,
            _ => Self::OsError,
        }
    }
}

/// Ends the process here and now, while other threads are in the middle of something: what is on disk is whole at any
/// moment, but threads of RocksDB that still run would find its static objects gone.
pub fn at_once(exit: Exit) -> ! {
    // SAFETY: it takes no pointer, and nothing of this process is used after it.
    unsafe { libc::_exit(exit as i32) }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Failure {
    pub fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self {
            exit,
            lines: vec![line.into()],
        }
    }

    /// Prints the lines to standard error and returns the code.
    pub fn print(&self) -> ExitCode {
        for line in &self.lines {
            eprintln!("{line}");
        }
        self.exit.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_errors_have_their_codes() {
        for (kind, code) in [
            (io::ErrorKind::AddrInUse, 69),
            (io::ErrorKind::PermissionDenied, 77),
            (io::ErrorKind::AddrNotAvailable, 78),
            (io::ErrorKind::OutOfMemory, 71),
        ] {
            assert_eq!(Exit::of_bind(&kind.into()) as u8, code);
        }
    }
}
