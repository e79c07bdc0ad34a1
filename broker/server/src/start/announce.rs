//! What a start says in the log. Client suites wait for some of these lines: they are nats-server's to the letter.

use front_nats::monitor::snapshot::MonitoringAddress;
use front_nats::{Front, Listening, NATS_VERSION};

use crate::options::{Options, Personality};

pub(super) fn starting(options: &Options) {
    match options.personality {
        Personality::NatsServer => tracing::info!("Starting nats-server"),
        Personality::Mainstem => tracing::info!("Starting mainstem {}", env!("CARGO_PKG_VERSION")),
    }
}

pub(super) fn identity(front: &Front, options: &Options) {
    tracing::info!("  Version:  {NATS_VERSION}");
    tracing::info!("  Git:      [not set]");
    tracing::info!("  Name:     {}", front.server_name());
    tracing::info!("  ID:       {}", front.server_id);
    if let Some(file) = &options.config_file {
        let digest = options.config_digest.as_deref().unwrap_or_default();
        tracing::info!("Using configuration file: {} ({digest})", file.display());
    }
    for warning in &options.warnings {
        tracing::warn!("{warning}");
    }
}

pub(super) fn admin(options: &Options, admin: &mainstem_admin::Serving) {
    let scheme = if options.admin.tls { "https" } else { "http" };
    if let Some(addr) = admin.addr {
        tracing::info!("Starting {scheme} monitor on {addr}");
    }
    if let Some(addr) = admin.metrics_addr {
        tracing::info!("Serving metrics on http://{addr}/metrics");
    }
}

pub(super) fn listening(options: &Options, listening: &Listening) {
    if let (Some(addr), Some(websocket)) = (listening.websocket, &options.nats.websocket) {
        let scheme = if websocket.tls.is_some() { "wss" } else { "ws" };
        let port = addr.port();
        tracing::info!(
            "Listening for websocket clients on {scheme}://{}",
            host_port(&websocket.listen.host, port)
        );
        if websocket.tls.is_none() {
            tracing::warn!("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
        }
    }
    if let Some(addr) = listening.client {
        let place = host_port(&options.nats.listen.host, addr.port());
        tracing::info!("Listening for client connections on {place}");
        if options.nats.tls.is_some() {
            tracing::info!("TLS required for client connections");
        }
    }
}

pub(super) fn ready() {
    tracing::info!("Server is ready");
}

fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

pub(super) fn monitoring_address(options: &Options) -> MonitoringAddress {
    MonitoringAddress {
        host: options.admin.host.clone(),
        port: options.admin.port.unwrap_or_default(),
        tls: options.admin.tls,
        base_path: options.admin.base_path.clone(),
    }
}

/// Settings that differ and need a restart.
pub(super) fn not_reloadable(old: &Options, new: &Options) -> Vec<&'static str> {
    let changes = [
        ("Host and Port", old.nats.listen != new.nats.listen),
        ("ServerName", old.nats.server_name != new.nats.server_name),
        ("HTTPHost and HTTPPort", old.admin != new.admin),
        ("Websocket listener", listener(old) != listener(new)),
        ("Limits", old.limits != new.limits),
        ("DataDir", old.data_dir != new.data_dir),
        (
            "JetStream",
            old.streams.with_accounts_of(&new.streams) != new.streams,
        ),
        ("PortsFileDir", old.ports_file_dir != new.ports_file_dir),
    ];
    changes
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| key)
        .collect()
}

fn listener(options: &Options) -> Option<&mainstem_net::config::ListenAddr> {
    options.nats.websocket.as_ref().map(|websocket| &websocket.listen)
}
