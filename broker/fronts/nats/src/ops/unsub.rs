//! UNSUB.

use std::rc::Rc;

use mainstem_core::Conn;
use wire_nats::encode;

use crate::connection::Connection;

/// UNSUB: ends the subscription now, or once `max` messages were delivered in all. An unknown id is no error.
pub(crate) fn unsubscribe(connection: &Connection, conn: &Rc<Conn>, sid: &[u8], max: Option<i64>) {
    if let Some(subscription) = conn.subscription(sid) {
        match max.and_then(|max| u64::try_from(max).ok()) {
            Some(max) if max > subscription.delivered() => subscription.set_max(max),
            _ => connection.local.worker.unsubscribe(&subscription),
        }
    }
    let session = connection.session.borrow();
    if session.options.verbose {
        connection
            .local
            .worker
            .enqueue(conn, |out| out.extend_from_slice(encode::OK));
    }
}
