//! Sizes and durations as people write them: `64KiB`, `10MB`, `500ms`, `2m`.
//!
//! One number and one unit, so that there is only one way to read a value. Zero needs no unit.

/// Multiples of a byte, largest first; the binary ones are preferred when printing.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Multiples of a millisecond, largest first.
const DURATIONS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is no quantity.
#[derive(Debug, PartialEq, Eq)]
pub enum BadQuantity {
    /// It does not start with a whole number.
    NotANumber,
    /// A number alone.
    NoUnit,
    /// A number and something that is no unit.
    UnknownUnit(String),
    /// More than 64 bits.
    TooLarge,
}

/// Bytes of a size such as `64KiB`.
pub fn parse_size(text: &str) -> Result<u64, BadQuantity> {
    parse(text, SIZES)
}

/// Milliseconds of a duration such as `2s`.
pub fn parse_duration_ms(text: &str) -> Result<u64, BadQuantity> {
    parse(text, DURATIONS)
}

/// The shortest exact way to write a number of bytes.
pub fn print_size(bytes: u64) -> String {
    print(bytes, SIZES)
}

/// The shortest exact way to write a number of milliseconds.
pub fn print_duration(ms: u64) -> String {
    print(ms, DURATIONS)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, BadQuantity> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    if digits.is_empty() {
        return Err(BadQuantity::NotANumber);
    }
    let number: u64 = digits.parse().map_err(|_| BadQuantity::TooLarge)?;
    match unit.trim_start() {
        "" if number == 0 => Ok(0),
        "" => Err(BadQuantity::NoUnit),
        unit => match units.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => number.checked_mul(*factor).ok_or(BadQuantity::TooLarge),
            None if unit.starts_with(['.', ',', '_']) => Err(BadQuantity::NotANumber),
            None => Err(BadQuantity::UnknownUnit(unit.to_owned())),
        },
    }
}

fn print(quantity: u64, units: &[(&str, u64)]) -> String {
    let exact = units
        .iter()
        .find(|(_, factor)| quantity != 0 && quantity.is_multiple_of(*factor));
    match exact.or(units.last()) {
        Some((name, factor)) => format!("{}{name}", quantity / factor),
        None => quantity.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("0B", 0),
            ("1B", 1),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("10MB", 10_000_000),
            ("1MiB", 1 << 20),
            ("2GiB", 2 << 30),
            ("3KB", 3_000),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for (text, ms) in [
            ("0", 0),
            ("500ms", 500),
            ("2s", 2_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn says_why_not() {
        use BadQuantity::*;
        for (text, why) in [
            ("", NotANumber),
            ("-1B", NotANumber),
            ("many", NotANumber),
            ("1.5MiB", NotANumber),
            ("1_000B", NotANumber),
            ("64", NoUnit),
            ("64 ", NoUnit),
            ("64kb", UnknownUnit("kb".into())),
            ("64K", UnknownUnit("K".into())),
            ("1s", UnknownUnit("s".into())),
            ("99999999999999999999B", TooLarge),
            ("99999999999999999GiB", TooLarge),
        ] {
            assert_eq!(parse_size(text), Err(why), "{text}");
        }
        assert_eq!(parse_duration_ms("1d"), Err(UnknownUnit("d".into())));
    }

    proptest! {
        #[test]
        fn printed_quantities_read_back(quantity: u64) {
            prop_assert_eq!(parse_size(&print_size(quantity)), Ok(quantity));
            prop_assert_eq!(parse_duration_ms(&print_duration(quantity)), Ok(quantity));
        }
    }
}
