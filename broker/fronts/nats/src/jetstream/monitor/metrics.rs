//! Metrics of streams and consumers.

use std::sync::Arc;

use mainstem_admin::BoxFuture;
use mainstem_admin::metrics::{Family, MetricSource};
use mainstem_streams::{ConsumerInfo, StreamInfo, Streams};

use crate::jetstream::JetStream;

/// Streams that have metrics of their own, and as many consumers: those that come first by account and name. A label for
/// each of more would cost more than it tells.
const MAX_LABELS: usize = 1000;
/// Streams or consumers that are asked for at once.
const PAGE: usize = 256;

/// Collects them.
pub(super) struct Metrics(pub(super) Arc<JetStream>);

impl MetricSource for Metrics {
    fn collect(&self) -> BoxFuture<'_, Vec<Family>> {
        Box::pin(async {
            let Some(streams) = self.0.streams() else {
                return Vec::new();
            };
            let mut families = self.of_the_api();
            let mut shown = Shown::default();
            for account in self.0.used().into_iter().map(|(name, _)| name) {
                collect(&streams, &account, &mut shown).await;
            }
            families.extend(shown.of_streams());
            families.extend(shown.of_consumers());
            families
        })
    }
}

impl Metrics {
    fn of_the_api(&self) -> Vec<Family> {
        let stats = self.0.api.stats();
        vec![
            Family::counter(
                "mainstem_nats_jetstream_api_requests_total",
                "Requests to JetStream's API that were answered.",
            )
            .with(&[], stats.total),
            Family::counter(
                "mainstem_nats_jetstream_api_errors_total",
                "Requests of them that were answered with an error.",
            )
            .with(&[], stats.errors),
            Family::gauge(
                "mainstem_nats_jetstream_api_inflight",
                "Requests to JetStream's API that wait or are worked on.",
            )
            .with(&[], stats.inflight),
        ]
    }
}

/// What has metrics of its own, each with its account; a consumer with the last sequence of its stream.
#[derive(Default)]
struct Shown {
    streams: Vec<(String, StreamInfo)>,
    consumers: Vec<(String, ConsumerInfo, u64)>,
}

async fn collect(streams: &Streams, account: &str, shown: &mut Shown) {
    let mut offset = 0;
    while shown.streams.len() < MAX_LABELS {
        let limit = PAGE.min(MAX_LABELS - shown.streams.len());
        let page = streams.stream_list(account, None, offset, limit).await;
        let items = page.map(|page| page.items).unwrap_or_default();
        if items.is_empty() {
            return;
        }
        offset += items.len();
        for info in items {
            collect_consumers(streams, account, &info, shown).await;
            shown.streams.push((account.to_owned(), info));
        }
    }
}

async fn collect_consumers(streams: &Streams, account: &str, stream: &StreamInfo, shown: &mut Shown) {
    let mut offset = 0;
    while shown.consumers.len() < MAX_LABELS && offset < stream.state.consumers {
        let limit = PAGE.min(MAX_LABELS - shown.consumers.len());
        let page = streams
            .consumer_list(account, &stream.config.name, offset, limit)
            .await;
        let items = page.map(|page| page.items).unwrap_or_default();
        if items.is_empty() {
            return;
        }
        offset += items.len();
        let with_end = |info| (account.to_owned(), info, stream.state.last_seq);
        shown.consumers.extend(items.into_iter().map(with_end));
    }
}

impl Shown {
    fn of_streams(&self) -> Vec<Family> {
        let family = |name: &'static str, help: &'static str, value: fn(&StreamInfo) -> u64| {
            self.streams
                .iter()
                .fold(Family::gauge(name, help), |family, (account, info)| {
                    family.with(
                        &[("account", account), ("stream", &info.config.name)],
                        value(info),
                    )
                })
        };
        vec![
            family("mainstem_stream_messages", "Messages of a stream.", |info| {
                info.state.msgs
            }),
            family("mainstem_stream_bytes", "Bytes of those messages.", |info| {
                info.state.bytes
            }),
            family(
                "mainstem_stream_last_sequence",
                "Last sequence of a stream.",
                |info| info.state.last_seq,
            ),
            family("mainstem_stream_consumers", "Consumers of a stream.", |info| {
                info.state.consumers as u64
            }),
        ]
    }

    fn of_consumers(&self) -> Vec<Family> {
        let family = |name: &'static str, help: &'static str, value: fn(&ConsumerInfo, u64) -> u64| {
            let family = Family::gauge(name, help);
            self.consumers
                .iter()
                .fold(family, |family, (account, info, last_seq)| {
                    let labels: [(&str, &str); 3] = [
                        ("account", account),
                        ("stream", &info.stream),
                        ("consumer", &info.name),
                    ];
                    family.with(&labels, value(info, *last_seq))
                })
        };
        vec![
            family(
                "mainstem_consumer_pending",
                "Messages that wait to be delivered by a consumer.",
                |info, _| info.num_pending,
            ),
            family(
                "mainstem_consumer_ack_pending",
                "Messages that were delivered and wait to be acknowledged.",
                |info, _| info.num_ack_pending as u64,
            ),
            family(
                "mainstem_consumer_redelivered",
                "Messages of those that were delivered more than once.",
                |info, _| info.num_redelivered as u64,
            ),
            family(
                "mainstem_consumer_lag",
                "Sequences from the last that is acknowledged with all before it to the stream's last.",
                |info, last_seq| last_seq.saturating_sub(info.ack_floor.stream),
            ),
        ]
    }
}
