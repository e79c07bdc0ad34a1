//! WebSocket, the server's side (RFC 6455, RFC 7692), without IO. Behaves as nats-server's does.
//!
//! Payloads are handed on as they arrive: text and binary frames alike, fragments at once, deflated ones inflated as
//! they come. So a connection holds at most a frame header, a control frame and, inside a deflated message, one
//! inflater.

mod decode;
mod deflate;
mod encode;
mod frame;

use std::borrow::Cow;

use thiserror::Error;

pub use decode::Decoder;
pub use encode::{Encoder, MAX_BROWSER_FRAME_BYTES, MIN_DEFLATED_BYTES};
pub use frame::{MAX_CONTROL_BYTES, unmask};

/// Status codes of close frames (RFC 6455 section 7.4.1).
pub mod status {
    pub const NORMAL: u16 = 1000;
    pub const GOING_AWAY: u16 = 1001;
    pub const PROTOCOL_ERROR: u16 = 1002;
    pub const INVALID_PAYLOAD: u16 = 1007;
    pub const POLICY_VIOLATION: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
    pub const INTERNAL_ERROR: u16 = 1011;
}

/// Why the connection cannot go on. The close frame that says so to the peer has been written already.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{reason}")]
pub struct WsError {
    /// A close status.
    pub code: u16,
    pub reason: Cow<'static, str>,
}

impl WsError {
    fn protocol(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: status::PROTOCOL_ERROR,
            reason: reason.into(),
        }
    }
}

/// What both sides agreed on in the upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WsOptions {
    /// permessage-deflate, without context takeover on either side.
    pub deflate: bool,
    /// The peer may leave its frames unmasked (nats-server's `Nats-No-Masking`).
    pub allow_unmasked: bool,
    /// The peer is a browser, which does better with small frames.
    pub browser: bool,
    /// The peer cannot read deflated messages in several frames (Safari).
    pub whole_deflated: bool,
    /// Longest message once inflated, in bytes; 0: no bound.
    pub max_inflated_bytes: usize,
}

/// How far a decode got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All input is used up.
    Done,
    /// Enough output for now: this much of the input was used, call again with the rest.
    Paused { used: usize },
    /// The peer said good-bye; what it sent after that is ignored.
    Closed,
}

/// Both directions of one connection.
#[derive(Debug)]
pub struct WebSocket {
    decoder: Decoder,
    encoder: Encoder,
}

impl WebSocket {
    pub fn new(options: WsOptions) -> Self {
        Self {
            decoder: Decoder::new(options),
            encoder: Encoder::new(options),
        }
    }

    /// Unwraps frames: payloads to `plain`, answers to pings and close frames to `wire`.
    ///
    /// # Errors
    /// What RFC 6455 or the upgrade forbids; the close frame is in `wire`.
    pub fn decode(
        &mut self,
        raw: &[u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<Progress, WsError> {
        let encoder = &mut self.encoder;
        let result = self.decoder.decode(raw, plain, &mut |control| match control {
            decode::Control::Ping(payload) => encoder.pong(payload, wire),
            decode::Control::Close(Some((code, reason))) => encoder.close(code, &reason, wire),
            decode::Control::Close(None) => encoder.close_without_status(wire),
        });
        result.inspect_err(|error| encoder.close(error.code, &error.reason, wire))
    }

    /// Wraps `plain` into one binary message (several small ones for a browser). Nothing after a close frame.
    pub fn encode(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        self.encoder.encode(plain, wire);
    }

    /// Writes the close frame, once.
    pub fn close(&mut self, code: u16, reason: &str, wire: &mut Vec<u8>) {
        self.encoder.close(code, reason, wire);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
