//! The resolved options of one process: what every way of configuring it (YAML, flags, environment,
//! nats-server's grammar) is turned into, and all that the start-up code reads.

use std::ffi::OsString;
use std::path::PathBuf;

use front_nats::config::NatsConfig;
use mainstem_admin::config::AdminConfig;
use mainstem_core::config::{AuthConfig, CoreLimits};

/// All that `start` needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How the process presents itself: which log lines, which signals.
    pub personality: Personality,
    pub nats: NatsConfig,
    pub auth: AuthConfig,
    pub admin: AdminConfig,
    pub limits: CoreLimits,
    pub log: LogOptions,
    /// Folder of all that is kept on disk. Default `./mainstem-data`.
    pub data_dir: PathBuf,
    /// File that gets the process id, digits only.
    pub pid_file: Option<PathBuf>,
    /// Folder that gets `nats-server_<pid>.ports` (JSON: nats, monitoring, cluster, websocket).
    pub ports_file_dir: Option<PathBuf>,
    /// How long SIGTERM may take to drain connections. Default 20,000 ms.
    pub drain_timeout_ms: u64,
    /// The file these options came from.
    pub config_file: Option<PathBuf>,
    /// `sha256:...` of what that file says, as nats-server prints it when it starts. Default `None`.
    pub config_digest: Option<String>,
    /// Arguments of a process started as `nats-server`, without its name: a reload puts them over the file again.
    /// Default empty.
    pub command_line: Vec<OsString>,
    pub streams: StreamsOptions,
    /// Things to tell the operator at start (directives that were read and have no effect yet).
    pub warnings: Vec<String>,
}

/// Whose manners the process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// `mainstem serve`.
    Mainstem,
    /// Started as `nats-server`: its log lines, and its signals (SIGTERM stops at once, SIGUSR2 drains).
    NatsServer,
}

/// What is stored, and how much of it may be. All sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsOptions {
    /// Default true; started as `nats-server`: false unless asked for.
    pub enabled: bool,
    /// What the streams of all accounts may hold on disk; `None`: three quarters of what is free there at start.
    pub max_store_bytes: Option<u64>,
    /// What the memory streams of all accounts may hold; `None`: three quarters of the machine's memory.
    pub max_memory_bytes: Option<u64>,
    /// Domain of the API (`$JS.<domain>.API`). Default none.
    pub domain: Option<String>,
    /// Requests with fields that are not known are refused. Default true.
    pub strict: bool,
    /// What was appended last stays in memory: it is read without the disk. Default 64 MiB.
    pub tail_bytes: usize,
    /// Older parts of the log that were read stay in memory. Default 16 MiB.
    pub log_cache_bytes: usize,
    /// Blocks of the index stay in memory. Default 64 MiB.
    pub index_cache_bytes: usize,
    /// Below so much free space nothing is stored until there is more. Default 64 MiB.
    pub min_free_bytes: u64,
    /// Percent of a part of the log that may be deleted messages before it is copied without them. Default 50.
    pub max_garbage_percent: u32,
    /// Accounts with a word of their own; all others do as `others_enabled` says.
    pub accounts: Vec<AccountStreams>,
    /// Accounts that are not listed have streams, without limits. Default true.
    pub others_enabled: bool,
}

impl StreamsOptions {
    /// The same, but for the accounts, which a reload takes over.
    pub fn with_accounts_of(&self, other: &Self) -> Self {
        Self {
            accounts: other.accounts.clone(),
            others_enabled: other.others_enabled,
            ..self.clone()
        }
    }
}

/// What one account may store; `None`: no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStreams {
    pub name: String,
    /// The account has streams at all. Default true.
    pub enabled: bool,
    pub max_memory_bytes: Option<u64>,
    pub max_store_bytes: Option<u64>,
    pub max_streams: Option<u32>,
    /// Consumers of one stream.
    pub max_consumers: Option<u32>,
    /// Largest `max_ack_pending` of a consumer.
    pub max_ack_pending: Option<u32>,
    /// Largest `max_bytes` of a memory stream.
    pub max_memory_stream_bytes: Option<u64>,
    /// Largest `max_bytes` of a stream on disk.
    pub max_store_stream_bytes: Option<u64>,
    /// Every stream has to say its `max_bytes`. Default false.
    pub max_bytes_required: bool,
}

impl Default for StreamsOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            max_store_bytes: None,
            max_memory_bytes: None,
            domain: None,
            strict: true,
            tail_bytes: 64 << 20,
            log_cache_bytes: 16 << 20,
            index_cache_bytes: 64 << 20,
            min_free_bytes: 64 << 20,
            max_garbage_percent: 50,
            accounts: Vec::new(),
            others_enabled: true,
        }
    }
}

impl Default for AccountStreams {
    fn default() -> Self {
        Self {
            name: String::new(),
            enabled: true,
            max_memory_bytes: None,
            max_store_bytes: None,
            max_streams: None,
            max_consumers: None,
            max_ack_pending: None,
            max_memory_stream_bytes: None,
            max_store_stream_bytes: None,
            max_bytes_required: false,
        }
    }
}

/// Where the log goes and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    pub format: LogFormat,
    /// File; `None`: standard error.
    pub file: Option<PathBuf>,
    /// Least severe lines that are written beside those of `debug` and `trace`. Default info.
    pub level: LogLevel,
    /// Debug lines.
    pub debug: bool,
    /// Every protocol line (implies nothing about `debug`).
    pub trace: bool,
    /// A tracing filter such as `info,front_nats=debug`; wins over `level`, `debug` and `trace`.
    pub filter: Option<String>,
    /// Put a time stamp before each line. Default true.
    pub time: bool,
    /// Time stamps in UTC (nats-server's `logtime_utc`).
    pub utc: bool,
}

/// Severity from which on lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            file: None,
            level: LogLevel::default(),
            debug: false,
            trace: false,
            filter: None,
            time: true,
            utc: false,
        }
    }
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
    /// nats-server's own: `[pid] 2026/01/02 15:04:05.000000 [INF] text`.
    NatsServer,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            personality: Personality::Mainstem,
            nats: NatsConfig::default(),
            auth: AuthConfig::default(),
            admin: AdminConfig::default(),
            limits: CoreLimits::default(),
            log: LogOptions::default(),
            data_dir: PathBuf::from("./mainstem-data"),
            pid_file: None,
            ports_file_dir: None,
            drain_timeout_ms: 20_000,
            config_file: None,
            config_digest: None,
            command_line: Vec::new(),
            streams: StreamsOptions::default(),
            warnings: Vec::new(),
        }
    }
}
