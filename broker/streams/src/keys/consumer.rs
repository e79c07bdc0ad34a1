//! A consumer: what it is, and how far it has come.

use mainstem_record::Writer;

use super::{
    InvalidRow, Kind, STREAM_PREFIX_BYTES, number_at_end, of_stream, read_value, value, with_number,
};
use crate::command::{ConsumerId, Pending, SeqPair, StreamId};
use crate::config::ConsumerConfig;

/// A consumer's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsumerRow {
    pub(crate) created_ns: u64,
    pub(crate) delivered: SeqPair,
    pub(crate) ack_floor: SeqPair,
    pub(crate) reserved: u64,
    pub(crate) pending: Vec<Pending>,
    pub(crate) given_up: Vec<u64>,
    pub(crate) config: ConsumerConfig,
}

pub(crate) fn key(group: u32, stream: StreamId, consumer: ConsumerId) -> Vec<u8> {
    with_number(of_stream(group, Kind::Consumer, stream), consumer.0)
}

/// The stream and the consumer in a key.
pub(crate) fn ids_of(key: &[u8]) -> Option<(StreamId, ConsumerId)> {
    let stream = number_at_end(key.get(..STREAM_PREFIX_BYTES)?)?;
    Some((StreamId(stream), ConsumerId(number_at_end(key)?)))
}

impl ConsumerRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = value();
        out.put_varint(self.created_ns);
        for pair in [self.delivered, self.ack_floor] {
            out.put_varint(pair.consumer);
            out.put_varint(pair.stream);
        }
        out.put_varint(self.reserved);
        out.put_varint(self.pending.len() as u64);
        for pending in &self.pending {
            pending.encode(&mut out);
        }
        out.put_varint(self.given_up.len() as u64);
        for seq in &self.given_up {
            out.put_varint(*seq);
        }
        self.config.encode(&mut out);
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, InvalidRow> {
        let mut reader = read_value(value)?;
        let reader = &mut reader;
        Ok(Self {
            created_ns: reader.varint()?,
            delivered: SeqPair {
                consumer: reader.varint()?,
                stream: reader.varint()?,
            },
            ack_floor: SeqPair {
                consumer: reader.varint()?,
                stream: reader.varint()?,
            },
            reserved: reader.varint()?,
            pending: {
                let count = reader.varint()?;
                (0..count)
                    .map(|_| Pending::decode(reader))
                    .collect::<Result<_, _>>()?
            },
            given_up: {
                let count = reader.varint()?;
                (0..count).map(|_| reader.varint()).collect::<Result<_, _>>()?
            },
            config: ConsumerConfig::decode(reader)?,
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
            group: u32, stream: u64, consumer: u64, numbers: [u64; 6], pending: Vec<(u64, u64, u64, u32)>,
            given_up: Vec<u64>, name: String, filters: Vec<String>, start: Option<i64>, backoff_ns: Vec<i64>,
        ) {
            let [created_ns, delivered_c, delivered_s, floor_c, floor_s, reserved] = numbers;
            let row = ConsumerRow {
                created_ns,
                delivered: SeqPair { consumer: delivered_c, stream: delivered_s },
                ack_floor: SeqPair { consumer: floor_c, stream: floor_s },
                reserved,
                pending: pending
                    .into_iter()
                    .map(|(stream_seq, consumer_seq, delivered_ns, count)| Pending {
                        stream_seq, consumer_seq, delivered_ns, count,
                    })
                    .collect(),
                given_up,
                config: ConsumerConfig {
                    is_unnamed: name.len() % 2 == 0,
                    name: name.into(),
                    filter_subjects: filters.into_iter().map(Into::into).collect(),
                    opt_start_time_ns: start,
                    backoff_ns,
                    ..ConsumerConfig::default()
                },
            };
            prop_assert_eq!(ConsumerRow::decode(&row.encode()), Ok(row));
            let key = key(group, StreamId(stream), ConsumerId(consumer));
            prop_assert_eq!(ids_of(&key), Some((StreamId(stream), ConsumerId(consumer))));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = ConsumerRow::decode(&bytes);
        }
    }
}
