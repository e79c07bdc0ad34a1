//! A stream: what it is, and, in a row of its own because it changes with every message, what it holds.

use std::collections::VecDeque;

use bytes::Bytes;
use mainstem_record::Writer;

use super::run::{self, Run};
use super::{InvalidRow, Kind, number_at_end, of_stream, read_value, value};
use crate::command::StreamId;
use crate::config::StreamConfig;

/// What a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamRow {
    pub(crate) account: Box<str>,
    pub(crate) created_ns: u64,
    pub(crate) config: StreamConfig,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateRow {
    pub(crate) msgs: u64,
    pub(crate) bytes: u64,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) last_ns: u64,
    pub(crate) num_subjects: u64,
    /// The subject of all its messages, where that is known.
    pub(crate) sole_subject: Option<Bytes>,
    pub(crate) last_msg_id: Box<[u8]>,
    /// Buckets of message ids, oldest first, and how many ids each has.
    pub(crate) msg_ids: VecDeque<(u64, u64)>,
    /// The newest runs, which are in no block yet.
    pub(crate) tail: Vec<Run>,
}

pub(crate) fn key(group: u32, stream: StreamId) -> Vec<u8> {
    of_stream(group, Kind::Stream, stream)
}

pub(crate) fn state_key(group: u32, stream: StreamId) -> Vec<u8> {
    of_stream(group, Kind::State, stream)
}

pub(crate) fn stream_of(key: &[u8]) -> Option<StreamId> {
    number_at_end(key).map(StreamId)
}

impl StreamRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = value();
        out.put_bytes(self.account.as_bytes());
        out.put_varint(self.created_ns);
        self.config.encode(&mut out);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, InvalidRow> {
        let mut reader = read_value(value)?;
        let account = std::str::from_utf8(reader.bytes()?).map_err(|_| InvalidRow::Value)?;
        Ok(Self {
            account: account.into(),
            created_ns: reader.varint()?,
            config: StreamConfig::decode(&mut reader)?,
        })
    }
}

impl StateRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = value();
        for number in [
            self.msgs,
            self.bytes,
            self.first_seq,
            self.last_seq,
            self.last_ns,
            self.num_subjects,
        ] {
            out.put_varint(number);
        }
        out.put_u8(self.sole_subject.is_some().into());
        out.put_bytes(self.sole_subject.as_deref().unwrap_or_default());
        out.put_bytes(&self.last_msg_id);
        out.put_varint(self.msg_ids.len() as u64);
        for (bucket, count) in &self.msg_ids {
            out.put_varint(*bucket);
            out.put_varint(*count);
        }
        run::put(&mut out, &self.tail);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, InvalidRow> {
        let mut reader = read_value(value)?;
        Ok(Self {
            msgs: reader.varint()?,
            bytes: reader.varint()?,
            first_seq: reader.varint()?,
            last_seq: reader.varint()?,
            last_ns: reader.varint()?,
            num_subjects: reader.varint()?,
            sole_subject: {
                let is_known = reader.u8()? != 0;
                Some(Bytes::copy_from_slice(reader.bytes()?)).filter(|_| is_known)
            },
            last_msg_id: reader.bytes()?.into(),
            msg_ids: {
                let count = reader.varint()?;
                (0..count)
                    .map(|_| Ok((reader.varint()?, reader.varint()?)))
                    .collect::<Result<_, InvalidRow>>()?
            },
            tail: run::get(&mut reader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn states_round_trip(
            numbers: [u64; 6], sole: Option<Vec<u8>>, last_msg_id: Vec<u8>, msg_ids: Vec<(u64, u64)>,
            tail in run::tests::runs(),
        ) {
            let [msgs, bytes, first_seq, last_seq, last_ns, num_subjects] = numbers;
            let row = StateRow {
                msgs, bytes, first_seq, last_seq, last_ns, num_subjects,
                sole_subject: sole.map(Into::into),
                last_msg_id: last_msg_id.into(),
                msg_ids: msg_ids.into(),
                tail,
            };
            prop_assert_eq!(StateRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn streams_round_trip(account: String, created_ns: u64, name: String, subjects: Vec<String>, max_age_ns: i64) {
            let config = StreamConfig {
                name: name.into(),
                subjects: subjects.into_iter().map(Into::into).collect(),
                max_age_ns,
                ..StreamConfig::default()
            };
            let row = StreamRow { account: account.into(), created_ns, config };
            prop_assert_eq!(StreamRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = StateRow::decode(&bytes);
            let _ = StreamRow::decode(&bytes);
        }

        #[test]
        fn keys_name_their_stream(group: u32, stream: u64) {
            prop_assert_eq!(stream_of(&key(group, StreamId(stream))), Some(StreamId(stream)));
        }
    }
}
