//! `--signal stop=PID`: tells another process what to do.

use std::path::Path;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::files;

/// Name that processes are looked for by.
const PROCESS_NAME: &str = "nats-server";

/// Sends what `--signal` asks for: a command, and behind `=` a process id, a file that holds one, or the start of
/// ids with a `*` behind it. Without an id there must be exactly one process.
///
/// # Errors
/// One or more lines in nats-server's words.
pub(super) fn send(request: &str) -> Result<(), String> {
    let (command, target) = match request.split('=').collect::<Vec<_>>()[..] {
        [command] => (command, String::new()),
        [command, target] => (command, pid_or_file(target)),
        [_, _, ref more @ ..] => return Err(format!("invalid signal parameters: [{}]", more.join(" "))),
        [] => return Ok(()),
    };
    let pids = resolve(&target, running)?;
    let signal = signal(command)?;
    let failures: String = pids
        .into_iter()
        .filter_map(|pid| Some((pid, kill_process(pid, signal).err()?)))
        .map(|(pid, error)| format!("\nsignal {command:?} {}: {}", pid.as_raw_nonzero(), reason(error)))
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures)
    }
}

fn reason(error: Errno) -> String {
    files::system_error(&error.into())
}

fn pid_or_file(target: &str) -> String {
    let content = files::read(Path::new(target)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    content.unwrap_or_else(|_| target.to_owned())
}

fn signal(command: &str) -> Result<Signal, String> {
    match command {
        "stop" => Ok(Signal::KILL),
        "quit" => Ok(Signal::INT),
        "term" => Ok(Signal::TERM),
        "reopen" => Ok(Signal::USR1),
        "reload" => Ok(Signal::HUP),
        "ldm" => Ok(Signal::USR2),
        _ => Err(format!("unknown signal {command:?}")),
    }
}

/// The processes that are meant. Ids below 1 would mean groups of processes, or all of them.
fn resolve(target: &str, running: impl Fn() -> Result<Vec<Pid>, String>) -> Result<Vec<Pid>, String> {
    let (prefix, is_pattern) = match target.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (target, false),
    };
    let invalid = || format!("invalid pid: {prefix}");
    let pid = match prefix {
        "" => None,
        _ => Some(
            prefix
                .parse()
                .ok()
                .filter(|&pid| pid > 0)
                .and_then(Pid::from_raw)
                .ok_or_else(invalid)?,
        ),
    };
    if let (Some(pid), false) = (pid, is_pattern) {
        return Ok(vec![pid]);
    }
    let mut pids = running()?;
    if pids.len() > 1 && !is_pattern {
        let list: String = pids
            .iter()
            .map(|pid| format!("\n{}", pid.as_raw_nonzero()))
            .collect();
        return Err(format!("multiple {PROCESS_NAME} processes running:{list}"));
    }
    if pids.is_empty() {
        return Err(format!("no {PROCESS_NAME} processes running"));
    }
    pids.retain(|pid| pid.as_raw_nonzero().to_string().starts_with(prefix));
    Ok(pids)
}

/// Ids of the other processes of that name.
fn running() -> Result<Vec<Pid>, String> {
    let unresolved = || "unable to resolve pid, try providing one".to_owned();
    let output = Command::new("pgrep")
        .arg(PROCESS_NAME)
        .output()
        .map_err(|_| unresolved())?;
    let own = rustix::process::getpid();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.parse().ok().and_then(Pid::from_raw).ok_or_else(unresolved))
        .filter(|pid| pid.as_ref() != Ok(&own))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pids(raw: &[i32]) -> Vec<Pid> {
        raw.iter().map(|&pid| Pid::from_raw(pid).unwrap()).collect()
    }

    #[test]
    fn one_process_is_named_or_found() {
        let none = || Ok(Vec::new());
        let some = || Ok(pids(&[101, 102, 201]));
        assert_eq!(resolve("77", none), Ok(pids(&[77])));
        assert_eq!(resolve("10*", some), Ok(pids(&[101, 102])));
        assert_eq!(resolve("*", some), Ok(pids(&[101, 102, 201])));
        assert_eq!(resolve("", || Ok(pids(&[5]))), Ok(pids(&[5])));
        assert_eq!(resolve("", none), Err("no nats-server processes running".into()));
        assert_eq!(
            resolve("", some),
            Err("multiple nats-server processes running:\n101\n102\n201".into())
        );
        for wrong in ["abc", "-1", "0", "-5*"] {
            assert_eq!(
                resolve(wrong, some),
                Err(format!("invalid pid: {}", wrong.trim_end_matches('*')))
            );
        }
    }

    #[test]
    fn requests_are_checked_before_anything_is_sent() {
        assert_eq!(send("foo=1"), Err("unknown signal \"foo\"".into()));
        assert_eq!(send("stop=1=2"), Err("invalid signal parameters: [2]".into()));
        assert_eq!(send("stop=abc"), Err("invalid pid: abc".into()));
        assert_eq!(
            send("ldm=2147483647"),
            Err("\nsignal \"ldm\" 2147483647: no such process".into())
        );
    }

    #[test]
    fn a_file_may_hold_the_id() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.pid");
        std::fs::write(&file, "2147483647").unwrap();
        let request = format!("reload={}", file.display());
        assert_eq!(
            send(&request),
            Err("\nsignal \"reload\" 2147483647: no such process".into())
        );
    }
}
