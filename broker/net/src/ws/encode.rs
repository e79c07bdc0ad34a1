//! Payload bytes to frames for the client.

use super::WsOptions;
use super::deflate::deflate;
use super::frame::{FIN, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, RSV1, opcode, write_header};

/// Payloads up to this many bytes are not worth deflating (nats-server's threshold).
pub const MIN_DEFLATED_BYTES: usize = 64;
/// Longest frame payload for a browser (nats-server's value, found by experiment).
pub const MAX_BROWSER_FRAME_BYTES: usize = 4096;

/// Writes frames until it has written a close frame.
#[derive(Debug)]
pub struct Encoder {
    options: WsOptions,
    closed: bool,
}

impl Encoder {
    pub fn new(options: WsOptions) -> Self {
        Self {
            options,
            closed: false,
        }
    }

    pub fn encode(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        if self.closed || plain.is_empty() {
            return;
        }
        if self.options.deflate && plain.len() > MIN_DEFLATED_BYTES {
            let mut deflated = Vec::new();
            if deflate(plain, &mut deflated).is_some() {
                return self.write_deflated(&deflated, wire);
            }
        }
        let limit = if self.options.browser {
            MAX_BROWSER_FRAME_BYTES
        } else {
            plain.len()
        };
        wire.reserve(plain.len() + plain.len().div_ceil(limit) * MAX_HEADER_BYTES);
        for part in plain.chunks(limit) {
            write_frame(FIN | opcode::BINARY, part, wire);
        }
    }

    /// One message, in fragments for a browser that can read them.
    fn write_deflated(&self, deflated: &[u8], wire: &mut Vec<u8>) {
        let in_fragments = self.options.browser && !self.options.whole_deflated;
        let limit = if in_fragments {
            MAX_BROWSER_FRAME_BYTES
        } else {
            deflated.len()
        };
        wire.reserve(deflated.len() + deflated.len().div_ceil(limit) * MAX_HEADER_BYTES);
        let parts = deflated.len().div_ceil(limit);
        for (at, part) in deflated.chunks(limit).enumerate() {
            let kind = if at == 0 {
                RSV1 | opcode::BINARY
            } else {
                opcode::CONTINUATION
            };
            let last = if at + 1 == parts { FIN } else { 0 };
            write_frame(last | kind, part, wire);
        }
    }

    /// `payload` is one that a control frame brought, so it fits into one.
    pub fn pong(&mut self, payload: &[u8], wire: &mut Vec<u8>) {
        if !self.closed {
            write_frame(FIN | opcode::PONG, payload, wire);
        }
    }

    /// A reason that does not fit is cut and ends with "...".
    pub fn close(&mut self, code: u16, reason: &str, wire: &mut Vec<u8>) {
        const MAX_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;
        let (reason, dots) = match reason.len() > MAX_REASON_BYTES {
            true => (prefix(reason, MAX_REASON_BYTES - 3), "..."),
            false => (reason, ""),
        };
        let payload = [&code.to_be_bytes()[..], reason.as_bytes(), dots.as_bytes()].concat();
        self.write_close(&payload, wire);
    }

    pub fn close_without_status(&mut self, wire: &mut Vec<u8>) {
        self.write_close(&[], wire);
    }

    fn write_close(&mut self, payload: &[u8], wire: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.closed, true) {
            write_frame(FIN | opcode::CLOSE, payload, wire);
        }
    }
}

fn write_frame(first: u8, payload: &[u8], wire: &mut Vec<u8>) {
    write_header(first, payload.len(), wire);
    wire.extend_from_slice(payload);
}

/// The longest prefix of whole characters within `max_bytes`.
fn prefix(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}
