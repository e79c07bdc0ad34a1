//! openraft's types with ours in them.

use std::fmt;

use bytes::Bytes;

use crate::machine::Reply;

openraft::declare_raft_types!(
    /// Names every type that openraft lets its user choose.
    pub Types:
        D = Data,
        R = Reply,
);

pub type NodeId = u64;
pub type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub type LeaderId = openraft::type_config::alias::LeaderIdOf<Types>;
pub type Vote = openraft::type_config::alias::VoteOf<Types>;
pub type Entry = openraft::type_config::alias::EntryOf<Types>;
pub type Membership = openraft::Membership<NodeId, openraft::BasicNode>;
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
pub type Snapshot = openraft::type_config::alias::SnapshotOf<Types, ()>;
pub type Raft = openraft::Raft<Types, crate::apply::Applier>;

/// What was proposed.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(pub Bytes);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
