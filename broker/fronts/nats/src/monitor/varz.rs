//! `/varz`: the server, its configuration and its counters.

use std::collections::BTreeMap;

use mainstem_net::config::WebsocketConfig;
use serde::Serialize;

use super::format::{Number, is_default, nanos, timestamp, uptime};
use super::snapshot::ServerSnapshot;
use crate::jetstream::JetStreamVarz;

/// Time for a TLS handshake when there is no TLS to configure it.
const DEFAULT_TLS_TIMEOUT_MS: u64 = 2_000;

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Varz {
    server_id: String,
    server_name: String,
    version: String,
    proto: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_commit: Option<String>,
    go: String,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "is_default")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ws_connect_urls: Vec<String>,
    max_connections: usize,
    #[serde(skip_serializing_if = "is_default")]
    max_subscriptions: usize,
    ping_interval: u64,
    ping_max: u32,
    http_host: String,
    http_port: u16,
    http_base_path: String,
    https_port: u16,
    auth_timeout: Number,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    cluster: NotBuilt,
    gateway: NotBuilt,
    leaf: NotBuilt,
    mqtt: NotBuilt,
    websocket: WebsocketVarz,
    jetstream: JetStream,
    tls_timeout: Number,
    write_deadline: u64,
    start: String,
    now: String,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    cpu: Number,
    connections: usize,
    total_connections: u64,
    routes: usize,
    remotes: usize,
    leafnodes: usize,
    in_msgs: u64,
    in_bytes: u64,
    in_client_msgs: u64,
    in_client_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    out_client_msgs: u64,
    out_client_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    stalled_clients: u64,
    subscriptions: usize,
    http_req_stats: BTreeMap<&'static str, u64>,
    config_load_time: String,
    config_digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_account: Option<String>,
    slow_consumer_stats: ByKind,
    stale_connection_stats: ByKind,
    disk_io_wait_stats: DiskWaits,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert_not_after: Option<String>,
}

/// A part that this broker does not have; nats-server shows its absence by an empty object.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct NotBuilt {}

#[derive(Clone, Debug, Default, Serialize)]
struct WebsocketVarz {
    #[serde(skip_serializing_if = "is_default")]
    host: String,
    #[serde(skip_serializing_if = "is_default")]
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    advertise: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_auth_user: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    handshake_timeout: u64,
    #[serde(skip_serializing_if = "is_default")]
    no_tls: bool,
    #[serde(skip_serializing_if = "is_default")]
    tls_map: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_pinned_certs: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    same_origin: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_origins: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    compression: bool,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct ByKind {
    clients: u64,
    routes: u64,
    gateways: u64,
    leafs: u64,
}

/// Nothing where it is not served.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum JetStream {
    On(JetStreamVarz),
    Off {},
}

/// Waits for the disk: core NATS has none.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct DiskWaits {
    waiters: u64,
    waits: u64,
    wait_time: u64,
    max_wait_time: u64,
}

/// Describes `server`; `requests` says how often each monitoring endpoint was asked for.
#[must_use]
pub fn varz(server: &ServerSnapshot, requests: &BTreeMap<&'static str, u64>) -> Varz {
    let nats = &server.nats;
    let tls = nats.tls.as_ref();
    let traffic = &server.traffic;
    let monitoring = &server.monitoring;
    let clients = |clients| ByKind {
        clients,
        ..ByKind::default()
    };
    Varz {
        server_id: server.server_id.clone(),
        server_name: server.server_name.clone(),
        version: server.version.clone(),
        proto: 1,
        git_commit: server.git_commit.clone(),
        go: server.toolchain.clone(),
        host: server.host.clone(),
        port: server.port,
        auth_required: server.auth_required,
        tls_required: tls.is_some() && !nats.allow_non_tls,
        tls_verify: tls.is_some_and(|tls| tls.verify || tls.verify_and_map),
        ip: server.ip.clone(),
        connect_urls: server.connect_urls.clone(),
        ws_connect_urls: server.ws_connect_urls.clone(),
        max_connections: nats.max_connections,
        max_subscriptions: nats.max_subscriptions,
        ping_interval: nanos(nats.ping_interval_ms),
        ping_max: nats.max_pings_out,
        http_host: monitoring.host.clone(),
        http_port: if monitoring.tls { 0 } else { monitoring.port },
        http_base_path: monitoring.base_path.clone(),
        https_port: if monitoring.tls { monitoring.port } else { 0 },
        auth_timeout: Number::seconds(nats.auth_timeout_ms),
        max_control_line: nats.max_control_line_bytes,
        max_payload: nats.max_payload_bytes,
        max_pending: server.max_pending_bytes,
        cluster: NotBuilt {},
        gateway: NotBuilt {},
        leaf: NotBuilt {},
        mqtt: NotBuilt {},
        websocket: nats.websocket.as_ref().map(websocket).unwrap_or_default(),
        jetstream: server.jetstream.clone().map_or(JetStream::Off {}, JetStream::On),
        tls_timeout: Number::seconds(tls.map_or(DEFAULT_TLS_TIMEOUT_MS, |tls| tls.timeout_ms)),
        write_deadline: nanos(nats.write_deadline_ms),
        start: timestamp(server.start),
        now: timestamp(server.now),
        uptime: uptime(server.start, server.now),
        mem: server.usage.resident_bytes,
        cores: server.usage.cores,
        gomaxprocs: server.usage.workers,
        cpu: Number(server.usage.cpu_percent),
        connections: server.connections,
        total_connections: server.total_connections,
        routes: 0,
        remotes: 0,
        leafnodes: 0,
        // There are only clients: both pairs of counters are theirs.
        in_msgs: traffic.in_messages,
        in_bytes: traffic.in_bytes,
        in_client_msgs: traffic.in_messages,
        in_client_bytes: traffic.in_bytes,
        out_msgs: traffic.out_messages,
        out_bytes: traffic.out_bytes,
        out_client_msgs: traffic.out_messages,
        out_client_bytes: traffic.out_bytes,
        slow_consumers: server.slow_consumers,
        stale_connections: server.stale_connections,
        stalled_clients: server.stalled_clients,
        subscriptions: server.subscriptions,
        http_req_stats: requests.clone(),
        config_load_time: timestamp(server.config_load_time),
        config_digest: server.config_digest.clone(),
        tags: server.tags.clone(),
        metadata: server.metadata.clone(),
        system_account: server.system_account.clone(),
        slow_consumer_stats: clients(server.slow_consumers),
        stale_connection_stats: clients(server.stale_connections),
        disk_io_wait_stats: DiskWaits::default(),
        tls_cert_not_after: server.tls_cert_not_after.map(timestamp),
    }
}

fn websocket(config: &WebsocketConfig) -> WebsocketVarz {
    let tls = config.tls.as_ref();
    WebsocketVarz {
        host: config.listen.host.clone(),
        port: config.listen.port,
        advertise: config.advertise.clone(),
        no_auth_user: config.no_auth_user.clone(),
        handshake_timeout: nanos(config.handshake_timeout_ms),
        no_tls: tls.is_none(),
        tls_map: tls.is_some_and(|tls| tls.verify_and_map),
        tls_pinned_certs: tls.map(|tls| tls.pinned_certs.clone()).unwrap_or_default(),
        same_origin: config.same_origin,
        allowed_origins: config.allowed_origins.clone(),
        compression: config.compression,
    }
}
