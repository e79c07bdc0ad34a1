//! What can be wrong with a client's bytes.

use thiserror::Error;

/// A violation of the protocol. The connection is closed after any of them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProtocolError {
    /// The bytes are no command.
    #[error("Unknown Protocol Operation")]
    UnknownOperation,
    /// A protocol line is longer than `max_control_line`.
    #[error("maximum control line exceeded")]
    ControlLine,
    /// A message is larger than `max_payload`.
    #[error("Maximum Payload Violation")]
    Payload { size: usize },
    /// The command is known and its arguments are not; clients get no `-ERR` for it.
    #[error("{verb} Parse Error: {argument:?}")]
    Arguments { verb: &'static str, argument: String },
    /// A size is missing, negative or not a number.
    #[error("{verb} Bad or Missing {what}: {argument:?}")]
    Size {
        verb: &'static str,
        what: &'static str,
        argument: String,
    },
    /// A header block would end after its message.
    #[error("processHeaderPub Header Size larger then TotalSize: {argument:?}")]
    HeaderBeyondMessage { argument: String },
    /// `HPUB` on a connection without header support.
    #[error("message headers not supported")]
    HeadersNotSupported,
}

impl ProtocolError {
    /// The text of the `-ERR` line that nats-server sends for it; `None` where it only closes.
    pub fn client_text(&self) -> Option<&'static str> {
        match self {
            Self::UnknownOperation => Some("Unknown Protocol Operation"),
            Self::ControlLine => Some("maximum control line exceeded"),
            Self::Payload { .. } => Some("Maximum Payload Violation"),
            _ => None,
        }
    }
}
