//! From commands to entries: one proposer a group.
//!
//! Fronts and the service hand chunks of encoded commands over ([`Door`]); a task makes entries of them, at most
//! [`ENTRY_BYTES`] each, proposes them, and gives each outcome to whoever waits for it. While entries are in flight
//! what arrives is collected, so a slow disk makes larger entries, not more of them.

mod chunk;
mod door;
mod run;

pub(crate) use chunk::Answer;
pub(crate) use door::Door;
pub use door::Publishing;
pub(crate) use run::refusal;

/// An entry is closed at this size.
const ENTRY_BYTES: usize = 64 << 10;

/// While an entry is in flight, so much has to wait before another one follows it: an entry costs more than what it
/// carries.
const WORTH_BYTES: usize = 16 << 10;
