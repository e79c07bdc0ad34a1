//! A connection's socket with its layers, as a worker uses it: read what is there, write what fits, never wait.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::layers::{Decoded, LayerError, Layers};

/// Bytes that one layered write wraps at a time.
const WRAP_BYTES: usize = 16 << 10;
/// Wrapped bytes that may wait for the socket before more is wrapped.
const WIRE_BYTES: usize = 64 << 10;

/// A socket registered with this thread's runtime.
pub struct Transport {
    /// `None` once closed.
    stream: Option<TcpStream>,
    wrapped: Option<Box<Wrapped>>,
}

/// TLS, WebSocket or both, and what they made for the socket.
struct Wrapped {
    layers: Box<Layers>,
    wire: Vec<u8>,
    written: usize,
    /// The layers hold protocol bytes back: take those before the socket's next.
    more: bool,
}

impl Transport {
    /// Registers a nonblocking socket with the runtime of this thread.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub fn new(stream: std::net::TcpStream, layers: Option<Box<Layers>>) -> io::Result<Self> {
        let wrapped = layers.map(|layers| {
            Box::new(Wrapped {
                layers,
                wire: Vec::new(),
                written: 0,
                more: false,
            })
        });
        Ok(Self {
            stream: Some(TcpStream::from_std(stream)?),
            wrapped,
        })
    }

    /// Protocol bytes are not socket bytes: read with [`Transport::poll_read_wrapped`].
    pub fn is_wrapped(&self) -> bool {
        self.wrapped.is_some()
    }

    /// Reads into `buffer`; 0: the peer is done.
    ///
    /// # Errors
    /// As the socket.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(open(&mut self.stream)?).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Reads into the spare room of `buffer`, which must have some; 0: the peer is done.
    ///
    /// # Errors
    /// As the socket.
    pub fn poll_read_buf(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut bytes::BytesMut,
    ) -> Poll<io::Result<usize>> {
        tokio_util::io::poll_read_buf(Pin::new(open(&mut self.stream)?), cx, buffer)
    }

    /// Reads through the layers: appends protocol bytes to `plain`, which may stay as it was although something was
    /// read. `scratch` is room for socket bytes.
    ///
    /// # Errors
    /// As the socket, or the layers' complaint.
    pub fn poll_read_wrapped(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> Poll<io::Result<Decoded>> {
        let more = self.wrapped.as_ref().is_some_and(|wrapped| wrapped.more);
        let count = if more {
            0
        } else {
            ready!(self.poll_read(cx, scratch))?
        };
        let Some(wrapped) = &mut self.wrapped else {
            plain.extend_from_slice(&scratch[..count]);
            return Poll::Ready(Ok(if count == 0 {
                Decoded::Closed
            } else {
                Decoded::Open
            }));
        };
        if count == 0 && !more {
            return Poll::Ready(Ok(Decoded::Closed));
        }
        let decoded = wrapped.layers.decode(&scratch[..count], plain, &mut wrapped.wire);
        wrapped.more = matches!(decoded, Ok(Decoded::More));
        Poll::Ready(decoded.map_err(invalid))
    }

    /// Whether the socket takes bytes again; registers for it otherwise.
    ///
    /// # Errors
    /// As the socket.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_ref().ok_or_else(closed)?.poll_write_ready(cx)
    }

    /// Writes some of `slices`; returns how many of their bytes are taken care of.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes nothing now; else as the socket.
    pub fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(wrapped) = &mut self.wrapped else {
            return open(&mut self.stream)?.try_write_vectored(slices);
        };
        let mut taken = 0;
        for slice in slices {
            for part in slice.chunks(WRAP_BYTES) {
                if wrapped.wire.len() - wrapped.written >= WIRE_BYTES {
                    break;
                }
                wrapped.layers.encode(part, &mut wrapped.wire).map_err(invalid)?;
                taken += part.len();
            }
        }
        match self.flush_wire() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => Ok(taken),
            Err(error) => Err(error),
            Ok(()) => Ok(taken),
        }
    }

    /// Bytes that layers made and the socket did not take yet.
    pub fn has_wire_bytes(&self) -> bool {
        self.wrapped
            .as_ref()
            .is_some_and(|wrapped| wrapped.written < wrapped.wire.len())
    }

    /// Layers made more than they should before the socket takes some of it.
    pub fn has_much_wire(&self) -> bool {
        self.wrapped
            .as_ref()
            .is_some_and(|wrapped| wrapped.wire.len() - wrapped.written > WIRE_BYTES)
    }

    /// Writes what layers made.
    ///
    /// # Errors
    /// `WouldBlock` while some is left; else as the socket.
    pub fn flush_wire(&mut self) -> io::Result<()> {
        let Some(wrapped) = &mut self.wrapped else {
            return Ok(());
        };
        while wrapped.written < wrapped.wire.len() {
            wrapped.written += open(&mut self.stream)?.try_write(&wrapped.wire[wrapped.written..])?;
        }
        wrapped.written = 0;
        if wrapped.wire.capacity() > 2 * WRAP_BYTES {
            wrapped.wire = Vec::new();
        } else {
            wrapped.wire.clear();
        }
        Ok(())
    }

    /// Says good-bye as the layers do it, as far as the socket takes it, and closes the socket. `code` and `reason`
    /// are WebSocket's.
    pub fn close(&mut self, code: u16, reason: &str) {
        if let Some(wrapped) = &mut self.wrapped {
            wrapped.layers.close(code, reason, &mut wrapped.wire);
            // The connection ends either way.
            let _ = self.flush_wire();
        }
        self.stream = None;
        self.wrapped = None;
    }
}

fn open(stream: &mut Option<TcpStream>) -> io::Result<&mut TcpStream> {
    stream.as_mut().ok_or_else(closed)
}

fn closed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn invalid(error: LayerError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
