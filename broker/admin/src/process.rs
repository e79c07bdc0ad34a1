//! What the operating system says of this process. Linux only; elsewhere there is nothing to say.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::BoxFuture;
use crate::metrics::{Family, MetricSource};

/// Clock ticks in a second as /proc counts them: a constant of Linux' interface on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resources the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory in RAM.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// User and system time since the start.
    pub cpu_seconds: f64,
    pub open_fds: u64,
    /// Soft limit of open files; `None`: no limit.
    pub max_fds: Option<u64>,
    pub threads: u64,
    /// Start, in seconds since 1970.
    pub start_time_seconds: f64,
}

/// Reads the usage now; `None` where there is no /proc.
#[must_use]
pub fn usage() -> Option<Usage> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let boot_seconds: f64 = line_after(&system, "btime ")?.parse().ok()?;
    Some(Usage {
        resident_bytes: kib(&status, "VmRSS:")? * 1024,
        virtual_bytes: kib(&status, "VmSize:")? * 1024,
        cpu_seconds: stat.cpu_ticks / TICKS_PER_SECOND,
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        max_fds: line_after(&limits, "Max open files")
            .and_then(|line| line.split_whitespace().next()?.parse().ok()),
        threads: line_after(&status, "Threads:")?.trim().parse().ok()?,
        start_time_seconds: boot_seconds + stat.start_ticks / TICKS_PER_SECOND,
    })
}

struct Stat {
    cpu_ticks: f64,
    start_ticks: f64,
}

impl Stat {
    /// Fields 14, 15 (utime, stime) and 22 (starttime) of proc_pid_stat(5). They are counted behind the name,
    /// which may contain blanks and brackets.
    fn parse(text: &str) -> Option<Self> {
        let (_, behind_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            start_ticks: field(22)?,
        })
    }
}

fn line_after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(prefix))
}

fn kib(status: &str, name: &str) -> Option<u64> {
    line_after(status, name)?.split_whitespace().next()?.parse().ok()
}

/// The usage as metrics, under the names that Prometheus' client libraries agreed on.
pub(crate) fn families() -> Vec<Family> {
    let Some(usage) = usage() else { return Vec::new() };
    let mut families = vec![
        Family::counter(
            "process_cpu_seconds_total",
            "User and system CPU time spent, in seconds.",
        )
        .with(&[], usage.cpu_seconds),
        Family::gauge("process_open_fds", "Open file descriptors.").with(&[], usage.open_fds),
        Family::gauge("process_resident_memory_bytes", "Memory in RAM.").with(&[], usage.resident_bytes),
        Family::gauge("process_virtual_memory_bytes", "Address space.").with(&[], usage.virtual_bytes),
        Family::gauge(
            "process_start_time_seconds",
            "Start of the process, in seconds since 1970.",
        )
        .with(&[], usage.start_time_seconds),
        Family::gauge("process_threads", "Threads of the process.").with(&[], usage.threads),
    ];
    if let Some(most) = usage.max_fds {
        families.push(Family::gauge("process_max_fds", "File descriptors at most.").with(&[], most));
    }
    families
}

/// Which program this is, as the metric `mainstem_build_info`.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    pub version: String,
    /// Commit it was built from; empty when that is not known.
    pub revision: String,
}

impl MetricSource for BuildInfo {
    fn collect(&self) -> BoxFuture<'_, Vec<Family>> {
        let labels = [("version", self.version.as_str()), ("revision", &self.revision)];
        let family = Family::gauge("mainstem_build_info", "The program: always 1.").with(&labels, 1_u64);
        Box::pin(async { vec![family] })
    }
}

/// CPU use in percent of one core, over the time between two readings at least a second apart.
#[derive(Debug)]
pub struct CpuPercent(Mutex<Reading>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    cpu_seconds: f64,
    percent: f64,
}

impl CpuPercent {
    /// Takes the first reading.
    #[must_use]
    pub fn start() -> Self {
        let cpu_seconds = usage().map_or(0.0, |usage| usage.cpu_seconds);
        Self(Mutex::new(Reading {
            at: Instant::now(),
            cpu_seconds,
            percent: 0.0,
        }))
    }

    /// Percent since the reading before, rounded to a tenth; within a second of it, that reading's result.
    pub fn read(&self, usage: &Usage) -> f64 {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *last = last.next(now, usage.cpu_seconds);
        last.percent
    }
}

impl Reading {
    fn next(self, now: Instant, cpu_seconds: f64) -> Self {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        if elapsed < 1.0 {
            return self;
        }
        let percent = ((cpu_seconds - self.cpu_seconds) / elapsed * 1000.0).round() / 10.0;
        Self {
            at: now,
            cpu_seconds,
            percent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 8 0 9900 1000 200";
        let stat = Stat::parse(text).expect("a stat line");
        assert_eq!((stat.cpu_ticks, stat.start_ticks), (200.0, 9900.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process() {
        let usage = usage().expect("/proc");
        assert!(usage.resident_bytes > 0 && usage.virtual_bytes >= usage.resident_bytes);
        assert!(usage.open_fds >= 3 && usage.threads >= 1);
        assert!(usage.start_time_seconds > 1.6e9);
    }

    #[test]
    fn percent_between_readings() {
        let at = Instant::now();
        let first = Reading {
            at,
            cpu_seconds: 10.0,
            percent: 7.0,
        };
        let too_soon = first.next(at + Duration::from_millis(500), 11.0);
        assert_eq!(too_soon.percent, 7.0);
        let second = first.next(at + Duration::from_secs(4), 11.0);
        assert_eq!((second.percent, second.cpu_seconds), (25.0, 11.0));
    }
}
