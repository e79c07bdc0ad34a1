//! A stored message, as consumers get it.

use bytes::Bytes;
use mainstem_record::Record;

use super::Position;
use super::context::record_at;

/// A message: slices of the entry that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub seq: u64,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    pub subject: Bytes,
    /// A block of headers as NATS writes them; empty: none.
    pub headers: Bytes,
    pub payload: Bytes,
}

impl Message {
    /// Finds the message in its entry; `None`: it is not there any more. Of a record that covers several messages, the
    /// payload is the record's.
    pub fn read(entry: &Bytes, position: &Position) -> Option<Self> {
        let (subject, headers, payload) = match record_at(entry, position)? {
            Record::Native(native) => (native.subject, native.headers, native.payload),
            Record::Batch(batch) => (batch.subject, &[][..], batch.data),
            Record::Reference(_) => return None,
        };
        Some(Self {
            seq: position.seq,
            timestamp_ns: position.timestamp_ns,
            subject: entry.slice_ref(subject),
            headers: entry.slice_ref(headers),
            payload: entry.slice_ref(payload),
        })
    }
}
