//! What a group remembers besides its streams: the time of its last entry.

use mainstem_record::Writer;

use super::{InvalidRow, Kind, of_kind, read_value, value};

pub(crate) fn key(group: u32) -> Vec<u8> {
    of_kind(group, Kind::Group)
}

pub(crate) fn encode(last_ns: u64) -> Vec<u8> {
    let mut out = value();
    out.put_varint(last_ns);
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
        fn round_trip(last_ns: u64) {
            prop_assert_eq!(decode(&encode(last_ns)), Ok(last_ns));
        }
    }
}
