//! PING and PONG, both ways, and what time does to a connection.

use std::rc::Rc;
use std::time::{Duration, Instant};

use mainstem_core::Conn;
use wire_nats::encode;

use crate::connection::Connection;
use crate::error::CloseReason;
use crate::ops;

/// The first PING comes soon, so that the round trip is known (nats-server's `firstClientPingInterval`).
const FIRST_PING: Duration = Duration::from_secs(2);
/// After this the round trip is measured again even on a busy connection.
const MEASURE_AGAIN: Duration = Duration::from_secs(3600);

/// PING from the client.
pub(crate) fn ping(connection: &Connection, conn: &Rc<Conn>) {
    connection
        .local
        .worker
        .enqueue(conn, |out| out.extend_from_slice(encode::PONG));
    let wants_info = {
        let mut session = connection.session.borrow_mut();
        session.connected
            && !std::mem::replace(&mut session.first_pong_sent, true)
            && session.options.protocol >= 1
    };
    if wants_info {
        ops::info::send(connection, conn, true);
    }
}

/// PONG from the client.
pub(crate) fn pong(connection: &Connection) {
    let mut session = connection.session.borrow_mut();
    session.pings_out = 0;
    session.rtt = session.last_ping.map(|sent| sent.elapsed());
}

/// Sets the time of the first PING, with up to a fifth added so that clients do not march in step.
pub(crate) fn schedule_first(connection: &Connection, conn: &Conn) {
    let interval =
        Duration::from_millis(connection.local.front.config.load().ping_interval_ms).min(FIRST_PING);
    let spread = interval.mul_f64(rand::random::<f64>() / 5.0);
    schedule(connection, conn, interval + spread);
}

fn schedule(connection: &Connection, conn: &Conn, after: Duration) {
    let at = Instant::now() + after;
    connection.session.borrow_mut().next_ping = at;
    connection.local.timers.schedule(at, conn.id());
}

impl Connection {
    /// A time that was scheduled for this connection has come; which one is seen by looking.
    pub(crate) fn on_timer(&self, conn: &Rc<Conn>) {
        let now = Instant::now();
        let config = self.local.front.config.load();
        let (awaits_auth, next_ping) = {
            let session = self.session.borrow();
            (session.awaits_auth, session.next_ping)
        };
        if awaits_auth && now >= self.facts.start + Duration::from_millis(config.auth_timeout_ms) {
            self.close(CloseReason::AuthenticationTimeout);
        } else if self.write_deadline().is_some_and(|deadline| now >= deadline) {
            self.close(CloseReason::SlowConsumerDeadline);
        } else {
            self.watch_write(conn.id());
            if now >= next_ping {
                self.on_ping_time(conn, now);
            }
        }
    }

    fn on_ping_time(&self, conn: &Rc<Conn>, now: Instant) {
        let config = self.local.front.config.load();
        let interval = Duration::from_millis(config.ping_interval_ms);
        let mut session = self.session.borrow_mut();
        let measure =
            session.rtt.is_none() || session.last_ping.is_none_or(|sent| now - sent > MEASURE_AGAIN);
        if measure || now - session.last_inbound >= interval {
            if session.pings_out + 1 > config.max_pings_out {
                drop(session);
                return self.close(CloseReason::StaleConnection);
            }
            session.pings_out += 1;
            session.last_ping = Some(now);
            self.local
                .worker
                .enqueue(conn, |out| out.extend_from_slice(encode::PING));
        }
        drop(session);
        schedule(self, conn, interval);
    }
}
