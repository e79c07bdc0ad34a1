//! A subject of a stream: how many messages it has, the first and the last, and its newest postings.

use mainstem_record::Writer;

use super::posting::{self, Posting};
use super::{InvalidRow, Kind, STREAM_PREFIX_BYTES, of_stream, read_value, value};
use crate::command::StreamId;
use crate::machine::Position;

/// A subject's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubjectRow {
    pub(crate) count: u64,
    pub(crate) first: u64,
    pub(crate) last: Position,
    /// Blocks of postings before the tail.
    pub(crate) blocks: u64,
    pub(crate) tail: Vec<Posting>,
}

pub(crate) fn key(group: u32, stream: StreamId, subject: &[u8]) -> Vec<u8> {
    let mut key = of_stream(group, Kind::Subject, stream);
    key.extend_from_slice(subject);
    key
}

/// The subject in a key.
pub(crate) fn subject_of(key: &[u8]) -> &[u8] {
    key.get(STREAM_PREFIX_BYTES..).unwrap_or_default()
}

impl SubjectRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = value();
        out.put_varint(self.count);
        out.put_varint(self.first);
        let last = &self.last;
        out.put_varint(last.seq);
        out.put_varint(last.index);
        out.put_varint(u64::from(last.ordinal));
        out.put_varint(u64::from(last.part));
        out.put_varint(u64::from(last.size));
        out.put_varint(last.timestamp_ns);
        out.put_varint(self.blocks);
        posting::put(&mut out, &self.tail);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, InvalidRow> {
        let mut reader = read_value(value)?;
        let narrow = |value: u64| u32::try_from(value).map_err(|_| InvalidRow::Value);
        Ok(Self {
            count: reader.varint()?,
            first: reader.varint()?,
            last: Position {
                seq: reader.varint()?,
                index: reader.varint()?,
                ordinal: narrow(reader.varint()?)?,
                part: narrow(reader.varint()?)?,
                size: narrow(reader.varint()?)?,
                timestamp_ns: reader.varint()?,
            },
            blocks: reader.varint()?,
            tail: posting::get(&mut reader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(
            group: u32, stream: u64, subject: Vec<u8>, count: u64, first: u64, last: (u64, u64, u32, u32, u32, u64),
            blocks: u64, tail in posting::tests::postings(),
        ) {
            let (seq, index, ordinal, part, size, timestamp_ns) = last;
            let last = Position { seq, index, ordinal, part, size, timestamp_ns };
            let row = SubjectRow { count, first, last, blocks, tail };
            prop_assert_eq!(SubjectRow::decode(&row.encode()), Ok(row));
            let key = key(group, StreamId(stream), &subject);
            prop_assert_eq!(subject_of(&key), &subject[..]);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = SubjectRow::decode(&bytes);
        }
    }
}
