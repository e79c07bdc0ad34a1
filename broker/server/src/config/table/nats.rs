//! Keys of the NATS front, its TLS and its WebSocket listener.

use front_nats::config::NatsConfig;
use mainstem_net::config::{HandshakeFirst, TlsConfig, WebsocketConfig};

use super::fields::{Slot, at};
use super::rules::{FILE, FINGERPRINT, HOST, HOST_AND_PORT, ORIGIN, WORD};
use super::{HOUR_MS, MIB};
use crate::config::kind::{Kind, Value};
use crate::config::schema::{Field, Key, Section};

const MAX_COUNT: u64 = 1 << 31;
const MINUTE_MS: u64 = 60_000;

pub static NATS: &[Key<NatsConfig>] = &[
    Key::value(
        "host",
        Kind::Text(HOST),
        at!(NatsConfig, listen.host),
        "Address that clients connect to.",
    )
    .flag("nats-host"),
    Key::value(
        "port",
        Kind::Port,
        at!(NatsConfig, listen.port),
        "Port that clients connect to.",
    )
    .flag("nats-port"),
    Key::optional(
        "client_advertise",
        Kind::Text(HOST_AND_PORT),
        at!(NatsConfig, client_advertise),
        "the address that is bound",
        "Address that INFO shows to clients, when they reach the server by another one.",
    )
    .flag("client-advertise"),
    Key::value(
        "no_advertise",
        Kind::Switch,
        at!(NatsConfig, no_advertise),
        "Do not tell clients of the other servers (connect_urls).",
    ),
    Key::value(
        "max_payload",
        Kind::Size {
            min: 1,
            max: 64 * MIB,
        },
        at!(NatsConfig, max_payload_bytes),
        "Largest message, its headers included.",
    ),
    Key::value(
        "max_control_line",
        Kind::Size {
            min: 512,
            max: 16 * MIB,
        },
        at!(NatsConfig, max_control_line_bytes),
        "Longest protocol line.",
    ),
    Key::value(
        "max_connections",
        Kind::Count {
            min: 0,
            max: MAX_COUNT,
        },
        at!(NatsConfig, max_connections),
        "Connections at once. 0: no limit.",
    ),
    Key::value(
        "max_subscriptions",
        Kind::Count {
            min: 0,
            max: MAX_COUNT,
        },
        at!(NatsConfig, max_subscriptions),
        "Subscriptions of one connection. 0: no limit.",
    ),
    Key::value(
        "max_subject_tokens",
        Kind::Count { min: 0, max: 255 },
        at!(NatsConfig, max_subject_tokens),
        "Tokens in the subject of a subscription. 0: no limit.",
    ),
    Key::value(
        "max_connections_per_second",
        Kind::Count {
            min: 0,
            max: 1_000_000,
        },
        at!(NatsConfig, max_connections_per_second),
        "TLS handshakes begun in a second, beyond which connections are turned away. 0: no limit.",
    ),
    Key::value(
        "ping_interval",
        Kind::Duration {
            min: 10,
            max: 24 * HOUR_MS,
        },
        at!(NatsConfig, ping_interval_ms),
        "Idle time after which the server sends PING.",
    ),
    Key::value(
        "max_pings_out",
        Kind::Count { min: 1, max: 1000 },
        at!(NatsConfig, max_pings_out),
        "PINGs without an answer after which a connection is stale.",
    ),
    Key::value(
        "write_deadline",
        Kind::Duration {
            min: 100,
            max: HOUR_MS,
        },
        at!(NatsConfig, write_deadline_ms),
        "How long a write may take before its connection is cut as a slow consumer.",
    ),
    Key::value(
        "auth_timeout",
        Kind::Duration {
            min: 10,
            max: 10 * MINUTE_MS,
        },
        at!(NatsConfig, auth_timeout_ms),
        "How long a client may take to authenticate.",
    ),
    Key::value(
        "no_header_support",
        Kind::Switch,
        at!(NatsConfig, no_header_support),
        "Refuse message headers.",
    ),
    Key::value(
        "lame_duck_duration",
        Kind::Duration {
            min: 0,
            max: 24 * HOUR_MS,
        },
        at!(NatsConfig, lame_duck_duration_ms),
        "Time over which lame-duck mode closes the clients' connections.",
    ),
    Key::value(
        "lame_duck_grace",
        Kind::Duration { min: 0, max: HOUR_MS },
        at!(NatsConfig, lame_duck_grace_ms),
        "Time between the notice of lame-duck mode and the first close.",
    ),
    Key::value(
        "allow_non_tls",
        Kind::Switch,
        at!(NatsConfig, allow_non_tls),
        "With tls, still accept clients that do not use it.",
    ),
    Key::tree(
        "tls",
        &Section {
            keys: TLS,
            get: |nats: &NatsConfig| nats.tls.clone(),
            put: |nats, tls| nats.tls = Some(tls),
            fresh: Default::default,
        },
        "TLS of the client port.",
    ),
    Key::tree(
        "websocket",
        &Section {
            keys: WEBSOCKET,
            get: |nats: &NatsConfig| nats.websocket.clone(),
            put: |nats, websocket| nats.websocket = Some(websocket),
            fresh: Default::default,
        },
        "A second port where NATS clients use WebSocket.",
    ),
];

static TLS: &[Key<TlsConfig>] = &[
    Key::value(
        "cert_file",
        Kind::Text(FILE),
        at!(TlsConfig, cert_file),
        "Certificate chain, PEM. Required.",
    ),
    Key::value(
        "key_file",
        Kind::Text(FILE),
        at!(TlsConfig, key_file),
        "Private key, PEM. Required.",
    ),
    Key::optional(
        "ca_file",
        Kind::Text(FILE),
        at!(TlsConfig, ca_file),
        "no client certificate can be checked",
        "Authorities that client certificates are checked against, PEM.",
    ),
    Key::value(
        "verify",
        Kind::Switch,
        at!(TlsConfig, verify),
        "A client must show a certificate of ca_file.",
    ),
    Key::value(
        "verify_and_map",
        Kind::Switch,
        at!(TlsConfig, verify_and_map),
        "As verify, and the certificate names the user.",
    ),
    Key::value(
        "handshake_first",
        Kind::ChoiceOrDuration {
            words: &["never", "always"],
            min: 1,
            max: MINUTE_MS,
        },
        Field {
            get: |tls: &TlsConfig| match tls.handshake_first {
                HandshakeFirst::Never => Value::Text("never".to_owned()),
                HandshakeFirst::Always => Value::Text("always".to_owned()),
                HandshakeFirst::Auto(ms) => Value::Number(ms),
            },
            set: |tls: &mut TlsConfig, value: Value| {
                tls.handshake_first = match value {
                    Value::Number(ms) => HandshakeFirst::Auto(ms),
                    word if word.as_text() == "always" => HandshakeFirst::Always,
                    _ => HandshakeFirst::Never,
                }
            },
        },
        "TLS starts with the first byte instead of after INFO. With a duration, clients that stay silent that long get \
         INFO in clear text.",
    ),
    Key::value(
        "timeout",
        Kind::Duration {
            min: 10,
            max: 10 * MINUTE_MS,
        },
        at!(TlsConfig, timeout_ms),
        "How long a handshake may take.",
    ),
    Key::optional(
        "min_version",
        Kind::Choice(&["1.2", "1.3"]),
        at!(TlsConfig, min_version),
        "1.2",
        "Lowest version of TLS.",
    ),
    Key::value(
        "pinned_certs",
        Kind::Texts(FINGERPRINT),
        at!(TlsConfig, pinned_certs),
        "SHA-256 of the public keys (SPKI) that client certificates may have. Empty: all.",
    ),
];

static WEBSOCKET: &[Key<WebsocketConfig>] = &[
    Key::value(
        "host",
        Kind::Text(HOST),
        at!(WebsocketConfig, listen.host),
        "Address that WebSocket clients connect to.",
    ),
    Key::value(
        "port",
        Kind::Port,
        at!(WebsocketConfig, listen.port),
        "Port that WebSocket clients connect to; 443 and 8080 are usual.",
    )
    .flag("websocket-port"),
    Key::value(
        "compression",
        Kind::Switch,
        at!(WebsocketConfig, compression),
        "Accept compressed frames (permessage-deflate).",
    ),
    Key::value(
        "same_origin",
        Kind::Switch,
        at!(WebsocketConfig, same_origin),
        "The Origin header must match the Host header.",
    ),
    Key::value(
        "allowed_origins",
        Kind::Texts(ORIGIN),
        at!(WebsocketConfig, allowed_origins),
        "Origins that browsers may come from. Empty: all.",
    ),
    Key::value(
        "handshake_timeout",
        Kind::Duration {
            min: 10,
            max: 10 * MINUTE_MS,
        },
        at!(WebsocketConfig, handshake_timeout_ms),
        "How long the HTTP upgrade may take.",
    ),
    Key::optional(
        "advertise",
        Kind::Text(HOST_AND_PORT),
        at!(WebsocketConfig, advertise),
        "the address that is bound",
        "Address that INFO shows to WebSocket clients.",
    ),
    Key::optional(
        "no_auth_user",
        Kind::Text(WORD),
        at!(WebsocketConfig, no_auth_user),
        "auth.no_auth_user",
        "User that a connection without credentials becomes.",
    ),
    Key::optional(
        "username_cookie",
        Kind::Text(WORD),
        at!(WebsocketConfig, username_cookie),
        "no cookie",
        "Cookie whose value stands in for the user name of CONNECT.",
    ),
    Key::optional(
        "password_cookie",
        Kind::Text(WORD),
        at!(WebsocketConfig, password_cookie),
        "no cookie",
        "Cookie whose value stands in for the password of CONNECT.",
    ),
    Key::optional(
        "token_cookie",
        Kind::Text(WORD),
        at!(WebsocketConfig, token_cookie),
        "no cookie",
        "Cookie whose value stands in for the token of CONNECT.",
    ),
    Key::tree(
        "tls",
        &Section {
            keys: TLS,
            get: |websocket: &WebsocketConfig| websocket.tls.clone(),
            put: |websocket, tls| websocket.tls = Some(tls),
            fresh: Default::default,
        },
        "TLS of the WebSocket port.",
    ),
];
