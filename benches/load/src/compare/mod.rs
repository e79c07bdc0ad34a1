//! Compares two brokers: both are started alike for every run, and the runs alternate, so that what else happens
//! on the machine meets both.

mod broker;
mod rows;
mod table;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use crate::compare::broker::Broker;
use crate::compare::rows::Row;
use crate::progress::Progress;
use crate::report::Report;
use crate::units::parse_duration;
use crate::usage::raise_file_limit;

/// Start two brokers in turn and print how they compare.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Command of the broker to measure, split at blanks; `-a 127.0.0.1 -p <port>` is appended
    #[arg(long, value_name = "command")]
    pub server_a: Option<String>,
    /// Command of the broker to compare with; ratios are the first divided by this one
    #[arg(long, value_name = "command")]
    pub server_b: Option<String>,
    /// What the first is called; the program's name otherwise
    #[arg(long, value_name = "name")]
    pub name_a: Option<String>,
    /// What the second is called
    #[arg(long, value_name = "name")]
    pub name_b: Option<String>,
    /// Runs of each row with each broker
    #[arg(long, value_name = "count", default_value_t = 5)]
    pub runs: usize,
    /// Time of one run
    #[arg(long, value_name = "time", default_value = "3s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Only these rows, separated by commas
    #[arg(long, value_name = "rows", value_delimiter = ',')]
    pub rows: Vec<String>,
    /// Measure streams instead of messages that are not kept; in the commands, {dir} becomes an empty folder
    #[arg(long)]
    pub log: bool,
    /// Messages that are written before they are read
    #[arg(long, value_name = "count", default_value_t = 2_000_000)]
    pub stored: u64,
    /// Print the names of the rows
    #[arg(long)]
    pub list: bool,
    /// Print JSON, with every single run
    #[arg(long)]
    pub json: bool,
    /// Show what the brokers print
    #[arg(long)]
    pub broker_output: bool,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// What the brokers are called.
    pub names: [String; 2],
    pub rows: Vec<Outcome>,
}

/// One row of it.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub row: &'static str,
    pub work: String,
    pub brokers: [Runs; 2],
}

/// The runs with one broker.
#[derive(Debug, Default, Serialize)]
pub struct Runs {
    pub reports: Vec<Report>,
    /// Why runs do not count.
    pub failures: Vec<String>,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A broker cannot be started, or not one run of it succeeded.
pub fn run(args: &Args) -> Result<()> {
    raise_file_limit()?;
    let rows = match args.log {
        true => rows::log(args.duration, args.stored),
        false => rows::all(args.duration),
    };
    let mut out = std::io::stdout().lock();
    if args.list {
        rows.iter()
            .try_for_each(|row| writeln!(out, "{:12} {}", row.name, row.title()))?;
        return Ok(());
    }
    let rows = select(rows, &args.rows)?;
    let brokers = [
        Broker::new(
            args.server_a.as_deref(),
            args.name_a.as_deref(),
            args.broker_output,
        )?,
        Broker::new(
            args.server_b.as_deref(),
            args.name_b.as_deref(),
            args.broker_output,
        )?,
    ];
    let progress = Progress::on_terminal();
    let outcomes: Result<Vec<Outcome>> = rows
        .iter()
        .map(|row| compare_row(row, &brokers, args.runs, &progress))
        .collect();
    progress.end();
    let comparison = Comparison {
        names: brokers.map(|broker| broker.name),
        rows: outcomes?,
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&comparison)?)?;
    } else {
        write!(out, "{comparison}")?;
    }
    check(&comparison)
}

fn select(all: Vec<Row>, wanted: &[String]) -> Result<Vec<Row>> {
    if let Some(unknown) = wanted
        .iter()
        .find(|name| all.iter().all(|row| row.name != **name))
    {
        let known: Vec<&str> = all.iter().map(|row| row.name).collect();
        bail!("{unknown:?} is no row; allowed: {}", known.join(", "));
    }
    Ok(all
        .into_iter()
        .filter(|row| wanted.is_empty() || wanted.iter().any(|name| name == row.name))
        .collect())
}

fn compare_row(row: &Row, brokers: &[Broker; 2], runs: usize, progress: &Progress) -> Result<Outcome> {
    let mut outcome = Outcome {
        row: row.name,
        work: row.title(),
        brokers: Default::default(),
    };
    for number in 1..=runs {
        for (broker, runs) in brokers.iter().zip(&mut outcome.brokers) {
            let running = broker.start()?;
            let result = row
                .job
                .run(&running.target(), progress)
                .and_then(|report| report.check().map(|()| report));
            match result {
                Ok(report) => {
                    progress.note(&format!("{} run {number}: {report}", broker.name));
                    runs.reports.push(report);
                }
                Err(error) => {
                    progress.note(&format!("{} run {number}: {error:#}", broker.name));
                    runs.failures.push(format!("run {number}: {error:#}"));
                }
            }
            running
                .stop()
                .with_context(|| format!("stopping {}", broker.name))?;
        }
    }
    Ok(outcome)
}

fn check(comparison: &Comparison) -> Result<()> {
    for outcome in &comparison.rows {
        for (name, runs) in comparison.names.iter().zip(&outcome.brokers) {
            if runs.reports.is_empty() {
                bail!("{}: no run with {name} succeeded", outcome.work);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_by_name() {
        let all = || rows::all(Duration::from_secs(1));
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
            select(all(), &wanted).map(|rows| rows.iter().map(|row| row.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), all().len());
        assert_eq!(names(&["idle", "1:100"]).unwrap(), ["1:100", "idle"]);
        let error = names(&["2:2"]).unwrap_err().to_string();
        assert!(
            error.starts_with("\"2:2\" is no row; allowed: 1:1-16, "),
            "{error}"
        );
    }
}
