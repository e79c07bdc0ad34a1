//! The one table of all keys: name, type, bounds, meaning, and the field that holds the value.
//!
//! Parsing, `--print-config`, the reference, flags and environment variables all derive from it. Defaults are
//! not repeated here: they are those of the options themselves.

mod auth;
mod fields;
mod nats;
mod rules;
mod streams;

use mainstem_admin::config::AdminConfig;
use mainstem_core::config::CoreLimits;

use self::fields::{Slot, at, empty_is_unset};
use self::rules::{FILE, FOLDER, HOST, PATH_PREFIX, WORD};
use super::kind::{Kind, Rule, Value};
use super::schema::{Field, Key, Section};
use crate::logging;
use crate::options::{LogFormat, LogLevel, LogOptions, Options};

const HOUR_MS: u64 = 3_600_000;
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;

/// Every key of the configuration.
pub static ROOT: &[Key<Options>] = &[
    Key::optional(
        "server_name",
        Kind::Text(WORD),
        empty_is_unset!(Options, nats.server_name),
        "its id, made at start",
        "Name of this server, shown to clients and in monitoring.",
    )
    .flag("server-name"),
    Key::value(
        "data_dir",
        Kind::Text(FOLDER),
        at!(Options, data_dir),
        "Folder of all that is kept on disk; made when it is missing. Relative paths start where the process does.",
    )
    .flag("data-dir"),
    Key::optional(
        "pid_file",
        Kind::Text(FILE),
        at!(Options, pid_file),
        "none is written",
        "File that gets the process id, digits only.",
    )
    .flag("pid-file"),
    Key::optional(
        "ports_file_dir",
        Kind::Text(FOLDER),
        at!(Options, ports_file_dir),
        "none is written",
        "Folder that gets a JSON file with the addresses of all listeners.",
    ),
    Key::value(
        "drain_timeout",
        Kind::Duration { min: 0, max: HOUR_MS },
        at!(Options, drain_timeout_ms),
        "How long SIGTERM may take to drain connections; a second SIGTERM stops at once.",
    )
    .flag("drain-timeout"),
    Key::tree(
        "nats",
        &Section {
            keys: nats::NATS,
            get: |options: &Options| Some(options.nats.clone()),
            put: |options, nats| options.nats = nats,
            fresh: Default::default,
        },
        "The NATS front.",
    ),
    Key::tree(
        "streams",
        &Section {
            keys: streams::STREAMS,
            get: |options: &Options| Some(options.streams.clone()),
            put: |options, streams| options.streams = streams,
            fresh: Default::default,
        },
        "What is stored below data_dir, and how much of it may be.",
    ),
    Key::tree(
        "admin",
        &Section {
            keys: ADMIN,
            get: |options: &Options| Some(options.admin.clone()),
            put: |options, admin| options.admin = admin,
            fresh: Default::default,
        },
        "Monitoring, health and metrics over HTTP.",
    ),
    Key::tree(
        "limits",
        &Section {
            keys: LIMITS,
            get: |options: &Options| Some(options.limits.clone()),
            put: |options, limits| options.limits = limits,
            fresh: Default::default,
        },
        "Threads and memory, whatever the protocol.",
    ),
    Key::tree(
        "auth",
        &Section {
            keys: auth::AUTH,
            get: |options: &Options| Some(options.auth.clone()),
            put: |options, auth| options.auth = auth,
            fresh: Default::default,
        },
        "Who may connect, as what. Everyone may while no token and no user is given.",
    ),
    Key::tree(
        "log",
        &Section {
            keys: LOG,
            get: |options: &Options| Some(options.log.clone()),
            put: |options, log| options.log = log,
            fresh: Default::default,
        },
        "Where the log goes and how much of it.",
    ),
];

static ADMIN: &[Key<AdminConfig>] = &[
    Key::value(
        "host",
        Kind::Text(HOST),
        at!(AdminConfig, host),
        "Address that monitoring and metrics bind to. Neither asks for a password: keep it private.",
    )
    .flag("admin-host"),
    Key::optional(
        "port",
        Kind::Port,
        at!(AdminConfig, port),
        "no monitoring",
        "Port of monitoring and health.",
    )
    .flag("admin-port"),
    Key::optional(
        "metrics_port",
        Kind::Port,
        at!(AdminConfig, metrics_port),
        "/metrics is served on the monitoring port",
        "Port of Prometheus metrics.",
    )
    .flag("metrics"),
    Key::value(
        "tls",
        Kind::Switch,
        at!(AdminConfig, tls),
        "Serve over TLS with the certificate of nats.tls.",
    ),
    Key::optional(
        "base_path",
        Kind::Text(PATH_PREFIX),
        empty_is_unset!(AdminConfig, base_path),
        "endpoints stand at the root",
        "Path put before every endpoint.",
    ),
];

static LIMITS: &[Key<CoreLimits>] = &[
    Key::value(
        "workers",
        Kind::Count { min: 0, max: 1024 },
        at!(CoreLimits, workers),
        "Threads that own client connections. 0: one for each core.",
    )
    .flag("workers"),
    Key::value(
        "max_pending",
        Kind::Size {
            min: 64 * KIB,
            max: 4 * GIB,
        },
        at!(CoreLimits, max_pending_bytes),
        "Bytes that may wait to be written to one connection before it is cut as a slow consumer.",
    ),
    Key::value(
        "worker_queue",
        Kind::Size {
            min: MIB,
            max: 4 * GIB,
        },
        at!(CoreLimits, worker_queue_bytes),
        "Bytes that may wait between two workers before publishers are held back.",
    ),
    Key::value(
        "route_cache_entries",
        Kind::Count {
            min: 64,
            max: 16 << 20,
        },
        at!(CoreLimits, route_cache_entries),
        "Distinct subjects whose recipients a worker remembers.",
    ),
];

static LOG: &[Key<LogOptions>] = &[
    Key::value(
        "format",
        Kind::Choice(&["text", "json", "nats-server"]),
        Field {
            get: |log: &LogOptions| {
                let word = match log.format {
                    LogFormat::Text => "text",
                    LogFormat::Json => "json",
                    LogFormat::NatsServer => "nats-server",
                };
                Value::Text(word.to_owned())
            },
            set: |log: &mut LogOptions, value: Value| {
                log.format = match value.as_text() {
                    "json" => LogFormat::Json,
                    "nats-server" => LogFormat::NatsServer,
                    _ => LogFormat::Text,
                }
            },
        },
        "Shape of a line: text for people, JSON for collectors, or nats-server's own.",
    )
    .flag("log-format"),
    Key::value(
        "level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        Field {
            get: |log: &LogOptions| {
                let word = match log.level {
                    _ if log.trace => "trace",
                    _ if log.debug => "debug",
                    LogLevel::Error => "error",
                    LogLevel::Warn => "warn",
                    LogLevel::Info => "info",
                };
                Value::Text(word.to_owned())
            },
            set: |log: &mut LogOptions, value: Value| {
                let level = value.as_text();
                log.trace = level == "trace";
                log.debug = log.trace || level == "debug";
                log.level = match level {
                    "error" => LogLevel::Error,
                    "warn" => LogLevel::Warn,
                    _ => LogLevel::Info,
                };
            },
        },
        "Least severe lines that are written; trace shows every protocol line.",
    )
    .flag("log-level"),
    Key::optional(
        "filter",
        Kind::Text(Rule {
            allowed: "a filter such as info,front_nats=debug",
            accepts: |text| !text.is_empty() && logging::is_filter(text),
        }),
        at!(LogOptions, filter),
        "level decides",
        "Levels for parts of the program; wins over level.",
    ),
    Key::optional(
        "file",
        Kind::Text(FILE),
        at!(LogOptions, file),
        "standard error",
        "File that lines are appended to; SIGUSR1 opens it anew after it was moved away.",
    )
    .flag("log-file"),
    Key::value(
        "time",
        Kind::Switch,
        at!(LogOptions, time),
        "Put a time stamp before each line.",
    ),
    Key::value(
        "utc",
        Kind::Switch,
        at!(LogOptions, utc),
        "Time stamps in UTC instead of local time.",
    ),
];
