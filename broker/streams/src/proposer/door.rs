//! Where commands come in.

use std::sync::Arc;

use mainstem_raft::Group;
use tokio::sync::oneshot;

use super::chunk::{Answer, Chunk};
use super::run::{Answers, Proposer};
use super::{ENTRY_BYTES, WORTH_BYTES};
use crate::command::{Command, Publish};
use crate::error::Error;
use crate::queue::Queue;
use crate::service::clock::Clock;
use crate::service::handle::StreamRef;
use crate::service::outlet::{Outlet, Ticket};

/// Above this, publishers are held back.
const FULL_BYTES: usize = 16 << 20;

/// Above this, publishes are refused: their publishers were held back, and this came all the same.
const REFUSE_BYTES: usize = 64 << 20;

/// About what a command has besides its message.
const OVERHEAD_BYTES: usize = 32;

/// The way into one group, from any thread. Nothing here waits.
pub(crate) struct Door {
    queue: Arc<Queue<Chunk>>,
    outlet: Arc<dyn Outlet>,
}

impl Door {
    pub(crate) fn new(outlet: Arc<dyn Outlet>) -> Arc<Self> {
        Arc::new(Self {
            queue: Arc::default(),
            outlet,
        })
    }

    /// The task that proposes what comes in here. `on_disk`: what is published is refused when the disk is full.
    pub(crate) fn proposer(
        &self,
        group: Arc<Group>,
        clock: Arc<dyn Clock>,
        on_disk: bool,
        last_timestamp_ns: u64,
    ) -> Proposer {
        let (queue, outlet) = (Arc::clone(&self.queue), Arc::clone(&self.outlet));
        Proposer::new(queue, group, outlet, clock, on_disk, last_timestamp_ns)
    }

    /// So much waits that publishers are to be held back.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.waiting_bytes() >= FULL_BYTES
    }

    /// Commands of one caller, to be applied in one entry. The receiver is dropped without a word when their outcome is
    /// not known.
    pub(crate) fn submit<'a>(
        &self,
        commands: impl IntoIterator<Item = &'a Command>,
    ) -> oneshot::Receiver<Answer> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for command in commands {
            command.encode(&mut bytes);
            ends.push(bytes.len() as u32);
        }
        self.submit_encoded(bytes, ends)
    }

    /// The same, for commands that are encoded already, and where each ends.
    pub(crate) fn submit_encoded(&self, commands: Vec<u8>, ends: Vec<u32>) -> oneshot::Receiver<Answer> {
        let (tell, answer) = oneshot::channel();
        match self.queue.is_closed() {
            true => drop(tell.send(Err(Error::NotAvailable))),
            false => self.push(Chunk::of_caller(commands, ends, tell)),
        }
        answer
    }

    /// One command, and what came of it.
    pub(crate) async fn call(&self, command: &Command) -> Result<crate::command::Outcome, Error> {
        let answer = self
            .submit([command])
            .await
            .map_err(|_| Error::OutcomeUnknown)??;
        answer.into_iter().next().ok_or(Error::OutcomeUnknown)
    }

    /// Nothing more is taken in; what waits is still proposed.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    fn push(&self, chunk: Chunk) {
        let bytes = chunk.bytes();
        self.queue.push(chunk, bytes, &[WORTH_BYTES, ENTRY_BYTES]);
    }

    fn refuse(&self, chunk: Chunk, error: &Error) {
        let mut answers = Answers::new(&*self.outlet);
        answers.refuse(chunk.into_waiters(), error);
        answers.send();
    }
}

impl StreamRef {
    /// Begins to publish what one read of a socket brought: about so many messages, of so many bytes in all.
    pub fn publishing(&self, messages: usize, bytes: usize) -> Publishing<'_> {
        Publishing {
            stream: self,
            commands: Vec::with_capacity(bytes + messages * OVERHEAD_BYTES),
            ends: Vec::with_capacity(messages),
            tickets: Vec::with_capacity(messages),
        }
    }
}

/// Publishes to one stream that are handed over together. Nothing is stored before [`send`](Publishing::send).
pub struct Publishing<'a> {
    stream: &'a StreamRef,
    commands: Vec<u8>,
    ends: Vec<u32>,
    tickets: Vec<Option<Ticket>>,
}

impl Publishing<'_> {
    /// Adds a message. Without a ticket nobody is told what became of it.
    pub fn push(&mut self, message: &Publish<'_>, ticket: Option<Ticket>) {
        message.encode(self.stream.id(), &mut self.commands);
        self.ends.push(self.commands.len() as u32);
        self.tickets.push(ticket.filter(|_| !self.stream.is_silent()));
    }

    /// Hands all of them over. Their outcomes come through [`Outlet::published`]; where they can not be taken in, at
    /// once.
    pub fn send(self) {
        if self.ends.is_empty() {
            return;
        }
        let (stream, door) = (self.stream, self.stream.door());
        let bytes = self.commands.len();
        let chunk = Chunk::of_publishers(stream.clone(), self.commands, self.ends, self.tickets);
        if door.queue.is_closed() {
            door.refuse(chunk, &Error::NotAvailable);
        } else if door.queue.waiting_bytes() >= REFUSE_BYTES {
            door.refuse(chunk, &Error::TooManyRequests);
        } else if let Some(error) = stream.is_over(bytes) {
            door.refuse(chunk, &error);
        } else {
            door.push(chunk);
        }
    }
}
