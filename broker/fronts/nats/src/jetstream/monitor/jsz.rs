//! `/jsz`: streams and consumers, by account.

use mainstem_admin::Query;
use mainstem_streams::{AccountInfo, Streams};
use serde::Serialize;

use super::{Config, NoLimits, Stats};
use crate::jetstream::JetStream;
use crate::jetstream::json::info::{ApiStats, ClusterInfo, ConsumerInfo, Shown, StreamInfo};
use crate::jetstream::json::time::Time;
use crate::jetstream::now_ns;
use crate::monitor::BadRequest;

/// Accounts in an answer, where the query does not say.
const ACCOUNTS_LIMIT: usize = 1024;
/// Streams or consumers that are asked for at once.
const PAGE: usize = 256;

/// The query.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    account: Option<String>,
    accounts: bool,
    streams: bool,
    consumers: bool,
    config: bool,
    offset: usize,
    limit: usize,
}

impl Options {
    pub(super) fn parse(query: &Query) -> Result<Self, BadRequest> {
        for ignored in ["leader-only", "raft", "stream-leader-only"] {
            query.bool(ignored)?;
        }
        let consumers = query.bool("consumers")?;
        let streams = query.bool("streams")? || consumers;
        let limit = usize::try_from(query.uint("limit")?).unwrap_or(usize::MAX);
        Ok(Self {
            account: query.get("acc").map(str::to_owned),
            accounts: query.bool("accounts")? || streams,
            streams,
            consumers,
            config: query.bool("config")?,
            offset: usize::try_from(query.uint("offset")?).unwrap_or(usize::MAX),
            limit: if limit == 0 { ACCOUNTS_LIMIT } else { limit },
        })
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Jsz {
    #[serde(flatten)]
    stats: Stats,
    server_id: String,
    now: Time,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disabled: bool,
    config: Config,
    limits: NoLimits,
    streams: usize,
    consumers: usize,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account_details: Vec<AccountDetail>,
    total: usize,
}

#[derive(Debug, Serialize)]
struct AccountDetail {
    name: String,
    id: String,
    #[serde(flatten)]
    stats: Stats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stream_detail: Vec<StreamDetail>,
}

#[derive(Debug, Serialize)]
struct StreamDetail {
    name: String,
    #[serde(flatten)]
    info: StreamInfo,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumer_detail: Vec<ConsumerInfo>,
}

pub(super) async fn jsz(jetstream: &JetStream, options: &Options) -> Jsz {
    let used = jetstream.used();
    let mut answer = Jsz {
        stats: jetstream.stats(),
        server_id: jetstream.front.server_id.clone(),
        now: Time(now_ns()),
        disabled: jetstream.streams().is_none(),
        config: jetstream.shown_config(),
        limits: NoLimits {},
        streams: used.iter().map(|(_, info)| info.streams).sum(),
        consumers: used.iter().map(|(_, info)| info.consumers).sum(),
        messages: messages(jetstream, &used).await,
        bytes: used
            .iter()
            .map(|(_, info)| info.memory_bytes + info.store_bytes)
            .sum(),
        account_details: Vec::new(),
        total: used.len(),
    };
    let shown = used.into_iter().filter(|(name, _)| match &options.account {
        Some(account) => name == account,
        None => options.accounts,
    });
    for (name, info) in shown.skip(options.offset).take(options.limit) {
        answer
            .account_details
            .push(detail(jetstream, name, &info, options).await);
    }
    answer
}

/// Messages of all streams.
async fn messages(jetstream: &JetStream, used: &[(String, AccountInfo)]) -> u64 {
    let Some(streams) = jetstream.streams() else {
        return 0;
    };
    let mut messages = 0;
    for (account, info) in used {
        let mut offset = 0;
        while offset < info.streams {
            let page = streams.stream_list(account, None, offset, PAGE).await;
            let items = page.map(|page| page.items).unwrap_or_default();
            if items.is_empty() {
                break;
            }
            offset += items.len();
            messages += items.iter().map(|info| info.state.msgs).sum::<u64>();
        }
    }
    messages
}

async fn detail(jetstream: &JetStream, name: String, info: &AccountInfo, options: &Options) -> AccountDetail {
    let stream_detail = match jetstream.streams() {
        Some(streams) if options.streams => all_streams(jetstream, &streams, &name, options).await,
        _ => Vec::new(),
    };
    AccountDetail {
        id: name.clone(),
        stats: Stats {
            memory: info.memory_bytes,
            storage: info.store_bytes,
            // No limit is -1, which nats-server shows as the largest number.
            reserved_memory: info.limits.max_memory_bytes as u64,
            reserved_storage: info.limits.max_store_bytes as u64,
            api: ApiStats {
                level: 0,
                ..jetstream.api_stats(&name)
            },
            ..Stats::default()
        },
        name,
        stream_detail,
    }
}

async fn all_streams(
    jetstream: &JetStream,
    streams: &Streams,
    account: &str,
    options: &Options,
) -> Vec<StreamDetail> {
    let mut details: Vec<StreamDetail> = Vec::new();
    loop {
        let page = streams.stream_list(account, None, details.len(), PAGE).await;
        let items = page.map(|page| page.items).unwrap_or_default();
        if items.is_empty() {
            return details;
        }
        for info in items {
            let name = info.config.name.to_string();
            let consumer_detail = match options.consumers {
                true => all_consumers(streams, account, &name).await,
                false => Vec::new(),
            };
            let mut info = StreamInfo::new(info, Shown::Listed, 0).into_detail(options.config);
            info.cluster = Some(ClusterInfo {
                leader: jetstream.front.server_name(),
            });
            details.push(StreamDetail {
                name,
                info,
                consumer_detail,
            });
        }
    }
}

async fn all_consumers(streams: &Streams, account: &str, stream: &str) -> Vec<ConsumerInfo> {
    let mut details = Vec::new();
    loop {
        let page = streams.consumer_list(account, stream, details.len(), PAGE).await;
        let items = page.map(|page| page.items).unwrap_or_default();
        if items.is_empty() {
            return details;
        }
        let now_ns = now_ns();
        let show = |info| ConsumerInfo::new(info, Shown::Listed, now_ns);
        details.extend(items.into_iter().map(show));
    }
}
