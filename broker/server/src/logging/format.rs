//! Time stamps, and the lines of nats-server.

use std::fmt;

use jiff::{Timestamp, Zoned};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::FATAL;

/// Which clock time stamps show. As a timer of tracing it writes RFC 3339 with microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    Local,
    Utc,
}

impl FormatTime for Clock {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        match self {
            Self::Utc => write!(out, "{:.6}", Timestamp::now()),
            Self::Local => write!(out, "{}", Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.6f%:z")),
        }
    }
}

impl Clock {
    /// `2026/01/02 15:04:05.000000`
    fn write_as_nats_server(self, out: &mut Writer<'_>) -> fmt::Result {
        let format = "%Y/%m/%d %H:%M:%S%.6f";
        match self {
            Self::Utc => write!(out, "{}", Timestamp::now().strftime(format)),
            Self::Local => write!(out, "{}", Zoned::now().strftime(format)),
        }
    }
}

/// `[pid] 2026/01/02 15:04:05.000000 [INF] text`, as nats-server 2.14 prints it.
pub struct NatsServerLine {
    pid: u32,
    /// `None`: no time stamps.
    clock: Option<Clock>,
}

impl NatsServerLine {
    pub fn new(clock: Option<Clock>) -> Self {
        Self {
            pid: std::process::id(),
            clock,
        }
    }
}

impl<S, N> FormatEvent<S, N> for NatsServerLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(out, "[{}] ", self.pid)?;
        if let Some(clock) = self.clock {
            clock.write_as_nats_server(&mut out)?;
            out.write_char(' ')?;
        }
        let (label, color) = label(event);
        if out.has_ansi_escapes() {
            write!(out, "[\x1b[{color}m{label}\x1b[0m] ")?;
        } else {
            write!(out, "[{label}] ")?;
        }
        context.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// Label of an event and its colour as an ANSI code.
fn label(event: &Event<'_>) -> (&'static str, &'static str) {
    match *event.metadata().level() {
        _ if event.metadata().target() == FATAL => ("FTL", "31"),
        Level::ERROR => ("ERR", "31"),
        Level::WARN => ("WRN", "0;93"),
        Level::INFO => ("INF", "32"),
        Level::DEBUG => ("DBG", "36"),
        Level::TRACE => ("TRC", "33"),
    }
}
