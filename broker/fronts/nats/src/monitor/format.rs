//! Times, durations and numbers as Go writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

const SECONDS_PER_DAY: u64 = 86_400;

/// A time in RFC 3339 with as many digits of the second as needed: `2026-11-21T08:05:54.4936Z`. Times before
/// 1970 do not occur and are shown as 1970.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / SECONDS_PER_DAY);
    let second = since.as_secs() % SECONDS_PER_DAY;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = fraction(u128::from(since.subsec_nanos()), 9);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts in eras of 400 years (146,097 days) from the first of March of year 0, so that the leap day is the last
/// of its year and months follow a straight line of 153 days for five.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    let day = day - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// A duration with its largest unit at most a second: `741µs`, `5.52203ms`, `2.5s`; from a minute on `1m0.5s`.
pub(crate) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => scaled(nanos, 3, "µs"),
        1_000_000..1_000_000_000 => scaled(nanos, 6, "ms"),
        _ => {
            let seconds = duration.as_secs();
            let rest = format!(
                "{}{}s",
                seconds % 60,
                fraction(u128::from(duration.subsec_nanos()), 9)
            );
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => rest,
                (0, minutes) => format!("{minutes}m{rest}"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
            }
        }
    }
}

fn scaled(nanos: u128, digits: u32, unit: &str) -> String {
    let scale = 10_u128.pow(digits);
    format!(
        "{}{}{unit}",
        nanos / scale,
        fraction(nanos % scale, digits as usize)
    )
}

/// `.` and `part` as `digits` decimals without the zeros at the end; nothing for 0.
fn fraction(part: u128, digits: usize) -> String {
    if part == 0 {
        return String::new();
    }
    format!(".{part:0digits$}").trim_end_matches('0').into()
}

/// A round trip: whole microseconds below a millisecond.
pub(crate) fn rtt(rtt: Option<Duration>) -> String {
    let rtt = rtt.unwrap_or_default();
    let shown = match rtt.as_nanos() {
        1_001..1_000_000 => Duration::from_micros(rtt.subsec_micros().into()),
        _ => rtt,
    };
    duration(shown)
}

/// Whole seconds with all larger units, from the largest that is not zero: `1y2d3h4m5s`, `3h0m1s`, `0s`.
pub(crate) fn uptime(from: SystemTime, to: SystemTime) -> String {
    let seconds = to.duration_since(from).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / SECONDS_PER_DAY);
    let years = days / 365;
    let parts = [
        (years, 'y'),
        (days % 365, 'd'),
        (hours % 24, 'h'),
        (minutes % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let first = parts
        .iter()
        .position(|(count, _)| *count > 0)
        .unwrap_or(parts.len() - 1);
    parts[first..]
        .iter()
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect()
}

/// Nanoseconds, which is how Go writes a duration into JSON.
pub(crate) fn nanos(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000)
}

/// A number that is written without a point when it is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl Number {
    pub(crate) fn seconds(milliseconds: u64) -> Self {
        Self(milliseconds as f64 / 1000.0)
    }

    /// 0 when there is nothing to divide by.
    pub(crate) fn ratio(part: f64, whole: f64) -> Self {
        Self(if whole > 0.0 { part / whole } else { 0.0 })
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Beyond 2^53 a float has no place for a fraction.
        if self.0.fract() == 0.0 && self.0.abs() < 9_007_199_254_740_992.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// For `skip_serializing_if`.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn timestamps() {
        assert_eq!(timestamp(at(0, 0)), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(at(951_782_400, 0)), "2000-02-29T00:00:00Z");
        assert_eq!(
            timestamp(at(1_795_248_354, 493_600_000)),
            "2026-11-21T08:05:54.4936Z"
        );
        assert_eq!(timestamp(at(4_107_542_399, 1)), "2100-02-28T23:59:59.000000001Z");
        assert_eq!(timestamp(at(4_107_542_400, 0)), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn durations() {
        let shown = |nanos| duration(Duration::from_nanos(nanos));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(7), "7ns");
        assert_eq!(shown(1_100), "1.1µs");
        assert_eq!(shown(5_522_030), "5.52203ms");
        assert_eq!(shown(2_500_000_000), "2.5s");
        assert_eq!(shown(60_000_000_000), "1m0s");
        assert_eq!(shown(3_600_000_000_001), "1h0m0.000000001s");
    }

    #[test]
    fn round_trips_below_a_millisecond_are_cut_to_microseconds() {
        assert_eq!(rtt(None), "0s");
        assert_eq!(rtt(Some(Duration::from_nanos(741_999))), "741µs");
        assert_eq!(rtt(Some(Duration::from_nanos(999))), "999ns");
        assert_eq!(rtt(Some(Duration::from_nanos(2_931_548))), "2.931548ms");
    }

    #[test]
    fn uptimes() {
        let shown = |seconds| uptime(at(0, 0), at(seconds, 999_999_999));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(60), "1m0s");
        assert_eq!(shown(3 * 3600 + 1), "3h0m1s");
        assert_eq!(shown(2 * 86_400), "2d0h0m0s");
        assert_eq!(shown(367 * 86_400 + 61), "1y2d0h1m1s");
        assert_eq!(uptime(at(9, 0), at(8, 0)), "0s");
    }

    #[test]
    fn whole_numbers_have_no_point() {
        let json = |number| serde_json::to_string(&Number(number)).unwrap_or_default();
        assert_eq!(json(2.0), "2");
        assert_eq!(json(0.25), "0.25");
        assert_eq!(json(0.666_666_666_666_666_6), "0.6666666666666666");
    }

    proptest! {
        #[test]
        fn the_next_day_is_the_next_date(day in 0_u64..200_000) {
            let (year, month, date) = civil(day);
            let next = civil(day + 1);
            let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            let last = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let expected = match (month, date == last) {
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
                (_, false) => (year, month, date + 1),
            };
            prop_assert_eq!(next, expected);
        }
    }
}
