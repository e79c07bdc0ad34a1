//! The process's log: what is written, in which shape, where to; all of it changeable while running.
//!
//! Lines are formatted where they arise and written by a thread of their own ([`writer`]), so that a slow disk or
//! terminal never holds a worker.

mod format;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry, fmt, reload};

use self::format::{Clock, NatsServerLine};
use self::writer::{Sink, Writer};
use crate::options::{LogFormat, LogLevel, LogOptions};

/// Target of lines after which the process ends; nats-server's format shows them as `FTL`.
pub const FATAL: &str = "fatal";

/// Crates whose debug and trace lines an operator may want to see without asking for them by name.
const OWN_CRATES: &[&str] = &["mainstem", "front_", "wire_", "nats_conf"];

/// Logs why the process has to end. The arguments are those of [`tracing::error!`].
#[macro_export]
macro_rules! fatal {
    ($($arg:tt)+) => {
        ::tracing::error!(target: $crate::logging::FATAL, $($arg)+)
    };
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;
type Filtered = Layered<reload::Layer<BoxedLayer<Registry>, Registry>, Registry>;

/// Why the log cannot be as it should.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot open the log file {path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("the filter {0:?} is not one")]
    Filter(String),
    #[error("cannot start the log: {0}")]
    Start(String),
}

/// Changes the log while the process runs. Clones are the same log.
#[derive(Clone)]
pub struct LogHandle {
    filter: reload::Handle<BoxedLayer<Registry>, Registry>,
    lines: reload::Handle<BoxedLayer<Filtered>, Filtered>,
    writer: Writer,
    options: Arc<Mutex<LogOptions>>,
}

/// Starts the log of this process.
///
/// # Errors
/// The file cannot be opened, the filter is none, or a log was started before.
pub fn init(options: &LogOptions) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = build(options)?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| LogError::Start(error.to_string()))?;
    Ok(handle)
}

/// Can the text be used as [`LogOptions::filter`]?
pub fn is_filter(text: &str) -> bool {
    EnvFilter::try_new(text).is_ok()
}

impl LogHandle {
    /// Applies new options: level, filter, format and file.
    ///
    /// # Errors
    /// The file cannot be opened or the filter is none; the log stays as it was then.
    pub fn reload(&self, options: &LogOptions) -> Result<(), LogError> {
        let filter = filter_layer(options)?;
        let mut current = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        if options.file != current.file {
            self.writer.switch(open(options.file.as_deref())?);
        }
        let lines = line_layer(options, self.writer.clone());
        self.filter
            .reload(filter)
            .map_err(|error| LogError::Start(error.to_string()))?;
        self.lines
            .reload(lines)
            .map_err(|error| LogError::Start(error.to_string()))?;
        *current = options.clone();
        Ok(())
    }

    /// Opens the log file anew, for rotation by renaming. Returns false when there is no file.
    ///
    /// # Errors
    /// The file cannot be opened; lines go on into the old one then.
    pub fn reopen(&self) -> Result<bool, LogError> {
        let current = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &current.file {
            self.writer.switch(open(Some(path))?);
        }
        Ok(current.file.is_some())
    }

    /// Waits until every line so far is written, two seconds at most. Call it before the process ends.
    pub fn flush(&self) {
        self.writer.flush();
    }
}

fn build(options: &LogOptions) -> Result<(impl Subscriber + Send + Sync + use<>, LogHandle), LogError> {
    let filter = filter_layer(options)?;
    let sink = open(options.file.as_deref())?;
    let writer = Writer::start(sink).map_err(|error| LogError::Start(error.to_string()))?;
    let (filter, filter_handle) = reload::Layer::new(filter);
    let (lines, lines_handle) = reload::Layer::new(line_layer(options, writer.clone()));
    let options = Arc::new(Mutex::new(options.clone()));
    let handle = LogHandle {
        filter: filter_handle,
        lines: lines_handle,
        writer,
        options,
    };
    Ok((Registry::default().with(filter).with(lines), handle))
}

fn open(file: Option<&Path>) -> Result<Sink, LogError> {
    let Some(path) = file else {
        return Ok(Sink::StandardError);
    };
    let open = |path: &Path| -> io::Result<File> {
        // As nats-server: others than the group have no business in it.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)
    };
    open(path).map(Sink::File).map_err(|error| LogError::File {
        path: path.to_owned(),
        error,
    })
}

/// Decides which lines are written.
fn filter_layer(options: &LogOptions) -> Result<BoxedLayer<Registry>, LogError> {
    if let Some(filter) = &options.filter {
        let filter = EnvFilter::try_new(filter).map_err(|_| LogError::Filter(filter.clone()))?;
        return Ok(filter.boxed());
    }
    let (debug, trace) = (options.debug, options.trace);
    let least = match options.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
    };
    let is_written = move |metadata: &Metadata<'_>| match *metadata.level() {
        Level::TRACE => trace && is_own(metadata.target()),
        Level::DEBUG => debug && is_own(metadata.target()),
        // What libraries do is of no interest; what goes wrong in them is.
        Level::INFO => least >= Level::INFO && is_own(metadata.target()),
        level => level <= least,
    };
    let widest = if trace {
        LevelFilter::TRACE
    } else if debug {
        LevelFilter::DEBUG
    } else {
        LevelFilter::from_level(least)
    };
    Ok(filter_fn(is_written).with_max_level_hint(widest).boxed())
}

fn is_own(target: &str) -> bool {
    OWN_CRATES.iter().any(|name| target.starts_with(name))
}

/// Shapes the lines.
fn line_layer(options: &LogOptions, writer: Writer) -> BoxedLayer<Filtered> {
    let is_terminal = options.file.is_none() && io::stderr().is_terminal();
    let with_colors = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let layer = fmt::layer().with_ansi(with_colors).with_writer(writer);
    let clock = if options.utc { Clock::Utc } else { Clock::Local };
    match (options.format, options.time) {
        (LogFormat::Text, true) => layer.with_timer(clock).boxed(),
        (LogFormat::Text, false) => layer.without_time().boxed(),
        (LogFormat::Json, true) => layer.json().flatten_event(true).with_timer(clock).boxed(),
        (LogFormat::Json, false) => layer.json().flatten_event(true).without_time().boxed(),
        (LogFormat::NatsServer, time) => layer
            .event_format(NatsServerLine::new(time.then_some(clock)))
            .boxed(),
    }
}
