//! The bytes of requests.

use serde_json::{Value, json};

/// The body of `STREAM.CREATE`.
#[must_use]
pub fn stream_config(name: &str, mut config: Value) -> Value {
    config["name"] = name.into();
    if config["subjects"].is_null() {
        config["subjects"] = json!([format!("{name}.>")]);
    }
    config
}

/// The body of `CONSUMER.CREATE`.
#[must_use]
pub fn consumer_config(stream: &str, name: &str, mut config: Value) -> Value {
    config["name"] = name.into();
    json!({"stream_name": stream, "config": config})
}

/// The bytes of a PUB or HPUB with a reply subject.
#[must_use]
pub fn publication(subject: &str, reply: &str, headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 128);
    if headers.is_empty() {
        bytes.extend_from_slice(format!("PUB {subject} {reply} {}\r\n", payload.len()).as_bytes());
    } else {
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!("NATS/1.0\r\n{lines}\r\n");
        let line = format!(
            "HPUB {subject} {reply} {} {}\r\n",
            head.len(),
            head.len() + payload.len()
        );
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(head.as_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
