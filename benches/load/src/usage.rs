//! What processes use: CPU time and memory, as Linux counts them.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// User and system time of a process since it started, in steps of 10 ms: proc(5), `/proc/PID/stat`.
///
/// # Errors
/// There is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("/proc/{pid}/stat cannot be understood"))?;
    Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
}

/// Resident memory of a process in bytes: proc(5), `/proc/PID/statm`.
///
/// # Errors
/// There is no such process.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let statm = read(pid, "statm")?;
    let pages: Option<u64> = statm.split(' ').nth(1).and_then(|field| field.parse().ok());
    let pages = pages.with_context(|| format!("/proc/{pid}/statm cannot be understood"))?;
    Ok(pages * page_size() as u64)
}

/// Bytes that a process had written to disks since it started: proc(5), `/proc/PID/io`.
///
/// # Errors
/// There is no such process, or it is another user's.
pub fn written_bytes(pid: u32) -> Result<u64> {
    let io = read(pid, "io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.trim().parse().ok())
        .with_context(|| format!("/proc/{pid}/io cannot be understood"))
}

/// User and system time of this process.
#[must_use]
pub fn own_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or(0))
}

/// Lets this process, and those it starts, open as many files as the administrator allows.
///
/// # Errors
/// The kernel refuses.
pub fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .context("cannot raise the limit of open files")
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// Fields 14 and 15. The second field is a name in parentheses that may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_moves_no_field() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 700 55 3 4 20 0 9 0 12345 1000 200 18446744";
        assert_eq!(cpu_ticks(stat), Some(755));
        assert_eq!(cpu_ticks("42 (x) S 1"), None);
    }

    #[test]
    fn this_process_uses_something() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(own_cpu_time() > Duration::ZERO);
        cpu_time(std::process::id()).unwrap();
        written_bytes(std::process::id()).unwrap();
    }
}
