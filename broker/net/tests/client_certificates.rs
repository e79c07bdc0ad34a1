//! Who is let in where certificates are asked for, and what they are called.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Authority, Names, Server, handshake};
use mainstem_net::Security;
use mainstem_net::accept::HandshakeError;
use mainstem_net::config::TlsConfig;
use mainstem_net::tls::PeerCertificate;

fn secured(config: &TlsConfig) -> Server {
    Server::start(Security::with_tls(config, false).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_wants_a_certificate_of_the_authority() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let ca_file = Some(authority.ca_file.clone());
    let mut server = secured(&TlsConfig {
        verify: true,
        ca_file,
        ..authority.server_first()
    });
    let names = Names {
        common: "bob",
        dns: &["app.example"],
        email: Some("bob@example.com"),
    };

    let (certificate, _, key) = stranger.issue(&names);
    for identity in [None, Some((certificate, key))] {
        let config = authority.client(rustls::ALL_VERSIONS, identity);
        // In TLS 1.3 a client learns only afterwards that it is not welcome.
        let _ = handshake(server.connect().await, config).await;
        let failure = server.failures.recv().await.unwrap();
        assert!(
            failure.to_string().starts_with("TLS handshake error: "),
            "{failure}"
        );
    }

    let (certificate, _, key) = authority.issue(&names);
    let config = authority.client(rustls::ALL_VERSIONS, Some((certificate, key)));
    let _client = handshake(server.connect().await, config).await.unwrap();
    let peer = server.next().await.tls.unwrap().peer.unwrap();
    assert_eq!(
        peer.names(),
        ["bob@example.com", "app.example", "CN=bob,O=acme", "CN=bob,O=acme"]
    );
    assert_eq!(
        peer.user(["alice", "CN=bob, O=acme"].into_iter()),
        Some("CN=bob, O=acme")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_verify_no_certificate_is_asked_for() {
    let authority = Authority::new();
    let mut server = secured(&TlsConfig {
        ca_file: Some(authority.ca_file.clone()),
        ..authority.server_first()
    });
    let (certificate, _, key) = authority.issue(&Names {
        common: "bob",
        dns: &[],
        email: None,
    });
    let config = authority.client(rustls::ALL_VERSIONS, Some((certificate, key)));
    let _client = handshake(server.connect().await, config).await.unwrap();
    assert_eq!(server.next().await.tls.unwrap().peer, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pinned_keys_pass_where_there_are_pins() {
    let authority = Authority::new();
    let verified = TlsConfig {
        verify: true,
        ca_file: Some(authority.ca_file.clone()),
        ..authority.server_first()
    };
    let (certificate, _, key) = authority.issue(&Names {
        common: "bob",
        dns: &[],
        email: None,
    });
    let config = authority.client(rustls::ALL_VERSIONS, Some((certificate, key)));

    let mut server = secured(&TlsConfig {
        pinned_certs: vec!["0".repeat(64)],
        ..verified.clone()
    });
    let _client = handshake(server.connect().await, config.clone()).await;
    assert!(matches!(
        server.failures.recv().await,
        Some(HandshakeError::NotPinned)
    ));

    server
        .security
        .store(Arc::new(Security::with_tls(&verified, false).unwrap()));
    let _client = handshake(server.connect().await, config.clone()).await.unwrap();
    let PeerCertificate { spki_sha256, .. } = server.next().await.tls.unwrap().peer.unwrap();

    let pinned = TlsConfig {
        pinned_certs: vec![spki_sha256],
        ..verified
    };
    server
        .security
        .store(Arc::new(Security::with_tls(&pinned, false).unwrap()));
    let _client = handshake(server.connect().await, config).await.unwrap();
    server.next().await;
}
