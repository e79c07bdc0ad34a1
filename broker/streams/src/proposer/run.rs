//! The task that makes entries of chunks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesOrdered, Stream};
use mainstem_raft::{Group, ProposeError, Reply};
use mainstem_record::EntryBuilder;

use super::chunk::{Chunk, Waiters};
use super::{ENTRY_BYTES, WORTH_BYTES};
use crate::command::Outcome;
use crate::error::Error;
use crate::queue::Queue;
use crate::service::clock::Clock;
use crate::service::outlet::{Outlet, Published, Stored};

/// Entries in flight while less than a full entry waits.
const FLYING: usize = 2;

/// Entries in flight while full entries wait.
const FLYING_FULL: usize = 8;

/// Entries that are finished in one turn of the task.
const TURN: usize = 16;

type Flight = Pin<Box<dyn Future<Output = Landed> + Send>>;

struct Landed {
    waiters: Vec<Waiters>,
    outcome: Result<Reply, ProposeError>,
}

/// Proposes what waits in a queue until it is closed and empty.
pub(crate) struct Proposer {
    queue: Arc<Queue<Chunk>>,
    group: Arc<Group>,
    outlet: Arc<dyn Outlet>,
    clock: Arc<dyn Clock>,
    /// What is published takes room on the disk.
    on_disk: bool,
    /// A chunk of which some commands are in an entry already.
    begun: Option<(Chunk, usize)>,
    flights: FuturesOrdered<Flight>,
    last_timestamp_ns: u64,
}

impl Proposer {
    pub(super) fn new(
        queue: Arc<Queue<Chunk>>,
        group: Arc<Group>,
        outlet: Arc<dyn Outlet>,
        clock: Arc<dyn Clock>,
        on_disk: bool,
        last_timestamp_ns: u64,
    ) -> Self {
        Self {
            queue,
            group,
            outlet,
            clock,
            on_disk,
            begun: None,
            flights: FuturesOrdered::new(),
            last_timestamp_ns,
        }
    }

    /// Runs until the queue is closed, and all that was in it has its outcome.
    pub(crate) async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut landed = 0;
        loop {
            let mut moved = false;
            while let Poll::Ready(Some(flight)) = Pin::new(&mut self.flights).poll_next(cx) {
                self.land(flight);
                moved = true;
                landed += 1;
            }
            let mut empty = false;
            while self.may_start() {
                match self.poll_chunk(cx) {
                    Poll::Ready(true) => self.start(),
                    Poll::Ready(false) => {
                        empty = true;
                        break;
                    }
                    Poll::Pending => break,
                }
                moved = true;
            }
            if empty && self.flights.is_empty() {
                return Poll::Ready(());
            }
            if !moved {
                self.queue.register(cx);
                // What came between the look and the registration woke nobody.
                if !self.may_start() || self.poll_chunk(cx) != Poll::Ready(true) {
                    return Poll::Pending;
                }
                self.start();
            }
            if landed >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn may_start(&self) -> bool {
        let waiting_bytes = self.queue.waiting_bytes();
        match self.flights.len() {
            0 => true,
            flying if flying < FLYING => waiting_bytes >= WORTH_BYTES || self.begun.is_some(),
            flying => flying < FLYING_FULL && waiting_bytes >= ENTRY_BYTES,
        }
    }

    /// Sees to it that a chunk is begun; false: closed, and nothing waits.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.begun.is_some() {
            return Poll::Ready(true);
        }
        self.queue.poll_pop(cx).map(|chunk| {
            self.begun = chunk.map(|chunk| (chunk, 0));
            self.begun.is_some()
        })
    }

    /// Makes one entry of what waits, and proposes it.
    fn start(&mut self) {
        self.last_timestamp_ns = self.last_timestamp_ns.max(self.clock.wall_ns());
        let begun_bytes = self.begun.as_ref().map_or(0, |(chunk, _)| chunk.bytes());
        let expected_bytes = begun_bytes + self.queue.waiting_bytes();
        let room = expected_bytes.min(ENTRY_BYTES + 4096);
        let mut entry = EntryBuilder::with_capacity(self.last_timestamp_ns, room);
        let mut waiters = Vec::new();
        let mut bytes = 0;
        let full = self.group.is_full().filter(|_| self.on_disk);
        while let Some((mut chunk, from)) = self.begun.take().or_else(|| Some((self.queue.pop()?, 0))) {
            // What removes messages goes on: it makes room.
            if let Some(reason) = full.as_ref().filter(|_| chunk.is_published()) {
                let mut answers = Answers::new(&*self.outlet);
                answers.refuse(chunk.into_waiters(), &Error::from(reason.clone()));
                answers.send();
                continue;
            }
            let room = ENTRY_BYTES.saturating_sub(bytes);
            let rest = chunk.len() - from;
            let count = match chunk.may_be_cut() {
                true => chunk.fitting(from, room).min(rest),
                false => rest,
            };
            for number in from..from + count {
                let command = chunk.command(number);
                bytes += command.len();
                entry.push(command);
            }
            waiters.push(chunk.take_waiters(count));
            if count < rest {
                self.begun = Some((chunk, from + count));
            }
            if bytes >= ENTRY_BYTES || self.begun.is_some() {
                break;
            }
        }
        if waiters.is_empty() {
            return;
        }
        let proposal = self.group.propose(entry.finish());
        self.flights.push_back(Box::pin(async move {
            let outcome = proposal.await;
            Landed { waiters, outcome }
        }));
    }

    fn land(&self, flight: Landed) {
        let outcomes = match flight.outcome {
            Ok(reply) => match reply.downcast::<Vec<Outcome>>() {
                Ok(outcomes) => Ok(*outcomes),
                Err(_) => Err(None),
            },
            Err(error) => Err(refusal(&error)),
        };
        let mut published = Answers::new(&*self.outlet);
        match outcomes {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for waiters in flight.waiters {
                    let count = waiters.len();
                    published.answer(waiters, outcomes.by_ref().take(count));
                }
            }
            // Who waits for an unknown outcome is let go without an answer.
            Err(None) => {}
            Err(Some(error)) => {
                for waiters in flight.waiters {
                    published.refuse(waiters, &error);
                }
            }
        }
        published.send();
    }
}

/// What to answer when nothing was appended; `None`: it is not known whether something was.
pub(crate) fn refusal(error: &ProposeError) -> Option<Error> {
    match error {
        ProposeError::Unknown => None,
        ProposeError::Refused(error) => Some(Error::from(error.clone())),
        ProposeError::NotLeader | ProposeError::Stopped => Some(Error::NotAvailable),
    }
}

/// Answers to publishers, collected as long as they are of one account.
pub(super) struct Answers<'a> {
    outlet: &'a dyn Outlet,
    account: Option<Arc<str>>,
    published: Vec<Published>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(outlet: &'a dyn Outlet) -> Self {
        Self {
            outlet,
            account: None,
            published: Vec::new(),
        }
    }

    fn answer(&mut self, waiters: Waiters, mut outcomes: impl Iterator<Item = Outcome>) {
        match waiters {
            // A caller that has gone away wants no answer.
            Waiters::Caller { tell, .. } => drop(tell.send(Ok(outcomes.collect()))),
            Waiters::Publishers { stream, tickets } => {
                self.turn_to(stream.account());
                for ticket in tickets {
                    let (Some(ticket), Some(outcome)) = (ticket, outcomes.next()) else {
                        continue;
                    };
                    let stream = Arc::clone(stream.name());
                    self.published.push(Published {
                        ticket,
                        stream,
                        result: stored(outcome),
                    });
                }
            }
        }
    }

    pub(super) fn refuse(&mut self, waiters: Waiters, error: &Error) {
        match waiters {
            Waiters::Caller { tell, .. } => drop(tell.send(Err(error.clone()))),
            Waiters::Publishers { stream, tickets } => {
                self.turn_to(stream.account());
                self.published
                    .extend(tickets.into_iter().flatten().map(|ticket| Published {
                        ticket,
                        stream: Arc::clone(stream.name()),
                        result: Err(error.clone()),
                    }));
            }
        }
    }

    fn turn_to(&mut self, account: &Arc<str>) {
        if self.account.as_ref() != Some(account) {
            self.send();
            self.account = Some(Arc::clone(account));
        }
    }

    pub(super) fn send(&mut self) {
        if let (Some(account), false) = (&self.account, self.published.is_empty()) {
            self.outlet
                .published(account, std::mem::take(&mut self.published));
        }
    }
}

fn stored(outcome: Outcome) -> Result<Stored, Error> {
    match outcome {
        Outcome::Stored { seq } => Ok(Stored {
            seq,
            duplicate: false,
        }),
        Outcome::Duplicate { seq } => Ok(Stored { seq, duplicate: true }),
        Outcome::Refused(error) => Err(error),
        _ => Err(Error::NotAvailable),
    }
}
