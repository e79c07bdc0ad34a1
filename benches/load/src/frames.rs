//! What a server sends, cut into frames: just enough of the protocol for a load generator.

use anyhow::{Context as _, Result, bail};

/// One frame of a server. The slices point into the parsed buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    Message(Message<'a>),
    Ping,
    Pong,
    Ok,
    /// The JSON text of INFO.
    Info(&'a [u8]),
    /// The text of an `-ERR`, with its quotes.
    Error(&'a [u8]),
}

/// `MSG` or `HMSG`.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Empty: no reply subject.
    pub reply: &'a [u8],
    /// Empty without headers.
    pub header: &'a [u8],
    pub payload: &'a [u8],
}

/// The largest message that is accepted, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// Parses the first frame of `buf`: the frame and the bytes it took, or `None` if it is not whole yet.
///
/// # Errors
/// `buf` does not begin with what a NATS server sends.
pub fn parse(buf: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let Some(end) = buf.iter().position(|&byte| byte == b'\n') else {
        return Ok(None);
    };
    let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
    let after_line = end + 1;
    if let Some(args) = line.strip_prefix(b"MSG ") {
        return parse_message(buf, args, after_line, false);
    }
    if let Some(args) = line.strip_prefix(b"HMSG ") {
        return parse_message(buf, args, after_line, true);
    }
    let frame = match line {
        b"PING" => Frame::Ping,
        b"PONG" => Frame::Pong,
        b"+OK" => Frame::Ok,
        _ => match (line.strip_prefix(b"INFO "), line.strip_prefix(b"-ERR")) {
            (Some(json), _) => Frame::Info(json),
            (_, Some(text)) => Frame::Error(text.trim_ascii()),
            _ => bail!(
                "not what a NATS server sends: {:?}",
                String::from_utf8_lossy(line)
            ),
        },
    };
    Ok(Some((frame, after_line)))
}

fn parse_message<'a>(
    buf: &'a [u8],
    args: &'a [u8],
    after_line: usize,
    has_header: bool,
) -> Result<Option<(Frame<'a>, usize)>> {
    let bad = || {
        format!(
            "a message line that cannot be: {:?}",
            String::from_utf8_lossy(args)
        )
    };
    // From the end: one or two sizes, perhaps a reply subject, the sid and the subject.
    let mut fields = args
        .rsplit(|&byte| byte == b' ')
        .filter(|field| !field.is_empty());
    let total = fields.next().and_then(parse_size).with_context(bad)?;
    let header_len = if has_header {
        fields.next().and_then(parse_size).with_context(bad)?
    } else {
        0
    };
    let reply = match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(_), Some(_), None, None) => &[][..],
        (Some(reply), Some(_), Some(_), None) => reply,
        _ => bail!(bad()),
    };
    if header_len > total || total > MAX_BYTES {
        bail!(bad());
    }
    let end = after_line + total;
    if buf.len() < end + 2 {
        return Ok(None);
    }
    let (header, payload) = buf[after_line..end].split_at(header_len);
    let message = Message {
        reply,
        header,
        payload,
    };
    Ok(Some((Frame::Message(message), end + 2)))
}

fn parse_size(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Frame<'_>) {
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]).unwrap(), None, "the first {end} bytes");
        }
        let more = [bytes, b"PING\r\n"].concat();
        assert_eq!(parse(&more).unwrap(), Some((expected, bytes.len())));
    }

    fn message<'a>(reply: &'a [u8], header: &'a [u8], payload: &'a [u8]) -> Frame<'a> {
        Frame::Message(Message {
            reply,
            header,
            payload,
        })
    }

    #[test]
    fn whole_frames_are_found() {
        check(b"PING\r\n", Frame::Ping);
        check(b"PONG\r\n", Frame::Pong);
        check(b"+OK\r\n", Frame::Ok);
        check(b"INFO {\"a\":1}\r\n", Frame::Info(b"{\"a\":1}"));
        check(b"-ERR 'Slow Consumer'\r\n", Frame::Error(b"'Slow Consumer'"));
        check(b"MSG a.b 1 5\r\nhello\r\n", message(b"", b"", b"hello"));
        check(b"MSG a.b 1 0\r\n\r\n", message(b"", b"", b""));
        check(
            b"MSG a 1 _INBOX.x 2\r\n\r\n\r\n",
            message(b"_INBOX.x", b"", b"\r\n"),
        );
        check(
            b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            message(b"", b"NATS/1.0\r\n\r\n", b"hi"),
        );
        check(
            b"HMSG a 1 r 12 12\r\nNATS/1.0\r\n\r\n\r\n",
            message(b"r", b"NATS/1.0\r\n\r\n", b""),
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\r\n",
            b"MSG a\r\n",
            b"MSG a 1\r\n",
            b"MSG a 1 x\r\n",
            b"MSG a 1 r s 1\r\n",
            b"MSG a 1 99999999999\r\n",
            b"HMSG a 1 3 2\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
