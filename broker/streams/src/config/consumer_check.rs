//! Which consumer configurations are good, and what may change.

use std::time::Duration;

use super::{
    AckPolicy, ConsumerConfig, DeliverPolicy, MAX_DESCRIPTION_BYTES, MAX_METADATA_BYTES, MAX_NAME_BYTES,
    Retention, StreamConfig, is_valid_name, metadata_bytes,
};
use crate::error::Error;
use crate::matching;

const EPHEMERAL_INACTIVE_THRESHOLD_NS: i64 = 5_000_000_000;
const DEFAULT_ACK_WAIT_NS: i64 = Duration::from_secs(30).as_nanos() as i64;
const DEFAULT_MAX_ACK_PENDING: i64 = 1000;
const DEFAULT_MAX_WAITING: i64 = 512;
const SHORTEST_HEARTBEAT_NS: i64 = Duration::from_millis(100).as_nanos() as i64;
const SHORTEST_EXPIRES_NS: i64 = Duration::from_millis(1).as_nanos() as i64;

/// What a node and an account allow a consumer. 0 and below: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerLimits {
    pub max_request_batch: i64,
    /// Of the node.
    pub max_ack_pending: i64,
    pub account_max_ack_pending: i64,
}

impl ConsumerConfig {
    /// Checks the configuration and fills in what is not set. `pedantic`: what would be changed is an error.
    pub fn validate(
        &mut self,
        stream: &StreamConfig,
        limits: &ConsumerLimits,
        pedantic: bool,
    ) -> Result<(), Error> {
        self.fill_negatives(pedantic)?;
        self.fill_defaults(stream, limits, pedantic)?;
        self.check_names()?;
        self.check_replicas(stream)?;
        self.check_acks()?;
        if self.is_push() {
            self.check_push(stream)?;
        } else {
            self.check_pull(stream, limits)?;
        }
        self.check_limits(stream, limits)?;
        self.check_filters()?;
        self.check_start()?;
        self.check_rest()
    }

    fn fill_negatives(&mut self, pedantic: bool) -> Result<(), Error> {
        let unlimited = [
            (&mut self.max_deliver, "max_deliver must be set to -1"),
            (&mut self.max_ack_pending, "max_ack_pending must be set to -1"),
        ];
        for (value, reason) in unlimited {
            at_least(value, -1, reason, pedantic)?;
        }
        if self.max_deliver == 0 {
            self.max_deliver = -1;
        }
        let zero = [
            (&mut self.max_waiting, "max_waiting must not be negative"),
            (&mut self.max_batch, "max_batch must not be negative"),
            (&mut self.max_expires_ns, "max_expires must not be negative"),
            (&mut self.max_bytes, "max_bytes must not be negative"),
            (&mut self.idle_heartbeat_ns, "idle_heartbeat must not be negative"),
            (
                &mut self.inactive_threshold_ns,
                "inactive_threshold must not be negative",
            ),
        ];
        for (value, reason) in zero {
            at_least(value, 0, reason, pedantic)?;
        }
        Ok(())
    }

    fn fill_defaults(
        &mut self,
        stream: &StreamConfig,
        limits: &ConsumerLimits,
        pedantic: bool,
    ) -> Result<(), Error> {
        if !self.is_push() && self.max_waiting == 0 {
            self.max_waiting = DEFAULT_MAX_WAITING;
        }
        if self.ack_wait_ns == 0 && self.ack_policy != AckPolicy::None {
            self.ack_wait_ns = DEFAULT_ACK_WAIT_NS;
        }
        if let Some(&first) = self.backoff_ns.first() {
            if pedantic && self.ack_wait_ns != first {
                return Err(Error::Pedantic(
                    "first backoff value has to equal batch AckWait".into(),
                ));
            }
            self.ack_wait_ns = first;
        }
        inherit(
            &mut self.max_ack_pending,
            stream.consumer_limits.max_ack_pending,
            "max_ack_pending must be set if it's configured in stream limits",
            pedantic,
        )?;
        inherit(
            &mut self.inactive_threshold_ns,
            stream.consumer_limits.inactive_threshold_ns,
            "inactive_threshold must be set if it's configured in stream limits",
            pedantic,
        )?;
        if !self.is_durable() && self.inactive_threshold_ns == 0 {
            self.inactive_threshold_ns = EPHEMERAL_INACTIVE_THRESHOLD_NS;
        }
        if self.max_ack_pending == 0 && self.ack_policy != AckPolicy::None {
            self.max_ack_pending = [limits.max_ack_pending, limits.account_max_ack_pending]
                .into_iter()
                .filter(|limit| *limit > 0)
                .fold(DEFAULT_MAX_ACK_PENDING, i64::min);
        }
        if !self.is_push() {
            inherit(
                &mut self.max_batch,
                limits.max_request_batch.max(0),
                "max_request_batch must be set if it's JetStream limits are set",
                pedantic,
            )?;
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), Error> {
        if !self.name.is_empty() && !is_valid_name(&self.name) {
            return Err(Error::InvalidStream(
                "consumer name can not contain '.', '*', '>', '\\', '/'".into(),
            ));
        }
        if !self.durable.is_empty() && !is_valid_name(&self.durable) {
            return Err(Error::InvalidStream(
                "consumer durable name can not contain '.', '*', '>', '\\', '/'".into(),
            ));
        }
        if self.durable.len().max(self.name.len()) > MAX_NAME_BYTES {
            return Err(Error::ConsumerNameTooLong { max: MAX_NAME_BYTES });
        }
        Ok(())
    }

    fn check_replicas(&self, stream: &StreamConfig) -> Result<(), Error> {
        if self.num_replicas > 0 && self.num_replicas > stream.num_replicas {
            return Err(Error::ConsumerReplicasExceedStream);
        }
        if self.num_replicas < 0 {
            return Err(Error::ReplicasNegative);
        }
        if stream.retention != Retention::Limits
            && self.num_replicas != 0
            && self.num_replicas != stream.num_replicas
        {
            return Err(Error::ConsumerReplicasShouldMatchStream);
        }
        Ok(())
    }

    fn check_acks(&self) -> Result<(), Error> {
        if self.backoff_ns.iter().any(|backoff| *backoff < 0) {
            return Err(Error::ConsumerBackoffNegative);
        }
        if self.ack_wait_ns < 0 {
            return Err(Error::ConsumerAckWaitNegative);
        }
        if self.backoff_exceeds_max_deliver() {
            return Err(Error::ConsumerMaxDeliverBackoff);
        }
        if self.description.len() > MAX_DESCRIPTION_BYTES {
            return Err(Error::ConsumerDescriptionTooLong {
                max: MAX_DESCRIPTION_BYTES,
            });
        }
        Ok(())
    }

    fn backoff_exceeds_max_deliver(&self) -> bool {
        self.max_deliver != -1 && self.backoff_ns.len() as i64 > self.max_deliver
    }

    fn check_push(&self, stream: &StreamConfig) -> Result<(), Error> {
        let subject = self.deliver_subject.as_bytes();
        if !matching::is_literal(subject) {
            return Err(Error::ConsumerDeliverToWildcards);
        }
        if !matching::is_valid_filter(subject) {
            return Err(Error::ConsumerInvalidDeliverSubject);
        }
        if stream
            .subjects
            .iter()
            .any(|captured| matching::is_subset(subject, captured.as_bytes()))
        {
            return Err(Error::ConsumerDeliverCycle);
        }
        if self.max_waiting != 0 {
            return Err(Error::ConsumerPushMaxWaiting);
        }
        if self.max_ack_pending > 0 && self.ack_policy == AckPolicy::None {
            return Err(Error::ConsumerMaxAckPendingNeedsAcks);
        }
        if self.idle_heartbeat_ns > 0 && self.idle_heartbeat_ns < SHORTEST_HEARTBEAT_NS {
            return Err(Error::ConsumerSmallHeartbeat);
        }
        Ok(())
    }

    fn check_pull(&self, stream: &StreamConfig, limits: &ConsumerLimits) -> Result<(), Error> {
        if self.ack_policy == AckPolicy::None && stream.retention == Retention::WorkQueue {
            return Err(Error::ConsumerPullRequiresAck);
        }
        if self.rate_limit_bits_per_s > 0 {
            return Err(Error::ConsumerPullWithRateLimit);
        }
        if self.idle_heartbeat_ns > 0 {
            return Err(Error::ConsumerHeartbeatRequiresPush);
        }
        if self.flow_control {
            return Err(Error::ConsumerFlowControlRequiresPush);
        }
        if self.max_expires_ns != 0 && self.max_expires_ns < SHORTEST_EXPIRES_NS {
            return Err(Error::ConsumerMaxExpiresTooSmall);
        }
        let limit = limits.max_request_batch;
        if limit > 0 && self.max_batch > limit {
            return Err(Error::ConsumerMaxBatchExceeded { limit });
        }
        Ok(())
    }

    fn check_limits(&self, stream: &StreamConfig, limits: &ConsumerLimits) -> Result<(), Error> {
        let ack_limits = [
            limits.max_ack_pending,
            limits.account_max_ack_pending,
            stream.consumer_limits.max_ack_pending,
        ];
        if let Some(&limit) = ack_limits
            .iter()
            .find(|limit| **limit > 0 && self.max_ack_pending > **limit)
        {
            return Err(Error::ConsumerMaxAckPendingExceeded { limit });
        }
        let limit_ns = stream.consumer_limits.inactive_threshold_ns;
        if limit_ns > 0 && self.inactive_threshold_ns > limit_ns {
            return Err(Error::ConsumerInactiveThresholdExceeded { limit_ns });
        }
        Ok(())
    }

    fn check_filters(&self) -> Result<(), Error> {
        if !self.filter_subject.is_empty() && !self.filter_subjects.is_empty() {
            return Err(Error::ConsumerDuplicateFilters);
        }
        if self.filter_subjects.iter().any(|filter| filter.is_empty()) {
            return Err(Error::ConsumerEmptyFilter);
        }
        for (at, filter) in self.filters().enumerate() {
            if !matching::is_valid_filter(filter.as_bytes()) {
                return Err(Error::InvalidStream("invalid subject".into()));
            }
            let overlaps = |(other_at, other): (usize, &str)| {
                other_at != at && matching::is_subset(filter.as_bytes(), other.as_bytes())
            };
            if self.filters().enumerate().any(overlaps) {
                return Err(Error::ConsumerOverlappingFilters);
            }
        }
        Ok(())
    }

    fn check_start(&self) -> Result<(), Error> {
        let policy = match self.deliver_policy {
            DeliverPolicy::All => "all",
            DeliverPolicy::Last => "last",
            DeliverPolicy::New => "new",
            DeliverPolicy::ByStartSequence => "by start sequence",
            DeliverPolicy::ByStartTime => "by start time",
            DeliverPolicy::LastPerSubject => "last per subject",
        };
        let by_seq = self.deliver_policy == DeliverPolicy::ByStartSequence;
        let by_time = self.deliver_policy == DeliverPolicy::ByStartTime;
        let seq_name = if by_time { "start sequence" } else { "sequence" };
        let also_set = |what: &str| {
            Err(Error::ConsumerInvalidPolicy(
                format!(
                    "consumer delivery policy is deliver {policy}, but optional start {what} is also set"
                )
                .into(),
            ))
        };
        let not_set = |what: &str| {
            Err(Error::ConsumerInvalidPolicy(
                format!("consumer delivery policy is deliver {policy}, but optional {what} is not set")
                    .into(),
            ))
        };
        if by_seq && self.opt_start_seq == 0 {
            return not_set("start sequence");
        }
        if by_time && self.opt_start_time_ns.is_none() {
            return not_set("start time");
        }
        if !by_seq && self.opt_start_seq != 0 {
            return also_set(seq_name);
        }
        if !by_time && self.opt_start_time_ns.is_some() {
            return also_set("time");
        }
        if self.deliver_policy == DeliverPolicy::LastPerSubject && self.filters().next().is_none() {
            return not_set("filter subject");
        }
        Ok(())
    }

    fn check_rest(&self) -> Result<(), Error> {
        let sampling = self.sample_freq.strip_suffix('%').unwrap_or(&self.sample_freq);
        if !self.sample_freq.is_empty() && sampling.parse::<u32>().is_err() {
            return Err(Error::ConsumerInvalidSampling(
                format!("strconv.Atoi: parsing {sampling:?}: invalid syntax").into(),
            ));
        }
        if self.flow_control && self.idle_heartbeat_ns == 0 {
            return Err(Error::ConsumerFlowControlNeedsHeartbeats);
        }
        if !self.durable.is_empty() && !self.name.is_empty() && self.name != self.durable {
            return Err(Error::ConsumerDurableAndNameDiffer);
        }
        if metadata_bytes(&self.metadata) > MAX_METADATA_BYTES {
            return Err(Error::ConsumerMetadataTooLong {
                max: MAX_METADATA_BYTES,
            });
        }
        Ok(())
    }
}

fn at_least(value: &mut i64, least: i64, reason: &'static str, pedantic: bool) -> Result<(), Error> {
    if *value < least {
        if pedantic {
            return Err(Error::Pedantic(reason.into()));
        }
        *value = least;
    }
    Ok(())
}

fn inherit(value: &mut i64, from: i64, reason: &'static str, pedantic: bool) -> Result<(), Error> {
    if *value == 0 && from > 0 {
        if pedantic {
            return Err(Error::Pedantic(reason.into()));
        }
        *value = from;
    }
    Ok(())
}

/// Whether a consumer may change from `old` to `new`, which is [valid](ConsumerConfig::validate). `bound`: somebody
/// listens on the old deliver subject.
pub fn check_consumer_update(old: &ConsumerConfig, new: &ConsumerConfig, bound: bool) -> Result<(), Error> {
    let changed = [
        (
            old.deliver_policy != new.deliver_policy,
            "deliver policy can not be updated",
        ),
        (
            old.mem_storage != new.mem_storage,
            "storage type can not be updated",
        ),
        (
            old.opt_start_seq != new.opt_start_seq,
            "start sequence can not be updated",
        ),
        (
            old.opt_start_time_ns != new.opt_start_time_ns,
            "start time can not be updated",
        ),
        (old.ack_policy != new.ack_policy, "ack policy can not be updated"),
        (
            old.replay_policy != new.replay_policy,
            "replay policy can not be updated",
        ),
        (
            old.idle_heartbeat_ns != new.idle_heartbeat_ns,
            "heart beats can not be updated",
        ),
        (
            old.flow_control != new.flow_control,
            "flow control can not be updated",
        ),
        (
            !old.is_push() && new.is_push(),
            "can not update pull consumer to push based",
        ),
        (
            old.is_push() && !new.is_push(),
            "can not update push consumer to pull based",
        ),
    ];
    if let Some((_, reason)) = changed.iter().find(|(changed, _)| *changed) {
        return Err(Error::ConsumerCreate((*reason).into()));
    }
    if old.deliver_subject != new.deliver_subject && bound {
        return Err(Error::ConsumerNameInUse);
    }
    if old.max_waiting != new.max_waiting {
        return Err(Error::ConsumerCreate("max waiting can not be updated".into()));
    }
    if new.backoff_exceeds_max_deliver() {
        return Err(Error::ConsumerMaxDeliverBackoff);
    }
    Ok(())
}
