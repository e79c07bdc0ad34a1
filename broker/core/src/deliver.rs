//! From a publisher to its recipients: runs, queue groups, and what arrives from other workers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::conn::{Conn, Encoder, STALL, Stall};
use crate::inject::Matched;
use crate::message::{Address, Batch, BatchRun, Entry, Origin, Run, Span};
use crate::node::WorkerMessage;
use crate::route::{Pick, QueueRoute, Route};
use crate::subscription::Subscription;
use crate::tap::Source;
use crate::worker::{LocalAccount, Worker};

/// A body of at least this size stays where it is, when its buffer is reference-counted.
const LARGE_BODY_BYTES: usize = 16 << 10;
/// An encoded run of at least this size is shared between its recipients instead of copied to each.
const SHARED_IMAGE_BYTES: usize = 8 << 10;
/// A recipient with so many bytes waiting is written to at once, while they are still in the cache.
const EAGER_FLUSH_BYTES: usize = 64 << 10;

/// One connection's messages of one read batch. Consecutive messages of one subject form a run; a run is delivered
/// when another subject comes, when the caller ends it, and at the end.
///
/// The caller ends the run before it handles any other command, and calls [`Worker::finish_batch`] after the last.
pub struct Publisher<'a> {
    worker: &'a Worker,
    conn: &'a Rc<Conn>,
    local: Option<Rc<LocalAccount>>,
    buffer: &'a [u8],
    shared: Option<&'a Bytes>,
    subject: &'a [u8],
    entries: Vec<Entry>,
    bytes: u64,
    restricted: bool,
}

/// A publish was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbidden;

/// Messages of a run at most: its entries stay in the first-level cache.
const MAX_RUN: usize = 1024;

impl<'a> Publisher<'a> {
    /// Messages will be slices of `buffer`; `shared` is the same buffer, where it is reference-counted.
    pub fn new(worker: &'a Worker, conn: &'a Rc<Conn>, buffer: &'a [u8], shared: Option<&'a Bytes>) -> Self {
        Self {
            worker,
            conn,
            local: worker.account(conn.account()),
            buffer,
            shared,
            subject: b"",
            entries: worker.entries.take(),
            bytes: 0,
            restricted: conn.restricts_publish(),
        }
    }

    /// The connection's account or permissions changed.
    pub fn identity_changed(&mut self) {
        self.end_run();
        self.local = self.worker.account(self.conn.account());
        self.restricted = self.conn.restricts_publish();
    }

    /// Publishes one message. All slices are of the publisher's buffer.
    ///
    /// # Errors
    /// The user may not publish to this subject.
    #[inline]
    pub fn publish(
        &mut self,
        subject: &'a [u8],
        reply: &[u8],
        header_len: usize,
        body: &[u8],
    ) -> Result<(), Forbidden> {
        self.bytes += body.len() as u64;
        if self.restricted && !self.conn.may_publish(subject) {
            self.conn.count_in(1, body.len() as u64);
            self.bytes -= body.len() as u64;
            return Err(Forbidden);
        }
        if subject != self.subject || self.entries.len() >= MAX_RUN {
            let bytes = std::mem::take(&mut self.bytes) - body.len() as u64;
            self.deliver(bytes);
            self.bytes = body.len() as u64;
            self.subject = subject;
        }
        let reply = Span::of(self.buffer, reply);
        let body = Span::of(self.buffer, body);
        self.entries.push(Entry {
            reply,
            body,
            header_len: header_len as u32,
        });
        Ok(())
    }

    /// Delivers what was collected.
    pub fn end_run(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.deliver(bytes);
        self.subject = b"";
    }

    fn deliver(&mut self, bytes: u64) {
        if self.entries.is_empty() {
            return;
        }
        self.conn.count_in(self.entries.len() as u64, bytes);
        if let Some(local) = &self.local {
            let run = Run {
                subject: self.subject,
                buffer: self.buffer,
                names: self.buffer,
                entries: &self.entries,
                shared: self.shared,
            };
            self.worker.publish_run(self.conn, local, &run);
        }
        self.entries.clear();
    }
}

impl Drop for Publisher<'_> {
    fn drop(&mut self) {
        self.end_run();
        self.worker.entries.set(std::mem::take(&mut self.entries));
    }
}

impl Worker {
    fn publish_run(&self, publisher: &Rc<Conn>, local: &LocalAccount, run: &Run<'_>) {
        self.send_run(publisher, local, run);
        if let Some(recipient) = self.behind.take() {
            *publisher.stall.borrow_mut() = Some(Stall::Recipient(recipient, Instant::now()));
        }
    }

    fn send_run(&self, publisher: &Rc<Conn>, local: &LocalAccount, run: &Run<'_>) {
        let route = self.route(local, run.subject);
        let origin = Origin {
            worker: self.index,
            conn: publisher.id(),
        };
        let mut delivered = self.deliver_plain(&route.plain, run, Some(publisher));
        if !route.taps.is_empty() {
            delivered = run.entries.len();
            self.tap(&route, publisher, run);
        }
        if route.workers != 0 {
            let address = Address {
                account: local.account.id,
                workers: route.workers,
                queue: None,
                redirected: false,
                sole: delivered == 0 && route.queues.is_empty() && route.workers.is_power_of_two(),
                origin: Some(origin),
                route: None,
            };
            delivered = run.entries.len();
            self.outgoing.borrow_mut().push(address, run);
        }
        if route.queues.is_empty() {
            tell_no_responders(publisher, &run.after(delivered));
            return;
        }
        for index in 0..run.entries.len() {
            let single = run.single(index);
            let mut taken = index < delivered;
            for queue in &route.queues {
                taken |= self.deliver_queue(queue, &single, local, origin, Some(publisher));
            }
            if !taken {
                tell_no_responders(publisher, &single);
            }
        }
    }

    /// Gives a run to the taps of its route.
    fn tap(&self, route: &Route, publisher: &Rc<Conn>, run: &Run<'_>) {
        let source = Source {
            account: publisher.account(),
            worker: self.index,
            conn: publisher.id(),
        };
        for tap in &route.taps {
            tap.take(source, run);
            if tap.is_full() {
                *publisher.stall.borrow_mut() = Some(Stall::Tap(Arc::clone(tap)));
            }
        }
    }

    /// Gives one message to one member of a queue group; false when it has none.
    fn deliver_queue(
        &self,
        queue: &QueueRoute,
        run: &Run<'_>,
        local: &LocalAccount,
        origin: Origin,
        publisher: Option<&Rc<Conn>>,
    ) -> bool {
        match queue.pick(self.random()) {
            None => false,
            Some(Pick::Worker(worker)) => {
                self.redirect(queue, run, local, Hop::first(origin, worker));
                true
            }
            Some(Pick::Member(first)) => {
                if self.deliver_to_member(queue, run, first, publisher) {
                    return true;
                }
                // The members of this worker would not take it (own messages without echo, used up): another's may.
                let Some((worker, _)) = queue.workers.first() else {
                    return false;
                };
                self.redirect(queue, run, local, Hop::first(origin, *worker));
                true
            }
        }
    }

    /// Tries the members of this worker in turn, from the `first` on.
    fn deliver_to_member(
        &self,
        queue: &QueueRoute,
        run: &Run<'_>,
        first: usize,
        publisher: Option<&Rc<Conn>>,
    ) -> bool {
        let members = queue.members[first..].iter().chain(&queue.members[..first]);
        for member in members {
            if self.deliver_plain(std::slice::from_ref(member), run, publisher) > 0 {
                return true;
            }
        }
        false
    }

    fn redirect(&self, queue: &QueueRoute, run: &Run<'_>, local: &LocalAccount, hop: Hop<'_>) {
        let address = Address {
            account: local.account.id,
            workers: 1 << hop.worker,
            queue: Some(&queue.name),
            redirected: hop.redirected,
            sole: true,
            origin: hop.origin,
            route: hop.route,
        };
        self.outgoing.borrow_mut().push(address, run);
    }

    /// Delivers a run to subscriptions of this worker; returns how many of its messages, from the first on, found
    /// somebody.
    fn deliver_plain(
        &self,
        targets: &[Rc<Subscription>],
        run: &Run<'_>,
        publisher: Option<&Rc<Conn>>,
    ) -> usize {
        let mut delivered = 0;
        let mut image = Image {
            worker: self,
            recipients: targets.len(),
            made_for: None,
            shared: None,
        };
        for target in targets {
            let conn = target.conn();
            let own = publisher.is_some_and(|publisher| Rc::ptr_eq(publisher, conn));
            if target.is_closed() || (own && !conn.echo()) {
                continue;
            }
            let taken = target.take(run.entries.len());
            if taken > 0 {
                delivered = delivered.max(taken);
                let run = run.first(taken);
                image.append(&run, target);
                self.appended(conn, &run);
            }
            if target.is_exhausted() {
                self.unsubscribe(target);
            }
        }
        delivered
    }

    /// Counts, bounds and perhaps flushes what was just appended.
    #[inline]
    fn appended(&self, conn: &Rc<Conn>, run: &Run<'_>) {
        conn.count_out(run.entries.len() as u64, run.body_bytes());
        if conn.has_rights() {
            conn.expect_answers(run);
        }
        self.mark_dirty(conn);
        let pending = conn.pending_bytes();
        if pending < EAGER_FLUSH_BYTES {
            return;
        }
        // Among what waits may be the publisher's PONG, which promises that other workers have its messages.
        self.send_outgoing();
        self.flush(conn);
        let pending = conn.pending_bytes();
        if pending > self.node.limits.max_pending_bytes / 2 {
            *self.behind.borrow_mut() = Some(Rc::clone(conn));
            self.cut_beyond_bound(conn);
        }
    }

    /// Delivers a batch of another worker.
    pub(crate) fn deliver_batch(&self, batch: &Batch) {
        let mut matched = Matched::new(self);
        for batch_run in batch
            .runs
            .iter()
            .filter(|run| run.workers & (1 << self.index) != 0)
        {
            let Some(local) = self.account(batch_run.account) else {
                continue;
            };
            let run = batch.run(batch_run);
            match batch.queue(batch_run) {
                Some(name) => self.deliver_sent_to_queue(&local, name, &run, batch, batch_run),
                None if batch_run.origin.is_none() => {
                    self.deliver_plain(matched.targets(&local, batch.route(batch_run)), &run, None);
                }
                None => {
                    let route = self.route(&local, run.subject);
                    let delivered = self.deliver_plain(&route.plain, &run, None);
                    if batch_run.sole {
                        self.tell_origin(batch_run.origin, &run.after(delivered));
                    }
                }
            }
            if self.behind.take().is_some() {
                self.hold_back(batch_run.origin, batch);
            }
        }
    }

    /// The publisher's worker chose this one for a queue group; by now its members may be gone.
    fn deliver_sent_to_queue(
        &self,
        local: &LocalAccount,
        name: &[u8],
        run: &Run<'_>,
        batch: &Batch,
        batch_run: &BatchRun,
    ) {
        let subject = batch.route(batch_run);
        let route = self.route(local, subject);
        let queue = route.queues.iter().find(|queue| *queue.name == *name);
        if let Some(queue) = queue {
            let members = queue.members.len() as u64;
            if members > 0 && self.deliver_to_member(queue, run, (self.random() % members) as usize, None) {
                return;
            }
            if let Some((worker, _)) = queue.workers.first()
                && !batch_run.redirected
            {
                let hop = Hop {
                    worker: *worker,
                    redirected: true,
                    origin: batch_run.origin,
                    route: Some(subject),
                };
                return self.redirect(queue, run, local, hop);
            }
        }
        self.tell_origin(batch_run.origin, run);
    }

    fn tell_origin(&self, origin: Option<Origin>, run: &Run<'_>) {
        let Some(origin) = origin else { return };
        for entry in run.entries.iter().filter(|entry| !entry.reply.is_empty()) {
            let (subject, reply) = (run.subject.to_vec(), run.reply(entry).to_vec());
            let call = Box::new(move |worker: &Rc<Worker>| {
                if let Some(conn) = worker.conn(origin.conn) {
                    conn.io().no_responders(&subject, &reply);
                    worker.finish_batch();
                }
            });
            self.node.send(origin.worker, WorkerMessage::Call(call), 0);
        }
    }

    fn hold_back(&self, origin: Option<Origin>, batch: &Batch) {
        let Some(origin) = origin else {
            return batch.gate.iter().for_each(|gate| gate.close_for(STALL));
        };
        let end = Instant::now() + STALL;
        let call = Box::new(move |worker: &Rc<Worker>| {
            if let Some(conn) = worker.conn(origin.conn) {
                *conn.stall.borrow_mut() = Some(Stall::Until(end));
            }
        });
        self.node.send(origin.worker, WorkerMessage::Call(call), 0);
    }
}

fn tell_no_responders(publisher: &Rc<Conn>, run: &Run<'_>) {
    for entry in run.entries.iter().filter(|entry| !entry.reply.is_empty()) {
        publisher.io().no_responders(run.subject, run.reply(entry));
    }
}

/// The way of a message of a queue group to another worker.
struct Hop<'a> {
    worker: usize,
    /// It is the second.
    redirected: bool,
    origin: Option<Origin>,
    route: Option<&'a [u8]>,
}

impl Hop<'_> {
    fn first(origin: Origin, worker: usize) -> Self {
        Self {
            worker,
            redirected: false,
            origin: Some(origin),
            route: None,
        }
    }
}

/// The encoded form of a run, made once for all recipients with the same encoder and subscription id.
struct Image<'a> {
    worker: &'a Worker,
    recipients: usize,
    /// The recipient and number of messages that the image in the worker's buffer was made for.
    made_for: Option<(&'a Subscription, usize)>,
    shared: Option<Bytes>,
}

impl<'a> Image<'a> {
    fn append(&mut self, run: &Run<'_>, target: &'a Subscription) {
        let conn = target.conn();
        let encoder = conn.encoder();
        let mut pool = self.worker.pool.borrow_mut();
        let mut out = conn.out.borrow_mut();
        if let Some(shared) = run.shared
            && run
                .entries
                .iter()
                .any(|entry| entry.body.len() >= LARGE_BODY_BYTES)
        {
            for (index, entry) in run.entries.iter().enumerate() {
                if entry.body.len() < LARGE_BODY_BYTES {
                    out.append(&mut pool, |tail| {
                        encoder.run(tail, &run.single(index), target.id())
                    });
                    continue;
                }
                let mut skipped = 0;
                out.append(&mut pool, |tail| {
                    skipped = encoder.head(tail, run, entry, target.id())
                });
                let body = entry.body.range();
                out.append_shared(shared.slice(body.start + skipped..body.end));
                out.append(&mut pool, |tail| tail.extend_from_slice(encoder.tail()));
            }
            return;
        }
        if self.recipients == 1 {
            return out.append(&mut pool, |tail| encoder.run(tail, run, target.id()));
        }
        self.prepare(encoder, run, target);
        match &self.shared {
            Some(shared) => out.append_shared(shared.clone()),
            None => {
                let image = self.worker.image.borrow();
                out.append(&mut pool, |tail| tail.extend_from_slice(&image));
            }
        }
    }

    fn prepare(&mut self, encoder: &'static dyn Encoder, run: &Run<'_>, target: &'a Subscription) {
        if let Some((other, count)) = self.made_for
            && count == run.entries.len()
            && other.id() == target.id()
            && std::ptr::addr_eq(other.conn().encoder(), encoder)
        {
            return;
        }
        let mut image = self.worker.image.borrow_mut();
        image.clear();
        encoder.run(&mut image, run, target.id());
        self.shared = (image.len() >= SHARED_IMAGE_BYTES).then(|| Bytes::from(std::mem::take(&mut *image)));
        self.made_for = Some((target, run.entries.len()));
    }
}
