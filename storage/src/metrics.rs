//! What a store counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a histogram: powers of two.
pub const BUCKETS: usize = 40;

/// Counts by power of two: bucket `k` holds values below `2^k` that are in no bucket before it.
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub fn record(&self, value: u64) {
        let bucket = (u64::BITS - value.leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub fn read(&self) -> Counts {
        let buckets = std::array::from_fn(|k| self.buckets[k].load(Ordering::Relaxed));
        Counts {
            buckets,
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// A histogram as it was.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// `buckets[k]` values were at least `2^(k-1)` and below `2^k`; the last one has no upper end.
    pub buckets: [u64; BUCKETS],
    pub sum: u64,
}

impl Counts {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// An upper bound of the value below which the share `q` of all is; 0 when there are none.
    pub fn quantile(&self, q: f64) -> u64 {
        let wanted = (self.count() as f64 * q).ceil() as u64;
        let mut seen = 0;
        for (k, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return 1 << k;
            }
        }
        0
    }
}

/// Counters of a store, written by its threads.
#[derive(Default)]
pub struct Metrics {
    pub sync_ns: Histogram,
    pub batch_bytes: Histogram,
    pub batch_ops: Histogram,
    pub appended_bytes: AtomicU64,
    pub tail_bytes: AtomicU64,
    pub tail_hits: AtomicU64,
    pub cache_hits: AtomicU64,
    pub disk_reads: AtomicU64,
    pub cold_bytes: AtomicU64,
    pub watermark_bytes: AtomicU64,
    pub segments_freed: AtomicU64,
    pub free_bytes: AtomicU64,
}

/// The counters at a moment. Bytes are since the store was opened.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// Nanoseconds of a write and its fsync.
    pub sync_ns: Counts,
    pub batch_bytes: Counts,
    pub batch_ops: Counts,
    /// Bytes of entries that were handed over, of all groups that are on disk.
    pub appended_bytes: u64,
    pub written: Written,
    pub tail_bytes: u64,
    pub tail_hits: u64,
    pub cache_hits: u64,
    pub disk_reads: u64,
    pub segments: u64,
    pub segments_freed: u64,
    /// Bytes that the segments take.
    pub segment_bytes: u64,
    pub free_bytes: u64,
}

/// Bytes that were written, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub wal: u64,
    pub flush: u64,
    pub compaction: u64,
    /// Copied by cleaning; `flush` has it too.
    pub cold: u64,
    pub watermark: u64,
    pub state_flush: u64,
    pub state_compaction: u64,
}

impl Written {
    pub fn total(&self) -> u64 {
        self.wal + self.flush + self.compaction + self.watermark + self.state_flush + self.state_compaction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().quantile(0.5), 0);
        (0..100).for_each(|value| histogram.record(value));
        let counts = histogram.read();
        assert_eq!((counts.count(), counts.sum), (100, 4950));
        assert_eq!(counts.quantile(0.5), 64);
        assert_eq!(counts.quantile(1.0), 128);
        histogram.record(u64::MAX);
        assert_eq!(histogram.read().buckets[BUCKETS - 1], 1);
    }
}
