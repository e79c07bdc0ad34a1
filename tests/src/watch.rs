//! What a running broker says of itself, and what the system says of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::binaries;
use crate::server::{Launch, PATIENCE, Server};

/// How often a figure is asked for while it is not yet what it should become.
const ASK_INTERVAL: Duration = Duration::from_millis(10);

/// The broker under test with this configuration, and with monitoring.
///
/// # Errors
/// There is no binary, or it does not start.
pub fn start(config: &str) -> Result<Server> {
    Launch::nats_server(&binaries::broker()?, &format!("http: \"127.0.0.1:-1\"\n{config}"))?.start()
}

/// `mainstem serve` with this YAML file.
///
/// # Errors
/// There is no binary, or it does not start.
pub fn serve(yaml: &str) -> Result<Server> {
    // Under another name the same binary would be `nats-server`.
    let program = std::fs::canonicalize(binaries::broker()?)?;
    let launch = Launch::program(&program, "Server is ready")?;
    let file = launch.folder().join("mainstem.yaml");
    std::fs::write(&file, yaml)?;
    launch
        .arg("serve")
        .arg("--config")
        .arg(file)
        .args(["--nats-host", "127.0.0.1", "--nats-port", "0"])
        .args(["--admin-host", "127.0.0.1", "--admin-port", "0"])
        .start()
}

/// The JSON document that monitoring serves at `path`.
///
/// # Errors
/// There is none.
pub fn json(server: &Server, path: &str) -> Result<Value> {
    let address = server
        .address("monitoring")
        .or_else(|_| server.logged_address("http monitor on "))?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
    ensure!(
        head.lines().next().is_some_and(|line| line.contains("200 OK")),
        "{path}: {answer}"
    );
    Ok(serde_json::from_str(body)?)
}

/// A figure of a monitoring document.
///
/// # Errors
/// There is no such figure.
pub fn figure(server: &Server, path: &str, name: &str) -> Result<u64> {
    let document = json(server, path)?;
    document[name]
        .as_u64()
        .with_context(|| format!("{path} has no {name}: {document}"))
}

/// Returns the document once `holds`. Monitoring announces nothing, so it is asked again and again.
///
/// # Errors
/// It does not hold within [`PATIENCE`]; the message has the last document.
pub async fn until(server: &Server, path: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let document = json(server, path)?;
        if holds(&document) {
            return Ok(document);
        }
        ensure!(Instant::now() < deadline, "{path} stays {document}");
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// Returns once no client is connected and no client's subscription is left.
///
/// # Errors
/// Some are left after [`PATIENCE`].
pub async fn until_deserted(server: &Server, subscriptions_before: u64) -> Result<()> {
    until(server, "/varz", |varz| varz["connections"] == 0).await?;
    until(server, "/subsz", |subsz| {
        subsz["num_subscriptions"] == subscriptions_before
    })
    .await?;
    Ok(())
}

/// Returns once the process has at most so many files and sockets open.
///
/// # Errors
/// It has more after [`PATIENCE`].
pub async fn until_open_files(server: &Server, most: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let open = open_files(server)?;
        if open <= most {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{open} open files");
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// Memory of the process in bytes: what it has now, and the most it ever had.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: u64,
    pub peak: u64,
}

/// # Errors
/// The process is gone, or the system does not tell.
pub fn memory(server: &Server) -> Result<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let bytes = |name: &str| -> Result<u64> {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kib.with_context(|| format!("no {name}"))?.parse::<u64>()? * 1024)
    };
    Ok(Memory {
        resident: bytes("VmRSS:")?,
        peak: bytes("VmHWM:")?,
    })
}

/// Files and sockets that the process has open.
///
/// # Errors
/// The process is gone.
pub fn open_files(server: &Server) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", server.pid()))?.count())
}
