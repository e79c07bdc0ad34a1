//! A client that shows every frame: for tests that look at the protocol itself, or break it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a frame may take; a broker that works needs a thousandth of it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One frame from the server. A PING is answered instead of shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    Info(Value),
    Ok,
    Pong,
    /// The text of an `-ERR` line, without its quotes.
    Error(String),
    Message(Message),
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub sid: String,
    /// Empty: no reply subject.
    pub reply: String,
    /// The header block, empty for a plain message.
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

/// A connection of the NATS protocol over any stream.
#[derive(Debug)]
pub struct Wire<S> {
    reader: BufReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
}

impl Wire<TcpStream> {
    /// Opens a connection that has said nothing yet.
    ///
    /// # Errors
    /// The server does not accept it.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        // Many small writes in a row would each wait for the other side's delayed acknowledgement.
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// Opens a connection and logs in with these fields of CONNECT.
    ///
    /// # Errors
    /// The server does not accept it, or refuses the login.
    pub async fn login(address: SocketAddr, fields: &str) -> Result<Self> {
        let mut wire = Self::open(address).await?;
        wire.connect(fields).await?;
        Ok(wire)
    }
}

impl<S: AsyncRead + AsyncWrite> Wire<S> {
    pub fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: BufReader::new(reader),
            writer,
        }
    }

    /// The stream again, for a layer to be put on it. Whatever was read too far is lost.
    #[must_use]
    pub fn into_stream(self) -> S
    where
        S: Unpin,
    {
        self.reader.into_inner().unsplit(self.writer)
    }

    /// Reads INFO, sends CONNECT with these fields, and returns INFO once the server has answered a PING.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn connect(&mut self, fields: &str) -> Result<Value> {
        let info = self.info().await?;
        self.hello(fields).await?;
        Ok(info)
    }

    /// Sends CONNECT with these fields, and returns once the server has answered a PING, and said the INFO that
    /// follows the first PONG.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn hello(&mut self, fields: &str) -> Result<()> {
        let comma = if fields.is_empty() { "" } else { "," };
        let line = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"protocol\":1,\"headers\":true,\"no_responders\":true{comma}{fields}}}\r\n"
        );
        self.send(line).await?;
        self.round_trip().await?;
        self.info().await.map(drop)
    }

    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        timeout(PATIENCE, self.writer.write_all(bytes.as_ref()))
            .await
            .context("the server does not read")??;
        Ok(self.writer.flush().await?)
    }

    /// Says that nothing more will be sent; what the server sends can still be read.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn shutdown(&mut self) -> Result<()> {
        Ok(self.writer.shutdown().await?)
    }

    /// # Errors
    /// The connection is gone.
    pub async fn publish(&mut self, subject: &str, payload: impl AsRef<[u8]>) -> Result<()> {
        self.send(publication(subject, payload)).await
    }

    /// The next frame is INFO.
    ///
    /// # Errors
    /// It is not.
    pub async fn info(&mut self) -> Result<Value> {
        match self.frame().await? {
            Frame::Info(info) => Ok(info),
            other => bail!("no INFO, but {other:?}"),
        }
    }

    /// The next message; INFO is skipped.
    ///
    /// # Errors
    /// Something else comes, or nothing.
    pub async fn message(&mut self) -> Result<Message> {
        loop {
            match self.frame().await? {
                Frame::Message(message) => return Ok(message),
                Frame::Info(_) => {}
                other => bail!("no message, but {other:?}"),
            }
        }
    }

    /// Sends PING and returns the messages that come before its PONG: all that earlier commands caused.
    ///
    /// # Errors
    /// The connection ends, or the server complains.
    pub async fn round_trip(&mut self) -> Result<Vec<Message>> {
        self.send("PING\r\n").await?;
        let mut messages = Vec::new();
        loop {
            match self.frame().await? {
                Frame::Pong => return Ok(messages),
                Frame::Message(message) => messages.push(message),
                Frame::Info(_) | Frame::Ok => {}
                Frame::Error(text) => bail!("-ERR {text}"),
            }
        }
    }

    /// Reads to the end of the connection; the texts of all `-ERR` lines on the way.
    ///
    /// # Errors
    /// The server says something that is no frame, or keeps the connection.
    pub async fn end(&mut self) -> Result<Vec<String>> {
        let mut errors = Vec::new();
        while let Some(frame) = self.next().await? {
            if let Frame::Error(text) = frame {
                errors.push(text);
            }
        }
        Ok(errors)
    }

    /// # Errors
    /// As [`Wire::next`], and when the connection has ended.
    pub async fn frame(&mut self) -> Result<Frame> {
        self.next().await?.context("the server closed the connection")
    }

    /// The next frame; `None` once the connection has ended.
    ///
    /// # Errors
    /// Nothing came for [`PATIENCE`], or something that is no frame.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        timeout(PATIENCE, self.read_frame())
            .await
            .context("the server says nothing")?
    }

    async fn read_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            let mut line = Vec::new();
            match self.reader.read_until(b'\n', &mut line).await {
                Ok(0) => return Ok(None),
                Ok(_) if line.ends_with(b"\r\n") => {}
                Ok(_) => bail!("the connection ended within a line"),
                Err(error) if is_end(error.kind()) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            let line = String::from_utf8(line)?;
            let (verb, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
            return Ok(Some(match verb {
                "INFO" => Frame::Info(serde_json::from_str(rest)?),
                "+OK" => Frame::Ok,
                "PONG" => Frame::Pong,
                "-ERR" => Frame::Error(rest.trim_matches('\'').to_owned()),
                "MSG" => Frame::Message(self.body(rest, false).await?),
                "HMSG" => Frame::Message(self.body(rest, true).await?),
                "PING" => {
                    self.writer.write_all(b"PONG\r\n").await?;
                    self.writer.flush().await?;
                    continue;
                }
                _ => bail!("no frame: {line:?}"),
            }));
        }
    }

    async fn body(&mut self, arguments: &str, has_headers: bool) -> Result<Message> {
        let mut words: Vec<&str> = arguments.split(' ').collect();
        let size: usize = words.pop().context("a size")?.parse()?;
        let header_len: usize = match has_headers {
            true => words.pop().context("a header size")?.parse()?,
            false => 0,
        };
        ensure!(matches!(words.len(), 2 | 3), "{arguments:?}");
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).await?;
        ensure!(bytes.ends_with(b"\r\n"), "a message without its end");
        bytes.truncate(size);
        let payload = bytes.split_off(header_len);
        Ok(Message {
            subject: words[0].to_owned(),
            sid: words[1].to_owned(),
            reply: words.get(2).copied().unwrap_or_default().to_owned(),
            headers: bytes,
            payload,
        })
    }
}

/// The bytes of a PUB.
pub fn publication(subject: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = format!("PUB {subject} {}\r\n", payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn is_end(kind: ErrorKind) -> bool {
    // A server that closes while bytes of ours are unread resets the connection; TLS without close_notify is the
    // same to a test.
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
    )
}
