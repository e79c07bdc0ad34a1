//! Connections that only stand there, with one subscription each.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Target;
use crate::connection::Connection;
use crate::keeper::Keeper;
use crate::poll::{nap, nap_until};
use crate::progress::{Progress, TICK};
use crate::report::{self, Meter, Report, Unit};
use crate::units::thousands;
use crate::usage::resident_bytes;

/// How many, and for how long.
#[derive(Clone, Debug)]
pub struct Idle {
    pub connections: usize,
    /// From when all are open. The broker's memory is read at the end.
    pub duration: Duration,
    pub subject: String,
}

impl Idle {
    /// Runs it once.
    ///
    /// # Errors
    /// A connection cannot be opened.
    pub fn run(&self, target: &Target, progress: &Progress) -> Result<Report> {
        let memory = || target.server_pid.map(resident_bytes).transpose();
        let before = memory()?;
        let work = self.title();
        progress.begin(&work, Some(self.connections as u64));
        let commands = |index| format!("SUB {}.{index} 1\r\n", self.subject).into_bytes();
        let started = Instant::now();
        let connections = Connection::open_many(&target.address, self.connections, commands, |count| {
            progress.at(count as u64)
        })?;
        let open_seconds = started.elapsed().as_secs_f64();
        let keeper = Keeper::hold(connections)?;
        let meter = Meter::start(target.server_pid)?;
        let until = meter.started + self.duration;
        progress.begin("holding", None);
        while Instant::now() + TICK < until {
            nap(TICK);
            progress.at((self.connections - keeper.cut()) as u64);
        }
        nap_until(until);
        let cut = keeper.cut();
        let mut report = Report {
            work,
            unit: Unit::Connection,
            lost: cut as u64,
            ..Report::default()
        };
        let held = (self.connections - cut) as u64;
        meter.stop(Instant::now(), held, &mut report)?;
        report.idle = Some(report::Idle {
            opened: self.connections as u64,
            held,
            open_seconds,
            resident_bytes_each: before
                .zip(memory()?)
                .map(|(before, after)| each(before, after, held)),
        });
        Ok(report)
    }

    /// What is done, for people.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} idle connections", thousands(self.connections as u64))
    }
}

#[allow(clippy::cast_precision_loss, reason = "printed with three digits")]
fn each(before: u64, after: u64, connections: u64) -> f64 {
    after.saturating_sub(before) as f64 / connections.max(1) as f64
}
