//! Errors in nats-server's words: the HTTP-like code, the `err_code` that clients match, and the description.

use std::fmt::Display;

use mainstem_streams::Error;
use serde::Serialize;

/// An error as clients get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    pub(crate) err_code: u16,
    pub(crate) description: String,
}

/// Code of what is not answered: what was asked for may still take effect.
const UNANSWERED: u16 = 0;

impl ApiError {
    /// Whoever asked is to be told.
    pub(crate) fn is_answered(&self) -> bool {
        self.code != UNANSWERED
    }

    pub(crate) fn new(code: u16, err_code: u16, description: impl Into<String>) -> Self {
        Self {
            code,
            err_code,
            description: description.into(),
        }
    }

    pub(crate) fn invalid_json(why: impl Display) -> Self {
        Self::new(400, 10025, format!("invalid JSON: {why}"))
    }

    /// A stream that asks for what is not built, or contradicts itself.
    pub(crate) fn invalid_stream(why: impl Into<String>) -> Self {
        Self::new(500, 10052, why)
    }

    /// A consumer that asks for what is not built.
    pub(crate) fn consumer_create(why: impl Into<String>) -> Self {
        Self::new(500, 10012, why)
    }

    pub(crate) fn bad_request() -> Self {
        Self::from(&Error::BadRequest)
    }

    pub(crate) fn not_empty() -> Self {
        Self::new(400, 10038, "expected an empty request payload")
    }

    pub(crate) fn not_enabled_for_account() -> Self {
        Self::new(503, 10039, "JetStream not enabled for account")
    }

    pub(crate) fn required_api_level() -> Self {
        Self::new(412, 10185, "JetStream minimum api level required")
    }

    pub(crate) fn stream_mismatch() -> Self {
        Self::new(400, 10056, "stream name in subject does not match request")
    }

    pub(crate) fn stream_name_with_separator() -> Self {
        Self::new(400, 10128, "Stream name can not contain path separators")
    }

    pub(crate) fn consumer_name_with_separator() -> Self {
        Self::new(400, 10127, "Consumer name can not contain path separators")
    }

    pub(crate) fn durable_not_set() -> Self {
        let description = "consumer expected to be durable but a durable name was not set";
        Self::new(400, 10018, description)
    }

    pub(crate) fn durable_mismatch() -> Self {
        let description = "consumer name in subject does not match durable name in request";
        Self::new(400, 10017, description)
    }

    pub(crate) fn ephemeral_with_durable() -> Self {
        let description = "consumer expected to be ephemeral but a durable name was set in request";
        Self::new(400, 10020, description)
    }

    pub(crate) fn filters_in_subject() -> Self {
        let description = "consumer with multiple subject filters cannot use subject based API";
        Self::new(400, 10137, description)
    }

    pub(crate) fn filter_mismatch() -> Self {
        let description = "Consumer create request did not match filtered subject from create subject";
        Self::new(400, 10131, description)
    }

    pub(crate) fn replicas_not_supported() -> Self {
        Self::from(&Error::ReplicasNotSupported)
    }

    /// A message that only a stream of another kind takes.
    pub(crate) fn message_feature(feature: MessageFeature) -> Self {
        match feature {
            MessageFeature::Ttl => Self::new(400, 10166, "per-message TTL is disabled"),
            MessageFeature::Counter => Self::new(400, 10168, "message counters is disabled"),
            MessageFeature::FastBatch => Self::new(400, 10205, "batch publish is disabled"),
            MessageFeature::Batch => Self::new(400, 10174, "atomic publish is disabled"),
            MessageFeature::Schedule => Self::new(400, 10188, "message schedules is disabled"),
        }
    }
}

/// What a message's headers may ask of a stream and no stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageFeature {
    Ttl,
    Counter,
    Batch,
    FastBatch,
    Schedule,
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for ApiError {
    fn from(error: &Error) -> Self {
        let (code, err_code) = codes(error);
        let description = match error {
            Error::ConsumerMetadataTooLong { max } => {
                format!("consumer metadata exceeds maximum size of {}KB", max / 1024)
            }
            Error::ConsumerInactiveThresholdExceeded { limit_ns } => {
                let limit = std::time::Duration::from_nanos(u64::try_from(*limit_ns).unwrap_or(0));
                let limit = crate::monitor::duration(limit);
                format!("consumer inactive threshold exceeds system limit of {limit}")
            }
            other => other.to_string(),
        };
        Self::new(code, err_code, description)
    }
}

/// nats-server's two codes of an error.
fn codes(error: &Error) -> (u16, u16) {
    match error {
        Error::InvalidStream(_) => (500, 10052),
        Error::Pedantic(_) => (400, 10157),
        Error::ReplicasNegative => (400, 10133),
        Error::ReplicasNotSupported => (500, 10074),
        Error::MaxBytesRequired => (400, 10113),
        Error::MaxStreamBytesExceeded => (400, 10122),
        Error::StreamNameInUse => (400, 10058),
        Error::StreamNotFound => (404, 10059),
        Error::SubjectsOverlap => (400, 10065),
        Error::MaximumStreams => (400, 10027),
        Error::StorageExceeded => (500, 10047),
        Error::MemoryExceeded => (500, 10028),
        Error::InsufficientResources => (503, 10023),
        Error::AccountResourcesExceeded => (400, 10002),
        Error::NotAvailable => (503, 10008),
        Error::OutcomeUnknown => (UNANSWERED, 0),
        Error::StreamSealed => (400, 10109),
        Error::MessageTooLarge => (400, 10054),
        Error::HeaderTooLarge => (400, 10097),
        Error::StreamMismatch => (400, 10060),
        Error::WrongLastSequence { .. } => (400, 10071),
        Error::WrongLastMsgId { .. } => (400, 10070),
        Error::ExpectedSubjectSeqMissing => (400, 10193),
        Error::RollupFailed(_) => (500, 10111),
        Error::StoreFailed(_) | Error::StoreBroken(_) => (503, 10077),
        Error::TooManyRequests => (429, 10167),
        Error::DeleteFailed(_) => (500, 10057),
        Error::SequenceNotFound { .. } => (400, 10043),
        Error::NoMessageFound => (404, 10037),
        Error::PurgeFailed(_) => (500, 10110),
        Error::BadRequest => (400, 10003),
        Error::TooManySubjects => (500, 10117),
        Error::ConsumerNotFound => (404, 10014),
        Error::ConsumerAlreadyExists => (400, 10148),
        Error::ConsumerDoesNotExist => (400, 10149),
        Error::ConsumerNameInUse => (400, 10013),
        Error::ConsumerCreate(_) => (500, 10012),
        Error::MaximumConsumers => (400, 10026),
        Error::ConsumerExistingActive => (400, 10105),
        Error::ConsumerNameTooLong { .. } => (400, 10102),
        Error::ConsumerDescriptionTooLong { .. } => (400, 10107),
        Error::ConsumerMetadataTooLong { .. } => (400, 10135),
        Error::ConsumerReplicasExceedStream => (400, 10126),
        Error::ConsumerReplicasShouldMatchStream => (400, 10134),
        Error::ConsumerBackoffNegative => (400, 10184),
        Error::ConsumerAckWaitNegative => (400, 10183),
        Error::ConsumerMaxDeliverBackoff => (400, 10116),
        Error::ConsumerDeliverToWildcards => (400, 10079),
        Error::ConsumerInvalidDeliverSubject => (400, 10112),
        Error::ConsumerDeliverCycle => (400, 10081),
        Error::ConsumerPushMaxWaiting => (400, 10080),
        Error::ConsumerMaxAckPendingNeedsAcks => (400, 10082),
        Error::ConsumerSmallHeartbeat => (400, 10083),
        Error::ConsumerPullRequiresAck => (400, 10084),
        Error::ConsumerPullWithRateLimit => (400, 10086),
        Error::ConsumerHeartbeatRequiresPush => (400, 10088),
        Error::ConsumerFlowControlRequiresPush => (400, 10089),
        Error::ConsumerMaxExpiresTooSmall => (400, 10115),
        Error::ConsumerMaxBatchExceeded { .. } => (400, 10125),
        Error::ConsumerMaxAckPendingExceeded { .. } => (400, 10121),
        Error::ConsumerInactiveThresholdExceeded { .. } => (400, 10153),
        Error::ConsumerDuplicateFilters => (400, 10136),
        Error::ConsumerEmptyFilter => (400, 10139),
        Error::ConsumerOverlappingFilters => (400, 10138),
        Error::ConsumerFilterNotSubset => (400, 10093),
        Error::ConsumerInvalidPolicy(_) => (400, 10094),
        Error::ConsumerInvalidSampling(_) => (400, 10095),
        Error::ConsumerFlowControlNeedsHeartbeats => (400, 10108),
        Error::ConsumerDurableAndNameDiffer => (400, 10132),
        Error::WorkQueueRequiresExplicitAck => (400, 10098),
        Error::WorkQueueConsumerNotDeliverAll => (400, 10101),
        Error::WorkQueueMultipleUnfiltered => (400, 10099),
        Error::WorkQueueConsumerNotUnique => (400, 10100),
    }
}
