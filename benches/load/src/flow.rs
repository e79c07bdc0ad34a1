//! Messages that flow as fast as the broker lets them: publishers, subscribers, or both.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};

use crate::Target;
use crate::background::Background;
use crate::batch::{Batch, delivery_len};
use crate::connection::Connection;
use crate::gauge::Gauge;
use crate::poll::nap;
use crate::progress::{Progress, TICK};
use crate::publish::{self, Publisher, Stop};
use crate::receive::{self, Received, Tally};
use crate::report::{Meter, Report, Unit};
use crate::units::thousands;

/// What flows from where to where.
#[derive(Clone, Debug)]
pub struct Flow {
    pub publishers: usize,
    /// None: what the server takes is counted.
    pub subscribers: usize,
    pub subjects: Subjects,
    /// Queue groups that the subscribers are dealt to. None: each subscriber gets every message.
    pub queue_groups: usize,
    /// The subject, or what the subjects begin with.
    pub subject: String,
    pub payload_bytes: usize,
    pub stop: Stop,
    pub batch_bytes: usize,
    /// Bytes that may be outstanding, a subscriber on average; 0 for any number.
    pub window_bytes: u64,
    pub background: Background,
}

/// Who meets whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// All on one subject.
    One,
    /// One subject a pair of a publisher and a subscriber. If there are more of one side, they join the pairs;
    /// subscribers evenly.
    Pairs,
}

/// Bytes that may be outstanding for a subscriber unless said otherwise.
pub const WINDOW_BYTES: u64 = 8 << 20;

/// More than this is never outstanding in all, however many subscribers there are.
const MAX_OUTSTANDING_BYTES: u64 = 256 << 20;

/// As many as four digits can number.
const MAX_SUBJECTS: usize = 10_000;

/// The only subscription of its connection.
const SID: u64 = 1;

impl Flow {
    /// Runs it once.
    ///
    /// # Errors
    /// The server refuses or closes a connection, or delivers nothing any more.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        self.check()?;
        let _background = self.background.subscribe(&target.address)?;
        progress.begin("subscribing", Some(self.subscribers as u64));
        let subscribers = self.subscribe(target, progress)?;
        let streams: Vec<&TcpStream> = subscribers.iter().map(|subscriber| &subscriber.stream).collect();
        let mut publishers = self.connect_publishers(target)?;
        let gauge = Gauge::new(self.fan(), self.window());
        let mut report = Report {
            work: self.title(),
            payload_bytes: self.payload_bytes,
            extra_subscriptions: self.background.subscriptions,
            unit: if self.subscribers > 0 {
                Unit::Delivery
            } else {
                Unit::Message
            },
            ..Report::default()
        };
        progress.begin(&report.work, self.total());
        let run = Run {
            flow: self,
            gauge: &gauge,
            progress,
        };
        run.measure(&streams, &mut publishers, target, &mut report)?;
        Ok(report)
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let mut title = match (self.subscribers, self.queue_groups) {
            (0, _) => format!("{} publishing", self.publishers),
            (subscribers, 0) => format!("{}:{subscribers}", self.publishers),
            (subscribers, groups) => format!("{}:{subscribers} in {groups} queue groups", self.publishers),
        };
        title += &format!(", {} B", self.payload_bytes);
        if self.subjects == Subjects::One
            && self.queue_groups == 0
            && self.publishers.min(self.subscribers) > 1
        {
            title += ", one subject";
        }
        if self.background.subscriptions > 0 {
            title += &format!(
                ", {} other subscriptions",
                thousands(self.background.subscriptions as u64)
            );
        }
        title
    }

    fn check(&self) -> Result<()> {
        ensure!(self.publishers > 0, "there is no publisher");
        ensure!(
            self.queue_groups <= self.subscribers,
            "there are more queue groups than subscribers"
        );
        let is_even = self.queue_groups > 0 || self.subscribers.is_multiple_of(self.subject_count());
        ensure!(
            is_even,
            "subscribers are no multiple of publishers: give all one subject, or other numbers"
        );
        ensure!(
            self.subject_count() <= MAX_SUBJECTS,
            "more than {MAX_SUBJECTS} pairs"
        );
        Ok(())
    }

    fn subject_count(&self) -> usize {
        match self.subjects {
            Subjects::One => 1,
            Subjects::Pairs => self.publishers.min(self.subscribers.max(1)),
        }
    }

    fn subject(&self, index: usize) -> String {
        match self.subjects {
            Subjects::One => self.subject.clone(),
            // All of one length, and with them all messages.
            Subjects::Pairs => format!("{}.{:04}", self.subject, index % self.subject_count()),
        }
    }

    /// Deliveries a message, on average.
    fn fan(&self) -> u64 {
        match self.queue_groups {
            0 => (self.subscribers / self.subject_count()) as u64,
            groups => groups as u64,
        }
    }

    fn window(&self) -> u64 {
        if self.subscribers == 0 || self.window_bytes == 0 {
            return u64::MAX;
        }
        let bytes = self
            .window_bytes
            .saturating_mul(self.subscribers as u64)
            .min(MAX_OUTSTANDING_BYTES);
        bytes / delivery_len(&self.subject(0), SID, self.payload_bytes)
    }

    fn total(&self) -> Option<u64> {
        match self.stop {
            Stop::AfterMessages(each) => Some(each * self.publishers as u64 * self.fan().max(1)),
            Stop::After(_) => None,
        }
    }

    fn subscribe(&self, target: &Target, progress: &Progress) -> Result<Vec<Connection>> {
        let commands = |index| {
            let subject = self.subject(index);
            match self.queue_groups {
                0 => format!("SUB {subject} {SID}\r\n"),
                groups => format!("SUB {subject} group{} {SID}\r\n", index % groups),
            }
            .into_bytes()
        };
        Connection::open_many(&target.address, self.subscribers, commands, |count| {
            progress.at(count as u64)
        })
    }

    fn connect_publishers(&self, target: &Target) -> Result<Vec<Publisher>> {
        let batches: Vec<Arc<Batch>> = (0..self.subject_count())
            .map(|index| {
                Arc::new(Batch::new(
                    &self.subject(index),
                    self.payload_bytes,
                    self.batch_bytes,
                ))
            })
            .collect();
        (0..self.publishers)
            .map(|index| {
                let batch = Arc::clone(&batches[index % batches.len()]);
                Ok(Publisher::new(
                    Connection::open(&target.address, b"")?,
                    batch,
                    self.stop,
                ))
            })
            .collect()
    }
}

/// A run that is under way.
struct Run<'a> {
    flow: &'a Flow,
    gauge: &'a Gauge,
    progress: &'a Progress,
}

impl Run<'_> {
    fn measure(
        &self,
        subscribers: &[&TcpStream],
        publishers: &mut [Publisher],
        target: &Target,
        report: &mut Report,
    ) -> Result<()> {
        let message_len = delivery_len(&self.flow.subject(0), SID, self.flow.payload_bytes);
        let per_receiver = per_thread(subscribers.len());
        let per_sender = per_thread(publishers.len());
        let (meter, taken_at, received) = thread::scope(|scope| {
            let receivers: Vec<_> = subscribers
                .chunks(per_receiver)
                .map(|some| scope.spawn(move || self.guard(receive::count(some, message_len, self.gauge))))
                .collect();
            let meter = self.guard(Meter::start(target.server_pid))?;
            let senders: Vec<_> = publishers
                .chunks_mut(per_sender)
                .map(|some| scope.spawn(move || self.guard(publish::run(some, self.flow.stop, self.gauge))))
                .collect();
            let sent = self.await_all(senders);
            let taken_at = Instant::now();
            self.gauge.expect(self.gauge.published() * self.flow.fan());
            let received = self.await_all(receivers);
            // A subscriber that was cut explains why a publisher gave up, not the other way round.
            let received: Vec<Received> = received?;
            sent?;
            anyhow::Ok((meter, taken_at, received))
        })?;
        let published: Vec<u64> = publishers.iter().map(Publisher::published).collect();
        report.published = published.iter().sum();
        if subscribers.is_empty() {
            return meter.stop(taken_at, report.published, report);
        }
        let bytes: Vec<u64> = received
            .iter()
            .flat_map(|received| received.bytes.iter().copied())
            .collect();
        let tally = self.flow.tally(&published, &bytes, message_len);
        (report.lost, report.surplus) = (tally.lost, tally.surplus);
        let last_at = received
            .iter()
            .map(|received| received.last_at)
            .max()
            .unwrap_or(taken_at);
        meter.stop(last_at, tally.delivered, report)
    }

    /// What fails stops all.
    fn guard<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.gauge.abort();
        }
        result
    }

    /// Shows progress until all threads have ended.
    fn await_all<T>(&self, threads: Vec<ScopedJoinHandle<'_, Result<T>>>) -> Result<Vec<T>> {
        while threads.iter().any(|thread| !thread.is_finished()) {
            nap(TICK);
            let done = if self.flow.subscribers > 0 {
                self.gauge.delivered()
            } else {
                self.gauge.published()
            };
            self.progress.at(done);
        }
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow!("a thread panicked"))
                    .and_then(|result| result)
            })
            .collect()
    }
}

impl Flow {
    fn tally(&self, published: &[u64], bytes: &[u64], message_len: u64) -> Tally {
        if self.queue_groups > 0 {
            let delivered: u64 = bytes.iter().map(|bytes| bytes / message_len).sum();
            let expected = published.iter().sum::<u64>() * self.queue_groups as u64;
            return Tally::of(delivered, 1, expected);
        }
        let subjects = self.subject_count();
        let expected = |subscriber: usize| {
            published
                .iter()
                .skip(subscriber % subjects)
                .step_by(subjects)
                .sum()
        };
        bytes
            .iter()
            .enumerate()
            .map(|(subscriber, &bytes)| Tally::of(bytes, message_len, expected(subscriber)))
            .fold(Tally::default(), Tally::and)
    }
}

/// Sockets a thread: half of the cores send and half receive, the broker needs them too.
fn per_thread(sockets: usize) -> usize {
    let threads = thread::available_parallelism()
        .map_or(1, |cores| cores.get() / 2)
        .max(1);
    sockets.div_ceil(threads).max(1)
}
