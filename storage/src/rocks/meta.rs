//! Rows of the log's `meta` column family: notes, purge points and where closed segments' entries are.
//!
//! ```text
//! 'n' group u32 BE, note u8          a note
//! 'f' group u32 BE                   first index that is not purged, u64
//! 'a'                                the segment that is written to, u64
//! 'd' segment u64 BE, group u32 BE   version u8 = 1, then (first u64, last u64, bytes u64) for each run     (little-endian)
//! ```

use crate::directory::Run;
use crate::log::{GroupId, Note};

const VERSION: u8 = 1;

pub const NOTE: u8 = b'n';
pub const FIRST: u8 = b'f';
pub const ACTIVE: u8 = b'a';
pub const DIRECTORY: u8 = b'd';

pub fn note_key(group: GroupId, note: Note) -> [u8; 6] {
    let [a, b, c, d] = group.0.to_be_bytes();
    [NOTE, a, b, c, d, note as u8]
}

pub fn first_key(group: GroupId) -> [u8; 5] {
    let [a, b, c, d] = group.0.to_be_bytes();
    [FIRST, a, b, c, d]
}

pub fn directory_key(segment: u64, group: GroupId) -> [u8; 13] {
    let mut key = [DIRECTORY; 13];
    key[1..9].copy_from_slice(&segment.to_be_bytes());
    key[9..].copy_from_slice(&group.0.to_be_bytes());
    key
}

pub fn encode_runs<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<u8> {
    let mut row = vec![VERSION];
    for run in runs {
        for field in [run.first, run.last, run.bytes] {
            row.extend_from_slice(&field.to_le_bytes());
        }
    }
    row
}

/// The runs of a row; `None`: it is not one.
pub fn decode_runs(segment: u64, row: &[u8]) -> Option<Vec<Run>> {
    let (&VERSION, fields) = row.split_first()? else {
        return None;
    };
    if fields.len() % 24 != 0 {
        return None;
    }
    let run = |fields: &[u8]| {
        let field = |at: usize| u64::from_le_bytes(fields[at..at + 8].try_into().unwrap_or_default());
        let run = Run {
            first: field(0),
            last: field(8),
            bytes: field(16),
            segment,
        };
        (run.first <= run.last && run.last < u64::MAX).then_some(run)
    };
    fields.chunks_exact(24).map(run).collect()
}

/// What a row of the column family says.
#[derive(Debug, PartialEq, Eq)]
pub enum Row<'a> {
    Note(GroupId, u8, &'a [u8]),
    First(GroupId, u64),
    Active(u64),
    Directory(GroupId, Vec<Run>),
}

/// Takes a row apart; `None`: it is not one.
pub fn parse<'a>(key: &[u8], value: &'a [u8]) -> Option<Row<'a>> {
    let (kind, key) = key.split_first()?;
    let number = || Some(u64::from_le_bytes(value.try_into().ok()?));
    let group = |key: &[u8]| Some(GroupId(u32::from_be_bytes(key.try_into().ok()?)));
    match (*kind, key.len()) {
        (NOTE, 5) => Some(Row::Note(group(&key[..4])?, key[4], value)),
        (FIRST, 4) => Some(Row::First(group(key)?, number()?)),
        (ACTIVE, 0) => Some(Row::Active(number()?)),
        (DIRECTORY, 12) => {
            let segment = u64::from_be_bytes(key[..8].try_into().ok()?);
            Some(Row::Directory(group(&key[8..])?, decode_runs(segment, value)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn directory_rows_round_trip(
            segment: u64,
            group: u32,
            fields in prop::collection::vec((0..u64::MAX / 2, 0..u64::MAX / 4, any::<u64>()), 0..5),
        ) {
            let runs: Vec<Run> = fields
                .into_iter()
                .map(|(first, more, bytes)| Run { first, last: first + more, segment, bytes })
                .collect();
            let key = directory_key(segment, GroupId(group));
            let row = encode_runs(&runs);
            prop_assert_eq!(parse(&key, &row), Some(Row::Directory(GroupId(group), runs)));
        }

        #[test]
        fn small_rows_round_trip(group: u32, index: u64, value: Vec<u8>) {
            let group = GroupId(group);
            let note = parse(&note_key(group, Note::Vote), &value);
            prop_assert_eq!(note, Some(Row::Note(group, Note::Vote as u8, &value)));
            let bytes = index.to_le_bytes();
            prop_assert_eq!(parse(&first_key(group), &bytes), Some(Row::First(group, index)));
            prop_assert_eq!(parse(&[ACTIVE], &bytes), Some(Row::Active(index)));
        }

        #[test]
        fn any_bytes_are_survived(key: Vec<u8>, value: Vec<u8>) {
            let _ = parse(&key, &value);
        }
    }
}
