//! The layers without a socket: a TLS client in memory, bytes cut at random places.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read as _, Write as _};
use std::sync::OnceLock;

use common::{Authority, decode_all};
use mainstem_net::tls::server_config;
use mainstem_net::ws::{WsOptions, status};
use mainstem_net::{Decoded, LayerError, Layers};
use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// A client and the layers of its connection, past the TLS handshake.
fn connected() -> (ClientConnection, Layers) {
    static CONFIG: OnceLock<std::sync::Arc<rustls::ServerConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| server_config(&authority().server()).unwrap());
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(authority().anonymous(), name).unwrap();
    client.set_buffer_limit(None);
    let mut layers = Layers::with_tls(ServerConnection::new(config.clone()).unwrap());
    while client.is_handshaking() || layers.is_handshaking() {
        let mut wire = Vec::new();
        layers
            .decode(&sent(&mut client), &mut Vec::new(), &mut wire)
            .unwrap();
        receive(&mut client, &wire);
    }
    (client, layers)
}

fn sent(client: &mut ClientConnection) -> Vec<u8> {
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).unwrap();
    }
    wire
}

/// What the client reads of these records.
fn receive(client: &mut ClientConnection, mut wire: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !wire.is_empty() {
        client.read_tls(&mut wire).unwrap();
        client.process_new_packets().unwrap();
        // WouldBlock once all has been read.
        let _ = client.reader().read_to_end(&mut plain);
    }
    plain
}

/// A client's binary frame, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn pieces<'a>(raw: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(raw.len() + 1))
        .chain([raw.len()])
        .collect();
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter()
        .map(|end| &raw[std::mem::replace(&mut start, end)..end])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn tls_and_websocket_carry_any_bytes_cut_anywhere(
        message in (any::<u8>(), 0usize..200_000).prop_map(|(byte, len)| vec![byte; len]),
        answer in proptest::collection::vec(any::<u8>(), 0..100_000),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        websocket: bool,
    ) {
        let (mut client, mut layers) = connected();
        if websocket {
            layers.start_websocket(WsOptions::default());
            client.writer().write_all(&frame(0x82, &message)).unwrap();
        } else {
            client.writer().write_all(&message).unwrap();
        }
        let raw = sent(&mut client);
        let mut plain = Vec::new();
        let mut wire = Vec::new();
        for piece in pieces(&raw, &cuts) {
            let (decoded, part) = decode_all(&mut layers, piece, &mut wire);
            prop_assert_eq!(decoded, Decoded::Open);
            plain.extend(part);
        }
        prop_assert!(plain == message);

        layers.encode(&answer, &mut wire).unwrap();
        let received = receive(&mut client, &wire);
        prop_assert!(received.ends_with(&answer));
        let header_bytes = received.len() - answer.len();
        prop_assert_eq!(header_bytes > 0, websocket && !answer.is_empty());
    }
}

#[test]
fn a_long_message_comes_in_bounded_parts() {
    let (mut client, mut layers) = connected();
    layers.start_websocket(WsOptions {
        deflate: true,
        ..WsOptions::default()
    });
    let mut packed = Vec::with_capacity(100_000);
    let mut state = flate2::Compress::new(flate2::Compression::best(), false);
    let plain = vec![b'a'; 8 << 20];
    state
        .compress_vec(&plain, &mut packed, flate2::FlushCompress::Sync)
        .unwrap();
    packed.truncate(packed.len() - 4);
    client.writer().write_all(&frame(0xc2, &packed)).unwrap();
    let raw = sent(&mut client);
    let (mut calls, mut total, mut raw) = (0, 0, &raw[..]);
    loop {
        let mut part = Vec::new();
        let decoded = layers
            .decode(std::mem::take(&mut raw), &mut part, &mut Vec::new())
            .unwrap();
        assert!(part.len() < 640 * 1024);
        (calls, total) = (calls + 1, total + part.len());
        if decoded == Decoded::Open {
            break;
        }
    }
    assert_eq!(total, plain.len());
    assert!(calls > 10);
}

#[test]
fn good_byes_go_through_all_layers() {
    let (mut client, mut layers) = connected();
    layers.start_websocket(WsOptions::default());
    let mut wire = Vec::new();
    layers.close(status::GOING_AWAY, "bye", &mut wire);
    layers.close(status::NORMAL, "again", &mut wire);
    assert_eq!(receive(&mut client, &wire), b"\x88\x05\x03\xe9bye");
    assert!(client.process_new_packets().unwrap().peer_has_closed());

    client.send_close_notify();
    let raw = sent(&mut client);
    let decoded = layers.decode(&raw, &mut Vec::new(), &mut Vec::new()).unwrap();
    assert_eq!(decoded, Decoded::Closed);
}

#[test]
fn a_broken_frame_is_answered_inside_tls() {
    let (mut client, mut layers) = connected();
    layers.start_websocket(WsOptions::default());
    client.writer().write_all(&[0x82, 1, b'x']).unwrap();
    let raw = sent(&mut client);
    let mut wire = Vec::new();
    let error = layers.decode(&raw, &mut Vec::new(), &mut wire).unwrap_err();
    assert!(matches!(error, LayerError::WebSocket(_)), "{error}");
    assert_eq!(receive(&mut client, &wire), b"\x88\x12\x03\xeamask bit missing");
}

#[test]
fn a_broken_record_is_answered_with_an_alert() {
    let (mut client, mut layers) = connected();
    client.writer().write_all(b"hello").unwrap();
    let mut raw = sent(&mut client);
    *raw.last_mut().unwrap() ^= 1;
    let mut wire = Vec::new();
    let error = layers.decode(&raw, &mut Vec::new(), &mut wire).unwrap_err();
    assert!(matches!(error, LayerError::Tls(_)), "{error}");
    assert!(!wire.is_empty());
}

#[test]
fn bare_layers_change_nothing() {
    let mut layers = Layers::default();
    let (mut plain, mut wire) = (Vec::new(), Vec::new());
    assert_eq!(
        layers.decode(b"in", &mut plain, &mut wire).unwrap(),
        Decoded::Open
    );
    layers.encode(b"out", &mut wire).unwrap();
    layers.close(status::NORMAL, "", &mut wire);
    assert!(layers.is_bare());
    assert_eq!((&plain[..], &wire[..]), (&b"in"[..], &b"out"[..]));
}
