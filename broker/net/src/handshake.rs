//! From an accepted socket to one that a protocol can use: greeting, TLS, WebSocket upgrade, each within its time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::ServerConnection;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::accept::Greeter;
use crate::config::HandshakeFirst;
use crate::layers::{Decoded, LayerError, Layers};
use crate::security::{Security, WebsocketSecurity};
use crate::tls::{ServerTls, TlsInfo};
use crate::upgrade::{self, Refusal, WsInfo};

/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// Read at once during handshakes, in bytes.
const READ_BYTES: usize = 4096;

/// Why a connection was not handed over.
#[derive(Debug, Error)]
pub enum HandshakeError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{stage} took too long")]
    Timeout { stage: &'static str },
    #[error("{stage} was broken off by the client")]
    Gone { stage: &'static str },
    #[error("TLS handshake error: {0}")]
    Tls(LayerError),
    #[error("TLS handshake error: certificate not pinned")]
    NotPinned,
    #[error("{0}")]
    Upgrade(#[from] Refusal),
    #[error("too many TLS handshakes a second")]
    Throttled,
}

impl HandshakeError {
    /// Whether this is what port scanners and load balancers do all day: silence, hanging up, bytes that are not TLS.
    pub fn is_probe(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Gone { .. } | Self::Io(_) => true,
            Self::Tls(error) => is_not_tls(error),
            _ => false,
        }
    }
}

/// What the steps have found out.
pub(crate) struct Secured<S> {
    pub layers: Option<Box<Layers>>,
    pub tls: Option<TlsInfo>,
    pub ws: Option<WsInfo>,
    pub early: Vec<u8>,
    pub state: Option<S>,
}

impl<S> Secured<S> {
    fn plain(early: Vec<u8>, state: Option<S>) -> Self {
        Self {
            layers: None,
            tls: None,
            ws: None,
            early,
            state,
        }
    }
}

/// One connection on its way.
pub(crate) struct Handshake<'a, G> {
    pub stream: &'a mut TcpStream,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub security: &'a Security,
    pub greeter: &'a G,
    /// Whether one more TLS handshake fits into this second.
    pub admit: &'a (dyn Fn() -> bool + Sync),
}

impl<G: Greeter> Handshake<'_, G> {
    pub async fn run(mut self) -> Result<Secured<G::State>, HandshakeError> {
        let security = self.security;
        match (&security.tls, &security.websocket) {
            (None, None) => Ok(Secured::plain(Vec::new(), None)),
            (Some(tls), None) => self.open_tls(tls).await,
            (tls, Some(websocket)) => self.open_websocket(tls.as_ref(), websocket).await,
        }
    }

    /// TLS at once or after the greeting, as configured, or none if the client may and wants to go without.
    async fn open_tls(&mut self, tls: &ServerTls) -> Result<Secured<G::State>, HandshakeError> {
        let first = match tls.settings.handshake_first {
            HandshakeFirst::Never => None,
            HandshakeFirst::Always => Some(Vec::new()),
            HandshakeFirst::Auto(wait_ms) => self.peek(Duration::from_millis(wait_ms)).await?,
        };
        if let Some(hello) = first {
            return self.secure(tls, &hello, None).await;
        }
        let state = self.greet(tls).await?;
        if !self.security.allow_non_tls {
            return self.secure(tls, &[], Some(state)).await;
        }
        match self.peek(tls.timeout()).await? {
            Some(hello) if hello.first() == Some(&TLS_HANDSHAKE) => {
                self.secure(tls, &hello, Some(state)).await
            }
            clear => Ok(Secured::plain(clear.unwrap_or_default(), Some(state))),
        }
    }

    async fn open_websocket(
        &mut self,
        tls: Option<&ServerTls>,
        websocket: &WebsocketSecurity,
    ) -> Result<Secured<G::State>, HandshakeError> {
        let mut secured = match tls {
            Some(tls) => self.shake(tls, &[], None).await?,
            None => Secured::plain(Vec::new(), None),
        };
        let mut layers = secured.layers.take().unwrap_or_default();
        let request = std::mem::take(&mut secured.early);
        let upgraded = upgrade(self.stream, &mut layers, request, websocket);
        secured.ws = Some(in_time("WebSocket upgrade", websocket.timeout, upgraded).await?);
        secured.layers = Some(layers);
        Ok(secured)
    }

    async fn greet(&mut self, tls: &ServerTls) -> Result<G::State, HandshakeError> {
        let (greeting, state) = self.greeter.greet(self.peer, self.local);
        let written = async { Ok(self.stream.write_all(&greeting).await?) };
        in_time("greeting", tls.timeout(), written).await?;
        Ok(state)
    }

    /// The first bytes the client sends, or `None` if it stays silent for so long.
    async fn peek(&mut self, wait: Duration) -> Result<Option<Vec<u8>>, HandshakeError> {
        let mut bytes = vec![0; READ_BYTES];
        match tokio::time::timeout(wait, self.stream.read(&mut bytes)).await {
            Err(_) => Ok(None),
            Ok(read) => match read? {
                0 => Err(HandshakeError::Gone { stage: "connection" }),
                len => {
                    bytes.truncate(len);
                    Ok(Some(bytes))
                }
            },
        }
    }

    /// The TLS handshake, unless there were too many in this second.
    async fn secure(
        &mut self,
        tls: &ServerTls,
        hello: &[u8],
        state: Option<G::State>,
    ) -> Result<Secured<G::State>, HandshakeError> {
        if !(self.admit)() {
            // Best effort: the connection is closed either way.
            let _ = self.stream.try_write(&self.greeter.throttled());
            return Err(HandshakeError::Throttled);
        }
        self.shake(tls, hello, state).await
    }

    async fn shake(
        &mut self,
        tls: &ServerTls,
        hello: &[u8],
        state: Option<G::State>,
    ) -> Result<Secured<G::State>, HandshakeError> {
        let connection =
            ServerConnection::new(tls.config.clone()).map_err(|e| HandshakeError::Tls(e.into()))?;
        let mut layers = Box::new(Layers::with_tls(connection));
        let shaken = shake(self.stream, &mut layers, hello);
        let early = in_time("TLS handshake", tls.timeout(), shaken).await?;
        if layers.tls().is_some_and(|connection| !tls.is_pinned(connection)) {
            return Err(HandshakeError::NotPinned);
        }
        let info = layers.tls().map(TlsInfo::of);
        Ok(Secured {
            layers: Some(layers),
            tls: info,
            ws: None,
            early,
            state,
        })
    }
}

/// Runs the TLS handshake; returns protocol bytes that came along with its end.
async fn shake(stream: &mut TcpStream, layers: &mut Layers, hello: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    const STAGE: &str = "TLS handshake";
    let mut early = Vec::new();
    exchange(stream, layers, hello, &mut early, STAGE).await?;
    let mut raw = vec![0; READ_BYTES];
    while layers.is_handshaking() {
        let len = stream.read(&mut raw).await?;
        exchange(stream, layers, &raw[..len], &mut early, STAGE).await?;
        if len == 0 {
            return Err(HandshakeError::Gone { stage: STAGE });
        }
    }
    Ok(early)
}

/// Runs the HTTP upgrade and starts the WebSocket layer. `request` is what of it came with the TLS handshake.
async fn upgrade(
    stream: &mut TcpStream,
    layers: &mut Layers,
    mut request: Vec<u8>,
    websocket: &WebsocketSecurity,
) -> Result<WsInfo, HandshakeError> {
    const STAGE: &str = "WebSocket upgrade";
    let over_tls = layers.tls().is_some();
    let mut raw = vec![0; READ_BYTES];
    let mut parsed_bytes = 0;
    loop {
        // Only a line's end can complete a request: a client that drips bytes does not cause a parse for each.
        let is_new_line =
            request[parsed_bytes..].contains(&b'\n') || request.len() >= upgrade::MAX_REQUEST_BYTES;
        let judged = if is_new_line {
            upgrade::parse(&request, over_tls, &websocket.rules)
        } else {
            Ok(None)
        };
        parsed_bytes = request.len();
        match judged {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                send(stream, layers, &accepted.response).await?;
                layers.start_websocket(accepted.options);
                return Ok(accepted.info);
            }
            Err(refusal) => {
                send(stream, layers, &refusal.response()).await?;
                return Err(refusal.into());
            }
        }
        let len = stream.read(&mut raw).await?;
        let decoded = exchange(stream, layers, &raw[..len], &mut request, STAGE).await?;
        if len == 0 || decoded == Decoded::Closed {
            return Err(HandshakeError::Gone { stage: STAGE });
        }
    }
}

/// Decodes what was read and sends what the layers answer, also when they fail.
async fn exchange(
    stream: &mut TcpStream,
    layers: &mut Layers,
    raw: &[u8],
    plain: &mut Vec<u8>,
    stage: &'static str,
) -> Result<Decoded, HandshakeError> {
    let mut wire = Vec::new();
    match layers.decode(raw, plain, &mut wire) {
        Ok(decoded) => {
            stream
                .write_all(&wire)
                .await
                .map_err(|_| HandshakeError::Gone { stage })?;
            Ok(decoded)
        }
        Err(error) => {
            if !is_not_tls(&error) {
                // Best effort: the connection is closed either way.
                let _ = stream.write_all(&wire).await;
            }
            Err(HandshakeError::Tls(error))
        }
    }
}

/// Whether the peer does not speak TLS at all. It is sent no alert, as in Go: it could not read it.
fn is_not_tls(error: &LayerError) -> bool {
    matches!(error, LayerError::Tls(rustls::Error::InvalidMessage(_)))
}

async fn send(stream: &mut TcpStream, layers: &mut Layers, plain: &[u8]) -> Result<(), HandshakeError> {
    let mut wire = Vec::new();
    layers.encode(plain, &mut wire).map_err(HandshakeError::Tls)?;
    Ok(stream.write_all(&wire).await?)
}

async fn in_time<T>(
    stage: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(HandshakeError::Timeout { stage }))
}
