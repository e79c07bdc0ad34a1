//! CONNECT: options, authentication, and the account that follows from it.

use std::rc::Rc;

use mainstem_core::Conn;
use mainstem_core::auth::{Identity, Verdict};
use wire_nats::encode;

use crate::connection::Connection;
use crate::encoder;
use crate::error::CloseReason;
use crate::handshake;
use crate::ops;

/// Highest protocol of CONNECT (1: the client takes asynchronous INFO).
const MAX_PROTOCOL: i64 = 1;

/// CONNECT.
pub(crate) fn connect(connection: &Connection, conn: &Rc<Conn>, json: &[u8]) -> Result<(), CloseReason> {
    let was_connected = {
        let mut session = connection.session.borrow_mut();
        let session = &mut *session;
        session
            .options
            .update(json)
            .map_err(|error| CloseReason::BadJson(error.0))?;
        if let Some(ws) = &connection.facts.ws {
            fill_from_cookies(session, ws, connection);
        }
        session.rtt.get_or_insert(connection.facts.start.elapsed());
        std::mem::replace(&mut session.connected, true)
    };
    let (headers, echo) = {
        let mut session = connection.session.borrow_mut();
        let supported = !connection.local.front.config.load().no_header_support;
        session.limits.headers = supported && session.options.headers;
        (session.limits.headers, session.options.echo)
    };
    conn.set_echo(echo);
    conn.set_encoder(if headers {
        &encoder::WITH_HEADERS
    } else {
        &encoder::WITHOUT_HEADERS
    });
    if was_connected {
        connection.local.worker.unsubscribe_all(conn);
    }
    ops::ping::schedule_first(connection, conn);
    authenticate(connection, conn)
}

/// A WebSocket's cookies stand in for what CONNECT left out, where the listener names them.
fn fill_from_cookies(
    session: &mut crate::session::Session,
    ws: &mainstem_net::upgrade::WsInfo,
    connection: &Connection,
) {
    let config = connection.local.front.config.load();
    let Some(websocket) = &config.websocket else {
        return;
    };
    let cookie = |name: &Option<String>| {
        let name = name.as_deref()?;
        ws.cookies
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.clone())
    };
    let options = &mut session.options;
    for (place, name) in [
        (&mut options.user, &websocket.username_cookie),
        (&mut options.pass, &websocket.password_cookie),
        (&mut options.auth_token, &websocket.token_cookie),
    ] {
        if place.is_empty()
            && let Some(value) = cookie(name)
        {
            *place = value;
        }
    }
}

fn authenticate(connection: &Connection, conn: &Rc<Conn>) -> Result<(), CloseReason> {
    let front = &connection.local.front;
    let verdict = handshake::check(front, &connection.facts, &connection.session.borrow());
    match verdict {
        Verdict::Accepted(identity) => accepted(connection, conn, identity),
        Verdict::Refused => Err(violation(connection, conn)),
        Verdict::NeedsHash {
            secret,
            hash,
            identity,
        } => {
            let Some(answer) = front.hash_pool.verify(secret, hash) else {
                tracing::error!(
                    "{} - too many password checks are waiting",
                    connection.label(conn)
                );
                return Err(CloseReason::AuthenticationTimeout);
            };
            connection.session.borrow_mut().verifying = Some(Box::new((answer, identity)));
            Ok(())
        }
    }
}

/// The first bytes are not CONNECT although something has to be shown: they may be the `no_auth_user`'s.
pub(crate) fn without_credentials(connection: &Connection, conn: &Rc<Conn>) -> Result<(), CloseReason> {
    let front = &connection.local.front;
    let verdict = handshake::check(front, &connection.facts, &connection.session.borrow());
    match verdict {
        Verdict::Accepted(identity) => {
            connection.session.borrow_mut().connected = true;
            enter(connection, conn, identity)
        }
        _ => Err(violation(connection, conn)),
    }
}

/// The client is who it says.
pub(crate) fn accepted(
    connection: &Connection,
    conn: &Rc<Conn>,
    identity: Identity,
) -> Result<(), CloseReason> {
    enter(connection, conn, identity)?;
    let session = connection.session.borrow();
    let options = &session.options;
    if options.new_account || !options.account.is_empty() {
        drop(session);
        return Err(violation(connection, conn));
    }
    if !(0..=MAX_PROTOCOL).contains(&options.protocol) {
        return Err(CloseReason::BadProtocolVersion);
    }
    if options.no_responders && !session.limits.headers {
        return Err(CloseReason::NoRespondersWithoutHeaders);
    }
    if options.verbose {
        connection
            .local
            .worker
            .enqueue(conn, |out| out.extend_from_slice(encode::OK));
    }
    Ok(())
}

/// A connection that has to show nothing starts in the global account.
pub(crate) fn enter_global(connection: &Connection, conn: &Rc<Conn>) -> Result<(), CloseReason> {
    let account = connection.local.front.node.accounts.global();
    enter(
        connection,
        conn,
        Identity {
            user: None,
            account,
            permissions: None,
        },
    )
}

fn enter(connection: &Connection, conn: &Rc<Conn>, identity: Identity) -> Result<(), CloseReason> {
    let old = connection.session.borrow_mut().identity.take();
    if let Some(old) = &old {
        old.account.disconnect();
    }
    if !identity.account.try_connect() {
        return Err(CloseReason::MaxAccountConnections);
    }
    if conn.account() != identity.account.id {
        connection.local.worker.unsubscribe_all(conn);
        conn.set_account(identity.account.id);
    }
    conn.set_permissions(identity.permissions.clone());
    let mut session = connection.session.borrow_mut();
    session.awaits_auth = false;
    session.identity = Some(identity);
    session.take_limits(&connection.local.front.config.load());
    Ok(())
}

/// The end of a client that is not who it says.
pub(crate) fn violation(connection: &Connection, conn: &Conn) -> CloseReason {
    let label = connection.label(conn);
    let user = connection.session.borrow().shown_user();
    match user {
        Some(user) => tracing::error!("{label} - authentication error - {user}"),
        None => tracing::error!("{label} - authentication error"),
    }
    CloseReason::AuthenticationViolation
}

impl crate::session::Session {
    /// The user as logs and monitoring show it; never a secret.
    pub fn shown_user(&self) -> Option<String> {
        let options = &self.options;
        let identity = self
            .identity
            .as_ref()
            .and_then(|identity| identity.user.as_deref());
        if !options.nkey.is_empty() {
            Some(options.nkey.clone())
        } else if !options.user.is_empty() {
            Some(options.user.clone())
        } else if !options.auth_token.is_empty() {
            Some("[REDACTED]".to_owned())
        } else {
            identity.map(str::to_owned)
        }
    }
}
