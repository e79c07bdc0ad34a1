//! One scenario against one server: the same code records and replays.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::connection::{Connection, Cut, Incoming};
use super::escape::escape;
use super::item;
use super::script::{Action, Scenario, Step};

/// Stands in a transcript where the server should have said something, or closed, and did not.
pub const SILENCE: &str = "(nothing more came)";

/// Stands in a transcript where the server closed before all was read.
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
    let mut connections = HashMap::new();
    for step in &scenario.steps {
        let read = run_step(step, address, cut, &mut connections)
            .with_context(|| format!("line {}, connection {}", step.line + 1, step.connection))?;
        if !see(step, read) {
            break;
        }
    }
    Ok(())
}

fn run_step(
    step: &Step,
    address: SocketAddr,
    cut: Cut,
    connections: &mut HashMap<String, Connection>,
) -> Result<Vec<String>> {
    if matches!(step.action, Action::Open) {
        let connection = Connection::open(address, cut)?;
        ensure!(
            connections.insert(step.connection.clone(), connection).is_none(),
            "is open already"
        );
        return Ok(Vec::new());
    }
    let connection = connections.get_mut(&step.connection).context("is not open")?;
    let port = address.port();
    match &step.action {
        Action::Open => Ok(Vec::new()),
        Action::Send(template) => connection.send(template).map(|()| Vec::new()),
        Action::Info => Ok(vec![connection.greeting.clone()]),
        Action::Close => {
            connections.remove(&step.connection);
            Ok(Vec::new())
        }
        Action::Ping { pongs } => {
            connection.send_bytes(b"PING\r\n");
            read(connection, port, |messages| {
                messages.iter().filter(|m| *m == "PONG\\r\\n").count() == *pongs
            })
        }
        Action::Read { messages } => read(connection, port, |read| read.len() == *messages),
        Action::Closed => read(connection, port, |_| false),
    }
}

/// Reads until `enough`, or until the server closes or falls silent, which is noted as the last message.
fn read(connection: &mut Connection, port: u16, enough: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
    let mut messages = Vec::new();
    while !enough(&messages) {
        let (rest, end) = match connection.receive()? {
            Incoming::Message(bytes) => {
                messages.push(item::describe(&bytes, port));
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
