//! Sockets of the monitoring server: bind, accept, TLS, connections and their end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::AdminConfig;
use crate::error::AdminError;
use crate::limits::{CONNECTION_AGE, HANDSHAKE_TIME, HEAD_TIME, LINGER, MAX_CONNECTIONS, MAX_HEAD_BYTES};
use crate::registry::Registry;
use crate::site::Site;

/// Pause after a failed accept (no file descriptor left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A monitoring server that runs.
#[derive(Debug)]
pub struct Serving {
    /// Where monitoring listens; `None`: it is off.
    pub addr: Option<SocketAddr>,
    /// Where metrics have a listener of their own.
    pub metrics_addr: Option<SocketAddr>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// Waits until all listeners and connections are closed, which the `shutdown` of [`serve`] starts.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Binds what `config` names and serves `registry` there in background tasks, until `shutdown` is ready. Then
/// nothing more is accepted, and responses under way get [`LINGER`] to end.
///
/// Dropping the [`Serving`] stops it at once. A configuration with both ports off serves nothing and is no error.
pub async fn serve<S>(
    config: &AdminConfig,
    tls: Option<Arc<rustls::ServerConfig>>,
    registry: Registry,
    shutdown: S,
) -> Result<Serving, AdminError>
where
    S: Future<Output = ()> + Send + 'static,
{
    let tls = match (config.tls, tls) {
        (true, None) => return Err(AdminError::NoCertificate),
        (true, Some(tls)) => Some(TlsAcceptor::from(tls)),
        (false, _) => None,
    };
    let monitoring = bind(&config.host, config.port).await?;
    let metrics = bind(&config.host, config.metrics_port).await?;
    let addr = local_addr(monitoring.as_ref(), &config.host)?;
    let metrics_addr = local_addr(metrics.as_ref(), &config.host)?;

    let sites = [
        (monitoring, Site::monitoring(&registry, &config.base_path)),
        (metrics, Site::metrics(&registry)),
    ];
    let (stop, stopping) = watch::channel(());
    let mut tasks = JoinSet::new();
    for (listener, site) in sites {
        if let Some(listener) = listener {
            let door = Door {
                tls: tls.clone(),
                site: Arc::new(site),
                stopping: stopping.clone(),
            };
            tasks.spawn(accept(listener, door));
        }
    }
    tasks.spawn(async move {
        shutdown.await;
        drop(stop);
    });
    Ok(Serving {
        addr,
        metrics_addr,
        tasks,
    })
}

async fn bind(host: &str, port: Option<u16>) -> Result<Option<TcpListener>, AdminError> {
    let Some(port) = port else { return Ok(None) };
    match TcpListener::bind((host, port)).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(AdminError::Bind {
            address: format!("{host}:{port}"),
            source,
        }),
    }
}

fn local_addr(listener: Option<&TcpListener>, host: &str) -> Result<Option<SocketAddr>, AdminError> {
    let bound = listener.map(TcpListener::local_addr).transpose();
    bound.map_err(|source| AdminError::Bind {
        address: host.into(),
        source,
    })
}

/// What connections of one listener share.
#[derive(Clone)]
struct Door {
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    /// Closed when the server shall stop.
    stopping: watch::Receiver<()>,
}

async fn accept(listener: TcpListener, door: Door) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stopping = door.stopping.clone();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async { (place.await, listener.accept().await) };
        tokio::select! {
            () = stopped(&mut stopping) => break,
            Some(_) = connections.join_next() => {}
            (Ok(place), accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let door = door.clone();
                    connections.spawn(async move {
                        connect(stream, door).await;
                        drop(place);
                    });
                }
                Err(problem) => {
                    tracing::warn!("monitoring cannot accept a connection: {problem}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn stopped(stopping: &mut watch::Receiver<()>) {
    // The channel carries no values: an error says that its sender is gone.
    while stopping.changed().await.is_ok() {}
}

async fn connect(stream: TcpStream, mut door: Door) {
    // A lost setting costs latency, nothing else.
    let _ = stream.set_nodelay(true);
    let ended = match &door.tls {
        None => converse(stream, Arc::clone(&door.site), &mut door.stopping).await,
        Some(tls) => match timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => converse(stream, Arc::clone(&door.site), &mut door.stopping).await,
            Ok(Err(problem)) => Err(problem.into()),
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        },
    };
    if let Err(problem) = ended {
        tracing::debug!("monitoring connection: {problem}");
    }
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

/// Serves requests until the client leaves, the connection is old, or the server stops.
async fn converse<T>(
    stream: T,
    site: Arc<Site>,
    stopping: &mut watch::Receiver<()>,
) -> Result<(), ConnectionError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let site = Arc::clone(&site);
        async move {
            let uri = request.uri();
            Ok::<_, Infallible>(site.answer(request.method(), uri.path(), uri.query()).await)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD_BYTES);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stopped(stopping) => {}
        () = sleep(CONNECTION_AGE) => {}
    }
    connection.as_mut().graceful_shutdown();
    timeout(LINGER, connection).await??;
    Ok(())
}
