//! Broker processes: started on free ports, their log captured, killed on drop.

mod log;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use self::log::Log;

/// How long a process may take until it is ready, or until it has ended.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often the ports file is looked for while nothing is logged.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// When a process counts as started.
#[derive(Clone, Debug)]
enum Ready {
    /// It wrote `*_<pid>.ports` into its folder (`--ports_file_dir`).
    PortsFile,
    /// It logged a line that contains this.
    LogLine(String),
}

/// A broker that is about to be started, in a temporary folder of its own.
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: TempDir,
    ready: Ready,
}

impl Launch {
    /// Any program, ready when it logs a line that contains `ready_line`.
    ///
    /// # Errors
    /// No temporary folder could be made.
    pub fn program(program: &Path, ready_line: &str) -> Result<Self> {
        Ok(Self {
            program: program.to_path_buf(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: TempDir::with_prefix("mainstem-test-")?,
            ready: Ready::LogLine(ready_line.to_owned()),
        })
    }

    /// A nats-server, or our binary in that personality, on a free loopback port, with this text as
    /// its configuration file.
    ///
    /// # Errors
    /// The temporary folder or the configuration file could not be written.
    pub fn nats_server(program: &Path, config: &str) -> Result<Self> {
        let mut launch = Self::program(program, "Server is ready")?;
        launch.ready = Ready::PortsFile;
        let file = launch.folder.path().join("server.conf");
        std::fs::write(&file, config)?;
        if program.file_name().is_none_or(|name| name != "nats-server") {
            launch = launch.arg("nats-server");
        }
        let folder = launch.folder.path().to_path_buf();
        Ok(launch
            .arg("-c")
            .arg(file)
            .args(["-a", "127.0.0.1", "-p", "-1"])
            .arg("--ports_file_dir")
            .arg(folder))
    }

    /// As [`Launch::nats_server`], with JetStream, whose store is in the folder.
    ///
    /// # Errors
    /// The temporary folder or the configuration file could not be written.
    pub fn jetstream(program: &Path, config: &str) -> Result<Self> {
        let launch = Self::nats_server(program, config)?;
        let store = launch.folder().join("store");
        Ok(launch.arg("-js").arg("-sd").arg(store))
    }

    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The folder that the process works in; it is gone when the [`Server`] is dropped.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the process and returns once it is ready.
    ///
    /// # Errors
    /// It could not be started, ended early, or was not ready within [`PATIENCE`]; the message has its log.
    pub fn start(self) -> Result<Server> {
        let (child, log) = self.spawn()?;
        let mut server = Server {
            child,
            launch: self,
            log,
            ports: Value::Null,
        };
        server.await_ready()?;
        Ok(server)
    }

    fn spawn(&self) -> Result<(Child, Arc<Log>)> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", self.program.display()))?;
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take());
        log.follow(child.stderr.take());
        Ok((child, log))
    }
}

/// A running broker. Dropping it kills the process and removes its folder.
#[derive(Debug)]
pub struct Server {
    child: Child,
    launch: Launch,
    log: Arc<Log>,
    ports: Value,
}

impl Server {
    /// Where clients of the NATS protocol connect to.
    ///
    /// # Errors
    /// The process named no such address.
    pub fn nats_address(&self) -> Result<SocketAddr> {
        self.address("nats")
            .or_else(|_| self.logged_address("client connections on "))
    }

    /// An address from the ports file, by kind: `nats`, `monitoring`, `websocket`, `cluster`.
    ///
    /// # Errors
    /// There is no ports file, or none of that kind in it.
    pub fn address(&self, kind: &str) -> Result<SocketAddr> {
        let url = self.ports[kind][0]
            .as_str()
            .with_context(|| format!("no {kind} port is known"))?;
        let address = url.rsplit_once("//").map_or(url, |(_, address)| address);
        address
            .parse()
            .with_context(|| format!("the ports file says {url}"))
    }

    /// The address that follows `label` in the log.
    ///
    /// # Errors
    /// No line has the label with an address after it.
    pub fn logged_address(&self, label: &str) -> Result<SocketAddr> {
        let log = self.log();
        let (_, rest) = log
            .split_once(label)
            .with_context(|| format!("no line says {label:?}"))?;
        let word = rest.split_whitespace().next().unwrap_or_default();
        let address = word.rsplit_once("//").map_or(word, |(_, address)| address);
        address.parse().with_context(|| format!("the log says {word}"))
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        self.launch.folder()
    }

    /// What the process has written to stdout and stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.state().text.clone()
    }

    /// Returns the log once it contains `needle`.
    ///
    /// # Errors
    /// The process ended, or [`PATIENCE`] did, without that text.
    pub fn await_log(&self, needle: &str) -> Result<String> {
        self.log
            .wait(|state| state.text.contains(needle).then(|| state.text.clone()))
    }

    /// # Errors
    /// The process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("a process has an id")?, signal)?;
        Ok(())
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// It still ran after [`PATIENCE`].
    pub fn await_exit(&mut self) -> Result<ExitStatus> {
        self.log.wait(|state| (state.open_streams == 0).then_some(()))?;
        Ok(self.child.wait()?)
    }

    /// Ends the process by this signal, and starts it again in the same folder. Its ports may be others.
    ///
    /// # Errors
    /// It did not end, or not start again; the message has the log.
    pub fn restart(&mut self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        self.await_exit()?;
        self.start_again()?;
        self.await_ready()
    }

    /// Starts the process again after it has ended, in the same folder, without waiting until it is ready.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start_again(&mut self) -> Result<()> {
        (self.child, self.log) = self.launch.spawn()?;
        Ok(())
    }

    /// Waits until the process is ready.
    ///
    /// # Errors
    /// It ended, or was not ready within [`PATIENCE`]; the message has its log.
    pub fn await_ready(&mut self) -> Result<()> {
        let ready = match &self.launch.ready {
            Ready::LogLine(needle) => self.await_log(needle).map(drop),
            Ready::PortsFile => self.await_ports_file().map(|ports| self.ports = ports),
        };
        ready.with_context(|| format!("{} wrote:\n{}", self.launch.program.display(), self.log()))
    }

    fn await_ports_file(&mut self) -> Result<Value> {
        let suffix = format!("_{}.ports", self.child.id());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(ports) = read_ports_file(self.launch.folder(), &suffix)? {
                return Ok(ports);
            }
            if let Some(status) = self.child.try_wait()? {
                // Its last words may still be in the pipe, and they say why.
                self.log.wait(|state| (state.open_streams == 0).then_some(()))?;
                bail!("ended with {status} before it was ready");
            }
            if Instant::now() > deadline {
                bail!("wrote no *{suffix} within {PATIENCE:?}");
            }
            self.log.wait_for_a_line(LOOK_INTERVAL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `None` while the file is missing or not yet written whole.
fn read_ports_file(folder: &Path, suffix: &str) -> Result<Option<Value>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(suffix) {
            return Ok(serde_json::from_slice(&std::fs::read(path)?).ok());
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Launch {
        Launch::program(Path::new("/bin/sh"), "is ready")
            .unwrap()
            .args(["-c", script])
    }

    #[test]
    fn a_process_is_ready_when_its_log_says_so() {
        let server = shell("echo clients on 127.0.0.1:4222; echo is ready >&2; exec sleep 60")
            .start()
            .unwrap();
        server.await_log("4222").unwrap();
        assert_eq!(server.logged_address("clients on ").unwrap().port(), 4222);
        assert!(server.nats_address().is_err());
    }

    #[test]
    fn a_signal_ends_it() {
        let mut server = shell("echo is ready; exec sleep 60").start().unwrap();
        server.signal(Signal::TERM).unwrap();
        assert!(!server.await_exit().unwrap().success());
    }

    #[test]
    fn a_restart_keeps_the_folder() {
        let mut server = shell("cat mark; echo > mark kept; echo is ready; exec sleep 60")
            .start()
            .unwrap();
        server.restart(Signal::KILL).unwrap();
        assert!(server.log().contains("kept"), "{}", server.log());
    }

    #[test]
    fn a_failed_start_tells_what_was_logged() {
        let error = shell("echo no such key >&2; exit 1").start().unwrap_err();
        assert!(format!("{error:#}").contains("no such key"), "{error:#}");
    }

    #[test]
    fn a_ports_file_names_addresses_by_kind() {
        let mut launch = shell(r#"echo '{"nats":["nats://127.0.0.1:5"]}' > x_$$.ports; exec sleep 60"#);
        launch.ready = Ready::PortsFile;
        let server = launch.start().unwrap();
        assert_eq!(server.nats_address().unwrap().port(), 5);
        assert!(server.address("cluster").is_err());
    }
}
