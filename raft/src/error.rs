//! Why a group does not start, or does not take a proposal.

use mainstem_storage::StorageError;

/// Why a proposal has no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Another node leads the group, or nobody does. The proposal will not take effect.
    #[error("this node does not lead the group")]
    NotLeader,
    /// The store is read-only. Nothing was appended, and nothing will take effect.
    #[error(transparent)]
    Refused(StorageError),
    /// The group has stopped. Nothing was appended, and nothing will take effect.
    #[error("the group has stopped")]
    Stopped,
    /// The proposal was handed over, and what became of it is not known: it may still take effect.
    #[error("the outcome is unknown")]
    Unknown,
}

/// Why a group does not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The rows stand on entries that the log does not have.
    #[error(
        "the state of group {group} is at entry {applied}, but its log ends at {last}: the log lost its end"
    )]
    Behind { group: u32, applied: u64, last: u64 },
    /// The rows end before the log begins.
    #[error(
        "the state of group {group} needs entry {applied}, but its log begins at {first}: the state lost its end"
    )]
    Old { group: u32, applied: u64, first: u64 },
    /// What is stored under this group's name can not be read.
    #[error("group {group}: {what}")]
    Invalid { group: u32, what: String },
    #[error("group {group}: {what}")]
    Raft { group: u32, what: String },
}
