//! Listener, TLS and WebSocket settings, already parsed and validated.

use std::path::PathBuf;

/// Where a listener binds. Port 0 asks the system for a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    /// Host name or address; `0.0.0.0` for all.
    pub host: String,
    pub port: u16,
}

/// TLS of one listener. A certificate and a key are always needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Authorities that client certificates are checked against.
    pub ca_file: Option<PathBuf>,
    /// A client must show a certificate that `ca_file` vouches for.
    pub verify: bool,
    /// As `verify`, and the certificate names the user (SAN e-mail, SAN DNS, then the subject's distinguished name).
    pub verify_and_map: bool,
    /// TLS starts with the first byte instead of after INFO.
    pub handshake_first: HandshakeFirst,
    /// How long a handshake may take. Default 2,000 ms.
    pub timeout_ms: u64,
    /// Lowest version: "1.2" (default) or "1.3".
    pub min_version: Option<String>,
    /// SHA-256 (hex) of the public keys (SPKI) that are accepted; empty: all.
    pub pinned_certs: Vec<String>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            cert_file: PathBuf::new(),
            key_file: PathBuf::new(),
            ca_file: None,
            verify: false,
            verify_and_map: false,
            handshake_first: HandshakeFirst::Never,
            timeout_ms: 2_000,
            min_version: None,
            pinned_certs: Vec::new(),
        }
    }
}

/// When the TLS handshake starts on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFirst {
    /// INFO goes out in clear text, then TLS starts.
    #[default]
    Never,
    /// TLS starts at once; INFO follows inside it.
    Always,
    /// Wait so many milliseconds for a ClientHello, else fall back to INFO in clear text.
    Auto(u64),
}

/// A WebSocket listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebsocketConfig {
    pub listen: ListenAddr,
    pub tls: Option<TlsConfig>,
    /// Accept permessage-deflate. Default false.
    pub compression: bool,
    /// The Origin header must match the Host header.
    pub same_origin: bool,
    /// Origins that are accepted; empty: all.
    pub allowed_origins: Vec<String>,
    /// How long the HTTP upgrade may take. Default 2,000 ms.
    pub handshake_timeout_ms: u64,
    /// Host (and port) to show to clients in `ws_connect_urls`.
    pub advertise: Option<String>,
    /// User for connections without credentials, before the global one.
    pub no_auth_user: Option<String>,
    /// Cookies that stand in for the user name, the password and the token of CONNECT.
    pub username_cookie: Option<String>,
    pub password_cookie: Option<String>,
    pub token_cookie: Option<String>,
}

impl Default for WebsocketConfig {
    fn default() -> Self {
        Self {
            listen: ListenAddr {
                host: "0.0.0.0".into(),
                port: 8080,
            },
            tls: None,
            compression: false,
            same_origin: false,
            allowed_origins: Vec::new(),
            handshake_timeout_ms: 2_000,
            advertise: None,
            no_auth_user: None,
            username_cookie: None,
            password_cookie: None,
            token_cookie: None,
        }
    }
}
