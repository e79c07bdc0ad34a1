//! From a request to the endpoint's answer: which endpoint, when, and for how long.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::index;
use crate::limits::{CHUNK_BYTES, MAX_REQUESTS, REQUEST_TIME};
use crate::registry::{Handler, Registry, RequestCounts};
use crate::reply::Reply;
use crate::request::{Query, Request};

const HEALTHZ: &str = "/healthz";
const METRICS: &str = "/metrics";
const ROOT: &str = "/";

/// The endpoints of one listener.
pub(crate) struct Site {
    base_path: String,
    endpoints: HashMap<&'static str, Endpoint>,
    counts: Arc<RequestCounts>,
    turns: Arc<Semaphore>,
}

#[derive(Clone)]
struct Endpoint {
    path: &'static str,
    handler: Handler,
}

impl Site {
    /// All endpoints, below `base_path`.
    pub(crate) fn monitoring(registry: &Registry, base_path: &str) -> Self {
        let base_path = normalized(base_path);
        let mut handlers = registry.routes.clone();
        handlers
            .entry(HEALTHZ)
            .or_insert_with(|| registry.health_handler());
        handlers
            .entry(METRICS)
            .or_insert_with(|| registry.metrics_handler());
        let index = index::endpoint(&base_path, handlers.keys().copied());
        handlers.entry(ROOT).or_insert(index);
        let mut site = Self::new(base_path, registry);
        site.endpoints = handlers
            .into_iter()
            .map(|(path, handler)| (path, Endpoint { path, handler }))
            .collect();
        for (path, target) in &registry.aliases {
            if let Some(endpoint) = site.endpoints.get(target).cloned() {
                site.endpoints.entry(path).or_insert(endpoint);
            }
        }
        site
    }

    /// Metrics and health only.
    pub(crate) fn metrics(registry: &Registry) -> Self {
        let mut site = Self::new(String::new(), registry);
        for (path, handler) in [
            (METRICS, registry.metrics_handler()),
            (HEALTHZ, registry.health_handler()),
        ] {
            site.endpoints.insert(path, Endpoint { path, handler });
        }
        site
    }

    fn new(base_path: String, registry: &Registry) -> Self {
        Self {
            base_path,
            endpoints: HashMap::new(),
            counts: registry.request_counts(),
            turns: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    /// Answers one request, whatever it is.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
    ) -> Response<Delivery> {
        if method != Method::GET && method != Method::HEAD {
            let mut response = respond(Reply::error(405, "only GET and HEAD are answered here\n"), None);
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some(endpoint) = self.find(path) else {
            return respond(Reply::not_found(), None);
        };
        self.counts.add(endpoint.path);
        let Ok(Ok(turn)) = timeout(REQUEST_TIME, Arc::clone(&self.turns).acquire_owned()).await else {
            return respond(Reply::error(503, "too many requests at once\n"), None);
        };
        let request = Request {
            path: endpoint.path.into(),
            query: Query::parse(query.unwrap_or_default()),
        };
        match timeout(REQUEST_TIME, (endpoint.handler)(request)).await {
            Ok(reply) => respond(reply, Some(turn)),
            Err(_) => respond(Reply::error(503, "the answer took too long\n"), None),
        }
    }

    fn find(&self, path: &str) -> Option<&Endpoint> {
        let path = path.strip_prefix(self.base_path.as_str())?;
        self.endpoints.get(if path.is_empty() { ROOT } else { path })
    }
}

/// `/base/` and `base` mean `/base`.
fn normalized(base_path: &str) -> String {
    match base_path.trim_matches('/') {
        "" => String::new(),
        inner => format!("/{inner}"),
    }
}

fn respond(reply: Reply, turn: Option<OwnedSemaphorePermit>) -> Response<Delivery> {
    let status = reply.status();
    let content_type = reply.content_type();
    let for_scripts = matches!(reply, Reply::Json { .. });
    let mut response = Response::new(Delivery {
        rest: reply.into_body().into(),
        _turn: turn,
    });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if for_scripts {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    response
}

/// A response's body, handed out in pieces. It keeps its request's turn until the last piece is taken, so that
/// answers waiting for slow readers count as requests under way.
pub(crate) struct Delivery {
    rest: Bytes,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Body for Delivery {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(CHUNK_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
