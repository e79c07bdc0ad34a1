//! Opens the front's listeners, and closes the front: at once, or as a lame duck.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mainstem_core::auth::Authenticator;
use mainstem_net::config::ListenAddr;
use mainstem_net::{Accepted, Listener, Security, SharedSecurity};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::NatsConfig;
use crate::connection::Connection;
use crate::error::CloseReason;
use crate::front::{Front, Listening};
use crate::handshake::{Greeting, NatsGreeter};
use crate::local::Local;
use crate::ops;

/// The front could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("Error listening on port: {host}:{port}, {error:?}: {error}", error = source.to_string())]
    Listen {
        host: String,
        port: u16,
        source: std::io::Error,
    },
    #[error(transparent)]
    Security(#[from] mainstem_net::security::SecurityError),
}

/// A running front.
pub struct Serving {
    pub front: Arc<Front>,
    security: SharedSecurity,
    websocket_security: Option<SharedSecurity>,
    accepting: watch::Sender<bool>,
    listeners: Vec<JoinHandle<std::io::Result<()>>>,
}

/// Bound sockets that nobody is accepted on yet.
pub struct Bound {
    client: Listener,
    security: SharedSecurity,
    websocket: Option<(Listener, SharedSecurity)>,
}

/// Binds all sockets of the front, and loads what their security needs.
///
/// # Errors
/// An address is taken or not ours; a certificate cannot be used.
pub fn bind(config: &NatsConfig) -> Result<Bound, StartError> {
    let client = listen(&config.listen)?;
    let security = client_security(config)?.shared();
    let websocket = match &config.websocket {
        None => None,
        Some(websocket) => Some((
            listen(&websocket.listen)?,
            Security::with_websocket(websocket)?.shared(),
        )),
    };
    Ok(Bound {
        client,
        security,
        websocket,
    })
}

fn listen(addr: &ListenAddr) -> Result<Listener, StartError> {
    Listener::bind(addr).map_err(|source| StartError::Listen {
        host: addr.host.clone(),
        port: addr.port,
        source,
    })
}

fn client_security(config: &NatsConfig) -> Result<Security, StartError> {
    let mut security = match &config.tls {
        Some(tls) => Security::with_tls(tls, config.allow_non_tls)?,
        None => Security::default(),
    };
    let limit = config.max_connections_per_second;
    security.max_connections_per_second = (limit > 0).then_some(limit);
    Ok(security)
}

impl Bound {
    pub fn client_addr(&self) -> SocketAddr {
        self.client.local_addr()
    }

    pub fn websocket_addr(&self) -> Option<SocketAddr> {
        self.websocket.as_ref().map(|(listener, _)| listener.local_addr())
    }

    /// Accepts connections. Call it on the runtime that runs handshakes, after the workers have started.
    pub fn serve(self, front: Arc<Front>) -> Serving {
        front.set_listening(Listening {
            client: Some(self.client_addr()),
            websocket: self.websocket_addr(),
            ..Listening::default()
        });
        let (accepting, stop) = watch::channel(true);
        let mut listeners = vec![spawn(self.client, &self.security, &front, stop.clone())];
        let websocket_security = self.websocket.map(|(listener, security)| {
            listeners.push(spawn(listener, &security, &front, stop));
            security
        });
        Serving {
            front,
            security: self.security,
            websocket_security,
            accepting,
            listeners,
        }
    }
}

fn spawn(
    listener: Listener,
    security: &SharedSecurity,
    front: &Arc<Front>,
    mut accepting: watch::Receiver<bool>,
) -> JoinHandle<std::io::Result<()>> {
    let node = Arc::clone(&front.node);
    let sink = move |accepted: Accepted<Greeting>| {
        node.call(node.assign(), move |worker| match Local::current() {
            Some(local) => Connection::start(&local, accepted),
            None => worker.node().release(worker.index()),
        });
    };
    let greeter = Arc::new(NatsGreeter(Arc::clone(front)));
    let security = Arc::clone(security);
    tokio::spawn(async move {
        let stopped = async move {
            // An error means that the front is gone, and with it the reason to accept.
            let _ = accepting.wait_for(|accepting| !accepting).await;
        };
        listener.run(security, greeter, sink, stopped).await
    })
}

impl Serving {
    /// No new connections from now on.
    pub async fn stop_accepting(&mut self) {
        self.accepting.send_replace(false);
        for listener in self.listeners.drain(..) {
            // A listener that panicked does not accept either.
            let _ = listener.await;
        }
    }

    /// Lame duck: tells clients to go elsewhere, waits for `grace`, then closes them over the rest of `whole`.
    pub async fn lame_duck(&mut self, whole: Duration, grace: Duration) {
        self.stop_accepting().await;
        self.front.set_lame_duck();
        if self.front.node.connections() == 0 {
            return;
        }
        self.broadcast_info().await;
        tokio::time::sleep(grace.min(whole)).await;
        let clients = self.front.node.connections().max(1);
        let pause = (whole.saturating_sub(grace) / clients as u32).min(Duration::from_secs(1));
        for _ in 0..clients {
            if !self.close_one().await {
                break;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        self.close_all(&CloseReason::ServerShutdown).await;
    }

    /// Drain: as [`Serving::lame_duck`], but ends as soon as the last client has gone, and after `timeout` at last.
    pub async fn drain(&mut self, timeout: Duration) {
        self.stop_accepting().await;
        self.front.set_lame_duck();
        self.broadcast_info().await;
        let deadline = tokio::time::Instant::now() + timeout;
        while self.front.node.connections() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.close_all(&CloseReason::ServerShutdown).await;
    }

    /// Closes all connections.
    pub async fn close_all(&self, reason: &CloseReason) {
        let reason = reason.clone();
        let ask = move |_: &_| {
            for pair in Local::current().map(|local| local.pairs()).unwrap_or_default() {
                pair.connection.close(reason.clone());
            }
        };
        self.front.node.ask_all(ask).await;
        // Each worker's tasks run before it answers a second time.
        self.front.node.ask_all(|_| ()).await;
    }

    async fn close_one(&self) -> bool {
        let closed = self.front.node.ask_all(|_| {
            let pairs = Local::current().map(|local| local.pairs()).unwrap_or_default();
            let first = pairs.into_iter().find(|pair| !pair.connection.is_closing());
            first
                .map(|pair| pair.connection.close(CloseReason::ServerShutdown))
                .is_some()
        });
        closed.await.contains(&true)
    }

    /// Sends INFO to all clients that take it at any time.
    pub async fn broadcast_info(&self) {
        let ask = |_: &_| {
            let Some(local) = Local::current() else { return };
            for pair in local.pairs() {
                let takes_info = {
                    let session = pair.connection.session.borrow();
                    session.connected && session.options.protocol >= 1
                };
                if takes_info {
                    ops::info::send(&pair.connection, &pair.conn, false);
                }
            }
            local.worker.finish_batch();
        };
        self.front.node.ask_all(ask).await;
    }

    /// Puts a new configuration in force, as far as it can be changed while running: limits, timers, TLS files,
    /// users. Clients whose user is gone or changed are cut; the others get their new permissions.
    ///
    /// # Errors
    /// A certificate cannot be used; nothing has changed then.
    pub async fn reload(&self, config: NatsConfig, auth: Authenticator) -> Result<(), StartError> {
        let security = client_security(&config)?;
        let websocket = config
            .websocket
            .as_ref()
            .map(Security::with_websocket)
            .transpose()?;
        self.security.store(Arc::new(security));
        if let (Some(shared), Some(websocket)) = (&self.websocket_security, websocket) {
            shared.store(Arc::new(websocket));
        }
        let old = self.front.auth.swap(Arc::new(auth));
        self.front.config.store(Arc::new(config));
        self.front.node.ask_all(move |_| reload_worker(&old)).await;
        self.broadcast_info().await;
        Ok(())
    }
}

fn reload_worker(old: &Authenticator) {
    let Some(local) = Local::current() else { return };
    let (auth, config) = (local.front.auth.load(), local.front.config.load());
    for pair in local.pairs() {
        let mut session = pair.connection.session.borrow_mut();
        session.take_limits(&config);
        let Some(identity) = &session.identity else {
            continue;
        };
        if !auth.still_holds(identity, old) {
            pair.connection.close(CloseReason::CredentialsChanged);
        } else if let Some(identity) = identity.user.as_deref().and_then(|user| auth.identity(user)) {
            drop(session);
            ops::sub::apply_permissions(&pair.connection, &pair.conn, &identity);
        }
    }
    local.worker.invalidate_routes();
    local.worker.finish_batch();
}
