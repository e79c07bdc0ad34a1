//! The NATS front.

pub mod config;
pub mod monitor;
