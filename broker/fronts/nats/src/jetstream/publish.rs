//! What the headers of a publish ask of the stream that stores it.

use mainstem_record::{Native, Origin, Record};
use mainstem_streams::command::{Conditions, Publish, Rollup};
use mainstem_streams::error::Error;

use super::duration;
use super::error::{ApiError, MessageFeature};
use super::headers;

/// Ends the reply subject of a publish that belongs to a fast batch.
const FAST_BATCH: &[u8] = b".$FI";

/// A message as a stream gets it. The headers are a block without a status line, or empty.
///
/// # Errors
/// The headers ask for what no stream does, or make no sense.
pub(crate) fn message<'a>(
    subject: &'a [u8],
    reply: &[u8],
    headers: &'a [u8],
    payload: &'a [u8],
) -> Result<Publish<'a>, ApiError> {
    if reply.ends_with(FAST_BATCH) {
        return Err(ApiError::message_feature(MessageFeature::FastBatch));
    }
    let conditions = match headers {
        [] => Conditions::default(),
        headers => conditions(headers)?,
    };
    let record = Record::Native(Native {
        origin: Origin::NATS,
        subject,
        headers,
        properties: b"",
        payload,
    });
    Ok(Publish { conditions, record })
}

/// Reads all headers once; of several with one name the first counts.
fn conditions(block: &[u8]) -> Result<Conditions<'_>, ApiError> {
    let mut conditions = Conditions::default();
    let mut seen = Seen::default();
    for (name, value) in headers::lines(block) {
        let Some(name) = name.strip_prefix(b"Nats-") else {
            continue;
        };
        if !value.is_empty() {
            seen.line(name, value, &mut conditions)?;
        }
    }
    if seen.expected_subject && conditions.expected_last_subject_seq.is_none() {
        return Err(ApiError::from(Error::ExpectedSubjectSeqMissing));
    }
    Ok(conditions)
}

/// Which conditions came already, where the conditions themselves don't tell.
#[derive(Default)]
struct Seen {
    expected_subject: bool,
    rollup: bool,
}

impl Seen {
    /// Takes one header, named without `Nats-`.
    fn line<'a>(
        &mut self,
        name: &[u8],
        value: &'a [u8],
        conditions: &mut Conditions<'a>,
    ) -> Result<(), ApiError> {
        match name {
            b"Msg-Id" if conditions.msg_id.is_empty() => conditions.msg_id = value,
            b"Expected-Stream" => {
                conditions.expected_stream.get_or_insert(value);
            }
            b"Expected-Last-Sequence" => {
                conditions.expected_last_seq.get_or_insert(headers::number(value));
            }
            b"Expected-Last-Msg-Id" => {
                conditions.expected_last_msg_id.get_or_insert(value);
            }
            b"Expected-Last-Subject-Sequence" => {
                let seq = headers::number(value);
                conditions.expected_last_subject_seq.get_or_insert(seq);
            }
            b"Expected-Last-Subject-Sequence-Subject" => {
                self.expected_subject = true;
                conditions.expected_subject.get_or_insert(value);
            }
            b"Rollup" if !self.rollup => {
                self.rollup = true;
                conditions.rollup = rollup(value)?;
            }
            other => return unbuilt(other, value).map_or(Ok(()), Err),
        }
        Ok(())
    }
}

fn rollup(value: &[u8]) -> Result<Rollup, ApiError> {
    match value.to_ascii_lowercase().as_slice() {
        b"sub" => Ok(Rollup::Subject),
        b"all" => Ok(Rollup::All),
        other => {
            let value = String::from_utf8_lossy(other);
            let why = format!("rollup value invalid: {value:?}");
            Err(ApiError::from(Error::RollupFailed(why.into())))
        }
    }
}

/// Headers, named without `Nats-`, that ask for what is not built.
fn unbuilt(name: &[u8], value: &[u8]) -> Option<ApiError> {
    let feature = match name {
        b"TTL" if is_ttl(value) => MessageFeature::Ttl,
        b"Incr" if is_integer(value) => MessageFeature::Counter,
        b"Incr" => return Some(ApiError::new(400, 10171, "message counter increment is invalid")),
        b"Batch-Id" => MessageFeature::Batch,
        b"Schedule" | b"Schedule-Next" | b"Scheduler" => MessageFeature::Schedule,
        _ => return None,
    };
    Some(ApiError::message_feature(feature))
}

/// A time to live other than none: `never`, whole seconds, or Go's text.
fn is_ttl(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let seconds = || text.parse::<u64>().ok();
    text == "never"
        || duration::parse(text)
            .or_else(seconds)
            .is_some_and(|time| time > 0)
}

fn is_integer(value: &[u8]) -> bool {
    let digits = value
        .strip_prefix(b"+")
        .or(value.strip_prefix(b"-"))
        .unwrap_or(value);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<String, u16> {
        let block = format!("NATS/1.0\r\n{lines}\r\n\r\n");
        let message = message(b"s", b"r", block.as_bytes(), b"payload");
        message
            .map(|message| format!("{:?}", message.conditions))
            .map_err(|error| error.err_code)
    }

    #[test]
    fn conditions_are_read() {
        let lines = "Nats-Msg-Id: one\r\nNats-Expected-Stream: S\r\nNats-Expected-Last-Sequence: 7\r\n\
                     Nats-Expected-Last-Msg-Id: zero\r\nNats-Expected-Last-Subject-Sequence: 3\r\n\
                     Nats-Expected-Last-Subject-Sequence-Subject: a.*\r\nNats-Rollup: ALL\r\nOther: x";
        let expected = Conditions {
            msg_id: b"one",
            expected_stream: Some(b"S"),
            expected_last_seq: Some(7),
            expected_last_msg_id: Some(b"zero"),
            expected_last_subject_seq: Some(3),
            expected_subject: Some(b"a.*"),
            rollup: Rollup::All,
        };
        assert_eq!(read(lines), Ok(format!("{expected:?}")));
        assert_eq!(read("Other: x"), Ok(format!("{:?}", Conditions::default())));
        let twice = read("Nats-Msg-Id: one\r\nNats-Msg-Id: two");
        assert!(twice.is_ok_and(|conditions| conditions.contains(&format!("{:?}", b"one"))));
    }

    #[test]
    fn what_no_stream_does_is_refused() {
        assert_eq!(read("Nats-TTL: 1s"), Err(10166));
        assert_eq!(read("Nats-TTL: never"), Err(10166));
        assert_eq!(read("Nats-Incr: +1"), Err(10168));
        assert_eq!(read("Nats-Incr: one"), Err(10171));
        assert_eq!(read("Nats-Batch-Id: b"), Err(10174));
        assert_eq!(read("Nats-Schedule: @at 2040-01-01T00:00:00Z"), Err(10188));
        assert_eq!(read("Nats-Rollup: half"), Err(10111));
        assert_eq!(read("Nats-Expected-Last-Subject-Sequence-Subject: a"), Err(10193));
        let fast = message(b"s", b"_INBOX.x.id.10.ok.1.0.$FI", b"", b"");
        assert_eq!(fast.map_err(|error| error.err_code).err(), Some(10205));
    }

    #[test]
    fn what_means_nothing_is_stored() {
        for lines in ["Nats-TTL: 0", "Nats-TTL: soon", "Nats-Other: 1", "Nats-Msg-Id:"] {
            assert!(read(lines).is_ok(), "{lines}");
        }
    }
}
