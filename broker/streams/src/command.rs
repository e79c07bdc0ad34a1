//! What an entry of a group's log can ask for, and what came of it.
//!
//! A command is its kind, one byte, and a body whose form the kind says.

use mainstem_record::{InvalidRecord, Reader, Record, Truncated, Writer};

use crate::config::{ConsumerConfig, InvalidConfig, StreamConfig};
use crate::error::Error;

mod publish;

pub use publish::{Conditions, Publish, Rollup};

/// A stream of a group. Never used again for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// A consumer of a stream. Never used again for another one of that stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// A sequence of a consumer, and the stream's sequence of the message that had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqPair {
    pub consumer: u64,
    pub stream: u64,
}

/// A message that was delivered and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub stream_seq: u64,
    /// Of its first delivery.
    pub consumer_seq: u64,
    /// When it was delivered last, nanoseconds since the Unix epoch.
    pub delivered_ns: u64,
    /// How often it was delivered.
    pub count: u32,
}

/// How far a consumer has come since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub stream: StreamId,
    pub consumer: ConsumerId,
    /// The last delivery.
    pub delivered: SeqPair,
    /// Messages up to here may have been delivered when the leader is gone.
    pub reserved: u64,
    /// Delivered for the first time, or again.
    pub pending: Vec<Pending>,
    /// Acknowledged, or terminated by the client: first and last stream sequence of each range. Messages that were not
    /// delivered to the consumer may be in them, if they do not match its filters.
    pub done: Vec<(u64, u64)>,
    /// Delivered as often as allowed without being acknowledged, or no longer there.
    pub given_up: Vec<u64>,
}

/// What an entry can ask for besides [`Publish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    CreateStream {
        stream: StreamId,
        account: Box<str>,
        config: StreamConfig,
    },
    UpdateStream {
        stream: StreamId,
        config: StreamConfig,
    },
    DeleteStream {
        stream: StreamId,
    },
    /// Removes messages below `below_seq` (0: all) whose subject matches (empty: all), but for the newest `keep`.
    Purge {
        stream: StreamId,
        filter: Box<str>,
        below_seq: u64,
        keep: u64,
    },
    DeleteMessage {
        stream: StreamId,
        seq: u64,
    },
    /// Removes messages that are older.
    Expire {
        stream: StreamId,
        before_ns: u64,
    },
    /// `start_seq` is the first sequence that the consumer may get: its policy, worked out.
    CreateConsumer {
        stream: StreamId,
        consumer: ConsumerId,
        start_seq: u64,
        config: ConsumerConfig,
    },
    UpdateConsumer {
        stream: StreamId,
        consumer: ConsumerId,
        config: ConsumerConfig,
    },
    DeleteConsumer {
        stream: StreamId,
        consumer: ConsumerId,
    },
    Progress(Progress),
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Published, with that sequence: the last of it, if it takes several.
    Stored { seq: u64 },
    /// Not stored: a message with its id is there already.
    Duplicate { seq: u64 },
    /// It had no effect.
    Refused(Error),
    /// It took effect. `removed`: messages that it removed.
    Done { removed: u64 },
    /// It removed so many messages, and there are more: it is to be given again.
    Partly { removed: u64 },
}

/// Why bytes are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    #[error("command kind {0} is not known")]
    Kind(u8),
    #[error("a field has a value that is not known")]
    Value,
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    #[error(transparent)]
    Record(#[from] InvalidRecord),
    #[error(transparent)]
    Truncated(#[from] Truncated),
}

const PUBLISH: u8 = 1;
const CREATE_STREAM: u8 = 2;
const UPDATE_STREAM: u8 = 3;
const DELETE_STREAM: u8 = 4;
const PURGE: u8 = 5;
const DELETE_MESSAGE: u8 = 6;
const EXPIRE: u8 = 7;
const CREATE_CONSUMER: u8 = 8;
const UPDATE_CONSUMER: u8 = 9;
const DELETE_CONSUMER: u8 = 10;
const PROGRESS: u8 = 11;

/// A command of an entry, in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    Publish(StreamId, Publish<'a>),
    Other(Box<Command>),
}

impl<'a> Decoded<'a> {
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, InvalidCommand> {
        match bytes.first() {
            Some(&PUBLISH) => {
                let (stream, publish) = Publish::decode(&bytes[1..])?;
                Ok(Self::Publish(stream, publish))
            }
            _ => Ok(Self::Other(Box::new(Command::decode(bytes)?))),
        }
    }
}

/// The message that a command publishes; `None`: it publishes none.
pub fn record_of(command: &[u8]) -> Result<Option<(StreamId, Record<'_>)>, InvalidCommand> {
    match command.first() {
        Some(&PUBLISH) => publish::record_of(&command[1..]).map(Some),
        _ => Ok(None),
    }
}

impl Command {
    /// Appends the command.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::CreateStream {
                stream,
                account,
                config,
            } => {
                begin(out, CREATE_STREAM, *stream);
                out.put_bytes(account.as_bytes());
                config.encode(out);
            }
            Self::UpdateStream { stream, config } => {
                begin(out, UPDATE_STREAM, *stream);
                config.encode(out);
            }
            Self::DeleteStream { stream } => begin(out, DELETE_STREAM, *stream),
            Self::Purge {
                stream,
                filter,
                below_seq,
                keep,
            } => {
                begin(out, PURGE, *stream);
                out.put_bytes(filter.as_bytes());
                out.put_varint(*below_seq);
                out.put_varint(*keep);
            }
            Self::DeleteMessage { stream, seq } => {
                begin(out, DELETE_MESSAGE, *stream);
                out.put_varint(*seq);
            }
            Self::Expire { stream, before_ns } => {
                begin(out, EXPIRE, *stream);
                out.put_varint(*before_ns);
            }
            Self::CreateConsumer {
                stream,
                consumer,
                start_seq,
                config,
            } => {
                begin(out, CREATE_CONSUMER, *stream);
                out.put_varint(consumer.0);
                out.put_varint(*start_seq);
                config.encode(out);
            }
            Self::UpdateConsumer {
                stream,
                consumer,
                config,
            } => {
                begin(out, UPDATE_CONSUMER, *stream);
                out.put_varint(consumer.0);
                config.encode(out);
            }
            Self::DeleteConsumer { stream, consumer } => {
                begin(out, DELETE_CONSUMER, *stream);
                out.put_varint(consumer.0);
            }
            Self::Progress(progress) => progress.encode(out),
        }
    }

    /// Reads a command that goes to the end of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidCommand> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        let stream = StreamId(reader.varint()?);
        let reader = &mut reader;
        Ok(match kind {
            CREATE_STREAM => Self::CreateStream {
                stream,
                account: text(reader)?,
                config: StreamConfig::decode(reader)?,
            },
            UPDATE_STREAM => Self::UpdateStream {
                stream,
                config: StreamConfig::decode(reader)?,
            },
            DELETE_STREAM => Self::DeleteStream { stream },
            PURGE => Self::Purge {
                stream,
                filter: text(reader)?,
                below_seq: reader.varint()?,
                keep: reader.varint()?,
            },
            DELETE_MESSAGE => Self::DeleteMessage {
                stream,
                seq: reader.varint()?,
            },
            EXPIRE => Self::Expire {
                stream,
                before_ns: reader.varint()?,
            },
            CREATE_CONSUMER => Self::CreateConsumer {
                stream,
                consumer: ConsumerId(reader.varint()?),
                start_seq: reader.varint()?,
                config: ConsumerConfig::decode(reader)?,
            },
            UPDATE_CONSUMER => Self::UpdateConsumer {
                stream,
                consumer: ConsumerId(reader.varint()?),
                config: ConsumerConfig::decode(reader)?,
            },
            DELETE_CONSUMER => Self::DeleteConsumer {
                stream,
                consumer: ConsumerId(reader.varint()?),
            },
            PROGRESS => Self::Progress(Progress::decode(stream, reader)?),
            other => return Err(InvalidCommand::Kind(other)),
        })
    }
}

fn begin(out: &mut Vec<u8>, kind: u8, stream: StreamId) {
    out.put_u8(kind);
    out.put_varint(stream.0);
}

fn text(reader: &mut Reader<'_>) -> Result<Box<str>, InvalidCommand> {
    std::str::from_utf8(reader.bytes()?)
        .map(Box::from)
        .map_err(|_| InvalidCommand::Value)
}

impl Progress {
    fn encode(&self, out: &mut Vec<u8>) {
        begin(out, PROGRESS, self.stream);
        out.put_varint(self.consumer.0);
        out.put_varint(self.delivered.consumer);
        out.put_varint(self.delivered.stream);
        out.put_varint(self.reserved);
        out.put_varint(self.pending.len() as u64);
        for pending in &self.pending {
            pending.encode(out);
        }
        out.put_varint(self.done.len() as u64);
        for (first, last) in &self.done {
            out.put_varint(*first);
            out.put_varint(last.saturating_sub(*first));
        }
        out.put_varint(self.given_up.len() as u64);
        for seq in &self.given_up {
            out.put_varint(*seq);
        }
    }

    fn decode(stream: StreamId, reader: &mut Reader<'_>) -> Result<Self, InvalidCommand> {
        Ok(Self {
            stream,
            consumer: ConsumerId(reader.varint()?),
            delivered: SeqPair {
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
            done: {
                let count = reader.varint()?;
                (0..count)
                    .map(|_| {
                        let first = reader.varint()?;
                        Ok((first, first.saturating_add(reader.varint()?)))
                    })
                    .collect::<Result<_, InvalidCommand>>()?
            },
            given_up: {
                let count = reader.varint()?;
                (0..count).map(|_| reader.varint()).collect::<Result<_, _>>()?
            },
        })
    }
}

impl Pending {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.stream_seq);
        out.put_varint(self.consumer_seq);
        out.put_varint(self.delivered_ns);
        out.put_varint(u64::from(self.count));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, InvalidCommand> {
        Ok(Self {
            stream_seq: reader.varint()?,
            consumer_seq: reader.varint()?,
            delivered_ns: reader.varint()?,
            count: u32::try_from(reader.varint()?).map_err(|_| InvalidCommand::Value)?,
        })
    }
}
