//! Records of the simulated files.
//!
//! ```text
//! length u32, CRC32C u32, then: kind u8, group u32, index u64, data        (little-endian)
//! ```

use bytes::Bytes;

use crate::log::GroupId;

const HEADER: usize = 8;
const FIXED: usize = 13;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: u8,
    pub group: GroupId,
    pub index: u64,
    pub data: Bytes,
}

pub const ENTRY: u8 = 1;
pub const TRUNCATE: u8 = 2;
pub const PURGE: u8 = 3;
pub const NOTE: u8 = 4;
/// An entry as cleaning left it.
pub const STRIPPED: u8 = 5;
pub const CLEANED: u8 = 6;
pub const BATCH: u8 = 7;

impl Record {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut body = vec![self.kind];
        body.extend_from_slice(&self.group.0.to_le_bytes());
        body.extend_from_slice(&self.index.to_le_bytes());
        body.extend_from_slice(&self.data);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        out.extend_from_slice(&body);
    }
}

/// The records of a file up to the first that is not whole, and how long they are.
pub fn decode(file: Vec<u8>) -> (Vec<Record>, usize) {
    let file = Bytes::from(file);
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((record, length)) = decode_one(&file, at) {
        records.push(record);
        at += length;
    }
    (records, at)
}

fn decode_one(file: &Bytes, at: usize) -> Option<(Record, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let length = word(at)? as usize;
    let start = at + HEADER;
    let body = file.get(start..start.checked_add(length)?)?;
    if length < FIXED || crc32c::crc32c(body) != word(at + 4)? {
        return None;
    }
    let record = Record {
        kind: body[0],
        group: GroupId(word(start + 1)?),
        index: u64::from_le_bytes(body[5..FIXED].try_into().ok()?),
        data: file.slice(start + FIXED..start + length),
    };
    Some((record, HEADER + length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_round_trip(kind: u8, group: u32, index: u64, data: Vec<u8>, cut in 0usize..21) {
            let record = Record { kind, group: GroupId(group), index, data: data.into() };
            let mut file = Vec::new();
            record.encode(&mut file);
            let whole = file.len();
            record.encode(&mut file);
            file.truncate(file.len() - cut);
            let (records, length) = decode(file);
            prop_assert_eq!(&records[0], &record);
            prop_assert_eq!(length, if cut == 0 { 2 * whole } else { whole });
        }

        #[test]
        fn any_bytes_are_survived(file: Vec<u8>) {
            let _ = decode(file);
        }
    }
}
