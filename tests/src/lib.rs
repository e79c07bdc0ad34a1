//! Harness and black-box tests: brokers run as processes, spoken to over sockets.
//!
//! - [`server`] starts any broker binary on free ports, captures its log and kills it on drop.
//! - [`binaries`] finds the binary under test.
//! - [`clients`] runs the client programs of `clients/`.
//! - [`faultfs`] takes back what a killed process did not sync.
//! - [`random`] is chance from a seed.
//! - [`jetstream`] is a client that shows what JetStream answers.
//! - [`wire`] is a client that shows every frame.
//! - [`watch`] asks a running broker, and the system, how it is.
//! - [`golden`] records and replays transcripts of the NATS client protocol (`golden/*.txt`).

pub mod binaries;
pub mod clients;
pub mod faultfs;
pub mod golden;
pub mod jetstream;
pub mod random;
pub mod server;
pub mod watch;
pub mod wire;
