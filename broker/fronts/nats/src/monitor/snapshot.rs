//! Plain data that monitoring is made from. Whoever owns the things fills it; nothing here refers to them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::config::NatsConfig;

/// A server at one moment.
#[derive(Clone, Debug)]
pub struct ServerSnapshot {
    pub server_id: String,
    pub server_name: String,
    /// Version that INFO shows (2.14.x).
    pub version: String,
    pub git_commit: Option<String>,
    /// What the binary was built with; INFO's `go`.
    pub toolchain: String,
    /// Host and port that INFO shows.
    pub host: String,
    pub port: u16,
    pub ip: Option<String>,
    pub auth_required: bool,
    pub connect_urls: Vec<String>,
    pub ws_connect_urls: Vec<String>,
    /// The configuration in force.
    pub nats: NatsConfig,
    /// Bytes that may wait to be written to one connection.
    pub max_pending_bytes: usize,
    pub monitoring: MonitoringAddress,
    pub start: SystemTime,
    pub now: SystemTime,
    pub usage: ResourceUsage,
    pub connections: usize,
    /// Connections ever accepted.
    pub total_connections: u64,
    pub traffic: Traffic,
    pub slow_consumers: u64,
    pub stale_connections: u64,
    /// Times that a publisher was held back for a slow subscriber.
    pub stalled_clients: u64,
    pub subscriptions: usize,
    pub config_load_time: SystemTime,
    /// `sha256:` and the digest of the configuration file; empty without one.
    pub config_digest: String,
    pub tags: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    pub system_account: Option<String>,
    /// End of the validity of the client listener's certificate.
    pub tls_cert_not_after: Option<SystemTime>,
    /// JetStream, where it is served.
    pub jetstream: Option<crate::jetstream::JetStreamVarz>,
}

/// Where monitoring itself listens.
#[derive(Clone, Debug, Default)]
pub struct MonitoringAddress {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub base_path: String,
}

/// What the process uses of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceUsage {
    pub resident_bytes: u64,
    /// Percent of one core.
    pub cpu_percent: f64,
    pub cores: usize,
    /// Threads that serve connections.
    pub workers: usize,
}

/// Messages and their bytes (headers and payload), as clients sent and got them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From clients to the server.
    pub in_messages: u64,
    pub in_bytes: u64,
    /// From the server to clients.
    pub out_messages: u64,
    pub out_bytes: u64,
}

/// A connection, open or closed.
#[derive(Clone, Debug)]
pub struct ConnSnapshot {
    pub cid: u64,
    pub kind: ClientKind,
    pub ip: String,
    pub port: u16,
    pub start: SystemTime,
    /// When the last command or message passed.
    pub last_activity: SystemTime,
    /// Set once it is closed.
    pub end: Option<End>,
    /// Round trip of the last PING; `None`: not measured yet.
    pub rtt: Option<Duration>,
    /// Bytes waiting to be written.
    pub pending_bytes: usize,
    pub traffic: Traffic,
    /// Times that its publishes were held back.
    pub stalls: u64,
    /// How many subscriptions it has (had, when it is closed).
    pub subscription_count: usize,
    /// Those subscriptions, when they were asked for.
    pub subscriptions: Vec<SubSnapshot>,
    /// Of CONNECT; empty when it did not say.
    pub name: String,
    pub lang: String,
    pub version: String,
    pub tls: Option<TlsSnapshot>,
    /// Nkey or user name that CONNECT named, `[REDACTED]` for a token. Kept also when it was refused.
    pub authorized_user: Option<String>,
    /// `None` when it never got into one.
    pub account: Option<String>,
    /// Client id of an MQTT connection.
    pub mqtt_client: Option<String>,
}

/// How a client talks to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientKind {
    #[default]
    Nats,
    Websocket,
    Mqtt,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub at: SystemTime,
    /// nats-server's name of it: `Client Closed`, `Slow Consumer (Pending Bytes)`, `Authentication Failure` ...
    pub reason: &'static str,
}

/// TLS of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSnapshot {
    /// `1.2` or `1.3`.
    pub version: String,
    /// IANA's name.
    pub cipher_suite: String,
    /// It began before INFO.
    pub first: bool,
    pub peer_certificates: Vec<PeerCertificate>,
}

/// A certificate that a client showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Distinguished name.
    pub subject: String,
    /// SHA-256 of the public key and of the certificate, in hex.
    pub spki_sha256: String,
    pub cert_sha256: String,
}

/// A subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubSnapshot {
    pub account: String,
    pub subject: String,
    pub queue: Option<String>,
    pub sid: String,
    /// Messages delivered.
    pub messages: u64,
    /// Messages after which it ends (UNSUB); `None`: no limit.
    pub max: Option<u64>,
    pub cid: u64,
}

/// An account.
#[derive(Clone, Debug)]
pub struct AccountSnapshot {
    pub name: String,
    /// When it was made or last changed.
    pub updated: SystemTime,
    pub is_system: bool,
    pub jetstream: bool,
    pub connections: usize,
    /// Of its clients: `in` is what they published.
    pub traffic: Traffic,
    pub slow_consumers: u64,
    pub interest: InterestSnapshot,
}

/// The subscriptions of an account and how publishes found them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InterestSnapshot {
    pub subscriptions: usize,
    /// Subjects whose result is remembered.
    pub cached: usize,
    /// Subscriptions ever added and removed.
    pub inserts: u64,
    pub removes: u64,
    /// Publishes looked up, and those answered from the cache.
    pub matches: u64,
    pub cache_hits: u64,
    /// Most subscriptions behind one remembered subject, and their sum over all.
    pub max_fanout: usize,
    pub total_fanout: usize,
}
