//! JetStream semantics: streams, their consumers, and the groups that hold them.
//!
//! Owns what a stream and a consumer are: configuration, limits, sequences, deduplication, acknowledgements,
//! redelivery; how commands become entries of a group's log and what applying them does; names and placement. Uses
//! `raft` to agree on entries, `storage` to keep rows and read messages, and `core`'s trie for filters. It must never know a protocol: no JSON, no
//! code numbers, no header names, no sockets. A front asks through [`Streams`] and is told through [`Outlet`].

pub mod command;
pub mod config;
mod engine;
pub mod error;
mod keys;
pub mod machine;
pub mod matching;
mod meta;
mod proposer;
mod queue;
mod service;

pub use error::Error;
pub use proposer::Publishing;
pub use service::clock::{Clock, Sleep, SystemClock};
pub use service::handle::{ConsumerRef, StreamRef};
pub use service::messages::{Batch, BatchEnd};
pub use service::outlet::{Advisory, Delivery, Outlet, Published, Room, Status, Stored, Target, Ticket};
pub use service::types::{
    AccountInfo, AccountLimits, Ack, AckKind, Action, ConsumerInfo, GetBatch, GetMessage, InfoOptions, Page,
    PullRequest, PurgeOptions, SeqInfo, StoredMessage, StreamInfo, StreamSummary,
};
pub use service::{Options, StartError, Streams, accept_loss};
