//! Real TLS clients against a listener.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Authority, GREETING, Server, THROTTLED, echo, handshake, read_greeting};
use mainstem_net::accept::HandshakeError;
use mainstem_net::config::{HandshakeFirst, TlsConfig};
use mainstem_net::tls::server_config;
use mainstem_net::{Decoded, Security};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn secured(config: &TlsConfig) -> Server {
    Server::start(Security::with_tls(config, false).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_connection_is_handed_over_without_a_greeting() {
    let mut server = Server::start(Security::default());
    let mut client = server.connect().await;
    let accepted = server.next().await;
    assert_eq!(accepted.peer, client.local_addr().unwrap());
    assert_eq!(accepted.local, server.addr);
    assert!(accepted.layers.is_none() && accepted.state.is_none() && accepted.early.is_empty());
    assert!(accepted.stream.nodelay().unwrap());
    let echoing = tokio::spawn(echo(accepted));
    client.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"PING\r\n");
    drop(client);
    assert_eq!(echoing.await.unwrap(), Decoded::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_starts_after_the_greeting_and_carries_any_bytes() {
    let authority = Authority::new();
    let mut server = secured(&authority.server());
    for (version, name) in [(&rustls::version::TLS12, "1.2"), (&rustls::version::TLS13, "1.3")] {
        let mut stream = server.connect().await;
        read_greeting(&mut stream).await;
        let client = handshake(stream, authority.client(&[version], None))
            .await
            .unwrap();
        let accepted = server.next().await;
        let info = accepted.tls.as_ref().unwrap();
        assert_eq!(
            (info.version, &info.peer, accepted.state),
            (name, &None, Some("greeted"))
        );
        assert!(info.cipher.starts_with("TLS_"), "{}", info.cipher);
        let echoing = tokio::spawn(echo(accepted));
        let sent: Vec<u8> = (0..1_000_000u32).map(|i| (i / 7) as u8).collect();
        let (mut reader, mut writer) = tokio::io::split(client);
        let writing = tokio::spawn({
            let sent = sent.clone();
            async move {
                writer.write_all(&sent).await.unwrap();
                writer.flush().await.unwrap();
                writer
            }
        });
        let mut received = vec![0; sent.len()];
        reader.read_exact(&mut received).await.unwrap();
        assert!(received == sent);
        writing.await.unwrap().shutdown().await.unwrap();
        assert_eq!(echoing.await.unwrap(), Decoded::Closed);
        assert_eq!(
            reader.read(&mut received).await.unwrap(),
            0,
            "close_notify, else an error"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_come_with_the_end_of_the_handshake_are_kept() {
    let authority = Authority::new();
    let mut server = secured(&authority.server_first());
    let mut client = handshake(server.connect().await, authority.anonymous())
        .await
        .unwrap();
    client.write_all(b"CONNECT {}\r\n").await.unwrap();
    let accepted = server.next().await;
    assert_eq!(accepted.state, None, "no greeting before TLS");
    tokio::spawn(echo(accepted));
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"CONNECT {}\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn handshake_first_auto_waits_for_a_hello_and_falls_back_to_the_greeting() {
    let authority = Authority::new();
    let auto = |wait_ms| TlsConfig {
        handshake_first: HandshakeFirst::Auto(wait_ms),
        ..authority.server()
    };
    let mut server = secured(&auto(60_000));
    handshake(server.connect().await, authority.anonymous())
        .await
        .unwrap();
    assert_eq!(server.next().await.state, None);

    let mut server = secured(&auto(1));
    let mut stream = server.connect().await;
    read_greeting(&mut stream).await;
    handshake(stream, authority.anonymous()).await.unwrap();
    assert_eq!(server.next().await.state, Some("greeted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clear_text_is_allowed_the_first_byte_decides() {
    let authority = Authority::new();
    let mut server = Server::start(Security::with_tls(&authority.server(), true).unwrap());
    let mut stream = server.connect().await;
    read_greeting(&mut stream).await;
    stream.write_all(b"CONNECT {}\r\n").await.unwrap();
    let accepted = server.next().await;
    assert!(accepted.layers.is_none() && accepted.tls.is_none());
    assert_eq!(
        (&accepted.early[..], accepted.state),
        (&b"CONNECT {}\r\n"[..], Some("greeted"))
    );

    let mut stream = server.connect().await;
    read_greeting(&mut stream).await;
    handshake(stream, authority.anonymous()).await.unwrap();
    assert!(server.next().await.tls.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_below_the_minimum_are_refused() {
    let authority = Authority::new();
    let mut server = secured(&TlsConfig {
        min_version: Some("1.3".into()),
        ..authority.server_first()
    });
    let old = authority.client(&[&rustls::version::TLS12], None);
    assert!(handshake(server.connect().await, old).await.is_err());
    assert!(server.failures.recv().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_serves_new_connections_with_the_new_certificate() {
    let (before, after) = (Authority::new(), Authority::new());
    let mut server = secured(&before.server_first());
    let mut old = handshake(server.connect().await, before.anonymous())
        .await
        .unwrap();
    let echoing = tokio::spawn(echo(server.next().await));
    server.security.store(Arc::new(
        Security::with_tls(&after.server_first(), false).unwrap(),
    ));
    assert!(
        handshake(server.connect().await, before.anonymous())
            .await
            .is_err()
    );
    assert!(handshake(server.connect().await, after.anonymous()).await.is_ok());
    old.write_all(b"still here").await.unwrap();
    old.read_exact(&mut [0; 10]).await.unwrap();
    old.shutdown().await.unwrap();
    assert_eq!(echoing.await.unwrap(), Decoded::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_time_out_and_hold_nobody_up() {
    let authority = Authority::new();
    let mut server = secured(&TlsConfig {
        timeout_ms: 300,
        ..authority.server()
    });
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(server.connect().await);
    }
    let mut stream = server.connect().await;
    read_greeting(&mut stream).await;
    let served = handshake(stream, authority.anonymous()).await;
    assert!(served.is_ok());
    for _ in 0..silent.len() {
        let failure = server.failures.recv().await.unwrap();
        assert!(
            matches!(
                failure,
                HandshakeError::Timeout {
                    stage: "TLS handshake"
                }
            ),
            "{failure}"
        );
    }
    for mut client in silent {
        read_greeting(&mut client).await;
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "closed by the server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tls_is_closed_without_a_word() {
    let authority = Authority::new();
    let mut server = secured(&authority.server());
    let mut client = server.connect().await;
    read_greeting(&mut client).await;
    client
        .write_all(b"CONNECT {\"verbose\":false}\r\n")
        .await
        .unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert!(
        server
            .failures
            .recv()
            .await
            .unwrap()
            .to_string()
            .contains("TLS handshake error")
    );
    let mut client = server.connect().await;
    read_greeting(&mut client).await;
    drop(client);
    assert!(matches!(
        server.failures.recv().await,
        Some(HandshakeError::Gone { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_over_the_rate_are_told_so() {
    let authority = Authority::new();
    let security = Security::with_tls(&authority.server(), false).unwrap();
    let mut server = Server::start(Security {
        max_connections_per_second: Some(0),
        ..security
    });
    let mut answer = Vec::new();
    server.connect().await.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [GREETING, THROTTLED].concat());
    assert!(matches!(
        server.failures.recv().await,
        Some(HandshakeError::Throttled)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_closes_the_port_and_running_handshakes() {
    let authority = Authority::new();
    let server = secured(&authority.server());
    let mut half_done = server.connect().await;
    read_greeting(&mut half_done).await;
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
    assert_eq!(half_done.read(&mut [0]).await.unwrap(), 0);
    assert!(tokio::net::TcpStream::connect(server.addr).await.is_err());
}

#[test]
fn unusable_files_are_named() {
    let (one, other) = (Authority::new(), Authority::new());
    let good = one.server();
    let missing = one.dir.path().join("missing.pem");
    let garbage = one.dir.path().join("garbage.pem");
    std::fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let broken = [
        (
            TlsConfig {
                cert_file: missing.clone(),
                ..good.clone()
            },
            "cannot read certificate '",
            "missing.pem",
        ),
        (
            TlsConfig {
                key_file: missing.clone(),
                ..good.clone()
            },
            "cannot read private key '",
            "missing.pem",
        ),
        (
            TlsConfig {
                cert_file: good.key_file.clone(),
                ..good.clone()
            },
            "no certificate in PEM form",
            "server.key",
        ),
        (
            TlsConfig {
                key_file: good.cert_file.clone(),
                ..good.clone()
            },
            "no private key in PEM form",
            "server.pem",
        ),
        (
            TlsConfig {
                cert_file: garbage.clone(),
                ..good.clone()
            },
            "cannot use certificate '",
            "garbage.pem",
        ),
        (
            TlsConfig {
                key_file: other.server().key_file,
                ..good.clone()
            },
            "does not belong to",
            "server.key",
        ),
        (
            TlsConfig {
                verify: true,
                ca_file: Some(garbage),
                ..good.clone()
            },
            "no certificate authority in PEM form",
            "garbage.pem",
        ),
        (
            TlsConfig {
                min_version: Some("1.1".into()),
                ..good.clone()
            },
            "TLS version '1.1'",
            "1.2, 1.3",
        ),
        (
            TlsConfig {
                pinned_certs: vec!["A".repeat(64)],
                ..good.clone()
            },
            "pinned certificate",
            "AAAA",
        ),
    ];
    for (config, why, what) in broken {
        let error = server_config(&config).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(what), "{error}");
    }
    server_config(&good).unwrap();
}
