//! What the store and its groups count, as metrics.

use std::sync::Arc;

use mainstem_admin::BoxFuture;
use mainstem_admin::metrics::{Family, Histogram, MetricSource};
use mainstem_storage::Storage;
use mainstem_storage::metrics::{Counts, Snapshot};
use mainstem_streams::Streams;

/// The source of these metrics.
pub(super) struct StoreMetrics {
    pub(super) store: Arc<Storage>,
    pub(super) streams: Arc<Streams>,
}

impl MetricSource for StoreMetrics {
    fn collect(&self) -> BoxFuture<'_, Vec<Family>> {
        Box::pin(async {
            let mut families = of_store(&self.store.metrics(), self.store.read_only().is_some());
            families.extend(self.of_groups());
            families
        })
    }
}

impl StoreMetrics {
    fn of_groups(&self) -> Vec<Family> {
        let mut lag = Family::gauge(
            "mainstem_raft_apply_lag_entries",
            "Entries of a group that are committed and not applied.",
        );
        let mut behind = Family::gauge(
            "mainstem_raft_commit_lag_entries",
            "Entries of a group that are appended and not committed.",
        );
        let mut last = Family::counter(
            "mainstem_raft_appended_entries_total",
            "Last entry of a group's log.",
        );
        for (group, metrics) in self.streams.group_metrics() {
            let group = group.to_string();
            let labels = [("group", group.as_str())];
            lag.add(&labels, metrics.committed.saturating_sub(metrics.applied));
            behind.add(&labels, metrics.last_index.saturating_sub(metrics.committed));
            last.add(&labels, metrics.last_index);
        }
        vec![lag, behind, last]
    }
}

fn of_store(store: &Snapshot, is_read_only: bool) -> Vec<Family> {
    let gauge =
        |name: &'static str, help: &'static str, value: u64| Family::gauge(name, help).with(&[], value);
    let counter =
        |name: &'static str, help: &'static str, value: u64| Family::counter(name, help).with(&[], value);
    let written = &store.written;
    let causes = [
        ("wal", written.wal),
        ("flush", written.flush),
        ("compaction", written.compaction),
        ("watermark", written.watermark),
        ("index_flush", written.state_flush),
        ("index_compaction", written.state_compaction),
    ];
    let mut by_cause = Family::counter(
        "mainstem_log_written_bytes_total",
        "Bytes written to disk, by cause.",
    );
    for (cause, bytes) in causes {
        by_cause.add(&[("cause", cause)], bytes);
    }
    let amplification = written.total() as f64 / store.appended_bytes.max(1) as f64;
    let mut reads = Family::counter("mainstem_log_reads_total", "Entries read, by where they were.");
    for (place, count) in [
        ("tail", store.tail_hits),
        ("cache", store.cache_hits),
        ("disk", store.disk_reads),
    ] {
        reads.add(&[("from", place)], count);
    }
    vec![
        Family::histogram(
            "mainstem_log_fsync_seconds",
            "Time of a write to the log with its fsync.",
        )
        .with(&[], histogram(&store.sync_ns, 1e-9, 12..34)),
        Family::histogram("mainstem_log_batch_bytes", "Bytes of a synced write.")
            .with(&[], histogram(&store.batch_bytes, 1.0, 6..26)),
        Family::histogram(
            "mainstem_log_batch_operations",
            "Appends and notes of a synced write.",
        )
        .with(&[], histogram(&store.batch_ops, 1.0, 1..14)),
        counter(
            "mainstem_log_appended_bytes_total",
            "Bytes of entries appended to the log.",
            store.appended_bytes,
        ),
        by_cause,
        counter(
            "mainstem_log_copied_bytes_total",
            "Bytes copied forward to free space; part of what was flushed.",
            written.cold,
        ),
        Family::gauge(
            "mainstem_log_write_amplification",
            "Bytes written to disk for each byte appended, since the start.",
        )
        .with(&[], amplification),
        reads,
        gauge(
            "mainstem_log_tail_bytes",
            "Bytes of recent entries in memory.",
            store.tail_bytes,
        ),
        gauge("mainstem_log_segments", "Segments of the log.", store.segments),
        gauge(
            "mainstem_log_segment_bytes",
            "Bytes of those segments.",
            store.segment_bytes,
        ),
        counter(
            "mainstem_log_freed_segments_total",
            "Segments freed.",
            store.segments_freed,
        ),
        gauge(
            "mainstem_log_free_bytes",
            "Free bytes of the disk when the store last looked.",
            store.free_bytes,
        ),
        gauge(
            "mainstem_log_read_only",
            "1: the store is damaged and nothing is stored.",
            u64::from(is_read_only),
        ),
    ]
}

/// Buckets of powers of two from the first to the last of `shown`; `scale` turns values into the metric's unit.
fn histogram(counts: &Counts, scale: f64, shown: std::ops::Range<usize>) -> Histogram {
    let mut below = 0;
    let mut buckets = Vec::with_capacity(shown.len());
    for (power, count) in counts.buckets.iter().enumerate() {
        below += count;
        if shown.contains(&power) {
            // Values of this bucket are below the power, so at most that.
            buckets.push(((1_u64 << power) as f64 * scale, below));
        }
    }
    Histogram {
        buckets,
        sum: counts.sum as f64 * scale,
        count: counts.count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_all_below_them() {
        let counts = mainstem_storage::metrics::Histogram::default();
        for value in [1, 5, 6, 700] {
            counts.record(value);
        }
        let shown = histogram(&counts.read(), 1.0, 2..5);
        assert_eq!(shown.buckets, [(4.0, 1), (8.0, 3), (16.0, 3)]);
        assert_eq!((shown.count, shown.sum), (4, 712.0));
    }
}
