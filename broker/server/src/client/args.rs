//! Arguments of `mainstem stream` and `mainstem kv`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::units;

/// How to reach the server, and how to print.
#[derive(Clone, Debug, Args)]
pub struct Client {
    /// Servers, as URLs with commas between them
    #[arg(
        long,
        short,
        global = true,
        value_name = "url",
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222"
    )]
    pub server: String,
    /// User name
    #[arg(long, global = true, value_name = "name", env = "NATS_USER")]
    pub user: Option<String>,
    /// Password; without a user, a token
    #[arg(
        long,
        global = true,
        value_name = "text",
        env = "NATS_PASSWORD",
        hide_env_values = true
    )]
    pub password: Option<String>,
    /// Credentials file
    #[arg(long, global = true, value_name = "file", env = "NATS_CREDS")]
    pub creds: Option<PathBuf>,
    /// Certificates that the server's is checked against (PEM)
    #[arg(long, global = true, value_name = "file", env = "NATS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// JetStream domain
    #[arg(long, global = true, value_name = "name")]
    pub domain: Option<String>,
    /// How long to wait for an answer
    #[arg(long, global = true, value_name = "time", default_value = "5s", value_parser = duration)]
    pub timeout: u64,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Client {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout)
    }
}

fn duration(text: &str) -> Result<u64, String> {
    units::parse_duration_ms(text).map_err(|_| "allowed: a duration such as 500ms, 5s, 2m, 1h".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    units::parse_size(text).map_err(|_| "allowed: a size such as 512B, 64KiB, 1GiB".to_owned())
}

/// `mainstem stream`.
#[derive(Clone, Debug, Args)]
pub struct Stream {
    #[command(flatten)]
    pub client: Client,
    #[command(subcommand)]
    pub verb: StreamVerb,
}

#[derive(Clone, Debug, Subcommand)]
pub enum StreamVerb {
    /// List streams
    Ls {
        /// Names only
        #[arg(long)]
        names: bool,
        /// Only streams with this subject
        #[arg(long, value_name = "subject")]
        subject: Option<String>,
    },
    /// Show a stream's configuration and what it holds
    Info { name: String },
    /// Create a stream
    Create(Box<CreateStream>),
    /// Delete a stream and all its messages
    Rm {
        name: String,
        /// Do not ask
        #[arg(long, short)]
        force: bool,
    },
    /// Delete messages of a stream
    Purge {
        name: String,
        /// Only messages of this subject
        #[arg(long, value_name = "subject")]
        subject: Option<String>,
        /// Only messages before this sequence
        #[arg(long, value_name = "seq", conflicts_with = "keep")]
        seq: Option<u64>,
        /// Keep so many of the newest
        #[arg(long, value_name = "count")]
        keep: Option<u64>,
        /// Do not ask
        #[arg(long, short)]
        force: bool,
    },
    /// Print messages as they come
    Tail {
        name: String,
        /// Only messages of this subject
        #[arg(long, value_name = "subject")]
        subject: Option<String>,
        /// Begin with so many of the last messages
        #[arg(long, short = 'n', value_name = "count", default_value_t = 10)]
        last: u64,
        /// Begin with this sequence
        #[arg(long, value_name = "seq", conflicts_with = "last")]
        seq: Option<u64>,
        /// End with the last message that is there now
        #[arg(long)]
        no_follow: bool,
    },
}

/// `mainstem stream create`.
#[derive(Clone, Debug, Args)]
pub struct CreateStream {
    pub name: String,
    /// Subjects that it stores, separated by commas; its name by default
    #[arg(long, value_name = "subjects", value_delimiter = ',')]
    pub subjects: Vec<String>,
    #[arg(long, value_enum, default_value_t = Storage::File)]
    pub storage: Storage,
    #[arg(long, value_enum, default_value_t = Retention::Limits)]
    pub retention: Retention,
    #[arg(long, value_enum, default_value_t = Discard::Old)]
    pub discard: Discard,
    #[arg(long, value_name = "count")]
    pub max_msgs: Option<u64>,
    #[arg(long, value_name = "count")]
    pub max_msgs_per_subject: Option<u64>,
    #[arg(long, value_name = "size", value_parser = size)]
    pub max_bytes: Option<u64>,
    #[arg(long, value_name = "time", value_parser = duration)]
    pub max_age: Option<u64>,
    #[arg(long, value_name = "size", value_parser = size)]
    pub max_msg_size: Option<u64>,
    #[arg(long, value_name = "count")]
    pub max_consumers: Option<u64>,
    /// How long message ids are remembered
    #[arg(long, value_name = "time", value_parser = duration)]
    pub dupe_window: Option<u64>,
    #[arg(long, value_name = "count", default_value_t = 1)]
    pub replicas: u64,
    /// Let clients get messages without asking the API
    #[arg(long)]
    pub no_direct: bool,
    /// Let messages replace those before them
    #[arg(long)]
    pub allow_rollup: bool,
    #[arg(long)]
    pub deny_delete: bool,
    #[arg(long)]
    pub deny_purge: bool,
    #[arg(long, value_name = "text")]
    pub description: Option<String>,
    /// JSON with further settings of the server's own names; flags win
    #[arg(long, value_name = "file")]
    pub config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    File,
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Retention {
    Limits,
    Interest,
    Workqueue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Discard {
    Old,
    New,
}

/// `mainstem kv`.
#[derive(Clone, Debug, Args)]
pub struct Kv {
    #[command(flatten)]
    pub client: Client,
    #[command(subcommand)]
    pub verb: KvVerb,
}

#[derive(Clone, Debug, Subcommand)]
pub enum KvVerb {
    /// List buckets, or the keys of one
    Ls { bucket: Option<String> },
    /// Create a bucket
    Create {
        bucket: String,
        /// Values that are kept of each key
        #[arg(long, value_name = "count", default_value_t = 1)]
        history: u8,
        /// How long values are kept
        #[arg(long, value_name = "time", value_parser = duration)]
        ttl: Option<u64>,
        #[arg(long, value_name = "size", value_parser = size)]
        max_bytes: Option<u64>,
        #[arg(long, value_name = "size", value_parser = size)]
        max_value_size: Option<u64>,
        #[arg(long, value_enum, default_value_t = Storage::File)]
        storage: Storage,
        #[arg(long, value_name = "count", default_value_t = 1)]
        replicas: usize,
        #[arg(long, value_name = "text", default_value = "")]
        description: String,
    },
    /// Print a value, and nothing else
    Get {
        bucket: String,
        key: String,
        /// The value that had this revision
        #[arg(long, value_name = "revision")]
        revision: Option<u64>,
    },
    /// Put a value and print its revision
    Put {
        bucket: String,
        key: String,
        /// Standard input without it
        value: Option<String>,
        /// Only where there is none
        #[arg(long, conflicts_with = "revision")]
        create: bool,
        /// Only over the value with this revision
        #[arg(long, value_name = "revision")]
        revision: Option<u64>,
    },
    /// Delete a key; its history stays
    Del { bucket: String, key: String },
    /// Delete a key and its history
    Purge { bucket: String, key: String },
    /// Print values as they change
    Watch {
        bucket: String,
        /// A key, or a pattern such as `a.>`
        #[arg(default_value = ">")]
        key: String,
        /// Begin with the history
        #[arg(long)]
        history: bool,
        /// End when all that is there now was printed
        #[arg(long)]
        no_follow: bool,
    },
    /// Print all values that are kept of a key
    History { bucket: String, key: String },
    /// Delete a bucket and all it holds
    Rm {
        bucket: String,
        /// Do not ask
        #[arg(long, short)]
        force: bool,
    },
}
