//! Messages on their way: runs of one subject, and batches of runs between workers.

use std::ops::Range;

use bytes::Bytes;

use crate::account::AccountId;
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

/// One message of a run. Places are in the run's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Reply subject; empty: none.
    pub reply: Span,
    /// Headers and payload.
    pub body: Span,
    /// Bytes of the body that are headers.
    pub header_len: u32,
}

/// Consecutive messages of one subject, as one read of a socket brought them.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub subject: &'a [u8],
    /// What the entries point into.
    pub buffer: &'a [u8],
    pub entries: &'a [Entry],
    /// Set when `buffer` is reference-counted: large bodies can then be delivered without a copy.
    pub shared: Option<&'a Bytes>,
}

impl<'a> Run<'a> {
    #[inline]
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        &self.buffer[span.range()]
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
    pub(crate) fn body_bytes(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.body.len)).sum()
    }
}

/// Runs that one worker hands to others at once. Immutable once sent.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    pub(crate) runs: Vec<BatchRun>,
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
    /// Who published it: to be told when it goes nowhere, or to be held back.
    pub(crate) origin: Origin,
    subject: Span,
    entries: Range<u32>,
    shared: Option<Bytes>,
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
    pub(crate) origin: Origin,
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
        let first = self.entries.len() as u32;
        match run.shared {
            Some(_) => self.entries.extend_from_slice(run.entries),
            None => self.copy_entries(run),
        }
        self.runs.push(BatchRun {
            account: address.account,
            workers: address.workers,
            queue,
            redirected: address.redirected,
            sole: address.sole,
            origin: address.origin,
            subject,
            entries: first..self.entries.len() as u32,
            shared: run.shared.cloned(),
        });
    }

    fn copy_entries(&mut self, run: &Run<'_>) {
        self.entries.reserve(run.entries.len());
        for entry in run.entries {
            let reply = if entry.reply.is_empty() {
                Span::default()
            } else {
                self.put(run.bytes(entry.reply))
            };
            let body = self.put(run.bytes(entry.body));
            self.entries.push(Entry {
                reply,
                body,
                header_len: entry.header_len,
            });
        }
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
            entries: &self.entries[run.entries.start as usize..run.entries.end as usize],
            shared: run.shared.as_ref(),
        }
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
            origin: Origin { worker: 0, conn: 9 },
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
            let seen: Vec<_> = run
                .entries
                .iter()
                .map(|e| (run.bytes(e.reply), run.bytes(e.body)))
                .collect();
            assert_eq!(seen, [(&b"inbox"[..], &b"hello"[..]), (&b""[..], &b"o"[..])]);
        }
        assert_eq!(batch.queue(&batch.runs[0]), Some(&b"q"[..]));
        assert_eq!(batch.queue(&batch.runs[1]), None);
    }
}
