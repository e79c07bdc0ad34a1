//! What can go wrong, one variant a kind that clients can tell apart. A front gives them its protocol's codes.

use std::borrow::Cow;

use mainstem_storage::StorageError;

/// Why a stream's store does not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreRefusal {
    #[error("maximum messages exceeded")]
    MaxMsgs,
    #[error("maximum bytes exceeded")]
    MaxBytes,
    #[error("maximum messages per subject exceeded")]
    MaxMsgsPerSubject,
    #[error("message too large")]
    TooLarge,
}

/// Why something was refused. The number after a variant is nats-server's `err_code`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 10052
    #[error("{0}")]
    InvalidStream(Cow<'static, str>),
    /// 10157
    #[error("pedantic mode: {0}")]
    Pedantic(Cow<'static, str>),
    /// 10133
    #[error("replicas count cannot be negative")]
    ReplicasNegative,
    /// 10074
    #[error("replicas > 1 not supported in non-clustered mode")]
    ReplicasNotSupported,
    /// 10113
    #[error("account requires a stream config to have max bytes set")]
    MaxBytesRequired,
    /// 10122
    #[error("stream max bytes exceeds account limit max stream bytes")]
    MaxStreamBytesExceeded,
    /// 10058
    #[error("stream name already in use with a different configuration")]
    StreamNameInUse,
    /// 10059
    #[error("stream not found")]
    StreamNotFound,
    /// 10065
    #[error("subjects overlap with an existing stream")]
    SubjectsOverlap,
    /// 10027
    #[error("maximum number of streams reached")]
    MaximumStreams,
    /// 10047
    #[error("insufficient storage resources available")]
    StorageExceeded,
    /// 10028
    #[error("insufficient memory resources available")]
    MemoryExceeded,
    /// 10023
    #[error("insufficient resources")]
    InsufficientResources,
    /// 10002
    #[error("resource limits exceeded for account")]
    AccountResourcesExceeded,
    /// 10008: not now, and what was asked for did not take effect.
    #[error("JetStream system temporarily unavailable")]
    NotAvailable,
    /// What was asked for may still take effect: not to be answered.
    #[error("the outcome is not known")]
    OutcomeUnknown,
    /// 10109
    #[error("invalid operation on sealed stream")]
    StreamSealed,

    /// 10054
    #[error("message size exceeds maximum allowed")]
    MessageTooLarge,
    /// 10097
    #[error("header size exceeds maximum allowed of 64k")]
    HeaderTooLarge,
    /// 10060
    #[error("expected stream does not match")]
    StreamMismatch,
    /// 10071
    #[error("wrong last sequence: {last}")]
    WrongLastSequence { last: u64 },
    /// 10070
    #[error("wrong last msg ID: {last}")]
    WrongLastMsgId { last: Box<str> },
    /// 10193
    #[error("missing sequence for expected last sequence per subject")]
    ExpectedSubjectSeqMissing,
    /// 10111
    #[error("{0}")]
    RollupFailed(Cow<'static, str>),
    /// 10077
    #[error(transparent)]
    StoreFailed(StoreRefusal),
    /// 10077: the disk or what is on it.
    #[error("{0}")]
    StoreBroken(Cow<'static, str>),
    /// 10167
    #[error("too many requests")]
    TooManyRequests,

    /// 10057
    #[error("{0}")]
    DeleteFailed(Cow<'static, str>),
    /// 10043
    #[error("sequence {seq} not found")]
    SequenceNotFound { seq: u64 },
    /// 10037
    #[error("no message found")]
    NoMessageFound,
    /// 10110
    #[error("{0}")]
    PurgeFailed(Cow<'static, str>),
    /// 10003
    #[error("bad request")]
    BadRequest,
    /// 10117
    #[error("subject details would exceed maximum allowed")]
    TooManySubjects,

    /// 10014
    #[error("consumer not found")]
    ConsumerNotFound,
    /// 10148
    #[error("consumer already exists")]
    ConsumerAlreadyExists,
    /// 10149
    #[error("consumer does not exist")]
    ConsumerDoesNotExist,
    /// 10013
    #[error("consumer name already in use")]
    ConsumerNameInUse,
    /// 10012
    #[error("{0}")]
    ConsumerCreate(Cow<'static, str>),
    /// 10026
    #[error("maximum consumers limit reached")]
    MaximumConsumers,
    /// 10105
    #[error("consumer already exists and is still active")]
    ConsumerExistingActive,
    /// 10102
    #[error("consumer name is too long, maximum allowed is {max}")]
    ConsumerNameTooLong { max: usize },
    /// 10107
    #[error("consumer description is too long, maximum allowed is {max}")]
    ConsumerDescriptionTooLong { max: usize },
    /// 10135
    #[error("consumer metadata exceeds maximum size of {max} bytes")]
    ConsumerMetadataTooLong { max: usize },
    /// 10126
    #[error("consumer config replica count exceeds parent stream")]
    ConsumerReplicasExceedStream,
    /// 10134
    #[error("consumer config replicas must match interest retention stream's replicas")]
    ConsumerReplicasShouldMatchStream,
    /// 10184
    #[error("consumer backoff needs to be positive")]
    ConsumerBackoffNegative,
    /// 10183
    #[error("consumer ack wait needs to be positive")]
    ConsumerAckWaitNegative,
    /// 10116
    #[error("max deliver is required to be > length of backoff values")]
    ConsumerMaxDeliverBackoff,
    /// 10079
    #[error("consumer deliver subject has wildcards")]
    ConsumerDeliverToWildcards,
    /// 10112
    #[error("invalid push consumer deliver subject")]
    ConsumerInvalidDeliverSubject,
    /// 10081
    #[error("consumer deliver subject forms a cycle")]
    ConsumerDeliverCycle,
    /// 10080
    #[error("consumer in push mode can not set max waiting")]
    ConsumerPushMaxWaiting,
    /// 10082
    #[error("consumer requires ack policy for max ack pending")]
    ConsumerMaxAckPendingNeedsAcks,
    /// 10083
    #[error("consumer idle heartbeat needs to be >= 100ms")]
    ConsumerSmallHeartbeat,
    /// 10084
    #[error("consumer in pull mode requires explicit ack policy on workqueue stream")]
    ConsumerPullRequiresAck,
    /// 10086
    #[error("consumer in pull mode can not have rate limit set")]
    ConsumerPullWithRateLimit,
    /// 10088
    #[error("consumer idle heartbeat requires a push based consumer")]
    ConsumerHeartbeatRequiresPush,
    /// 10089
    #[error("consumer flow control requires a push based consumer")]
    ConsumerFlowControlRequiresPush,
    /// 10115
    #[error("consumer max request expires needs to be >= 1ms")]
    ConsumerMaxExpiresTooSmall,
    /// 10125
    #[error("consumer max request batch exceeds server limit of {limit}")]
    ConsumerMaxBatchExceeded { limit: i64 },
    /// 10121
    #[error("consumer max ack pending exceeds system limit of {limit}")]
    ConsumerMaxAckPendingExceeded { limit: i64 },
    /// 10153
    #[error("consumer inactive threshold exceeds system limit of {limit_ns} ns")]
    ConsumerInactiveThresholdExceeded { limit_ns: i64 },
    /// 10136
    #[error("consumer cannot have both FilterSubject and FilterSubjects specified")]
    ConsumerDuplicateFilters,
    /// 10139
    #[error("consumer filter in FilterSubjects cannot be empty")]
    ConsumerEmptyFilter,
    /// 10138
    #[error("consumer subject filters cannot overlap")]
    ConsumerOverlappingFilters,
    /// 10093
    #[error("consumer filter subject is not a valid subset of the interest subjects")]
    ConsumerFilterNotSubset,
    /// 10094
    #[error("{0}")]
    ConsumerInvalidPolicy(Cow<'static, str>),
    /// 10095
    #[error("failed to parse consumer sampling configuration: {0}")]
    ConsumerInvalidSampling(Cow<'static, str>),
    /// 10108
    #[error("consumer with flow control also needs heartbeats")]
    ConsumerFlowControlNeedsHeartbeats,
    /// 10132
    #[error("Consumer Durable and Name have to be equal if both are provided")]
    ConsumerDurableAndNameDiffer,
    /// 10098
    #[error("workqueue stream requires explicit ack")]
    WorkQueueRequiresExplicitAck,
    /// 10101
    #[error("consumer must be deliver all on workqueue stream")]
    WorkQueueConsumerNotDeliverAll,
    /// 10099
    #[error("multiple non-filtered consumers not allowed on workqueue stream")]
    WorkQueueMultipleUnfiltered,
    /// 10100
    #[error("filtered consumer not unique on workqueue stream")]
    WorkQueueConsumerNotUnique,
}

impl Error {
    /// What a client is told when the disk, or what is on it, stands in the way.
    pub fn from_storage(error: &StorageError) -> Self {
        match error {
            StorageError::Full { .. } => Self::InsufficientResources,
            other => Self::StoreBroken(other.to_string().into()),
        }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Self {
        Self::from_storage(&error)
    }
}
