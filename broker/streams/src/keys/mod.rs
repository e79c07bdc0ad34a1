//! Rows of a group: one file a kind of row, with its key and its value. Every value begins with a version.
//!
//! A key is the group's number, the kind, the stream's number, and what the kind adds; numbers are big-endian, so that
//! rows stand in their order.

pub(crate) mod bucket;
pub(crate) mod consumer;
pub(crate) mod deleted;
pub(crate) mod group;
pub(crate) mod msg_id;
pub(crate) mod posting;
pub(crate) mod run;
pub(crate) mod stream;
pub(crate) mod subject;

use mainstem_record::{Reader, Truncated};

use crate::command::{InvalidCommand, StreamId};
use crate::config::InvalidConfig;

/// The version that is written.
const VERSION: u8 = 1;

/// Kinds of rows. 0 is not a machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Group = 1,
    Stream = 2,
    State = 3,
    Runs = 4,
    Subject = 5,
    Posting = 6,
    Deleted = 7,
    MsgId = 8,
    Consumer = 9,
    Bucket = 10,
}

/// Kinds whose rows are a stream's.
pub(crate) const OF_STREAMS: [Kind; 8] = [
    Kind::Stream,
    Kind::State,
    Kind::Runs,
    Kind::Subject,
    Kind::Posting,
    Kind::Deleted,
    Kind::MsgId,
    Kind::Consumer,
];

/// Why a row can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRow {
    #[error("row version {0} is not known")]
    Version(u8),
    #[error("a row has a value that is not known")]
    Value,
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    #[error(transparent)]
    Truncated(#[from] Truncated),
}

impl From<InvalidCommand> for InvalidRow {
    fn from(error: InvalidCommand) -> Self {
        match error {
            InvalidCommand::Truncated(error) => Self::Truncated(error),
            _ => Self::Value,
        }
    }
}

/// What all rows of a kind begin with.
pub(crate) fn of_kind(group: u32, kind: Kind) -> Vec<u8> {
    let mut key = Vec::with_capacity(32);
    key.extend_from_slice(&group.to_be_bytes());
    key.push(kind as u8);
    key
}

/// What all rows of a stream and a kind begin with.
pub(crate) fn of_stream(group: u32, kind: Kind, stream: StreamId) -> Vec<u8> {
    let mut key = of_kind(group, kind);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key
}

/// Bytes of [`of_stream`].
pub(crate) const STREAM_PREFIX_BYTES: usize = 13;

/// The first key behind all that begin with `prefix`.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

fn with_number(mut key: Vec<u8>, number: u64) -> Vec<u8> {
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The number at the end of a key.
fn number_at_end(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

fn value() -> Vec<u8> {
    vec![VERSION]
}

fn read_value(value: &[u8]) -> Result<Reader<'_>, InvalidRow> {
    let mut reader = Reader::new(value);
    match reader.u8()? {
        VERSION => Ok(reader),
        other => Err(InvalidRow::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_end_of_a_prefix_is_behind_its_keys(prefix in prop::collection::vec(any::<u8>(), 1..6), rest: Vec<u8>) {
            prop_assume!(prefix.iter().any(|byte| *byte < u8::MAX));
            let key: Vec<u8> = prefix.iter().chain(&rest).copied().collect();
            prop_assert!(key < behind(&prefix));
            prop_assert!(behind(&prefix) > prefix);
        }

        #[test]
        fn keys_stand_in_the_order_of_their_numbers(group: u32, a: (u64, u64), b: (u64, u64)) {
            let key = |(stream, number)| with_number(of_stream(group, Kind::Runs, StreamId(stream)), number);
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
            prop_assert_eq!(number_at_end(&key(a)), Some(a.1));
            prop_assert_eq!(of_stream(group, Kind::Runs, StreamId(a.0)).len(), STREAM_PREFIX_BYTES);
        }
    }
}
