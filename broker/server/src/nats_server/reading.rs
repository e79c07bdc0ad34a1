//! Values of the file with the type a key wants, and the list of what is wrong with the file.
//!
//! A value of the wrong type reads as Go's failed type assertion, because that is what nats-server prints.

use std::fmt::Display;

use nats_conf::{Map, Node, Value};

use super::duration::{self, SECOND};

/// One line on what is wrong, its place first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint(pub String);

/// What reading a key gives.
pub(super) type Read<T> = Result<T, Complaint>;

/// Complains about the value at `node`.
pub(super) fn complaint(node: &Node, reason: impl Display) -> Complaint {
    Complaint(format!("{}: {reason}", node.at))
}

/// Everything wrong with a file: nats-server tells it all at once.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub errors: Vec<String>,
    /// What nats-server warns about too; these fail `-t`.
    pub warnings: Vec<String>,
    /// What was read and has no effect here yet.
    pub unbuilt: Vec<String>,
}

impl Report {
    pub fn error(&mut self, Complaint(line): Complaint) {
        self.errors.push(line);
    }

    pub fn unknown_field(&mut self, key: &str, node: &Node) {
        if !node.is_variable {
            self.error(complaint(node, format_args!("unknown field {key:?}")));
        }
    }

    pub fn misuse(&mut self, key: &str, node: &Node, reason: &str) {
        self.warnings
            .push(format!("{}: invalid use of field {key:?}: {reason}", node.at));
    }

    /// A directive without an effect.
    pub fn not_built(&mut self, node: &Node, what: &str) {
        self.unbuilt.push(format!(
            "{}: {what} is not built yet: the setting has no effect",
            node.at
        ));
    }

    /// A directive whose silent absence would leave a door open.
    pub fn refuse(&mut self, node: &Node, what: &str) {
        self.error(complaint(
            node,
            format_args!("{what} is not built yet, and running without it would be unsafe"),
        ));
    }

    /// Reads all keys of a map; one that cannot be read does not keep the others from being read.
    pub fn each_key(&mut self, map: &Map, mut read: impl FnMut(&mut Self, &str, &str, &Node) -> Read<()>) {
        for (key, node) in map.iter() {
            if let Err(complaint) = read(self, &key.to_lowercase(), key, node) {
                self.error(complaint);
            }
        }
    }
}

/// What Go calls the type of a value.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Integer(_) => "int64",
        Value::Float(_) => "float64",
        Value::Datetime(_) => "time.Time",
        Value::Array(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
    }
}

fn wrong_type(node: &Node, wanted: &str) -> Complaint {
    let found = go_type(&node.value);
    complaint(
        node,
        format_args!("interface conversion: interface {{}} is {found}, not {wanted}"),
    )
}

pub(super) fn text(node: &Node) -> Read<&str> {
    match &node.value {
        Value::String(text) => Ok(text),
        _ => Err(wrong_type(node, "string")),
    }
}

pub(super) fn switch(node: &Node) -> Read<bool> {
    match node.value {
        Value::Bool(on) => Ok(on),
        _ => Err(wrong_type(node, "bool")),
    }
}

pub(super) fn whole(node: &Node) -> Read<i64> {
    match node.value {
        Value::Integer(number) => Ok(number),
        _ => Err(wrong_type(node, "int64")),
    }
}

pub(super) fn map(node: &Node) -> Read<&Map> {
    match &node.value {
        Value::Map(map) => Ok(map),
        _ => Err(wrong_type(node, "map[string]interface {}")),
    }
}

/// A map, or a complaint in the words that the directive has for it; `%T` stands for the type found.
pub(super) fn map_or<'n>(node: &'n Node, expected: &str) -> Read<&'n Map> {
    match &node.value {
        Value::Map(map) => Ok(map),
        other => Err(complaint(node, expected.replace("%T", go_type(other)))),
    }
}

/// The same for an array.
pub(super) fn array_or<'n>(node: &'n Node, expected: &str) -> Read<&'n [Node]> {
    match &node.value {
        Value::Array(nodes) => Ok(nodes),
        other => Err(complaint(node, expected.replace("%T", go_type(other)))),
    }
}

/// Nanoseconds. A number without a unit counts seconds and is warned about.
pub(super) fn duration_ns(field: &str, node: &Node, report: &mut Report) -> Read<i64> {
    match &node.value {
        Value::String(text) => duration::parse(text)
            .map_err(|error| complaint(node, format_args!("error parsing {field}: {error}"))),
        _ => {
            report.misuse(field, node, &format!("{field} should be converted to a duration"));
            let seconds = whole(node)?;
            Ok(seconds.saturating_mul(SECOND))
        }
    }
}

/// Seconds: a number, or a duration. `place` names the block in the complaint.
pub(super) fn seconds(place: &str, node: &Node) -> Read<f64> {
    match &node.value {
        Value::Integer(seconds) => Ok(*seconds as f64),
        Value::Float(seconds) => Ok(*seconds),
        Value::String(text) => match duration::parse(text) {
            Ok(ns) => Ok(ns as f64 / SECOND as f64),
            Err(error) => Err(complaint(
                node,
                format_args!("error parsing {place} config, 'timeout' {error}"),
            )),
        },
        _ => Err(complaint(
            node,
            format_args!("error parsing {place} config, 'timeout' wrong type"),
        )),
    }
}

/// One text or an array of texts.
pub(super) fn texts(field: &str, node: &Node, report: &mut Report) -> Read<Vec<String>> {
    let nodes = match &node.value {
        Value::String(text) => return Ok(vec![text.clone()]),
        Value::Array(nodes) => nodes,
        other => {
            let found = go_type(other);
            return Err(complaint(
                node,
                format_args!("error parsing {field}: unsupported type {found}"),
            ));
        }
    };
    let mut texts = Vec::with_capacity(nodes.len());
    for node in nodes {
        match &node.value {
            Value::String(text) => texts.push(text.clone()),
            other => {
                let found = go_type(other);
                report.error(complaint(
                    node,
                    format_args!("error parsing {field}: unsupported type in array {found}"),
                ));
            }
        }
    }
    Ok(texts)
}

/// Host and port of a `listen` key; a port alone leaves the host empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    pub host: String,
    pub port: i64,
}

pub(super) fn host_port(node: &Node) -> Read<HostPort> {
    match &node.value {
        Value::Integer(port) => Ok(HostPort {
            host: String::new(),
            port: *port,
        }),
        Value::String(text) => {
            let Some((host, port)) = split_host_port(text) else {
                return Err(complaint(
                    node,
                    format_args!("could not parse address string {text:?}"),
                ));
            };
            match port.parse() {
                Ok(port) => Ok(HostPort {
                    host: host.to_owned(),
                    port,
                }),
                Err(_) => Err(complaint(node, format_args!("could not parse port {port:?}"))),
            }
        }
        other => Err(complaint(
            node,
            format_args!("expected port or host:port, got {}", go_type(other)),
        )),
    }
}

/// Splits `host:port` and `[v6]:port`; a host with colons needs brackets.
pub(super) fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split_at_the_last_colon() {
        assert_eq!(split_host_port("localhost:4222"), Some(("localhost", "4222")));
        assert_eq!(split_host_port(":-1"), Some(("", "-1")));
        assert_eq!(split_host_port("[::1]:4222"), Some(("::1", "4222")));
        for text in ["localhost", "::1:4222", "[::1]", "[::1:4222", "a]:1"] {
            assert_eq!(split_host_port(text), None, "{text}");
        }
    }
}
