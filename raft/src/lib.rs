//! Groups of replicas that agree on a log, each driving a machine.
//!
//! Owns how a proposal becomes a committed entry, what of Raft is kept on disk and how, when rows are written back and
//! when the log is purged. It is the only crate that names openraft. It must never know streams, subjects or a
//! protocol: what is proposed is bytes to it, and what an entry does is the [`Machine`]'s business.
//!
//! A group has one voter, this node, for now: [`network`] reaches nobody. Everything else is what replicas will use.

mod apply;
mod codec;
mod error;
mod flusher;
mod group;
mod groups;
mod log_store;
mod loss;
mod machine;
mod network;
mod shared;
mod types;

pub use codec::{ROOM, payload, replace_payload};
pub use error::{ProposeError, StartError};
pub use group::{Group, GroupMetrics};
pub use groups::{Groups, Opening, Options};
pub use loss::{accept_loss, is_complete, is_joined, rebuild, skip};
pub use machine::{Machine, Reply};
