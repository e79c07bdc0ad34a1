//! How many bytes of the log are needed, a bucket of entries each.

use std::ops::{ControlFlow, Range};

use foldhash::HashMap;
use mainstem_storage::StorageError;

use super::rows::Rows;
use crate::keys::{Kind, bucket, of_kind};

/// Bytes of messages that are still there.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// What changed since the last checkpoint.
    changed: HashMap<u64, i64>,
}

impl Live {
    pub(crate) fn add(&mut self, index: u64, bytes: u64) {
        *self.changed.entry(index / bucket::ENTRIES).or_default() += bytes as i64;
    }

    pub(crate) fn remove(&mut self, index: u64, bytes: u64) {
        *self.changed.entry(index / bucket::ENTRIES).or_default() -= bytes as i64;
    }

    pub(crate) fn changed_bytes(&self) -> usize {
        self.changed.len() * 24
    }

    /// Puts what changed into the rows.
    pub(crate) fn save(&mut self, rows: &mut Rows) -> Result<(), StorageError> {
        let changed = std::mem::take(&mut self.changed);
        for (bucket, change) in changed {
            let key = bucket::key(rows.group(), bucket);
            let bytes = stored(rows, &key)?.saturating_add_signed(change);
            match bytes {
                0 => rows.delete(key),
                _ => rows.put(key, bucket::encode(bytes)),
            }
        }
        Ok(())
    }

    /// Bytes in the entries `range`: of the buckets that it touches, the part that is its.
    pub(crate) fn bytes(&self, rows: &Rows, range: Range<u64>) -> Result<u64, StorageError> {
        if range.is_empty() {
            return Ok(0);
        }
        let mut buckets: HashMap<u64, u64> = HashMap::default();
        let of_range = range.start / bucket::ENTRIES..range.end.div_ceil(bucket::ENTRIES);
        let from = bucket::key(rows.group(), of_range.start);
        rows.scan_prefix_from(&from, &of_kind(rows.group(), Kind::Bucket), |key, value| {
            let number = bucket::bucket_of(key).unwrap_or(u64::MAX);
            if number >= of_range.end {
                return Ok(ControlFlow::Break(()));
            }
            let bytes = bucket::decode(value).map_err(|error| rows.damaged("live bytes", error))?;
            buckets.insert(number, bytes);
            Ok(ControlFlow::Continue(()))
        })?;
        for (bucket, change) in &self.changed {
            if of_range.contains(bucket) {
                let bytes = buckets.entry(*bucket).or_default();
                *bytes = bytes.saturating_add_signed(*change);
            }
        }
        let share = |(bucket, bytes): (&u64, &u64)| {
            let entries = bucket * bucket::ENTRIES..(bucket + 1) * bucket::ENTRIES;
            let common = entries
                .end
                .min(range.end)
                .saturating_sub(entries.start.max(range.start));
            (u128::from(*bytes) * u128::from(common)).div_ceil(u128::from(bucket::ENTRIES)) as u64
        };
        Ok(buckets.iter().map(share).sum())
    }
}

fn stored(rows: &Rows, key: &[u8]) -> Result<u64, StorageError> {
    match rows.get(key)? {
        Some(value) => bucket::decode(&value).map_err(|error| rows.damaged("live bytes", error)),
        None => Ok(0),
    }
}
