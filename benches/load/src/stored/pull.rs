//! Clients that share a consumer: each pulls a batch, acknowledges every message, and pulls the next.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::json;

use super::{CONSUMER, NAME, subscribed};
use crate::Target;
use crate::connection::Connection;
use crate::frames::Frame;
use crate::gauge::PATIENCE;
use crate::poll::{Interest, Poll};
use crate::progress::Progress;
use crate::stored::api::Api;

/// Messages of one pull.
const BATCH: usize = 100;

/// Makes the consumer.
pub fn create(api: &mut Api) -> Result<()> {
    let request = json!({
        "stream_name": NAME,
        "config": {
            "durable_name": CONSUMER, "name": CONSUMER, "deliver_policy": "all", "ack_policy": "explicit",
            "ack_wait": 30_000_000_000_u64, "max_ack_pending": 10_000, "replay_policy": "instant",
        },
    });
    api.request(&format!("$JS.API.CONSUMER.CREATE.{NAME}.{CONSUMER}"), &request)
}

/// Receives `messages` messages; when the last was acknowledged.
pub fn run(target: &Target, clients: usize, messages: u64, progress: &Progress) -> Result<Instant> {
    const STEP: Duration = Duration::from_millis(100);
    ensure!(clients > 0, "there is nobody who pulls");
    let mut poll = Poll::new()?;
    let mut pullers = Vec::with_capacity(clients);
    for index in 0..clients {
        let inbox = format!("_INBOX.pull.{}.{index}", std::process::id());
        let connection = subscribed(target, &inbox)?;
        connection.stream.set_nonblocking(true)?;
        poll.add(&connection.stream, index, Interest::Read)?;
        let mut puller = Puller::new(connection, &inbox);
        puller.pull()?;
        pullers.push(puller);
    }
    let (mut seen, mut last) = (0, Instant::now());
    while seen < messages {
        let before = seen;
        for ready in poll.wait(STEP)? {
            seen += pullers[ready.index].read()?;
        }
        if seen > before {
            last = Instant::now();
            progress.at(seen);
        } else if last.elapsed() > PATIENCE {
            let said: Vec<_> = pullers.iter().map(|puller| &*puller.last_status).collect();
            bail!(
                "{} messages are missing and none came for {PATIENCE:?}; the server said {said:?}",
                messages - seen
            );
        }
    }
    for puller in &mut pullers {
        puller.connection.stream.set_nonblocking(false)?;
        // The acknowledgements are there before the answer to what follows them.
        puller.connection.round_trip()?;
    }
    Ok(Instant::now())
}

struct Puller {
    connection: Connection,
    request: Vec<u8>,
    /// What is still to come of the batch.
    wanted: usize,
    out: Vec<u8>,
    /// First line of what came instead of a message.
    last_status: String,
}

impl Puller {
    fn new(connection: Connection, inbox: &str) -> Self {
        let body = json!({"batch": BATCH, "expires": 30_000_000_000_u64}).to_string();
        let size = body.len();
        let request = format!("PUB $JS.API.CONSUMER.MSG.NEXT.{NAME}.{CONSUMER} {inbox} {size}\r\n{body}\r\n");
        Self {
            connection,
            request: request.into_bytes(),
            wanted: 0,
            out: Vec::new(),
            last_status: String::new(),
        }
    }

    fn pull(&mut self) -> Result<()> {
        self.wanted = BATCH;
        self.out.extend_from_slice(&self.request);
        self.write()
    }

    fn read(&mut self) -> Result<u64> {
        let Connection { stream, input } = &mut self.connection;
        match input.fill(&*stream) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err(anyhow!(error)).context("a connection broke"),
        }
        let (mut seen, mut is_over) = (0, false);
        let (out, last_status) = (&mut self.out, &mut self.last_status);
        input.drain(|frame| {
            match frame {
                Frame::Message(message) if message.header.starts_with(b"NATS/1.0 ") => {
                    is_over = true;
                    let line = message
                        .header
                        .split(|&byte| byte == b'\r')
                        .next()
                        .unwrap_or_default();
                    *last_status = String::from_utf8_lossy(line).into_owned();
                }
                Frame::Message(message) => {
                    seen += 1;
                    out.extend_from_slice(b"PUB ");
                    out.extend_from_slice(message.reply);
                    out.extend_from_slice(b" 4\r\n+ACK\r\n");
                }
                Frame::Ping => out.extend_from_slice(b"PONG\r\n"),
                _ => {}
            }
            Ok(())
        })?;
        self.wanted = self.wanted.saturating_sub(seen);
        if is_over || self.wanted == 0 {
            self.pull()?;
        } else {
            self.write()?;
        }
        Ok(seen as u64)
    }

    /// A batch of acknowledgements always fits the socket once the server has read the one before.
    fn write(&mut self) -> Result<()> {
        let stream = &self.connection.stream;
        if self.out.is_empty() {
            return Ok(());
        }
        stream.set_nonblocking(false)?;
        (&*stream).write_all(&self.out).context("a connection broke")?;
        stream.set_nonblocking(true)?;
        self.out.clear();
        Ok(())
    }
}
