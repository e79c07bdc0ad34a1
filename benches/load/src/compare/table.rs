//! The comparison as Markdown: medians, and the first broker's as a multiple of the second's.

use std::fmt::{self, Display, Formatter};

use crate::compare::{Comparison, Outcome, Runs};
use crate::report::{Latency, Report, Unit};
use crate::units::{median, nanoseconds, rate};

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Table {
            comparison: self,
            title: "Speed",
            columns: &SPEED,
        }
        .fmt(f)?;
        Table {
            comparison: self,
            title: "Latency",
            columns: &LATENCY,
        }
        .fmt(f)?;
        Table {
            comparison: self,
            title: "Disk",
            columns: &DISK,
        }
        .fmt(f)?;
        Table {
            comparison: self,
            title: "Memory",
            columns: &MEMORY,
        }
        .fmt(f)?;
        self.write_failures(f)
    }
}

impl Comparison {
    fn write_failures(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for outcome in &self.rows {
            for (name, runs) in self.names.iter().zip(&outcome.brokers) {
                for failure in &runs.failures {
                    writeln!(f, "- not counted: {}, {name}, {failure}", outcome.work)?;
                }
            }
        }
        Ok(())
    }
}

/// A measure of which both brokers' medians are shown, and perhaps the first divided by the second.
struct Column {
    title: &'static str,
    read: fn(&Report) -> Option<f64>,
    write: fn(f64) -> String,
    has_ratio: bool,
}

const SPEED: [Column; 3] = [
    Column {
        title: "per second",
        read: |report| (report.idle.is_none() && report.send_delay.is_none()).then_some(report.per_second),
        write: rate,
        has_ratio: true,
    },
    Column {
        title: "broker CPU each",
        read: |report| report.broker.as_ref().map(|broker| broker.cpu_ns_each),
        write: |ns| format!("{ns:.0} ns"),
        has_ratio: true,
    },
    Column {
        title: "generator CPU each",
        read: |report| Some(report.generator.cpu_ns_each),
        write: |ns| format!("{ns:.0} ns"),
        has_ratio: false,
    },
];

const LATENCY: [Column; 3] = [
    Column {
        title: "p50",
        read: |report| percentile(report, |latency| latency.p50_ns),
        write: nanoseconds,
        has_ratio: true,
    },
    Column {
        title: "p99",
        read: |report| percentile(report, |latency| latency.p99_ns),
        write: nanoseconds,
        has_ratio: true,
    },
    Column {
        title: "p99.9",
        read: |report| percentile(report, |latency| latency.p999_ns),
        write: nanoseconds,
        has_ratio: true,
    },
];

const DISK: [Column; 1] = [Column {
    title: "bytes written a payload byte",
    read: |report| {
        let each = report.broker.as_ref()?.written_bytes_each?;
        let is_kept = report.unit == Unit::Message && each > 0.0;
        is_kept.then(|| each / report.payload_bytes.max(1) as f64)
    },
    write: |ratio| format!("{ratio:.2}"),
    has_ratio: true,
}];

const MEMORY: [Column; 1] = [Column {
    title: "resident a connection",
    read: |report| report.idle.as_ref()?.resident_bytes_each,
    write: |bytes| format!("{:.2} KiB", bytes / 1024.0),
    has_ratio: true,
}];

#[allow(clippy::cast_precision_loss, reason = "printed with three digits")]
fn percentile(report: &Report, read: fn(&Latency) -> u64) -> Option<f64> {
    report.latency.as_ref().map(|latency| read(latency) as f64)
}

/// The rows for which the first column has a value.
struct Table<'a> {
    comparison: &'a Comparison,
    title: &'static str,
    columns: &'a [Column],
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows: Vec<&Outcome> = self
            .comparison
            .rows
            .iter()
            .filter(|outcome| self.is_about(outcome))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let [a, b] = &self.comparison.names;
        let mut header = format!("| {} |", self.title);
        let mut rule = "|---|".to_owned();
        for Column { title, has_ratio, .. } in self.columns {
            header += &format!(" {title}: {a} | {b} |");
            rule += "---:|---:|";
            if *has_ratio {
                header += " ratio |";
                rule += "---:|";
            }
        }
        writeln!(f, "{header}\n{rule}")?;
        for outcome in rows {
            write!(f, "| {} |", outcome.work)?;
            self.columns
                .iter()
                .try_for_each(|column| column.write_cells(f, outcome))?;
            writeln!(f)?;
        }
        writeln!(f)
    }
}

impl Table<'_> {
    fn is_about(&self, outcome: &Outcome) -> bool {
        outcome
            .brokers
            .iter()
            .any(|runs| self.columns[0].median(runs).is_some())
    }
}

impl Column {
    fn median(&self, runs: &Runs) -> Option<f64> {
        median(runs.reports.iter().filter_map(self.read).collect())
    }

    fn write_cells(&self, f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
        let [a, b] = outcome.brokers.each_ref().map(|runs| self.median(runs));
        for value in [a, b] {
            write!(f, " {} |", value.map_or_else(|| "-".to_owned(), self.write))?;
        }
        match a.zip(b) {
            _ if !self.has_ratio => Ok(()),
            Some((a, b)) if b > 0.0 => write!(f, " {:.2} |", a / b),
            _ => write!(f, " - |"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::report::{Idle, Report};

    use super::*;

    fn runs(reports: Vec<Report>) -> Runs {
        Runs {
            reports,
            failures: vec![],
        }
    }

    fn flow(per_second: f64) -> Report {
        Report {
            per_second,
            ..Report::default()
        }
    }

    fn table(work: &str, brokers: [Runs; 2]) -> String {
        let outcome = Outcome {
            row: "x",
            work: work.to_owned(),
            brokers,
        };
        Comparison {
            names: ["a".to_owned(), "b".to_owned()],
            rows: vec![outcome],
        }
        .to_string()
    }

    #[test]
    fn medians_and_their_ratio_are_shown() {
        let a = runs(vec![flow(1e6), flow(9e6), flow(5e6)]);
        let text = table("1:1", [a, runs(vec![flow(2e6)])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "| Speed | per second: a | b | ratio | broker CPU each: a | b | ratio | generator CPU each: a | b |"
        );
        assert_eq!(lines[1], "|---|---:|---:|---:|---:|---:|---:|---:|---:|");
        assert_eq!(
            lines[2],
            "| 1:1 | 5.00M | 2.00M | 2.50 | - | - | - | 0 ns | 0 ns |"
        );
        assert!(!text.contains("Latency") && !text.contains("Memory"), "{text}");
    }

    #[test]
    fn idle_connections_are_about_memory_only() {
        let report = |kib: f64| {
            let idle = Idle {
                opened: 1,
                held: 1,
                open_seconds: 0.0,
                resident_bytes_each: Some(kib * 1024.0),
            };
            Report {
                idle: Some(idle),
                ..Report::default()
            }
        };
        let text = table("idle", [runs(vec![report(2.0)]), runs(vec![report(40.0)])]);
        assert!(text.contains("| idle | 2.00 KiB | 40.00 KiB | 0.05 |"), "{text}");
        assert!(!text.contains("Speed"), "{text}");
    }

    #[test]
    fn failures_stand_below() {
        let failed = Runs {
            reports: vec![],
            failures: vec!["run 2: 1 of 9 deliveries were lost".to_owned()],
        };
        let text = table("1:1", [runs(vec![flow(1e6)]), failed]);
        assert!(text.contains("| 1:1 | 1.00M | - | - |"), "{text}");
        assert!(
            text.ends_with("- not counted: 1:1, b, run 2: 1 of 9 deliveries were lost\n"),
            "{text}"
        );
    }
}
