//! What all connections of the NATS front share, on every worker.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use mainstem_core::Node;
use mainstem_core::auth::{Authenticator, HashPool};
use mainstem_core::config::SYSTEM_ACCOUNT;

use crate::config::NatsConfig;
use crate::info::Info;
use crate::jetstream::{API_LEVEL, JetStream};
use crate::monitor::snapshot::ConnSnapshot;

/// Version of nats-server whose behaviour this front has; clients switch features by it.
pub const NATS_VERSION: &str = "2.14.5";
/// Closed connections that monitoring remembers, as nats-server.
const MAX_CLOSED: usize = 10_000;

/// Shared state of the front.
pub struct Front {
    pub node: Arc<Node>,
    pub config: ArcSwap<NatsConfig>,
    pub auth: ArcSwap<Authenticator>,
    pub hash_pool: HashPool,
    /// Public key of this process, new with each start.
    pub server_id: String,
    pub start: SystemTime,
    pub system_account: String,
    listening: OnceLock<Listening>,
    jetstream: OnceLock<Arc<JetStream>>,
    lame_duck: AtomicBool,
    pub total_connections: AtomicU64,
    pub slow_consumers: AtomicU64,
    pub stale_connections: AtomicU64,
    pub stalls: AtomicU64,
    closed: Mutex<VecDeque<ConnSnapshot>>,
}

/// Where the front's listeners ended up.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    pub client: Option<SocketAddr>,
    pub websocket: Option<SocketAddr>,
    /// `host:port` pairs of other nodes that clients may turn to; empty while there are none.
    pub connect_urls: Vec<String>,
    pub ws_connect_urls: Vec<String>,
}

impl Front {
    pub fn new(
        node: Arc<Node>,
        config: NatsConfig,
        auth: Authenticator,
        hash_pool: HashPool,
        system_account: Option<String>,
    ) -> Self {
        Self {
            node,
            config: ArcSwap::from_pointee(config),
            auth: ArcSwap::from_pointee(auth),
            hash_pool,
            server_id: nkeys::KeyPair::new_server().public_key(),
            start: SystemTime::now(),
            system_account: system_account.unwrap_or_else(|| SYSTEM_ACCOUNT.to_owned()),
            listening: OnceLock::new(),
            jetstream: OnceLock::new(),
            lame_duck: AtomicBool::new(false),
            total_connections: AtomicU64::new(0),
            slow_consumers: AtomicU64::new(0),
            stale_connections: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            closed: Mutex::default(),
        }
    }

    /// Says where the listeners are, once.
    pub fn set_listening(&self, listening: Listening) {
        // A second call would contradict what clients were told already.
        let _ = self.listening.set(listening);
    }

    pub fn listening(&self) -> Listening {
        self.listening.get().cloned().unwrap_or_default()
    }

    /// Says that JetStream is served, once.
    pub(crate) fn set_jetstream(&self, jetstream: Arc<JetStream>) {
        // There is one JetStream a front.
        let _ = self.jetstream.set(jetstream);
    }

    /// JetStream, if it is served.
    pub fn jetstream(&self) -> Option<&Arc<JetStream>> {
        self.jetstream.get()
    }

    /// The name clients see: the configured one, else the id.
    pub fn server_name(&self) -> String {
        let config = self.config.load();
        if config.server_name.is_empty() {
            self.server_id.clone()
        } else {
            config.server_name.clone()
        }
    }

    pub fn is_lame_duck(&self) -> bool {
        self.lame_duck.load(Ordering::Relaxed)
    }

    pub(crate) fn set_lame_duck(&self) {
        self.lame_duck.store(true, Ordering::Relaxed);
    }

    /// INFO as it is the same for all clients.
    pub fn info(&self, websocket: bool) -> Info {
        let config = self.config.load();
        let listening = self.listening();
        let ws = config.websocket.as_ref().filter(|_| websocket);
        let bound = if websocket {
            listening.websocket
        } else {
            listening.client
        };
        let listen = ws.map_or(&config.listen, |ws| &ws.listen);
        let (host, port) = advertised(&config, websocket)
            .unwrap_or_else(|| (listen.host.clone(), bound.map_or(listen.port, |addr| addr.port())));
        let tls = if websocket {
            ws.and_then(|ws| ws.tls.as_ref())
        } else {
            config.tls.as_ref()
        };
        let tls_optional = config.allow_non_tls && !websocket;
        let mut connect_urls = if websocket {
            listening.ws_connect_urls
        } else {
            listening.connect_urls
        };
        if config.no_advertise {
            connect_urls.clear();
        }
        Info {
            server_id: self.server_id.clone(),
            server_name: self.server_name(),
            version: NATS_VERSION.to_owned(),
            proto: 1,
            go: concat!("rust-mainstem-", env!("CARGO_PKG_VERSION")).to_owned(),
            host,
            port,
            headers: !config.no_header_support,
            auth_required: self.auth.load().is_required(),
            tls_required: tls.is_some() && !tls_optional,
            tls_verify: tls.is_some_and(|tls| tls.verify || tls.verify_and_map) && !websocket,
            tls_available: tls.is_some() && (tls_optional || websocket),
            max_payload: config.max_payload_bytes,
            jetstream: self.jetstream().is_some(),
            domain: self
                .jetstream()
                .and_then(|jetstream| jetstream.config().domain.clone()),
            api_lvl: self.jetstream().map_or(0, |_| API_LEVEL),
            connect_urls,
            ldm: self.is_lame_duck(),
            ..Info::default()
        }
    }

    /// Remembers a closed connection for monitoring.
    pub(crate) fn remember_closed(&self, snapshot: ConnSnapshot) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.len() == MAX_CLOSED {
            closed.pop_front();
        }
        closed.push_back(snapshot);
    }

    /// Connections that were closed lately, oldest first.
    pub fn closed(&self) -> Vec<ConnSnapshot> {
        self.closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

/// Host and port of `client_advertise` (or the WebSocket's), if it is set and has both.
fn advertised(config: &NatsConfig, websocket: bool) -> Option<(String, u16)> {
    let advertise = match &config.websocket {
        Some(ws) if websocket => ws.advertise.as_deref()?,
        _ => config.client_advertise.as_deref()?,
    };
    let (host, port) = advertise.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}
