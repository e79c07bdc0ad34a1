//! Numbers as people write and read them.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Reads a number of bytes: `128`, `4KiB`, `1MiB`.
///
/// # Errors
/// `text` is no number of bytes.
pub fn parse_bytes(text: &str) -> Result<usize> {
    let (number, unit) = split_unit(text);
    let scale = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => bail!("{unit:?} is no unit of bytes; allowed: B, KiB, MiB, GiB"),
    };
    let number: usize = number
        .parse()
        .with_context(|| format!("{text:?} is no number of bytes"))?;
    number
        .checked_mul(scale)
        .with_context(|| format!("{text:?} is too large"))
}

/// Reads a duration: `500ms`, `3s`, `2m`, or a plain number of seconds.
///
/// # Errors
/// `text` is no duration.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let (number, unit) = split_unit(text);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => bail!("{unit:?} is no unit of time; allowed: ms, s, m, h"),
    };
    let number: f64 = number
        .parse()
        .with_context(|| format!("{text:?} is no duration"))?;
    Duration::try_from_secs_f64(number * scale).with_context(|| format!("{text:?} is out of range"))
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    (text[..end].trim_end(), &text[end..])
}

/// How many publishers (or requesters), and how many on the other side: `8:8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    pub from: usize,
    pub to: usize,
}

impl FromStr for Sides {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let sides = text.split_once(':').and_then(|(from, to)| {
            let sides = Self {
                from: from.parse().ok()?,
                to: to.parse().ok()?,
            };
            (sides.from > 0 && sides.to > 0).then_some(sides)
        });
        sides.with_context(|| format!("{text:?} is not N:M with both at least 1"))
    }
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate in the unit that leaves three digits: `3.21M`, `7.90k`, `812`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 1e6 => format!("{:.2}M", r / 1e6),
        r if r >= 1e3 => format!("{:.2}k", r / 1e3),
        r => format!("{r:.0}"),
    }
}

/// A time in the unit that reads best: `480 ns`, `126 us`, `3.20 ms`, `1.50 s`.
#[must_use]
pub fn nanoseconds(ns: f64) -> String {
    match ns {
        ns if ns >= 1e9 => format!("{:.2} s", ns / 1e9),
        ns if ns >= 1e6 => format!("{:.2} ms", ns / 1e6),
        ns if ns >= 1e4 => format!("{:.0} us", ns / 1e3),
        ns if ns >= 1e3 => format!("{:.1} us", ns / 1e3),
        ns => format!("{ns:.0} ns"),
    }
}

/// A time in nanoseconds, at most what 64 bits hold (584 years).
#[must_use]
pub fn whole_nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The middle value, or the mean of the middle two. `None` if there is none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_units() {
        for (text, expected) in [
            ("0", 0),
            ("16", 16),
            ("128B", 128),
            ("64 KiB", 65536),
            ("2MiB", 2 << 20),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), expected, "{text}");
        }
        for text in ["", "KiB", "1KB", "-1", "1.5KiB", "99999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_default_to_seconds() {
        for (text, millis) in [
            ("3", 3000),
            ("1.5s", 1500),
            ("250ms", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_millis(millis),
                "{text}"
            );
        }
        for text in ["", "s", "-1s", "3 weeks", "1e99h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sides_are_two_counts() {
        assert_eq!("8:16".parse::<Sides>().unwrap(), Sides { from: 8, to: 16 });
        for text in ["", "8", "8:", ":8", "0:1", "1:0", "a:b", "1:2:3"] {
            assert!(text.parse::<Sides>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(12_345_678), "12,345,678");
        assert_eq!(rate(812.4), "812");
        assert_eq!(rate(7_904.0), "7.90k");
        assert_eq!(rate(3_214_000.0), "3.21M");
        assert_eq!(nanoseconds(480.0), "480 ns");
        assert_eq!(nanoseconds(1_480.0), "1.5 us");
        assert_eq!(nanoseconds(126_400.0), "126 us");
        assert_eq!(nanoseconds(3_200_000.0), "3.20 ms");
        assert_eq!(nanoseconds(1_500_000_000.0), "1.50 s");
    }

    #[test]
    fn the_median_of_an_even_count_is_between() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }
}
