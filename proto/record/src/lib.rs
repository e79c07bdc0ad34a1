//! The form in which messages and commands are kept and sent between nodes.
//!
//! An [entry](EntryReader) is what a group's log holds: a batch of commands with one timestamp. A command that
//! publishes holds a [`Record`]: the message. Both carry a version. Owns the bytes; must never know what a command does,
//! and nothing of a protocol but its number.

mod codec;
mod entry;
mod record;

pub use codec::{Reader, Truncated, Writer};
pub use entry::{ENTRY_OVERHEAD, EntryBuilder, EntryReader, InvalidEntry, strip};
pub use record::{Batch, InvalidRecord, Native, Origin, Record, Reference};
