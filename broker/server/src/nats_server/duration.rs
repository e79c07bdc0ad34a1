//! Durations as Go's `time.ParseDuration` reads and prints them: `1h30m`, `2.5s`, `100ms`, `-1s`.

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND as u64;
const HOUR: u64 = 60 * MINUTE;

/// Nanoseconds of a Go duration, or Go's words on what is wrong with it.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(number_len(rest));
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if !number.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let unit_ns =
            unit_ns(unit).ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        total = scaled(number, unit_ns)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(invalid)?;
        rest = after;
    }
    let total = i64::try_from(total).map_err(|_| invalid())?;
    Ok(if negative { -total } else { total })
}

/// Digits, at most one point, digits.
fn number_len(text: &str) -> usize {
    let is_not_digit = |c: char| !c.is_ascii_digit();
    let whole = text.find(is_not_digit).unwrap_or(text.len());
    match text[whole..].strip_prefix('.') {
        Some(fraction) => whole + 1 + fraction.find(is_not_digit).unwrap_or(fraction.len()),
        None => whole,
    }
}

fn unit_ns(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND as u64,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

fn scaled(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: f64 = format!("0.{fraction}0").parse().ok()?;
    whole
        .checked_mul(unit_ns)?
        .checked_add((fraction * unit_ns as f64) as u64)
}

/// As Go prints a duration: `2m0s`, `1.5s`, `300ms`.
pub(super) fn show(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let decimal = |unit: u64| {
        let text = format!(
            "{}.{:0width$}",
            ns / unit,
            ns % unit,
            width = unit.ilog10() as usize
        );
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if ns == 0 {
        return "0s".into();
    }
    if ns < MICROSECOND {
        return format!("{sign}{ns}ns");
    }
    if ns < MILLISECOND {
        return format!("{sign}{}µs", decimal(MICROSECOND));
    }
    if ns < SECOND as u64 {
        return format!("{sign}{}ms", decimal(MILLISECOND));
    }
    let seconds = format!("{}.{:09}", ns % MINUTE / SECOND as u64, ns % SECOND as u64);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    let (hours, minutes) = (ns / HOUR, ns % HOUR / MINUTE);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// Milliseconds of a duration that is not negative; what is shorter than one counts as one.
pub(super) fn to_ms(ns: i64) -> u64 {
    u64::try_from(ns).map_or(0, |ns| ns.div_ceil(MILLISECOND))
}

/// Milliseconds of a number of seconds, as nats-server's timeouts have it.
pub(super) fn seconds_to_ms(seconds: f64) -> u64 {
    // The cast saturates: negative and NaN become 0.
    (seconds * 1000.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, ns) in [
            ("0", 0),
            ("2s", 2 * SECOND),
            ("100ms", SECOND / 10),
            ("1h30m", 5400 * SECOND),
            ("1.5s", 3 * SECOND / 2),
            (".5m", 30 * SECOND),
            ("-1s", -SECOND),
            ("+1us", 1_000),
            ("1µs2ns", 1_002),
        ] {
            assert_eq!(parse(text), Ok(ns), "{text}");
        }
        for (text, error) in [
            ("abc", "time: invalid duration \"abc\""),
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("1..2s", "time: missing unit in duration \"1..2s\""),
            (".s", "time: invalid duration \".s\""),
            ("9999999h", "time: invalid duration \"9999999h\""),
        ] {
            assert_eq!(parse(text), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (ns, text) in [
            (0, "0s"),
            (15, "15ns"),
            (1_500, "1.5µs"),
            (SECOND / 10, "100ms"),
            (SECOND, "1s"),
            (180 * SECOND, "3m0s"),
            (5400 * SECOND + SECOND / 2, "1h30m0.5s"),
            (-SECOND, "-1s"),
        ] {
            assert_eq!(show(ns), text);
        }
    }

    #[test]
    fn milliseconds_round_up() {
        assert_eq!((to_ms(1), to_ms(-5), to_ms(2 * SECOND)), (1, 0, 2000));
        assert_eq!(
            (seconds_to_ms(0.5), seconds_to_ms(-1.0), seconds_to_ms(f64::NAN)),
            (500, 0, 0)
        );
    }
}
