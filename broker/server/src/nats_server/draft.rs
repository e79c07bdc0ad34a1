//! Options between reading and their defaults. A zero or an empty text means that nobody said anything, as in
//! nats-server: `port: 0` is the default port.

use mainstem_core::config::{AccountConfig, UserConfig};

use nats_conf::Node;

use super::reading::{Read, complaint};
use super::tls::Tls;
use super::websocket::Websocket;
use crate::options::AccountStreams;

pub(super) const DEFAULT_HOST: &str = "0.0.0.0";

/// What flags and file say so far; what comes later wins.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub host: String,
    /// -1: any free port.
    pub port: i64,
    pub client_advertise: String,
    pub server_name: String,
    pub no_advertise: bool,

    pub debug: bool,
    pub trace: bool,
    /// Log lines without a time stamp.
    pub no_log_time: bool,
    pub log_time_utc: bool,
    pub log_file: String,
    pub pid_file: String,
    pub ports_file_dir: String,

    pub http_host: String,
    pub http_port: i64,
    pub https_port: i64,
    pub http_base_path: String,

    pub accounts: Vec<AccountConfig>,
    pub users: Vec<UserConfig>,
    /// One user for all.
    pub user: String,
    pub password: String,
    pub token: String,
    pub auth_timeout_seconds: f64,
    /// There is an `authorization` block.
    pub has_authorization: bool,
    pub no_auth_user: String,
    pub system_account: String,

    pub tls: Option<Tls>,
    /// TLS by flags, over the file's.
    pub flag_tls: FlagTls,
    pub allow_non_tls: bool,
    pub websocket: Websocket,

    pub max_control_line: i64,
    pub max_payload: i64,
    pub max_pending: i64,
    /// -1: no limit.
    pub max_connections: i64,
    pub max_subscriptions: i64,
    pub max_subscription_tokens: i64,
    pub ping_interval_ns: i64,
    pub ping_max: i64,
    pub write_deadline_ns: i64,
    pub lame_duck_duration_ns: i64,
    pub lame_duck_grace_ns: i64,
    pub no_header_support: bool,

    pub jetstream: JetStream,
    pub store_dir: String,
    pub has_cluster: bool,
    pub routes: String,
}

/// `--tls` and its companions.
#[derive(Debug, Default)]
pub(super) struct FlagTls {
    /// `Some(false)`: off, whatever the file says.
    pub on: Option<bool>,
    pub verify: bool,
    pub cert_file: String,
    pub key_file: String,
    pub ca_file: String,
    /// One of the flags was given.
    pub given: bool,
}

/// What JetStream may use.
#[derive(Debug)]
pub(super) struct JetStream {
    pub enabled: bool,
    pub domain: String,
    pub strict: bool,
    /// `None`: nobody said; below zero: three quarters of what there is.
    pub max_memory: Option<i64>,
    pub max_store: Option<i64>,
    /// Accounts that have it.
    pub accounts: Vec<AccountStreams>,
}

impl Default for JetStream {
    fn default() -> Self {
        Self {
            enabled: false,
            domain: String::new(),
            strict: true,
            max_memory: None,
            max_store: None,
            accounts: Vec::new(),
        }
    }
}

impl Draft {
    /// The file may name the folder once, and not at all when a flag does.
    pub fn set_store_dir(&mut self, node: &Node, folder: &str) -> Read<()> {
        if !self.store_dir.is_empty() {
            return Err(complaint(node, "Duplicate 'store_dir' configuration"));
        }
        folder.clone_into(&mut self.store_dir);
        Ok(())
    }
}

/// A port to bind; -1 asks the system for one.
pub(super) fn port(port: i64) -> Result<u16, String> {
    match port {
        -1 => Ok(0),
        _ => u16::try_from(port).map_err(|_| format!("listen tcp: address {port}: invalid port")),
    }
}
