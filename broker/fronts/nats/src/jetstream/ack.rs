//! Reply subjects of deliveries, and what comes back on them.
//!
//! `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp ns>.<pending>` is what deliveries
//! carry. The newer form with a domain and an account's hash in front, and more tokens behind, is understood as well.

use bytes::Bytes;
use mainstem_streams::{AckKind, Delivery};

use super::duration;
use super::json::request::Nak;
use super::pull;

pub(crate) const PREFIX: &str = "$JS.ACK.";
pub(crate) const FILTER: &str = "$JS.ACK.>";
/// Tokens of the two forms behind the prefix.
const TOKENS: usize = 7;
const TOKENS_WITH_DOMAIN: usize = 9;

/// A delivery, as its reply subject names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AckSubject<'a> {
    pub(crate) stream: &'a str,
    pub(crate) consumer: &'a str,
    pub(crate) delivered: u64,
    pub(crate) stream_seq: u64,
    pub(crate) consumer_seq: u64,
}

impl<'a> AckSubject<'a> {
    pub(crate) fn parse(subject: &'a [u8]) -> Option<Self> {
        let subject = std::str::from_utf8(subject).ok()?.strip_prefix(PREFIX)?;
        let count = subject.bytes().filter(|&byte| byte == b'.').count() + 1;
        let skipped = match count {
            TOKENS => 0,
            TOKENS_WITH_DOMAIN.. => 2,
            _ => return None,
        };
        let mut tokens = subject.split('.').skip(skipped);
        let (stream, consumer) = (tokens.next()?, tokens.next()?);
        let mut number = || tokens.next()?.parse().ok();
        Some(Self {
            stream,
            consumer,
            delivered: number()?,
            stream_seq: number()?,
            consumer_seq: number()?,
        })
    }
}

/// Appends the reply subject of a delivery. `prefix` ends with the consumer's name and a dot.
pub(crate) fn write_subject(out: &mut Vec<u8>, prefix: &[u8], delivery: &Delivery<'_>) {
    out.extend_from_slice(prefix);
    let numbers = [
        delivery.delivered,
        delivery.stream_seq,
        delivery.consumer_seq,
        delivery.timestamp_ns,
        delivery.pending,
    ];
    let mut digits = itoa::Buffer::new();
    for (at, number) in numbers.into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(digits.format(number).as_bytes());
    }
}

/// What an acknowledgement's payload says; `None`: nothing that is known. The `reply` is where a pull in it is answered.
pub(crate) fn kind(payload: &[u8], reply: &Bytes) -> Option<AckKind> {
    Some(match payload {
        b"" | b"+ACK" | b"+OK" => AckKind::Ack,
        b"+WPI" => AckKind::Progress,
        _ if payload.starts_with(b"+NXT") => {
            // A request that is none acknowledges all the same.
            match pull::parse(&payload[4..], reply.clone()) {
                Ok(request) => AckKind::Next(request),
                Err(_) => AckKind::Ack,
            }
        }
        _ if payload.starts_with(b"-NAK") => AckKind::Nak {
            delay_ns: nak_delay(&payload[4..]),
        },
        _ if payload.starts_with(b"+TERM") => AckKind::Term {
            reason: String::from_utf8_lossy(payload[5..].trim_ascii()).into_owned(),
        },
        _ => return None,
    })
}

/// The delay behind `-NAK`: JSON, or Go's text. Anything else is none.
fn nak_delay(argument: &[u8]) -> u64 {
    let argument = argument.trim_ascii();
    if argument.starts_with(b"{") {
        let nak: Nak = serde_json::from_slice(argument).unwrap_or_default();
        return u64::try_from(nak.delay).unwrap_or(0);
    }
    std::str::from_utf8(argument)
        .ok()
        .and_then(duration::parse)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_subject() {
        let parsed = AckSubject {
            stream: "S",
            consumer: "c",
            delivered: 1,
            stream_seq: 2,
            consumer_seq: 3,
        };
        for subject in [
            "$JS.ACK.S.c.1.2.3.1790000000000000000.4",
            "$JS.ACK._.HASH.S.c.1.2.3.1790000000000000000.4",
            "$JS.ACK.hub.HASH.S.c.1.2.3.1790000000000000000.4.random",
        ] {
            assert_eq!(AckSubject::parse(subject.as_bytes()), Some(parsed), "{subject}");
        }
        for subject in [
            "$JS.ACK.S.c.1.2",
            "$JS.ACK.S.c.x.2.3.4.5",
            "$JS.ACK.1.2.3.4.5.6.7.8",
        ] {
            assert_eq!(AckSubject::parse(subject.as_bytes()), None, "{subject}");
        }
    }

    #[test]
    fn a_delivery_names_itself() {
        let frame = Bytes::new();
        let delivery = Delivery {
            subject: b"a",
            headers: b"",
            payload: b"",
            payload_len: 0,
            headers_only: false,
            frame: &frame,
            timestamp_ns: 1_790_000_000_000_000_000,
            stream_seq: 2,
            consumer_seq: 3,
            delivered: 1,
            pending: 4,
            ack: true,
        };
        let mut subject = Vec::new();
        write_subject(&mut subject, b"$JS.ACK.S.c.", &delivery);
        assert_eq!(subject, b"$JS.ACK.S.c.1.2.3.1790000000000000000.4");
    }

    #[test]
    fn what_clients_say() {
        let kind = |payload: &str| super::kind(payload.as_bytes(), &Bytes::from_static(b"inbox"));
        assert_eq!(kind(""), Some(AckKind::Ack));
        assert_eq!(kind("+ACK"), Some(AckKind::Ack));
        assert_eq!(kind("+WPI"), Some(AckKind::Progress));
        assert_eq!(kind("-NAK"), Some(AckKind::Nak { delay_ns: 0 }));
        assert_eq!(
            kind("-NAK {\"delay\":5000}"),
            Some(AckKind::Nak { delay_ns: 5000 })
        );
        assert_eq!(
            kind("-NAK 2s"),
            Some(AckKind::Nak {
                delay_ns: 2_000_000_000
            })
        );
        assert_eq!(kind("-NAK junk"), Some(AckKind::Nak { delay_ns: 0 }));
        let reason = "bad data".to_owned();
        assert_eq!(kind("+TERM bad data"), Some(AckKind::Term { reason }));
        assert!(matches!(kind("+NXT 5"), Some(AckKind::Next(request)) if request.batch == 5));
        assert_eq!(kind("hello"), None);
    }
}
