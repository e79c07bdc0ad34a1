//! Harness and black-box tests: brokers run as processes, spoken to over sockets.
//!
//! - [`server`] starts any broker binary on free ports, captures its log and kills it on drop.
//! - [`binaries`] finds the binary under test.
//! - [`clients`] runs the client programs of `clients/`.
//! - [`golden`] records and replays transcripts of the NATS client protocol (`golden/*.txt`).

pub mod binaries;
pub mod clients;
pub mod golden;
pub mod server;
