//! The NATS front.

pub mod config;
