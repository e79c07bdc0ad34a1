//! `websocket`: a listener for browsers.

use mainstem_net::config::{ListenAddr, WebsocketConfig};
use nats_conf::{Map, Node, Value};

use super::draft::{DEFAULT_HOST, port};
use super::duration::{self, SECOND};
use super::reading::{
    Read, Report, complaint, duration_ns, go_type, host_port, map_or, split_host_port, switch, text, texts,
    whole,
};
use super::tls::{self, Tls};

/// Headers that an answer to the upgrade sets itself.
const OWN_HEADERS: [&str; 5] = [
    "host",
    "content-length",
    "connection",
    "upgrade",
    "nats-no-masking",
];

/// How long the HTTP upgrade may take, when the file does not say.
const DEFAULT_HANDSHAKE_TIMEOUT_MS: u64 = 2_000;

/// A `websocket` block, before its defaults.
#[derive(Debug, Default)]
pub(super) struct Websocket {
    pub host: String,
    /// 0: no listener. -1: any free port.
    pub port: i64,
    pub no_tls: bool,
    pub tls: Option<Tls>,
    pub same_origin: bool,
    pub allowed_origins: Vec<String>,
    pub handshake_timeout_ns: i64,
    pub compression: bool,
    pub advertise: String,
    pub no_auth_user: String,
    pub jwt_cookie: String,
    pub username_cookie: String,
    pub password_cookie: String,
    pub token_cookie: String,
    pub headers: Vec<String>,
}

pub(super) fn directive(websocket: &mut Websocket, node: &Node, report: &mut Report) -> Read<()> {
    let map = map_or(node, "Expected websocket to be a map, got %T")?;
    report.each_key(map, |report, key, written, node| {
        websocket.key(key, written, node, report)
    });
    Ok(())
}

impl Websocket {
    fn key(&mut self, key: &str, written: &str, node: &Node, report: &mut Report) -> Read<()> {
        match key {
            "listen" => {
                let address = host_port(node)?;
                (self.host, self.port) = (address.host, address.port);
            }
            "port" => self.port = whole(node)?,
            "host" | "net" => self.host = text(node)?.to_owned(),
            "advertise" => self.advertise = text(node)?.to_owned(),
            "no_tls" => self.no_tls = switch(node)?,
            "tls" => self.tls = Some(tls::block(node, report)?),
            "same_origin" => self.same_origin = switch(node)?,
            "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin" | "origins"
            | "origin" => {
                self.allowed_origins = texts("allowed origins", node, report)?;
            }
            "handshake_timeout" => self.handshake_timeout_ns = handshake_timeout(node)?,
            "compress" | "compression" => self.compression = switch(node)?,
            "authorization" | "authentication" => {
                report.refuse(node, "authentication for WebSocket clients alone")
            }
            "jwt_cookie" => self.jwt_cookie = text(node)?.to_owned(),
            "user_cookie" => self.username_cookie = text(node)?.to_owned(),
            "pass_cookie" => self.password_cookie = text(node)?.to_owned(),
            "token_cookie" => self.token_cookie = text(node)?.to_owned(),
            "no_auth_user" => self.no_auth_user = text(node)?.to_owned(),
            "headers" => self.headers = headers(node, report)?,
            "ping_interval" => {
                duration_ns("ping_interval", node, report)?;
                report.not_built(node, "a ping interval for WebSocket clients alone");
            }
            _ => report.unknown_field(written, node),
        }
        Ok(())
    }

    /// Checks what the keys together must be; `has_users` is about the whole file.
    pub fn check(&self, has_users: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
        if self.port == 0 {
            return Ok(());
        }
        if self.tls.is_none() && !self.no_tls {
            return Err("websocket requires TLS configuration".into());
        }
        self.allowed_origins
            .iter()
            .try_for_each(|origin| check_origin(origin))?;
        if !self.no_auth_user.is_empty() {
            has_users(&self.no_auth_user)?;
        }
        if !self.jwt_cookie.is_empty() {
            let needed = "trusted operators or trusted keys configuration is required for JWT authentication via cookie";
            return Err(format!("{needed} {:?}", self.jwt_cookie));
        }
        self.headers.iter().try_for_each(|header| check_header(header))
    }

    /// The listener, if there is one.
    pub fn resolve(self) -> Result<Option<WebsocketConfig>, String> {
        if self.port == 0 {
            return Ok(None);
        }
        let set = |text: String| (!text.is_empty()).then_some(text);
        Ok(Some(WebsocketConfig {
            listen: ListenAddr {
                host: set(self.host).unwrap_or_else(|| DEFAULT_HOST.to_owned()),
                port: port(self.port)?,
            },
            tls: self.tls.map(Tls::for_listener).transpose()?,
            compression: self.compression,
            same_origin: self.same_origin,
            allowed_origins: self.allowed_origins,
            handshake_timeout_ms: match duration::to_ms(self.handshake_timeout_ns) {
                0 => DEFAULT_HANDSHAKE_TIMEOUT_MS,
                ms => ms,
            },
            advertise: set(self.advertise),
            no_auth_user: set(self.no_auth_user),
            username_cookie: set(self.username_cookie),
            password_cookie: set(self.password_cookie),
            token_cookie: set(self.token_cookie),
        }))
    }
}

fn handshake_timeout(node: &Node) -> Read<i64> {
    match &node.value {
        Value::Integer(seconds) => Ok(seconds.saturating_mul(SECOND)),
        Value::String(text) => duration::parse(text).map_err(|error| complaint(node, error)),
        other => {
            let found = go_type(other);
            Err(complaint(
                node,
                format_args!("error parsing handshake timeout: unsupported type {found}"),
            ))
        }
    }
}

/// Names of the headers; that they are sent is not built yet.
fn headers(node: &Node, report: &mut Report) -> Read<Vec<String>> {
    let map: &Map = map_or(node, "error parsing headers: unsupported type %T")?;
    let mut names = Vec::new();
    for (name, node) in map.iter() {
        match &node.value {
            Value::String(_) => names.push(name.to_owned()),
            other => {
                let found = go_type(other);
                report.error(complaint(
                    node,
                    format_args!("error parsing header key {name}: unsupported type {found}"),
                ));
            }
        }
    }
    report.not_built(node, "sending headers of one's own");
    Ok(names)
}

fn check_origin(origin: &str) -> Result<(), String> {
    let bad = |why: &str| format!("unable to parse allowed origin {origin:?}: {why}");
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Err(format!(
            "unable to parse allowed origin: parse {origin:?}: invalid URI for request"
        ));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(bad(
            "allowed origins must be absolute URLs with http or https scheme",
        ));
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Err(bad("host is required"));
    }
    match split_host_port(host) {
        Some((_, port)) if port.parse::<u16>().is_err() => Err(bad("invalid port")),
        _ => Ok(()),
    }
}

fn check_header(header: &str) -> Result<(), String> {
    let name = header.to_lowercase();
    if OWN_HEADERS.contains(&name.as_str()) {
        return Err(format!("websocket: invalid header {header:?} not allowed"));
    }
    if name.starts_with("sec-websocket-") {
        return Err(format!(
            "websocket: invalid header {header:?}, \"Sec-WebSocket-\" prefix not allowed"
        ));
    }
    Ok(())
}
