//! Durations in Go's text form: `1h15m30.5s`, `250ms`.

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Nanoseconds of a duration; `None`: it is none, or negative.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut nanos = 0.0;
    let mut any = false;
    while !rest.is_empty() {
        let number_len = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
            .count();
        let (number, unit) = rest.split_at(number_len);
        let number: f64 = number.parse().ok()?;
        let unit_len = unit
            .bytes()
            .take_while(|byte| !byte.is_ascii_digit() && *byte != b'.')
            .count();
        let (unit, after) = unit.split_at(unit_len);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanos += number * scale;
        any = true;
        rest = after;
    }
    (any && nanos < i64::MAX as f64).then_some(nanos as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        assert_eq!(parse("1h1m1.5s"), Some(3_661_500_000_000));
        assert_eq!(parse("250ms"), Some(250_000_000));
        assert_eq!(parse("1µs2us"), Some(3_000));
        assert_eq!(parse("0"), Some(0));
        for text in ["", "5", "s", "1x", "-1s", ".s", "1.2.3s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
