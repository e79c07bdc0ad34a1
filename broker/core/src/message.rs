//! Messages on their way: runs of one subject, and batches of runs between workers.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::account::AccountId;
use crate::inject::Gate;
use crate::interest::WorkerMask;

/// A place in a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    #[inline]
    pub fn new(start: usize, len: usize) -> Self {
        Self {
            start: start as u32,
            len: len as u32,
        }
    }

    /// Where `part`, a slice of `whole`, stands in it. An empty part may come from anywhere.
    #[inline]
    pub fn of(whole: &[u8], part: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        debug_assert!(start + part.len() <= whole.len(), "part of another buffer");
        Self::new(start, part.len())
    }

    #[inline]
    pub fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    #[inline]
    pub fn len(self) -> usize {
        self.len as usize
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// One message of a run.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Reply subject, in the run's `names`; empty: none.
    pub reply: Span,
    /// Headers and payload, in the run's `buffer`.
    pub body: Span,
    /// Bytes of the body that are headers.
    pub header_len: u32,
}

/// Consecutive messages of one subject, as one read of a socket brought them.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub subject: &'a [u8],
    /// What the bodies point into.
    pub buffer: &'a [u8],
    /// What the reply subjects point into.
    pub names: &'a [u8],
    pub entries: &'a [Entry],
    /// Set when `buffer` is reference-counted: large bodies can then be delivered without a copy.
    pub shared: Option<&'a Bytes>,
}

impl<'a> Run<'a> {
    #[inline]
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        &self.buffer[span.range()]
    }

    /// The reply subject of one of its entries; empty: none.
    #[inline]
    pub fn reply(&self, entry: &Entry) -> &'a [u8] {
        &self.names[entry.reply.range()]
    }

    /// Headers and payload of one of its entries.
    #[inline]
    pub fn body(&self, entry: &Entry) -> &'a [u8] {
        &self.buffer[entry.body.range()]
    }

    /// The same run with its first `count` entries.
    #[inline]
    pub(crate) fn first(&self, count: usize) -> Self {
        Self {
            entries: &self.entries[..count],
            ..*self
        }
    }

    /// The same run without its first `count` entries.
    #[inline]
    pub(crate) fn after(&self, count: usize) -> Self {
        Self {
            entries: &self.entries[count..],
            ..*self
        }
    }

    pub(crate) fn single(&self, index: usize) -> Self {
        Self {
            entries: &self.entries[index..=index],
            ..*self
        }
    }

    /// Bytes of all bodies.
    #[inline]
    pub fn body_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.body.len)).sum()
    }
}

/// Runs that one worker hands to others at once. Immutable once sent.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    pub(crate) runs: Vec<BatchRun>,
    /// Closed when a recipient of what the broker itself sent is behind.
    pub(crate) gate: Option<Arc<Gate>>,
}

/// One run of a batch.
pub(crate) struct BatchRun {
    pub(crate) account: AccountId,
    /// Workers it is for.
    pub(crate) workers: WorkerMask,
    /// The queue group it is for; `None`: plain subscriptions.
    queue: Option<Span>,
    /// Handed on once already because the chosen worker had no member left.
    pub(crate) redirected: bool,
    /// Nobody else gets it: if nobody there takes it, the publisher is to be told.
    pub(crate) sole: bool,
    /// Who published it: to be told when it goes nowhere, or to be held back. `None`: the broker itself.
    pub(crate) origin: Option<Origin>,
    /// What clients see.
    subject: Span,
    /// What decides where it goes: the subject, except for what the broker sends to an inbox.
    route: Span,
    pub(crate) entries: Range<u32>,
    shared: Option<Bytes>,
}

/// One message of the broker itself.
pub(crate) struct Message<'a> {
    /// What decides where it goes.
    pub(crate) route: &'a [u8],
    /// What clients see.
    pub(crate) subject: &'a [u8],
    /// Empty: none.
    pub(crate) reply: &'a [u8],
    /// Bytes of the body that are headers.
    pub(crate) header_len: usize,
    pub(crate) body: Body<'a>,
}

/// Headers and payload.
pub(crate) enum Body<'a> {
    /// To be copied.
    Parts(&'a [u8], &'a [u8]),
    /// Stays where it is.
    Shared(&'a Bytes),
}

/// A publisher, named across workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) worker: usize,
    pub(crate) conn: u64,
}

/// Where a run goes.
pub(crate) struct Address<'a> {
    pub(crate) account: AccountId,
    pub(crate) workers: WorkerMask,
    pub(crate) queue: Option<&'a [u8]>,
    pub(crate) redirected: bool,
    pub(crate) sole: bool,
    pub(crate) origin: Option<Origin>,
    /// What decides where it goes, if not the run's subject.
    pub(crate) route: Option<&'a [u8]>,
}

/// Room that a batch starts with, at most.
const BATCH_BYTES: usize = 64 << 10;

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes that the batch holds in memory, about.
    pub(crate) fn size_bytes(&self) -> usize {
        let shared: usize = self
            .runs
            .iter()
            .filter_map(|run| run.shared.as_ref())
            .map(Bytes::len)
            .sum();
        self.bytes.len()
            + shared
            + self.entries.len() * size_of::<Entry>()
            + self.runs.len() * size_of::<BatchRun>()
    }

    /// Copies a run into the batch; a reference-counted buffer is only referenced.
    pub(crate) fn push(&mut self, address: Address<'_>, run: &Run<'_>) {
        if self.bytes.capacity() == 0 {
            // Most batches are about what one read brought; growing there step by step would copy it all again.
            self.bytes.reserve(run.buffer.len().min(BATCH_BYTES));
        }
        let queue = address.queue.map(|queue| self.put(queue));
        let subject = self.put(run.subject);
        let route = address.route.map_or(subject, |route| self.put(route));
        let first = self.entries.len() as u32;
        self.copy_entries(run);
        self.runs.push(BatchRun {
            account: address.account,
            workers: address.workers,
            queue,
            redirected: address.redirected,
            sole: address.sole,
            origin: address.origin,
            subject,
            route,
            entries: first..self.entries.len() as u32,
            shared: run.shared.cloned(),
        });
    }

    /// Adds a message of the broker itself; [`BatchRun::workers`] is still to be set. It joins the last run where that
    /// is alike.
    pub(crate) fn add(&mut self, account: AccountId, message: &Message<'_>) {
        let reply = self.put_unless_empty(message.reply);
        let (body, shared) = match &message.body {
            Body::Parts(headers, payload) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(headers);
                self.bytes.extend_from_slice(payload);
                (Span::new(start, self.bytes.len() - start), None)
            }
            Body::Shared(bytes) => (Span::new(0, bytes.len()), Some((*bytes).clone())),
        };
        self.entries.push(Entry {
            reply,
            body,
            header_len: message.header_len as u32,
        });
        let end = self.entries.len() as u32;
        if shared.is_none()
            && let Some(last) = self.runs.last()
            && last.shared.is_none()
            && self.bytes[last.subject.range()] == *message.subject
            && self.bytes[last.route.range()] == *message.route
            && let Some(last) = self.runs.last_mut()
        {
            last.entries.end = end;
            return;
        }
        let subject = self.put(message.subject);
        let route = if message.route == message.subject {
            subject
        } else {
            self.put(message.route)
        };
        self.runs.push(BatchRun {
            account,
            workers: 0,
            queue: None,
            redirected: false,
            sole: false,
            origin: None,
            subject,
            route,
            entries: end - 1..end,
            shared,
        });
    }

    /// Sends one message of a run to a worker for a queue group too.
    pub(crate) fn add_queue_run(&mut self, at: usize, entry: u32, queue: &[u8], worker: usize) {
        let queue = self.put(queue);
        let of = &self.runs[at];
        let run = BatchRun {
            account: of.account,
            workers: 1 << worker,
            queue: Some(queue),
            redirected: false,
            sole: false,
            origin: None,
            subject: of.subject,
            route: of.route,
            entries: entry..entry + 1,
            shared: of.shared.clone(),
        };
        self.runs.push(run);
    }

    fn copy_entries(&mut self, run: &Run<'_>) {
        self.entries.reserve(run.entries.len());
        for entry in run.entries {
            let reply = self.put_unless_empty(run.reply(entry));
            let body = match run.shared {
                Some(_) => entry.body,
                None => self.put(run.body(entry)),
            };
            self.entries.push(Entry {
                reply,
                body,
                header_len: entry.header_len,
            });
        }
    }

    fn put_unless_empty(&mut self, bytes: &[u8]) -> Span {
        if bytes.is_empty() {
            return Span::default();
        }
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.bytes.len(), bytes.len());
        self.bytes.extend_from_slice(bytes);
        span
    }

    pub(crate) fn run<'a>(&'a self, run: &'a BatchRun) -> Run<'a> {
        Run {
            subject: &self.bytes[run.subject.range()],
            buffer: run.shared.as_ref().map_or(&self.bytes[..], |shared| &shared[..]),
            names: &self.bytes,
            entries: &self.entries[run.entries.start as usize..run.entries.end as usize],
            shared: run.shared.as_ref(),
        }
    }

    /// What decides where the run goes.
    pub(crate) fn route<'a>(&'a self, run: &BatchRun) -> &'a [u8] {
        &self.bytes[run.route.range()]
    }

    pub(crate) fn queue<'a>(&'a self, run: &BatchRun) -> Option<&'a [u8]> {
        run.queue.map(|queue| &self.bytes[queue.range()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_put_in() {
        let buffer = b"inboxhello";
        let entries = [
            Entry {
                reply: Span::new(0, 5),
                body: Span::new(5, 5),
                header_len: 2,
            },
            Entry {
                reply: Span::default(),
                body: Span::new(9, 1),
                header_len: 0,
            },
        ];
        let run = Run {
            subject: b"a.b",
            buffer,
            names: buffer,
            entries: &entries,
            shared: None,
        };
        let shared = Bytes::from_static(buffer);
        let mut batch = Batch::default();
        let address = |queue| Address {
            account: AccountId(3),
            workers: 2,
            queue,
            redirected: false,
            sole: false,
            origin: Some(Origin { worker: 0, conn: 9 }),
            route: queue.is_some().then_some(&b"r"[..]),
        };
        batch.push(address(Some(&b"q"[..])), &run);
        batch.push(
            address(None),
            &Run {
                shared: Some(&shared),
                ..run
            },
        );
        for at in 0..2 {
            let run = batch.run(&batch.runs[at]);
            assert_eq!(run.subject, b"a.b");
            let seen: Vec<_> = run.entries.iter().map(|e| (run.reply(e), run.body(e))).collect();
            assert_eq!(seen, [(&b"inbox"[..], &b"hello"[..]), (&b""[..], &b"o"[..])]);
        }
        assert_eq!(batch.queue(&batch.runs[0]), Some(&b"q"[..]));
        assert_eq!(batch.queue(&batch.runs[1]), None);
        assert_eq!(batch.route(&batch.runs[0]), b"r");
        assert_eq!(batch.route(&batch.runs[1]), b"a.b");
    }
}
