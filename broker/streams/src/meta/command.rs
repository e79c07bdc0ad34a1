//! Entries of the meta group: one command each, `[version u8][kind u8]` and a body.

use std::sync::Arc;

use bytes::Bytes;
use mainstem_record::{Reader, Writer};

use super::names::Placed;
use super::rows::{Invalid, name};
use crate::command::StreamId;
use crate::config::StreamConfig;
use crate::error::Error;

const VERSION: u8 = 1;
const CREATE: u8 = 1;
const UPDATE: u8 = 2;
const DELETE: u8 = 3;

/// What changes names. Time and limits stand in it, put there by the leader.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MetaCommand {
    Create {
        account: Box<str>,
        group: u32,
        created_ns: u64,
        /// Streams that the account may have; -1: no limit.
        max_streams: i64,
        config: StreamConfig,
    },
    Update {
        id: StreamId,
        config: StreamConfig,
    },
    Delete {
        id: StreamId,
    },
}

/// The stream as it is now (for a deletion: as it was), or why nothing changed.
pub(crate) type MetaOutcome = Result<Arc<Placed>, Error>;

impl MetaCommand {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        match self {
            Self::Create {
                account,
                group,
                created_ns,
                max_streams,
                config,
            } => {
                out.put_u8(CREATE);
                out.put_bytes(account.as_bytes());
                out.put_varint(u64::from(*group));
                out.put_varint(*created_ns);
                out.put_signed(*max_streams);
                config.encode(&mut out);
            }
            Self::Update { id, config } => {
                out.put_u8(UPDATE);
                out.put_varint(id.0);
                config.encode(&mut out);
            }
            Self::Delete { id } => {
                out.put_u8(DELETE);
                out.put_varint(id.0);
            }
        }
        out.into()
    }

    /// The bytes are a command.
    pub(crate) fn is_valid(bytes: &[u8]) -> bool {
        Self::decode(bytes).is_ok()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        let mut bytes = Reader::new(bytes);
        match bytes.u8()? {
            VERSION => {}
            other => return Err(Invalid::Version(other)),
        }
        match bytes.u8()? {
            CREATE => Ok(Self::Create {
                account: Box::from(name(&mut bytes)?),
                group: bytes.varint()? as u32,
                created_ns: bytes.varint()?,
                max_streams: bytes.signed()?,
                config: StreamConfig::decode(&mut bytes)?,
            }),
            UPDATE => Ok(Self::Update {
                id: StreamId(bytes.varint()?),
                config: StreamConfig::decode(&mut bytes)?,
            }),
            DELETE => Ok(Self::Delete {
                id: StreamId(bytes.varint()?),
            }),
            other => Err(Invalid::Kind(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let config = StreamConfig {
            name: "S".into(),
            ..StreamConfig::default()
        };
        for command in [
            MetaCommand::Create {
                account: "A".into(),
                group: 3,
                created_ns: 1 << 60,
                max_streams: -1,
                config: config.clone(),
            },
            MetaCommand::Update {
                id: StreamId(300),
                config,
            },
            MetaCommand::Delete { id: StreamId(7) },
        ] {
            assert_eq!(MetaCommand::decode(&command.encode()).unwrap(), command);
        }
    }
}
