//! A consumer's configuration in nats-server's JSON.

use mainstem_streams::config::{self, AckPolicy, DeliverPolicy, Metadata, ReplayPolicy};
use serde::{Deserialize, Serialize};

use super::is_default;
use super::time::Time;

/// A consumer's configuration, as clients send it and as they get it back. What stands only in requests that are refused
/// is read as it is and never written.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ConsumerConfig {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) durable_name: Box<str>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) name: Box<str>,
    #[serde(skip_serializing_if = "is_default")]
    description: Box<str>,
    #[serde(with = "DeliverPolicyName")]
    deliver_policy: DeliverPolicy,
    #[serde(skip_serializing_if = "is_default")]
    opt_start_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_start_time: Option<Time>,
    #[serde(with = "AckPolicyName")]
    ack_policy: AckPolicy,
    #[serde(skip_serializing_if = "is_default")]
    ack_wait: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_deliver: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backoff: Vec<i64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) filter_subject: Box<str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) filter_subjects: Vec<Box<str>>,
    #[serde(with = "ReplayPolicyName")]
    replay_policy: ReplayPolicy,
    #[serde(skip_serializing_if = "is_default")]
    rate_limit_bps: u64,
    #[serde(skip_serializing_if = "is_default")]
    sample_freq: Box<str>,
    #[serde(skip_serializing_if = "is_default")]
    max_waiting: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_default")]
    flow_control: bool,
    #[serde(skip_serializing_if = "is_default")]
    headers_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    max_batch: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_expires: i64,
    #[serde(skip_serializing_if = "is_default")]
    max_bytes: i64,
    #[serde(skip_serializing_if = "is_default")]
    deliver_subject: Box<str>,
    #[serde(skip_serializing_if = "is_default")]
    deliver_group: Box<str>,
    #[serde(skip_serializing_if = "is_default")]
    idle_heartbeat: i64,
    #[serde(skip_serializing_if = "is_default")]
    inactive_threshold: i64,
    pub(crate) num_replicas: i32,
    #[serde(skip_serializing_if = "is_default")]
    mem_storage: bool,
    #[serde(skip_serializing)]
    direct: bool,
    #[serde(skip_serializing)]
    sourcing: bool,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub(crate) metadata: Metadata,
    #[serde(skip_serializing)]
    pause_until: Option<Time>,
    #[serde(skip_serializing)]
    priority_groups: Vec<Box<str>>,
    #[serde(skip_serializing)]
    priority_policy: PriorityPolicy,
    #[serde(skip_serializing)]
    priority_timeout: i64,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "DeliverPolicy", rename_all = "snake_case")]
enum DeliverPolicyName {
    #[serde(alias = "undefined")]
    All,
    Last,
    New,
    ByStartSequence,
    ByStartTime,
    LastPerSubject,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "AckPolicy", rename_all = "lowercase")]
enum AckPolicyName {
    None,
    All,
    Explicit,
}

#[derive(Deserialize, Serialize)]
#[serde(remote = "ReplayPolicy", rename_all = "lowercase")]
enum ReplayPolicyName {
    Instant,
    Original,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PriorityPolicy {
    #[default]
    None,
    Overflow,
    PinnedClient,
    Prioritized,
}

impl ConsumerConfig {
    /// The first feature that the configuration asks for and that is not built.
    pub(crate) fn unbuilt(&self) -> Option<&'static str> {
        let priorities = self.priority_policy != PriorityPolicy::None
            || !self.priority_groups.is_empty()
            || self.priority_timeout != 0;
        let asked = [
            (priorities, "priority groups"),
            (self.pause_until.is_some_and(|time| time.0 > 0), "pausing"),
            (self.direct || self.sourcing, "consumers of mirrors and sources"),
        ];
        asked
            .iter()
            .find(|(asked, _)| *asked)
            .map(|(_, feature)| *feature)
    }
}

impl From<ConsumerConfig> for config::ConsumerConfig {
    fn from(json: ConsumerConfig) -> Self {
        Self {
            durable: json.durable_name,
            name: json.name,
            is_unnamed: false,
            description: json.description,
            deliver_policy: json.deliver_policy,
            opt_start_seq: json.opt_start_seq,
            opt_start_time_ns: json
                .opt_start_time
                .map(|time| i64::try_from(time.0).unwrap_or(i64::MAX)),
            ack_policy: json.ack_policy,
            ack_wait_ns: json.ack_wait,
            max_deliver: json.max_deliver,
            backoff_ns: json.backoff,
            filter_subject: json.filter_subject,
            filter_subjects: json.filter_subjects,
            replay_policy: json.replay_policy,
            rate_limit_bits_per_s: json.rate_limit_bps,
            sample_freq: json.sample_freq,
            max_waiting: json.max_waiting,
            max_ack_pending: json.max_ack_pending,
            flow_control: json.flow_control,
            headers_only: json.headers_only,
            max_batch: json.max_batch,
            max_expires_ns: json.max_expires,
            max_bytes: json.max_bytes,
            deliver_subject: json.deliver_subject,
            deliver_group: json.deliver_group,
            idle_heartbeat_ns: json.idle_heartbeat,
            inactive_threshold_ns: json.inactive_threshold,
            num_replicas: json.num_replicas,
            mem_storage: json.mem_storage,
            metadata: json.metadata,
        }
    }
}

impl From<config::ConsumerConfig> for ConsumerConfig {
    fn from(config: config::ConsumerConfig) -> Self {
        Self {
            durable_name: config.durable,
            name: match config.is_unnamed {
                true => Box::default(),
                false => config.name,
            },
            description: config.description,
            deliver_policy: config.deliver_policy,
            opt_start_seq: config.opt_start_seq,
            opt_start_time: config
                .opt_start_time_ns
                .map(|nanos| Time(u64::try_from(nanos).unwrap_or(0))),
            ack_policy: config.ack_policy,
            ack_wait: config.ack_wait_ns,
            max_deliver: config.max_deliver,
            backoff: config.backoff_ns,
            filter_subject: config.filter_subject,
            filter_subjects: config.filter_subjects,
            replay_policy: config.replay_policy,
            rate_limit_bps: config.rate_limit_bits_per_s,
            sample_freq: config.sample_freq,
            max_waiting: config.max_waiting,
            max_ack_pending: config.max_ack_pending,
            flow_control: config.flow_control,
            headers_only: config.headers_only,
            max_batch: config.max_batch,
            max_expires: config.max_expires_ns,
            max_bytes: config.max_bytes,
            deliver_subject: config.deliver_subject,
            deliver_group: config.deliver_group,
            idle_heartbeat: config.idle_heartbeat_ns,
            inactive_threshold: config.inactive_threshold_ns,
            num_replicas: config.num_replicas,
            mem_storage: config.mem_storage,
            metadata: config.metadata,
            ..Self::default()
        }
    }
}
