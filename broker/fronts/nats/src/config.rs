//! Settings of the NATS front, already parsed and validated.

use mainstem_net::config::{ListenAddr, TlsConfig, WebsocketConfig};

/// Settings of the NATS front. Defaults are nats-server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    pub listen: ListenAddr,
    /// `host:port` that INFO shows to clients instead of the address bound.
    pub client_advertise: Option<String>,
    /// Name of this server; its id when empty.
    pub server_name: String,
    pub tls: Option<TlsConfig>,
    /// With TLS configured, accept clients that do not use it. Default false.
    pub allow_non_tls: bool,
    pub websocket: Option<WebsocketConfig>,
    /// Largest payload with headers, bytes. Default 1 MiB, at most 64 MiB.
    pub max_payload_bytes: usize,
    /// Longest protocol line, bytes. Default 4096.
    pub max_control_line_bytes: usize,
    /// Connections at once. Default 65,536; 0: no limit.
    pub max_connections: usize,
    /// Subscriptions of a connection. Default 0: no limit.
    pub max_subscriptions: usize,
    /// Tokens in a subscription's subject. Default 0: no limit.
    pub max_subject_tokens: usize,
    /// TLS handshakes begun in a second, beyond which connections are turned away. Default 0: no limit.
    pub max_connections_per_second: u32,
    /// Idle time before the server sends PING. Default 120,000 ms.
    pub ping_interval_ms: u64,
    /// Unanswered PINGs before the connection is stale. Default 2.
    pub max_pings_out: u32,
    /// How long a flush may take before the consumer is slow. Default 10,000 ms.
    pub write_deadline_ms: u64,
    /// How long a client may take to authenticate. Default 2,000 ms.
    pub auth_timeout_ms: u64,
    /// Refuse headers. Default false.
    pub no_header_support: bool,
    /// Lame duck: whole length (default 120,000 ms) and time before the first close (default 10,000 ms).
    pub lame_duck_duration_ms: u64,
    pub lame_duck_grace_ms: u64,
    /// Leave `connect_urls` out of INFO.
    pub no_advertise: bool,
    /// Log every protocol line.
    pub trace: bool,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            listen: ListenAddr {
                host: "0.0.0.0".into(),
                port: 4222,
            },
            client_advertise: None,
            server_name: String::new(),
            tls: None,
            allow_non_tls: false,
            websocket: None,
            max_payload_bytes: 1 << 20,
            max_control_line_bytes: 4096,
            max_connections: 65_536,
            max_subscriptions: 0,
            max_subject_tokens: 0,
            max_connections_per_second: 0,
            ping_interval_ms: 120_000,
            max_pings_out: 2,
            write_deadline_ms: 10_000,
            auth_timeout_ms: 2_000,
            no_header_support: false,
            lame_duck_duration_ms: 120_000,
            lame_duck_grace_ms: 10_000,
            no_advertise: false,
            trace: false,
        }
    }
}
