//! Whole numbers with a suffix, floats and dates: shape is the lexer's, meaning is here.

/// `8k` is 8,000; `8kb`, `8ki` and `8kib` are 8,192; the same with m, g, t, p and e, in any case.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    let digits_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '-')
        .unwrap_or(text.len());
    let (digits, suffix) = text.split_at(digits_end);
    let out_of_range = || format!("integer '{text}' is out of the range");
    let factor = factor(suffix).ok_or_else(|| format!("integer '{text}' has an unknown suffix"))?;
    let number: i64 = digits.parse().map_err(|_| out_of_range())?;
    number.checked_mul(factor).ok_or_else(out_of_range)
}

fn factor(suffix: &str) -> Option<i64> {
    let suffix = suffix.to_ascii_lowercase();
    let Some(letter) = suffix.chars().next() else {
        return Some(1);
    };
    let power = "kmgtpe".find(letter)? as u32 + 1;
    match &suffix[1..] {
        "" => 1000_i64.checked_pow(power),
        "b" | "i" | "ib" => 1024_i64.checked_pow(power),
        _ => None,
    }
}

pub(crate) fn float(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(format!("float '{text}' is out of the range")),
        Err(_) => Err(format!("expected float, but got '{text}'")),
    }
}

/// Checks that `text`, which has the shape `2006-01-02T15:04:05Z`, is a day and a time that exist.
pub(crate) fn datetime(text: &str) -> Result<(), String> {
    let part = |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u32>().ok());
    let exists = || {
        let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
        let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
        let in_day = hour < 24 && minute < 60 && second < 60;
        (in_day && day >= 1 && day <= days_in_month(year, month)?).then_some(())
    };
    exists().ok_or_else(|| format!("expected Zulu formatted DateTime, but got '{text}'"))
}

fn days_in_month(year: u32, month: u32) -> Option<u32> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if is_leap { 29 } else { 28 }),
        _ => None,
    }
}
