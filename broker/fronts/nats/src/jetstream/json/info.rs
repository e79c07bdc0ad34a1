//! What the API says about streams, consumers and accounts.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mainstem_streams as streams;
use serde::{Serialize, Serializer};

use super::consumer::ConsumerConfig;
use super::is_default;
use super::stream::StreamConfig;
use super::time::Time;
use super::version;

/// How much an answer shows beside the thing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The thing, and which version serves it.
    Versions,
    /// As it stands in a list.
    Listed,
}

/// A stream.
#[derive(Debug, Serialize)]
pub(crate) struct StreamInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<StreamConfig>,
    created: Time,
    state: StreamState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<ClusterInfo>,
    /// When it was asked.
    #[serde(skip_serializing_if = "is_default")]
    ts: Time,
}

/// Who leads.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterInfo {
    pub(crate) leader: String,
}

#[derive(Debug, Serialize)]
struct StreamState {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    first_ts: Time,
    last_seq: u64,
    last_ts: Time,
    #[serde(skip_serializing_if = "is_default")]
    num_subjects: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<BTreeMap<Box<str>, u64>>,
    #[serde(skip_serializing_if = "is_default")]
    num_deleted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<u64>,
    consumer_count: usize,
}

impl StreamInfo {
    /// `now_ns`: when it was asked.
    pub(crate) fn new(info: streams::StreamInfo, shown: Shown, now_ns: u64) -> Self {
        let mut config = StreamConfig::from(info.config);
        if shown == Shown::Versions {
            version::show(&mut config.metadata);
        }
        let state = info.state;
        // A stream that never held anything has no first sequence yet.
        let is_new = state.last_seq == 0 && state.first_seq == 1;
        let subjects = info.subjects.filter(|page| page.total > 0);
        Self {
            config: Some(config),
            created: Time(info.created_ns),
            state: StreamState {
                messages: state.msgs,
                bytes: state.bytes,
                first_seq: if is_new { 0 } else { state.first_seq },
                first_ts: Time(state.first_ts_ns),
                last_seq: state.last_seq,
                last_ts: Time(state.last_ts_ns),
                num_subjects: state.num_subjects,
                subjects: subjects.map(|page| page.items.into_iter().collect()),
                num_deleted: state.num_deleted,
                deleted: info.deleted.unwrap_or_default(),
                consumer_count: state.consumers,
            },
            domain: None,
            cluster: None,
            ts: Time(now_ns),
        }
    }

    /// As a detail of monitoring, which shows the configuration only if asked to.
    pub(crate) fn into_detail(self, with_config: bool) -> Self {
        Self {
            config: self.config.filter(|_| with_config),
            ts: Time::default(),
            ..self
        }
    }
}

/// A consumer.
#[derive(Debug, Serialize)]
pub(crate) struct ConsumerInfo {
    stream_name: String,
    name: String,
    created: Time,
    config: ConsumerConfig,
    delivered: Sequences,
    ack_floor: Sequences,
    num_ack_pending: usize,
    num_redelivered: usize,
    num_waiting: usize,
    num_pending: u64,
    #[serde(skip_serializing_if = "is_default")]
    push_bound: bool,
    ts: Time,
}

#[derive(Debug, Serialize)]
struct Sequences {
    consumer_seq: u64,
    stream_seq: u64,
    #[serde(skip_serializing_if = "is_default")]
    last_active: Time,
}

impl From<streams::SeqInfo> for Sequences {
    fn from(info: streams::SeqInfo) -> Self {
        Self {
            consumer_seq: info.consumer,
            stream_seq: info.stream,
            last_active: Time(info.last_active_ns),
        }
    }
}

impl ConsumerInfo {
    /// `now_ns`: when it was asked.
    pub(crate) fn new(info: streams::ConsumerInfo, shown: Shown, now_ns: u64) -> Self {
        let mut config = ConsumerConfig::from(info.config);
        if shown == Shown::Versions {
            version::show(&mut config.metadata);
        }
        Self {
            stream_name: info.stream.to_string(),
            name: info.name.to_string(),
            created: Time(info.created_ns),
            config,
            delivered: info.delivered.into(),
            ack_floor: info.ack_floor.into(),
            num_ack_pending: info.num_ack_pending,
            num_redelivered: info.num_redelivered,
            num_waiting: info.num_waiting,
            num_pending: info.num_pending,
            push_bound: info.push_bound,
            ts: Time(now_ns),
        }
    }
}

/// An account: what it uses and what it may use.
#[derive(Debug, Serialize)]
pub(crate) struct AccountInfo {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    streams: usize,
    consumers: usize,
    limits: AccountLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<Box<str>>,
    api: ApiStats,
}

#[derive(Debug, Serialize)]
struct AccountLimits {
    max_memory: i64,
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
    max_ack_pending: i64,
    memory_max_stream_bytes: i64,
    storage_max_stream_bytes: i64,
    max_bytes_required: bool,
}

/// How often the API was used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ApiStats {
    pub(crate) level: u32,
    pub(crate) total: u64,
    pub(crate) errors: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) inflight: u64,
}

impl AccountInfo {
    pub(crate) fn new(info: &streams::AccountInfo, api: ApiStats) -> Self {
        let limits = info.limits;
        Self {
            memory: info.memory_bytes,
            storage: info.store_bytes,
            reserved_memory: info.reserved_memory_bytes,
            reserved_storage: info.reserved_store_bytes,
            streams: info.streams,
            consumers: info.consumers,
            limits: AccountLimits {
                max_memory: limits.max_memory_bytes,
                max_storage: limits.max_store_bytes,
                max_streams: limits.max_streams,
                max_consumers: limits.max_consumers,
                max_ack_pending: limits.max_ack_pending,
                memory_max_stream_bytes: limits.memory_max_stream_bytes,
                storage_max_stream_bytes: limits.store_max_stream_bytes,
                max_bytes_required: limits.max_bytes_required,
            },
            domain: None,
            api,
        }
    }
}

/// A stored message.
#[derive(Debug, Serialize)]
pub(crate) struct StoredMessage {
    subject: String,
    seq: u64,
    #[serde(skip_serializing_if = "Base64::is_empty")]
    hdrs: Base64,
    #[serde(skip_serializing_if = "Base64::is_empty")]
    data: Base64,
    time: Time,
}

impl StoredMessage {
    pub(crate) fn new(message: streams::StoredMessage, headers: bool) -> Self {
        let hdrs = if headers {
            message.headers
        } else {
            bytes::Bytes::new()
        };
        Self {
            subject: String::from_utf8_lossy(&message.subject).into_owned(),
            seq: message.seq,
            hdrs: Base64(hdrs),
            data: Base64(message.payload),
            time: Time(message.timestamp_ns),
        }
    }
}

/// Bytes, written in base64.
#[derive(Debug)]
struct Base64(bytes::Bytes);

impl Base64 {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

/// Which part of a list an answer holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Paged {
    pub(crate) total: usize,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// Done.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Success {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) success: bool,
}

impl Success {
    pub(crate) const DONE: Self = Self { success: true };
}
