//! A stream's configuration in nats-server's JSON.

use mainstem_streams::config::{self, Compression, Discard, Metadata, PersistMode, Retention, Storage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{is_default, unset};

/// A stream's configuration, as clients send it and as they get it back. What stands only in requests that are refused
/// is read as it is and never written.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct StreamConfig {
    pub(crate) name: Box<str>,
    #[serde(skip_serializing_if = "is_default")]
    description: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subjects: Vec<Box<str>>,
    #[serde(with = "RetentionName")]
    retention: Retention,
    max_consumers: i64,
    max_msgs: i64,
    max_bytes: i64,
    max_age: i64,
    max_msgs_per_subject: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_msg_size: i32,
    #[serde(with = "DiscardName")]
    discard: Discard,
    #[serde(with = "StorageName")]
    storage: Storage,
    pub(crate) num_replicas: i32,
    #[serde(skip_serializing_if = "is_default")]
    no_ack: bool,
    #[serde(skip_serializing_if = "is_default")]
    duplicate_window: i64,
    #[serde(skip_serializing)]
    placement: Option<Value>,
    #[serde(skip_serializing)]
    mirror: Option<Value>,
    #[serde(skip_serializing)]
    sources: Vec<Value>,
    #[serde(with = "CompressionName")]
    compression: Compression,
    #[serde(skip_serializing_if = "is_default")]
    first_seq: u64,
    #[serde(skip_serializing)]
    subject_transform: Option<Value>,
    #[serde(skip_serializing)]
    republish: Option<Value>,
    allow_direct: bool,
    pub(crate) mirror_direct: bool,
    #[serde(skip_serializing_if = "is_default")]
    discard_new_per_subject: bool,
    pub(crate) sealed: bool,
    deny_delete: bool,
    deny_purge: bool,
    allow_rollup_hdrs: bool,
    consumer_limits: ConsumerLimits,
    allow_msg_ttl: bool,
    #[serde(skip_serializing)]
    subject_delete_marker_ttl: i64,
    #[serde(skip_serializing)]
    allow_msg_counter: bool,
    #[serde(skip_serializing)]
    allow_atomic: bool,
    #[serde(skip_serializing)]
    allow_msg_schedules: bool,
    #[serde(with = "PersistModeName", skip_serializing_if = "is_default")]
    persist_mode: PersistMode,
    #[serde(skip_serializing)]
    allow_batched: bool,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
    /// Of the request, not of the stream: refuse what would be set right otherwise.
    #[serde(skip_serializing)]
    pub(crate) pedantic: bool,
}

/// What consumers of a stream get where they don't say.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ConsumerLimits {
    #[serde(skip_serializing_if = "is_default")]
    inactive_threshold: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_ack_pending: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "Compression", rename_all = "lowercase")]
enum CompressionName {
    None,
    S2,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "Retention", rename_all = "lowercase")]
enum RetentionName {
    Limits,
    Interest,
    WorkQueue,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "Discard", rename_all = "lowercase")]
enum DiscardName {
    Old,
    New,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "Storage", rename_all = "lowercase")]
enum StorageName {
    File,
    Memory,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "PersistMode", rename_all = "lowercase")]
enum PersistModeName {
    #[serde(alias = "")]
    Default,
    Async,
}

impl StreamConfig {
    pub(crate) fn is_mirror(&self) -> bool {
        self.mirror.is_some()
    }

    /// The first feature that the configuration asks for and that is not built. `allow_msg_ttl` is not among them: nats.py
    /// asks for it with every bucket. It is answered with false, and a message with a TTL is refused.
    pub(crate) fn unbuilt(&self) -> Option<&'static str> {
        let asked = [
            (self.mirror.is_some(), "mirrors"),
            (!self.sources.is_empty(), "sources"),
            (
                self.placement.as_ref().is_some_and(|value| !unset(value)),
                "placement",
            ),
            (self.subject_transform.is_some(), "subject transforms"),
            (self.republish.is_some(), "republishing"),
            (self.subject_delete_marker_ttl != 0, "subject delete markers"),
            (self.allow_msg_counter, "message counters"),
            (self.allow_atomic, "atomic batch publishing"),
            (self.allow_msg_schedules, "message schedules"),
            (self.allow_batched, "batch publishing"),
        ];
        asked
            .iter()
            .find(|(asked, _)| *asked)
            .map(|(_, feature)| *feature)
    }
}

impl From<StreamConfig> for config::StreamConfig {
    fn from(json: StreamConfig) -> Self {
        Self {
            name: json.name,
            description: json.description,
            subjects: json.subjects,
            retention: json.retention,
            max_consumers: json.max_consumers,
            max_msgs: json.max_msgs,
            max_bytes: json.max_bytes,
            max_age_ns: json.max_age,
            max_msgs_per_subject: json.max_msgs_per_subject,
            max_msg_size: json.max_msg_size,
            discard: json.discard,
            storage: json.storage,
            num_replicas: json.num_replicas,
            no_ack: json.no_ack,
            duplicate_window_ns: json.duplicate_window,
            first_seq: json.first_seq,
            allow_direct: json.allow_direct,
            mirror_direct: json.mirror_direct,
            discard_new_per_subject: json.discard_new_per_subject,
            sealed: json.sealed,
            deny_delete: json.deny_delete,
            deny_purge: json.deny_purge,
            allow_rollup: json.allow_rollup_hdrs,
            consumer_limits: config::StreamConsumerLimits {
                inactive_threshold_ns: json.consumer_limits.inactive_threshold,
                max_ack_pending: json.consumer_limits.max_ack_pending,
            },
            persist_mode: json.persist_mode,
            compression: json.compression,
            metadata: json.metadata,
        }
    }
}

impl From<config::StreamConfig> for StreamConfig {
    fn from(config: config::StreamConfig) -> Self {
        Self {
            name: config.name,
            description: config.description,
            subjects: config.subjects,
            retention: config.retention,
            max_consumers: config.max_consumers,
            max_msgs: config.max_msgs,
            max_bytes: config.max_bytes,
            max_age: config.max_age_ns,
            max_msgs_per_subject: config.max_msgs_per_subject,
            max_msg_size: config.max_msg_size,
            discard: config.discard,
            storage: config.storage,
            num_replicas: config.num_replicas,
            no_ack: config.no_ack,
            duplicate_window: config.duplicate_window_ns,
            first_seq: config.first_seq,
            allow_direct: config.allow_direct,
            mirror_direct: config.mirror_direct,
            discard_new_per_subject: config.discard_new_per_subject,
            sealed: config.sealed,
            deny_delete: config.deny_delete,
            deny_purge: config.deny_purge,
            allow_rollup_hdrs: config.allow_rollup,
            consumer_limits: ConsumerLimits {
                inactive_threshold: config.consumer_limits.inactive_threshold_ns,
                max_ack_pending: config.consumer_limits.max_ack_pending,
            },
            persist_mode: config.persist_mode,
            compression: config.compression,
            metadata: config.metadata,
            ..Self::default()
        }
    }
}
