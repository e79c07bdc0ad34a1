//! Requests and replies: each requester has one request under way.

use std::io::{ErrorKind, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hdrhistogram::Histogram;

use crate::Target;
use crate::background::Background;
use crate::connection::Connection;
use crate::frames::Frame;
use crate::gauge::{Gauge, PATIENCE};
use crate::poll::nap;
use crate::progress::{Progress, TICK};
use crate::publish::Stop;
use crate::report::{Latency, Meter, Report, Unit, histogram};
use crate::units::whole_nanoseconds;

/// Who asks, who answers, and how much.
#[derive(Clone, Debug)]
pub struct Requests {
    pub requesters: usize,
    /// Members of one queue group.
    pub responders: usize,
    pub subject: String,
    /// Of the request and of the reply.
    pub payload_bytes: usize,
    /// For each requester.
    pub stop: Stop,
    pub background: Background,
}

impl Requests {
    /// Runs it once.
    ///
    /// # Errors
    /// The server refuses or closes a connection, or a reply is missing.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        ensure!(
            self.requesters > 0 && self.responders > 0,
            "there is nobody on one side"
        );
        let _background = self.background.subscribe(&target.address)?;
        let mut responders = self.connect_responders(target)?;
        let mut requesters = self.connect_requesters(target)?;
        let mut report = Report {
            work: self.title(),
            payload_bytes: self.payload_bytes,
            extra_subscriptions: self.background.subscriptions,
            unit: Unit::Request,
            ..Report::default()
        };
        let total = match self.stop {
            Stop::AfterMessages(each) => Some(each * self.requesters as u64),
            Stop::After(_) => None,
        };
        progress.begin(&report.work, total);
        let meter = Meter::start(target.server_pid)?;
        let samples = self.ask_all(&mut requesters, &mut responders, progress)?;
        let mut all = histogram()?;
        for each in &samples {
            all.add(&each.histogram)?;
        }
        report.published = all.len();
        report.latency = Some(Latency::of(&all));
        let ended = samples
            .iter()
            .map(|each| each.ended)
            .max()
            .unwrap_or(meter.started);
        meter.stop(ended, all.len(), &mut report)?;
        Ok(report)
    }

    fn ask_all(
        &self,
        requesters: &mut [Requester],
        responders: &mut [Connection],
        progress: &Progress,
    ) -> Result<Vec<Samples>> {
        let streams: Result<Vec<TcpStream>, _> = responders.iter().map(|it| it.stream.try_clone()).collect();
        let streams = streams?;
        let gauge = Gauge::new(1, u64::MAX);
        thread::scope(|scope| {
            let answering: Vec<ScopedJoinHandle<'_, Result<()>>> = responders
                .iter_mut()
                .map(|responder| scope.spawn(|| answer(responder, self.payload_bytes, &gauge)))
                .collect();
            let asking: Vec<_> = requesters
                .iter_mut()
                .map(|requester| scope.spawn(|| requester.ask(self.stop, &gauge)))
                .collect();
            while asking.iter().any(|thread| !thread.is_finished()) {
                nap(TICK);
                progress.at(gauge.delivered());
            }
            let samples: Result<Vec<Samples>> = asking.into_iter().map(join).collect();
            gauge.abort();
            for stream in &streams {
                // Ends the responder's read. It fails if the server has closed already: then that has ended.
                let _ = stream.shutdown(Shutdown::Both);
            }
            let answered: Result<Vec<()>> = answering.into_iter().map(join).collect();
            answered.and(samples)
        })
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let Self {
            requesters,
            responders,
            payload_bytes,
            ..
        } = self;
        format!("request/reply {requesters}:{responders}, {payload_bytes} B")
    }

    fn connect_responders(&self, target: &Target) -> Result<Vec<Connection>> {
        let subscribe = format!("SUB {} responders 1\r\n", self.subject);
        (0..self.responders)
            .map(|_| {
                let connection = Connection::open(&target.address, subscribe.as_bytes())?;
                connection.stream.set_read_timeout(None)?;
                Ok(connection)
            })
            .collect()
    }

    fn connect_requesters(&self, target: &Target) -> Result<Vec<Requester>> {
        (0..self.requesters)
            .map(|index| {
                let inbox = format!("_INBOX.{}.{index}", std::process::id());
                let connection =
                    Connection::open(&target.address, format!("SUB {inbox}.* 1\r\n").as_bytes())?;
                connection.stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Requester {
                    connection,
                    request: Request::new(&self.subject, &inbox, self.payload_bytes),
                })
            })
            .collect()
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}

/// A request as bytes. Each has its own reply subject, as with real clients.
#[derive(Debug)]
struct Request {
    bytes: Vec<u8>,
    /// Where the digits of its number stand.
    number_at: usize,
    number: u64,
}

const NUMBER_DIGITS: usize = 10;

impl Request {
    fn new(subject: &str, inbox: &str, payload_bytes: usize) -> Self {
        let mut bytes = format!("PUB {subject} {inbox}.").into_bytes();
        let number_at = bytes.len();
        bytes.extend_from_slice(format!("{:010} {payload_bytes}\r\n", 0).as_bytes());
        bytes.resize(bytes.len() + payload_bytes, b'x');
        bytes.extend_from_slice(b"\r\n");
        Self {
            bytes,
            number_at,
            number: 0,
        }
    }

    fn next(&mut self) -> &[u8] {
        self.number += 1;
        let mut rest = self.number;
        for digit in self.bytes[self.number_at..][..NUMBER_DIGITS].iter_mut().rev() {
            // A remainder of ten is one digit.
            #[allow(clippy::cast_possible_truncation)]
            let value = (rest % 10) as u8;
            *digit = b'0' + value;
            rest /= 10;
        }
        &self.bytes
    }
}

#[derive(Debug)]
struct Requester {
    connection: Connection,
    request: Request,
}

#[derive(Debug)]
struct Samples {
    histogram: Histogram<u64>,
    ended: Instant,
}

impl Requester {
    fn ask(&mut self, stop: Stop, gauge: &Gauge) -> Result<Samples> {
        let mut samples = Samples {
            histogram: histogram()?,
            ended: Instant::now(),
        };
        let (limit, time) = match stop {
            Stop::AfterMessages(limit) => (limit, Duration::MAX),
            Stop::After(time) => (u64::MAX, time),
        };
        let started = samples.ended;
        let mut asked_at = started;
        while samples.histogram.len() < limit && asked_at - started < time && !gauge.is_aborted() {
            (&self.connection.stream)
                .write_all(self.request.next())
                .context("the requester's connection broke")?;
            self.await_reply()?;
            let now = Instant::now();
            samples
                .histogram
                .saturating_record(whole_nanoseconds(now - asked_at));
            gauge.add_delivered(1);
            asked_at = now;
        }
        samples.ended = asked_at;
        Ok(samples)
    }

    fn await_reply(&mut self) -> Result<()> {
        let Connection { stream, input } = &mut self.connection;
        let mut found = false;
        while !found {
            input.fill(&*stream).map_err(|error| match error.kind() {
                ErrorKind::WouldBlock => anyhow!("no reply came for {PATIENCE:?}: it is lost"),
                _ => anyhow!(error).context("the requester's connection broke"),
            })?;
            input.drain(|frame| match frame {
                Frame::Message(message) if message.header.starts_with(b"NATS/1.0 503") => {
                    bail!("nobody answers requests")
                }
                Frame::Message(_) => {
                    found = true;
                    Ok(())
                }
                Frame::Ping => Ok((&*stream).write_all(b"PONG\r\n")?),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }
}

/// Answers every request until the run is over.
fn answer(connection: &mut Connection, payload_bytes: usize, gauge: &Gauge) -> Result<()> {
    let Connection { stream, input } = connection;
    let mut tail = format!(" {payload_bytes}\r\n").into_bytes();
    tail.resize(tail.len() + payload_bytes, b'y');
    tail.extend_from_slice(b"\r\n");
    let mut out = Vec::new();
    loop {
        match input.fill(&*stream) {
            Ok(()) => {}
            Err(_) if gauge.is_aborted() => return Ok(()),
            Err(error) => return Err(error).context("a responder's connection broke"),
        }
        input.drain(|frame| {
            match frame {
                Frame::Message(message) => {
                    out.extend_from_slice(b"PUB ");
                    out.extend_from_slice(message.reply);
                    out.extend_from_slice(&tail);
                }
                Frame::Ping => out.extend_from_slice(b"PONG\r\n"),
                _ => {}
            }
            Ok(())
        })?;
        match stream.write_all(&out) {
            Err(error) if !gauge.is_aborted() => return Err(error).context("a responder's connection broke"),
            _ => out.clear(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_its_own_reply_subject() {
        let mut request = Request::new("svc", "_INBOX.1.0", 3);
        assert_eq!(request.next(), b"PUB svc _INBOX.1.0.0000000001 3\r\nxxx\r\n");
        request.number = 1_234_567_889;
        assert_eq!(request.next(), b"PUB svc _INBOX.1.0.1234567890 3\r\nxxx\r\n");
    }
}
