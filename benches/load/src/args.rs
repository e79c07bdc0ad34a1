//! The arguments of `mainstem bench`.

use std::time::Duration;

use clap::Subcommand;

use crate::address::Address;
use crate::compare;
use crate::stored::Limits;
use crate::units::{Sides, parse_bytes, parse_duration};

/// Measure a NATS broker with a load that costs less than the broker.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) work: Work,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Work {
    /// Publish to nobody
    Pub {
        #[arg(long, default_value_t = 1)]
        publishers: usize,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        load: Load,
    },
    /// Receive what others publish, of any size; time counts from the first message
    Sub {
        #[arg(long, default_value_t = 1)]
        subscribers: usize,
        /// Share the messages as members of this queue group
        #[arg(long, value_name = "group")]
        queue: Option<String>,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        volume: Volume,
    },
    /// N publishers to M subscribers, a subject a pair
    Pubsub {
        #[arg(value_name = "N:M", default_value = "1:1")]
        sides: Sides,
        /// All on one subject: each subscriber gets the messages of all publishers
        #[arg(long)]
        one_subject: bool,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        load: Load,
    },
    /// One publisher to N subscribers
    Fanout {
        #[arg(value_name = "N", default_value_t = 100)]
        subscribers: usize,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        load: Load,
    },
    /// N publishers to M members of queue groups
    Queue {
        #[arg(value_name = "N:M", default_value = "1:4")]
        sides: Sides,
        /// Groups that the members are dealt to
        #[arg(long, default_value_t = 1)]
        groups: usize,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        load: Load,
    },
    /// N requesters, each with one request under way, to M responders
    Request {
        #[arg(value_name = "N:M", default_value = "1:1")]
        sides: Sides,
        /// Payload of request and reply
        #[arg(long, value_name = "bytes", default_value = "128", value_parser = parse_bytes)]
        size: usize,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        volume: Volume,
    },
    /// Latency of N publishers to M subscribers at a fixed rate (open loop)
    Latency {
        #[arg(value_name = "N:M", default_value = "1:1")]
        sides: Sides,
        /// Messages a second of all publishers together
        #[arg(long, default_value_t = 10_000)]
        rate: u64,
        /// Payload
        #[arg(long, value_name = "bytes", default_value = "128", value_parser = parse_bytes)]
        size: usize,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        volume: Volume,
    },
    /// Open N connections with one subscription each and hold them
    Idle {
        #[arg(value_name = "N", default_value_t = 1000)]
        connections: usize,
        #[command(flatten)]
        common: Common,
        /// How long to hold them
        #[arg(long, value_name = "time", default_value = "5s", value_parser = parse_duration)]
        duration: Duration,
    },
    /// Publish to a stream and await the acknowledgements
    Store {
        #[arg(long, value_name = "count", default_value_t = 1)]
        publishers: usize,
        /// Messages that each publisher has under way
        #[arg(long, value_name = "count", default_value_t = 500)]
        outstanding: usize,
        /// Streams that are published to in turn
        #[arg(long, value_name = "count", default_value_t = 1)]
        streams: usize,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        kept: Kept,
    },
    /// Put values of a bucket
    Put {
        #[arg(long, value_name = "count", default_value_t = 16)]
        clients: usize,
        /// Values that each client has under way
        #[arg(long, value_name = "count", default_value_t = 1)]
        outstanding: usize,
        #[arg(long, value_name = "count", default_value_t = 1000)]
        keys: usize,
        /// Keys at random, and not in turn
        #[arg(long)]
        random: bool,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        kept: Kept,
    },
    /// Get values of a bucket
    Get {
        #[arg(long, value_name = "count", default_value_t = 16)]
        clients: usize,
        #[arg(long, value_name = "count", default_value_t = 1000)]
        keys: usize,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        kept: Kept,
    },
    /// Read a stream of --stored messages in order
    Replay {
        /// Messages that are written before
        #[arg(long, value_name = "count", default_value_t = 2_000_000)]
        stored: u64,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        kept: Kept,
    },
    /// Pull --stored messages and acknowledge each
    Pull {
        #[arg(long, value_name = "count", default_value_t = 4)]
        clients: usize,
        /// Messages that are written before
        #[arg(long, value_name = "count", default_value_t = 500_000)]
        stored: u64,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        kept: Kept,
    },
    /// Start two brokers in turn and print how they compare
    Compare(compare::Args),
}

/// What all kinds of work share.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// nats://[user:password@|token@]host[:port]
    #[arg(
        long,
        value_name = "url",
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222"
    )]
    pub(crate) url: Address,
    /// Subject, or what the subjects begin with
    #[arg(long, default_value = "bench")]
    pub(crate) subject: String,
    /// Process id of the broker, for its CPU time and memory
    #[arg(long, value_name = "pid")]
    pub(crate) server_pid: Option<u32>,
    /// Subscriptions to other subjects that are made before
    #[arg(long, value_name = "count", default_value_t = 0)]
    pub(crate) extra_subs: usize,
    /// Connections that the other subscriptions are made on
    #[arg(long, value_name = "count", default_value_t = 1)]
    pub(crate) extra_connections: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Volume {
    /// Stop after so many messages of each publisher, requester or, if others publish, all
    #[arg(long, value_name = "count", conflicts_with = "duration")]
    pub(crate) msgs: Option<u64>,
    /// Stop after so long
    #[arg(long, value_name = "time", default_value = "3s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
}

/// What the server keeps.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Kept {
    /// Payload
    #[arg(long, value_name = "bytes", default_value = "128", value_parser = parse_bytes)]
    pub(crate) size: usize,
    /// Keep it in the server's memory
    #[arg(long)]
    pub(crate) memory: bool,
    #[command(flatten)]
    pub(crate) volume: Volume,
}

/// How much.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Load {
    /// Payload
    #[arg(long, value_name = "bytes", default_value = "128", value_parser = parse_bytes)]
    pub(crate) size: usize,
    #[command(flatten)]
    pub(crate) volume: Volume,
    /// Subjects that each publisher uses in turn; subscribers have a wildcard then
    #[arg(long, value_name = "count", default_value_t = 1)]
    pub(crate) spread: usize,
    /// Give each subscriber another subscription id
    #[arg(long)]
    pub(crate) own_ids: bool,
    /// Bytes published by one write
    #[arg(long, value_name = "bytes", default_value = "64KiB", value_parser = parse_bytes)]
    pub(crate) batch: usize,
    /// Bytes that may be outstanding for each subscriber before publishers wait; 0: they never wait
    #[arg(long, value_name = "bytes", default_value = "8MiB", value_parser = parse_bytes)]
    pub(crate) window: usize,
}
