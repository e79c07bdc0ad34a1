//! Metrics as their sources give them, and `/metrics`, which writes them as Prometheus text.
//!
//! Sources build their samples at the time of the scrape from counters they keep anyway, so that counting costs
//! the hot path nothing.

mod encode;

use std::borrow::Cow;
use std::sync::Arc;

use crate::BoxFuture;
use crate::limits::MAX_SAMPLES;
use crate::process;
use crate::registry::{Handler, handler};
use crate::reply::Reply;

pub use encode::encode;

/// Something that has metrics.
pub trait MetricSource: Send + Sync {
    /// The metrics as they stand now. Label values must come from a bounded set: never a connection, never a
    /// subject.
    fn collect(&self) -> BoxFuture<'_, Vec<Family>>;
}

/// All samples of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// `mainstem_` and the thing, with its unit; counters end in `_total`. Letters, digits and `_`.
    pub name: Cow<'static, str>,
    /// One sentence for people.
    pub help: Cow<'static, str>,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    Histogram,
}

/// One value with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Vec<Label>,
    pub value: Value,
}

/// Name and value of a label.
pub type Label = (Cow<'static, str>, Cow<'static, str>);

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(u64),
    Float(f64),
    Histogram(Histogram),
}

/// How often which size was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bound (inclusive, growing) and how many values were at most that. The bucket of all values (`+Inf`)
    /// is added when it is written.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
    pub count: u64,
}

impl Family {
    /// A counter without samples yet.
    pub fn counter(name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, help, Kind::Counter)
    }

    /// A gauge without samples yet.
    pub fn gauge(name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, help, Kind::Gauge)
    }

    /// A histogram without samples yet.
    pub fn histogram(name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, help, Kind::Histogram)
    }

    fn new(name: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            help: help.into(),
            kind,
            samples: Vec::new(),
        }
    }

    /// The same with one more sample.
    #[must_use]
    pub fn with(mut self, labels: &[(&'static str, &str)], value: impl Into<Value>) -> Self {
        self.add(labels, value);
        self
    }

    /// Adds a sample.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: impl Into<Value>) {
        let labels = labels
            .iter()
            .map(|(name, text)| (Cow::Borrowed(*name), Cow::Owned((*text).to_owned())))
            .collect();
        self.samples.push(Sample {
            labels,
            value: value.into(),
        });
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Integer(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Histogram> for Value {
    fn from(value: Histogram) -> Self {
        Self::Histogram(value)
    }
}

pub(crate) fn endpoint(sources: Vec<Arc<dyn MetricSource>>) -> Handler {
    let sources = Arc::new(sources);
    handler(move |_| scrape(Arc::clone(&sources)))
}

async fn scrape(sources: Arc<Vec<Arc<dyn MetricSource>>>) -> Reply {
    let mut families = process::families();
    for source in sources.iter() {
        families.extend(source.collect().await);
    }
    let left_out = truncate(&mut families, MAX_SAMPLES);
    families.push(
        Family::gauge(
            "mainstem_metrics_left_out_samples",
            "Samples beyond the bound of one scrape.",
        )
        .with(&[], left_out),
    );
    Reply::Text {
        content_type: encode::CONTENT_TYPE,
        body: encode(families),
    }
}

/// Keeps the first `most` samples; says how many it left out.
fn truncate(families: &mut [Family], most: usize) -> usize {
    let mut room = most;
    let mut left_out = 0;
    for family in families {
        let kept = family.samples.len().min(room);
        left_out += family.samples.len() - kept;
        family.samples.truncate(kept);
        room -= kept;
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_has_a_bound() {
        let gauge = |samples: u64| {
            (0..samples).fold(Family::gauge("a", ""), |family, value| {
                family.with(&[("n", &value.to_string())], value)
            })
        };
        let mut families = vec![gauge(3), gauge(4), gauge(2)];
        assert_eq!(truncate(&mut families, 5), 4);
        let kept: Vec<_> = families.iter().map(|family| family.samples.len()).collect();
        assert_eq!(kept, [3, 2, 0]);
    }
}
