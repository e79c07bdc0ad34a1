//! Who wants which subjects.
//!
//! Two levels live here: [`NodeInterest`] says which *workers* want a subject (persistent, read without a lock), and
//! [`LocalInterest`] says which of one worker's *subscriptions* do (single-threaded). Both are sharded alike, by the
//! first token, so that churn in one corner (inboxes, mostly) leaves other cached results valid.

mod children;
mod local;
mod node;
mod trie;

pub use local::{LocalInterest, LocalMatch};
pub use node::{Interest, NodeInterest, QueueInterest, WorkerMask};
pub use trie::{Trie, Value};

/// Shard of filters that start with a wildcard: it matters to every subject.
pub const WILDCARD_SHARD: usize = 0;
/// Shard of tokens with a leading underscore (`_INBOX`): it changes all the time.
const INBOX_SHARD: usize = 1;
const FIRST_HASHED_SHARD: usize = 2;
/// Shards of one account's interest.
pub const SHARDS: usize = 16;

/// The shard of a filter, or of a subject (which is never the wildcard shard unless it starts with a wildcard).
pub fn shard_of(filter: &[u8]) -> usize {
    let first = filter.split(|&byte| byte == b'.').next().unwrap_or_default();
    match first {
        b"*" | b">" => WILDCARD_SHARD,
        [b'_', ..] => INBOX_SHARD,
        _ => FIRST_HASHED_SHARD + (children::hash(first) % (SHARDS - FIRST_HASHED_SHARD) as u64) as usize,
    }
}
