//! Advisories: JSON on `$JS.EVENT.ADVISORY`, for operators and dead-letter queues.

use mainstem_streams::Advisory;
use rand::Rng;
use serde::Serialize;

use super::json::time::Time;
use super::now_ns;

const PREFIX: &str = "$JS.EVENT.ADVISORY";

#[derive(Serialize)]
struct Event<'a, Body> {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    timestamp: Time,
    #[serde(flatten)]
    body: Body,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
}

#[derive(Serialize)]
struct StreamAction<'a> {
    stream: &'a str,
    action: &'static str,
}

#[derive(Serialize)]
struct ConsumerAction<'a> {
    stream: &'a str,
    consumer: &'a str,
    action: &'static str,
}

#[derive(Serialize)]
struct Delivery<'a> {
    stream: &'a str,
    consumer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_seq: Option<u64>,
    stream_seq: u64,
    deliveries: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

/// Subject and body of an advisory.
pub(crate) fn message(advisory: &Advisory, domain: Option<&str>) -> (String, Vec<u8>) {
    match advisory {
        Advisory::StreamCreated { stream } => stream_action("CREATED", "create", stream, domain),
        Advisory::StreamUpdated { stream } => stream_action("UPDATED", "modify", stream, domain),
        Advisory::StreamDeleted { stream } => stream_action("DELETED", "delete", stream, domain),
        Advisory::ConsumerCreated { stream, consumer } => {
            consumer_action("CREATED", "create", stream, consumer, domain)
        }
        Advisory::ConsumerDeleted { stream, consumer } => {
            consumer_action("DELETED", "delete", stream, consumer, domain)
        }
        Advisory::MaxDeliver {
            stream,
            consumer,
            stream_seq,
            deliveries,
        } => {
            let delivery = Delivery {
                stream,
                consumer,
                consumer_seq: None,
                stream_seq: *stream_seq,
                deliveries: *deliveries,
                reason: "",
            };
            of_delivery("MAX_DELIVERIES", "max_deliver", &delivery, domain)
        }
        Advisory::Terminated {
            stream,
            consumer,
            stream_seq,
            consumer_seq,
            deliveries,
            reason,
        } => {
            let delivery = Delivery {
                stream,
                consumer,
                consumer_seq: Some(*consumer_seq),
                stream_seq: *stream_seq,
                deliveries: *deliveries,
                reason,
            };
            of_delivery("MSG_TERMINATED", "terminated", &delivery, domain)
        }
        Advisory::Nak {
            stream,
            consumer,
            stream_seq,
            consumer_seq,
            deliveries,
        } => {
            let delivery = Delivery {
                stream,
                consumer,
                consumer_seq: Some(*consumer_seq),
                stream_seq: *stream_seq,
                deliveries: *deliveries,
                reason: "",
            };
            of_delivery("MSG_NAKED", "nak", &delivery, domain)
        }
    }
}

fn stream_action(event: &str, action: &'static str, stream: &str, domain: Option<&str>) -> (String, Vec<u8>) {
    let subject = format!("{PREFIX}.STREAM.{event}.{stream}");
    (
        subject,
        body("stream_action", StreamAction { stream, action }, domain),
    )
}

fn consumer_action(
    event: &str,
    action: &'static str,
    stream: &str,
    consumer: &str,
    domain: Option<&str>,
) -> (String, Vec<u8>) {
    let subject = format!("{PREFIX}.CONSUMER.{event}.{stream}.{consumer}");
    let action = ConsumerAction {
        stream,
        consumer,
        action,
    };
    (subject, body("consumer_action", action, domain))
}

fn of_delivery(event: &str, kind: &str, delivery: &Delivery<'_>, domain: Option<&str>) -> (String, Vec<u8>) {
    let subject = format!(
        "{PREFIX}.CONSUMER.{event}.{}.{}",
        delivery.stream, delivery.consumer
    );
    (subject, body(kind, delivery, domain))
}

fn body(kind: &str, body: impl Serialize, domain: Option<&str>) -> Vec<u8> {
    let event = Event {
        kind: format!("io.nats.jetstream.advisory.v1.{kind}"),
        id: id(),
        timestamp: Time(now_ns()),
        body,
        domain,
    };
    // Strings and numbers always serialize.
    serde_json::to_vec(&event).unwrap_or_default()
}

/// 22 letters and digits, as long as nats-server's ids.
fn id() -> String {
    let letters = rand::rng().sample_iter(rand::distr::Alphanumeric);
    letters.take(22).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_bodies() {
        let advisory = Advisory::Terminated {
            stream: "S".into(),
            consumer: "c".into(),
            stream_seq: 2,
            consumer_seq: 3,
            deliveries: 1,
            reason: "bad".into(),
        };
        let (subject, body) = message(&advisory, Some("hub"));
        assert_eq!(subject, "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.c");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "io.nats.jetstream.advisory.v1.terminated");
        assert_eq!(body["id"].as_str().map(str::len), Some(22));
        assert_eq!((&body["reason"], &body["domain"]), (&"bad".into(), &"hub".into()));
        let (subject, body) = message(&Advisory::StreamDeleted { stream: "S".into() }, None);
        assert_eq!(subject, "$JS.EVENT.ADVISORY.STREAM.DELETED.S");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&body["stream"], &body["action"]),
            (&"S".into(), &"delete".into())
        );
        assert!(body.get("domain").is_none());
    }
}
