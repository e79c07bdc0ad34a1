//! The meta group: names of streams, their subjects, and which group holds them.
//!
//! A name is taken here first; the stream itself begins, changes and ends by entries of its data group. What a crash
//! leaves between the two is put right at start ([`Streams::start`](crate::Streams::start)).

mod command;
mod machine;
mod mend;
mod names;
mod rows;

pub(crate) use command::{MetaCommand, MetaOutcome};
pub(crate) use machine::MetaMachine;
pub(crate) use mend::mend;
pub(crate) use names::{Names, Placed};
