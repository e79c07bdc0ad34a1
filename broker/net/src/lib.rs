//! Listeners, TLS, WebSocket and transports.

pub mod config;
