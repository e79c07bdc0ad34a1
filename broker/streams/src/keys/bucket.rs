//! Live bytes of 64 consecutive log entries.

use mainstem_record::Writer;

use super::{InvalidRow, Kind, number_at_end, of_kind, read_value, value, with_number};

/// Entries of a bucket.
pub(crate) const ENTRIES: u64 = 64;

pub(crate) fn key(group: u32, bucket: u64) -> Vec<u8> {
    with_number(of_kind(group, Kind::Bucket), bucket)
}

pub(crate) fn bucket_of(key: &[u8]) -> Option<u64> {
    number_at_end(key)
}

pub(crate) fn encode(bytes: u64) -> Vec<u8> {
    let mut out = value();
    out.put_varint(bytes);
    out
}

pub(crate) fn decode(value: &[u8]) -> Result<u64, InvalidRow> {
    Ok(read_value(value)?.varint()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(group: u32, bucket: u64, bytes: u64) {
            prop_assert_eq!(bucket_of(&key(group, bucket)), Some(bucket));
            prop_assert_eq!(decode(&encode(bytes)), Ok(bytes));
        }
    }
}
