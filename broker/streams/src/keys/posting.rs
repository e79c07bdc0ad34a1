//! Which sequences a subject has: runs, the last of them in the subject's own row, the others in blocks.

use mainstem_record::{Reader, Writer};

use super::{InvalidRow, Kind, of_stream, read_value, value, with_number};
use crate::command::StreamId;

/// Runs of a block; few in tests, so that there are many blocks.
pub(crate) const RUNS: usize = if cfg!(test) { 3 } else { 256 };

/// Consecutive sequences: the first, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) first: u64,
    pub(crate) len: u64,
}

impl Posting {
    pub(crate) fn end(&self) -> u64 {
        self.first + self.len
    }
}

/// What the blocks of a subject begin with.
pub(crate) fn of_subject(group: u32, stream: StreamId, subject: &[u8]) -> Vec<u8> {
    let mut key = of_stream(group, Kind::Posting, stream);
    key.extend_from_slice(&(subject.len() as u32).to_be_bytes());
    key.extend_from_slice(subject);
    key
}

/// The block that begins with that sequence.
pub(crate) fn key(group: u32, stream: StreamId, subject: &[u8], first_seq: u64) -> Vec<u8> {
    with_number(of_subject(group, stream, subject), first_seq)
}

/// The sequence in a block's key.
pub(crate) fn first_of(key: &[u8]) -> u64 {
    super::number_at_end(key).unwrap_or_default()
}

pub(crate) fn encode(postings: &[Posting]) -> Vec<u8> {
    let mut out = value();
    put(&mut out, postings);
    out
}

pub(crate) fn decode(value: &[u8]) -> Result<Vec<Posting>, InvalidRow> {
    get(&mut read_value(value)?)
}

pub(super) fn put(out: &mut Vec<u8>, postings: &[Posting]) {
    out.put_varint(postings.len() as u64);
    let mut end = 0;
    for posting in postings {
        out.put_varint(posting.first - end);
        out.put_varint(posting.len);
        end = posting.end();
    }
}

pub(super) fn get(reader: &mut Reader<'_>) -> Result<Vec<Posting>, InvalidRow> {
    let count = usize::try_from(reader.varint()?).map_err(|_| InvalidRow::Value)?;
    let mut postings = Vec::with_capacity(count.min(RUNS));
    let mut end = 0_u64;
    for _ in 0..count {
        let first = end.checked_add(reader.varint()?).ok_or(InvalidRow::Value)?;
        let len = reader.varint()?;
        end = first.checked_add(len).ok_or(InvalidRow::Value)?;
        postings.push(Posting { first, len });
    }
    Ok(postings)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn postings() -> impl Strategy<Value = Vec<Posting>> {
        prop::collection::vec(any::<(u32, u16)>(), 0..64).prop_map(|steps| {
            let mut end = 0;
            steps
                .into_iter()
                .map(|(gap, len)| {
                    let posting = Posting {
                        first: end + 1 + u64::from(gap),
                        len: u64::from(len) + 1,
                    };
                    end = posting.end();
                    posting
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn round_trip(postings in postings()) {
            prop_assert_eq!(decode(&encode(&postings)), Ok(postings));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
