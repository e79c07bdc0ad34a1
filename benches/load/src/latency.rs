//! Latency at a fixed rate. The load is an open loop: each message has a time at which it is due, whatever became
//! of the ones before, and its latency counts from then. So a stall is seen by all messages that it delays.

use std::io::Write as _;
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use rustix::thread::set_current_timer_slack;

use crate::Target;
use crate::background::Background;
use crate::batch::MAX_BATCH_BYTES;
use crate::connection::Connection;
use crate::frames::Frame;
use crate::gauge::{Gauge, PATIENCE};
use crate::input::LISTEN_BYTES;
use crate::poll::{Interest, Poll, nap, nap_until};
use crate::progress::{Progress, TICK};
use crate::publish::Stop;
use crate::report::{Latency, Meter, Report, histogram};
use crate::units::{thousands, whole_nanoseconds};

/// A steady stream of messages.
#[derive(Clone, Debug)]
pub struct Steady {
    pub publishers: usize,
    /// Each gets every message.
    pub subscribers: usize,
    pub subject: String,
    /// At least eight: when the message was due travels in it.
    pub payload_bytes: usize,
    /// Messages a second of all publishers.
    pub rate: u64,
    /// For each publisher.
    pub stop: Stop,
    pub background: Background,
}

/// Bytes of the payload that hold the time.
const STAMP_BYTES: usize = 8;

impl Steady {
    /// Runs it once.
    ///
    /// # Errors
    /// The server refuses or closes a connection.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        ensure!(
            self.payload_bytes >= STAMP_BYTES,
            "latency needs a payload of at least {STAMP_BYTES} B"
        );
        ensure!(
            self.publishers > 0 && self.subscribers > 0,
            "there is nobody on one side"
        );
        ensure!(
            self.rate >= self.publishers as u64,
            "less than one message a second a publisher"
        );
        let _background = self.background.subscribe(&target.address)?;
        let subscribe = format!("SUB {} 1\r\n", self.subject).into_bytes();
        let mut subscribers =
            Connection::open_many(&target.address, self.subscribers, |_| subscribe.clone(), |_| ())?;
        let mut publishers = Connection::open_many(&target.address, self.publishers, |_| vec![], |_| ())?;
        let each = self.messages_each();
        let expected = each * (self.publishers * self.subscribers) as u64;
        let mut report = Report {
            work: self.title(),
            payload_bytes: self.payload_bytes,
            extra_subscriptions: self.background.subscriptions,
            published: each * self.publishers as u64,
            ..Report::default()
        };
        progress.begin(&report.work, Some(expected));
        let gauge = Gauge::new(self.subscribers as u64, u64::MAX);
        gauge.expect(expected);
        let meter = Meter::start(target.server_pid)?;
        let epoch = meter.started;
        let (delays, heard) = thread::scope(|scope| {
            let listener = scope.spawn(|| guard(&gauge, listen(&mut subscribers, epoch, &gauge)));
            let speakers: Vec<_> = publishers
                .iter_mut()
                .enumerate()
                .map(|(index, connection)| {
                    let schedule = self.schedule(epoch, index);
                    let gauge = &gauge;
                    scope.spawn(move || guard(gauge, speak(connection, &schedule, gauge)))
                })
                .collect();
            while !listener.is_finished() {
                nap(TICK);
                progress.at(gauge.delivered());
            }
            let heard = listener.join().map_err(|_| anyhow!("a thread panicked"))?;
            let mut delays = histogram()?;
            for speaker in speakers {
                delays.add(speaker.join().map_err(|_| anyhow!("a thread panicked"))??)?;
            }
            anyhow::Ok((delays, heard?))
        })?;
        report.lost = expected.saturating_sub(heard.samples.len());
        report.surplus = heard.samples.len().saturating_sub(expected);
        report.latency = Some(Latency::of(&heard.samples));
        report.send_delay = Some(Latency::of(&delays));
        meter.stop(heard.last_at, heard.samples.len(), &mut report)?;
        Ok(report)
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let Self {
            publishers,
            subscribers,
            payload_bytes,
            ..
        } = self;
        let rate = thousands(self.rate);
        format!("latency {publishers}:{subscribers}, {payload_bytes} B at {rate}/s")
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.publishers as u64) / u32::try_from(self.rate).unwrap_or(u32::MAX)
    }

    fn messages_each(&self) -> u64 {
        match self.stop {
            Stop::AfterMessages(messages) => messages,
            Stop::After(time) => (whole_nanoseconds(time) / whole_nanoseconds(self.interval()).max(1)).max(1),
        }
    }

    /// The publishers take turns.
    fn schedule(&self, epoch: Instant, index: usize) -> Schedule {
        let offset =
            self.interval() * u32::try_from(index).unwrap_or(0) / u32::try_from(self.publishers).unwrap_or(1);
        let mut message = format!("PUB {} {}\r\n", self.subject, self.payload_bytes).into_bytes();
        let stamp_at = message.len();
        message.resize(message.len() + self.payload_bytes, b'x');
        message.extend_from_slice(b"\r\n");
        Schedule {
            epoch,
            offset,
            interval: self.interval(),
            count: self.messages_each(),
            message,
            stamp_at,
        }
    }
}

/// When a publisher sends what.
#[derive(Debug)]
struct Schedule {
    epoch: Instant,
    offset: Duration,
    interval: Duration,
    count: u64,
    message: Vec<u8>,
    stamp_at: usize,
}

impl Schedule {
    /// When a message is due, after the epoch.
    fn due(&self, number: u64) -> Duration {
        self.offset + Duration::from_nanos(whole_nanoseconds(self.interval).saturating_mul(number))
    }

    fn append(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len() + self.stamp_at;
        out.extend_from_slice(&self.message);
        out[start..start + STAMP_BYTES].copy_from_slice(&whole_nanoseconds(self.due(number)).to_le_bytes());
    }
}

/// Sends what is due; answers how late.
fn speak(connection: &mut Connection, schedule: &Schedule, gauge: &Gauge) -> Result<Histogram<u64>> {
    // The kernel may otherwise wake us 50 us late. Without it the measure is only less sharp.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
    let mut delays = histogram()?;
    let mut out = Vec::with_capacity(MAX_BATCH_BYTES);
    let mut number = 0;
    while number < schedule.count && !gauge.is_aborted() {
        nap_until(schedule.epoch + schedule.due(number));
        let now = schedule.epoch.elapsed();
        out.clear();
        while number < schedule.count && schedule.due(number) <= now && out.len() < MAX_BATCH_BYTES {
            schedule.append(number, &mut out);
            delays.saturating_record(whole_nanoseconds(now - schedule.due(number)));
            number += 1;
        }
        connection
            .stream
            .write_all(&out)
            .context("a publisher's connection broke")?;
    }
    connection.round_trip()?;
    Ok(delays)
}

#[derive(Debug)]
struct Heard {
    samples: Histogram<u64>,
    last_at: Instant,
}

fn listen(subscribers: &mut [Connection], epoch: Instant, gauge: &Gauge) -> Result<Heard> {
    const STEP: Duration = Duration::from_millis(100);
    let mut poll = Poll::new()?;
    for (index, connection) in subscribers.iter_mut().enumerate() {
        poll.add(&connection.stream, index, Interest::Read)?;
        connection.input.grow(LISTEN_BYTES);
    }
    let mut heard = Heard {
        samples: histogram()?,
        last_at: Instant::now(),
    };
    while !gauge.is_complete() && !gauge.is_aborted() && heard.last_at.elapsed() < PATIENCE {
        let before = heard.samples.len();
        for ready in poll.wait(STEP)? {
            let Connection { stream, input } = &mut subscribers[ready.index];
            input.fill(&*stream).context("a subscriber's connection broke")?;
            let now = whole_nanoseconds(epoch.elapsed());
            input.drain(|frame| {
                match frame {
                    Frame::Message(message) => {
                        let due = read_stamp(message.payload).context("a message that is not ours")?;
                        heard.samples.saturating_record(now.saturating_sub(due));
                    }
                    Frame::Ping => (&*stream).write_all(b"PONG\r\n")?,
                    _ => {}
                }
                Ok(())
            })?;
        }
        if heard.samples.len() > before {
            heard.last_at = Instant::now();
            gauge.add_delivered(heard.samples.len() - before);
        }
    }
    Ok(heard)
}

fn read_stamp(payload: &[u8]) -> Option<u64> {
    payload
        .first_chunk::<STAMP_BYTES>()
        .map(|stamp| u64::from_le_bytes(*stamp))
}

fn guard<T>(gauge: &Gauge, result: Result<T>) -> Result<T> {
    if result.is_err() {
        gauge.abort();
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn steady(publishers: usize, rate: u64) -> Steady {
        Steady {
            publishers,
            subscribers: 1,
            subject: "s".into(),
            payload_bytes: 10,
            rate,
            stop: Stop::After(Duration::from_secs(2)),
            background: Background::NONE,
        }
    }

    #[test]
    fn publishers_share_the_rate_and_take_turns() {
        let steady = steady(4, 1000);
        assert_eq!(steady.messages_each(), 500);
        let epoch = Instant::now();
        let due = |index, number| steady.schedule(epoch, index).due(number);
        assert_eq!(due(0, 0), Duration::ZERO);
        assert_eq!(due(0, 1), Duration::from_millis(4));
        assert_eq!(due(3, 1), Duration::from_millis(7));
    }

    #[test]
    fn the_time_it_was_due_travels_in_the_message() {
        let steady = steady(1, 1000);
        let mut out = Vec::new();
        steady.schedule(Instant::now(), 0).append(7, &mut out);
        let payload = out.strip_prefix(b"PUB s 10\r\n").unwrap();
        assert_eq!(read_stamp(payload), Some(7_000_000));
        assert_eq!(payload.len(), 12);
        assert_eq!(read_stamp(b"short"), None);
    }
}
