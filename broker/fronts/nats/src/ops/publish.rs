//! PUB and HPUB: what may not be published. (The rest is the hot path, in `session`.)

use std::rc::Rc;

use mainstem_core::Conn;

use crate::connection::Connection;
use crate::quote::quote;
use crate::session::send_error;

/// Subjects between servers, which no client publishes to.
pub(crate) fn is_reserved(subject: &[u8]) -> bool {
    subject.starts_with(b"_GR_.") || subject.starts_with(b"$GNR.") || subject.starts_with(b"$NRG.")
}

/// Reply subjects that only servers make up: they would let a client forge answers and acknowledgements.
pub(crate) fn is_reserved_reply(reply: &[u8]) -> bool {
    [&b"_R_."[..], b"$JS.ACK.", b"_GR_."]
        .iter()
        .any(|prefix| reply.len() > prefix.len() && reply.starts_with(prefix))
        || reply == b"_R_."
}

/// Tells the client that it may not publish to `subject`.
pub(crate) fn forbidden(connection: &Connection, conn: &Rc<Conn>, subject: &[u8]) {
    let quoted = quote(subject);
    send_error(
        connection,
        conn,
        &format!("Permissions Violation for Publish to {quoted}"),
    );
    tracing::error!(
        "{} - Publish Violation - Subject {quoted}",
        connection.label(conn)
    );
}

/// Tells the client that it may not use this reply subject.
pub(crate) fn reply_forbidden(connection: &Connection, conn: &Rc<Conn>, reply: &[u8]) {
    let quoted = quote(reply);
    send_error(
        connection,
        conn,
        &format!("Permissions Violation for Publish with Reply of {quoted}"),
    );
    tracing::error!("{} - Publish Violation - Reply {quoted}", connection.label(conn));
}
