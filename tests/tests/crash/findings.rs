//! What was wrong, and the table of a run.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};

/// How many findings end a run: more would say nothing new.
const MANY: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Acknowledged, and gone; or other bytes are in its place.
    Lost,
    /// There more than once, or there again after it was removed.
    Twice,
    /// Not in the order in which it was sent.
    Disorder,
    /// A position went back.
    Backwards,
    /// A request failed that should not.
    Refused,
}

/// What was wrong, collected from all who look.
#[derive(Clone, Debug, Default)]
pub struct Findings(Arc<Mutex<Vec<(Wrong, String)>>>);

impl Findings {
    fn all(&self) -> MutexGuard<'_, Vec<(Wrong, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, wrong: Wrong, what: String) {
        println!("{wrong:?}: {what}");
        self.all().push((wrong, what));
    }

    /// Adds it if the condition does not hold.
    pub fn check(&self, holds: bool, wrong: Wrong, what: impl FnOnce() -> String) {
        if !holds {
            self.add(wrong, what());
        }
    }

    pub fn count(&self) -> usize {
        self.all().len()
    }

    pub fn are_many(&self) -> bool {
        self.count() >= MANY
    }

    fn of(&self, wrong: Wrong) -> usize {
        self.all().iter().filter(|(kind, _)| *kind == wrong).count()
    }
}

/// What was tried, what was acknowledged, and what was wrong.
#[derive(Debug)]
pub struct Table {
    pub kills: u64,
    pub kills_at_start: u64,
    pub power_failures: u64,
    pub lost_bytes: u64,
    pub lost_names: u64,
    pub published: u64,
    pub updates: u64,
    pub acks: u64,
    pub deletes: u64,
    pub purges: u64,
    pub findings: Findings,
}

impl Table {
    pub fn must_be_clean(&self) -> Result<()> {
        let all = self.findings.all();
        ensure!(all.is_empty(), "{} findings, the first: {:?}", all.len(), all[0]);
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("kills", self.kills),
            ("  of them while starting", self.kills_at_start),
            ("  of them with a power failure", self.power_failures),
            ("unsynced bytes taken away", self.lost_bytes),
            ("unsynced names taken away", self.lost_names),
            ("publishes acknowledged", self.published),
            ("key updates acknowledged", self.updates),
            ("deliveries' acks confirmed", self.acks),
            ("deletes confirmed", self.deletes),
            ("purges confirmed", self.purges),
            ("lost", self.findings.of(Wrong::Lost) as u64),
            ("duplicated", self.findings.of(Wrong::Twice) as u64),
            ("out of order", self.findings.of(Wrong::Disorder) as u64),
            ("gone backwards", self.findings.of(Wrong::Backwards) as u64),
            ("wrongly refused", self.findings.of(Wrong::Refused) as u64),
        ];
        for (name, count) in rows {
            writeln!(f, "{name:<34}{count:>12}")?;
        }
        Ok(())
    }
}
