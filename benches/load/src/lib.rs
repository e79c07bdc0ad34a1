//! Load generator: the work behind `mainstem bench`. It runs against any NATS server.
//!
//! Owns a minimal client over plain sockets, the kinds of work ([`flow`], [`request`], [`latency`], [`idle`],
//! [`listen`], [`stored`]), what they report, and the comparison of two brokers ([`compare`]). It must cost less than the
//! broker, or it measures itself: publishers write prebuilt batches, subscribers of messages of one known length
//! count bytes that never leave the kernel. What it costs stands in every report.
//!
//! Linux only, for epoll, `MSG_TRUNC` and `/proc`. It uses no part of the broker.

pub mod address;
mod args;
mod background;
mod batch;
pub mod cli;
pub mod compare;
mod connection;
pub mod flow;
mod frames;
mod gauge;
pub mod idle;
mod input;
pub mod job;
mod keeper;
pub mod latency;
pub mod listen;
mod poll;
pub mod progress;
mod publish;
mod receive;
pub mod report;
pub mod request;
pub mod stored;
pub mod units;
mod usage;

pub use background::Background;
pub use publish::Stop;

/// The broker that is measured.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: address::Address,
    /// Its process, if it runs on this machine and its CPU time and memory are wanted.
    pub server_pid: Option<u32>,
}
