//! The JSON that nats-server's configuration digest (`sha256:...`) is computed over: keys sorted, no blanks, `<`,
//! `>` and `&` escaped, a line feed at the end.

use std::fmt::Write;

use crate::value::{Map, Value};

impl Map {
    /// Canonical JSON of the map. Its SHA-256 is what nats-server prints after `configuration file ... is valid`.
    pub fn canonical_json(&self) -> String {
        let mut out = String::new();
        write_map(&mut out, self);
        out.push('\n');
        out
    }
}

fn write_map(out: &mut String, map: &Map) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (index, (key, node)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_value(out, &node.value);
    }
    out.push('}');
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::String(text) | Value::Datetime(text) => write_string(out, text),
        Value::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
        Value::Integer(number) => write_display(out, number),
        Value::Float(number) => write_float(out, *number),
        Value::Array(nodes) => {
            out.push('[');
            for (index, node) in nodes.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, &node.value);
            }
            out.push(']');
        }
        Value::Map(map) => write_map(out, map),
    }
}

/// Very small and very large numbers have an exponent, all others have none.
fn write_float(out: &mut String, number: f64) {
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        out.push_str(&if magnitude < 1.0 {
            text
        } else {
            text.replace('e', "e+")
        });
    } else {
        write_display(out, &number);
    }
}

fn write_display(out: &mut String, value: &impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
