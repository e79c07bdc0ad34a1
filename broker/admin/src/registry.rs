//! What is served: endpoints, metric sources and health checks, collected before the start.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crate::BoxFuture;
use crate::health::{self, HealthCheck};
use crate::metrics::{self, MetricSource};
use crate::reply::Reply;
use crate::request::Request;

/// Answers the requests for one path.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Reply> + Send + Sync>;

/// Makes a [`Handler`] of an async function that returns a [`Reply`] or a `Result` of one.
pub fn handler<F, Fut, R>(answer: F) -> Handler
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: Into<Reply>,
{
    Arc::new(move |request| {
        let reply = answer(request);
        Box::pin(async move { reply.await.into() })
    })
}

/// Endpoints, metric sources and health checks.
#[derive(Default)]
pub struct Registry {
    pub(crate) routes: BTreeMap<&'static str, Handler>,
    pub(crate) aliases: BTreeMap<&'static str, &'static str>,
    counts: Arc<RequestCounts>,
    metrics: Vec<Arc<dyn MetricSource>>,
    health: Vec<(&'static str, HealthCheck)>,
}

impl Registry {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `path` (`/varz`). Of two handlers for one path, the later stays; `/`, `/healthz` and `/metrics`
    /// are the registry's own unless they are replaced here.
    pub fn route(&mut self, path: &'static str, handler: Handler) {
        self.routes.insert(path, handler);
    }

    /// Serves `path` as if `target` had been asked for. It is neither listed nor counted under its own name.
    pub fn alias(&mut self, path: &'static str, target: &'static str) {
        self.aliases.insert(path, target);
    }

    /// Adds a source to `/metrics`.
    pub fn metrics(&mut self, source: Arc<dyn MetricSource>) {
        self.metrics.push(source);
    }

    /// Adds a check to `/healthz`. `name` is the `type` of its errors there (`CONNECTION`).
    pub fn health(&mut self, name: &'static str, check: HealthCheck) {
        self.health.push((name, check));
    }

    /// How often each endpoint was asked for; shared with the server once it runs.
    #[must_use]
    pub fn request_counts(&self) -> Arc<RequestCounts> {
        Arc::clone(&self.counts)
    }

    pub(crate) fn metrics_handler(&self) -> Handler {
        metrics::endpoint(self.metrics.clone())
    }

    pub(crate) fn health_handler(&self) -> Handler {
        health::endpoint(self.health.clone())
    }
}

/// Requests by endpoint since the start. Only registered paths are counted, so that its size has a bound.
#[derive(Debug, Default)]
pub struct RequestCounts(Mutex<BTreeMap<&'static str, u64>>);

impl RequestCounts {
    pub(crate) fn add(&self, path: &'static str) {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(path)
            .or_default() += 1;
    }

    /// Path and number of requests, of all paths that were asked for.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
