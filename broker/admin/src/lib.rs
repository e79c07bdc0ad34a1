//! Monitoring, metrics and health over HTTP.
//!
//! This crate knows no messaging protocol: fronts and the server put endpoints, metric sources and health
//! checks into a [`Registry`], and [`serve`] answers for them. What it adds of its own: `/` (an index),
//! `/healthz`, `/metrics` (Prometheus text) and the metrics of the process.
//!
//! Everything is bounded: connections, requests at once, the size of a request's head, the time an endpoint
//! may take and the age of a connection (see [`limits`]). A client that reads slowly holds one place for
//! [`limits::CONNECTION_AGE`] and [`limits::LINGER`], then it is cut.

pub mod config;
mod error;
mod health;
mod index;
pub mod limits;
mod listener;
pub mod metrics;
pub mod process;
mod registry;
mod reply;
mod request;
mod site;

use std::future::Future;
use std::pin::Pin;

pub use error::AdminError;
pub use health::{HealthCheck, Unhealthy};
pub use listener::{Serving, serve};
pub use registry::{Handler, Registry, RequestCounts, handler};
pub use reply::Reply;
pub use request::{BadQuery, Query, Request};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
