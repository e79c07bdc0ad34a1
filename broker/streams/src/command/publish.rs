//! Publishing: a message, and what has to hold for it to be stored.

use mainstem_record::{Reader, Record, Writer};

use super::{InvalidCommand, StreamId};

/// What a message removes once it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rollup {
    #[default]
    None,
    /// All older messages of its subject.
    Subject,
    /// All older messages.
    All,
}

/// What has to hold for a message to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// No message with this id was stored within the duplicate window; empty: it has none.
    pub msg_id: &'a [u8],
    /// The stream's name.
    pub expected_stream: Option<&'a [u8]>,
    /// The stream's last sequence.
    pub expected_last_seq: Option<u64>,
    /// The id of the last message.
    pub expected_last_msg_id: Option<&'a [u8]>,
    /// The last sequence of `expected_subject`; 0: there is none.
    pub expected_last_subject_seq: Option<u64>,
    /// The subject for that, if it is not the message's own. May have wildcards.
    pub expected_subject: Option<&'a [u8]>,
    pub rollup: Rollup,
}

/// A message to store, under conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    pub conditions: Conditions<'a>,
    pub record: Record<'a>,
}

const MSG_ID: u8 = 1;
const STREAM: u8 = 1 << 1;
const LAST_SEQ: u8 = 1 << 2;
const LAST_MSG_ID: u8 = 1 << 3;
const LAST_SUBJECT_SEQ: u8 = 1 << 4;
const SUBJECT: u8 = 1 << 5;
const ROLLUP_SUBJECT: u8 = 1 << 6;
const ROLLUP_ALL: u8 = 1 << 7;

impl<'a> Publish<'a> {
    /// Appends the command.
    pub fn encode(&self, stream: StreamId, out: &mut Vec<u8>) {
        super::begin(out, super::PUBLISH, stream);
        self.conditions.encode(out);
        self.record.encode(out);
    }

    /// Reads the command's body, behind its kind.
    #[inline]
    pub(super) fn decode(body: &'a [u8]) -> Result<(StreamId, Self), InvalidCommand> {
        let mut reader = Reader::new(body);
        let stream = StreamId(reader.varint()?);
        let conditions = Conditions::decode(&mut reader)?;
        let record = Record::decode(reader.rest())?;
        Ok((stream, Self { conditions, record }))
    }
}

pub(super) fn record_of(body: &[u8]) -> Result<(StreamId, Record<'_>), InvalidCommand> {
    let (stream, publish) = Publish::decode(body)?;
    Ok((stream, publish.record))
}

impl<'a> Conditions<'a> {
    /// Nothing has to hold, and nothing is removed.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.flags() == 0
    }

    fn flags(&self) -> u8 {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let rollup = match self.rollup {
            Rollup::None => 0,
            Rollup::Subject => ROLLUP_SUBJECT,
            Rollup::All => ROLLUP_ALL,
        };
        rollup
            | flag(!self.msg_id.is_empty(), MSG_ID)
            | flag(self.expected_stream.is_some(), STREAM)
            | flag(self.expected_last_seq.is_some(), LAST_SEQ)
            | flag(self.expected_last_msg_id.is_some(), LAST_MSG_ID)
            | flag(self.expected_last_subject_seq.is_some(), LAST_SUBJECT_SEQ)
            | flag(self.expected_subject.is_some(), SUBJECT)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.flags());
        if !self.msg_id.is_empty() {
            out.put_bytes(self.msg_id);
        }
        if let Some(name) = self.expected_stream {
            out.put_bytes(name);
        }
        if let Some(seq) = self.expected_last_seq {
            out.put_varint(seq);
        }
        if let Some(id) = self.expected_last_msg_id {
            out.put_bytes(id);
        }
        if let Some(seq) = self.expected_last_subject_seq {
            out.put_varint(seq);
        }
        if let Some(subject) = self.expected_subject {
            out.put_bytes(subject);
        }
    }

    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, InvalidCommand> {
        let flags = reader.u8()?;
        if flags == 0 {
            return Ok(Self::default());
        }
        let is_set = |flag: u8| flags & flag != 0;
        Ok(Self {
            msg_id: if is_set(MSG_ID) { reader.bytes()? } else { &[] },
            expected_stream: is_set(STREAM).then(|| reader.bytes()).transpose()?,
            expected_last_seq: is_set(LAST_SEQ).then(|| reader.varint()).transpose()?,
            expected_last_msg_id: is_set(LAST_MSG_ID).then(|| reader.bytes()).transpose()?,
            expected_last_subject_seq: is_set(LAST_SUBJECT_SEQ).then(|| reader.varint()).transpose()?,
            expected_subject: is_set(SUBJECT).then(|| reader.bytes()).transpose()?,
            rollup: match (is_set(ROLLUP_SUBJECT), is_set(ROLLUP_ALL)) {
                (false, false) => Rollup::None,
                (true, false) => Rollup::Subject,
                (false, true) => Rollup::All,
                (true, true) => return Err(InvalidCommand::Value),
            },
        })
    }
}
