//! A flow that is under way.

use std::net::TcpStream;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::Target;
use crate::flow::Flow;
use crate::gauge::Gauge;
use crate::poll::nap;
use crate::progress::{Progress, TICK};
use crate::publish::{self, Publisher};
use crate::receive::{self, Received, Tally};
use crate::report::{Meter, Report};

/// What the threads of a run work with.
pub struct Run<'a> {
    pub flow: &'a Flow,
    pub gauge: &'a Gauge,
    pub progress: &'a Progress,
}

impl Run<'_> {
    /// Lets everything flow until it has arrived, and fills in the report.
    ///
    /// # Errors
    /// A connection was closed, or what is published does not arrive.
    pub fn measure(
        &self,
        subscribers: &[&TcpStream],
        publishers: &mut [Publisher],
        target: &Target,
        report: &mut Report,
    ) -> Result<()> {
        let message_len = self.flow.delivery_len();
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
