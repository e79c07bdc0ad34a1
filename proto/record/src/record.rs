//! Records: messages as they are stored, whatever protocol they came by.
//!
//! `[version u8][form u8]`, then by form: *native* `[origin u8][subject][headers][properties][payload ...]`; *batch*
//! `[origin u8][messages varint][subject][properties][data ...]`; *reference* `[index varint][ordinal varint]`. Parts in
//! brackets have their length before them; the last one goes to the end.

use crate::codec::{Reader, Truncated, Writer};

const VERSION: u8 = 1;
const NATIVE: u8 = 1;
const BATCH: u8 = 2;
const REFERENCE: u8 = 3;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecord {
    #[error("record version {0} is not known")]
    Version(u8),
    #[error("record form {0} is not known")]
    Form(u8),
    #[error("the record {0}")]
    Truncated(#[from] Truncated),
}

/// The protocol that a message came by. Others than those named are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin(pub u8);

impl Origin {
    pub const NATS: Self = Self(0);
    pub const MQTT: Self = Self(1);
    pub const AMQP: Self = Self(2);
    pub const STOMP: Self = Self(3);
    pub const KAFKA: Self = Self(4);
}

/// One message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Native<'a> {
    pub origin: Origin,
    pub subject: &'a [u8],
    /// A block of headers as NATS writes them, with its first line; empty: none.
    pub headers: &'a [u8],
    /// What the origin knows of the message and headers can not say, in the origin's own form.
    pub properties: &'a [u8],
    pub payload: &'a [u8],
}

/// Messages that are kept whole, as their origin wrote them. They take `messages` sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    pub origin: Origin,
    pub messages: u32,
    pub subject: &'a [u8],
    pub properties: &'a [u8],
    pub data: &'a [u8],
}

/// A record of the same group that is stored already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reference {
    /// Its entry.
    pub index: u64,
    /// Its place in the entry.
    pub ordinal: u32,
}

/// What is stored of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    Native(Native<'a>),
    Batch(Batch<'a>),
    Reference(Reference),
}

impl<'a> Record<'a> {
    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        match self {
            Self::Native(native) => native.encode(out),
            Self::Batch(batch) => batch.encode(out),
            Self::Reference(reference) => {
                out.put_u8(REFERENCE);
                out.put_varint(reference.index);
                out.put_varint(u64::from(reference.ordinal));
            }
        }
    }

    /// Reads a record that goes to the end of `bytes`.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, InvalidRecord> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(InvalidRecord::Version(version));
        }
        match reader.u8()? {
            NATIVE => Ok(Self::Native(Native {
                origin: Origin(reader.u8()?),
                subject: reader.bytes()?,
                headers: reader.bytes()?,
                properties: reader.bytes()?,
                payload: reader.rest(),
            })),
            BATCH => Ok(Self::Batch(Batch {
                origin: Origin(reader.u8()?),
                messages: narrow(reader.varint()?)?,
                subject: reader.bytes()?,
                properties: reader.bytes()?,
                data: reader.rest(),
            })),
            REFERENCE => Ok(Self::Reference(Reference {
                index: reader.varint()?,
                ordinal: narrow(reader.varint()?)?,
            })),
            form => Err(InvalidRecord::Form(form)),
        }
    }

    /// Sequences that it takes.
    pub fn messages(&self) -> u32 {
        match self {
            Self::Batch(batch) => batch.messages.max(1),
            Self::Native(_) | Self::Reference(_) => 1,
        }
    }
}

impl Native<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(NATIVE);
        out.put_u8(self.origin.0);
        out.put_bytes(self.subject);
        out.put_bytes(self.headers);
        out.put_bytes(self.properties);
        out.extend_from_slice(self.payload);
    }
}

impl Batch<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(BATCH);
        out.put_u8(self.origin.0);
        out.put_varint(u64::from(self.messages));
        out.put_bytes(self.subject);
        out.put_bytes(self.properties);
        out.extend_from_slice(self.data);
    }
}

fn narrow(value: u64) -> Result<u32, InvalidRecord> {
    u32::try_from(value).map_err(|_| InvalidRecord::Truncated(Truncated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(record: Record<'_>) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        record.encode(&mut out);
        prop_assert_eq!(Record::decode(&out), Ok(record));
        for end in 0..2.min(out.len()) {
            prop_assert!(Record::decode(&out[..end]).is_err());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn native_round_trip(origin: u8, subject: Vec<u8>, headers: Vec<u8>, properties: Vec<u8>, payload: Vec<u8>) {
            check(Record::Native(Native {
                origin: Origin(origin),
                subject: &subject,
                headers: &headers,
                properties: &properties,
                payload: &payload,
            }))?;
        }

        #[test]
        fn batch_round_trip(origin: u8, messages: u32, subject: Vec<u8>, properties: Vec<u8>, data: Vec<u8>) {
            check(Record::Batch(Batch {
                origin: Origin(origin),
                messages,
                subject: &subject,
                properties: &properties,
                data: &data,
            }))?;
        }

        #[test]
        fn reference_round_trip(index: u64, ordinal: u32) {
            check(Record::Reference(Reference { index, ordinal }))?;
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert_eq!(Record::decode(&[9, 1]), Err(InvalidRecord::Version(9)));
        assert_eq!(Record::decode(&[1, 9]), Err(InvalidRecord::Form(9)));
    }
}
