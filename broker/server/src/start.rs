//! Starts the broker, answers signals, and stops it.

mod announce;
mod files;
mod store_metrics;
mod streams;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use front_nats::{CloseReason, Collector, Front, Local, Serving};
use mainstem_admin::Registry;
use mainstem_core::Node;
use mainstem_core::auth::{Authenticator, HashPool};
use mainstem_storage::StorageError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;
use crate::logging::LogHandle;
use crate::options::{Options, Personality};

/// Reads the configuration again; the current options are given.
pub type Reload = Box<dyn Fn(&Options) -> Result<Options, String> + Send>;

/// Threads that check password hashes.
const HASH_THREADS: usize = 2;
/// Threads for handshakes, monitoring and signals.
const SERVICE_THREADS: usize = 2;
/// How long it may take, when the broker stops, to tell those who wait for a stream's messages.
const TELLING: Duration = Duration::from_secs(1);

/// Why the broker did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Front(#[from] front_nats::StartError),
    #[error(transparent)]
    Admin(#[from] mainstem_admin::AdminError),
    #[error("{what}: {source}")]
    File { what: String, source: io::Error },
    #[error("cannot start threads: {0}")]
    Threads(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] mainstem_net::tls::TlsError),
    #[error("{source}; {advice}")]
    Store { source: StorageError, advice: String },
    #[error("streams do not start: {0}")]
    Streams(String),
}

impl StartError {
    fn exit(&self) -> Exit {
        match self {
            Self::Front(front_nats::StartError::Listen { source, .. }) => Exit::of_bind(source),
            Self::Front(_) | Self::Tls(_) => Exit::Config,
            Self::Admin(_) => Exit::Unavailable,
            Self::File { .. } => Exit::CannotCreate,
            Self::Threads(_) => Exit::OsError,
            Self::Store {
                source: StorageError::Locked(_),
                ..
            } => Exit::Unavailable,
            Self::Store { .. } | Self::Streams(_) => Exit::IoError,
        }
    }
}

/// Runs until the process is told to stop.
pub fn run(options: Options, log: LogHandle, reload: Reload) -> ExitCode {
    announce::starting(&options);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SERVICE_THREADS)
        .thread_name("services")
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(serve(options.clone(), log, reload));
            runtime.shutdown_timeout(Duration::from_millis(200));
            outcome
        }
        Err(error) => Err(StartError::Threads(error)),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            crate::fatal!("{error}");
            match options.personality {
                Personality::NatsServer => Exit::General.into(),
                Personality::Mainstem => error.exit().into(),
            }
        }
    }
}

/// All that runs.
struct Broker {
    options: Options,
    serving: Serving,
    admin: mainstem_admin::Serving,
    stop_admin: watch::Sender<bool>,
    stop_workers: watch::Sender<bool>,
    workers: Vec<JoinHandle<()>>,
    files: files::Files,
    streams: Option<streams::Running>,
}

async fn serve(options: Options, log: LogHandle, reload: Reload) -> Result<ExitCode, StartError> {
    let mut signals = Signals::listen()?;
    // A large store may take its time; who does not want to wait for it says so.
    let mut broker = tokio::select! {
        broker = Broker::start(options) => broker?,
        () = signals.another_stop() => {
            tracing::info!("stopped while starting");
            log.flush();
            crate::exit::at_once(Exit::Ok);
        }
    };
    let code = broker.answer_signals(&mut signals, &log, &reload).await;
    broker.stop().await;
    Ok(code)
}

impl Broker {
    async fn start(options: Options) -> Result<Self, StartError> {
        let node = Node::new(options.limits.clone());
        let auth = Authenticator::new(&options.auth, &node.accounts);
        let hash_pool = HashPool::start(HASH_THREADS)?;
        let front = Arc::new(Front::new(
            Arc::clone(&node),
            options.nats.clone(),
            auth,
            hash_pool,
            options.auth.system_account.clone(),
        ));
        announce::identity(&front, &options);
        let streams = streams::start(&options, &front).await?;
        let bound = front_nats::bind(&options.nats)?;
        let (stop_workers, stopping) = watch::channel(false);
        let workers = {
            let front = Arc::clone(&front);
            node.start(move |worker| Local::install(worker, &front), stopping)?
        };
        let (stop_admin, stopping) = watch::channel(false);
        let admin = start_admin(&options, &front, streams.as_ref(), stopping).await?;
        announce::admin(&options, &admin);
        let serving = bound.serve(front);
        announce::listening(&options, &serving.front.listening());
        let files = files::write(&options, &serving.front.listening(), admin.addr)?;
        announce::ready();
        Ok(Self {
            options,
            serving,
            admin,
            stop_admin,
            stop_workers,
            workers,
            files,
            streams,
        })
    }

    async fn answer_signals(&mut self, signals: &mut Signals, log: &LogHandle, reload: &Reload) -> ExitCode {
        loop {
            match signals.next().await {
                Trapped::Interrupt | Trapped::Terminate
                    if self.options.personality == Personality::Mainstem =>
                {
                    let timeout = Duration::from_millis(self.options.drain_timeout_ms);
                    tracing::info!("draining connections for at most {} ms", timeout.as_millis());
                    tokio::select! {
                        () = self.serving.drain(timeout) => {}
                        () = signals.another_stop() => tracing::info!("stopping at once"),
                    }
                    return ExitCode::SUCCESS;
                }
                Trapped::Interrupt => {
                    tracing::info!("Trapped \"interrupt\" signal");
                    return ExitCode::SUCCESS;
                }
                Trapped::Terminate => {
                    tracing::info!("Trapped \"terminated\" signal");
                    return ExitCode::SUCCESS;
                }
                Trapped::LameDuck => {
                    tracing::info!("Entering lame duck mode, stop accepting new clients");
                    let config = self.serving.front.config.load_full();
                    let whole = Duration::from_millis(config.lame_duck_duration_ms);
                    let grace = Duration::from_millis(config.lame_duck_grace_ms);
                    tokio::select! {
                        () = self.serving.lame_duck(whole, grace) => {}
                        () = signals.another_stop() => {}
                    }
                    return ExitCode::SUCCESS;
                }
                Trapped::ReopenLog => match log.reopen() {
                    Ok(_) => tracing::info!("File log re-opened"),
                    Err(error) => tracing::error!("cannot open the log again: {error}"),
                },
                Trapped::Reload => self.reload(log, reload).await,
            }
        }
    }

    async fn reload(&mut self, log: &LogHandle, reload: &Reload) {
        let new = match reload(&self.options) {
            Ok(new) => new,
            Err(error) => return tracing::error!("Failed to reload server configuration: {error}"),
        };
        let kept = announce::not_reloadable(&self.options, &new);
        if !kept.is_empty() && self.options.personality == Personality::NatsServer {
            return tracing::error!(
                "Failed to reload server configuration: config reload not supported for {}",
                kept.join(", ")
            );
        }
        for key in &kept {
            tracing::warn!("{key} changed in the configuration; it takes effect after a restart");
        }
        let auth = Authenticator::new(&new.auth, &self.serving.front.node.accounts);
        let mut nats = new.nats.clone();
        nats.listen = self.options.nats.listen.clone();
        nats.server_name.clone_from(&self.options.nats.server_name);
        if let Err(error) = self.serving.reload(nats.clone(), auth).await {
            return tracing::error!("Failed to reload server configuration: {error}");
        }
        if let Some(streams) = &self.streams {
            streams.reload(&new.streams);
        }
        if let Err(error) = log.reload(&new.log) {
            tracing::error!("cannot change the log: {error}");
        }
        let old = &self.options;
        self.options = Options {
            personality: old.personality,
            nats,
            admin: old.admin.clone(),
            limits: old.limits.clone(),
            data_dir: old.data_dir.clone(),
            streams: old.streams.with_accounts_of(&new.streams),
            ports_file_dir: old.ports_file_dir.clone(),
            ..new
        };
        tracing::info!("Reloaded server configuration");
    }

    async fn stop(mut self) {
        tracing::info!("Initiating Shutdown...");
        self.serving.stop_accepting().await;
        if let Some(streams) = &self.streams {
            // Whoever waits longer than that is told nothing, and sees the connection end.
            let _ = tokio::time::timeout(TELLING, streams.streams.end_requests()).await;
        }
        self.serving.close_all(&CloseReason::ServerShutdown).await;
        self.stop_admin.send_replace(true);
        if let Some(streams) = &self.streams {
            streams.stop().await;
        }
        self.stop_workers.send_replace(true);
        while self.workers.iter().any(|worker| !worker.is_finished()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.admin.stopped().await;
        self.files.remove();
        tracing::info!("Server Exiting..");
    }
}

async fn start_admin(
    options: &Options,
    front: &Arc<Front>,
    streams: Option<&streams::Running>,
    mut stopping: watch::Receiver<bool>,
) -> Result<mainstem_admin::Serving, StartError> {
    let monitoring = announce::monitoring_address(options);
    let digest = options.config_digest.clone().unwrap_or_default();
    let source: Arc<dyn front_nats::monitor::MonitorSource> =
        Arc::new(Collector::new(Arc::clone(front), monitoring, digest));
    let mut registry = Registry::new();
    front_nats::monitor::register(&mut registry, &source);
    if let Some(jetstream) = front.jetstream() {
        front_nats::jetstream::register(&mut registry, jetstream);
    }
    if let Some(streams) = streams {
        registry.metrics(Arc::new(store_metrics::StoreMetrics {
            store: Arc::clone(&streams.store),
            streams: Arc::clone(&streams.streams),
        }));
        registry.health("JETSTREAM", streams.health());
    }
    let tls = match (&options.nats.tls, options.admin.tls) {
        (Some(tls), true) => Some(mainstem_net::tls::server_config(tls)?),
        _ => None,
    };
    let stopped = async move {
        // An error means that the broker is gone.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    Ok(mainstem_admin::serve(&options.admin, tls, registry, stopped).await?)
}

enum Trapped {
    Interrupt,
    Terminate,
    LameDuck,
    ReopenLog,
    Reload,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    lame_duck: Signal,
    reopen: Signal,
    reload: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            lame_duck: signal(SignalKind::user_defined2())?,
            reopen: signal(SignalKind::user_defined1())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Trapped {
        tokio::select! {
            _ = self.interrupt.recv() => Trapped::Interrupt,
            _ = self.terminate.recv() => Trapped::Terminate,
            _ = self.lame_duck.recv() => Trapped::LameDuck,
            _ = self.reopen.recv() => Trapped::ReopenLog,
            _ = self.reload.recv() => Trapped::Reload,
        }
    }

    async fn another_stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
