//! `mainstem stream` and `mainstem kv`: clients of any NATS server with streams. Data goes to standard output, everything
//! else to standard error.

pub mod args;
mod kv;
mod print;
mod stream;

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, bail};
use async_nats::ConnectOptions;
use async_nats::jetstream::{self, Context};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use args::{Client, Kv, Stream};

/// What to do with a server.
#[derive(Debug)]
pub enum Command {
    Stream(Stream),
    Kv(Kv),
}

/// Does it, and ends with 0, with 69 where the server cannot be reached, else with 1.
pub fn run(command: Command) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::OsError, format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let (Command::Stream(Stream { client, .. }) | Command::Kv(Kv { client, .. })) = &command;
        let server = connect(client)
            .await
            .map_err(|error| Failure::new(Exit::Unavailable, format!("{error:#}")))?;
        let done = match command {
            Command::Stream(stream) => server.stream(stream).await,
            Command::Kv(kv) => server.kv(kv).await,
        };
        match done {
            Ok(()) => Ok(Exit::Ok),
            Err(error) if is_broken_pipe(&error) => Ok(Exit::Ok),
            Err(error) => Err(Failure::new(Exit::General, format!("{error:#}"))),
        }
    })
}

/// A connected server.
struct Server {
    context: Context,
    as_json: bool,
}

async fn connect(client: &Client) -> Result<Server> {
    let mut options = ConnectOptions::new()
        .name("mainstem")
        .connection_timeout(client.timeout())
        .request_timeout(Some(client.timeout()));
    if let Some(file) = &client.creds {
        options = options
            .credentials_file(file)
            .await
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    match (&client.user, &client.password) {
        (Some(user), password) => {
            options = options.user_and_password(user.clone(), password.clone().unwrap_or_default());
        }
        (None, Some(token)) => options = options.token(token.clone()),
        (None, None) => {}
    }
    if let Some(file) = &client.tls_ca {
        options = options.add_root_certificates(file.clone());
    }
    let connected = options
        .connect(&client.server)
        .await
        .with_context(|| format!("cannot connect to {}", client.server))?;
    let mut context = match &client.domain {
        Some(domain) => jetstream::with_domain(connected, domain),
        None => jetstream::new(connected),
    };
    context.set_timeout(client.timeout());
    Ok(Server {
        context,
        as_json: client.json,
    })
}

impl Server {
    /// Asks the API; `subject` without its prefix.
    async fn ask(&self, subject: &str, request: &Value) -> Result<Value> {
        let answer: Value = self.context.request(subject.to_owned(), request).await?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => {
                let text = error["description"].as_str().unwrap_or("an error without words");
                bail!("{text} ({})", error["err_code"]);
            }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Asks a person before something is lost.
fn confirm(forced: bool, what: &str) -> Result<()> {
    if forced {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("{what} needs --force");
    }
    let mut errors = std::io::stderr().lock();
    write!(errors, "{what}? (y/N) ")?;
    errors.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("nothing was done"),
    }
}
