//! What streams have to say, as messages to clients.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use mainstem_core::account::Account;
use mainstem_core::{Gate, Injection, Node};
use mainstem_streams::{
    Advisory, ConsumerRef, Delivery, Outlet, Published, Room, Status, Stored, StreamRef, Target,
};

use super::error::ApiError;
use super::headers::Builder;
use super::{JetStream, ack, advisory, status};

/// Bodies from this size on are referenced instead of copied. A reference holds on to the whole frame it points into.
const SHARED_BYTES: usize = 16 << 10;

impl Outlet for JetStream {
    fn deliver(&self, to: &Target, consumer: &ConsumerRef, deliveries: &[Delivery<'_>]) -> Room {
        let gate = self.gate(consumer);
        let mut injection = Injection::new(&self.account(&to.account)).gated(gate);
        let prefix = ack_prefix(consumer);
        let mut reply = Vec::with_capacity(prefix.len() + 80);
        for delivery in deliveries {
            reply.clear();
            ack::write_subject(&mut reply, &prefix, delivery);
            push(&mut injection, &to.subject, &reply, delivery);
        }
        let injected = self.front.node.inject(injection);
        match injected.full || !gate.is_open() {
            true => Room::Full,
            false => Room::More,
        }
    }

    fn status(&self, to: &Target, consumer: &ConsumerRef, status: &Status) {
        let flow_control = |id| flow_control_subject(consumer, id);
        let reply = match status {
            Status::FlowControl { id } => flow_control(*id),
            _ => String::new(),
        };
        let block = status::block(status, flow_control, || pull_subject(consumer));
        let mut injection = Injection::new(&self.account(&to.account));
        injection.push(&to.subject, &to.subject, reply.as_bytes(), &block, b"");
        self.front.node.inject(injection);
    }

    fn added_bytes(&self, consumer: &ConsumerRef, delivery: &Delivery<'_>) -> usize {
        let mut reply = Vec::new();
        ack::write_subject(&mut reply, &ack_prefix(consumer), delivery);
        reply.len()
    }

    fn has_interest(&self, account: &str, subject: &[u8]) -> bool {
        self.account(account).has_interest(subject)
    }

    fn published(&self, account: &str, outcomes: Vec<Published>) {
        let mut answers = Answers::new(&self.account(account));
        let domain = self.config.domain.as_deref();
        for Published {
            ticket,
            stream,
            result,
        } in &outcomes
        {
            match result {
                Ok(stored) => answers.stored(&ticket.reply, stream, domain, *stored),
                Err(error) => answers.refused(&ticket.reply, stream, &ApiError::from(error)),
            }
        }
        answers.send(&self.front.node);
    }

    fn confirmed(&self, account: &str, reply: Bytes) {
        self.send(&self.account(account), &reply, b"", b"");
    }

    fn captures_changed(&self, stream: &StreamRef, _old: &[Box<str>], new: &[Box<str>]) {
        let account = self.account(stream.account());
        self.captures.set(&self.front.node, &account, stream, new);
    }

    fn advisory(&self, account: &str, advisory: Advisory) {
        let account = self.account(account);
        let (subject, body) = advisory::message(&advisory, self.config.domain.as_deref());
        let mut injection = Injection::new(&account).captured();
        injection.push(subject.as_bytes(), subject.as_bytes(), b"", b"", &body);
        self.front.node.inject(injection);
    }
}

impl JetStream {
    fn gate(&self, consumer: &ConsumerRef) -> &Arc<Gate> {
        let mut hasher = foldhash::fast::FixedState::default().build_hasher();
        hasher.write_u64(consumer.stream().id().0);
        hasher.write(consumer.name().as_bytes());
        &self.gates[hasher.finish() as usize % self.gates.len()]
    }
}

fn ack_prefix(consumer: &ConsumerRef) -> Vec<u8> {
    let (stream, name) = (consumer.stream().name(), consumer.name());
    format!("{}{stream}.{name}.", ack::PREFIX).into_bytes()
}

/// Where pull requests go.
fn pull_subject(consumer: &ConsumerRef) -> String {
    let (stream, name) = (consumer.stream().name(), consumer.name());
    format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}")
}

/// Where a client answers a flow control request.
fn flow_control_subject(consumer: &ConsumerRef, id: u64) -> String {
    let (stream, name) = (consumer.stream().name(), consumer.name());
    format!("$JS.FC.{stream}.{name}.{id}")
}

fn push(injection: &mut Injection, route: &[u8], reply: &[u8], delivery: &Delivery<'_>) {
    if delivery.headers_only {
        let headers = Builder::from(delivery.headers)
            .number("Nats-Msg-Size", delivery.payload_len as u64)
            .finish();
        return injection.push(route, delivery.subject, reply, &headers, b"");
    }
    match shared_body(delivery) {
        Some(body) => {
            injection.push_shared(route, delivery.subject, reply, delivery.headers.len(), &body);
        }
        None => injection.push(route, delivery.subject, reply, delivery.headers, delivery.payload),
    }
}

/// Headers and payload as one part of the frame, where that is worth it and they stand next to each other.
fn shared_body(delivery: &Delivery<'_>) -> Option<Bytes> {
    let (headers, payload) = (delivery.headers, delivery.payload);
    let len = headers.len() + payload.len();
    if len < SHARED_BYTES {
        return None;
    }
    let first = if headers.is_empty() { payload } else { headers };
    if !headers.is_empty() && headers.as_ptr_range().end != payload.as_ptr() {
        return None;
    }
    let start = (first.as_ptr() as usize).checked_sub(delivery.frame.as_ptr() as usize)?;
    let end = start.checked_add(len)?;
    (end <= delivery.frame.len()).then(|| delivery.frame.slice(start..end))
}

/// Answers to publishes of one account, sent together.
pub(crate) struct Answers {
    injection: Injection,
    json: Vec<u8>,
}

impl Answers {
    pub(crate) fn new(account: &Arc<Account>) -> Self {
        Self {
            injection: Injection::new(account),
            json: Vec::new(),
        }
    }

    /// The message is stored, or was before.
    fn stored(&mut self, reply: &[u8], stream: &str, domain: Option<&str>, stored: Stored) {
        self.json.clear();
        self.json.extend_from_slice(b"{\"stream\":");
        self.text(stream);
        if let Some(domain) = domain {
            self.json.extend_from_slice(b",\"domain\":");
            self.text(domain);
        }
        self.json.extend_from_slice(b",\"seq\":");
        let mut digits = itoa::Buffer::new();
        self.json.extend_from_slice(digits.format(stored.seq).as_bytes());
        if stored.duplicate {
            self.json.extend_from_slice(b",\"duplicate\": true");
        }
        self.json.push(b'}');
        self.push(reply, b"");
    }

    /// The message is not stored.
    pub(crate) fn refused(&mut self, reply: &[u8], stream: &str, error: &ApiError) {
        #[derive(serde::Serialize)]
        struct Refused<'a> {
            error: &'a ApiError,
            stream: &'a str,
            seq: u64,
        }
        let refused = Refused {
            error,
            stream,
            seq: 0,
        };
        // Strings and numbers always serialize.
        self.json = serde_json::to_vec(&refused).unwrap_or_default();
        let busy = error.code == 429;
        let headers: &[u8] = if busy {
            b"NATS/1.0 429 Too Many Requests\r\n\r\n"
        } else {
            b""
        };
        self.push(reply, headers);
    }

    fn text(&mut self, text: &str) {
        // Writing to a vector cannot fail.
        let _ = serde_json::to_writer(&mut self.json, text);
    }

    fn push(&mut self, reply: &[u8], headers: &[u8]) {
        self.injection.push(reply, reply, b"", headers, &self.json);
    }

    pub(crate) fn send(self, node: &Arc<Node>) {
        if !self.injection.is_empty() {
            node.inject(self.injection);
        }
    }
}
