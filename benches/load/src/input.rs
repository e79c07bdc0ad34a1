//! The bytes that a connection has received and not yet used.

use std::io::{self, Read};

use anyhow::{Result, bail};

use crate::frames::{self, Frame};

/// Room for those who receive a lot.
pub const LISTEN_BYTES: usize = 256 << 10;

/// A receive buffer that grows up to the largest frame.
#[derive(Debug)]
pub struct Input {
    bytes: Vec<u8>,
    /// How much of `bytes` is filled.
    filled: usize,
}

impl Input {
    /// A buffer that starts with `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity],
            filled: 0,
        }
    }

    /// Makes room for at least `capacity` bytes, so that fewer reads are needed.
    pub fn grow(&mut self, capacity: usize) {
        self.bytes.resize(capacity.max(self.bytes.len()), 0);
    }

    /// Reads once.
    ///
    /// # Errors
    /// What `from` answers; the end of the stream is an error too.
    pub fn fill(&mut self, mut from: impl Read) -> io::Result<()> {
        if self.filled == self.bytes.len() {
            let wanted = (self.bytes.len() * 2).clamp(1 << 10, 2 * frames::MAX_BYTES);
            self.bytes.resize(wanted, 0);
        }
        match from.read(&mut self.bytes[self.filled..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.filled += count;
                Ok(())
            }
        }
    }

    /// Hands out all whole frames. An error of the server ends it.
    ///
    /// # Errors
    /// The server sent an `-ERR` or something that is no frame, or `each` failed.
    pub fn drain(&mut self, mut each: impl FnMut(Frame<'_>) -> Result<()>) -> Result<()> {
        let mut at = 0;
        while let Some((frame, len)) = frames::parse(&self.bytes[at..self.filled])? {
            if let Frame::Error(text) = frame {
                bail!("the server answered -ERR {}", String::from_utf8_lossy(text));
            }
            each(frame)?;
            at += len;
        }
        self.bytes.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let stream = b"PING\r\nMSG a 1 30\r\n012345678901234567890123456789\r\nPONG\r\nMSG a 1 0\r\n\r\n";
        for cut in 1..stream.len() {
            let mut input = Input::with_capacity(8);
            let mut sizes = Vec::new();
            for piece in [&stream[..cut], &stream[cut..]] {
                let mut rest = piece;
                while !rest.is_empty() {
                    input.fill(&mut rest).unwrap();
                    input
                        .drain(|frame| {
                            sizes.push(if let Frame::Message(message) = frame {
                                message.payload.len()
                            } else {
                                99
                            });
                            Ok(())
                        })
                        .unwrap();
                }
            }
            assert_eq!(sizes, [99, 30, 99, 0], "cut at {cut}");
        }
    }

    #[test]
    fn errors_of_the_server_are_ours() {
        let mut input = Input::with_capacity(64);
        input
            .fill(&b"PONG\r\n-ERR 'Authorization Violation'\r\n"[..])
            .unwrap();
        let error = input.drain(|_| Ok(())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server answered -ERR 'Authorization Violation'"
        );
        assert_eq!(
            input.fill(&b""[..]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
