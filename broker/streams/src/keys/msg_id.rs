//! A message id that was seen: by stream, bucket of time, and id.

use mainstem_record::Writer;

use super::{InvalidRow, Kind, of_stream, read_value, value, with_number};
use crate::command::StreamId;

/// A message that had an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) timestamp_ns: u64,
}

/// What all ids of a bucket begin with.
pub(crate) fn of_bucket(group: u32, stream: StreamId, bucket: u64) -> Vec<u8> {
    with_number(of_stream(group, Kind::MsgId, stream), bucket)
}

pub(crate) fn key(group: u32, stream: StreamId, bucket: u64, id: &[u8]) -> Vec<u8> {
    let mut key = of_bucket(group, stream, bucket);
    key.extend_from_slice(id);
    key
}

impl Seen {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = value();
        out.put_varint(self.seq);
        out.put_varint(self.timestamp_ns);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, InvalidRow> {
        let mut reader = read_value(value)?;
        Ok(Self {
            seq: reader.varint()?,
            timestamp_ns: reader.varint()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(seq: u64, timestamp_ns: u64) {
            let seen = Seen { seq, timestamp_ns };
            prop_assert_eq!(Seen::decode(&seen.encode()), Ok(seen));
        }
    }
}
