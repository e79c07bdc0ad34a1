//! Work with streams: messages that the server keeps. Publishing counts what was acknowledged.

mod api;
mod asks;
mod pull;
mod replay;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::Target;
use crate::connection::Connection;
use crate::progress::Progress;
use crate::publish::Stop;
use crate::report::{Meter, Report, Unit};
use crate::stored::api::Api;
use crate::stored::asks::{Asks, Subjects};
use crate::units::{parse_bytes, parse_duration, thousands, whole_nanoseconds};

/// What is done with streams.
#[derive(Clone, Debug)]
pub struct Stored {
    pub work: Work,
    pub payload_bytes: usize,
    /// Streams that are held in memory by the server.
    pub in_memory: bool,
    /// For publishing and asking; the others end when all was received.
    pub stop: Stop,
}

/// The kinds of work.
#[derive(Clone, Debug)]
pub enum Work {
    /// Publishers, each with so many messages under way, to so many streams in turn.
    Publish {
        publishers: usize,
        outstanding: usize,
        streams: usize,
        limits: Limits,
    },
    /// Clients that put values of a bucket, each with so many under way, over so many keys: in turn or at random.
    Put {
        clients: usize,
        outstanding: usize,
        keys: usize,
        at_random: bool,
    },
    /// Clients that get them.
    Get { clients: usize, keys: usize },
    /// One client reads a stream of so many messages from its beginning, in order.
    Replay { messages: u64 },
    /// Clients share a consumer, pull batches of 100 and acknowledge each message.
    Pull { clients: usize, messages: u64 },
}

/// What streams that are published to keep.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Limits {
    /// What each stream keeps at most
    #[arg(long, value_name = "bytes", value_parser = parse_bytes)]
    pub max_bytes: Option<usize>,
    /// How long each stream keeps a message
    #[arg(long, value_name = "time", value_parser = parse_duration)]
    pub max_age: Option<Duration>,
    /// Streams that have no such limits
    #[arg(long, value_name = "count", default_value_t = 0)]
    pub unlimited: usize,
}

/// Name of the stream, of the bucket, and what subjects begin with.
const NAME: &str = "bench";
const CONSUMER: &str = "bench";
/// How a stream that is read is written before.
const FILLERS: usize = 4;
const FILL_OUTSTANDING: usize = 500;

impl Stored {
    /// Runs it once.
    ///
    /// # Errors
    /// The server refuses something, closes a connection, or does not answer.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        let mut api = Api::connect(&target.address)?;
        let mut report = Report {
            work: self.title(),
            payload_bytes: self.payload_bytes,
            unit: Unit::Message,
            ..Report::default()
        };
        match self.work {
            Work::Publish {
                publishers,
                outstanding,
                streams,
                limits,
            } => {
                self.create_streams(&mut api, streams, limits)?;
                let subjects = match streams {
                    1 => Subjects::new(vec![NAME.to_owned()]),
                    _ => Subjects::new((0..streams).map(subject).collect()),
                };
                let asks = self.asks(publishers, outstanding, subjects, self.payload_bytes);
                asks.measure(target, self.stop, progress, &mut report)?;
            }
            Work::Put {
                clients,
                outstanding,
                keys,
                at_random,
            } => {
                self.create_bucket(&mut api)?;
                let mut asks = self.asks(clients, outstanding, put_subjects(keys), self.payload_bytes);
                asks.at_random = at_random;
                asks.measure(target, self.stop, progress, &mut report)?;
            }
            Work::Get { clients, keys } => {
                self.create_bucket(&mut api)?;
                // One connection, so that each key comes once.
                self.fill(target, 1, put_subjects(keys), keys as u64)?;
                report.unit = Unit::Request;
                let subjects = (0..keys).map(|key| format!("$JS.API.DIRECT.GET.KV_{NAME}.$KV.{NAME}.{key}"));
                let asks = self.asks(clients, 1, Subjects::new(subjects.collect()), 0);
                asks.measure(target, self.stop, progress, &mut report)?;
            }
            Work::Replay { messages } => {
                self.prepare(target, &mut api, messages)?;
                report.unit = Unit::Delivery;
                progress.begin(&report.work, Some(messages));
                let meter = Meter::start(target.server_pid)?;
                let ended = replay::run(&mut api, target, messages, progress)?;
                meter.stop(ended, messages, &mut report)?;
            }
            Work::Pull { clients, messages } => {
                self.prepare(target, &mut api, messages)?;
                report.unit = Unit::Delivery;
                progress.begin(&report.work, Some(messages));
                pull::create(&mut api)?;
                let meter = Meter::start(target.server_pid)?;
                let ended = pull::run(target, clients, messages, progress)?;
                meter.stop(ended, messages, &mut report)?;
            }
        }
        Ok(report)
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let size = self.payload_bytes;
        let place = if self.in_memory { ", in memory" } else { "" };
        match &self.work {
            Work::Publish {
                publishers,
                outstanding: 1,
                streams: 1,
                ..
            } => format!("{publishers} publishing one at a time, {size} B{place}"),
            Work::Publish {
                publishers,
                outstanding,
                streams,
                ..
            } => {
                let many = match streams {
                    1 => String::new(),
                    count => format!(", {} streams in turn", thousands(*count as u64)),
                };
                format!("{publishers} publishing, {outstanding} under way, {size} B{many}{place}")
            }
            Work::Put {
                clients,
                outstanding,
                keys,
                at_random,
            } => {
                let each = match outstanding {
                    1 => String::new(),
                    count => format!(", {count} under way each"),
                };
                let order = if *at_random { " at random" } else { "" };
                format!(
                    "KV put, {clients} clients{each}, {} keys{order}, {size} B{place}",
                    thousands(*keys as u64)
                )
            }
            Work::Get { clients, keys } => {
                format!(
                    "KV get, {clients} clients, {} keys, {size} B{place}",
                    thousands(*keys as u64)
                )
            }
            Work::Replay { messages } => {
                format!("ordered replay of {} x {size} B{place}", thousands(*messages))
            }
            Work::Pull { clients, messages } => format!(
                "pull, explicit ack, {clients} clients, {} x {size} B{place}",
                thousands(*messages)
            ),
        }
    }

    fn asks(&self, connections: usize, outstanding: usize, subjects: Subjects, body_bytes: usize) -> Asks {
        Asks {
            connections,
            outstanding,
            subjects,
            at_random: false,
            body_bytes,
        }
    }

    fn storage(&self) -> &'static str {
        if self.in_memory { "memory" } else { "file" }
    }

    fn create_streams(&self, api: &mut Api, streams: usize, limits: Limits) -> Result<()> {
        ensure!(streams > 0, "there is no stream");
        let create = |at: usize, name: String, subject: String| {
            let is_limited = at + limits.unlimited < streams;
            let max_age = limits.max_age.filter(|_| is_limited).map_or(0, whole_nanoseconds);
            let max_bytes = limits
                .max_bytes
                .filter(|_| is_limited)
                .map_or(-1, |bytes| bytes as i64);
            let config = serde_json::json!({
                "name": name, "subjects": [subject], "storage": self.storage(), "retention": "limits",
                "discard": "old", "max_age": max_age, "max_msgs": -1, "max_bytes": max_bytes, "num_replicas": 1,
            });
            (format!("$JS.API.STREAM.CREATE.{name}"), config)
        };
        let requests = match streams {
            1 => vec![create(0, NAME.to_owned(), NAME.to_owned())],
            _ => (0..streams)
                .map(|at| create(at, format!("{NAME}{at}"), subject(at)))
                .collect(),
        };
        api.request_all(&requests)
    }

    fn create_bucket(&self, api: &mut Api) -> Result<()> {
        let name = format!("KV_{NAME}");
        let config = serde_json::json!({
            "name": name, "subjects": [format!("$KV.{NAME}.>")], "storage": self.storage(),
            "retention": "limits", "discard": "new", "max_msgs_per_subject": 1, "max_age": 0, "max_msgs": -1,
            "max_bytes": -1, "num_replicas": 1, "allow_rollup_hdrs": true, "deny_delete": true,
            "allow_direct": true, "duplicate_window": 120_000_000_000_u64,
        });
        api.request(&format!("$JS.API.STREAM.CREATE.{name}"), &config)
    }

    /// A stream with so many messages.
    fn prepare(&self, target: &Target, api: &mut Api, messages: u64) -> Result<()> {
        self.create_streams(api, 1, Limits::default())?;
        self.fill(target, FILLERS, Subjects::new(vec![NAME.to_owned()]), messages)
    }

    fn fill(&self, target: &Target, fillers: usize, subjects: Subjects, messages: u64) -> Result<()> {
        let asks = self.asks(fillers, FILL_OUTSTANDING, subjects, self.payload_bytes);
        asks.send_exactly(target, messages)
    }
}

fn subject(stream: usize) -> String {
    format!("{NAME}.{stream}")
}

fn put_subjects(keys: usize) -> Subjects {
    Subjects::new((0..keys).map(|key| format!("$KV.{NAME}.{key}")).collect())
}

/// A connection that gets messages on `inbox`.
fn subscribed(target: &Target, inbox: &str) -> Result<Connection> {
    let mut connection = Connection::open(&target.address, format!("SUB {inbox} 1\r\n").as_bytes())?;
    connection.input.grow(crate::input::LISTEN_BYTES);
    Ok(connection)
}
