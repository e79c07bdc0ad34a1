//! Publishers that write prebuilt batches as fast as the server takes them.

use std::io::{ErrorKind, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::batch::Batch;
use crate::connection::Connection;
use crate::gauge::Gauge;
use crate::poll::{Interest, Poll, Ready};

/// When a publisher has done its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    AfterMessages(u64),
    After(Duration),
}

/// A connection and how far it is.
#[derive(Debug)]
pub struct Publisher {
    connection: Connection,
    batch: Arc<Batch>,
    sent_bytes: u64,
    limit_bytes: u64,
}

impl Publisher {
    #[must_use]
    pub fn new(connection: Connection, batch: Arc<Batch>, stop: Stop) -> Self {
        let limit_bytes = match stop {
            Stop::AfterMessages(messages) => messages.saturating_mul(batch.message_len()),
            Stop::After(_) => u64::MAX,
        };
        Self {
            connection,
            batch,
            sent_bytes: 0,
            limit_bytes,
        }
    }

    /// Whole messages sent.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.sent_bytes / self.batch.message_len()
    }

    fn is_done(&self) -> bool {
        self.sent_bytes >= self.limit_bytes
    }

    /// Finishes the message that is half out, and no more.
    fn stop_soon(&mut self) {
        let messages = self.sent_bytes.div_ceil(self.batch.message_len());
        self.limit_bytes = self.limit_bytes.min(messages * self.batch.message_len());
    }

    /// Writes once; answers how many messages went out whole.
    fn write(&mut self) -> Result<u64> {
        let before = self.published();
        match (&self.connection.stream).write(self.batch.next(self.sent_bytes, self.limit_bytes)) {
            Ok(count) => self.sent_bytes += count as u64,
            Err(error) if is_transient(error.kind()) => {}
            // What the server said before it closed tells more than the broken pipe.
            Err(error) => return self.read().and(Err(error.into())).context("publishing"),
        }
        Ok(self.published() - before)
    }

    /// Reads what the server has to say to a publisher: an error, if anything.
    fn read(&mut self) -> Result<()> {
        let Connection { stream, input } = &mut self.connection;
        match input.fill(&*stream) {
            Ok(()) => input.drain(|_| Ok(())),
            Err(error) if is_transient(error.kind()) => Ok(()),
            Err(error) => Err(error).context("the server closed a publisher's connection"),
        }
    }

    /// Waits until the server has taken everything.
    fn finish(&mut self) -> Result<()> {
        self.connection.stream.set_nonblocking(false)?;
        self.connection.round_trip()
    }
}

/// Runs `publishers` on this thread until they are done and the server has taken all.
///
/// # Errors
/// The server refuses or closes, or what is published is not delivered.
pub fn run(publishers: &mut [Publisher], stop: Stop, gauge: &Gauge) -> Result<()> {
    const STEP: Duration = Duration::from_millis(50);
    let mut poll = Poll::new()?;
    for (index, publisher) in publishers.iter().enumerate() {
        publisher.connection.stream.set_nonblocking(true)?;
        poll.add(&publisher.connection.stream, index, Interest::ReadAndWrite)?;
    }
    let deadline = match stop {
        Stop::After(time) => Some(Instant::now() + time),
        Stop::AfterMessages(_) => None,
    };
    let mut busy = publishers.len();
    while busy > 0 && !gauge.is_aborted() {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            publishers.iter_mut().for_each(Publisher::stop_soon);
        }
        gauge.await_room()?;
        let mut done = Vec::new();
        for Ready {
            index,
            readable,
            writable,
        } in poll.wait(STEP)?
        {
            let publisher = &mut publishers[index];
            if readable {
                publisher.read()?;
            }
            if writable && !publisher.is_done() {
                gauge.add_published(publisher.write()?);
            }
            if publisher.is_done() {
                done.push(index);
            }
        }
        for index in done {
            poll.remove(&publishers[index].connection.stream)?;
            busy -= 1;
        }
    }
    publishers
        .iter_mut()
        .filter(|_| !gauge.is_aborted())
        .try_for_each(Publisher::finish)
}

fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
