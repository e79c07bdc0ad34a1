//! NATS inside WebSocket, spoken by hand.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use mainstem_tests::binaries;
use mainstem_tests::server::{Launch, PATIENCE, Server};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// FIN and the opcode of a binary message.
const BINARY: u8 = 0x82;
/// RFC 6455, 5.2: what a client sends is masked; zeros leave it as it is.
const MASKED: u8 = 0x80;
const NO_MASK: [u8; 4] = [0; 4];
/// Payloads up to here have their length in one byte; those of this harness fit two.
const SHORT_BYTES: u8 = 125;

fn connect(server: &Server) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.address("websocket")?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(UPGRADE.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(&mut stream)?);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "not upgraded");
    Ok(stream)
}

fn byte(stream: &mut TcpStream) -> Result<u8> {
    let mut one = [0];
    stream.read_exact(&mut one)?;
    Ok(one[0])
}

fn send(stream: &mut TcpStream, text: &str) -> Result<()> {
    let len = u8::try_from(text.len()).ok().filter(|len| *len <= SHORT_BYTES);
    stream.write_all(&[BINARY, MASKED | len.context("a short message")?])?;
    stream.write_all(&NO_MASK)?;
    Ok(stream.write_all(text.as_bytes())?)
}

fn receive(stream: &mut TcpStream) -> Result<String> {
    ensure!(byte(stream)? == BINARY, "not a binary message");
    let len = match byte(stream)? {
        short @ ..=SHORT_BYTES => u16::from(short),
        _ => u16::from_be_bytes([byte(stream)?, byte(stream)?]),
    };
    let mut payload = vec![0; len.into()];
    stream.read_exact(&mut payload)?;
    Ok(String::from_utf8(payload)?)
}

/// The socket of a fresh connection is not known to take bytes yet: INFO has to go out when it does, not with what
/// is written next (the PING that the server sends on its own).
#[test]
fn info_does_not_wait_for_the_first_ping() -> Result<()> {
    let config = "websocket { listen: \"127.0.0.1:-1\", no_tls: true }";
    let server = Launch::nats_server(&binaries::broker()?, config)?.start()?;
    let mut stream = connect(&server)?;
    ensure!(receive(&mut stream)?.starts_with("INFO {"));
    send(&mut stream, "CONNECT {\"verbose\":false}\r\nPING\r\n")?;
    assert_eq!(receive(&mut stream)?, "PONG\r\n");
    Ok(())
}
