//! WebSocket clients and TCP clients exchange messages.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use futures_util::{SinkExt, StreamExt};
use mainstem_tests::server::Server;
use mainstem_tests::watch::{start, until};
use mainstem_tests::wire::{PATIENCE, Wire, publication};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

const CONFIG: &str = "websocket { listen: \"127.0.0.1:-1\", no_tls: true, compression: true }";
const CONNECT: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":1}\r\nPING\r\n";

/// The bytes of the protocol that came in messages of a WebSocket, until they end as wanted.
#[derive(Default)]
struct Inbox(Vec<u8>);

impl Inbox {
    /// Takes everything up to and including `end` out, once it is there.
    fn take_to(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let at = self.0.windows(end.len()).position(|window| window == end)?;
        let rest = self.0.split_off(at + end.len());
        Some(std::mem::replace(&mut self.0, rest))
    }
}

/// A client without compression.
struct Plain {
    stream: WebSocketStream<TcpStream>,
    inbox: Inbox,
}

impl Plain {
    async fn open(server: &Server) -> Result<Self> {
        let address = server.address("websocket")?;
        let stream = TcpStream::connect(address).await?;
        let (stream, _) = client_async(format!("ws://{address}/"), stream).await?;
        Ok(Self {
            stream,
            inbox: Inbox::default(),
        })
    }

    async fn login(server: &Server) -> Result<Self> {
        let mut client = Self::open(server).await?;
        client.send(CONNECT).await?;
        client.read_to(b"PONG\r\n").await?;
        Ok(client)
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let message = Message::Binary(bytes.as_ref().to_vec().into());
        Ok(self.stream.send(message).await?)
    }

    async fn next(&mut self) -> Result<Message> {
        let next = timeout(PATIENCE, self.stream.next()).await;
        next.context("nothing comes")?
            .context("the end")?
            .map_err(Into::into)
    }

    async fn read_to(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(bytes) = self.inbox.take_to(end) {
                return Ok(bytes);
            }
            match self.next().await? {
                Message::Binary(bytes) => self.inbox.0.extend_from_slice(&bytes),
                other => bail!("{other:?}"),
            }
        }
    }

    /// The code that the server closes with; what it says before is skipped.
    async fn close_code(&mut self) -> Result<CloseCode> {
        loop {
            if let Message::Close(frame) = self.next().await? {
                return Ok(frame.context("a close frame with a code")?.code);
            }
        }
    }
}

async fn tcp_subscriber(address: SocketAddr, subject: &str) -> Result<Wire<TcpStream>> {
    let mut wire = Wire::login(address, "").await?;
    wire.send(format!("SUB {subject} 1\r\n")).await?;
    wire.round_trip().await?;
    Ok(wire)
}

/// Bytes that compress somewhat, and that no part of the protocol looks like.
fn payload(size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| (at / 3 % 251) as u8 ^ (at / 1000) as u8)
        .collect()
}

#[tokio::test]
async fn messages_of_every_size_pass_both_ways() -> Result<()> {
    let server = start(CONFIG)?;
    let mut tcp = tcp_subscriber(server.nats_address()?, "to.tcp").await?;
    let mut ws = Plain::login(&server).await?;
    ws.send("SUB to.ws 1\r\nPING\r\n").await?;
    ws.read_to(b"PONG\r\n").await?;
    // Around the edges of a frame's length fields, and the largest that there may be.
    for size in [0, 1, 125, 126, 127, 4096, 65_535, 65_536, 65_537, 1 << 20] {
        let body = payload(size);
        ws.send(publication("to.tcp", &body)).await?;
        ensure!(
            tcp.message().await?.payload == body,
            "{size} bytes changed on their way in"
        );
        tcp.publish("to.ws", &body).await?;
        let head = format!("MSG to.ws 1 {size}\r\n");
        ws.read_to(head.as_bytes()).await?;
        let mut end = body;
        end.extend_from_slice(b"\r\n");
        ensure!(
            ws.read_to(&end).await? == end,
            "{size} bytes changed on their way out"
        );
    }
    Ok(())
}

#[tokio::test]
async fn commands_may_be_cut_into_messages_anywhere() -> Result<()> {
    let server = start(CONFIG)?;
    let mut tcp = tcp_subscriber(server.nats_address()?, "a").await?;
    let mut ws = Plain::login(&server).await?;
    for byte in publication("a", "hello") {
        ws.send([byte]).await?;
    }
    assert_eq!(tcp.message().await?.payload, b"hello");
    let many: Vec<u8> = (0..1000)
        .flat_map(|number| publication("a", number.to_string()))
        .collect();
    for piece in many.chunks(777) {
        ws.send(piece).await?;
    }
    for number in 0..1000 {
        assert_eq!(tcp.message().await?.payload, number.to_string().as_bytes());
    }
    Ok(())
}

#[tokio::test]
async fn pings_of_the_websocket_are_answered() -> Result<()> {
    let server = start(CONFIG)?;
    let mut ws = Plain::login(&server).await?;
    ws.stream.send(Message::Ping("there?".into())).await?;
    loop {
        match ws.next().await? {
            Message::Pong(text) => {
                assert_eq!(text, "there?");
                return Ok(());
            }
            Message::Binary(_) => {}
            other => bail!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_close_frame_is_answered_and_the_connection_is_gone() -> Result<()> {
    let server = start(CONFIG)?;
    let mut ws = Plain::login(&server).await?;
    ws.stream.close(None).await?;
    let rest = async { while let Some(Ok(_)) = ws.stream.next().await {} };
    timeout(PATIENCE, rest).await.context("no answer to the close")?;
    until(&server, "/varz", |varz| varz["connections"] == 0).await?;
    Ok(())
}

#[tokio::test]
async fn the_server_closes_with_a_code() -> Result<()> {
    let server = start(&format!("max_payload: 100\n{CONFIG}"))?;
    let mut too_large = Plain::login(&server).await?;
    too_large.send(publication("a", [b'x'; 101])).await?;
    too_large.read_to(b"-ERR 'Maximum Payload Violation'\r\n").await?;
    assert_eq!(too_large.close_code().await?, CloseCode::Size);
    let mut nonsense = Plain::login(&server).await?;
    nonsense.send("NONSENSE\r\n").await?;
    nonsense.read_to(b"-ERR 'Unknown Protocol Operation'\r\n").await?;
    assert_eq!(nonsense.close_code().await?, CloseCode::Protocol);
    Ok(())
}

/// A client with compression, spoken by hand.
struct Deflating {
    stream: TcpStream,
    inbox: Inbox,
}

/// FIN, RSV1 (compressed) and the opcode of a binary message (RFC 7692, 6).
const COMPRESSED: u8 = 0xc2;
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
/// What a compressor writes at a flush, and a message leaves out (RFC 7692, 7.2.1).
const FLUSH_MARK: &[u8] = &[0, 0, 0xff, 0xff];

impl Deflating {
    async fn login(server: &Server) -> Result<Self> {
        let mut stream = TcpStream::connect(server.address("websocket")?).await?;
        stream
            .write_all(
                b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
                  client_no_context_takeover\r\n\r\n",
            )
            .await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        ensure!(head.contains("permessage-deflate"), "{head}");
        let mut client = Self {
            stream,
            inbox: Inbox::default(),
        };
        client.send(CONNECT).await?;
        client.read_to(b"PONG\r\n").await?;
        Ok(client)
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let mut wire = deflate(bytes.as_ref())?;
        for (at, byte) in wire.iter_mut().enumerate() {
            *byte ^= MASK[at % 4];
        }
        let mut frame = vec![COMPRESSED];
        match wire.len() {
            short @ ..=125 => frame.push(MASKED | short as u8),
            middle @ ..=0xffff => {
                frame.push(MASKED | 126);
                frame.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                frame.push(MASKED | 127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        frame.append(&mut wire);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Reads one frame; says whether it was compressed.
    async fn receive(&mut self) -> Result<bool> {
        let kind = self.stream.read_u8().await?;
        let len = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        let mut body = vec![0; usize::try_from(len)?];
        self.stream.read_exact(&mut body).await?;
        match kind {
            COMPRESSED => self.inbox.0.append(&mut inflate(&body)?),
            BINARY => self.inbox.0.append(&mut body),
            other => bail!("a frame of kind {other:#x}"),
        }
        Ok(kind == COMPRESSED)
    }

    /// Reads up to and including `end`; says whether any frame was compressed.
    async fn read_to(&mut self, end: &[u8]) -> Result<(Vec<u8>, bool)> {
        let mut compressed = false;
        loop {
            if let Some(bytes) = self.inbox.take_to(end) {
                return Ok((bytes, compressed));
            }
            compressed |= timeout(PATIENCE, self.receive())
                .await
                .context("nothing comes")??;
        }
    }
}

fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut deflater = Compress::new(Compression::fast(), false);
    let mut wire = Vec::with_capacity(bytes.len() * 2 + 1024);
    deflater.compress_vec(bytes, &mut wire, FlushCompress::Sync)?;
    ensure!(deflater.total_in() == bytes.len() as u64, "room for all");
    ensure!(wire.ends_with(FLUSH_MARK), "a flushed message");
    wire.truncate(wire.len() - FLUSH_MARK.len());
    Ok(wire)
}

fn inflate(wire: &[u8]) -> Result<Vec<u8>> {
    let wire = [wire, FLUSH_MARK].concat();
    let mut inflater = Decompress::new(false);
    let mut bytes = Vec::with_capacity(4 << 20);
    inflater.decompress_vec(&wire, &mut bytes, FlushDecompress::Sync)?;
    ensure!(inflater.total_in() == wire.len() as u64, "a whole message");
    Ok(bytes)
}

#[tokio::test]
async fn compressed_messages_pass_both_ways() -> Result<()> {
    let server = start(CONFIG)?;
    let mut tcp = tcp_subscriber(server.nats_address()?, "to.tcp").await?;
    let mut ws = Deflating::login(&server).await?;
    ws.send("SUB to.ws 1\r\nPING\r\n").await?;
    ws.read_to(b"PONG\r\n").await?;
    let mut compressed = false;
    for size in [0, 1, 100, 65_536, 1 << 20] {
        let body = payload(size);
        ws.send(publication("to.tcp", &body)).await?;
        ensure!(
            tcp.message().await?.payload == body,
            "{size} bytes changed on their way in"
        );
        tcp.publish("to.ws", &body).await?;
        ws.read_to(format!("MSG to.ws 1 {size}\r\n").as_bytes()).await?;
        let mut end = body;
        end.extend_from_slice(b"\r\n");
        let (bytes, any) = ws.read_to(&end).await?;
        ensure!(bytes == end, "{size} bytes changed on their way out");
        compressed |= any;
    }
    ensure!(compressed, "nothing was ever compressed");
    Ok(())
}

#[tokio::test]
async fn a_compressed_message_that_is_a_bomb_ends_only_its_connection() -> Result<()> {
    let server = start(CONFIG)?;
    let mut tcp = tcp_subscriber(server.nats_address()?, "a").await?;
    let mut bomb = Deflating::login(&server).await?;
    let before = mainstem_tests::watch::memory(&server)?.resident;
    // One command without an end, of 256 MiB; on the wire some 250 KiB.
    let mut line = b"PUB a ".to_vec();
    line.resize(256 << 20, b' ');
    drop(bomb.send(line).await);
    let rest = async { while bomb.receive().await.is_ok() {} };
    timeout(PATIENCE, rest).await.context("it is still served")?;
    let grown = mainstem_tests::watch::memory(&server)?.peak - before;
    ensure!(grown < 32 << 20, "grew by {grown} bytes");
    tcp.publish("a", "fine").await?;
    assert_eq!(tcp.message().await?.payload, b"fine");
    Ok(())
}
