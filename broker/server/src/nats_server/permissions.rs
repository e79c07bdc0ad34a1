//! `permissions`: what a user may publish and subscribe to.

use mainstem_core::config::{Permissions, ResponsePermission, SubjectPermission};
use nats_conf::{Node, Value};

use super::reading::{Read, Report, complaint, go_type, map, whole};
use super::{duration, subject};

pub(super) fn permissions(node: &Node, report: &mut Report) -> Read<Permissions> {
    let Value::Map(map) = &node.value else {
        let found = shown(&node.value);
        return Err(complaint(
            node,
            format_args!("Expected permissions to be a map/struct, got {found}"),
        ));
    };
    let mut permissions = Permissions::default();
    report.each_key(map, |report, key, written, node| {
        match key {
            "pub" | "publish" | "import" => permissions.publish = subjects(node, false, report)?,
            "sub" | "subscribe" | "export" => permissions.subscribe = subjects(node, true, report)?,
            "publish_allow_responses" | "allow_responses" => {
                permissions.allow_responses = responses(node, report)?
            }
            _ => unknown(written, node, "parsing permissions", report),
        }
        Ok(())
    });
    // Being allowed to answer takes the general permission away, if there is no list of what is allowed.
    if permissions.allow_responses.is_some() {
        permissions.publish.allow.get_or_insert_default();
    }
    Ok(permissions)
}

fn unknown(key: &str, node: &Node, place: &str, report: &mut Report) {
    if !node.is_variable {
        report.error(complaint(node, format_args!("Unknown field {key:?} {place}")));
    }
}

/// One subject, an array of them, or a map with `allow` and `deny`.
fn subjects(node: &Node, with_queue: bool, report: &mut Report) -> Read<SubjectPermission> {
    let mut permission = SubjectPermission::default();
    let Value::Map(map) = &node.value else {
        permission.allow = allowed(list(node, with_queue)?);
        return Ok(permission);
    };
    report.each_key(map, |report, key, written, node| {
        match key {
            "allow" => permission.allow = allowed(list(node, with_queue)?),
            "deny" => permission.deny = list(node, with_queue)?,
            _ if node.is_variable => {}
            _ => report.error(complaint(
                node,
                format_args!(
                    "Unknown field name {written:?} parsing subject permissions, only 'allow' or 'deny' are permitted"
                ),
            )),
        }
        Ok(())
    });
    Ok(permission)
}

/// nats-server takes an empty list for no list.
fn allowed(subjects: Vec<String>) -> Option<Vec<String>> {
    (!subjects.is_empty()).then_some(subjects)
}

pub(super) fn list(node: &Node, with_queue: bool) -> Read<Vec<String>> {
    let subjects = match &node.value {
        Value::String(subject) => vec![subject.clone()],
        Value::Array(nodes) => nodes
            .iter()
            .map(|node| match &node.value {
                Value::String(subject) => Ok(subject.clone()),
                _ => Err(complaint(
                    node,
                    "Subject in permissions array cannot be cast to string",
                )),
            })
            .collect::<Read<_>>()?,
        other => {
            let found = go_type(other);
            let reason =
                format!("Expected subject permissions to be a subject, or array of subjects, got {found}");
            return Err(complaint(node, reason));
        }
    };
    subject::check(&subjects, with_queue).map_err(|reason| complaint(node, reason))?;
    Ok(subjects)
}

fn responses(node: &Node, report: &mut Report) -> Read<Option<ResponsePermission>> {
    match node.value {
        Value::Bool(false) => return Ok(None),
        Value::Bool(true) => return Ok(Some(ResponsePermission::default())),
        Value::Map(_) => {}
        _ => {
            return Err(complaint(
                node,
                "error parsing response permissions, expected a boolean or a map",
            ));
        }
    }
    let mut permission = ResponsePermission::default();
    report.each_key(map(node)?, |report, key, written, node| {
        match key {
            "max" | "max_msgs" | "max_messages" | "max_responses" => match whole(node)? {
                0 => {}
                max => permission.max_messages = max.max(-1),
            },
            "expires" | "expiration" | "ttl" => match expiry_ns(node)? {
                0 => {}
                ns if ns < 0 => permission.expires_ms = -1,
                ns => permission.expires_ms = i64::try_from(duration::to_ms(ns)).unwrap_or(i64::MAX),
            },
            _ => unknown(written, node, "parsing permissions", report),
        }
        Ok(())
    });
    Ok(Some(permission))
}

fn expiry_ns(node: &Node) -> Read<i64> {
    match &node.value {
        Value::String(text) => duration::parse(text)
            .map_err(|error| complaint(node, format_args!("error parsing expires: {error}"))),
        _ => Err(complaint(node, "error parsing expires, not a duration string")),
    }
}

/// A value as an error shows it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) | Value::Datetime(text) => text.clone(),
        Value::Bool(on) => on.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Array(_) | Value::Map(_) => go_type(value).to_owned(),
    }
}
