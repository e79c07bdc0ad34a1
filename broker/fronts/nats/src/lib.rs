//! The NATS front: the client protocol of nats-server 2.14 on the hot core.
//!
//! Owns sessions, authentication's NATS half (nonce, CONNECT), INFO, errors in nats-server's words, and monitoring in
//! its JSON shapes, and JetStream's API. It must never know another front, a disk, or how messages find their recipients.
//!
//! Deliberate deviations:
//! - A subscription to `a.>` is refused where only `a.*` is allowed (nats-server lets it pass).
//! - `SUB` and `UNSUB` of a server-internal kind (routes, leaf nodes, gateways) are unknown operations.
//! - Sizes are delivered in canonical form (see `wire-nats`).

mod collect;
pub mod config;
mod connect;
mod connection;
mod encoder;
mod error;
mod front;
mod handshake;
mod info;
pub mod jetstream;
mod local;
pub mod monitor;
mod ops;
mod quote;
mod serve;
mod session;
mod timers;

pub use collect::Collector;
pub use error::CloseReason;
pub use front::{Front, Listening, NATS_VERSION};
pub use jetstream::{API_LEVEL, JetStream, JetStreamConfig};
pub use local::Local;
pub use serve::{Bound, Serving, StartError, bind};
