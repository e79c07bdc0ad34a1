//! JetStream as monitoring shows it: `/jsz`, its part of `/varz`, health of one stream or consumer, and metrics.

mod jsz;
mod metrics;

use std::sync::Arc;

use mainstem_admin::{HealthCheck, Registry, Reply, Request, Unhealthy, handler};
use mainstem_streams::{AccountInfo, InfoOptions};
use serde::Serialize;

use super::JetStream;
use super::json::info::ApiStats;
use super::json::is_default;
use crate::monitor::BadRequest;

/// Serves `/jsz`, the metrics and the health checks.
pub fn register(registry: &mut Registry, jetstream: &Arc<JetStream>) {
    let served = Arc::clone(jetstream);
    let answer = move |request: Request| {
        let jetstream = Arc::clone(&served);
        async move {
            let options = jsz::Options::parse(&request.query)?;
            Ok::<_, BadRequest>(Reply::json(&jsz::jsz(&jetstream, &options).await))
        }
    };
    registry.route("/jsz", handler(answer));
    registry.metrics(Arc::new(metrics::Metrics(Arc::clone(jetstream))));
    registry.health("STREAM", health(jetstream));
}

/// The part of `/varz`.
#[derive(Clone, Debug, Serialize)]
pub struct JetStreamVarz {
    config: Config,
    stats: Stats,
    limits: NoLimits,
}

/// Settings.
#[derive(Clone, Debug, Serialize)]
struct Config {
    max_memory: u64,
    max_storage: u64,
    store_dir: String,
    /// What is acknowledged is synced.
    sync_always: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Box<str>>,
    #[serde(skip_serializing_if = "is_default")]
    strict: bool,
}

/// There are no limits of requests that are the server's.
#[derive(Clone, Copy, Debug, Serialize)]
struct NoLimits {}

/// What is used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Stats {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: usize,
    ha_assets: usize,
    api: ApiStats,
}

impl JetStream {
    pub(crate) fn varz(&self) -> JetStreamVarz {
        JetStreamVarz {
            config: self.shown_config(),
            stats: self.stats(),
            limits: NoLimits {},
        }
    }

    fn shown_config(&self) -> Config {
        Config {
            max_memory: self.config.max_memory_bytes,
            max_storage: self.config.max_store_bytes,
            store_dir: self.config.store_dir.display().to_string(),
            sync_always: true,
            domain: self.config.domain.clone(),
            strict: self.config.strict,
        }
    }

    fn stats(&self) -> Stats {
        let used = self.used();
        let sum = |part: fn(&AccountInfo) -> u64| used.iter().map(|(_, info)| part(info)).sum();
        Stats {
            memory: sum(|info| info.memory_bytes),
            storage: sum(|info| info.store_bytes),
            reserved_memory: sum(|info| info.reserved_memory_bytes),
            reserved_storage: sum(|info| info.reserved_store_bytes),
            accounts: used.len(),
            ha_assets: 0,
            api: self.api.stats(),
        }
    }

    /// Accounts that have JetStream and what they use, in the order of their names.
    fn used(&self) -> Vec<(String, AccountInfo)> {
        let Some(streams) = self.streams() else {
            return Vec::new();
        };
        let mut used: Vec<_> = self
            .enabled_accounts()
            .into_iter()
            .map(|name| {
                let info = streams.account_info(&name);
                (name, info)
            })
            .collect();
        used.sort_by(|(one, _), (other, _)| one.cmp(other));
        used
    }
}

fn health(jetstream: &Arc<JetStream>) -> HealthCheck {
    let jetstream = Arc::clone(jetstream);
    Arc::new(move |request: Request| {
        let jetstream = Arc::clone(&jetstream);
        Box::pin(async move { check(&jetstream, &request).await })
    })
}

/// JetStream serves; so do the account, the stream and the consumer that the query names.
async fn check(jetstream: &JetStream, request: &Request) -> Result<(), Unhealthy> {
    let query = &request.query;
    let Some(streams) = jetstream.streams() else {
        return Err(Unhealthy::unavailable(
            "JetStream is not current with the meta leader",
        ));
    };
    let Some(account) = query.get("account") else {
        return Ok(());
    };
    if !jetstream.enabled_accounts().iter().any(|name| name == account) {
        let error = format!("JetStream account {account:?} not found");
        return Err(Unhealthy::unavailable(error));
    }
    let Some(stream) = query.get("stream") else {
        return Ok(());
    };
    let options = InfoOptions::default();
    if streams.stream_info(account, stream, &options).await.is_err() {
        let error = format!("JetStream stream {stream:?} not found on account {account:?}");
        return Err(Unhealthy::unavailable(error));
    }
    let Some(consumer) = query.get("consumer") else {
        return Ok(());
    };
    match streams.consumer_info(account, stream, consumer).await {
        Ok(_) => Ok(()),
        Err(_) => {
            let error = format!(
                "JetStream consumer {consumer:?} not found for stream {stream:?} on account {account:?}"
            );
            Err(Unhealthy::unavailable(error))
        }
    }
}
