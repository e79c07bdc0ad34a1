//! Sans-io codec of the NATS client protocol, server side: bytes in, commands out; messages in, bytes out.
//!
//! Owns the grammar of the protocol lines (as nats-server 2.14 accepts it, which is wider than its
//! documentation), their limits and the error texts that clients match. It must never know about sockets,
//! subscriptions or accounts.
//!
//! Reference: <https://docs.nats.io/reference/reference-protocols/nats-protocol>; where the text is silent,
//! what nats-server 2.14.5 answers is what counts (golden transcripts in `tests/golden`).
//!
//! Deliberate deviations:
//! - A message is delivered with its size in canonical decimal form; nats-server repeats the publisher's digits,
//!   leading zeros and all.
//! - Blanks before the first argument, and bytes after `PING`, `PONG` and `+OK`, have a bound of 32 KiB.

pub mod encode;
pub mod error;
pub mod parse;

pub use error::ProtocolError;
pub use parse::{Command, Limits, Parsed, Publish, parse};
