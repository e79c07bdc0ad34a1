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
    /// The operator asked for JetStream, which is not built yet. Default false.
    pub jetstream_requested: bool,
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
            jetstream_requested: false,
            warnings: Vec::new(),
        }
    }
}
