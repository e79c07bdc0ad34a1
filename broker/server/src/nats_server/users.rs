//! `users`: an array of users with a password or an nkey.

use std::collections::HashSet;
use std::sync::Arc;

use mainstem_core::config::{Credential, GLOBAL_ACCOUNT, Permissions, UserConfig};
use nats_conf::{Map, Node, Value};

use super::permissions::{permissions, shown};
use super::reading::{Read, Report, complaint, switch, text, texts};
use crate::nkey;

/// Kinds of connection that a user may be limited to.
const CONNECTION_TYPES: [&str; 7] = [
    "STANDARD",
    "WEBSOCKET",
    "LEAFNODE",
    "LEAFNODE_WS",
    "MQTT",
    "MQTT_WS",
    "IN_PROCESS",
];

/// Reads an array of users; the first one that is no user ends the reading.
pub(super) fn users(node: &Node, report: &mut Report) -> Read<Vec<UserConfig>> {
    let Value::Array(nodes) = &node.value else {
        let found = shown(&node.value);
        return Err(complaint(
            node,
            format_args!("Expected users field to be an array, got {found}"),
        ));
    };
    let mut users = Vec::with_capacity(nodes.len());
    for node in nodes {
        match &node.value {
            Value::Map(map) => users.push(user(node, map, report)?),
            other => {
                let found = shown(other);
                report.error(complaint(
                    node,
                    format_args!("Expected user entry to be a map/struct, got {found}"),
                ));
            }
        }
    }
    Ok(users)
}

/// What a user's map says.
#[derive(Default)]
struct Entry {
    nkey: String,
    name: String,
    password: String,
    permissions: Option<Arc<Permissions>>,
    connection_types: Option<Vec<String>>,
}

fn user(node: &Node, map: &Map, report: &mut Report) -> Read<UserConfig> {
    let mut entry = Entry::default();
    report.each_key(map, |report, key, written, node| {
        match key {
            "nkey" => entry.nkey = text(node)?.to_owned(),
            "user" | "username" => entry.name = text(node)?.to_owned(),
            "pass" | "password" => entry.password = text(node)?.to_owned(),
            "permission" | "permissions" | "authorization" => {
                entry.permissions = Some(Arc::new(permissions(node, report)?));
            }
            "allowed_connection_types" | "connection_types" | "clients" => {
                entry.connection_types = Some(connection_types(node, report)?);
            }
            "proxy_required" if switch(node)? => report.refuse(node, "a connection through a trusted proxy"),
            "proxy_required" => {}
            _ => report.unknown_field(written, node),
        }
        Ok(())
    });
    let place = map.iter().last().map_or(node, |(_, node)| node);
    let (name, credential) = entry.identity().map_err(|reason| complaint(place, reason))?;
    Ok(UserConfig {
        name,
        credential,
        account: GLOBAL_ACCOUNT.to_owned(),
        permissions: entry.permissions,
        allowed_connection_types: entry.connection_types,
    })
}

impl Entry {
    fn identity(&self) -> Result<(String, Credential), &'static str> {
        if self.nkey.is_empty() && self.name.is_empty() {
            return Err("User entry requires a user");
        }
        if self.nkey.is_empty() {
            return Ok((self.name.clone(), Credential::Password(self.password.clone())));
        }
        if !nkey::is_public(&self.nkey, nkey::Role::User) {
            return Err("Not a valid public nkey for a user");
        }
        if !self.name.is_empty() || !self.password.is_empty() {
            return Err("Nkey users do not take usernames or passwords");
        }
        Ok((self.nkey.clone(), Credential::Nkey))
    }
}

fn connection_types(node: &Node, report: &mut Report) -> Read<Vec<String>> {
    let mut types = texts("allowed connection types", node, report)?;
    types.iter_mut().for_each(|kind| *kind = kind.to_uppercase());
    let unknown: Vec<String> = types
        .iter()
        .filter(|kind| !CONNECTION_TYPES.contains(&kind.as_str()))
        .map(|kind| format!("{kind:?}"))
        .collect();
    if unknown.is_empty() {
        Ok(types)
    } else {
        Err(complaint(
            node,
            format_args!("invalid connection types [{}]", unknown.join(" ")),
        ))
    }
}

/// Gives the users without permissions of their own those of their block.
pub(super) fn apply_default_permissions(users: &mut [UserConfig], default: Option<Permissions>) {
    let Some(default) = default.map(Arc::new) else {
        return;
    };
    for user in users.iter_mut().filter(|user| user.permissions.is_none()) {
        user.permissions = Some(Arc::clone(&default));
    }
}

/// The first user whose name is taken, and what to say about it.
pub(super) fn duplicate(known: &[UserConfig], new: &[UserConfig]) -> Option<String> {
    let mut names: HashSet<&str> = known.iter().map(|user| user.name.as_str()).collect();
    let again = new.iter().find(|user| !names.insert(&user.name))?;
    let kind = if again.credential == Credential::Nkey {
        "nkey"
    } else {
        "user"
    };
    Some(format!("Duplicate {kind} {:?} detected", again.name))
}
