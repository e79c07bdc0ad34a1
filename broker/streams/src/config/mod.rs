//! How streams and consumers are configured. The names are NATS's; what is not served yet has no field.

mod codec;
mod consumer;
mod consumer_check;
mod stream;
mod stream_check;

pub use codec::InvalidConfig;
pub use consumer::{AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy};
pub use consumer_check::{ConsumerLimits, check_consumer_update};
pub use stream::{Compression, Discard, PersistMode, Retention, Storage, StreamConfig, StreamConsumerLimits};
pub use stream_check::{StreamLimits, check_stream_update};

use std::collections::BTreeMap;

/// Longest name of a stream or a durable consumer, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 4 * 1024;
/// Most bytes of keys and values of the metadata.
pub const MAX_METADATA_BYTES: usize = 128 * 1024;

/// What users attach to a stream or a consumer.
pub type Metadata = BTreeMap<Box<str>, Box<str>>;

/// What a stream or a consumer may be called: one token that is also a file name.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && !name.bytes().any(|byte| {
            matches!(
                byte,
                b'.' | b'*' | b'>' | b'\\' | b'/' | b' ' | b'\t' | b'\r' | b'\n' | 0x0c
            )
        })
}

fn metadata_bytes(metadata: &Metadata) -> usize {
    metadata.iter().map(|(key, value)| key.len() + value.len()).sum()
}
