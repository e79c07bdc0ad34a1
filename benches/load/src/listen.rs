//! Subscribers to what others publish: of any size, so it is parsed.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::Target;
use crate::background::Background;
use crate::connection::Connection;
use crate::frames::Frame;
use crate::input::LISTEN_BYTES;
use crate::poll::{Interest, Poll};
use crate::progress::Progress;
use crate::publish::Stop;
use crate::report::{Meter, Report};

/// Who listens to what.
#[derive(Clone, Debug)]
pub struct Listen {
    pub subscribers: usize,
    pub subject: String,
    pub queue_group: Option<String>,
    /// Of all subscribers together, from the first message on.
    pub stop: Stop,
    pub background: Background,
}

impl Listen {
    /// Runs it once.
    ///
    /// # Errors
    /// The server refuses or closes a connection.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        const STEP: Duration = Duration::from_millis(50);
        let _background = self.background.subscribe(&target.address)?;
        let subscribe = match &self.queue_group {
            None => format!("SUB {} 1\r\n", self.subject),
            Some(group) => format!("SUB {} {group} 1\r\n", self.subject),
        }
        .into_bytes();
        let mut subscribers =
            Connection::open_many(&target.address, self.subscribers, |_| subscribe.clone(), |_| ())?;
        let mut poll = Poll::new()?;
        for (index, connection) in subscribers.iter_mut().enumerate() {
            connection.input.grow(LISTEN_BYTES);
            poll.add(&connection.stream, index, Interest::Read)?;
        }
        let (limit, time) = match self.stop {
            Stop::AfterMessages(limit) => (limit, Duration::MAX),
            Stop::After(time) => (u64::MAX, time),
        };
        let mut report = Report {
            work: self.title(),
            ..Report::default()
        };
        progress.begin(&report.work, Some(limit).filter(|&limit| limit < u64::MAX));
        let mut meter = Meter::start(target.server_pid)?;
        let mut heard = Heard::default();
        let mut last_at = meter.started;
        while heard.messages < limit && (heard.messages == 0 || meter.started.elapsed() < time) {
            let before = heard.messages;
            for ready in poll.wait(STEP)? {
                heard.read(&mut subscribers[ready.index])?;
            }
            if heard.messages == before {
                continue;
            }
            last_at = Instant::now();
            if before == 0 {
                meter = Meter::start(target.server_pid)?;
            }
            progress.at(heard.messages);
        }
        meter.stop(last_at.max(meter.started), heard.messages, &mut report)?;
        report.megabytes_per_second = heard.megabytes() / report.seconds;
        Ok(report)
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        format!("listening to {}", self.subject)
    }
}

#[derive(Debug, Default)]
struct Heard {
    messages: u64,
    payload_bytes: u64,
}

impl Heard {
    fn read(&mut self, connection: &mut Connection) -> Result<()> {
        let Connection { stream, input } = connection;
        input.fill(&*stream).context("a subscriber's connection broke")?;
        input.drain(|frame| {
            match frame {
                Frame::Message(message) => {
                    self.messages += 1;
                    self.payload_bytes += message.payload.len() as u64;
                }
                Frame::Ping => (&*stream).write_all(b"PONG\r\n")?,
                _ => {}
            }
            Ok(())
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "printed with three digits")]
    fn megabytes(&self) -> f64 {
        self.payload_bytes as f64 / 1e6
    }
}
