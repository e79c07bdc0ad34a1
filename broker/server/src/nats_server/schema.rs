//! Blocks that have no effect yet are still checked: an unknown key or a wrong type is an error, as in nats-server.

use nats_conf::{Map, Node, Value};

use super::reading::{
    Read, Report, array_or, complaint, duration_ns, go_type, host_port, map_or, seconds, switch, text, texts,
    whole,
};
use super::{authorization, duration, permissions, tls};

/// Keys of one type.
pub(super) struct Key {
    /// In lower case.
    pub names: &'static [&'static str],
    pub kind: Kind,
}

/// What a key's value must be.
pub(super) enum Kind {
    Text,
    /// A name, in which nats-server allows no blanks; the words of its complaint.
    Name(&'static str),
    Switch,
    Whole,
    /// A whole number from the first to the second, and the complaint when it is another.
    Range(i64, i64, &'static str),
    /// One of these words in any case, and the complaint.
    Word(&'static [&'static str], &'static str),
    /// Whole number or a text such as `10G`.
    Size,
    /// A duration, or seconds, which are warned about.
    Duration,
    /// A duration as text.
    GoDuration,
    /// A duration or `always`.
    SyncInterval,
    /// A number of seconds or a duration, in the block so named.
    Timeout(&'static str),
    HostPort,
    Texts,
    Urls,
    /// A text or an array of texts.
    UrlOrUrls,
    Compression,
    WritePolicy,
    SwitchOrMap,
    Tls,
    /// One user, of the block so named.
    OneUser(&'static str),
    Permissions,
    /// A subject or an array of subjects.
    Subjects,
    /// Another block, and the complaint when it is none.
    Map(&'static [Key], &'static str),
    /// An array of blocks, and the complaint when it is none.
    Maps(&'static [Key], &'static str),
}

/// Checks every key of a block.
pub(super) fn check(keys: &'static [Key], map: &Map, report: &mut Report) {
    report.each_key(map, |report, key, written, node| {
        match keys.iter().find(|known| known.names.contains(&key)) {
            Some(known) => known.kind.check(written, node, report),
            None => {
                report.unknown_field(written, node);
                Ok(())
            }
        }
    });
}

impl Kind {
    fn check(&self, key: &str, node: &Node, report: &mut Report) -> Read<()> {
        match self {
            Self::Text => text(node).map(drop),
            Self::Name(reason) if text(node)?.contains(' ') => Err(complaint(node, reason)),
            Self::Name(_) => Ok(()),
            Self::Switch => switch(node).map(drop),
            Self::Whole => whole(node).map(drop),
            Self::Range(min, max, _) if (*min..=*max).contains(&whole(node)?) => Ok(()),
            Self::Word(words, _) if words.contains(&text(node)?.to_lowercase().as_str()) => Ok(()),
            Self::Range(_, _, reason) | Self::Word(_, reason) => Err(complaint(node, reason)),
            Self::Size => size(key, node).map(drop),
            Self::Duration => duration_ns(key, node, report).map(drop),
            Self::GoDuration => go_duration(node),
            Self::SyncInterval if matches!(&node.value, Value::String(text) if text.eq_ignore_ascii_case("always")) => {
                Ok(())
            }
            Self::SyncInterval => duration_ns(key, node, report).map(drop),
            Self::Timeout(place) => seconds(place, node).map(drop),
            Self::HostPort => host_port(node).map(drop),
            Self::Texts => texts(key, node, report).map(drop),
            Self::Urls => urls(node),
            Self::UrlOrUrls if matches!(node.value, Value::String(_)) => Ok(()),
            Self::UrlOrUrls => urls(node),
            Self::Compression => compression(key, node),
            Self::WritePolicy => write_policy(node).map(drop),
            Self::SwitchOrMap if matches!(node.value, Value::Map(_)) => Ok(()),
            Self::SwitchOrMap => switch(node).map(drop),
            Self::Tls => tls::block(node, report).map(drop),
            Self::OneUser(place) => one_user(place, node, report),
            Self::Permissions => permissions::permissions(node, report).map(drop),
            Self::Subjects => permissions::list(node, false).map(drop),
            Self::Map(keys, expected) => {
                check(keys, map_or(node, expected)?, report);
                Ok(())
            }
            Self::Maps(keys, expected) => maps(keys, array_or(node, expected)?, report),
        }
    }
}

fn maps(keys: &'static [Key], nodes: &[Node], report: &mut Report) -> Read<()> {
    for node in nodes {
        match &node.value {
            Value::Map(map) => check(keys, map, report),
            other => {
                let found = permissions::shown(other);
                report.error(complaint(
                    node,
                    format_args!("Expected entry to be a map/struct, got {found}"),
                ));
            }
        }
    }
    Ok(())
}

/// Bytes.
pub(super) fn size(key: &str, node: &Node) -> Read<i64> {
    let key = key.to_lowercase();
    let Value::String(size) = &node.value else {
        return whole(node).map_err(|_| complaint(node, format_args!("{key} must be int64 or string")));
    };
    let Some((unit, number)) = size
        .char_indices()
        .next_back()
        .map(|(at, unit)| (unit, &size[..at]))
    else {
        return Ok(0);
    };
    let Ok(number) = number.parse::<i64>() else {
        return Err(complaint(
            node,
            format_args!("{key} strconv.ParseInt: parsing {number:?}: invalid syntax"),
        ));
    };
    let shift = match unit {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => {
            return Err(complaint(
                node,
                format_args!("{key} sizes defined as strings must end in K, M, G, T"),
            ));
        }
    };
    Ok(number.saturating_mul(1 << shift))
}

fn go_duration(node: &Node) -> Read<()> {
    duration::parse(text(node)?)
        .map(drop)
        .map_err(|error| complaint(node, error))
}

fn urls(node: &Node) -> Read<()> {
    let nodes = array_or(
        node,
        "interface conversion: interface {} is %T, not []interface {}",
    )?;
    nodes.iter().try_for_each(|node| text(node).map(drop))
}

fn compression(key: &str, node: &Node) -> Read<()> {
    match &node.value {
        Value::String(_) | Value::Bool(_) => Ok(()),
        Value::Map(map) => map
            .iter()
            .try_for_each(|(key, node)| match key.to_lowercase().as_str() {
                "mode" => text(node).map(drop),
                "rtt_thresholds" | "thresholds" | "rtts" | "rtt" => {
                    let nodes = array_or(
                        node,
                        "interface conversion: interface {} is %T, not []interface {}",
                    )?;
                    nodes.iter().try_for_each(go_duration)
                }
                _ if node.is_variable => Ok(()),
                _ => Err(complaint(node, format_args!("unknown field {key:?}"))),
            }),
        other => {
            let found = go_type(other);
            Err(complaint(
                node,
                format_args!("field {key:?} should be a boolean or a structure, got {found}"),
            ))
        }
    }
}

/// What happens to a connection that cannot be written to in time.
pub(super) fn write_policy(node: &Node) -> Read<&str> {
    match text(node)? {
        policy @ ("default" | "close" | "retry") => Ok(policy),
        _ => Err(complaint(
            node,
            "write_timeout must be 'default', 'close' or 'retry'",
        )),
    }
}

fn one_user(place: &str, node: &Node, report: &mut Report) -> Read<()> {
    let auth = authorization::block(node, report)?;
    if auth.users.is_some() {
        return Err(complaint(
            node,
            format_args!("{place} authorization does not allow multiple users"),
        ));
    }
    if !auth.token.is_empty() {
        return Err(complaint(
            node,
            format_args!("{place} authorization does not support tokens"),
        ));
    }
    Ok(())
}
