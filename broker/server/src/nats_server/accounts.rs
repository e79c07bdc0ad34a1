//! `accounts`: subject spaces with users of their own.

use mainstem_core::config::{AccountConfig, GLOBAL_ACCOUNT, UserConfig};
use nats_conf::{Node, Value};

use super::draft::Draft;
use super::jetstream;
use super::permissions::{permissions, shown};
use super::reading::{Read, Report, array_or, complaint, map, map_or, text, whole};
use super::users::{apply_default_permissions, duplicate, users};
use crate::nkey;

pub(super) fn directive(draft: &mut Draft, node: &Node, report: &mut Report) -> Read<()> {
    match &node.value {
        Value::Array(nodes) => names(draft, nodes, report),
        Value::Map(map) => {
            report.each_key(map, |report, _, name, node| account(draft, name, node, report));
            Ok(())
        }
        _ => Err(complaint(node, "Expected map entries for accounts")),
    }
}

fn reserved(name: &str, node: &Node) -> Read<()> {
    if name == GLOBAL_ACCOUNT {
        Err(complaint(node, format_args!("{name:?} is a Reserved Account")))
    } else {
        Ok(())
    }
}

/// Accounts without users, by name only.
fn names(draft: &mut Draft, nodes: &[Node], report: &mut Report) -> Read<()> {
    for node in nodes {
        let name = text(node)?;
        if let Err(complaint) = reserved(name, node) {
            report.error(complaint);
        } else if draft.accounts.iter().any(|account| account.name == name) {
            report.error(complaint(node, format_args!("Duplicate Account Entry: {name}")));
        } else {
            draft.accounts.push(AccountConfig {
                name: name.to_owned(),
                ..AccountConfig::default()
            });
        }
    }
    Ok(())
}

fn account(draft: &mut Draft, name: &str, node: &Node, report: &mut Report) -> Read<()> {
    if node.is_variable {
        return Ok(());
    }
    let keys = map_or(node, "Expected map entries for accounts")?;
    reserved(name, node)?;
    let mut account = AccountConfig {
        name: name.to_owned(),
        ..AccountConfig::default()
    };
    let mut members = Vec::new();
    let mut default_permissions = None;
    report.each_key(keys, |report, key, written, node| {
        match key {
            "nkey" => check_nkey(node)?,
            "users" => members = users(node, report)?,
            "default_permissions" => default_permissions = Some(permissions(node, report)?),
            "limits" => limits(&mut account, node, report)?,
            "jetstream" => draft
                .jetstream
                .accounts
                .extend(jetstream::of_account(name, node, report)?),
            "imports" => shared(node, "Imports should be an array, got %T", report)?,
            "exports" => shared(node, "Exports should be an array, got %T", report)?,
            "mappings" | "maps" => mappings(node, report)?,
            "msg_trace" | "trace_dest" => message_trace(key, node, report)?,
            _ => report.unknown_field(written, node),
        }
        Ok(())
    });
    draft.accounts.push(account);
    apply_default_permissions(&mut members, default_permissions);
    members
        .iter_mut()
        .for_each(|user| name.clone_into(&mut user.account));
    let users_node = keys
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case("users"))
        .map_or(node, |(_, node)| node);
    join(draft, members, users_node)
}

/// Adds an account's users to all others.
fn join(draft: &mut Draft, members: Vec<UserConfig>, node: &Node) -> Read<()> {
    if !members.is_empty() && !draft.user.is_empty() {
        return Err(complaint(node, "Can not have a single user/pass and accounts"));
    }
    if !members.is_empty() && !draft.token.is_empty() {
        return Err(complaint(node, "Can not have a token and accounts"));
    }
    if let Some(reason) = duplicate(&draft.users, &members) {
        return Err(complaint(node, reason));
    }
    draft.users.extend(members);
    Ok(())
}

fn shared(node: &Node, expected: &str, report: &mut Report) -> Read<()> {
    if !array_or(node, expected)?.is_empty() {
        report.refuse(node, "sharing subjects between accounts");
    }
    Ok(())
}

/// Subjects that stand for others, of an account or of the global one.
pub(super) fn mappings(node: &Node, report: &mut Report) -> Read<()> {
    if !map(node)?.is_empty() {
        report.refuse(node, "mapping subjects");
    }
    Ok(())
}

fn message_trace(key: &str, node: &Node, report: &mut Report) -> Read<()> {
    if !matches!(node.value, Value::String(_)) {
        let expected =
            format!("Expected account message trace {key:?} to be a string or a map/struct, got %T");
        map_or(node, &expected)?;
    }
    report.not_built(node, "message tracing");
    Ok(())
}

fn check_nkey(node: &Node) -> Read<()> {
    match &node.value {
        Value::String(key) if nkey::is_public(key, nkey::Role::Account) => Ok(()),
        other => {
            let found = shown(other);
            Err(complaint(
                node,
                format_args!("Not a valid public nkey for an account: {found:?}"),
            ))
        }
    }
}

fn limits(account: &mut AccountConfig, node: &Node, report: &mut Report) -> Read<()> {
    report.each_key(
        map_or(node, "Expected account limits to be a map/struct, got %T")?,
        |report, key, written, node| {
            match key {
                "max_connections" | "max_conn" => account.max_connections = limit(node)?,
                "max_subscriptions" | "max_subs" => account.max_subscriptions = limit(node)?,
                "max_payload" | "max_pay" => account.max_payload_bytes = limit(node)?,
                "max_leafnodes" | "max_leafs" => {
                    limit(node)?;
                }
                _ if node.is_variable => {}
                _ => report.error(complaint(
                    node,
                    format_args!("Unknown field {written:?} parsing account limits"),
                )),
            }
            Ok(())
        },
    );
    Ok(())
}

/// A negative limit is none.
fn limit(node: &Node) -> Read<Option<u32>> {
    let limit = whole(node)?;
    if limit < 0 {
        return Ok(None);
    }
    u32::try_from(limit)
        .map(Some)
        .map_err(|_| complaint(node, "limit is too big"))
}
