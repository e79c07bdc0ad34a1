//! Rows of the meta group: `[group u32][1][stream id u64]` for a stream, `[group u32][2]` for the next id. Keys are
//! big-endian; values begin with their version.

use std::path::PathBuf;
use std::sync::Arc;

use mainstem_record::{Reader, Truncated, Writer};
use mainstem_storage::{GroupId, StorageError};

use super::names::Placed;
use crate::command::StreamId;
use crate::config::{InvalidConfig, StreamConfig};

const VERSION: u8 = 1;
const STREAM: u8 = 1;
const NEXT_ID: u8 = 2;

/// A row as it is read.
#[derive(Debug, PartialEq)]
pub(super) enum Row {
    Stream(Placed),
    NextId(u64),
}

/// Why something of the meta group can not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error("version {0} is not known")]
    Version(u8),
    #[error("kind {0} is not known")]
    Kind(u8),
    #[error("a key has a wrong length")]
    Key,
    #[error("a name is not UTF-8")]
    Name,
    #[error(transparent)]
    Truncated(#[from] Truncated),
    #[error(transparent)]
    Config(#[from] InvalidConfig),
}

impl From<Invalid> for StorageError {
    fn from(invalid: Invalid) -> Self {
        Self::Damaged {
            file: PathBuf::from("meta group"),
            offset: 0,
            what: invalid.to_string(),
        }
    }
}

/// Where the group's rows begin.
pub(super) fn first(group: GroupId) -> Vec<u8> {
    key(group, STREAM)
}

pub(super) fn is_of(group: GroupId, key: &[u8]) -> bool {
    key.starts_with(&group.0.to_be_bytes())
}

pub(super) fn stream_key(group: GroupId, id: StreamId) -> Vec<u8> {
    let mut key = key(group, STREAM);
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

pub(super) fn next_id_key(group: GroupId) -> Vec<u8> {
    key(group, NEXT_ID)
}

fn key(group: GroupId, kind: u8) -> Vec<u8> {
    let mut key = group.0.to_be_bytes().to_vec();
    key.push(kind);
    key
}

pub(super) fn encode_next_id(next: u64) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.put_varint(next);
    value
}

pub(super) fn encode(placed: &Placed) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.put_bytes(placed.account.as_bytes());
    value.put_varint(u64::from(placed.group));
    value.put_varint(placed.created_ns);
    placed.config.encode(&mut value);
    value
}

pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Row, Invalid> {
    let (kind, rest) = key.get(4..).and_then(<[u8]>::split_first).ok_or(Invalid::Key)?;
    let mut value = Reader::new(value);
    match value.u8()? {
        VERSION => {}
        other => return Err(Invalid::Version(other)),
    }
    match *kind {
        STREAM => {
            let id: [u8; 8] = rest.try_into().map_err(|_| Invalid::Key)?;
            Ok(Row::Stream(Placed {
                id: StreamId(u64::from_be_bytes(id)),
                account: Arc::from(name(&mut value)?),
                group: value.varint()? as u32,
                created_ns: value.varint()?,
                config: Arc::new(StreamConfig::decode(&mut value)?),
            }))
        }
        NEXT_ID => Ok(Row::NextId(value.varint()?)),
        other => Err(Invalid::Kind(other)),
    }
}

pub(super) fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Invalid> {
    std::str::from_utf8(reader.bytes()?).map_err(|_| Invalid::Name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            id: u64,
            group: u32,
            created_ns: u64,
            account in "[a-zA-Z$_-]{1,20}",
            subjects in proptest::collection::vec("[a-z.*>]{1,20}", 0..4),
        ) {
            let subjects = subjects.into_iter().map(Box::from).collect();
            let config = StreamConfig { name: "S".into(), subjects, ..StreamConfig::default() };
            let placed = Placed {
                id: StreamId(id),
                account: Arc::from(account),
                group,
                created_ns,
                config: Arc::new(config),
            };
            let key = stream_key(GroupId(0), placed.id);
            prop_assert_eq!(decode(&key, &encode(&placed)).unwrap(), Row::Stream(placed));
            let next = decode(&next_id_key(GroupId(0)), &encode_next_id(id)).unwrap();
            prop_assert_eq!(next, Row::NextId(id));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(key: Vec<u8>, value: Vec<u8>) {
            let _ = decode(&key, &value);
        }
    }
}
