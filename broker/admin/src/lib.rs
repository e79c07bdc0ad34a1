//! Monitoring, metrics and health over HTTP.

pub mod config;
