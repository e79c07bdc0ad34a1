//! A plain socket to a server, read message by message.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::escape::{Piece, Template};
use super::{item, nkey};

/// How long the server may keep silent where something has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// How bytes are cut into writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All bytes of a step in one write.
    Whole,
    /// A write for each byte, so that the server meets every split of every command.
    Bytes,
}

/// What came next.
#[derive(Debug)]
pub enum Incoming {
    Message(Vec<u8>),
    /// The server closed the connection, having sent these bytes of an unfinished message.
    End(Vec<u8>),
    /// Nothing, for too long.
    Silence(Vec<u8>),
}

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    cut: Cut,
    nonce: String,
    /// The INFO that the server greeted with, as it stands in transcripts.
    pub greeting: String,
}

impl Connection {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// Nobody listens, or the first message is not an INFO.
    pub fn open(address: SocketAddr, cut: Cut) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self {
            stream,
            buffer: Vec::new(),
            cut,
            nonce: String::new(),
            greeting: String::new(),
        };
        let first = connection.receive()?;
        let Incoming::Message(bytes) = &first else {
            anyhow::bail!("instead of INFO: {first:?}")
        };
        let fields = item::info(bytes).with_context(|| format!("instead of INFO: {first:?}"))?;
        connection.nonce = fields
            .get("nonce")
            .and_then(|nonce| nonce.as_str())
            .unwrap_or_default()
            .to_owned();
        connection.greeting = item::describe(bytes, address.port());
        Ok(connection)
    }

    /// Sends all; a server that has closed in the meantime is no error, reading shows it.
    ///
    /// # Errors
    /// A signature is wanted of what is no nkey seed.
    pub fn send(&mut self, template: &Template) -> Result<()> {
        let mut bytes = Vec::new();
        for piece in &template.0 {
            match piece {
                Piece::Bytes(piece) => bytes.extend_from_slice(piece),
                Piece::Signature(seed) => bytes.extend(nkey::sign(seed, &self.nonce)?.into_bytes()),
            }
        }
        self.send_bytes(&bytes);
        Ok(())
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let size = if self.cut == Cut::Whole {
            bytes.len().max(1)
        } else {
            1
        };
        for part in bytes.chunks(size) {
            if self.stream.write_all(part).is_err() {
                return;
            }
            if self.cut == Cut::Bytes {
                thread::yield_now();
            }
        }
    }

    /// # Errors
    /// The socket failed in another way than being closed.
    pub fn receive(&mut self) -> Result<Incoming> {
        let mut chunk = [0; 16 * 1024];
        loop {
            if let Some(length) = item::length(&self.buffer) {
                return Ok(Incoming::Message(self.buffer.drain(..length).collect()));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(Incoming::End(std::mem::take(&mut self.buffer))),
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(error) => match error.kind() {
                    // Closing with unread input resets the connection: the same to a client.
                    ErrorKind::ConnectionReset => return Ok(Incoming::End(std::mem::take(&mut self.buffer))),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        return Ok(Incoming::Silence(std::mem::take(&mut self.buffer)));
                    }
                    ErrorKind::Interrupted => {}
                    _ => return Err(error.into()),
                },
            }
        }
    }
}
