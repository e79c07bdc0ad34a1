//! What a message of JetStream says.

use anyhow::{Context, Result};

use crate::wire::Message;

impl Message {
    /// The code of a status message (`NATS/1.0 408 Request Timeout`).
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let head = std::str::from_utf8(&self.headers).ok()?;
        let line = head.strip_prefix("NATS/1.0 ")?;
        line.get(..3)?.parse().ok()
    }

    /// The text after the status.
    #[must_use]
    pub fn description(&self) -> &str {
        let head = std::str::from_utf8(&self.headers).unwrap_or_default();
        let line = head.lines().next().unwrap_or_default();
        line.get(13..).unwrap_or_default()
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = std::str::from_utf8(&self.headers).ok()?;
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The payload, for a person.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// A delivery's part of its `$JS.ACK` reply subject: stream, consumer, deliveries, stream sequence, consumer
    /// sequence, time, pending.
    ///
    /// # Errors
    /// This is no delivery of a consumer.
    pub fn delivery(&self, part: usize) -> Result<u64> {
        let mut parts = self.reply.split('.').skip(2);
        let part = parts
            .nth(part)
            .with_context(|| format!("no delivery: {self:?}"))?;
        Ok(part.parse()?)
    }

    /// How often the message was delivered.
    ///
    /// # Errors
    /// This is no delivery of a consumer.
    pub fn deliveries(&self) -> Result<u64> {
        self.delivery(2)
    }
}

/// The payloads, for a person.
#[must_use]
pub fn texts(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::text).collect()
}

/// The numbers as the payloads of [`super::Api::fill`].
#[must_use]
pub fn numbers(range: impl IntoIterator<Item = u64>) -> Vec<String> {
    range.into_iter().map(|number| number.to_string()).collect()
}
