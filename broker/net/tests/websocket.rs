//! Real WebSocket clients against a listener.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Authority, Server, echo, handshake};
use futures_util::{SinkExt as _, StreamExt as _};
use mainstem_net::Security;
use mainstem_net::accept::HandshakeError;
use mainstem_net::config::WebsocketConfig;
use mainstem_net::upgrade::Refusal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn config() -> WebsocketConfig {
    WebsocketConfig {
        handshake_timeout_ms: 60_000,
        ..WebsocketConfig::default()
    }
}

fn start(config: &WebsocketConfig) -> Server {
    Server::start(Security::with_websocket(config).unwrap())
}

async fn exercise<S: AsyncRead + AsyncWrite + Unpin>(mut client: WebSocketStream<S>) {
    client.send(Message::text("PING\r\n")).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::binary("PING\r\n"));
    client.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(
        client.next().await.unwrap().unwrap(),
        Message::Pong("are you there".into())
    );
    let large: Vec<u8> = (0..300_000u32).map(|i| (i / 3) as u8).collect();
    client.send(Message::binary(large.clone())).await.unwrap();
    let mut received = Vec::new();
    while received.len() < large.len() {
        received.extend_from_slice(&client.next().await.unwrap().unwrap().into_data());
    }
    assert!(received == large);
    let bye = CloseFrame {
        code: CloseCode::Away,
        reason: "bye".into(),
    };
    client.send(Message::Close(Some(bye.clone()))).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Close(Some(bye)));
    assert!(client.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_sends_frames_pings_and_closes() {
    let mut server = start(&config());
    let stream = server.connect().await;
    let (client, _) = tokio_tungstenite::client_async("ws://localhost/path", stream)
        .await
        .unwrap();
    let accepted = server.next().await;
    assert_eq!(accepted.ws.as_ref().unwrap().path, "/path");
    assert!(accepted.state.is_none() && accepted.tls.is_none());
    tokio::spawn(echo(accepted));
    exercise(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_runs_inside_tls() {
    let authority = Authority::new();
    let mut server = start(&WebsocketConfig {
        tls: Some(authority.server()),
        same_origin: true,
        ..config()
    });
    let stream = handshake(server.connect().await, authority.anonymous())
        .await
        .unwrap();
    let request = tokio_tungstenite::tungstenite::http::Request::builder()
        .uri("wss://localhost/")
        .header("Host", "localhost")
        .header("Origin", "https://localhost")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap();
    let (client, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let accepted = server.next().await;
    assert!(accepted.tls.is_some() && accepted.ws.is_some());
    tokio::spawn(echo(accepted));
    exercise(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deflated_messages_go_both_ways() {
    let mut server = start(&WebsocketConfig {
        compression: true,
        ..config()
    });
    let mut client = server.connect().await;
    let request = format!("{REQUEST}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let response = read_head(&mut client).await;
    assert!(
        response.contains("\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context"),
        "{response}"
    );
    let accepted = server.next().await;
    assert!(accepted.ws.as_ref().unwrap().compressed);
    tokio::spawn(echo(accepted));

    let message = b"PUB subject 5\r\nhello\r\n".repeat(50);
    let packed = deflate(&message);
    // Unmasked bytes are their own mask's result for a mask of zeros.
    let mut frame = vec![0xc2, 0x80 | 126];
    frame.extend_from_slice(&(packed.len() as u16).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&packed);
    client.write_all(&frame).await.unwrap();
    let answer = read_frame(&mut client).await;
    assert_eq!(inflate(&answer), message);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_answered_and_reported() {
    let mut server = start(&WebsocketConfig {
        allowed_origins: vec!["https://good.example".into()],
        ..config()
    });
    let cases = [
        (
            format!("{REQUEST}Origin: https://evil.example\r\n\r\n"),
            "HTTP/1.1 403 Forbidden\r\n",
        ),
        (
            format!("{}\r\n", REQUEST.replace("GET", "POST")),
            "HTTP/1.1 405 Method Not Allowed\r\n",
        ),
        ("CONNECT {}\r\n".to_owned(), "HTTP/1.1 400 Bad Request\r\n"),
        (format!("{REQUEST}\r\nframes"), ""),
    ];
    for (request, status_line) in cases {
        let mut client = server.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A close with unread input may reset the connection.
        let _ = client.read_to_end(&mut answer).await;
        assert!(String::from_utf8_lossy(&answer).starts_with(status_line));
        let failure = server.failures.recv().await.unwrap();
        assert!(matches!(failure, HandshakeError::Upgrade(_)), "{failure}");
    }
    let mut client = server.connect().await;
    client.write_all(&vec![b'a'; 40_000]).await.unwrap();
    let failure = server.failures.recv().await.unwrap();
    assert!(
        matches!(failure, HandshakeError::Upgrade(Refusal::Http { .. })),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_drips_is_read_and_one_that_stops_times_out() {
    let mut server = start(&config());
    let mut client = server.connect().await;
    client.set_nodelay(true).unwrap();
    for byte in format!("{REQUEST}\r\n").bytes() {
        client.write_all(&[byte]).await.unwrap();
    }
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 101 "));
    server.next().await;

    let mut impatient = Security::with_websocket(&config()).unwrap();
    impatient.websocket.as_mut().unwrap().timeout = Duration::from_millis(20);
    let mut server = Server::start(impatient);
    let mut client = server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    let failure = server.failures.recv().await.unwrap();
    assert!(
        matches!(
            failure,
            HandshakeError::Timeout {
                stage: "WebSocket upgrade"
            }
        ),
        "{failure}"
    );
}

async fn read_head<S: AsyncRead + Unpin>(client: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// The payload of one deflated frame.
async fn read_frame<S: AsyncRead + Unpin>(client: &mut S) -> Vec<u8> {
    assert_eq!(client.read_u8().await.unwrap(), 0xc2);
    let len = match client.read_u8().await.unwrap() {
        126 => usize::from(client.read_u16().await.unwrap()),
        len => usize::from(len),
    };
    let mut payload = vec![0; len];
    client.read_exact(&mut payload).await.unwrap();
    payload
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut state = flate2::Compress::new(flate2::Compression::best(), false);
    let mut packed = Vec::with_capacity(plain.len() + 64);
    state
        .compress_vec(plain, &mut packed, flate2::FlushCompress::Sync)
        .unwrap();
    packed.truncate(packed.len() - 4);
    packed
}

fn inflate(packed: &[u8]) -> Vec<u8> {
    let mut state = flate2::Decompress::new(false);
    let mut plain = Vec::with_capacity(64 * 1024);
    let whole = [packed, &[0, 0, 0xff, 0xff]].concat();
    state
        .decompress_vec(&whole, &mut plain, flate2::FlushDecompress::Sync)
        .unwrap();
    plain
}
