//! Any bytes are commands, the beginning of one, or an error; and they are the same however they are cut.
//!
//! The first byte of the input chooses the limits, the rest is what a client sent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire_nats::{Command, Limits, Parsed, ProtocolError, Publish, parse};

/// Prefixes of one command that are tried at most.
const MAX_CUTS: usize = 64;

type Outcome<'a> = Result<Parsed<'a>, ProtocolError>;

fuzz_target!(|data: &[u8]| {
    let Some((&switches, mut rest)) = data.split_first() else {
        return;
    };
    let limits = Limits {
        max_control_line: if switches & 1 == 0 { 4096 } else { 16 },
        max_payload: if switches & 2 == 0 { 1 << 20 } else { 8 },
        headers: switches & 4 == 0,
    };
    loop {
        let whole = parse(rest, &limits);
        agrees_with_prefixes(rest, &whole, &limits);
        let Ok(Parsed::Command(command, used)) = whole else {
            break;
        };
        assert!(0 < used && used <= rest.len());
        assert_eq!(parse(&rest[..used], &limits), Ok(Parsed::Command(command, used)));
        if let Command::Publish(message) = command {
            parses_again(&message, &limits);
        }
        rest = &rest[used..];
    }
});

/// A prefix is incomplete, the same command, or an error where the whole is one.
fn agrees_with_prefixes(data: &[u8], whole: &Outcome<'_>, limits: &Limits) {
    let end = match whole {
        Ok(Parsed::Command(_, used)) => *used,
        _ => data.len(),
    };
    for cut in (0..end).step_by(end / MAX_CUTS + 1) {
        match parse(&data[..cut], limits) {
            Ok(Parsed::Incomplete { total }) => {
                assert!(total > cut, "no need for a byte more");
                if matches!(whole, Ok(Parsed::Command(..))) {
                    assert!(total <= end, "wants more than the command has");
                }
            }
            Ok(Parsed::Command(..)) => panic!("the whole needs more than its prefix"),
            Err(_) => assert!(whole.is_err(), "an error was healed by what followed"),
        }
    }
}

/// A message written in canonical form is the same message.
fn parses_again(message: &Publish<'_>, limits: &Limits) {
    let mut wire = if message.has_header {
        b"HPUB ".to_vec()
    } else {
        b"PUB ".to_vec()
    };
    wire.extend_from_slice(message.subject);
    wire.push(b' ');
    if !message.reply.is_empty() {
        wire.extend_from_slice(message.reply);
        wire.push(b' ');
    }
    if message.has_header {
        wire.extend_from_slice(format!("{} ", message.header_len).as_bytes());
    }
    wire.extend_from_slice(format!("{}\r\n", message.body.len()).as_bytes());
    wire.extend_from_slice(message.body);
    wire.extend_from_slice(b"\r\n");
    let len = wire.len();
    assert_eq!(
        parse(&wire, limits),
        Ok(Parsed::Command(Command::Publish(*message), len))
    );
}
