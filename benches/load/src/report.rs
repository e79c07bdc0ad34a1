//! What a run measured, as text and as JSON.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::units::{nanoseconds, rate, thousands};
use crate::usage;

/// One run. Times are in the unit their name ends with, sizes in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What was done, for people.
    pub work: String,
    pub payload_bytes: usize,
    /// Subscriptions that were there besides.
    pub extra_subscriptions: usize,
    /// What is counted.
    pub unit: Unit,
    /// How many came.
    pub count: u64,
    pub seconds: f64,
    pub per_second: f64,
    /// Payload only.
    pub megabytes_per_second: f64,
    /// Messages published; nothing if others publish.
    pub published: u64,
    pub lost: u64,
    /// What came more often than it was sent.
    pub surplus: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<BrokerUse>,
    pub generator: GeneratorUse,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How late the generator itself sent: included in the latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_delay: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
}

/// What the numbers of a run count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A message at a subscriber.
    #[default]
    Delivery,
    /// A message taken by the server.
    Message,
    /// A request that was answered.
    Request,
    /// An open connection.
    Connection,
}

/// What the broker used during the run.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerUse {
    pub cpu_ns_each: f64,
    /// CPU seconds a second.
    pub cores: f64,
    pub resident_bytes: u64,
    /// Written to disks, for each unit; `None` where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_bytes_each: Option<f64>,
}

/// What the generator used during the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GeneratorUse {
    pub cpu_ns_each: f64,
    /// CPU seconds a second.
    pub cores: f64,
}

/// Percentiles.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    pub samples: u64,
    pub min_ns: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

/// Idle connections.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    pub opened: u64,
    /// Still open at the end.
    pub held: u64,
    pub open_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes_each: Option<f64>,
}

impl Report {
    /// # Errors
    /// Not exactly what was sent came.
    pub fn check(&self) -> Result<()> {
        let all = thousands(self.count.saturating_sub(self.surplus) + self.lost);
        ensure!(
            self.lost == 0,
            "{} of {all} {} were lost",
            thousands(self.lost),
            self.unit.plural()
        );
        ensure!(
            self.surplus == 0,
            "{} {} too many came",
            thousands(self.surplus),
            self.unit.plural()
        );
        Ok(())
    }
}

impl Latency {
    /// Reads the percentiles off a histogram of nanoseconds.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            samples: histogram.len(),
            min_ns: histogram.min(),
            p50_ns: histogram.value_at_quantile(0.5),
            p90_ns: histogram.value_at_quantile(0.9),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
        }
    }
}

/// A histogram of nanoseconds, up to a minute, with three digits.
///
/// # Errors
/// Never, as these bounds are valid.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// Measures what broker and generator use, from its start on.
#[derive(Debug)]
pub struct Meter {
    pub started: Instant,
    generator: Duration,
    broker: Option<BrokerStart>,
}

#[derive(Debug)]
struct BrokerStart {
    pid: u32,
    cpu: Duration,
    written_bytes: Option<u64>,
}

impl BrokerStart {
    fn now(pid: u32) -> Result<Self> {
        Ok(Self {
            pid,
            cpu: usage::cpu_time(pid)?,
            // Another user's process does not tell.
            written_bytes: usage::written_bytes(pid).ok(),
        })
    }
}

impl Meter {
    /// # Errors
    /// There is no process `broker_pid`.
    pub fn start(broker_pid: Option<u32>) -> Result<Self> {
        let broker = broker_pid.map(BrokerStart::now).transpose()?;
        Ok(Self {
            started: Instant::now(),
            generator: usage::own_cpu_time(),
            broker,
        })
    }

    /// Fills in what `count` units took that were all there at `ended`.
    ///
    /// # Errors
    /// The broker's process is gone.
    #[allow(clippy::cast_precision_loss, reason = "rates are printed with three digits")]
    pub fn stop(&self, ended: Instant, count: u64, report: &mut Report) -> Result<()> {
        let seconds = (ended - self.started).as_secs_f64().max(1e-9);
        let each = |used: Duration| used.as_secs_f64() * 1e9 / (count.max(1) as f64);
        let generator = usage::own_cpu_time().saturating_sub(self.generator);
        report.count = count;
        report.seconds = seconds;
        report.per_second = count as f64 / seconds;
        report.megabytes_per_second = report.per_second * report.payload_bytes as f64 / 1e6;
        report.generator = GeneratorUse {
            cpu_ns_each: each(generator),
            cores: generator.as_secs_f64() / seconds,
        };
        if let Some(before) = &self.broker {
            let now = BrokerStart::now(before.pid)?;
            let used = now.cpu.saturating_sub(before.cpu);
            let written = now.written_bytes.zip(before.written_bytes);
            report.broker = Some(BrokerUse {
                cpu_ns_each: each(used),
                cores: used.as_secs_f64() / seconds,
                resident_bytes: usage::resident_bytes(before.pid)?,
                written_bytes_each: written
                    .map(|(now, before)| now.saturating_sub(before) as f64 / count.max(1) as f64),
            });
        }
        Ok(())
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Message => "message",
            Self::Request => "request",
            Self::Connection => "connection",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Delivery => "deliveries",
            Self::Message => "messages",
            Self::Request => "requests",
            Self::Connection => "connections",
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (unit, units) = (self.unit.name(), self.unit.plural());
        writeln!(f, "{}", self.work)?;
        writeln!(
            f,
            "  count      {} {units} in {:.2} s",
            thousands(self.count),
            self.seconds
        )?;
        if self.unit == Unit::Delivery && self.published > 0 {
            writeln!(f, "  published  {} messages", thousands(self.published))?;
        }
        if self.lost > 0 || self.surplus > 0 {
            writeln!(
                f,
                "  LOST       {}, surplus {}",
                thousands(self.lost),
                thousands(self.surplus)
            )?;
        }
        if let Some(idle) = &self.idle {
            write!(f, "{idle}")?;
        } else {
            let (each, megabytes) = (rate(self.per_second), self.megabytes_per_second);
            writeln!(f, "  rate       {each} {units}/s, {megabytes:.1} MB/s")?;
        }
        if let Some(latency) = &self.latency {
            writeln!(f, "  latency    {latency}")?;
        }
        if let Some(delay) = &self.send_delay {
            writeln!(f, "  sent late  {delay}")?;
        }
        if let Some(broker) = &self.broker {
            let (ns, cores) = (broker.cpu_ns_each, broker.cores);
            let mib = broker.resident_bytes >> 20;
            writeln!(
                f,
                "  broker     {ns:.0} ns CPU a {unit}, {cores:.2} cores, {mib} MiB resident"
            )?;
        }
        let GeneratorUse {
            cpu_ns_each: ns,
            cores,
        } = self.generator;
        write!(f, "  generator  {ns:.0} ns CPU a {unit}, {cores:.2} cores")
    }
}

impl Display for Latency {
    #[allow(clippy::cast_precision_loss, reason = "printed with three digits")]
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, value) in [
            ("min", self.min_ns),
            ("p50", self.p50_ns),
            ("p90", self.p90_ns),
            ("p99", self.p99_ns),
            ("p99.9", self.p999_ns),
        ] {
            write!(f, "{name} {}, ", nanoseconds(value as f64))?;
        }
        write!(f, "max {}", nanoseconds(self.max_ns as f64))
    }
}

impl Display for Idle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  opened     {} in {:.2} s",
            thousands(self.opened),
            self.open_seconds
        )?;
        writeln!(f, "  held       {}", thousands(self.held))?;
        match self.resident_bytes_each {
            Some(bytes) => writeln!(f, "  memory     {:.2} KiB a connection", bytes / 1024.0),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_the_histogram() {
        let mut samples = histogram().unwrap();
        for micros in 1..=1000 {
            samples.record(micros * 1000).unwrap();
        }
        let latency = Latency::of(&samples);
        assert_eq!(latency.samples, 1000);
        for (value, expected_us) in [
            (latency.min_ns, 1),
            (latency.p50_ns, 500),
            (latency.p99_ns, 990),
            (latency.p999_ns, 999),
            (latency.max_ns, 1000),
        ] {
            assert!(
                value.abs_diff(expected_us * 1000) <= expected_us,
                "{value} is not {expected_us} us"
            );
        }
    }

    #[test]
    fn a_meter_divides_by_the_count() {
        let meter = Meter {
            started: Instant::now(),
            generator: Duration::ZERO,
            broker: None,
        };
        let mut report = Report {
            payload_bytes: 100,
            ..Report::default()
        };
        meter
            .stop(meter.started + Duration::from_secs(2), 4_000_000, &mut report)
            .unwrap();
        assert_eq!(report.count, 4_000_000);
        assert!((report.per_second - 2e6).abs() < 1.0, "{}", report.per_second);
        assert!((report.megabytes_per_second - 200.0).abs() < 0.1);
        assert!(report.broker.is_none());
    }

    #[test]
    fn a_loss_is_shown() {
        let mut report = Report {
            work: "1:1, 16 B".into(),
            published: 10,
            count: 9,
            ..Report::default()
        };
        assert!(!report.to_string().contains("LOST"), "{report}");
        report.lost = 1;
        assert!(report.to_string().contains("LOST       1, surplus 0"), "{report}");
        assert_eq!(
            report.check().unwrap_err().to_string(),
            "1 of 10 deliveries were lost"
        );
    }
}
