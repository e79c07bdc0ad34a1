//! Settings of the monitoring listener, already parsed and validated.

/// Where monitoring (JSON, health) and metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Host; loopback unless the operator says otherwise.
    pub host: String,
    /// Monitoring port; `None`: off. 0: any free port.
    pub port: Option<u16>,
    /// Port of Prometheus metrics when it is not the monitoring port; `None`: `/metrics` on the monitoring port.
    pub metrics_port: Option<u16>,
    /// Serve monitoring over TLS with the client listener's certificate (`https_port`).
    pub tls: bool,
    /// Path put before every endpoint (nats-server's `http_base_path`). Empty by default.
    pub base_path: String,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: Some(8222),
            metrics_port: None,
            tls: false,
            base_path: String::new(),
        }
    }
}
