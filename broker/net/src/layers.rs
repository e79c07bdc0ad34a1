//! What stands between a socket and a protocol: optional TLS below an optional WebSocket, without IO.

use std::io::{self, BufRead as _, Write as _};

use rustls::ServerConnection;
use thiserror::Error;

use crate::ws::{Progress, WebSocket, WsError, WsOptions};

/// Plaintext handed to TLS at once: two full records.
const ENCRYPT_STEP_BYTES: usize = 32 * 1024;
/// Most framed bytes that wait for the next call after [`Decoded::More`].
pub const MAX_BACKLOG_BYTES: usize = 1024 * 1024;

/// How a decode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// All input is decoded.
    Open,
    /// `plain` is long enough for now: use it, then call again with no input until this is not the answer.
    More,
    /// The peer said good-bye: use `plain`, send `wire`, then close the socket.
    Closed,
}

/// Why a connection cannot go on. What the peer should be told is in `wire` already.
#[derive(Debug, Error)]
pub enum LayerError {
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error("{0}")]
    WebSocket(#[from] WsError),
    #[error("TLS cannot take more: {0}")]
    Io(#[from] io::Error),
    #[error("more than {MAX_BACKLOG_BYTES} framed bytes wait to be decoded")]
    Backlog,
}

/// The layers of one connection.
#[derive(Debug, Default)]
pub struct Layers {
    tls: Option<Box<ServerConnection>>,
    ws: Option<WebSocket>,
    /// Framed bytes that the last call left over.
    backlog: Vec<u8>,
    tls_ended: bool,
}

impl Layers {
    pub fn with_tls(connection: ServerConnection) -> Self {
        Self {
            tls: Some(Box::new(connection)),
            ..Self::default()
        }
    }

    /// From now on, what is inside TLS (or on the bare socket) are WebSocket frames.
    pub fn start_websocket(&mut self, options: WsOptions) {
        self.ws = Some(WebSocket::new(options));
    }

    /// The TLS connection, for its peer and parameters.
    pub fn tls(&self) -> Option<&ServerConnection> {
        self.tls.as_deref()
    }

    /// Whether the TLS handshake still goes on.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether there is nothing here: protocol bytes are socket bytes.
    pub fn is_bare(&self) -> bool {
        self.tls.is_none() && self.ws.is_none()
    }

    /// Takes bytes read from the socket; appends protocol bytes to `plain` and what is to be sent at once (TLS
    /// records, pongs, close frames) to `wire`.
    ///
    /// # Errors
    /// Broken TLS records or frames; alerts and close frames for the peer are in `wire`.
    pub fn decode(
        &mut self,
        raw: &[u8],
        plain: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<Decoded, LayerError> {
        if self.backlog.len() > MAX_BACKLOG_BYTES {
            return Err(LayerError::Backlog);
        }
        match (&mut self.tls, &mut self.ws) {
            (None, None) => plain.extend_from_slice(raw),
            (Some(tls), None) => self.tls_ended |= decrypt(tls, raw, plain, wire)?,
            (None, Some(ws)) if self.backlog.is_empty() => {
                return unframe(ws, raw, &mut self.backlog, plain, wire);
            }
            (None, Some(ws)) => {
                let mut framed = std::mem::take(&mut self.backlog);
                framed.extend_from_slice(raw);
                return unframe(ws, &framed, &mut self.backlog, plain, wire);
            }
            (Some(tls), Some(ws)) => {
                let mut framed = std::mem::take(&mut self.backlog);
                self.tls_ended |= decrypt(tls, raw, &mut framed, wire)?;
                let mut answers = Vec::new();
                let decoded = unframe(ws, &framed, &mut self.backlog, plain, &mut answers);
                encrypt(tls, &answers, wire)?;
                let decoded = decoded?;
                if decoded != Decoded::Open {
                    return Ok(decoded);
                }
            }
        }
        Ok(if self.tls_ended {
            Decoded::Closed
        } else {
            Decoded::Open
        })
    }

    /// Wraps protocol bytes for the peer; appends to `wire`. With WebSocket, each call makes a message of its own.
    ///
    /// # Errors
    /// TLS refuses, for example because it has been closed.
    pub fn encode(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), LayerError> {
        match (&mut self.tls, &mut self.ws) {
            (None, None) => wire.extend_from_slice(plain),
            (Some(tls), None) => encrypt(tls, plain, wire)?,
            (None, Some(ws)) => ws.encode(plain, wire),
            (Some(tls), Some(ws)) => {
                let mut framed = Vec::new();
                ws.encode(plain, &mut framed);
                encrypt(tls, &framed, wire)?;
            }
        }
        Ok(())
    }

    /// Says good-bye: a WebSocket close frame with `code` and `reason`, TLS' close_notify. Once; nothing follows.
    pub fn close(&mut self, code: u16, reason: &str, wire: &mut Vec<u8>) {
        let mut frame = Vec::new();
        if let Some(ws) = &mut self.ws {
            ws.close(code, reason, &mut frame);
        }
        match &mut self.tls {
            None => wire.append(&mut frame),
            Some(tls) => {
                // A connection that can no longer encrypt closes without a good-bye.
                if encrypt(tls, &frame, wire).is_ok() {
                    tls.send_close_notify();
                    let _ = flush(tls, wire);
                }
            }
        }
    }
}

/// Opens records; true once the peer has closed its side.
fn decrypt(
    tls: &mut ServerConnection,
    mut raw: &[u8],
    plain: &mut Vec<u8>,
    wire: &mut Vec<u8>,
) -> Result<bool, LayerError> {
    let mut ended = false;
    while !raw.is_empty() && !ended {
        ended = tls.read_tls(&mut raw)? == 0;
        match tls.process_new_packets() {
            Ok(state) => ended |= state.peer_has_closed(),
            Err(error) => {
                flush(tls, wire)?;
                return Err(error.into());
            }
        }
        take_plaintext(tls, plain)?;
    }
    flush(tls, wire)?;
    Ok(ended)
}

fn take_plaintext(tls: &mut ServerConnection, plain: &mut Vec<u8>) -> Result<(), LayerError> {
    let mut reader = tls.reader();
    loop {
        let taken = match reader.fill_buf() {
            Ok(chunk) => {
                plain.extend_from_slice(chunk);
                chunk.len()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        if taken == 0 {
            return Ok(());
        }
        reader.consume(taken);
    }
}

fn encrypt(tls: &mut ServerConnection, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), LayerError> {
    for step in plain.chunks(ENCRYPT_STEP_BYTES) {
        tls.writer().write_all(step)?;
        flush(tls, wire)?;
    }
    Ok(())
}

fn flush(tls: &mut ServerConnection, wire: &mut Vec<u8>) -> Result<(), LayerError> {
    while tls.wants_write() {
        tls.write_tls(wire)?;
    }
    Ok(())
}

fn unframe(
    ws: &mut WebSocket,
    framed: &[u8],
    backlog: &mut Vec<u8>,
    plain: &mut Vec<u8>,
    wire: &mut Vec<u8>,
) -> Result<Decoded, LayerError> {
    match ws.decode(framed, plain, wire)? {
        Progress::Done => Ok(Decoded::Open),
        Progress::Paused { used } => {
            backlog.extend_from_slice(&framed[used..]);
            Ok(Decoded::More)
        }
        Progress::Closed => Ok(Decoded::Closed),
    }
}
