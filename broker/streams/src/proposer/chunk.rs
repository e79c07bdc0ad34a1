//! Commands that were handed over together, and who waits for their outcomes.

use tokio::sync::oneshot;

use crate::command::Outcome;
use crate::error::Error;
use crate::service::handle::StreamRef;
use crate::service::outlet::Ticket;

/// What a caller is told: the outcome of each of its commands, or why there is none.
pub(crate) type Answer = Result<Vec<Outcome>, Error>;

/// What a chunk costs beside its commands.
const CHUNK_BYTES: usize = 256;

/// What a command costs beside its bytes: its end, and who waits for it.
const COMMAND_BYTES: usize = 64;

/// Encoded commands, one after the other.
pub(crate) struct Chunk {
    commands: Vec<u8>,
    /// Where each command ends.
    ends: Vec<u32>,
    waiters: Waiters,
}

/// Who waits for the outcomes of a chunk.
pub(crate) enum Waiters {
    /// Publishers: a ticket for each command, where an answer is wanted.
    Publishers {
        stream: StreamRef,
        tickets: Vec<Option<Ticket>>,
    },
    /// One caller for all commands.
    Caller {
        tell: oneshot::Sender<Answer>,
        count: usize,
    },
}

impl Chunk {
    /// Commands of one caller, to be applied in one entry.
    pub(crate) fn of_caller(commands: Vec<u8>, ends: Vec<u32>, tell: oneshot::Sender<Answer>) -> Self {
        let count = ends.len();
        Self {
            commands,
            ends,
            waiters: Waiters::Caller { tell, count },
        }
    }

    /// Publishes, as many tickets as commands.
    pub(crate) fn of_publishers(
        stream: StreamRef,
        commands: Vec<u8>,
        ends: Vec<u32>,
        tickets: Vec<Option<Ticket>>,
    ) -> Self {
        debug_assert_eq!(ends.len(), tickets.len());
        Self {
            commands,
            ends,
            waiters: Waiters::Publishers { stream, tickets },
        }
    }

    /// What it costs to keep it.
    pub(crate) fn bytes(&self) -> usize {
        CHUNK_BYTES + self.commands.len() + self.ends.len() * COMMAND_BYTES
    }

    /// How many commands from `from` on fit into `room` bytes; at least one.
    pub(crate) fn fitting(&self, from: usize, room: usize) -> usize {
        let start = self.start(from);
        let fitting = self.ends[from..].partition_point(|&end| end as usize - start <= room);
        fitting.max(1)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Publishes of clients.
    pub(crate) fn is_published(&self) -> bool {
        matches!(self.waiters, Waiters::Publishers { .. })
    }

    /// A caller's commands stay together.
    pub(crate) fn may_be_cut(&self) -> bool {
        self.is_published()
    }

    pub(crate) fn command(&self, number: usize) -> &[u8] {
        &self.commands[self.start(number)..self.ends[number] as usize]
    }

    /// Takes those who wait for the next `count` commands; each waiter is taken once.
    pub(crate) fn take_waiters(&mut self, count: usize) -> Waiters {
        match &mut self.waiters {
            Waiters::Publishers { stream, tickets } => {
                let rest = tickets.split_off(count.min(tickets.len()));
                let taken = std::mem::replace(tickets, rest);
                Waiters::Publishers {
                    stream: stream.clone(),
                    tickets: taken,
                }
            }
            Waiters::Caller { .. } => {
                let (nobody, _) = oneshot::channel();
                let nothing = Waiters::Caller {
                    tell: nobody,
                    count: 0,
                };
                std::mem::replace(&mut self.waiters, nothing)
            }
        }
    }

    pub(crate) fn into_waiters(self) -> Waiters {
        self.waiters
    }

    fn start(&self, number: usize) -> usize {
        match number {
            0 => 0,
            _ => self.ends[number - 1] as usize,
        }
    }
}

impl Waiters {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Publishers { tickets, .. } => tickets.len(),
            Self::Caller { count, .. } => *count,
        }
    }
}
