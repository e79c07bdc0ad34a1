//! A consumer's configuration.

use super::Metadata;

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliverPolicy {
    /// At the first message.
    #[default]
    All,
    /// At the last message that matches.
    Last,
    /// Behind the last message.
    New,
    /// At `opt_start_seq`.
    ByStartSequence,
    /// At `opt_start_time_ns`.
    ByStartTime,
    /// With the last message of each subject that matches.
    LastPerSubject,
}

/// What an acknowledgement of a message covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckPolicy {
    /// There are none: delivered is acknowledged.
    #[default]
    None,
    /// All messages up to it.
    All,
    /// That message.
    Explicit,
}

/// How fast messages are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayPolicy {
    #[default]
    Instant,
    /// As they were published.
    Original,
}

/// A consumer's configuration. What is not set is 0 or empty until [`ConsumerConfig::validate`] fills in the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Empty: an ephemeral consumer, which is removed when it is not used.
    pub durable: Box<str>,
    pub name: Box<str>,
    /// The name was made up, because the client gave none: to clients it is no part of the configuration.
    pub is_unnamed: bool,
    pub description: Box<str>,
    pub deliver_policy: DeliverPolicy,
    pub opt_start_seq: u64,
    /// Nanoseconds since the Unix epoch.
    pub opt_start_time_ns: Option<i64>,
    pub ack_policy: AckPolicy,
    pub ack_wait_ns: i64,
    /// Deliveries of one message; -1: no limit.
    pub max_deliver: i64,
    /// Time to acknowledge, a delivery each; the last is used for all that follow.
    pub backoff_ns: Vec<i64>,
    pub filter_subject: Box<str>,
    pub filter_subjects: Vec<Box<str>>,
    pub replay_policy: ReplayPolicy,
    /// 0: no limit.
    pub rate_limit_bits_per_s: u64,
    pub sample_freq: Box<str>,
    /// Pull requests that wait at once.
    pub max_waiting: i64,
    /// Messages that wait for acknowledgement at once; -1: no limit.
    pub max_ack_pending: i64,
    pub flow_control: bool,
    pub headers_only: bool,
    /// Messages of a pull request at most; 0: no limit.
    pub max_batch: i64,
    /// Time of a pull request at most; 0: no limit.
    pub max_expires_ns: i64,
    /// Bytes of a pull request at most; 0: no limit.
    pub max_bytes: i64,
    /// Where a push consumer delivers; empty: a pull consumer.
    pub deliver_subject: Box<str>,
    pub deliver_group: Box<str>,
    pub idle_heartbeat_ns: i64,
    /// How long it stays when nobody uses it; 0: for ever, if durable.
    pub inactive_threshold_ns: i64,
    /// 0: as the stream.
    pub num_replicas: i32,
    pub mem_storage: bool,
    pub metadata: Metadata,
}

impl ConsumerConfig {
    /// Stays when nobody uses it.
    pub fn is_durable(&self) -> bool {
        !self.durable.is_empty()
    }

    /// Delivers to a subject of its own, instead of answering requests.
    pub fn is_push(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    /// All filters; none: everything.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        let one = Some(&*self.filter_subject).filter(|filter| !filter.is_empty());
        self.filter_subjects.iter().map(|filter| &**filter).chain(one)
    }
}
