//! Messages and answers in, bytes out.

/// `PING` line.
pub const PING: &[u8] = b"PING\r\n";
/// `PONG` line.
pub const PONG: &[u8] = b"PONG\r\n";
/// `+OK` line.
pub const OK: &[u8] = b"+OK\r\n";

/// Appends the protocol line of a delivery: `MSG`, or `HMSG` when `header_len` says that the `size` bytes to follow
/// start with so many bytes of headers. An empty `reply` is left out.
#[inline]
pub fn message_line(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: &[u8],
    header_len: Option<usize>,
    size: usize,
) {
    let mut digits = itoa::Buffer::new();
    out.reserve(subject.len() + sid.len() + reply.len() + 40);
    out.extend_from_slice(if header_len.is_some() {
        b"HMSG ".as_slice()
    } else {
        b"MSG ".as_slice()
    });
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if let Some(header_len) = header_len {
        out.extend_from_slice(digits.format(header_len).as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(digits.format(size).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends the status message that tells a requester that nobody listens on `subject` (ADR-22 of NATS).
pub fn no_responders(out: &mut Vec<u8>, reply: &[u8], sid: &[u8], subject: &[u8]) {
    let size = b"NATS/1.0 503\r\nNats-Subject: \r\n\r\n".len() + subject.len();
    message_line(out, reply, sid, b"", Some(size), size);
    out.extend_from_slice(b"NATS/1.0 503\r\nNats-Subject: ");
    out.extend_from_slice(subject);
    out.extend_from_slice(b"\r\n\r\n\r\n");
}

/// Appends `-ERR 'text'`.
pub fn error(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"'\r\n");
}

/// Appends `INFO {json}`.
pub fn info(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"INFO ");
    out.extend_from_slice(json);
    // nats-server leaves a blank before the line end; a client that cuts one byte too many depends on it.
    out.extend_from_slice(b" \r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut out = Vec::new();
        message_line(&mut out, b"a.b", b"7", b"", None, 12);
        message_line(&mut out, b"a", b"7", b"r", Some(3), 5);
        error(&mut out, "Stale Connection");
        info(&mut out, b"{}");
        assert_eq!(
            out,
            b"MSG a.b 7 12\r\nHMSG a 7 r 3 5\r\n-ERR 'Stale Connection'\r\nINFO {} \r\n"
        );
    }

    #[test]
    fn no_responders_states_its_own_size() {
        let mut out = Vec::new();
        no_responders(&mut out, b"inbox", b"1", b"svc");
        assert_eq!(
            out,
            b"HMSG inbox 1 35 35\r\nNATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\n"
        );
    }
}
