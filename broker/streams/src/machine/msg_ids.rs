//! Message ids that were seen within a stream's duplicate window, in buckets of time.

use std::collections::VecDeque;

use mainstem_storage::StorageError;

use super::rows::Rows;
use crate::command::StreamId;
use crate::keys::msg_id::{self, Seen};

/// Buckets of a window: ids are dropped a bucket at a time.
const BUCKETS: u64 = 4;

/// Ids of a stream at most; beyond, the oldest bucket is forgotten early.
const MAX_IDS: u64 = 4_000_000;

/// Buckets, oldest first: the time of its first id, and how many ids it has.
#[derive(Debug, Default)]
pub(crate) struct MsgIds {
    pub(super) buckets: VecDeque<(u64, u64)>,
}

impl MsgIds {
    /// The message that had the id within the window.
    pub(crate) fn get(
        &self,
        rows: &Rows,
        stream: StreamId,
        id: &[u8],
        window_ns: u64,
        now_ns: u64,
    ) -> Result<Option<u64>, StorageError> {
        for (bucket, _) in self.buckets.iter().rev() {
            let key = msg_id::key(rows.group(), stream, *bucket, id);
            if let Some(value) = rows.get(&key)? {
                let seen = Seen::decode(&value).map_err(|error| rows.damaged("a message id", error))?;
                let is_young = now_ns.saturating_sub(seen.timestamp_ns) < window_ns;
                return Ok(is_young.then_some(seen.seq));
            }
        }
        Ok(None)
    }

    pub(crate) fn insert(
        &mut self,
        rows: &mut Rows,
        stream: StreamId,
        id: &[u8],
        seen: Seen,
        window_ns: u64,
    ) {
        let now_ns = seen.timestamp_ns;
        self.forget(rows, stream, now_ns.saturating_sub(window_ns));
        let bucket = match self.buckets.back_mut() {
            Some((first_ns, count)) if now_ns - *first_ns < window_ns / BUCKETS => {
                *count += 1;
                *first_ns
            }
            _ => {
                self.buckets.push_back((now_ns, 1));
                now_ns
            }
        };
        rows.put(msg_id::key(rows.group(), stream, bucket, id), seen.encode());
    }

    /// Drops buckets whose ids are all from before `before_ns`.
    fn forget(&mut self, rows: &mut Rows, stream: StreamId, before_ns: u64) {
        let mut total: u64 = self.buckets.iter().map(|(_, count)| count).sum();
        while let Some((bucket, count)) = self.buckets.front().copied() {
            // All its ids are older than the first of the next one.
            let is_old = self
                .buckets
                .get(1)
                .is_some_and(|(next_ns, _)| *next_ns <= before_ns);
            if !is_old && total < MAX_IDS {
                break;
            }
            total -= count;
            self.buckets.pop_front();
            rows.delete_prefix(&msg_id::of_bucket(rows.group(), stream, bucket));
        }
    }
}
