//! What a listener asks of its connections before they are handed over. Replaced as a whole by a reload.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;

use crate::config::{TlsConfig, WebsocketConfig};
use crate::tls::{ServerTls, TlsError};
use crate::upgrade::{InvalidOrigin, UpgradeRules};

/// How long a WebSocket upgrade may take when the settings say 0.
pub const DEFAULT_UPGRADE_TIMEOUT_MS: u64 = 2_000;

/// Why a listener's settings cannot be used.
#[derive(Debug, Error)]
pub enum SecurityError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("unable to parse allowed origin: {0}")]
    Origin(#[from] InvalidOrigin),
}

/// What runs on a connection between accept and hand-over; the default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub tls: Option<ServerTls>,
    /// Without WebSocket: a client may stay in clear text after the greeting.
    pub allow_non_tls: bool,
    pub websocket: Option<WebsocketSecurity>,
    /// Most TLS handshakes a second; more are turned away. WebSocket listeners have no such bound, as in nats-server.
    pub max_connections_per_second: Option<u32>,
}

/// The upgrade of a WebSocket listener.
#[derive(Clone, Debug)]
pub struct WebsocketSecurity {
    pub rules: UpgradeRules,
    pub timeout: Duration,
}

/// Shared with a running listener; store another value to reload. Running handshakes end as they began.
pub type SharedSecurity = Arc<ArcSwap<Security>>;

impl Security {
    /// # Errors
    /// Certificates or keys that cannot be used.
    pub fn with_tls(config: &TlsConfig, allow_non_tls: bool) -> Result<Self, SecurityError> {
        Ok(Self {
            tls: Some(ServerTls::load(config)?),
            allow_non_tls,
            ..Self::default()
        })
    }

    /// # Errors
    /// Certificates or keys that cannot be used, malformed allowed origins.
    pub fn with_websocket(config: &WebsocketConfig) -> Result<Self, SecurityError> {
        let timeout_ms = match config.handshake_timeout_ms {
            0 => DEFAULT_UPGRADE_TIMEOUT_MS,
            timeout_ms => timeout_ms,
        };
        let rules = UpgradeRules::new(config)?;
        Ok(Self {
            tls: config.tls.as_ref().map(ServerTls::load).transpose()?,
            websocket: Some(WebsocketSecurity {
                rules,
                timeout: Duration::from_millis(timeout_ms),
            }),
            ..Self::default()
        })
    }

    pub fn shared(self) -> SharedSecurity {
        Arc::new(ArcSwap::from_pointee(self))
    }

    /// Whether connections are handed over as they come.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none() && self.websocket.is_none()
    }
}
