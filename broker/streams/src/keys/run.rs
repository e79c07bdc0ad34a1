//! Where a stream's messages are: runs of sequences, in blocks.

use mainstem_record::{Reader, Writer};

use super::{InvalidRow, Kind, of_stream, read_value, value, with_number};
use crate::command::StreamId;

/// Runs of a block; few in tests, so that there are many blocks.
pub(crate) const RUNS: usize = if cfg!(test) { 4 } else { 64 };

/// Consecutive sequences whose messages stand side by side in one entry and are equally large, or in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first_seq: u64,
    pub(crate) len: u32,
    /// The entry.
    pub(crate) index: u64,
    /// Place of the first in the entry.
    pub(crate) ordinal: u32,
    /// One record holds them all, instead of one each.
    pub(crate) whole: bool,
    /// Accounted bytes of each.
    pub(crate) size: u32,
    pub(crate) timestamp_ns: u64,
}

impl Run {
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + u64::from(self.len) - 1
    }

    /// Place of its last record.
    pub(crate) fn last_ordinal(&self) -> u32 {
        if self.whole {
            self.ordinal
        } else {
            self.ordinal + self.len - 1
        }
    }

    /// The first sequence in this run at the place `(index, ordinal)`.
    pub(crate) fn seq_at(&self, index: u64, ordinal: u32) -> Option<u64> {
        let holds = self.index == index && (self.ordinal..=self.last_ordinal()).contains(&ordinal);
        holds.then(|| self.first_seq + u64::from(ordinal - self.ordinal))
    }

    /// Takes in the next run, if it goes on where this one ends.
    pub(crate) fn merge(&mut self, next: &Run) -> bool {
        let joins = !self.whole
            && !next.whole
            && self.first_seq + u64::from(self.len) == next.first_seq
            && self.index == next.index
            && self.ordinal + self.len == next.ordinal
            && self.size == next.size;
        if joins {
            self.len += next.len;
        }
        joins
    }
}

/// The row of a block that begins with that sequence.
pub(crate) fn key(group: u32, stream: StreamId, first_seq: u64) -> Vec<u8> {
    with_number(of_stream(group, Kind::Runs, stream), first_seq)
}

pub(crate) fn encode(runs: &[Run]) -> Vec<u8> {
    let mut out = value();
    put(&mut out, runs);
    out
}

pub(crate) fn decode(value: &[u8]) -> Result<Vec<Run>, InvalidRow> {
    get(&mut read_value(value)?)
}

pub(super) fn put(out: &mut Vec<u8>, runs: &[Run]) {
    out.put_varint(runs.len() as u64);
    let (mut seq, mut index, mut timestamp_ns, mut size) = (0, 0, 0_u64, 0_i64);
    for run in runs {
        out.put_varint(run.first_seq - seq);
        out.put_varint(run.index - index);
        out.put_signed(run.timestamp_ns.wrapping_sub(timestamp_ns) as i64);
        out.put_varint(u64::from(run.ordinal));
        out.put_varint(u64::from(run.len) << 1 | u64::from(run.whole));
        out.put_signed(i64::from(run.size) - size);
        seq = run.last_seq();
        index = run.index;
        timestamp_ns = run.timestamp_ns;
        size = i64::from(run.size);
    }
}

pub(super) fn get(reader: &mut Reader<'_>) -> Result<Vec<Run>, InvalidRow> {
    let count = usize::try_from(reader.varint()?).map_err(|_| InvalidRow::Value)?;
    let mut runs: Vec<Run> = Vec::with_capacity(count.min(RUNS));
    let (mut seq, mut index, mut timestamp_ns, mut size) = (0_u64, 0_u64, 0_u64, 0_i64);
    for _ in 0..count {
        seq = seq.wrapping_add(reader.varint()?);
        index = index.wrapping_add(reader.varint()?);
        timestamp_ns = timestamp_ns.wrapping_add(reader.signed()? as u64);
        let ordinal = u32::try_from(reader.varint()?).map_err(|_| InvalidRow::Value)?;
        let len = reader.varint()?;
        size = size.wrapping_add(reader.signed()?);
        let run = Run {
            first_seq: seq,
            len: u32::try_from(len >> 1).map_err(|_| InvalidRow::Value)?,
            index,
            ordinal,
            whole: len & 1 != 0,
            size: u32::try_from(size).map_err(|_| InvalidRow::Value)?,
            timestamp_ns,
        };
        if run.len == 0 {
            return Err(InvalidRow::Value);
        }
        seq = run.first_seq.wrapping_add(u64::from(run.len) - 1);
        runs.push(run);
    }
    Ok(runs)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    type Step = (u32, u8, u8, u32, bool, u32, u32);

    pub(crate) fn runs() -> impl Strategy<Value = Vec<Run>> {
        prop::collection::vec(any::<Step>(), 0..64).prop_map(|steps| {
            let (mut seq, mut index, mut timestamp_ns) = (1_u64, 0_u64, 0_u64);
            steps
                .into_iter()
                .map(|(gap, index_gap, len, ordinal, whole, size, time)| {
                    index += u64::from(index_gap);
                    timestamp_ns += u64::from(time);
                    let run = Run {
                        first_seq: seq + u64::from(gap),
                        len: u32::from(len) + 1,
                        index,
                        ordinal,
                        whole,
                        size,
                        timestamp_ns,
                    };
                    seq = run.last_seq() + 1;
                    run
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn round_trip(runs in runs()) {
            prop_assert_eq!(decode(&encode(&runs)), Ok(runs));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
