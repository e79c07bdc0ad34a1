//! Prometheus' text exposition format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{Family, Histogram, Kind, Label, Sample, Value};

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes families sorted by name. Families of one name (from several sources) become one, with the help and
/// kind of the first; those without samples are left out.
#[must_use]
pub fn encode(families: Vec<Family>) -> String {
    let mut text = String::new();
    for family in merge(families).values() {
        // Writing to a string cannot fail.
        let _ = write_family(&mut text, family);
    }
    text
}

fn merge(families: Vec<Family>) -> BTreeMap<String, Family> {
    let mut merged: BTreeMap<String, Family> = BTreeMap::new();
    for family in families.into_iter().filter(|family| !family.samples.is_empty()) {
        match merged.get_mut(family.name.as_ref()) {
            Some(first) => first.samples.extend(family.samples),
            None => {
                merged.insert(family.name.clone().into_owned(), family);
            }
        }
    }
    merged
}

fn write_family(text: &mut String, family: &Family) -> fmt::Result {
    let name = family.name.as_ref();
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    writeln!(text, "# HELP {name} {}", escape_help(&family.help))?;
    writeln!(text, "# TYPE {name} {kind}")?;
    family
        .samples
        .iter()
        .try_for_each(|sample| write_sample(text, name, sample))
}

fn write_sample(text: &mut String, name: &str, sample: &Sample) -> fmt::Result {
    match &sample.value {
        Value::Integer(value) => write_line(text, name, "", &sample.labels, None, &value.to_string()),
        Value::Float(value) => write_line(text, name, "", &sample.labels, None, &float(*value)),
        Value::Histogram(histogram) => write_histogram(text, name, &sample.labels, histogram),
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &[Label], histogram: &Histogram) -> fmt::Result {
    for (bound, count) in &histogram.buckets {
        write_line(
            text,
            name,
            "_bucket",
            labels,
            Some(&float(*bound)),
            &count.to_string(),
        )?;
    }
    write_line(
        text,
        name,
        "_bucket",
        labels,
        Some("+Inf"),
        &histogram.count.to_string(),
    )?;
    write_line(text, name, "_sum", labels, None, &float(histogram.sum))?;
    write_line(text, name, "_count", labels, None, &histogram.count.to_string())
}

fn write_line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[Label],
    bound: Option<&str>,
    value: &str,
) -> fmt::Result {
    write!(text, "{name}{suffix}")?;
    let labels = labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    let mut separator = '{';
    for (label, content) in labels.chain(bound.map(|bound| ("le", bound))) {
        write!(text, "{separator}{label}=\"{}\"", escape_label(content))?;
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    writeln!(text, " {value}")
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        value.to_string()
    }
}

fn escape_help(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n")
}

fn escape_label(text: &str) -> String {
    escape_help(text).replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counters_and_gauges() {
        let connections = Family::gauge("mainstem_connections", "Open connections.")
            .with(&[("front", "nats"), ("account", "$G")], 3_u64);
        let messages = Family::counter("mainstem_in_messages_total", "Messages received.").with(&[], 1.5);
        assert_eq!(
            encode(vec![messages, connections]),
            "# HELP mainstem_connections Open connections.\n\
             # TYPE mainstem_connections gauge\n\
             mainstem_connections{front=\"nats\",account=\"$G\"} 3\n\
             # HELP mainstem_in_messages_total Messages received.\n\
             # TYPE mainstem_in_messages_total counter\n\
             mainstem_in_messages_total 1.5\n"
        );
    }

    #[test]
    fn a_histogram_ends_with_all_values() {
        let histogram = Histogram {
            buckets: vec![(0.5, 1), (2.0, 4)],
            sum: 9.25,
            count: 5,
        };
        let family = Family::histogram("t_seconds", "Time.").with(&[("op", "x")], histogram);
        assert_eq!(
            encode(vec![family]),
            "# HELP t_seconds Time.\n\
             # TYPE t_seconds histogram\n\
             t_seconds_bucket{op=\"x\",le=\"0.5\"} 1\n\
             t_seconds_bucket{op=\"x\",le=\"2\"} 4\n\
             t_seconds_bucket{op=\"x\",le=\"+Inf\"} 5\n\
             t_seconds_sum{op=\"x\"} 9.25\n\
             t_seconds_count{op=\"x\"} 5\n"
        );
    }

    #[test]
    fn families_of_one_name_become_one_and_empty_ones_vanish() {
        let text = encode(vec![
            Family::gauge("a", "First.").with(&[("worker", "0")], 1_u64),
            Family::gauge("b", "None."),
            Family::gauge("a", "Second.").with(&[("worker", "1")], 2_u64),
        ]);
        assert_eq!(
            text,
            "# HELP a First.\n# TYPE a gauge\na{worker=\"0\"} 1\na{worker=\"1\"} 2\n"
        );
    }

    #[test]
    fn values_that_are_no_numbers() {
        assert_eq!(float(f64::NAN), "NaN");
        assert_eq!(float(f64::INFINITY), "+Inf");
        assert_eq!(float(f64::NEG_INFINITY), "-Inf");
        assert_eq!(float(1e21), "1000000000000000000000");
    }

    fn unescape(text: &str) -> String {
        let mut chars = text.chars();
        let mut plain = String::new();
        while let Some(character) = chars.next() {
            plain.push(match (character, character == '\\') {
                (_, true) => match chars.next() {
                    Some('n') => '\n',
                    Some(other) => other,
                    None => panic!("a lone backslash"),
                },
                (other, false) => other,
            });
        }
        plain
    }

    proptest! {
        #[test]
        fn a_label_stays_on_its_line_and_between_its_quotes(value in "\\PC*[\\\\\"\n]*\\PC*") {
            let escaped = escape_label(&value);
            prop_assert!(!escaped.contains('\n'));
            prop_assert!(!escaped.replace(r"\\", "").replace("\\\"", "").contains('"'));
            prop_assert_eq!(unescape(&escaped), value);
        }
    }
}
