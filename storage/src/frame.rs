//! A frame: entries of one group that were written together, as one value of the log.
//!
//! ```text
//! key    segment u64 BE, group u32 BE, first index u64 BE
//! value  version u8 = 1, 0 u8, 0 u16, count u32, count x end u32, data, CRC32C u32        (little-endian)
//! ```
//! Entry `first + k` is the data from end `k - 1` to end `k`. Bit 31 of an end says that the entry is not there: it was
//! cleaned away. The checksum covers the group, the first index and the value before it, so that a frame at another's
//! place is found out.

use bytes::Bytes;

use crate::log::GroupId;

const VERSION: u8 = 1;
const HEADER: usize = 8;
const CHECKSUM: usize = 4;
const ABSENT: u32 = 1 << 31;

/// Length of a frame's key.
pub const KEY: usize = 20;

/// What an entry costs in a frame besides its bytes.
pub const ENTRY_OVERHEAD: usize = 4;

/// What a frame costs on disk besides its entries, about.
pub const FRAME_OVERHEAD: usize = HEADER + CHECKSUM + KEY + 32;

/// The place of a frame. Keys are in the order of segment, group, first index.
pub fn key(segment: u64, group: GroupId, first: u64) -> [u8; KEY] {
    let mut key = [0; KEY];
    key[..8].copy_from_slice(&segment.to_be_bytes());
    key[8..12].copy_from_slice(&group.0.to_be_bytes());
    key[12..].copy_from_slice(&first.to_be_bytes());
    key
}

/// Takes a key apart; `None`: it is none.
pub fn parse_key(key: &[u8]) -> Option<(u64, GroupId, u64)> {
    let segment = u64::from_be_bytes(key.get(..8)?.try_into().ok()?);
    let group = u32::from_be_bytes(key.get(8..12)?.try_into().ok()?);
    let first = u64::from_be_bytes(key.get(12..KEY)?.try_into().ok()?);
    (key.len() == KEY).then_some((segment, GroupId(group), first))
}

fn checksum(group: GroupId, first: u64, body: &[u8]) -> u32 {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&group.0.to_le_bytes());
    place[4..].copy_from_slice(&first.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), body)
}

/// Writes a frame into `out`, replacing what is there. All entries together are shorter than 2 GiB.
pub fn encode(group: GroupId, first: u64, entries: &[Option<Bytes>], out: &mut Vec<u8>) {
    out.clear();
    let data: usize = entries.iter().flatten().map(Bytes::len).sum();
    out.reserve(HEADER + entries.len() * ENTRY_OVERHEAD + data + CHECKSUM);
    out.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    let mut end = 0u32;
    for entry in entries {
        let mark = match entry {
            Some(data) => {
                end += data.len() as u32;
                end
            }
            None => end | ABSENT,
        };
        out.extend_from_slice(&mark.to_le_bytes());
    }
    for data in entries.iter().flatten() {
        out.extend_from_slice(data);
    }
    let checksum = checksum(group, first, out);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// A frame whose checksum was right.
#[derive(Clone, Debug)]
pub struct Frame {
    first: u64,
    count: u32,
    value: Bytes,
}

impl Frame {
    /// Checks a value; the error says what is wrong with it.
    pub fn decode(group: GroupId, first: u64, value: Bytes) -> Result<Frame, &'static str> {
        let body_len = value.len().checked_sub(CHECKSUM).ok_or("a frame is too short")?;
        let (body, sum) = value.split_at(body_len);
        if body.len() < HEADER {
            return Err("a frame is too short");
        }
        if sum != checksum(group, first, body).to_le_bytes() {
            return Err("the checksum of a frame does not match");
        }
        if body[0] != VERSION {
            return Err("a frame has an unknown version");
        }
        let frame = Frame {
            first,
            count: word(body, 4),
            value,
        };
        let data = HEADER + frame.count as usize * ENTRY_OVERHEAD;
        let length = body_len
            .checked_sub(data)
            .ok_or("the entries of a frame exceed it")?;
        let mut end = 0;
        for place in 0..frame.count {
            let next = frame.end(place) & !ABSENT;
            if next < end || next as usize > length {
                return Err("the entries of a frame exceed it");
            }
            end = next;
        }
        Ok(frame)
    }

    pub fn first(&self) -> u64 {
        self.first
    }

    /// The index after the last one.
    pub fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Bytes of RAM, about.
    pub fn size(&self) -> usize {
        self.value.len() + FRAME_OVERHEAD
    }

    pub fn covers(&self, index: u64) -> bool {
        (self.first..self.next()).contains(&index)
    }

    /// An entry, as a slice of the frame; `None`: it is not there.
    pub fn get(&self, index: u64) -> Option<Bytes> {
        if !self.covers(index) {
            return None;
        }
        let place = (index - self.first) as u32;
        let end = self.end(place);
        if end & ABSENT != 0 {
            return None;
        }
        let start = if place == 0 {
            0
        } else {
            self.end(place - 1) & !ABSENT
        };
        let data = HEADER + self.count as usize * ENTRY_OVERHEAD;
        Some(self.value.slice(data + start as usize..data + end as usize))
    }

    fn end(&self, place: u32) -> u32 {
        word(&self.value, HEADER + place as usize * ENTRY_OVERHEAD)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Option<Bytes>> {
        prop::option::weighted(
            0.9,
            prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from),
        )
    }

    proptest! {
        #[test]
        fn round_trip(first in 0..u64::MAX / 2, entries in prop::collection::vec(entry(), 0..40)) {
            let mut value = Vec::new();
            encode(GroupId(7), first, &entries, &mut value);
            let frame = Frame::decode(GroupId(7), first, value.into()).unwrap();
            prop_assert_eq!(frame.next() - first, entries.len() as u64);
            for (place, entry) in entries.iter().enumerate() {
                prop_assert_eq!(&frame.get(first + place as u64), entry);
            }
            prop_assert_eq!(frame.get(frame.next()), None);
        }

        #[test]
        fn a_flipped_bit_is_found(entries in prop::collection::vec(entry(), 1..20), at: prop::sample::Index, bit in 0u32..8) {
            let mut value = Vec::new();
            encode(GroupId(7), 3, &entries, &mut value);
            let at = at.index(value.len());
            value[at] ^= 1u8 << bit;
            prop_assert!(Frame::decode(GroupId(7), 3, value.into()).is_err());
        }

        #[test]
        fn any_bytes_are_survived(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::decode(GroupId(7), 3, value.into());
        }

        #[test]
        fn keys_round_trip(segment: u64, group: u32, first: u64) {
            prop_assert_eq!(parse_key(&key(segment, GroupId(group), first)), Some((segment, GroupId(group), first)));
        }
    }

    #[test]
    fn a_frame_of_another_place_is_found() {
        let mut value = Vec::new();
        encode(GroupId(7), 3, &[Some(Bytes::from_static(b"x"))], &mut value);
        assert!(Frame::decode(GroupId(8), 3, value.clone().into()).is_err());
        assert!(Frame::decode(GroupId(7), 4, value.into()).is_err());
    }
}
