//! Comparing what a server says with the transcripts.

use std::fmt;
use std::path::Path;

use anyhow::Result;

use super::connection::Cut;
use super::library::Library;
use super::run::run;
use super::script::{Scenario, Step};

/// How many lines of a server's log follow a mismatch.
const LOG_LINES: usize = 12;

/// The result of a replay; shown, it has every mismatch as a diff.
#[derive(Debug, Default)]
pub struct Report {
    pub scenarios: usize,
    /// Of them, equal when each step is one write.
    pub whole: usize,
    /// Of them, equal when each byte is one write.
    pub bytewise: usize,
    /// Of them, not replayed one byte at a time.
    pub varying: usize,
    mismatches: Vec<String>,
}

impl Report {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.mismatches.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mismatch in &self.mismatches {
            writeln!(f, "{mismatch}")?;
        }
        let Self {
            scenarios,
            whole,
            bytewise,
            ..
        } = self;
        write!(
            f,
            "{whole} of {scenarios} scenarios are equal, {bytewise} one byte at a time"
        )
    }
}

/// Which server is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Ours: it has to answer the same however the bytes are cut.
    Broker,
    /// The one that was recorded: where its answer varies with the cuts, only the whole is compared.
    Reference,
}

/// Runs all scenarios against `program`, whole and one byte at a time.
pub fn replay(library: &Library, program: &Path, subject: Subject) -> Report {
    let mut report = Report::default();
    let skips = |scenario: &Scenario| scenario.varies && subject == Subject::Reference;
    let results = library.map(|_, scenario| {
        let whole = replay_one(library, program, scenario, Cut::Whole);
        let bytewise = (!skips(scenario)).then(|| replay_one(library, program, scenario, Cut::Bytes));
        (whole, bytewise)
    });
    for (file, scenario, (whole, bytewise)) in results {
        let mut count = |result: Result<()>, how: &str| match result {
            Ok(()) => 1,
            Err(mismatch) => {
                let name = format!("{}: {}{how}", file.name(), scenario.name);
                report.mismatches.push(format!("--- {name}\n{mismatch:#}"));
                0
            }
        };
        let whole = count(whole, "");
        let varying = usize::from(bytewise.is_none());
        let bytewise = bytewise.map_or(0, |result| count(result, " (one byte at a time)"));
        report.scenarios += 1;
        report.whole += whole;
        report.bytewise += bytewise;
        report.varying += varying;
    }
    report
}

/// The error is the mismatch.
fn replay_one(library: &Library, program: &Path, scenario: &Scenario, cut: Cut) -> Result<()> {
    let server = library.start_server(program, scenario)?;
    let mut mismatch = None;
    let ran = run(scenario, server.nats_address()?, cut, |step, read| {
        if read != step.expected {
            mismatch = Some(difference(step, &read));
        }
        mismatch.is_none()
    });
    let fault = match (mismatch, ran) {
        (None, Ok(())) => return Ok(()),
        (Some(mismatch), _) => mismatch,
        (None, Err(error)) => format!("{error:#}\n"),
    };
    let log = server.log();
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n      ");
    Err(anyhow::anyhow!("{fault}  log {tail}"))
}

/// The step with what was expected (`-`), what came (`+`), and what both have.
fn difference(step: &Step, read: &[String]) -> String {
    let Step {
        line,
        connection,
        expected,
        action,
    } = step;
    let same = expected.iter().zip(read).take_while(|(a, b)| a == b).count();
    let mut text = format!("  line {}: {connection} {action:?}\n", line + 1);
    let mut add = |sign, messages: &[String]| {
        for message in messages {
            text.push_str(&format!("  {sign} {connection}< {message}\n"));
        }
    };
    add(' ', &expected[..same]);
    add('-', &expected[same..]);
    add('+', &read[same..]);
    text
}
