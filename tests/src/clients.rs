//! Runs the client programs of `tests/clients` against a broker.
//!
//! `make clients` installs them into a folder of the cache; [`FOLDER_VARIABLE`] names another one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::binaries;
use crate::server::{Launch, Server, Signal};

/// Names the folder that the client programs are installed in.
pub const FOLDER_VARIABLE: &str = "MAINSTEM_CLIENTS";

/// Every check of every program, as `tests/clients/README.md` lists them.
pub const CHECKS: [&str; 24] = [
    "connect",
    "pub_sub",
    "wildcards",
    "queue_group",
    "request_reply",
    "no_responders",
    "headers",
    "auto_unsubscribe",
    "large_payload",
    "drain",
    "streams",
    "publish",
    "pull",
    "push",
    "ordered",
    "acknowledge",
    "redelivery",
    "filters",
    "messages",
    "mistakes",
    "key_value",
    "key_history",
    "key_watch",
    "steady",
];

/// A client library with a program of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Python,
    Node,
    Go,
}

/// The broker under test, as a client finds it: every default, a free port, JetStream on.
///
/// # Errors
/// There is no binary, or it does not start.
pub fn start_broker() -> Result<Server> {
    Launch::jetstream(&binaries::broker()?, "")?.start()
}

/// Starts a broker, runs the client's program on it, and wants every check to pass.
///
/// # Errors
/// The program is not installed, a check failed, or the report is not what it should be.
pub fn check(client: Client) -> Result<()> {
    client.run("all", &CHECKS, &start_broker()?)
}

/// Has the client's program store data, ends the broker by each signal in turn, and has the program verify what the
/// broker has when it is back.
///
/// # Errors
/// As [`check`], or the broker did not start again.
pub fn check_restart(client: Client, signals: &[Signal]) -> Result<()> {
    for signal in signals {
        let mut server = start_broker()?;
        client.run("store", &["store", "steady"], &server)?;
        server.restart(*signal)?;
        client
            .run("verify", &["verify", "steady"], &server)
            .with_context(|| format!("after {signal:?}"))?;
    }
    Ok(())
}

fn judge(output: &Output, checks: &[&str]) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_str(said.trim()).with_context(|| format!("no report: {said}{complained}"))?;
    let passed: Vec<&str> = report["passed"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(
        output.status.success() && passed == checks,
        "{}: {}\n{complained}",
        report["client"],
        report["failed"]
    );
    Ok(())
}

fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        return Ok(folder.into());
    }
    let cache = match env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context("no home folder")?).join(".cache"),
    };
    Ok(cache.join("mainstem").join("clients"))
}

impl Client {
    /// Runs a part of the client's program (`tests/clients/README.md`), and wants these checks to pass.
    fn run(self, part: &str, checks: &[&str], server: &Server) -> Result<()> {
        let url = format!("nats://{}", server.nats_address()?);
        let output = self.command(&folder()?)?.args([&url, part]).output()?;
        judge(&output, checks).map_err(|error| anyhow!("{error:#}\nthe broker wrote:\n{}", server.log()))
    }

    fn command(self, folder: &Path) -> Result<Command> {
        let (program, argument) = match self {
            Self::Python => ("python/venv/bin/python", Some("python/client.py")),
            Self::Node => ("node/node", Some("node/client.mjs")),
            Self::Go => ("go/client", None),
        };
        let program = folder.join(program);
        if !program.exists() {
            bail!(
                "no {}: run `make clients`, or set {FOLDER_VARIABLE}",
                program.display()
            );
        }
        let mut command = Command::new(program);
        command.args(argument.map(|argument| folder.join(argument)));
        Ok(command)
    }
}
