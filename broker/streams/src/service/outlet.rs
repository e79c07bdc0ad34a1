//! What a front does for streams: the other direction of [`Streams`](crate::Streams).

use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::service::handle::{ConsumerRef, StreamRef};

/// Takes what streams have to say. Called from the service's tasks; must not block.
pub trait Outlet: Send + Sync + 'static {
    /// Messages for one recipient, in order. The answer says whether more may follow at once.
    fn deliver(&self, to: &Target, consumer: &ConsumerRef, deliveries: &[Delivery<'_>]) -> Room;

    /// A word about a pull request or a push consumer instead of a message.
    fn status(&self, to: &Target, consumer: &ConsumerRef, status: &Status);

    /// Bytes that the front adds to a delivery: they count for requests that are bounded in bytes.
    fn added_bytes(&self, consumer: &ConsumerRef, delivery: &Delivery<'_>) -> usize;

    /// Somebody subscribes to the subject.
    fn has_interest(&self, account: &str, subject: &[u8]) -> bool;

    /// What became of publishes of an account, in the order of the log. Those whose outcome is unknown are never
    /// answered.
    fn published(&self, account: &str, outcomes: Vec<Published>);

    /// An acknowledgement that asked for confirmation is committed. `reply` is where its sender waits.
    fn confirmed(&self, account: &str, reply: Bytes);

    /// A stream now captures `new` instead of `old`. Both are empty where there is no stream: before it is created,
    /// after it is deleted.
    fn captures_changed(&self, stream: &StreamRef, old: &[Box<str>], new: &[Box<str>]);

    /// Something happened that operators may want to know.
    fn advisory(&self, account: &str, advisory: Advisory);
}

/// Whether the way to a recipient has room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// More may follow at once.
    More,
    /// These were taken, but the queue that they went into is above its mark: try again in a moment.
    Full,
}

/// Where deliveries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub account: Arc<str>,
    /// Inbox of a pull request, or the deliver subject of a push consumer.
    pub subject: Bytes,
}

/// One message for a consumer.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The subject that it was published to.
    pub subject: &'a [u8],
    /// The header block as it was published; empty: none.
    pub headers: &'a [u8],
    /// The payload; empty for a consumer of headers only.
    pub payload: &'a [u8],
    /// Bytes of the payload, also where it is left out.
    pub payload_len: usize,
    /// The consumer gets headers only.
    pub headers_only: bool,
    /// What the three slices above point into: large payloads can be sent without a copy.
    pub frame: &'a Bytes,
    pub timestamp_ns: u64,
    pub stream_seq: u64,
    pub consumer_seq: u64,
    /// How often it was delivered, this one included.
    pub delivered: u64,
    /// Messages that wait for the consumer after this one.
    pub pending: u64,
    /// The consumer takes acknowledgements.
    pub ack: bool,
}

/// A word about a pull request or a push consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// 100: the consumer lives. `stalled` names the flow control request that it waits for.
    Heartbeat {
        last_consumer_seq: u64,
        last_stream_seq: u64,
        stalled: Option<u64>,
    },
    /// 100: answer to go on. `id` comes back in [`Streams::flow_control`](crate::Streams::flow_control).
    FlowControl { id: u64 },
    /// 400
    BadRequest,
    /// 404: nothing there now, and the request does not wait.
    NoMessages,
    /// 408: those who wait already want more than there is, and the request does not wait.
    RequestsPending,
    /// 408: the request's time is over; what it still wanted.
    RequestTimeout { messages: u64, bytes: u64 },
    /// 408: the subscription of the request is gone; what it still wanted.
    InterestExpired { messages: u64, bytes: u64 },
    /// 409: too many requests wait.
    MaxWaiting,
    /// 409
    ConsumerDeleted,
    /// 409: a pull request for a push consumer.
    PushBased,
    /// 409: the consumer's `max_batch`.
    MaxBatch { limit: u64 },
    /// 409: the consumer's `max_expires`.
    MaxExpires { limit_ns: u64 },
    /// 409: the consumer's `max_bytes`.
    MaxBytes { limit: u64 },
    /// 409: the next message is larger than the bytes that the request has left.
    MessageTooLarge { messages: u64, bytes: u64 },
    /// 409: the bytes that the request asked for are used up.
    BatchCompleted { messages: u64, bytes: u64 },
    /// 409: the node stops; what the request still wanted.
    ServerShutdown { messages: u64, bytes: u64 },
    /// 503: there is no such consumer, so nobody answers.
    NoConsumer,
}

/// What became of a publish.
#[derive(Debug)]
pub struct Published {
    pub ticket: Ticket,
    pub stream: Arc<str>,
    pub result: Result<Stored, Error>,
}

/// Where a publish went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub seq: u64,
    /// A message with the same id was stored before: this is its sequence.
    pub duplicate: bool,
}

/// Who waits for the outcome of a publish. The service gives it back and does not look into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub worker: usize,
    pub conn: u64,
    pub reply: Bytes,
}

/// Something that operators may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advisory {
    StreamCreated {
        stream: Arc<str>,
    },
    StreamUpdated {
        stream: Arc<str>,
    },
    StreamDeleted {
        stream: Arc<str>,
    },
    ConsumerCreated {
        stream: Arc<str>,
        consumer: Arc<str>,
    },
    ConsumerDeleted {
        stream: Arc<str>,
        consumer: Arc<str>,
    },
    /// A message was delivered as often as the consumer allows, and was not acknowledged.
    MaxDeliver {
        stream: Arc<str>,
        consumer: Arc<str>,
        stream_seq: u64,
        deliveries: u64,
    },
    /// A client gave a message up.
    Terminated {
        stream: Arc<str>,
        consumer: Arc<str>,
        stream_seq: u64,
        consumer_seq: u64,
        deliveries: u64,
        reason: String,
    },
    /// A client could not process a message now.
    Nak {
        stream: Arc<str>,
        consumer: Arc<str>,
        stream_seq: u64,
        consumer_seq: u64,
        deliveries: u64,
    },
}
