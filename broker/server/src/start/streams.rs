//! Streams: opening the store, starting what lives on it, and stopping it again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use front_nats::jetstream::{Enabled, JetStream, JetStreamConfig};
use front_nats::{API_LEVEL, Front};
use mainstem_admin::{HealthCheck, Unhealthy};
use mainstem_storage::{Storage, StorageError};
use mainstem_streams::{AccountLimits, Outlet, Streams, SystemClock};
use tokio::runtime::{Handle, Runtime};

use super::StartError;
use crate::options::{AccountStreams, Options, Personality, StreamsOptions};

/// Threads of streams: proposing, delivering, timers.
const THREADS: usize = 2;
/// What nats-server puts its store into, below its folder.
const NATS_FOLDER: &str = "jetstream";

/// Streams that run, and the store that they are on.
pub(super) struct Running {
    pub(super) store: Arc<Storage>,
    pub(super) streams: Arc<Streams>,
    pub(super) front: Arc<JetStream>,
    /// Its own, so that neither handshakes nor monitoring wait for streams, nor they for those.
    runtime: Option<Runtime>,
}

/// Opens the store and starts streams, if the options ask for it. Whoever serves clients does so after this.
pub(super) async fn start(options: &Options, front: &Arc<Front>) -> Result<Option<Running>, StartError> {
    if !options.streams.enabled {
        return Ok(None);
    }
    tracing::info!("Starting JetStream");
    let began = Instant::now();
    let folder = folder(options);
    let bounds = Bounds::of(&options.streams, &folder)?;
    announce(&options.streams, &folder, &bounds);
    let opening = (options.streams.clone(), folder.clone());
    // On a thread of its own: a large store takes its time, and signals are answered meanwhile.
    #[allow(clippy::disallowed_methods, reason = "once, at the start")]
    let opened = tokio::task::spawn_blocking(move || open(&opening.0, &opening.1)).await;
    let store = opened.map_err(|panic| StartError::Streams(panic.to_string()))??;
    let jetstream = JetStream::new(front, front_config(options, &folder, &bounds));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("streams")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    // From here on the runtime ends where nothing waits for it.
    let mut running = Starting(Some(runtime));
    let starting = Streams::start(
        Arc::clone(&store.log),
        Arc::clone(&store.state),
        service_options(&options.streams, &bounds),
        Arc::clone(&jetstream) as Arc<dyn Outlet>,
        Arc::new(SystemClock::new()),
    );
    let streams = match running.handle().spawn(starting).await {
        Ok(Ok(streams)) => streams,
        Ok(Err(error)) => return Err(not_started(error, &folder)),
        Err(panic) => return Err(StartError::Streams(panic.to_string())),
    };
    jetstream.open(Arc::clone(&streams), &Handle::current());
    tracing::info!("Took {:.3} s to start JetStream", began.elapsed().as_secs_f64());
    Ok(Some(Running {
        store: Arc::new(store),
        streams,
        front: jetstream,
        runtime: running.0.take(),
    }))
}

/// A runtime that must not be dropped where something else runs.
struct Starting(Option<Runtime>);

impl Starting {
    fn handle(&self) -> Handle {
        self.0
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Running {
    /// Answers what was taken in, notes where consumers are, and makes all of it durable.
    pub(super) async fn stop(&self) {
        self.front.close();
        let streams = Arc::clone(&self.streams);
        let stopping = async move { streams.shutdown().await };
        let handle = self
            .runtime
            .as_ref()
            .map_or_else(Handle::current, |runtime| runtime.handle().clone());
        if let Err(panic) = handle.spawn(stopping).await {
            tracing::error!("streams did not stop as they should: {panic}");
        }
    }
}

impl Running {
    /// Takes over which accounts have streams, and how much of them.
    pub(super) fn reload(&self, options: &StreamsOptions) {
        for account in self.front.tap_accounts(&enabled(options)) {
            tracing::warn!("account {account} has JetStream until a restart");
        }
        self.streams.set_account_limits(&account_limits(options));
    }

    /// A damaged store is no good place to publish to.
    pub(super) fn health(&self) -> HealthCheck {
        let store = Arc::clone(&self.store);
        Arc::new(move |_| {
            let damage = store.read_only();
            Box::pin(async move {
                match damage {
                    None => Ok(()),
                    Some(damage) => Err(Unhealthy::unavailable(format!(
                        "JetStream is read-only: {damage}"
                    ))),
                }
            })
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where the store is.
pub(super) fn folder(options: &Options) -> PathBuf {
    match options.personality {
        Personality::Mainstem => options.data_dir.clone(),
        Personality::NatsServer => options.data_dir.join(NATS_FOLDER),
    }
}

fn open(options: &StreamsOptions, folder: &Path) -> Result<Storage, StartError> {
    let store_options = mainstem_storage::Options {
        tail_bytes: options.tail_bytes,
        cache_bytes: options.log_cache_bytes,
        state_cache_bytes: options.index_cache_bytes,
        mark_bytes: options.min_free_bytes,
        garbage: f64::from(options.max_garbage_percent) / 100.0,
        ..mainstem_storage::Options::default()
    };
    let store = Storage::open(folder, store_options).map_err(|source| StartError::Store {
        advice: advice(&source, folder),
        source,
    })?;
    if let Some(damage) = store.read_only() {
        tracing::error!("{damage}");
        tracing::error!(
            "the store is open for reading only, and nothing is stored; {}",
            advice(&damage, folder)
        );
    }
    Ok(store)
}

/// Why streams do not start, with what can be done about it.
fn not_started(error: mainstem_streams::StartError, folder: &Path) -> StartError {
    match error {
        mainstem_streams::StartError::Storage(source) => StartError::Store {
            advice: advice(&source, folder),
            source,
        },
        error if error.is_loss() => StartError::Streams(format!("{error}; {}", see_doctor(folder))),
        error => StartError::Streams(error.to_string()),
    }
}

/// What an operator can do about it.
fn advice(error: &StorageError, folder: &Path) -> String {
    match error {
        StorageError::Locked(_) => "stop the other process, or use another data_dir".to_owned(),
        StorageError::Damaged { .. } | StorageError::Truncated { .. } | StorageError::ReadOnly(_) => {
            see_doctor(folder)
        }
        StorageError::Full { .. } => "make room on the disk, and start again".to_owned(),
        _ => "see that the folder can be read and written".to_owned(),
    }
}

fn see_doctor(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "see `mainstem doctor {folder}`; restore it from a copy, or go on without what is lost by \
         `mainstem doctor --accept-loss {folder}`"
    )
}

/// What all streams may hold.
struct Bounds {
    memory_bytes: u64,
    store_bytes: u64,
}

impl Bounds {
    /// The limits that were set; else three quarters of what there is, the store's own bytes included.
    fn of(options: &StreamsOptions, folder: &Path) -> Result<Self, StartError> {
        fs::create_dir_all(folder).map_err(|source| StartError::File {
            what: format!("cannot make {}", folder.display()),
            source,
        })?;
        let part = |bytes: u64| bytes / 4 * 3;
        let store_bytes = match options.max_store_bytes {
            Some(bytes) => bytes,
            None => part(free_bytes(folder) + used_bytes(folder)),
        };
        Ok(Self {
            memory_bytes: options.max_memory_bytes.unwrap_or_else(|| part(machine_bytes())),
            store_bytes,
        })
    }
}

fn free_bytes(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes of all files below a folder; what cannot be read counts nothing.
fn used_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => used_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Memory of the machine, or of the control group where that is less.
fn machine_bytes() -> u64 {
    const CGROUP_LIMIT: &str = "/sys/fs/cgroup/memory.max";
    let info = rustix::system::sysinfo();
    let all = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
    let limit = fs::read_to_string(CGROUP_LIMIT).unwrap_or_default();
    limit.trim().parse().map_or(all, |limit: u64| limit.min(all))
}

fn service_options(options: &StreamsOptions, bounds: &Bounds) -> mainstem_streams::Options {
    mainstem_streams::Options {
        max_memory_bytes: signed(Some(bounds.memory_bytes)),
        max_store_bytes: signed(Some(bounds.store_bytes)),
        account_limits: account_limits(options),
        ..mainstem_streams::Options::default()
    }
}

fn account_limits(options: &StreamsOptions) -> Vec<(Box<str>, AccountLimits)> {
    let accounts = options.accounts.iter();
    accounts
        .map(|account| (account.name.as_str().into(), limits(account)))
        .collect()
}

fn limits(account: &AccountStreams) -> AccountLimits {
    let count = |count: Option<u32>| count.map_or(-1, i64::from);
    AccountLimits {
        max_memory_bytes: signed(account.max_memory_bytes),
        max_store_bytes: signed(account.max_store_bytes),
        max_streams: count(account.max_streams),
        max_consumers: count(account.max_consumers),
        max_ack_pending: count(account.max_ack_pending),
        memory_max_stream_bytes: signed(account.max_memory_stream_bytes),
        store_max_stream_bytes: signed(account.max_store_stream_bytes),
        max_bytes_required: account.max_bytes_required,
    }
}

/// -1: no limit.
fn signed(bytes: Option<u64>) -> i64 {
    bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn front_config(options: &Options, folder: &Path, bounds: &Bounds) -> JetStreamConfig {
    JetStreamConfig {
        domain: options.streams.domain.as_deref().map(Into::into),
        strict: options.streams.strict,
        accounts: enabled(&options.streams),
        store_dir: folder.to_owned(),
        max_memory_bytes: bounds.memory_bytes,
        max_store_bytes: bounds.store_bytes,
    }
}

fn enabled(options: &StreamsOptions) -> Enabled {
    let named = |enabled: bool| {
        let accounts = options
            .accounts
            .iter()
            .filter(move |account| account.enabled == enabled);
        accounts.map(|account| account.name.clone()).collect()
    };
    match options.others_enabled {
        true => Enabled::Except(named(false)),
        false => Enabled::Only(named(true)),
    }
}

/// The lines that nats-server has, which client suites read.
fn announce(options: &StreamsOptions, folder: &Path, bounds: &Bounds) {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_: io::Error| folder.to_owned());
    tracing::info!("---------------- JETSTREAM ----------------");
    tracing::info!("  Strict:          {}", options.strict);
    tracing::info!("  Max Memory:      {}", friendly(bounds.memory_bytes));
    tracing::info!("  Max Storage:     {}", friendly(bounds.store_bytes));
    tracing::info!("  Store Directory: \"{}\"", folder.display());
    if let Some(domain) = &options.domain {
        tracing::info!("  Domain:          {domain}");
    }
    tracing::info!("  API Level:       {API_LEVEL}");
    tracing::info!("-------------------------------------------");
}

/// Bytes as nats-server prints them: `5.78 GB`, by 1,024.
fn friendly(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let exponent = bytes.ilog2() / 10;
    let scaled = bytes as f64 / (1_u64 << (10 * exponent)) as f64;
    format!("{scaled:.2} {}", UNITS[exponent as usize - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_nats_server_prints_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KB"),
            (6_206_236_876, "5.78 GB"),
            (u64::MAX, "16.00 EB"),
        ] {
            assert_eq!(friendly(bytes), text);
        }
    }

    #[test]
    fn accounts_have_streams_as_the_options_say() {
        let account = |name: &str, enabled| AccountStreams {
            name: name.to_owned(),
            enabled,
            ..AccountStreams::default()
        };
        let mut options = StreamsOptions {
            accounts: vec![account("A", true), account("B", false)],
            ..StreamsOptions::default()
        };
        let has = |options: &StreamsOptions| ["A", "B", "C"].map(|name| enabled(options).contains(name));
        assert_eq!(has(&options), [true, false, true]);
        options.others_enabled = false;
        assert_eq!(has(&options), [true, false, false]);
        assert_eq!(limits(&account("A", true)), AccountLimits::default());
    }
}
