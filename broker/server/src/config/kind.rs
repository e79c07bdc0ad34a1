//! What a key's value may look like: reading it from text, saying what is allowed, printing it again.

use super::units::{self, BadQuantity};

/// A value between the file and the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Not set: the key is optional.
    Unset,
    Switch(bool),
    Number(u64),
    Text(String),
    Texts(Vec<String>),
}

/// A rule for a text.
pub struct Rule {
    /// What the text is, such as `a host name or address`.
    pub allowed: &'static str,
    pub accepts: fn(&str) -> bool,
}

/// The type of a key.
pub enum Kind {
    Switch,
    Text(Rule),
    /// Several texts: a YAML list, or separated by commas in a flag or variable.
    Texts(Rule),
    Choice(&'static [&'static str]),
    /// 0 to 65535; 0 asks the system for a free port.
    Port,
    Count {
        min: u64,
        max: u64,
    },
    /// Bytes.
    Size {
        min: u64,
        max: u64,
    },
    /// Milliseconds.
    Duration {
        min: u64,
        max: u64,
    },
    /// One of the words, or a duration.
    ChoiceOrDuration {
        words: &'static [&'static str],
        min: u64,
        max: u64,
    },
}

impl Kind {
    /// Reads one scalar, or says what is wrong with it (without the allowed values).
    pub fn read(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Switch => match text {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(format!("{text:?} is not a switch")),
            },
            Self::Text(rule) => rule.read(text).map(Value::Text),
            Self::Texts(rule) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts
                    .map(|part| rule.read(part))
                    .collect::<Result<_, _>>()
                    .map(Value::Texts)
            }
            Self::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Choice(_) => Err(format!("{text:?} is not a choice")),
            Self::Port => match text.parse::<u16>() {
                Ok(port) if is_digits(text) => Ok(Value::Number(port.into())),
                _ => Err(format!("{text:?} is not a port")),
            },
            Self::Count { min, max } => {
                let number = is_digits(text).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
                bounded(
                    number.ok_or_else(|| format!("{text:?} is not a count"))?,
                    *min,
                    *max,
                    text,
                )
            }
            Self::Size { min, max } => {
                let bytes = units::parse_size(text).map_err(|why| explain(&why, text, "size"))?;
                bounded(bytes, *min, *max, text)
            }
            Self::Duration { min, max } => {
                let ms = units::parse_duration_ms(text).map_err(|why| explain(&why, text, "duration"))?;
                bounded(ms, *min, *max, text)
            }
            Self::ChoiceOrDuration { words, .. } if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::ChoiceOrDuration { min, max, .. } => {
                let ms = units::parse_duration_ms(text)
                    .map_err(|why| explain(&why, text, "choice or duration"))?;
                bounded(ms, *min, *max, text)
            }
        }
    }

    /// All that is allowed, in words.
    pub fn allowed(&self) -> String {
        match self {
            Self::Switch => "true, false".to_owned(),
            Self::Text(rule) => rule.allowed.to_owned(),
            Self::Texts(rule) => format!("a list, each {}", rule.allowed),
            Self::Choice(words) => words.join(", "),
            Self::Port => "1 to 65535, or 0 for any free port".to_owned(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Size { min, max } => {
                let (min, max) = (units::print_size(*min), units::print_size(*max));
                format!("{min} to {max}, in B, KiB, MiB, GiB, KB, MB or GB")
            }
            Self::Duration { min, max } => durations(*min, *max),
            Self::ChoiceOrDuration { words, min, max } => {
                format!("{}, or {}", words.join(", "), durations(*min, *max))
            }
        }
    }

    /// The value as YAML that reads back to the same.
    pub fn print(&self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Unset) => self.unset_word().to_owned(),
            (_, Value::Switch(on)) => on.to_string(),
            (Self::Size { .. }, Value::Number(bytes)) => units::print_size(*bytes),
            (Self::Duration { .. } | Self::ChoiceOrDuration { .. }, Value::Number(ms)) => {
                units::print_duration(*ms)
            }
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Text(text)) => quote(text),
            (_, Value::Texts(texts)) => {
                format!(
                    "[{}]",
                    texts
                        .iter()
                        .map(|text| quote(text))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            }
        }
    }

    /// How an optional key of this kind is switched off. Texts could not be told from the word `off`.
    pub fn unset_word(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Texts(_) | Self::Choice(_) => "null",
            _ => "off",
        }
    }

    /// One word for flags and the reference.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Text(_) => "text",
            Self::Texts(_) => "list",
            Self::Choice(_) => "choice",
            Self::Port => "port",
            Self::Count { .. } => "count",
            Self::Size { .. } => "size",
            Self::Duration { .. } => "duration",
            Self::ChoiceOrDuration { .. } => "choice or duration",
        }
    }
}

impl Rule {
    pub fn read(&self, text: &str) -> Result<String, String> {
        if (self.accepts)(text) {
            Ok(text.to_owned())
        } else {
            Err(format!("{text:?} is not {}", self.allowed))
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn bounded(number: u64, min: u64, max: u64, text: &str) -> Result<Value, String> {
    if number < min {
        Err(format!("{text} is below the minimum"))
    } else if number > max {
        Err(format!("{text} is above the maximum"))
    } else {
        Ok(Value::Number(number))
    }
}

fn durations(min: u64, max: u64) -> String {
    format!(
        "{} to {}, in ms, s, m or h",
        units::print_duration(min),
        units::print_duration(max)
    )
}

fn explain(why: &BadQuantity, text: &str, noun: &str) -> String {
    match why {
        BadQuantity::NotANumber => format!("{text:?} is not a {noun}"),
        BadQuantity::NoUnit => format!("{text:?} has no unit"),
        BadQuantity::UnknownUnit(unit) => format!("{text:?} has the unknown unit {unit:?}"),
        BadQuantity::TooLarge => format!("{text} is above the maximum"),
    }
}

/// YAML scalar that every parser reads back as this text.
fn quote(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_./+-".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::yaml::{self, Body};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quoted_texts_read_back(text in any::<String>()) {
            let node = yaml::parse("t", &format!("key: {}\n", quote(&text))).unwrap();
            let Body::Map(pairs) = node.body else { panic!("a mapping was written") };
            prop_assert!(!pairs[0].1.is_null());
            let Body::Scalar { text: read, .. } = &pairs[0].1.body else { panic!("a scalar was written") };
            prop_assert_eq!(read, &text);
        }
    }
}
