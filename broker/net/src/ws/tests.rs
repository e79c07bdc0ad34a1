mod properties;

use super::frame::{FIN, MASKED, RSV1, RSV2, opcode};
use super::*;

const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    frame::write_header(first, payload.len(), &mut wire);
    wire[1] |= MASKED;
    wire.extend_from_slice(&MASK);
    wire.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    wire
}

/// A client's deflated message in frames of at most `step` bytes.
fn deflated(payload: &[u8], step: usize) -> Vec<u8> {
    let mut packed = Vec::new();
    deflate::deflate(payload, &mut packed).unwrap();
    fragments(RSV1 | opcode::BINARY, &packed, step)
}

fn fragments(kind: u8, payload: &[u8], step: usize) -> Vec<u8> {
    let parts: Vec<_> = payload.chunks(step).collect();
    let count = parts.len().max(1);
    let first = |at: usize| if at == 0 { kind } else { opcode::CONTINUATION };
    let fin = |at: usize| if at + 1 == count { FIN } else { 0 };
    (0..count)
        .flat_map(|at| frame(fin(at) | first(at), parts.get(at).unwrap_or(&&[][..])))
        .collect()
}

fn deflating() -> WsOptions {
    WsOptions {
        deflate: true,
        ..WsOptions::default()
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    plain: Vec<u8>,
    wire: Vec<u8>,
    closed: bool,
    error: Option<WsError>,
}

/// Decodes `raw` in the given pieces.
fn decode(options: WsOptions, pieces: &[&[u8]]) -> Outcome {
    let mut ws = WebSocket::new(options);
    let mut outcome = Outcome::default();
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match ws.decode(rest, &mut outcome.plain, &mut outcome.wire) {
                Ok(Progress::Done) => break,
                Ok(Progress::Paused { used }) => rest = &rest[used..],
                Ok(Progress::Closed) => {
                    return Outcome {
                        closed: true,
                        ..outcome
                    };
                }
                Err(error) => {
                    return Outcome {
                        error: Some(error),
                        ..outcome
                    };
                }
            }
        }
    }
    outcome
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut wire = vec![FIN | opcode::CLOSE, 2 + reason.len() as u8];
    wire.extend_from_slice(&code.to_be_bytes());
    wire.extend_from_slice(reason.as_bytes());
    wire
}

#[test]
fn text_binary_and_fragments_are_payload() {
    let raw = [
        frame(FIN | opcode::TEXT, b"one "),
        frame(opcode::BINARY, b"two "),
        frame(FIN | opcode::PING, b"hey"),
        frame(FIN | opcode::PONG, b""),
        frame(opcode::CONTINUATION, b""),
        frame(FIN | opcode::CONTINUATION, b"three"),
        frame(FIN | opcode::BINARY, b""),
    ]
    .concat();
    let outcome = decode(WsOptions::default(), &[&raw]);
    assert_eq!(outcome.plain, b"one two three");
    assert_eq!(outcome.wire, b"\x8a\x03hey");
    assert_eq!(outcome.error, None);
}

#[test]
fn what_breaks_the_rules_ends_the_connection_with_nats_servers_words() {
    let begun = frame(opcode::BINARY, b"x");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            frame(FIN | RSV2 | opcode::BINARY, b""),
            "RSV2 and RSV3 must be clear",
        ),
        (
            frame(FIN | RSV1 | opcode::BINARY, b""),
            "compressed frame received without negotiated permessage-deflate",
        ),
        (vec![FIN | opcode::BINARY, 1, b'x'], "mask bit missing"),
        (
            frame(FIN | opcode::PING, &[0; 126]),
            "control frame length bigger than maximum allowed of 125 bytes",
        ),
        (
            frame(opcode::PING, b""),
            "control frame does not have final bit set",
        ),
        (
            [begun.clone(), begun.clone()].concat(),
            "new message started before final frame for previous message was received",
        ),
        (
            frame(FIN | opcode::CONTINUATION, b""),
            "invalid continuation frame",
        ),
        (frame(FIN | 3, b""), "unknown opcode 3"),
        (frame(FIN | 0xf, b""), "unknown opcode 15"),
        (
            vec![
                FIN | opcode::BINARY,
                MASKED | 127,
                0x80,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ],
            "invalid 64-bit payload length",
        ),
        (
            frame(FIN | opcode::CLOSE, b"x"),
            "close frame payload cannot be 1 byte",
        ),
        (
            frame(FIN | opcode::CLOSE, &1005u16.to_be_bytes()),
            "invalid close status code 1005",
        ),
        (
            frame(FIN | opcode::CLOSE, &5000u16.to_be_bytes()),
            "invalid close status code 5000",
        ),
    ];
    for (raw, reason) in cases {
        let bytes: Vec<&[u8]> = raw.chunks(1).collect();
        for outcome in [
            decode(WsOptions::default(), &[&raw]),
            decode(WsOptions::default(), &bytes),
        ] {
            assert_eq!(outcome.error.unwrap(), WsError::protocol(reason));
            assert_eq!(outcome.wire, close_frame(status::PROTOCOL_ERROR, reason));
        }
    }
}

#[test]
fn deflated_frames_keep_their_rules() {
    let control = decode(deflating(), &[&frame(FIN | RSV1 | opcode::PING, b"")]);
    assert_eq!(
        control.error.unwrap().reason,
        "control frame must not be compressed"
    );
    let continued = [
        frame(opcode::BINARY, b""),
        frame(FIN | RSV1 | opcode::CONTINUATION, b""),
    ]
    .concat();
    assert_eq!(
        decode(deflating(), &[&continued]).error.unwrap().reason,
        "invalid continuation frame"
    );
}

#[test]
fn a_close_frame_is_answered_with_its_own_words() {
    let said = [&1000u16.to_be_bytes()[..], b"bye"].concat();
    let raw = [
        frame(FIN | opcode::CLOSE, &said),
        frame(FIN | opcode::BINARY, b"late"),
    ]
    .concat();
    let outcome = decode(WsOptions::default(), &[&raw]);
    assert!(outcome.closed && outcome.plain.is_empty());
    assert_eq!(outcome.wire, close_frame(1000, "bye"));
    let silent = decode(WsOptions::default(), &[&frame(FIN | opcode::CLOSE, b"")]);
    assert_eq!((silent.closed, silent.wire), (true, vec![FIN | opcode::CLOSE, 0]));
    let garbled = decode(
        WsOptions::default(),
        &[&frame(FIN | opcode::CLOSE, &[3, 232, 0xff])],
    );
    assert_eq!(
        garbled.wire,
        close_frame(status::INVALID_PAYLOAD, "invalid utf8 body in close frame")
    );
}

#[test]
fn only_one_close_frame_is_sent_and_nothing_after_it() {
    let mut ws = WebSocket::new(WsOptions::default());
    let mut wire = Vec::new();
    ws.close(
        status::POLICY_VIOLATION,
        &format!("a{}", "é".repeat(100)),
        &mut wire,
    );
    assert_eq!(wire[1], 124, "a character is not cut in two");
    assert!(wire.ends_with("é...".as_bytes()));
    let len = wire.len();
    ws.close(status::NORMAL, "again", &mut wire);
    ws.encode(b"data", &mut wire);
    ws.decode(&frame(FIN | opcode::PING, b"x"), &mut Vec::new(), &mut wire)
        .unwrap();
    assert_eq!(wire.len(), len);
}

#[test]
fn unmasked_frames_pass_where_they_were_agreed_on() {
    let options = WsOptions {
        allow_unmasked: true,
        ..WsOptions::default()
    };
    let raw = [
        &[FIN | opcode::BINARY, 2, b'a', b'b'][..],
        &frame(FIN | opcode::BINARY, b"cd"),
    ]
    .concat();
    assert_eq!(decode(options, &[&raw]).plain, b"abcd");
}

#[test]
fn small_payloads_are_not_deflated() {
    let mut ws = WebSocket::new(deflating());
    let mut wire = Vec::new();
    ws.encode(&[b'a'; MIN_DEFLATED_BYTES], &mut wire);
    assert_eq!(wire[0], FIN | opcode::BINARY);
    wire.clear();
    ws.encode(&[b'a'; MIN_DEFLATED_BYTES + 1], &mut wire);
    assert_eq!(wire[0], FIN | RSV1 | opcode::BINARY);
    assert!(wire.len() < MIN_DEFLATED_BYTES);
}

#[test]
fn browsers_get_small_frames() {
    let mut seed = 1u64;
    let mut noise = vec![0; 9000];
    for byte in &mut noise {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (seed >> 56) as u8;
    }
    let firsts = |options: WsOptions| {
        let mut wire = Vec::new();
        WebSocket::new(options).encode(&noise, &mut wire);
        server_frames(&wire)
            .into_iter()
            .map(|(first, payload)| (first, payload.len()))
            .collect::<Vec<_>>()
    };
    let browser = WsOptions {
        browser: true,
        ..WsOptions::default()
    };
    let whole = FIN | opcode::BINARY;
    assert_eq!(firsts(WsOptions::default()), [(whole, 9000)]);
    assert_eq!(firsts(browser), [(whole, 4096), (whole, 4096), (whole, 808)]);
    let fragments = firsts(WsOptions {
        deflate: true,
        ..browser
    });
    let kinds: Vec<u8> = fragments.iter().map(|(first, _)| *first).collect();
    assert_eq!(
        kinds,
        [
            RSV1 | opcode::BINARY,
            opcode::CONTINUATION,
            FIN | opcode::CONTINUATION
        ]
    );
    let safari = firsts(WsOptions {
        deflate: true,
        whole_deflated: true,
        ..browser
    });
    assert_eq!(safari.len(), 1);
}

#[test]
fn corrupt_and_cut_off_deflate_is_refused() {
    let corrupt = decode(
        deflating(),
        &[&frame(FIN | RSV1 | opcode::BINARY, &[0x07, 0xff, 0xff])],
    );
    assert_eq!(corrupt.error.unwrap().code, status::INVALID_PAYLOAD);
    let mut packed = Vec::new();
    deflate::deflate(b"hello hello hello hello hello", &mut packed).unwrap();
    let half = decode(
        deflating(),
        &[&frame(FIN | RSV1 | opcode::BINARY, &packed[..packed.len() / 2])],
    );
    assert_eq!(half.error.unwrap().code, status::INVALID_PAYLOAD);
}

#[test]
fn bytes_behind_the_final_deflate_block_are_ignored() {
    let mut state = flate2::Compress::new(flate2::Compression::fast(), false);
    let mut packed = Vec::with_capacity(100);
    state
        .compress_vec(b"done", &mut packed, flate2::FlushCompress::Finish)
        .unwrap();
    packed.extend_from_slice(b"\0garbage");
    let raw = [
        frame(FIN | RSV1 | opcode::BINARY, &packed),
        deflated(b" next", 100),
    ]
    .concat();
    assert_eq!(decode(deflating(), &[&raw]).plain, b"done next");
}

#[test]
fn a_bomb_is_inflated_in_bounded_steps_and_stopped_at_the_message_bound() {
    let raw = deflated(&vec![0; 64 << 20], 70_000);
    assert!(raw.len() < 1 << 20, "{}", raw.len());
    let mut ws = WebSocket::new(WsOptions {
        max_inflated_bytes: 32 << 20,
        ..deflating()
    });
    let (mut rest, mut total) = (&raw[..], 0);
    let error = loop {
        let mut plain = Vec::new();
        let progress = ws.decode(rest, &mut plain, &mut Vec::new());
        assert!(plain.len() < 640 * 1024, "{}", plain.len());
        total += plain.len();
        match progress {
            Ok(Progress::Paused { used }) => rest = &rest[used..],
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code, total), (status::TOO_BIG, 32 << 20));
}

/// Splits what a server wrote into frames.
fn server_frames(mut wire: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let header = frame::header_bytes(wire[1]);
        let extent = frame::extent(&wire[..header]);
        assert_eq!(extent.mask, None);
        let end = header + extent.payload_bytes as usize;
        frames.push((wire[0], &wire[header..end]));
        wire = &wire[end..];
    }
    frames
}

/// Turns a server's frames into a client's.
fn as_client(wire: &[u8]) -> Vec<u8> {
    server_frames(wire)
        .into_iter()
        .flat_map(|(first, payload)| frame(first, payload))
        .collect()
}
