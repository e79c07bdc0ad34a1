//! Connections that each keep so many requests under way: publishes that are acknowledged, or questions.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;

use crate::Target;
use crate::connection::Connection;
use crate::frames::Frame;
use crate::gauge::PATIENCE;
use crate::poll::{Interest, Poll};
use crate::progress::Progress;
use crate::publish::Stop;
use crate::report::{Latency, Meter, Report, histogram};
use crate::stored::api::refuse_error;
use crate::stored::subscribed;
use crate::units::whole_nanoseconds;

/// Who asks what.
pub struct Asks {
    pub connections: usize,
    /// Requests that each has under way.
    pub outstanding: usize,
    pub subjects: Subjects,
    /// Subjects are picked by chance, and not in turn.
    pub at_random: bool,
    pub body_bytes: usize,
}

/// What requests go to, in turn.
pub struct Subjects(Vec<Vec<u8>>);

impl Subjects {
    pub fn new(subjects: Vec<String>) -> Self {
        Self(
            subjects
                .into_iter()
                .map(|subject| format!("PUB {subject} ").into_bytes())
                .collect(),
        )
    }
}

/// When to stop asking.
#[derive(Clone, Copy)]
struct End {
    /// Requests of all connections.
    requests: u64,
    at: Option<Instant>,
}

impl Asks {
    /// Asks until `stop` and fills in what that took.
    ///
    /// # Errors
    /// An answer is an error, or missing.
    pub fn measure(
        &self,
        target: &Target,
        stop: Stop,
        progress: &Progress,
        report: &mut Report,
    ) -> Result<()> {
        let mut run = self.connect(target)?;
        let total = match stop {
            Stop::AfterMessages(each) => Some(each * self.connections as u64),
            Stop::After(_) => None,
        };
        progress.begin(&report.work, total);
        let meter = Meter::start(target.server_pid)?;
        let end = End {
            requests: total.unwrap_or(u64::MAX),
            at: match stop {
                Stop::After(time) => Some(meter.started + time),
                Stop::AfterMessages(_) => None,
            },
        };
        let ended = run.until(end, progress)?;
        report.published = run.answered;
        if self.outstanding == 1 {
            report.latency = Some(Latency::of(&run.latency));
        }
        meter.stop(ended, run.answered, report)
    }

    /// Asks exactly so often.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub fn send_exactly(&self, target: &Target, requests: u64) -> Result<()> {
        let mut run = self.connect(target)?;
        run.until(End { requests, at: None }, &Progress::hidden())?;
        ensure!(
            run.answered == requests,
            "{} answers to {requests} requests",
            run.answered
        );
        Ok(())
    }

    fn connect(&self, target: &Target) -> Result<Run<'_>> {
        ensure!(
            self.connections > 0 && self.outstanding > 0,
            "there is nobody who asks"
        );
        let poll = Poll::new()?;
        let mut askers = Vec::with_capacity(self.connections);
        for index in 0..self.connections {
            let inbox = format!("_INBOX.{}.{index}", std::process::id());
            let connection = subscribed(target, &format!("{inbox}.*"))?;
            connection.stream.set_nonblocking(true)?;
            poll.add(&connection.stream, index, Interest::Read)?;
            askers.push(Asker::new(connection, inbox, self, index));
        }
        Ok(Run {
            asks: self,
            askers,
            poll,
            asked: 0,
            answered: 0,
            latency: histogram()?,
        })
    }
}

struct Run<'a> {
    asks: &'a Asks,
    askers: Vec<Asker>,
    poll: Poll,
    asked: u64,
    answered: u64,
    latency: Histogram<u64>,
}

impl Run<'_> {
    fn until(&mut self, end: End, progress: &Progress) -> Result<Instant> {
        const STEP: Duration = Duration::from_millis(100);
        let mut last = Instant::now();
        for index in 0..self.askers.len() {
            self.top_up(index, end, last)?;
        }
        while self.answered < self.asked {
            let before = self.answered;
            let ready: Vec<_> = self.poll.wait(STEP)?.collect();
            let now = Instant::now();
            for ready in ready {
                if ready.readable {
                    self.answered += self.askers[ready.index].read(now, &mut self.latency)?;
                }
                self.top_up(ready.index, end, now)?;
            }
            if self.answered > before {
                last = now;
                progress.at(self.answered);
            } else if now - last > PATIENCE {
                let missing = self.asked - self.answered;
                bail!("{missing} requests are not answered and none was for {PATIENCE:?}");
            }
        }
        Ok(last)
    }

    /// Asks as much as may be under way.
    fn top_up(&mut self, index: usize, end: End, now: Instant) -> Result<()> {
        let asker = &mut self.askers[index];
        if end.at.is_none_or(|at| now < at) {
            let room = (self.asks.outstanding - asker.in_flight) as u64;
            let count = room.min(end.requests - self.asked);
            (0..count).for_each(|_| asker.ask(self.asks));
            self.asked += count;
        }
        asker.write(&self.poll, index, now)
    }
}

struct Asker {
    connection: Connection,
    /// What stands between the subject and the number: the inbox.
    inbox: Vec<u8>,
    /// What stands behind the number: the size and the body.
    tail: Vec<u8>,
    number: u64,
    next_subject: usize,
    chance: Box<dyn Iterator<Item = u64>>,
    in_flight: usize,
    out: Vec<u8>,
    asked_at: Instant,
    is_clogged: bool,
}

const NUMBER_DIGITS: usize = 10;

impl Asker {
    fn new(connection: Connection, inbox: String, asks: &Asks, index: usize) -> Self {
        let mut tail = format!(" {}\r\n", asks.body_bytes).into_bytes();
        tail.extend(noise(index as u64 + 1).take(asks.body_bytes));
        tail.extend_from_slice(b"\r\n");
        Self {
            connection,
            inbox: format!("{inbox}.").into_bytes(),
            tail,
            number: 0,
            // Those who ask the same do not go in step.
            next_subject: index * asks.subjects.0.len() / asks.connections,
            chance: Box::new(numbers(index as u64 + 1)),
            in_flight: 0,
            out: Vec::new(),
            asked_at: Instant::now(),
            is_clogged: false,
        }
    }

    fn ask(&mut self, asks: &Asks) {
        let subjects = &asks.subjects.0;
        self.number += 1;
        self.in_flight += 1;
        self.out.extend_from_slice(&subjects[self.next_subject]);
        self.next_subject = match asks.at_random {
            true => (self.chance.next().unwrap_or_default() % subjects.len() as u64) as usize,
            false => (self.next_subject + 1) % subjects.len(),
        };
        self.out.extend_from_slice(&self.inbox);
        self.out.extend_from_slice(&digits(self.number));
        self.out.extend_from_slice(&self.tail);
    }

    fn read(&mut self, now: Instant, latency: &mut Histogram<u64>) -> Result<u64> {
        let Connection { stream, input } = &mut self.connection;
        match input.fill(&*stream) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err(anyhow!(error)).context("a connection broke"),
        }
        let mut answers = 0;
        let mut pings = 0;
        input.drain(|frame| {
            match frame {
                Frame::Message(message) => {
                    refuse_error(message.header, message.payload)?;
                    answers += 1;
                }
                Frame::Ping => pings += 1,
                _ => {}
            }
            Ok(())
        })?;
        (0..pings).for_each(|_| self.out.extend_from_slice(b"PONG\r\n"));
        ensure!(answers <= self.in_flight, "more answers than requests");
        self.in_flight -= answers;
        if answers > 0 && self.in_flight == 0 {
            latency.saturating_record(whole_nanoseconds(now - self.asked_at));
        }
        Ok(answers as u64)
    }

    /// Writes what the socket takes.
    fn write(&mut self, poll: &Poll, index: usize, now: Instant) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.asked_at = now;
        let mut at = 0;
        while at < self.out.len() {
            match (&self.connection.stream).write(&self.out[at..]) {
                Ok(count) => at += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(anyhow!(error)).context("a connection broke"),
            }
        }
        self.out.drain(..at);
        let is_clogged = !self.out.is_empty();
        if is_clogged != self.is_clogged {
            self.is_clogged = is_clogged;
            let interest = if is_clogged {
                Interest::ReadAndWrite
            } else {
                Interest::Read
            };
            poll.remove(&self.connection.stream)?;
            poll.add(&self.connection.stream, index, interest)?;
        }
        Ok(())
    }
}

fn digits(number: u64) -> [u8; NUMBER_DIGITS] {
    let mut digits = [b'0'; NUMBER_DIGITS];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        // A remainder of ten is one digit.
        #[allow(clippy::cast_possible_truncation)]
        let value = (rest % 10) as u8;
        *digit = b'0' + value;
        rest /= 10;
    }
    digits
}

/// Letters that do not compress much.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    numbers(seed).map(|number| b' ' + number as u8 % 94)
}

/// Numbers below 2^32 in no order: xorshift64.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x >> 32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_digits() {
        assert_eq!(&digits(7), b"0000000007");
        assert_eq!(&digits(1_234_567_890), b"1234567890");
    }

    #[test]
    fn noise_is_one_line_of_text() {
        assert!(noise(1).take(1000).all(|byte| (b' '..0x7f).contains(&byte)));
        assert!(noise(1).take(8).ne(noise(2).take(8)));
    }
}
