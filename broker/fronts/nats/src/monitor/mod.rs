//! Monitoring in nats-server's shapes: `/varz`, `/connz`, `/subsz`, `/accountz` and `/accstatz` with the field
//! names, the order and the omissions of nats-server 2.14.5, which natscli, dashboards and client suites read.
//!
//! Everything is a pure function from the plain data of [`snapshot`] to a struct that serializes to the answer.
//! [`register`] puts them behind their paths; a [`MonitorSource`] gathers the snapshots.
//!
//! Deviations: a query for an unknown account answers with the server's id and an empty list, not with neither;
//! closed connections of the global account are found by `acc=$G`; `/connz` takes `filter_subject`, which
//! nats-server only takes through its system account.

mod accountz;
mod connz;
mod connz_options;
mod families;
mod format;
mod subsz;
mod varz;

pub mod snapshot;

use std::sync::Arc;
use std::time::SystemTime;

use mainstem_admin::metrics::{Family, MetricSource};
use mainstem_admin::{BadQuery, BoxFuture, HealthCheck, Registry, Reply, Request, Unhealthy, handler};

pub use accountz::{AccountStatz, Accountz, accountz, accstatz};
pub use connz::{Connz, connz};
pub use connz_options::{ConnState, ConnzOptions};
pub use families::families;
pub(crate) use format::{duration, is_default, timestamp};
pub use subsz::{Subsz, SubszOptions, subsz};
pub use varz::{Varz, varz};

use snapshot::{AccountSnapshot, ConnSnapshot, ServerSnapshot, SubSnapshot};

/// Gathers what monitoring shows, at the time it is asked for.
pub trait MonitorSource: Send + Sync {
    /// The server: configuration, counters, resources.
    fn server(&self) -> BoxFuture<'_, ServerSnapshot>;

    /// Connections, at least those `wanted` asks for; what is more is left out later.
    fn connections(&self, wanted: ConnectionsWanted) -> BoxFuture<'_, Vec<ConnSnapshot>>;

    /// Subscriptions of one account, or of all.
    fn subscriptions(&self, account: Option<String>) -> BoxFuture<'_, Vec<SubSnapshot>>;

    /// All accounts.
    fn accounts(&self) -> BoxFuture<'_, Vec<AccountSnapshot>>;
}

/// Which connections are needed, so that a source can spare itself the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionsWanted {
    pub open: bool,
    pub closed: bool,
    /// With their subscriptions.
    pub subscriptions: bool,
    /// Of this account only.
    pub account: Option<String>,
}

/// A query that makes no sense: 400 with one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

impl From<BadQuery> for BadRequest {
    fn from(problem: BadQuery) -> Self {
        Self(problem.to_string())
    }
}

impl From<BadRequest> for Reply {
    fn from(problem: BadRequest) -> Self {
        Self::error(400, problem.0)
    }
}

/// Serves the endpoints, the metrics and the checks of the query of `/healthz`.
pub fn register(registry: &mut Registry, source: &Arc<dyn MonitorSource>) {
    let counts = registry.request_counts();
    registry.route(
        "/varz",
        endpoint(source, move |source, _| {
            let counts = Arc::clone(&counts);
            async move { Ok(Reply::json(&varz(&source.server().await, &counts.snapshot()))) }
        }),
    );
    registry.route("/connz", endpoint(source, serve_connz));
    registry.route("/subsz", endpoint(source, serve_subsz));
    registry.alias("/subscriptionsz", "/subsz");
    registry.route("/accountz", endpoint(source, serve_accountz));
    registry.route("/accstatz", endpoint(source, serve_accstatz));
    registry.metrics(Arc::new(Metrics(Arc::clone(source))));
    registry.health("BAD_REQUEST", health_query());
}

fn endpoint<F, Fut>(source: &Arc<dyn MonitorSource>, answer: F) -> mainstem_admin::Handler
where
    F: Fn(Arc<dyn MonitorSource>, Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, BadRequest>> + Send + 'static,
{
    let source = Arc::clone(source);
    handler(move |request| answer(Arc::clone(&source), request))
}

async fn serve_connz(source: Arc<dyn MonitorSource>, request: Request) -> Result<Reply, BadRequest> {
    let options = ConnzOptions::parse(&request.query)?;
    let server_id = source.server().await.server_id;
    let connections = source.connections(options.wanted()).await;
    Ok(Reply::json(&connz(
        &server_id,
        SystemTime::now(),
        connections,
        &options,
    )))
}

async fn serve_subsz(source: Arc<dyn MonitorSource>, request: Request) -> Result<Reply, BadRequest> {
    let options = SubszOptions::parse(&request.query)?;
    let server_id = source.server().await.server_id;
    let accounts = source.accounts().await;
    let subscriptions = match options.subscriptions {
        true => Some(source.subscriptions(options.account.clone()).await),
        false => None,
    };
    Ok(Reply::json(&subsz(
        &server_id,
        SystemTime::now(),
        &accounts,
        subscriptions,
        &options,
    )))
}

async fn serve_accountz(source: Arc<dyn MonitorSource>, request: Request) -> Result<Reply, BadRequest> {
    let server = source.server().await;
    let accounts = source.accounts().await;
    let answer = accountz(&server, SystemTime::now(), &accounts, request.query.get("acc"))?;
    Ok(Reply::json(&answer))
}

async fn serve_accstatz(source: Arc<dyn MonitorSource>, request: Request) -> Result<Reply, BadRequest> {
    let unused = request.query.bool("unused")?;
    let server_id = source.server().await.server_id;
    Ok(Reply::json(&accstatz(
        &server_id,
        SystemTime::now(),
        &source.accounts().await,
        unused,
    )))
}

struct Metrics(Arc<dyn MonitorSource>);

impl MetricSource for Metrics {
    fn collect(&self) -> BoxFuture<'_, Vec<Family>> {
        Box::pin(async { families(&self.0.server().await, &self.0.accounts().await) })
    }
}

/// What nats-server checks of the query before it looks at anything.
fn health_query() -> HealthCheck {
    Arc::new(|request: Request| Box::pin(async move { check_health_query(&request) }))
}

fn check_health_query(request: &Request) -> Result<(), Unhealthy> {
    let query = &request.query;
    for switch in ["js-enabled", "js-enabled-only", "js-server-only", "js-meta-only"] {
        query
            .bool(switch)
            .map_err(|problem| Unhealthy::bad_request(problem.to_string()))?;
    }
    let missing = |parameter: &str, what: &str| {
        Err(Unhealthy::bad_request(format!(
            "\"{parameter}\" must not be empty when checking {what} health"
        )))
    };
    match (query.get("account"), query.get("stream"), query.get("consumer")) {
        (None, Some(_), _) => missing("account", "stream"),
        (_, None, Some(_)) => missing("stream", "consumer"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
