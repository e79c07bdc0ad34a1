//! `authorization`: one user, one token or many users, in the global account.

use mainstem_core::config::{Permissions, UserConfig};
use nats_conf::Node;

use super::draft::Draft;
use super::permissions::permissions;
use super::reading::{Read, Report, complaint, map, seconds, switch, text};
use super::users::{apply_default_permissions, duplicate, users};

/// Above this, a timeout is taken for a duration without quotes.
const LONG_TIMEOUT_SECONDS: f64 = 60.0;

/// What an `authorization` block says; cluster and gateway have one of their own.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    pub user: String,
    pub password: String,
    pub token: String,
    pub timeout_seconds: f64,
    /// Some as soon as there is a `users` key.
    pub users: Option<Vec<UserConfig>>,
    pub default_permissions: Option<Permissions>,
}

pub(super) fn block(node: &Node, report: &mut Report) -> Read<Authorization> {
    let mut auth = Authorization::default();
    report.each_key(map(node)?, |report, key, written, node| {
        match key {
            "user" | "username" => auth.user = text(node)?.to_owned(),
            "pass" | "password" => auth.password = text(node)?.to_owned(),
            "token" => auth.token = text(node)?.to_owned(),
            "timeout" => auth.timeout_seconds = timeout(written, node, report)?,
            "users" => auth.users = Some(users(node, report)?),
            "default_permission" | "default_permissions" | "permissions" => {
                auth.default_permissions = Some(permissions(node, report)?);
            }
            "auth_callout" | "auth_hook" => report.refuse(node, "authentication by callout"),
            "proxy_required" if switch(node)? => report.refuse(node, "a connection through a trusted proxy"),
            "proxy_required" => {}
            _ => report.unknown_field(written, node),
        }
        Ok(())
    });
    if let Some(users) = &mut auth.users {
        apply_default_permissions(users, auth.default_permissions.clone());
    }
    Ok(auth)
}

fn timeout(key: &str, node: &Node, report: &mut Report) -> Read<f64> {
    let timeout = seconds("authorization", node)?;
    if timeout > LONG_TIMEOUT_SECONDS {
        let written = super::permissions::shown(&node.value);
        report.misuse(
            key,
            node,
            &format!(
                "timeout of {written} ({timeout:.6} seconds) is high, consider keeping it under 60 seconds. possibly \
                 caused by unquoted duration; use '1m' instead of 1m, for example"
            ),
        );
    }
    Ok(timeout)
}

/// The block at the top of the file.
pub(super) fn directive(draft: &mut Draft, node: &Node, report: &mut Report) -> Read<()> {
    let auth = block(node, report)?;
    draft.has_authorization = true;
    draft.user.clone_from(&auth.user);
    draft.password.clone_from(&auth.password);
    draft.token.clone_from(&auth.token);
    draft.auth_timeout_seconds = auth.timeout_seconds;
    let has_user = !auth.user.is_empty() || !auth.password.is_empty();
    if has_user && !auth.token.is_empty() {
        return Err(complaint(node, "Cannot have a user/pass and token"));
    }
    if auth.users.is_none() && draft.users.is_empty() {
        return Ok(());
    }
    if !auth.user.is_empty() {
        return Err(complaint(
            node,
            "Can not have a single user/pass and a users array",
        ));
    }
    if !auth.token.is_empty() {
        return Err(complaint(node, "Can not have a token and a users array"));
    }
    let users = auth.users.unwrap_or_default();
    if users.is_empty() && draft.users.is_empty() {
        report.unbuilt.push(format!(
            "{}: authorization names no user: everyone may connect",
            node.at
        ));
    }
    match duplicate(&draft.users, &users) {
        Some(reason) => Err(complaint(node, reason)),
        None => {
            draft.users.extend(users);
            Ok(())
        }
    }
}
