//! Requests to the server's stream API.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::address::Address;
use crate::connection::Connection;
use crate::frames::Frame;

/// A connection for requests.
pub struct Api {
    connection: Connection,
    inbox: String,
}

/// Requests under way at once.
const OUTSTANDING: usize = 100;

impl Api {
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn connect(address: &Address) -> Result<Self> {
        let inbox = format!("_INBOX.api.{}", std::process::id());
        let connection = Connection::open(address, format!("SUB {inbox} 1\r\n").as_bytes())?;
        Ok(Self { connection, inbox })
    }

    /// Asks and awaits the answer.
    ///
    /// # Errors
    /// The answer is an error, or none comes.
    pub fn request(&mut self, subject: &str, body: &Value) -> Result<()> {
        self.request_all(&[(subject.to_owned(), body.clone())])
    }

    /// Asks much and awaits all answers.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn request_all(&mut self, requests: &[(String, Value)]) -> Result<()> {
        for requests in requests.chunks(OUTSTANDING) {
            let mut out = Vec::new();
            for (subject, body) in requests {
                let body = body.to_string();
                out.extend_from_slice(format!("PUB {subject} {} {}\r\n", self.inbox, body.len()).as_bytes());
                out.extend_from_slice(body.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            self.connection.stream.write_all(&out)?;
            self.await_answers(requests.len())?;
        }
        Ok(())
    }

    fn await_answers(&mut self, mut missing: usize) -> Result<()> {
        let Connection { stream, input } = &mut self.connection;
        while missing > 0 {
            input.fill(&*stream).context("waiting for an answer of the API")?;
            input.drain(|frame| {
                match frame {
                    Frame::Message(message) => {
                        missing = missing.saturating_sub(1);
                        refuse_error(message.header, message.payload)?;
                    }
                    Frame::Ping => (&*stream).write_all(b"PONG\r\n")?,
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// What an answer begins with tells whether it is an error.
///
/// # Errors
/// It is one.
pub fn refuse_error(header: &[u8], payload: &[u8]) -> Result<()> {
    const LOOK_BYTES: usize = 128;
    if header.len() >= 10 && header[9] != b'1' && header.starts_with(b"NATS/1.0 ") {
        let status = header.split(|&byte| byte == b'\r').next().unwrap_or_default();
        bail!("the server answered {}", String::from_utf8_lossy(status));
    }
    let head = &payload[..payload.len().min(LOOK_BYTES)];
    if head.first() == Some(&b'{') && head.windows(8).any(|part| part == b"\"error\":") {
        bail!("the server answered {}", String::from_utf8_lossy(payload));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_answers() {
        for (header, payload) in [
            (&b""[..], &b"{\"stream\":\"S\",\"seq\":7}"[..]),
            (b"", b"\"error\": a value that somebody put"),
            (b"NATS/1.0\r\nNats-Sequence: 4\r\n\r\n", b"x"),
            (b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", b""),
        ] {
            assert!(refuse_error(header, payload).is_ok(), "{header:?} {payload:?}");
        }
        for (header, payload) in [
            (&b""[..], &b"{\"type\":\"t\",\"error\":{\"code\":500}}"[..]),
            (b"NATS/1.0 404 Message Not Found\r\n\r\n", b""),
            (b"NATS/1.0 503\r\n\r\n", b""),
        ] {
            assert!(refuse_error(header, payload).is_err(), "{header:?} {payload:?}");
        }
    }
}
