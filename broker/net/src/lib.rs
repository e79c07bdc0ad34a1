//! Listeners, TLS, WebSocket and transports. Knows no messaging protocol and no disk.
//!
//! A [`accept::Listener`] takes connections, runs the handshakes that its [`security::Security`] asks for, and hands
//! each socket over together with its [`layers::Layers`]: the sans-io stack that turns socket bytes into protocol
//! bytes and back, on whatever runtime the new owner uses.

pub mod accept;
pub mod config;
mod handshake;
pub mod layers;
pub mod listener;
pub mod security;
pub mod tls;
pub mod transport;
pub mod upgrade;
pub mod ws;

pub use accept::{Accepted, Greeter, HandshakeFailure};
pub use layers::{Decoded, LayerError, Layers};
pub use listener::Listener;
pub use security::{Security, SharedSecurity};
pub use transport::Transport;
