//! Why a connection ends, in nats-server's words.

use mainstem_core::Cut;
use wire_nats::ProtocolError;

/// Why a connection was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    ClientClosed,
    AuthenticationTimeout,
    AuthenticationViolation,
    /// The client said something that is no protocol, or has no arguments that make sense.
    Protocol(ProtocolError),
    /// CONNECT or INFO held no JSON object.
    BadJson(String),
    /// The client sent `-ERR`.
    ClientError(String),
    BadProtocolVersion,
    NoRespondersWithoutHeaders,
    MaxConnections,
    MaxAccountConnections,
    SlowConsumerPending {
        pending_bytes: usize,
    },
    SlowConsumerDeadline,
    StaleConnection,
    Write(String),
    Read(String),
    ServerShutdown,
    /// A reload took the user's right to be here.
    CredentialsChanged,
    /// An operator asked for it.
    Kicked,
}

impl CloseReason {
    /// The text of the `-ERR` that goes out first.
    pub fn client_text(&self) -> Option<&'static str> {
        Some(match self {
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationViolation => "Authorization Violation",
            Self::Protocol(error) => return error.client_text(),
            Self::BadProtocolVersion => "invalid client protocol",
            Self::NoRespondersWithoutHeaders => "no responders requires headers support",
            Self::MaxConnections => "maximum connections exceeded",
            Self::MaxAccountConnections => "maximum account active connections exceeded",
            Self::StaleConnection => "Stale Connection",
            Self::CredentialsChanged => "Authorization Violation",
            _ => return None,
        })
    }

    /// nats-server's name for it, as `/connz?state=closed` shows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationViolation => "Authentication Failure",
            Self::Protocol(ProtocolError::ControlLine) => "Maximum Control Line Exceeded",
            Self::Protocol(ProtocolError::Payload { .. }) => "Maximum Message Payload Exceeded",
            Self::Protocol(_) | Self::BadJson(_) => "Protocol Violation",
            Self::ClientError(_) => "Parse Error",
            Self::BadProtocolVersion => "Bad Client Protocol Version",
            Self::NoRespondersWithoutHeaders => "No Responders Requires Headers",
            Self::MaxConnections => "Maximum Connections Exceeded",
            Self::MaxAccountConnections => "Maximum Account Connections Exceeded",
            Self::SlowConsumerPending { .. } => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerDeadline => "Slow Consumer (Write Deadline)",
            Self::StaleConnection => "Stale Connection",
            Self::Write(_) => "Write Error",
            Self::Read(_) => "Read Error",
            Self::ServerShutdown => "Server Shutdown",
            Self::CredentialsChanged => "Credentials Revoked",
            Self::Kicked => "Kicked",
        }
    }

    /// The client did not keep up.
    pub fn is_slow_consumer(&self) -> bool {
        matches!(
            self,
            Self::SlowConsumerPending { .. } | Self::SlowConsumerDeadline
        )
    }

    /// WebSocket's close code (RFC 6455, section 7.4.1), as nats-server chooses it.
    pub fn websocket_code(&self) -> u16 {
        match self {
            Self::ClientClosed => 1000,
            Self::AuthenticationTimeout
            | Self::AuthenticationViolation
            | Self::SlowConsumerPending { .. }
            | Self::SlowConsumerDeadline
            | Self::MaxAccountConnections
            | Self::MaxConnections
            | Self::StaleConnection
            | Self::CredentialsChanged
            | Self::Kicked => 1008,
            Self::Protocol(ProtocolError::Payload { .. }) => 1009,
            Self::Protocol(ProtocolError::ControlLine) => 1009,
            Self::Protocol(_) | Self::BadJson(_) | Self::ClientError(_) | Self::BadProtocolVersion => 1002,
            Self::ServerShutdown => 1001,
            _ => 1011,
        }
    }
}

impl From<Cut> for CloseReason {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::PendingBytes { pending_bytes } => Self::SlowConsumerPending { pending_bytes },
        }
    }
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}
