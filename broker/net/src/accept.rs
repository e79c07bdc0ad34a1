//! The accept loop: connections in, handshakes on the side, sockets with their layers out.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::handshake::{Handshake, Secured};
use crate::layers::Layers;
use crate::listener::Listener;
use crate::security::{Security, SharedSecurity};
use crate::tls::TlsInfo;
use crate::upgrade::WsInfo;

pub use crate::handshake::HandshakeError;

/// Most handshakes at once of one listener; further connections wait in the kernel's backlog.
pub const MAX_HANDSHAKES: usize = 1024;
/// First and longest pause after a failed accept, as in nats-server.
const MIN_ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const MAX_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A connection whose handshakes are done, ready to be registered with any runtime.
#[derive(Debug)]
pub struct Accepted<S> {
    /// Nonblocking, without Nagle's delay.
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// `None`: protocol bytes are socket bytes.
    pub layers: Option<Box<Layers>>,
    pub tls: Option<TlsInfo>,
    pub ws: Option<WsInfo>,
    /// Protocol bytes that have been read already, decoded.
    pub early: Vec<u8>,
    /// What [`Greeter::greet`] returned; `None`: no greeting was sent, the new owner sends it.
    pub state: Option<S>,
}

/// What a front adds to handshakes.
pub trait Greeter: Send + Sync + 'static {
    /// What the front wants to remember about a greeting. Dropped if the handshake fails.
    type State: Send + 'static;

    /// The bytes that go out in clear text before TLS starts.
    fn greet(&self, peer: SocketAddr, local: SocketAddr) -> (Bytes, Self::State);

    /// The bytes for a connection that is turned away because of too many handshakes in this second.
    fn throttled(&self) -> Bytes {
        Bytes::new()
    }

    /// A connection was closed because its handshake failed.
    fn failed(&self, failure: &HandshakeFailure) {
        let HandshakeFailure { peer, error, .. } = failure;
        if error.is_probe() {
            tracing::debug!(%peer, "{error}");
        } else {
            tracing::error!(%peer, "{error}");
        }
    }
}

/// For listeners that never greet.
impl Greeter for () {
    type State = ();

    fn greet(&self, _peer: SocketAddr, _local: SocketAddr) -> (Bytes, ()) {
        (Bytes::new(), ())
    }
}

/// A connection that was closed instead of handed over.
#[derive(Debug)]
pub struct HandshakeFailure {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub error: HandshakeError,
}

impl Listener {
    /// Accepts until `shutdown` is ready, then closes the listening socket and breaks off running handshakes.
    ///
    /// Runs on a multi-thread runtime: handshakes are tasks of their own. `sink` is called on those tasks and must
    /// not block. A failed accept (no more file descriptors, for example) is logged and tried again after a pause.
    ///
    /// # Errors
    /// The socket cannot be registered with the runtime.
    pub async fn run<G: Greeter>(
        self,
        security: SharedSecurity,
        greeter: Arc<G>,
        sink: impl Fn(Accepted<G::State>) + Send + Sync + 'static,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        let front = Arc::new(Front {
            greeter,
            sink,
            rate: Mutex::default(),
        });
        let mut handshakes = JoinSet::new();
        let mut pause = MIN_ACCEPT_PAUSE;
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => return Ok(()),
                Some(_ended) = handshakes.join_next() => continue,
                accepted = socket.accept(), if handshakes.len() < MAX_HANDSHAKES => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = MIN_ACCEPT_PAUSE;
                    let peer = canonical(peer);
                    // Only a socket whose peer is gone refuses; whoever reads it next will notice.
                    let _ = stream.set_nodelay(true);
                    let security = security.load_full();
                    if security.is_plain() {
                        front.hand_over(stream, peer, None);
                    } else {
                        handshakes.spawn(front.clone().handshake(stream, peer, security));
                    }
                }
                Err(error) => {
                    tracing::error!(
                        "temporary accept error ({error}), sleeping {} ms",
                        pause.as_millis()
                    );
                    tokio::select! {
                        () = &mut shutdown => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(MAX_ACCEPT_PAUSE);
                }
            }
        }
    }
}

/// An IPv4 peer of a socket that takes both families, as an IPv4 address.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// What all connections of a listener share.
struct Front<G, F> {
    greeter: Arc<G>,
    sink: F,
    rate: Mutex<Second>,
}

impl<G: Greeter, F: Fn(Accepted<G::State>) + Send + Sync + 'static> Front<G, F> {
    async fn handshake(
        self: Arc<Self>,
        mut stream: tokio::net::TcpStream,
        peer: SocketAddr,
        security: Arc<Security>,
    ) {
        // A socket without an address is gone already: the handshake will find out.
        let local = stream.local_addr().map_or(peer, canonical);
        let admit = || self.admit(security.max_connections_per_second);
        let steps = Handshake {
            stream: &mut stream,
            peer,
            local,
            security: &security,
            greeter: &*self.greeter,
            admit: &admit,
        };
        match steps.run().await {
            Ok(secured) => self.hand_over(stream, peer, Some(secured)),
            Err(error) => self.greeter.failed(&HandshakeFailure { peer, local, error }),
        }
    }

    /// A socket that fails here was closed by the peer, and is dropped without a word.
    fn hand_over(&self, stream: tokio::net::TcpStream, peer: SocketAddr, secured: Option<Secured<G::State>>) {
        let Ok(local) = stream.local_addr().map(canonical) else {
            return;
        };
        let Ok(stream) = stream.into_std() else { return };
        let accepted = match secured {
            None => Accepted {
                stream,
                peer,
                local,
                layers: None,
                tls: None,
                ws: None,
                early: Vec::new(),
                state: None,
            },
            Some(Secured {
                layers,
                tls,
                ws,
                early,
                state,
            }) => Accepted {
                stream,
                peer,
                local,
                layers,
                tls,
                ws,
                early,
                state,
            },
        };
        (self.sink)(accepted);
    }

    fn admit(&self, limit: Option<u32>) -> bool {
        let Some(limit) = limit else { return true };
        self.rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(limit, Instant::now())
    }
}

/// Counts handshakes a second.
#[derive(Debug, Default)]
struct Second {
    start: Option<Instant>,
    admitted: u32,
    rejected: u64,
}

impl Second {
    fn admit(&mut self, limit: u32, now: Instant) -> bool {
        if self
            .start
            .is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1))
        {
            if self.rejected > 0 {
                tracing::warn!("Rejected {} connections due to TLS rate limiting", self.rejected);
            }
            *self = Self {
                start: Some(now),
                admitted: 0,
                rejected: 0,
            };
        }
        let fits = self.admitted < limit;
        self.admitted += u32::from(fits);
        self.rejected += u64::from(!fits);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_admits_its_share_and_the_next_one_starts_anew() {
        let mut second = Second::default();
        let start = Instant::now();
        let admitted =
            |second: &mut Second, after_ms| second.admit(2, start + Duration::from_millis(after_ms));
        let answers = [0, 1, 999, 1000, 1001, 1002].map(|after_ms| admitted(&mut second, after_ms));
        assert_eq!(answers, [true, true, false, true, true, false]);
        assert_eq!(second.rejected, 1);
        assert!(!Second::default().admit(0, start));
    }
}
