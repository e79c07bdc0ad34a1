//! From an accepted socket to an authenticated identity.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use mainstem_core::auth::{Certificate, Credentials, Verdict};
use mainstem_net::Greeter;
use wire_nats::encode;

use crate::connection::Facts;
use crate::front::Front;
use crate::info::Info;
use crate::session::Session;

/// What was said to a client before its TLS handshake.
pub struct Greeting {
    pub id: u64,
    pub nonce: String,
}

/// Sends INFO in clear text before TLS starts.
pub struct NatsGreeter(pub Arc<Front>);

impl Greeter for NatsGreeter {
    type State = Greeting;

    fn greet(&self, peer: SocketAddr, _local: SocketAddr) -> (Bytes, Greeting) {
        let greeting = Greeting {
            id: self.0.node.next_conn_id(),
            nonce: nonce(),
        };
        let mut line = Vec::new();
        client_info(&self.0, greeting.id, &greeting.nonce, peer, false).encode(&mut line);
        (Bytes::from(line), greeting)
    }

    fn throttled(&self) -> Bytes {
        let mut line = Vec::new();
        encode::error(
            &mut line,
            "Connection throttling is active. Please try again later.",
        );
        Bytes::from(line)
    }
}

/// Eleven random bytes in base64, as nats-server's.
pub fn nonce() -> String {
    let bytes: [u8; 11] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// INFO for one client.
pub fn client_info(front: &Front, id: u64, nonce: &str, peer: SocketAddr, websocket: bool) -> Info {
    let mut info = front.info(websocket);
    info.client_id = id;
    info.client_ip = peer.ip().to_canonical().to_string();
    if front.auth.load().needs_nonce() {
        info.nonce = nonce.to_owned();
    }
    info
}

/// Checks what CONNECT (or nothing at all) showed.
pub fn check(front: &Front, facts: &Facts, session: &Session) -> Verdict {
    let options = &session.options;
    let signature = URL_SAFE_NO_PAD
        .decode(&options.sig)
        .or_else(|_| STANDARD.decode(&options.sig))
        .unwrap_or_default();
    let config = front.config.load();
    let tls = match (&facts.ws, &config.websocket) {
        (Some(_), Some(websocket)) => websocket.tls.as_ref(),
        _ => config.tls.as_ref(),
    };
    let auth = front.auth.load();
    let certificate = if tls.is_some_and(|tls| tls.verify_and_map) {
        let peer = facts.tls.as_ref().and_then(|tls| tls.peer.as_ref());
        peer.and_then(|peer| peer.user(auth.user_names()))
            .map_or(Certificate::Nobody, Certificate::User)
    } else {
        Certificate::Irrelevant
    };
    let no_auth_user = match (&facts.ws, &config.websocket) {
        (Some(_), Some(websocket)) => websocket.no_auth_user.as_deref(),
        _ => None,
    };
    let credentials = Credentials {
        user: &options.user,
        password: &options.pass,
        token: &options.auth_token,
        nkey: &options.nkey,
        signature: &signature,
        nonce: session.nonce.as_bytes(),
        certificate,
        connection_type: if facts.ws.is_some() {
            "WEBSOCKET"
        } else {
            "STANDARD"
        },
        no_auth_user,
    };
    auth.check(&credentials)
}
