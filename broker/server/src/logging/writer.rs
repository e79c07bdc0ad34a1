//! A thread that writes log lines, so that nobody else waits for a disk or a terminal.
//!
//! What waits to be written is bounded. Past the bound lines are dropped and counted; the count is logged as
//! soon as there is room again.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const MAX_WAITING_LINES: usize = 16_384;
/// Bytes that may wait.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// Lines are joined into writes of at least this size when several wait.
const BATCH_BYTES: usize = 32 << 10;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where lines end up.
pub enum Sink {
    StandardError,
    File(File),
}

/// Hands lines to the thread. Clones feed the same thread.
#[derive(Clone)]
pub struct Writer {
    orders: SyncSender<Order>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    lost_lines: AtomicU64,
}

enum Order {
    Line(Vec<u8>),
    Switch(Sink),
    /// Answer when everything before is written.
    Flush(SyncSender<()>),
}

impl Writer {
    /// Starts the thread; it ends with the last clone.
    pub fn start(sink: Sink) -> io::Result<Self> {
        let (orders, inbox) = sync_channel(MAX_WAITING_LINES);
        let waiting = Arc::new(Waiting::default());
        let shared = waiting.clone();
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write_all(&inbox, sink, &shared))?;
        Ok(Self { orders, waiting })
    }

    /// Lines from here on go to another sink.
    pub fn switch(&self, sink: Sink) {
        // An error means that the thread is gone, and with it everything that could be written.
        let _ = self.orders.send(Order::Switch(sink));
    }

    /// Waits until every line so far is written, or the time is over.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.orders.send(Order::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_TIMEOUT);
        }
    }

    fn line(&self, line: &[u8]) {
        let waiting = &self.waiting;
        let before = waiting.bytes.fetch_add(line.len(), Ordering::Relaxed);
        let sent = if before + line.len() > MAX_WAITING_BYTES {
            false
        } else {
            match self.orders.try_send(Order::Line(line.to_vec())) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            }
        };
        if !sent {
            waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            waiting.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Write for &Writer {
    /// Takes one whole line: the formatter writes an event at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = &'a Writer;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

fn write_all(inbox: &Receiver<Order>, mut sink: Sink, waiting: &Waiting) {
    let mut batch = Batch::default();
    while let Ok(first) = inbox.recv() {
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Line(line) => batch.add(&line),
                Order::Switch(new) => {
                    batch.write(&mut sink, waiting);
                    sink = new;
                }
                Order::Flush(done) => {
                    batch.write(&mut sink, waiting);
                    let _ = done.send(());
                }
            }
            if batch.bytes.len() >= BATCH_BYTES {
                batch.write(&mut sink, waiting);
            }
            next = inbox.try_recv().ok();
        }
        batch.write(&mut sink, waiting);
        if batch.failed {
            // Complaining now would only fail again.
            continue;
        }
        let lost = waiting.lost_lines.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!("{lost} log lines were lost: the log could not be written fast enough");
        }
    }
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    /// The last write failed.
    failed: bool,
}

impl Batch {
    fn add(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.lines += 1;
    }

    fn write(&mut self, sink: &mut Sink, waiting: &Waiting) {
        if self.bytes.is_empty() {
            return;
        }
        let written = match sink {
            Sink::StandardError => io::stderr().lock().write_all(&self.bytes),
            Sink::File(file) => file.write_all(&self.bytes),
        };
        // A full disk must not stop the broker, and there is no other place to complain to.
        self.failed = written.is_err();
        if self.failed {
            waiting.lost_lines.fetch_add(self.lines, Ordering::Relaxed);
        }
        waiting.bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        self.bytes.clear();
        self.bytes.shrink_to(2 * BATCH_BYTES);
        self.lines = 0;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    /// A sink whose reader decides when a write goes on.
    fn blocked_sink() -> (std::io::PipeReader, Sink) {
        let (reader, writer) = std::io::pipe().unwrap();
        (reader, Sink::File(File::from(OwnedFd::from(writer))))
    }

    #[test]
    fn a_blocked_sink_costs_lines_and_no_time_and_no_memory() {
        let (mut reader, sink) = blocked_sink();
        let log = Writer::start(sink).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            (&log).write_all(&line).unwrap();
        }
        assert!(log.waiting.bytes.load(Ordering::Relaxed) <= MAX_WAITING_BYTES);
        let lost = log.waiting.lost_lines.load(Ordering::Relaxed);
        assert!(lost >= 90, "{lost} of 100 lines of 1 MiB were lost");

        let drained = thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).unwrap();
            text.len()
        });
        log.flush();
        drop(log);
        assert_eq!(drained.join().unwrap(), (100 - lost as usize) << 20);
    }
}
