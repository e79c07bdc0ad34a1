//! INFO, both ways.

use std::rc::Rc;

use mainstem_core::Conn;

use crate::connection::Connection;
use crate::error::CloseReason;
use crate::handshake;

/// Sends INFO; `connect_info` marks the one that answers the first PING.
pub(crate) fn send(connection: &Connection, conn: &Rc<Conn>, connect_info: bool) {
    let front = &connection.local.front;
    let facts = &connection.facts;
    let mut session = connection.session.borrow_mut();
    let mut info = handshake::client_info(front, conn.id(), &session.nonce, facts.peer, facts.ws.is_some());
    info.max_payload = session.limits.max_payload;
    if connect_info {
        info.connect_info = true;
        info.nonce.clear();
        if let Some(identity) = &session.identity {
            info.remote_account.clone_from(&identity.account.name);
            info.acc_is_sys = identity.account.name == front.system_account;
        }
    } else {
        // Whoever needs no credentials is not asked for any.
        info.auth_required &= !front.auth.load().has_no_auth_user();
        if session.info_sent {
            info.nonce.clear();
        }
    }
    session.info_sent = true;
    connection.local.worker.enqueue(conn, |out| info.encode(out));
}

/// A client may send INFO; it has no effect, but has to be JSON.
pub(crate) fn from_client(json: &[u8]) -> Result<(), CloseReason> {
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json) {
        Ok(_) => Ok(()),
        Err(error) => Err(CloseReason::BadJson(error.to_string())),
    }
}
