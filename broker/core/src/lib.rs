//! The hot core: accounts, subjects, interest, fan-out, outbound buffers and limits.
//!
//! Owns the way of a message from a publishing connection to every subscription that wants it, on any worker of this
//! node: shared-nothing workers (one thread each), lock-free batches between them, byte bounds everywhere. It must
//! never know a protocol (a front gives it an [`Encoder`] and a [`ConnIo`]), a disk, or a configuration file.
//!
//! On the path of a subject that was seen before there is no lock and no allocation a message
//! (`tests/no_allocation.rs` counts).

pub mod account;
pub mod auth;
pub mod config;
mod conn;
mod deliver;
mod inbox;
mod inject;
pub mod interest;
mod message;
mod node;
mod outbound;
mod permissions;
mod route;
mod routes;
pub mod subject;
mod subscription;
mod sync;
mod tap;
mod worker;

pub use conn::{Conn, ConnIo, Cut, Encoder, Traffic};
pub use deliver::{Forbidden, Publisher};
pub use inject::{Gate, Injected, Injection};
pub use message::{Entry, Run, Span};
pub use node::{MAX_WORKERS, Node};
pub use outbound::{BufferPool, MAX_SLICES, Outbound};
pub use permissions::Permissions;
pub use subscription::Subscription;
pub use tap::{Source, Tap, TapId, TapInterest};
pub use worker::{SubscribeError, Worker};
