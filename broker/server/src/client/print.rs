//! How answers are printed.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::Result;
use async_nats::jetstream::kv::{Entry, Operation};
use async_nats::jetstream::{Message, message};
use serde_json::{Value, json};

/// A value as it is, without quotes.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Texts with commas between them.
pub fn list(value: &Value) -> String {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// Bytes in the unit that reads best.
pub fn bytes(value: &Value) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let Some(mut number) = value.as_f64() else {
        return text(value);
    };
    let mut unit = 0;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{number:.0} B"),
        _ => format!("{number:.1} {}", UNITS[unit]),
    }
}

/// Nanoseconds as `1d2h3m4.5s`.
pub fn duration(value: &Value) -> String {
    let Some(mut ns) = value.as_u64() else {
        return text(value);
    };
    const SECOND: u64 = 1_000_000_000;
    let mut out = String::new();
    for (unit, size) in [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("m", 60 * SECOND)] {
        if ns >= size {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}{unit}", ns / size);
            ns %= size;
        }
    }
    if ns > 0 || out.is_empty() {
        let _ = write!(out, "{}s", ns as f64 / SECOND as f64);
    }
    out
}

/// A stream's first or last sequence, with its time.
pub fn sequence(state: &Value, which: &str) -> String {
    let seq = text(&state[format!("{which}_seq")]);
    match state["messages"].as_u64() {
        None | Some(0) => seq,
        _ => format!("{seq} at {}", text(&state[format!("{which}_ts")])),
    }
}

pub fn json(value: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    Ok(writeln!(out)?)
}

/// Columns as wide as they need to be.
pub fn table(out: &mut impl Write, titles: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    let width = |at: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(at))
            .map(|cell| cell.chars().count());
        cells.chain([titles[at].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let titles = titles.iter().map(|&title| title.to_owned()).collect();
    for row in std::iter::once(&titles).chain(&rows) {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Names and values, one a line.
pub fn pairs(rows: &[(&str, String)]) -> Result<()> {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut out = std::io::stdout().lock();
    for (name, value) in rows {
        writeln!(out, "{name:width$}  {value}")?;
    }
    Ok(())
}

/// One message of a stream, on one line.
pub fn message(as_json: bool, message: &Message, info: &message::Info<'_>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let payload = String::from_utf8_lossy(&message.payload);
    if as_json {
        let headers: Option<Value> = message.headers.as_ref().map(|headers| {
            let all = headers.iter().map(|(name, values)| {
                let values = values.iter().map(|value| Value::from(value.as_str())).collect();
                (name.to_string(), Value::Array(values))
            });
            Value::Object(all.collect())
        });
        let line = json!({
            "seq": info.stream_sequence,
            "time": info.published.to_string(),
            "subject": message.subject.as_str(),
            "headers": headers,
            "payload": payload,
        });
        writeln!(out, "{line}")?;
    } else {
        let (seq, subject) = (info.stream_sequence, &message.subject);
        writeln!(out, "[{seq}] {subject}: {payload}")?;
    }
    Ok(out.flush()?)
}

pub fn entry_json(entry: &Entry) -> Value {
    json!({
        "bucket": entry.bucket,
        "key": entry.key,
        "revision": entry.revision,
        "created": entry.created.to_string(),
        "operation": operation(entry.operation),
        "value": String::from_utf8_lossy(&entry.value),
    })
}

/// One value of a bucket, on one line.
pub fn entry(as_json: bool, entry: &Entry) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", entry_json(entry))?;
    } else {
        let (revision, key) = (entry.revision, &entry.key);
        match entry.operation {
            Operation::Put => {
                writeln!(
                    out,
                    "[{revision}] {key}: {}",
                    String::from_utf8_lossy(&entry.value)
                )?;
            }
            other => writeln!(out, "[{revision}] {key} {}", operation(other))?,
        }
    }
    Ok(out.flush()?)
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Put => "put",
        Operation::Delete => "delete",
        Operation::Purge => "purge",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        assert_eq!(bytes(&json!(512)), "512 B");
        assert_eq!(bytes(&json!(1536)), "1.5 KiB");
        assert_eq!(duration(&json!(90_000_000_000_u64)), "1m30s");
        assert_eq!(duration(&json!(1_500_000_000)), "1.5s");
        assert_eq!(duration(&json!(0)), "0s");
        assert_eq!(list(&json!(["a", "b"])), "a, b");
        assert_eq!(text(&json!(null)), "-");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let rows = vec![
            vec!["long name".to_owned(), "1".to_owned()],
            vec!["b".to_owned(), "22".to_owned()],
        ];
        table(&mut out, &["A", "B"], rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "A          B\nlong name  1\nb          22\n"
        );
    }
}
