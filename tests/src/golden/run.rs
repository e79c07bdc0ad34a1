//! One scenario against one server: the same code records and replays.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::connection::{Connection, Cut, Incoming};
use super::escape::escape;
use super::script::{Action, Scenario, Step};
use super::{answer, item};

/// Stands in a transcript where the server should have said something, or closed, and did not.
pub const SILENCE: &str = "(nothing more came)";

/// Stands in a transcript where the server closed.
pub const CLOSED: &str = "(closed)";

/// Runs the steps in their order and hands what each one read to `see`, which tells whether to go on.
///
/// # Errors
/// No connection could be made, or a step names one that is not open.
pub fn run(
    scenario: &Scenario,
    address: SocketAddr,
    cut: Cut,
    mut see: impl FnMut(&Step, Vec<String>) -> bool,
) -> Result<()> {
    let mut run = Run {
        address,
        cut,
        skips_pings: !scenario.shows_pings,
        masks_answers: scenario.masks_answers,
        connections: HashMap::new(),
    };
    for step in &scenario.steps {
        let read = run
            .step(step)
            .with_context(|| format!("line {}, connection {}", step.line + 1, step.connection))?;
        if !see(step, read) {
            break;
        }
    }
    Ok(())
}

struct Run {
    address: SocketAddr,
    cut: Cut,
    skips_pings: bool,
    masks_answers: bool,
    connections: HashMap<String, Connection>,
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<Vec<String>> {
        match &step.action {
            Action::Open => {
                let connection = Connection::open(self.address, self.cut)?;
                let other = self.connections.insert(step.connection.clone(), connection);
                ensure!(other.is_none(), "is open already");
            }
            Action::Close => drop(self.connections.remove(&step.connection).context("is not open")?),
            Action::Send(template) => self.connection(step)?.send(template)?,
            Action::Info => return Ok(vec![self.connection(step)?.greeting.clone()]),
            Action::Ping { pongs } => {
                self.connection(step)?.send_bytes(b"PING\r\n");
                let is_pong = |message: &&String| *message == "PONG\\r\\n";
                return self.read(step, |messages| messages.iter().filter(is_pong).count() == *pongs);
            }
            Action::Read { messages } => return self.read(step, |read| read.len() == *messages),
            Action::Closed => return self.read(step, |_| false),
        }
        Ok(Vec::new())
    }

    fn connection(&mut self, step: &Step) -> Result<&mut Connection> {
        self.connections.get_mut(&step.connection).context("is not open")
    }

    /// Reads until `enough`, or until the server closes or falls silent, which is noted last.
    fn read(&mut self, step: &Step, enough: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
        let (port, skips_pings, masks_answers) = (self.address.port(), self.skips_pings, self.masks_answers);
        let connection = self.connection(step)?;
        let mut messages = Vec::new();
        while !enough(&messages) {
            let (rest, end) = match connection.receive()? {
                Incoming::Message(bytes) if skips_pings && bytes == b"PING\r\n" => continue,
                Incoming::Message(bytes) => {
                    let answer = masks_answers.then(|| answer::describe(&bytes)).flatten();
                    messages.push(answer.unwrap_or_else(|| item::describe(&bytes, port)));
                    continue;
                }
                Incoming::End(rest) => (rest, CLOSED),
                Incoming::Silence(rest) => (rest, SILENCE),
            };
            if !rest.is_empty() {
                messages.push(escape(&rest));
            }
            messages.push(end.to_owned());
            break;
        }
        Ok(messages)
    }
}
