//! The protocol of one connection: commands in, effects out. No IO.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mainstem_core::auth::Identity;
use mainstem_core::{Conn, Publisher, subject};
use tokio::sync::oneshot;
use wire_nats::{Command, Limits, Parsed, ProtocolError, Publish, encode, parse};

use crate::config::NatsConfig;
use crate::connect::ConnectOptions;
use crate::connection::Connection;
use crate::error::CloseReason;
use crate::front::Front;
use crate::ops;
use crate::quote::quote;

/// State of one connection's conversation.
pub struct Session {
    pub options: Box<ConnectOptions>,
    pub(crate) limits: Limits,
    /// CONNECT came (or stood in for by the `no_auth_user`).
    pub(crate) connected: bool,
    /// It may do nothing but CONNECT yet.
    pub(crate) awaits_auth: bool,
    pub(crate) identity: Option<Identity>,
    pub(crate) nonce: String,
    /// A password is being checked elsewhere; commands wait.
    pub(crate) verifying: Option<Box<(oneshot::Receiver<bool>, Identity)>>,
    pub(crate) pings_out: u32,
    pub(crate) last_ping: Option<Instant>,
    pub(crate) next_ping: Instant,
    pub(crate) last_inbound: Instant,
    pub(crate) rtt: Option<Duration>,
    pub(crate) first_pong_sent: bool,
    pub(crate) info_sent: bool,
}

/// How far a buffer was understood.
pub struct Progress {
    /// Bytes that are done with.
    pub used: usize,
    /// Bytes, from there, that the next command needs at least.
    pub needs: usize,
}

impl Session {
    pub fn new(front: &Front, nonce: Option<String>) -> Self {
        let config = front.config.load();
        let now = Instant::now();
        Self {
            options: Box::default(),
            limits: Limits {
                max_control_line: config.max_control_line_bytes,
                max_payload: config.max_payload_bytes,
                headers: false,
            },
            connected: false,
            awaits_auth: front.auth.load().is_required(),
            identity: None,
            info_sent: nonce.is_some(),
            nonce: match nonce {
                Some(nonce) => nonce,
                None if front.auth.load().needs_nonce() => crate::handshake::nonce(),
                None => String::new(),
            },
            verifying: None,
            pings_out: 0,
            last_ping: None,
            next_ping: now,
            last_inbound: now,
            rtt: None,
            first_pong_sent: false,
        }
    }

    /// Takes over the limits that are configured now, the account's where it is narrower.
    pub(crate) fn take_limits(&mut self, config: &NatsConfig) {
        self.limits.max_control_line = config.max_control_line_bytes;
        let account = self
            .identity
            .as_ref()
            .and_then(|identity| identity.account.max_payload_bytes())
            .map_or(usize::MAX, |limit| limit as usize);
        self.limits.max_payload = config.max_payload_bytes.min(account);
    }

    /// Commands have to wait.
    pub fn is_paused(&self) -> bool {
        self.verifying.is_some()
    }
}

impl Connection {
    /// The beginning: INFO (unless it went out before TLS), limits, timers.
    pub(crate) fn open(&self, conn: &Rc<Conn>, greeted: bool) {
        let front = &self.local.front;
        front.total_connections.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("{} - Client connection created", self.label(conn));
        if !greeted {
            ops::info::send(self, conn, false);
        }
        let config = front.config.load();
        if config.max_connections > 0 && front.node.connections() > config.max_connections {
            tracing::error!("{} - maximum connections exceeded", self.label(conn));
            self.close(CloseReason::MaxConnections);
            return;
        }
        let awaits_auth = self.session.borrow().awaits_auth;
        if awaits_auth {
            let timeout = Duration::from_millis(config.auth_timeout_ms);
            self.local.timers.schedule(self.facts.start + timeout, conn.id());
        } else if let Err(reason) = ops::connect::enter_global(self, conn) {
            self.close(reason);
        }
        ops::ping::schedule_first(self, conn);
        self.local.worker.finish_batch();
    }
}

/// Handles all whole commands of `data`. `shared` is the same buffer where it is reference-counted.
///
/// # Errors
/// The connection has to end.
pub(crate) fn process(
    connection: &Connection,
    conn: &Rc<Conn>,
    data: &[u8],
    shared: Option<&Bytes>,
) -> Result<Progress, CloseReason> {
    let worker = &connection.local.worker;
    let mut publisher = Publisher::new(worker, conn, data, shared);
    let mut mode = Mode::of(connection);
    let mut used = 0;
    let mut needs = 0;
    while used < data.len() && !conn.is_closed() {
        if mode.awaits_auth && !matches!(data[used], b'C' | b'c') {
            ops::connect::without_credentials(connection, conn)?;
            publisher.identity_changed();
            mode = Mode::of(connection);
        }
        let (command, len) = match parse(&data[used..], &mode.limits) {
            Ok(Parsed::Command(command, len)) => (command, len),
            Ok(Parsed::Incomplete { total }) => {
                needs = total;
                break;
            }
            Err(error) => {
                publisher.end_run();
                return Err(complain(connection, conn, error));
            }
        };
        used += len;
        if mode.trace {
            trace_in(connection, conn, &command);
        }
        match command {
            Command::Publish(message) => publish(connection, conn, &mut publisher, &mode, &message),
            Command::Connect(json) => {
                publisher.end_run();
                ops::connect::connect(connection, conn, json)?;
                publisher.identity_changed();
                mode = Mode::of(connection);
                if connection.session.borrow().is_paused() {
                    break;
                }
            }
            other => {
                publisher.end_run();
                control(connection, conn, other)?;
            }
        }
    }
    drop(publisher);
    if used > 0 {
        connection.session.borrow_mut().last_inbound = Instant::now();
    }
    Ok(Progress { used, needs })
}

/// What of the session the loop over commands looks at.
struct Mode {
    limits: Limits,
    awaits_auth: bool,
    verbose: bool,
    pedantic: bool,
    trace: bool,
}

impl Mode {
    fn of(connection: &Connection) -> Self {
        let session = connection.session.borrow();
        Self {
            limits: session.limits,
            awaits_auth: session.awaits_auth,
            verbose: session.options.verbose,
            pedantic: session.options.pedantic,
            trace: tracing::enabled!(target: "nats_trace", tracing::Level::TRACE),
        }
    }
}

fn control(connection: &Connection, conn: &Rc<Conn>, command: Command<'_>) -> Result<(), CloseReason> {
    match command {
        Command::Subscribe { subject, queue, sid } => {
            ops::sub::subscribe(connection, conn, subject, queue, sid)
        }
        Command::Unsubscribe { sid, max } => ops::unsub::unsubscribe(connection, conn, sid, max),
        Command::Ping => ops::ping::ping(connection, conn),
        Command::Pong => ops::ping::pong(connection),
        Command::Info(json) => return ops::info::from_client(json),
        Command::Error(text) => {
            return Err(CloseReason::ClientError(
                String::from_utf8_lossy(text).into_owned(),
            ));
        }
        Command::Publish(_) | Command::Connect(_) | Command::Ignored => {}
    }
    Ok(())
}

#[inline]
fn publish<'a>(
    connection: &Connection,
    conn: &Rc<Conn>,
    publisher: &mut Publisher<'a>,
    mode: &Mode,
    message: &Publish<'a>,
) {
    if mode.pedantic && !subject::is_valid_literal(message.subject) {
        publisher.end_run();
        send_error(connection, conn, "Invalid Publish Subject");
    }
    if matches!(message.subject.first(), Some(b'$' | b'_')) && ops::publish::is_reserved(message.subject) {
        publisher.end_run();
        return ops::publish::forbidden(connection, conn, message.subject);
    }
    if matches!(message.reply.first(), Some(b'$' | b'_')) && ops::publish::is_reserved_reply(message.reply) {
        publisher.end_run();
        return ops::publish::reply_forbidden(connection, conn, message.reply);
    }
    match publisher.publish(message.subject, message.reply, message.header_len, message.body) {
        Ok(()) if mode.verbose => connection
            .local
            .worker
            .enqueue(conn, |out| out.extend_from_slice(encode::OK)),
        Ok(()) => {}
        Err(_) => {
            publisher.end_run();
            ops::publish::forbidden(connection, conn, message.subject);
        }
    }
}

/// Sends `-ERR`, and stays open.
pub(crate) fn send_error(connection: &Connection, conn: &Rc<Conn>, text: &str) {
    connection
        .local
        .worker
        .enqueue(conn, |out| encode::error(out, text));
}

fn complain(connection: &Connection, conn: &Conn, error: ProtocolError) -> CloseReason {
    match &error {
        ProtocolError::Payload { size } => {
            let limit = connection.session.borrow().limits.max_payload;
            tracing::error!(
                "{} - maximum payload exceeded: {size} vs {limit}",
                connection.label(conn)
            );
        }
        other => tracing::error!("{} - {other}", connection.label(conn)),
    }
    CloseReason::Protocol(error)
}

fn trace_in(connection: &Connection, conn: &Conn, command: &Command<'_>) {
    let text = match command {
        Command::Connect(_) => "[CONNECT]".to_owned(),
        Command::Publish(message) => format!("[PUB {} {}]", quote(message.subject), message.body.len()),
        Command::Subscribe { subject, queue, sid } => {
            format!(
                "[SUB {} {} {}]",
                quote(subject),
                quote(queue.unwrap_or_default()),
                quote(sid)
            )
        }
        other => format!("[{other:?}]"),
    };
    tracing::trace!(target: "nats_trace", "{} - <<- {text}", connection.label(conn));
}

/// Waits for the password check that paused the session.
pub(crate) fn poll_resume(connection: &Connection, conn: &Rc<Conn>, cx: &mut Context<'_>) -> Poll<()> {
    let answer = {
        let mut session = connection.session.borrow_mut();
        let Some(verifying) = &mut session.verifying else {
            return Poll::Ready(());
        };
        ready!(Pin::new(&mut verifying.0).poll(cx))
    };
    let verifying = connection.session.borrow_mut().verifying.take();
    let outcome = match (verifying, answer) {
        (Some(verifying), Ok(true)) => ops::connect::accepted(connection, conn, verifying.1),
        _ => Err(ops::connect::violation(connection, conn)),
    };
    if let Err(reason) = outcome {
        connection.close(reason);
    }
    connection.local.worker.finish_batch();
    Poll::Ready(())
}

/// Nobody listens on `subject`: tells the requester, if it asked to be told.
pub(crate) fn no_responders(connection: &Connection, conn: &Rc<Conn>, subject: &[u8], reply: &[u8]) {
    if !connection
        .session
        .try_borrow()
        .is_ok_and(|session| session.options.no_responders && session.connected)
    {
        return;
    }
    let worker = &connection.local.worker;
    if let Some(subscription) = worker.own_subscription(conn, reply) {
        worker.enqueue(conn, |out| {
            encode::no_responders(out, reply, subscription.id(), subject)
        });
    }
}

/// The connection ended: log, count, remember.
pub(crate) fn closed(connection: &Connection, conn: &Rc<Conn>, reason: &CloseReason) {
    let front = &connection.local.front;
    let label = connection.label(conn);
    match reason {
        CloseReason::SlowConsumerPending { pending_bytes } => {
            front.slow_consumers.fetch_add(1, Ordering::Relaxed);
            tracing::info!("{label} - Slow Consumer Detected: MaxPending of {pending_bytes} Exceeded");
        }
        CloseReason::SlowConsumerDeadline => {
            front.slow_consumers.fetch_add(1, Ordering::Relaxed);
            let deadline_ms = front.config.load().write_deadline_ms;
            tracing::info!("{label} - Slow Consumer Detected: WriteDeadline of {deadline_ms}ms exceeded");
        }
        CloseReason::StaleConnection => {
            front.stale_connections.fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    }
    tracing::debug!("{label} - Client connection closed: {}", reason.name());
    front.remember_closed(crate::collect::closed(connection, conn, reason));
    if let Some(identity) = connection.session.borrow_mut().identity.take() {
        identity.account.disconnect();
    }
}

use std::future::Future;
use std::pin::Pin;
