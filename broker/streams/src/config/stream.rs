//! A stream's configuration.

use super::Metadata;

/// When messages leave a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// At the limits.
    #[default]
    Limits,
    /// When every consumer that wants a message has acknowledged it.
    Interest,
    /// When its one consumer has acknowledged it.
    WorkQueue,
}

/// Where messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    #[default]
    File,
    Memory,
}

/// What gives way at a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discard {
    /// The oldest messages.
    #[default]
    Old,
    /// The new message: it is refused.
    New,
}

/// What an acknowledged publish means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PersistMode {
    /// It is fsynced.
    #[default]
    Default,
    /// It is received, and may be lost at a crash.
    Async,
}

/// What the messages of a stream are to be compressed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    None,
    S2,
}

/// Defaults and bounds for the consumers of a stream; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamConsumerLimits {
    pub inactive_threshold_ns: i64,
    pub max_ack_pending: i64,
}

/// A stream's configuration. What is not set is 0 or empty until [`StreamConfig::validate`] fills in the defaults;
/// from then on a limit of -1 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamConfig {
    pub name: Box<str>,
    pub description: Box<str>,
    /// What it captures.
    pub subjects: Vec<Box<str>>,
    pub retention: Retention,
    pub max_consumers: i64,
    pub max_msgs: i64,
    pub max_bytes: i64,
    /// 0: no limit.
    pub max_age_ns: i64,
    pub max_msgs_per_subject: i64,
    /// Headers and payload, in bytes.
    pub max_msg_size: i32,
    pub discard: Discard,
    /// `max_msgs_per_subject` refuses new messages, instead of removing old ones.
    pub discard_new_per_subject: bool,
    pub storage: Storage,
    pub num_replicas: i32,
    /// Publishes are not answered.
    pub no_ack: bool,
    /// How long a message id is remembered.
    pub duplicate_window_ns: i64,
    /// Sequence of the first message; 0: 1.
    pub first_seq: u64,
    /// Messages can be got without the API's round trip.
    pub allow_direct: bool,
    /// The same for mirrors of it.
    pub mirror_direct: bool,
    /// Nothing comes in or goes out any more.
    pub sealed: bool,
    pub deny_delete: bool,
    pub deny_purge: bool,
    /// A message may replace what is older than it.
    pub allow_rollup: bool,
    pub consumer_limits: StreamConsumerLimits,
    pub persist_mode: PersistMode,
    /// Remembered only: what is stored is the entry as it was proposed.
    pub compression: Compression,
    pub metadata: Metadata,
}
