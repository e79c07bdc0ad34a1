//! A broker that is started for one run.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::Target;
use crate::address::{Address, Login};
use crate::connection::Connection;
use crate::poll::nap;

/// How to start it.
#[derive(Debug)]
pub struct Broker {
    pub name: String,
    words: Vec<String>,
    shows_output: bool,
}

/// A process that listens.
#[derive(Debug)]
pub struct Running {
    child: Child,
    address: Address,
    /// Where it keeps what it stores.
    _folder: Option<Folder>,
}

/// A folder that goes with everything in it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mainstem-bench-{}-{number}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the temporary folder, and named after us.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How long it may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);
/// In a command: an empty folder.
const FOLDER: &str = "{dir}";

impl Broker {
    /// `command` is split at blanks.
    ///
    /// # Errors
    /// There is no command.
    pub fn new(command: Option<&str>, name: Option<&str>, shows_output: bool) -> Result<Self> {
        let words: Vec<String> = command
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let program = words.first().context("there is no command")?;
        let program_name = Path::new(program)
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name
            .map(str::to_owned)
            .or(program_name)
            .context("there is no name")?;
        Ok(Self {
            name,
            words,
            shows_output,
        })
    }

    /// Starts it on a free port of the loopback and waits until it greets.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self) -> Result<Running> {
        let port = free_port()?;
        let output = if self.shows_output {
            Stdio::inherit()
        } else {
            Stdio::null()
        };
        let needs_folder = self.words.iter().any(|word| word.contains(FOLDER));
        let folder = needs_folder.then(Folder::create).transpose()?;
        let words = self.words.iter().map(|word| match &folder {
            Some(Folder(path)) => word.replace(FOLDER, &path.to_string_lossy()),
            None => word.clone(),
        });
        let child = Command::new(&self.words[0])
            .args(words.skip(1))
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            // Our own standard output is for the table.
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {:?}", self.words[0]))?;
        let address = Address {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port,
            login: Login::None,
        };
        let mut running = Running {
            child,
            address,
            _folder: folder,
        };
        running
            .await_greeting()
            .with_context(|| format!("{:?} does not start", self.words.join(" ")))?;
        Ok(running)
    }
}

impl Running {
    pub fn target(&self) -> Target {
        Target {
            address: self.address.clone(),
            server_pid: Some(self.child.id()),
        }
    }

    fn await_greeting(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            match Connection::open(&self.address, b"") {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => nap(STEP),
            }
        }
    }

    /// Asks it to stop, and sees that it does.
    ///
    /// # Errors
    /// It cannot be stopped.
    pub fn stop(mut self) -> Result<ExitStatus> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            nap(STEP);
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended, as it has after `stop`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free a moment ago; nobody else should be starting servers while we measure.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_called_as_its_program() {
        let name = |command, name| Broker::new(Some(command), name, false).unwrap().name;
        assert_eq!(name("bin/mainstem nats-server --x", None), "mainstem");
        assert_eq!(name("nats-server", Some("theirs")), "theirs");
        assert!(Broker::new(Some(" "), None, false).is_err());
    }

    #[test]
    fn what_does_not_start_is_named() {
        let error = Broker::new(Some("true"), None, false)
            .unwrap()
            .start()
            .unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "\"true\" does not start: it ended with exit status: 0"
        );
        let error = Broker::new(Some("no-such-program-here"), None, false)
            .unwrap()
            .start()
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot start \"no-such-program-here\""),
            "{error}"
        );
    }
}
