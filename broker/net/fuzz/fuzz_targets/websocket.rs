//! Any bytes from a client: no panic, bounded steps, and the same outcome however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mainstem_net::ws::{Progress, WebSocket, WsError, WsOptions};

/// A call ends at most 528 KiB behind the pause at 64 KiB.
const MAX_STEP_BYTES: usize = 640 * 1024;
const MAX_INFLATED_BYTES: usize = 1024 * 1024;

type Outcome = (Vec<u8>, Vec<u8>, Result<bool, WsError>);

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (switches, piece_bytes, raw) = input;
    let options = WsOptions {
        deflate: switches & 1 != 0,
        allow_unmasked: switches & 2 != 0,
        browser: switches & 4 != 0,
        whole_deflated: switches & 8 != 0,
        max_inflated_bytes: MAX_INFLATED_BYTES,
    };
    let whole = decode(options, raw, raw.len());
    let cut = decode(options, raw, usize::from(piece_bytes));
    assert!(whole == cut);
    WebSocket::new(options).encode(&whole.0, &mut Vec::new());
});

fn decode(options: WsOptions, raw: &[u8], piece_bytes: usize) -> Outcome {
    let mut ws = WebSocket::new(options);
    let (mut plain, mut wire) = (Vec::new(), Vec::new());
    for piece in raw.chunks(piece_bytes.max(1)) {
        let mut rest = piece;
        loop {
            let before = plain.len();
            let progress = ws.decode(rest, &mut plain, &mut wire);
            assert!(plain.len() - before < MAX_STEP_BYTES.max(rest.len()));
            match progress {
                Ok(Progress::Done) => break,
                Ok(Progress::Paused { used }) => rest = &rest[used..],
                Ok(Progress::Closed) => return (plain, wire, Ok(true)),
                Err(error) => return (plain, wire, Err(error)),
            }
        }
    }
    (plain, wire, Ok(false))
}
