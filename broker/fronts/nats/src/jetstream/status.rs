//! Messages that are headers alone: what a pull request or a push consumer is told instead of a message.

use std::time::Duration;

use mainstem_streams::Status;

use super::headers::Builder;
use crate::monitor::duration;

const PENDING_MESSAGES: &str = "Nats-Pending-Messages";
const PENDING_BYTES: &str = "Nats-Pending-Bytes";

/// The header block of a status. `flow_control` makes the reply subject of a flow control request from its number.
/// `next` is the subject that the consumer's pull requests go to.
pub(crate) fn block(
    status: &Status,
    flow_control: impl Fn(u64) -> String,
    next: impl Fn() -> String,
) -> Vec<u8> {
    let rest = |code, text, messages: u64, bytes: u64| {
        Builder::status(code, text)
            .number(PENDING_MESSAGES, messages)
            .number(PENDING_BYTES, bytes)
    };
    let plain = Builder::status;
    let builder = match status {
        Status::Heartbeat {
            last_consumer_seq,
            last_stream_seq,
            stalled,
        } => {
            let beat = plain(100, "Idle Heartbeat")
                .number("Nats-Last-Consumer", *last_consumer_seq)
                .number("Nats-Last-Stream", *last_stream_seq);
            match stalled {
                Some(id) => beat.line("Nats-Consumer-Stalled", flow_control(*id)),
                None => beat,
            }
        }
        Status::FlowControl { .. } => plain(100, "FlowControl Request"),
        Status::BadRequest => plain(400, "Bad Request"),
        Status::NoMessages => plain(404, "No Messages"),
        Status::RequestsPending => plain(408, "Requests Pending"),
        Status::RequestTimeout { messages, bytes } => rest(408, "Request Timeout", *messages, *bytes),
        Status::InterestExpired { messages, bytes } => rest(408, "Interest Expired", *messages, *bytes),
        Status::MaxWaiting => plain(409, "Exceeded MaxWaiting"),
        Status::ConsumerDeleted => plain(409, "Consumer Deleted"),
        Status::PushBased => plain(409, "Consumer is push based"),
        Status::MaxBatch { limit } => plain(409, &format!("Exceeded MaxRequestBatch of {limit}")),
        Status::MaxExpires { limit_ns } => {
            let limit = duration(Duration::from_nanos(*limit_ns));
            plain(409, &format!("Exceeded MaxRequestExpires of {limit}"))
        }
        Status::MaxBytes { limit } => plain(409, &format!("Exceeded MaxRequestMaxBytes of {limit}")),
        Status::MessageTooLarge { messages, bytes } => {
            rest(409, "Message Size Exceeds MaxBytes", *messages, *bytes)
        }
        Status::BatchCompleted { messages, bytes } => rest(409, "Batch Completed", *messages, *bytes),
        Status::ServerShutdown { messages, bytes } => rest(409, "Server Shutdown", *messages, *bytes),
        Status::NoConsumer => return no_responders(next().as_bytes()),
    };
    builder.finish()
}

/// Nobody serves `subject`: the same answer as core NATS gives.
pub(crate) fn no_responders(subject: &[u8]) -> Vec<u8> {
    let mut block = b"NATS/1.0 503\r\n".to_vec();
    for part in [&b"Nats-Subject: "[..], subject, b"\r\n\r\n"] {
        block.extend_from_slice(part);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: &Status) -> String {
        String::from_utf8(block(
            status,
            |id| format!("$JS.FC.S.c.{id}"),
            || "next".to_owned(),
        ))
        .unwrap()
    }

    #[test]
    fn blocks_as_nats_server_writes_them() {
        let timeout = Status::RequestTimeout {
            messages: 10,
            bytes: 0,
        };
        assert_eq!(
            text(&timeout),
            "NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 10\r\nNats-Pending-Bytes: 0\r\n\r\n"
        );
        let stalled = Status::Heartbeat {
            last_consumer_seq: 2,
            last_stream_seq: 3,
            stalled: Some(7),
        };
        assert_eq!(
            text(&stalled),
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 3\r\n\
             Nats-Consumer-Stalled: $JS.FC.S.c.7\r\n\r\n"
        );
        assert_eq!(text(&Status::NoMessages), "NATS/1.0 404 No Messages\r\n\r\n");
        let limit = Status::MaxExpires {
            limit_ns: 1_500_000_000,
        };
        assert_eq!(
            text(&limit),
            "NATS/1.0 409 Exceeded MaxRequestExpires of 1.5s\r\n\r\n"
        );
    }
}
