//! Questions to the service, and their answers.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{ConsumerConfig, StreamConfig};

/// What is wanted of a stream's details.
#[derive(Clone, Debug, Default)]
pub struct InfoOptions {
    /// List the sequences that were removed between the first and the last.
    pub deleted_details: bool,
    /// List the subjects that match, with their counts.
    pub subjects_filter: Option<Box<str>>,
    /// Subjects to skip.
    pub offset: usize,
}

/// A stream and what it holds.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    pub config: StreamConfig,
    /// Nanoseconds since the Unix epoch.
    pub created_ns: u64,
    pub state: StreamSummary,
    /// Pages of subjects: as asked for.
    pub subjects: Option<Page<(Box<str>, u64)>>,
    /// Sequences that were removed between the first and the last: as asked for.
    pub deleted: Option<Vec<u64>>,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamSummary {
    pub msgs: u64,
    pub bytes: u64,
    pub first_seq: u64,
    /// 0: there is none.
    pub first_ts_ns: u64,
    pub last_seq: u64,
    /// 0: there is none.
    pub last_ts_ns: u64,
    pub num_subjects: u64,
    pub num_deleted: u64,
    pub consumers: usize,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Items of the whole list.
    pub total: usize,
    /// Items that were skipped.
    pub offset: usize,
}

/// What to remove from a stream.
#[derive(Clone, Debug, Default)]
pub struct PurgeOptions {
    /// Only messages whose subject matches; none: all.
    pub filter: Option<Box<str>>,
    /// Only messages below this sequence; 0: all.
    pub below_seq: u64,
    /// Keep that many of the newest.
    pub keep: u64,
}

/// Which message is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetMessage {
    Seq(u64),
    LastBySubject(Box<str>),
    /// The first at or after `seq` whose subject matches.
    NextBySubject {
        subject: Box<str>,
        seq: u64,
    },
    /// The first at or after a time.
    Since {
        subject: Option<Box<str>>,
        start_ns: u64,
    },
}

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    pub seq: u64,
    pub timestamp_ns: u64,
    pub subject: Bytes,
    pub headers: Bytes,
    pub payload: Bytes,
    /// Sequence of the message that held the subject before it; 0: none, or not asked for.
    pub last_seq: u64,
    /// Messages that match after this one; not asked for: 0.
    pub pending: u64,
}

/// Several messages at once: the pages of direct get.
#[derive(Clone, Debug, Default)]
pub struct GetBatch {
    /// Filters of which the messages that match are wanted; for `multi_last`, the last of each subject that matches.
    pub subjects: Vec<Box<str>>,
    /// The last message of each subject instead of one after the other.
    pub multi_last: bool,
    /// First sequence.
    pub seq: u64,
    /// First time, where there is no sequence.
    pub start_ns: Option<u64>,
    /// Only what was there when this sequence was the last; 0: all.
    pub up_to_seq: u64,
    /// Only what was there before this time.
    pub up_to_ns: Option<u64>,
    /// Messages at most; 0: as many as there are, up to a bound.
    pub batch: usize,
    /// Bytes at most; 0: a bound of the service.
    pub max_bytes: usize,
}

/// What a request to create a consumer may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    #[default]
    CreateOrUpdate,
    Create,
    Update,
}

/// A pair of sequences: of the consumer, and of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqInfo {
    pub consumer: u64,
    pub stream: u64,
    /// When it last moved, nanoseconds since the Unix epoch; 0: never.
    pub last_active_ns: u64,
}

/// A consumer and where it is.
#[derive(Clone, Debug)]
pub struct ConsumerInfo {
    pub stream: Arc<str>,
    pub name: Arc<str>,
    pub created_ns: u64,
    pub config: ConsumerConfig,
    pub delivered: SeqInfo,
    pub ack_floor: SeqInfo,
    pub num_ack_pending: usize,
    pub num_redelivered: usize,
    pub num_waiting: usize,
    pub num_pending: u64,
    /// A push consumer whose deliver subject somebody subscribes to.
    pub push_bound: bool,
}

/// What an account may use. -1: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    pub max_memory_bytes: i64,
    pub max_store_bytes: i64,
    pub max_streams: i64,
    /// Consumers of one stream.
    pub max_consumers: i64,
    /// Largest `max_ack_pending` of a consumer.
    pub max_ack_pending: i64,
    /// Largest `max_bytes` of a memory stream.
    pub memory_max_stream_bytes: i64,
    /// Largest `max_bytes` of a file stream.
    pub store_max_stream_bytes: i64,
    /// Streams have to set `max_bytes`.
    pub max_bytes_required: bool,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            max_memory_bytes: -1,
            max_store_bytes: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            store_max_stream_bytes: -1,
            max_bytes_required: false,
        }
    }
}

/// What an account uses, and what it may use.
#[derive(Clone, Debug, Default)]
pub struct AccountInfo {
    pub memory_bytes: u64,
    pub store_bytes: u64,
    /// `max_bytes` of its streams added up.
    pub reserved_memory_bytes: u64,
    pub reserved_store_bytes: u64,
    pub streams: usize,
    pub consumers: usize,
    pub limits: AccountLimits,
}

/// What a client that pulls asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// Messages; 0 counts as 1.
    pub batch: u64,
    /// How long the request waits; 0: no end, or not at all with `no_wait`.
    pub expires_ns: u64,
    pub no_wait: bool,
    /// Bytes; 0: no limit.
    pub max_bytes: u64,
    /// 0: none.
    pub idle_heartbeat_ns: u64,
    /// Where the messages go.
    pub reply: Bytes,
}

/// What a client says about a message that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckKind {
    Ack,
    /// Deliver it again, after a delay.
    Nak {
        delay_ns: u64,
    },
    /// Still at work: the time to acknowledge begins anew.
    Progress,
    /// Never deliver it again.
    Term {
        reason: String,
    },
    /// Acknowledged; and a request for more, with the acknowledgement's reply subject.
    Next(PullRequest),
}

/// An acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    pub kind: AckKind,
    pub stream_seq: u64,
    pub consumer_seq: u64,
    /// How often the message had been delivered.
    pub delivered: u64,
    /// Where a confirmation is awaited, after commit.
    pub reply: Option<Bytes>,
}
