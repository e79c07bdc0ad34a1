//! Bytes in, commands out.

use crate::ProtocolError;

/// Bounds that the parser enforces, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest argument part of a protocol line.
    pub max_control_line: usize,
    /// Largest message, headers included.
    pub max_payload: usize,
    /// `HPUB` is accepted.
    pub headers: bool,
}

/// A message as published. The slices point into the parsed buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    pub subject: &'a [u8],
    /// Empty: no reply subject.
    pub reply: &'a [u8],
    /// Bytes of `body` that are headers.
    pub header_len: usize,
    /// Came as `HPUB` (its header block may be empty).
    pub has_header: bool,
    /// Headers and payload.
    pub body: &'a [u8],
}

/// Bytes that mean nothing (blanks before the arguments, anything behind `PING`) and do not count towards the control
/// line: a command may have so many.
pub const MAX_SKIPPED: usize = 32 << 10;

/// One command of a client. The slices point into the parsed buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The JSON text of CONNECT.
    Connect(&'a [u8]),
    Publish(Publish<'a>),
    /// `queue` is `None` for a plain subscription.
    Subscribe {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
    },
    /// `max`: messages to deliver before the subscription ends; `None` or less than one: at once.
    Unsubscribe {
        sid: &'a [u8],
        max: Option<i64>,
    },
    Ping,
    Pong,
    /// `+OK`, and an `HMSG` with nothing behind it: accepted from clients, and without effect.
    Ignored,
    /// The JSON text of an INFO that a client sent.
    Info(&'a [u8]),
    /// The text of an `-ERR` that a client sent.
    Error(&'a [u8]),
}

/// What the start of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole command, and how many bytes it took.
    Command(Command<'a>, usize),
    /// A valid beginning. At least `total` bytes are needed in all before parsing again makes sense.
    Incomplete { total: usize },
}

/// Parses the first command of `buf`. Nothing is kept between calls: an incomplete command is parsed again from
/// its first byte, so a caller keeps those bytes (they are bounded by the limits).
///
/// # Errors
/// As soon as no continuation of `buf` could be accepted.
#[inline]
pub fn parse<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, ProtocolError> {
    if let Some(parsed) = fast_pub(buf, limits) {
        return Ok(parsed);
    }
    parse_any(buf, limits)
}

/// `PUB` as well-behaved clients write it: upper case, single blanks, CR LF. `None`: take the slow way.
#[inline]
fn fast_pub<'a>(buf: &'a [u8], limits: &Limits) -> Option<Parsed<'a>> {
    let rest = buf.strip_prefix(b"PUB ")?;
    let line_len = memchr::memchr(b'\n', rest)?;
    if line_len < 4 || line_len > limits.max_control_line || rest[line_len - 1] != b'\r' {
        return None;
    }
    let line = &rest[..line_len - 1];
    let (size, digits) = trailing_number(line)?;
    let names = line[..line.len() - digits].strip_suffix(b" ")?;
    if size > limits.max_payload {
        return None;
    }
    let (subject, reply) = split_names(names)?;
    let start = line_len + 1;
    let end = start + size;
    match rest.get(end..end + 2) {
        Some(b"\r\n") => {}
        _ => return None,
    }
    let publish = Publish {
        subject,
        reply,
        header_len: 0,
        has_header: false,
        body: &rest[start..end],
    };
    Some(Parsed::Command(Command::Publish(publish), 4 + end + 2))
}

/// The decimal number at the end of `line` (at most nine digits), and its length.
#[inline]
fn trailing_number(line: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    let mut scale = 1;
    let mut digits = 0;
    for &byte in line.iter().rev() {
        if !byte.is_ascii_digit() {
            break;
        }
        if digits == 9 {
            return None;
        }
        value += usize::from(byte - b'0') * scale;
        scale *= 10;
        digits += 1;
    }
    (digits > 0).then_some((value, digits))
}

/// `subject` or `subject reply`; `None` when there is anything unusual about the blanks.
#[inline]
fn split_names(names: &[u8]) -> Option<(&[u8], &[u8])> {
    match memchr::memchr3(b' ', b'\t', b'\r', names) {
        None if names.is_empty() => None,
        None => Some((names, b"")),
        Some(at) => {
            let (subject, reply) = (&names[..at], &names[at + 1..]);
            let plain = names[at] == b' '
                && !subject.is_empty()
                && !reply.is_empty()
                && memchr::memchr3(b' ', b'\t', b'\r', reply).is_none();
            plain.then_some((subject, reply))
        }
    }
}

/// What a verb announces.
#[derive(Clone, Copy)]
enum Verb {
    /// Nothing: the line is the command.
    Bare(Command<'static>),
    /// Arguments, with a blank before them.
    Spaced(Spaced),
    /// A JSON text, with or without a blank before it.
    Json(Json),
}

#[derive(Clone, Copy)]
enum Spaced {
    Pub,
    Hpub,
    Hmsg,
    Sub,
    Unsub,
    Err,
}

#[derive(Clone, Copy)]
enum Json {
    Connect,
    Info,
}

const VERBS: [(&[u8], Verb); 11] = [
    (b"PUB", Verb::Spaced(Spaced::Pub)),
    (b"HPUB", Verb::Spaced(Spaced::Hpub)),
    (b"SUB", Verb::Spaced(Spaced::Sub)),
    (b"UNSUB", Verb::Spaced(Spaced::Unsub)),
    (b"PING", Verb::Bare(Command::Ping)),
    (b"PONG", Verb::Bare(Command::Pong)),
    (b"CONNECT", Verb::Json(Json::Connect)),
    (b"INFO", Verb::Json(Json::Info)),
    (b"HMSG", Verb::Spaced(Spaced::Hmsg)),
    (b"+OK", Verb::Bare(Command::Ignored)),
    (b"-ERR", Verb::Spaced(Spaced::Err)),
];

#[cold]
#[inline(never)]
fn parse_any<'a>(buf: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, ProtocolError> {
    let Some((verb, len)) = find_verb(buf)? else {
        return Ok(Parsed::Incomplete { total: buf.len() + 1 });
    };
    let needs_blank = match verb {
        Verb::Bare(command) => return to_line_end(buf, len, command),
        Verb::Spaced(_) => true,
        Verb::Json(_) => false,
    };
    let Some((args, after)) = arguments(buf, len, needs_blank, limits)? else {
        return Ok(Parsed::Incomplete { total: buf.len() + 1 });
    };
    match verb {
        Verb::Json(Json::Info) => Ok(Parsed::Command(Command::Info(args), after)),
        Verb::Spaced(spaced) => with_arguments(spaced, args, buf, after, limits),
        _ => Ok(Parsed::Command(Command::Connect(args), after)),
    }
}

/// The verb that `buf` starts with; `None` while it may still become one.
fn find_verb(buf: &[u8]) -> Result<Option<(Verb, usize)>, ProtocolError> {
    let mut may_become = buf.is_empty();
    for (name, verb) in VERBS {
        let common = buf.len().min(name.len());
        if buf[..common].eq_ignore_ascii_case(&name[..common]) {
            if common == name.len() {
                return Ok(Some((verb, common)));
            }
            may_become = true;
        }
    }
    if may_become {
        Ok(None)
    } else {
        Err(ProtocolError::UnknownOperation)
    }
}

/// Commands without arguments end at the next LF, whatever stands before it.
fn to_line_end<'a>(buf: &'a [u8], from: usize, command: Command<'a>) -> Result<Parsed<'a>, ProtocolError> {
    let end = memchr::memchr(b'\n', &buf[from..]);
    if end.unwrap_or(buf.len() - from) > MAX_SKIPPED {
        return Err(ProtocolError::ControlLine);
    }
    Ok(match end {
        Some(at) => Parsed::Command(command, from + at + 1),
        None => Parsed::Incomplete { total: buf.len() + 1 },
    })
}

/// The argument part of a line and where the next line starts.
///
/// The first byte after the blanks belongs to the arguments whatever it is, even a line end; a CR anywhere takes
/// the last byte away. Both are nats-server's habits.
fn arguments<'a>(
    buf: &'a [u8],
    verb_len: usize,
    needs_blank: bool,
    limits: &Limits,
) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
    let rest = &buf[verb_len..];
    let blanks = rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
    if blanks > MAX_SKIPPED {
        return Err(ProtocolError::ControlLine);
    }
    if rest.len() == blanks {
        return Ok(None);
    }
    if needs_blank && blanks == 0 {
        return Err(ProtocolError::UnknownOperation);
    }
    let args = &rest[blanks..];
    let Some(line_feed) = memchr::memchr(b'\n', &args[1..]).map(|at| at + 1) else {
        let returns = usize::from(args[1..].contains(&b'\r'));
        return if args.len() - returns > limits.max_control_line {
            Err(ProtocolError::ControlLine)
        } else {
            Ok(None)
        };
    };
    let line = &args[..line_feed];
    let dropped = usize::from(line[1..].contains(&b'\r'));
    let line = &line[..line.len() - dropped];
    if line.len() > limits.max_control_line {
        return Err(ProtocolError::ControlLine);
    }
    Ok(Some((line, verb_len + blanks + line_feed + 1)))
}

fn with_arguments<'a>(
    verb: Spaced,
    args: &'a [u8],
    buf: &'a [u8],
    after: usize,
    limits: &Limits,
) -> Result<Parsed<'a>, ProtocolError> {
    let command = match verb {
        Spaced::Pub => return publish(pub_arguments(args, limits)?, buf, after),
        Spaced::Hpub => return publish(hpub_arguments(args, limits)?, buf, after),
        Spaced::Hmsg => {
            return Ok(match message_body(buf, after, 0)? {
                Some((_, end)) => Parsed::Command(Command::Ignored, end),
                None => Parsed::Incomplete { total: after + 2 },
            });
        }
        Spaced::Sub => subscribe(args)?,
        Spaced::Unsub => unsubscribe(args)?,
        Spaced::Err => Command::Error(args),
    };
    Ok(Parsed::Command(command, after))
}

/// Splits at the bytes for which `is_blank` holds; `None` when there are more than `N` parts.
fn split<const N: usize>(args: &[u8], is_blank: fn(u8) -> bool) -> Option<([&[u8]; N], usize)> {
    let mut parts: [&[u8]; N] = [b""; N];
    let mut count = 0;
    for part in args.split(|&b| is_blank(b)).filter(|part| !part.is_empty()) {
        *parts.get_mut(count)? = part;
        count += 1;
    }
    Some((parts, count))
}

fn publish_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn subscribe_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn subscribe(args: &[u8]) -> Result<Command<'_>, ProtocolError> {
    match split::<3>(args, subscribe_blank) {
        Some(([subject, sid, _], 2)) => Ok(Command::Subscribe {
            subject,
            queue: None,
            sid,
        }),
        Some(([subject, queue, sid], 3)) => Ok(Command::Subscribe {
            subject,
            queue: Some(queue),
            sid,
        }),
        _ => Err(bad_arguments("processSub", args)),
    }
}

fn unsubscribe(args: &[u8]) -> Result<Command<'_>, ProtocolError> {
    match split::<2>(args, subscribe_blank) {
        Some(([sid, _], 1)) => Ok(Command::Unsubscribe { sid, max: None }),
        Some(([sid, max], 2)) => Ok(Command::Unsubscribe {
            sid,
            max: parse_size(max).and_then(|max| i64::try_from(max).ok()),
        }),
        _ => Err(bad_arguments("processUnsub", args)),
    }
}

/// Names and sizes of a publish, before its body is looked at.
struct PublishArguments<'a> {
    subject: &'a [u8],
    reply: &'a [u8],
    header_len: Option<usize>,
    size: usize,
}

fn pub_arguments<'a>(args: &'a [u8], limits: &Limits) -> Result<PublishArguments<'a>, ProtocolError> {
    let (subject, reply, size) = match split::<3>(args, publish_blank) {
        Some(([subject, size, _], 2)) => (subject, &b""[..], size),
        Some(([subject, reply, size], 3)) => (subject, reply, size),
        _ => return Err(bad_arguments("processPub", args)),
    };
    let size = parse_size(size).ok_or_else(|| bad_size("processPub", "Size", args))?;
    within_payload(size, limits)?;
    Ok(PublishArguments {
        subject,
        reply,
        header_len: None,
        size,
    })
}

fn hpub_arguments<'a>(args: &'a [u8], limits: &Limits) -> Result<PublishArguments<'a>, ProtocolError> {
    const VERB: &str = "processHeaderPub";
    if !limits.headers {
        return Err(ProtocolError::HeadersNotSupported);
    }
    let (subject, reply, header_len, size) = match split::<4>(args, publish_blank) {
        Some(([subject, header, size, _], 3)) => (subject, &b""[..], header, size),
        Some(([subject, reply, header, size], 4)) => (subject, reply, header, size),
        _ => return Err(bad_arguments(VERB, args)),
    };
    let header_len = parse_size(header_len).ok_or_else(|| bad_size(VERB, "Header Size", args))?;
    let size = parse_size(size).ok_or_else(|| bad_size(VERB, "Total Size", args))?;
    if header_len > size {
        return Err(ProtocolError::HeaderBeyondMessage {
            argument: lossy(args),
        });
    }
    within_payload(size, limits)?;
    Ok(PublishArguments {
        subject,
        reply,
        header_len: Some(header_len),
        size,
    })
}

fn within_payload(size: usize, limits: &Limits) -> Result<(), ProtocolError> {
    if size > limits.max_payload {
        Err(ProtocolError::Payload { size })
    } else {
        Ok(())
    }
}

fn publish<'a>(args: PublishArguments<'a>, buf: &'a [u8], start: usize) -> Result<Parsed<'a>, ProtocolError> {
    let Some((body, end)) = message_body(buf, start, args.size)? else {
        return Ok(Parsed::Incomplete {
            total: start + args.size + 2,
        });
    };
    let publish = Publish {
        subject: args.subject,
        reply: args.reply,
        header_len: args.header_len.unwrap_or(0),
        has_header: args.header_len.is_some(),
        body,
    };
    Ok(Parsed::Command(Command::Publish(publish), end))
}

/// `size` bytes and CR LF; an error as soon as a byte of the line end is wrong.
fn message_body(buf: &[u8], start: usize, size: usize) -> Result<Option<(&[u8], usize)>, ProtocolError> {
    let end = start + size;
    let line_end = buf.get(end..).unwrap_or_default();
    match line_end {
        [b'\r', b'\n', ..] => Ok(Some((&buf[start..end], end + 2))),
        [] | [b'\r'] => Ok(None),
        _ => Err(ProtocolError::UnknownOperation),
    }
}

/// Unsigned decimal of at most nine digits, as nats-server's `parseSize`.
fn parse_size(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        text.iter()
            .fold(0, |value, digit| value * 10 + usize::from(digit - b'0')),
    )
}

fn bad_arguments(verb: &'static str, args: &[u8]) -> ProtocolError {
    ProtocolError::Arguments {
        verb,
        argument: lossy(args),
    }
}

fn bad_size(verb: &'static str, what: &'static str, args: &[u8]) -> ProtocolError {
    ProtocolError::Size {
        verb,
        what,
        argument: lossy(args),
    }
}

fn lossy(args: &[u8]) -> String {
    String::from_utf8_lossy(args).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        max_control_line: 64,
        max_payload: 1024,
        headers: true,
    };

    fn check(input: &str, expected: Command<'_>) {
        assert_eq!(
            parse(input.as_bytes(), &LIMITS),
            Ok(Parsed::Command(expected, input.len())),
            "input {input:?}"
        );
        for cut in 0..input.len() {
            let start = &input.as_bytes()[..cut];
            assert!(
                matches!(parse(start, &LIMITS), Ok(Parsed::Incomplete { .. })),
                "cut {cut} of {input:?}"
            );
        }
    }

    fn message<'a>(subject: &'a str, reply: &'a str, header: Option<usize>, body: &'a str) -> Command<'a> {
        Command::Publish(Publish {
            subject: subject.as_bytes(),
            reply: reply.as_bytes(),
            header_len: header.unwrap_or(0),
            has_header: header.is_some(),
            body: body.as_bytes(),
        })
    }

    #[test]
    fn publishes() {
        check("PUB foo 2\r\nhi\r\n", message("foo", "", None, "hi"));
        check(
            "PUB foo.bar reply 002\r\nhi\r\n",
            message("foo.bar", "reply", None, "hi"),
        );
        check("pUb \t foo\t r  0\r\n\r\n", message("foo", "r", None, ""));
        check("PUB foo 2\nhi\r\n", message("foo", "", None, "hi"));
        check(
            "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            message("foo", "", Some(12), "NATS/1.0\r\n\r\nhi"),
        );
        check("hpub foo r 0 2\r\nhi\r\n", message("foo", "r", Some(0), "hi"));
    }

    #[test]
    fn other_commands() {
        check(
            "SUB foo 1\r\n",
            Command::Subscribe {
                subject: b"foo",
                queue: None,
                sid: b"1",
            },
        );
        check(
            "sub foo q\t1\n",
            Command::Subscribe {
                subject: b"foo",
                queue: Some(b"q"),
                sid: b"1",
            },
        );
        check("UNSUB 1\r\n", Command::Unsubscribe { sid: b"1", max: None });
        check(
            "UNSUB 1 5\r\n",
            Command::Unsubscribe {
                sid: b"1",
                max: Some(5),
            },
        );
        check("UNSUB 1 -5\r\n", Command::Unsubscribe { sid: b"1", max: None });
        check("PING\r\n", Command::Ping);
        check("PINGxx\n", Command::Ping);
        check("pong\r\n", Command::Pong);
        check("CONNECT {}\r\n", Command::Connect(b"{}"));
        check("CONNECT{}\r\n", Command::Connect(b"{}"));
        check("INFO {}\r\n", Command::Info(b"{}"));
        check("-ERR 'x'\r\n", Command::Error(b"'x'"));
        check("+OK\r\n", Command::Ignored);
    }

    #[test]
    fn errors_come_with_the_first_bad_byte() {
        let unknown = Err(ProtocolError::UnknownOperation);
        for bad in [
            "X",
            "PUX",
            "PUBx",
            "SUBx",
            "PUB foo 2\r\nhi!",
            "PUB foo 2\r\nhi\r!",
            "MSG",
            "HMX",
        ] {
            assert_eq!(parse(bad.as_bytes(), &LIMITS), unknown, "{bad:?}");
        }
        assert_eq!(
            parse(b"PUB foo 1025\r\n", &LIMITS),
            Err(ProtocolError::Payload { size: 1025 })
        );
        for (start, filler, count, rest) in [
            ("SUB ", b'a', 65, ""),
            ("PING", b'x', MAX_SKIPPED + 1, "\n"),
            ("SUB", b' ', MAX_SKIPPED + 1, "a 1\n"),
        ] {
            let long = [start.as_bytes(), &vec![filler; count], rest.as_bytes()].concat();
            assert_eq!(
                parse(&long, &LIMITS),
                Err(ProtocolError::ControlLine),
                "{start:?}"
            );
        }
        for bad in [
            "PUB foo\r\n",
            "PUB foo -1\r\n",
            "PUB foo x 1 2\r\n",
            "PUB foo 9999999999\r\n",
            "SUB a\r\n",
        ] {
            let error = parse(bad.as_bytes(), &LIMITS).unwrap_err();
            assert_eq!(error.client_text(), None, "{bad:?}");
        }
    }

    #[test]
    fn line_end_right_after_the_blank_is_an_argument() {
        assert!(matches!(
            parse(b"PUB \r\n", &LIMITS),
            Err(ProtocolError::Arguments { .. })
        ));
        assert!(matches!(parse(b"SUB \n", &LIMITS), Ok(Parsed::Incomplete { .. })));
    }

    proptest! {
        #[test]
        fn never_panics_and_agrees_on_prefixes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let whole = parse(&bytes, &LIMITS);
            if let Ok(Parsed::Command(_, used)) = whole {
                prop_assert!(used <= bytes.len());
                prop_assert_eq!(parse(&bytes[..used], &LIMITS), whole);
            }
        }

        #[test]
        fn fast_and_slow_way_agree(
            subject in "[a-z.*>]{1,12}", reply in proptest::option::of("[a-z.]{1,12}"),
            body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
            let mut wire = format!("PUB {subject} {reply}{}\r\n", body.len()).into_bytes();
            wire.extend_from_slice(&body);
            wire.extend_from_slice(b"\r\nPING\r\n");
            prop_assert!(fast_pub(&wire, &LIMITS).is_some());
            prop_assert_eq!(Ok(fast_pub(&wire, &LIMITS).unwrap()), parse_any(&wire, &LIMITS));
        }
    }
}
