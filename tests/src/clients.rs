//! Runs the client programs of `tests/clients` against a broker.
//!
//! `make clients` installs them into a folder of the cache; [`FOLDER_VARIABLE`] names another one.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::binaries;
use crate::server::{Launch, Server};

/// Names the folder that the client programs are installed in.
pub const FOLDER_VARIABLE: &str = "MAINSTEM_CLIENTS";

/// Every check of every program, as `tests/clients/README.md` lists them.
pub const CHECKS: [&str; 11] = [
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
    "steady",
];

/// A client library with a program of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Python,
    Node,
    Go,
}

/// The broker under test, as a client finds it: every default, a free port.
///
/// # Errors
/// There is no binary, or it does not start.
pub fn start_broker() -> Result<Server> {
    Launch::nats_server(&binaries::broker()?, "")?.start()
}

/// Starts a broker, runs the client's program on it, and wants every check to pass.
///
/// # Errors
/// The program is not installed, a check failed, or the report is not what it should be.
pub fn check(client: Client) -> Result<()> {
    let server = start_broker()?;
    let url = format!("nats://{}", server.nats_address()?);
    let output = client.command(&folder()?)?.arg(&url).output()?;
    judge(&output).with_context(|| format!("the broker wrote:\n{}", server.log()))
}

fn judge(output: &Output) -> Result<()> {
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
        output.status.success() && passed == CHECKS,
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
