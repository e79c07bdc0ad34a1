//! SUB.

use std::rc::Rc;

use mainstem_core::auth::Identity;
use mainstem_core::{Conn, SubscribeError, Subscription, subject};
use wire_nats::encode;

use crate::connection::Connection;
use crate::quote::quote;
use crate::session::send_error;

/// Queue name that only servers use.
const SYSTEM_QUEUE: &[u8] = b"_sys_";

/// SUB.
pub(crate) fn subscribe(
    connection: &Connection,
    conn: &Rc<Conn>,
    filter: &[u8],
    queue: Option<&[u8]>,
    sid: &[u8],
) {
    let (verbose, awaits) = {
        let session = connection.session.borrow();
        (session.options.verbose, session.awaits_auth)
    };
    if awaits {
        return;
    }
    let permitted = conn
        .permissions()
        .is_none_or(|rights| rights.may_subscribe(filter, queue));
    if !permitted || queue == Some(SYSTEM_QUEUE) {
        return forbidden(connection, conn, filter, queue, sid);
    }
    let config = connection.local.front.config.load();
    if config.max_subject_tokens > 0 && subject::tokens(filter).count() > config.max_subject_tokens {
        let quoted = quote(filter);
        let text = format!("Permissions Violation for Subscription to {quoted}, too many tokens");
        return send_error(connection, conn, &text);
    }
    if config.max_subscriptions > 0 && conn.subscription_count() >= config.max_subscriptions {
        tracing::error!("{} - maximum subscriptions exceeded", connection.label(conn));
        return send_error(connection, conn, "maximum subscriptions exceeded");
    }
    match connection.local.worker.subscribe(conn, filter, queue, sid) {
        Ok(()) => {
            if let Some(jetstream) = connection.local.front.jetstream() {
                jetstream.subscribed(conn.account(), filter);
            }
            if verbose {
                connection
                    .local
                    .worker
                    .enqueue(conn, |out| out.extend_from_slice(encode::OK));
            }
        }
        Err(SubscribeError::BadSubject) => send_error(connection, conn, "Invalid Subject"),
        Err(SubscribeError::AccountLimit | SubscribeError::GroupLimit) => {
            send_error(connection, conn, "maximum subscriptions exceeded")
        }
    }
}

fn forbidden(connection: &Connection, conn: &Rc<Conn>, filter: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
    let (filter, label) = (quote(filter), connection.label(conn));
    let sid = String::from_utf8_lossy(sid);
    let text = match queue.map(quote) {
        None => {
            tracing::error!("{label} - Subscription Violation - Subject {filter}, SID {sid}");
            format!("Permissions Violation for Subscription to {filter}")
        }
        Some(queue) => {
            tracing::error!("{label} - Subscription Violation - Subject {filter}, Queue: {queue}, SID {sid}");
            format!("Permissions Violation for Subscription to {filter} using queue {queue}")
        }
    };
    send_error(connection, conn, &text);
}

/// Tells the client which of its subscriptions a reload ended.
fn revoked(connection: &Connection, conn: &Rc<Conn>, subscription: &Subscription) {
    let (filter, sid) = (quote(subscription.filter()), quote(subscription.id()));
    let removed = match subscription.queue().map(quote) {
        None => format!("{filter} (sid {sid})"),
        Some(queue) => format!("{filter} using queue {queue} (sid {sid})"),
    };
    let label = connection.label(conn);
    tracing::info!("{label} - Removed sub {removed} - not authorized");
    let text = format!("Permissions Violation for Subscription to {removed}");
    send_error(connection, conn, &text);
}

/// New permissions for a connection that stays: subscriptions that they forbid end, each with an error.
pub(crate) fn apply_permissions(connection: &Connection, conn: &Rc<Conn>, identity: &Identity) {
    conn.set_permissions(identity.permissions.clone());
    let Some(permissions) = &identity.permissions else {
        return;
    };
    for subscription in conn.all_subscriptions() {
        if !permissions.may_subscribe(subscription.filter(), subscription.queue()) {
            connection.local.worker.unsubscribe(&subscription);
            revoked(connection, conn, &subscription);
        }
    }
}
