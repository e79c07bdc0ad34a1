//! Keys of accounts, users and their permissions.

use std::sync::Arc;

use mainstem_core::config::{
    AccountConfig, AuthConfig, Credential, GLOBAL_ACCOUNT, Permissions, ResponsePermission,
    SubjectPermission, UserConfig,
};

use super::fields::{Slot, at};
use super::rules::{CONNECTION_TYPE, NKEY, SECRET, SUBJECT, SUBJECT_AND_QUEUE, WORD};
use super::{HOUR_MS, MIB};
use crate::config::kind::{Kind, Value};
use crate::config::schema::{Field, Key, Records, Section, WrongKey};

const MAX_COUNT: u64 = u32::MAX as u64;

pub static AUTH: &[Key<AuthConfig>] = &[
    Key::optional(
        "token",
        Kind::Text(SECRET),
        at!(AuthConfig, token),
        "no token",
        "One token for everyone, plain or as a bcrypt hash. Not together with users.",
    ),
    Key::optional(
        "no_auth_user",
        Kind::Text(WORD),
        at!(AuthConfig, no_auth_user),
        "credentials are needed once there are users",
        "Name or nkey of the user that a connection without credentials becomes.",
    ),
    Key::optional(
        "system_account",
        Kind::Text(WORD),
        at!(AuthConfig, system_account),
        "$SYS",
        "Account that system requests and events live in.",
    ),
    Key::tree(
        "accounts",
        &Records {
            keys: ACCOUNT,
            get: |auth: &AuthConfig| auth.accounts.clone(),
            push: push_account,
            fresh: Default::default,
        },
        "Accounts beside the global one ($G) and the system one: subject spaces of their own.",
    ),
    Key::tree(
        "users",
        &Records {
            keys: USER,
            get: |auth: &AuthConfig| auth.users.iter().map(Draft::from).collect(),
            push: |auth: &mut AuthConfig, draft| draft.finish(auth),
            fresh: Default::default,
        },
        "Users of all accounts. Each has one of password, nkey and certificate.",
    ),
];

static ACCOUNT: &[Key<AccountConfig>] = &[
    Key::value(
        "name",
        Kind::Text(WORD),
        at!(AccountConfig, name),
        "Name of the account. Required.",
    ),
    Key::optional(
        "max_connections",
        Kind::Count {
            min: 0,
            max: MAX_COUNT,
        },
        at!(AccountConfig, max_connections),
        "no limit",
        "Connections of all its users.",
    ),
    Key::optional(
        "max_subscriptions",
        Kind::Count {
            min: 0,
            max: MAX_COUNT,
        },
        at!(AccountConfig, max_subscriptions),
        "no limit",
        "Subscriptions of all its users.",
    ),
    Key::optional(
        "max_payload",
        Kind::Size {
            min: 1,
            max: 64 * MIB,
        },
        at!(AccountConfig, max_payload_bytes),
        "the front's own limit",
        "Largest message that its users may publish.",
    ),
];

/// A user while it is read: what it must have is known only at its end.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    name: Option<String>,
    password: Option<String>,
    nkey: Option<String>,
    certificate: bool,
    account: Option<String>,
    permissions: Option<Permissions>,
    connection_types: Option<Vec<String>>,
}

static USER: &[Key<Draft>] = &[
    Key::optional(
        "name",
        Kind::Text(WORD),
        at!(Draft, name),
        "the nkey is the name",
        "Name of the user, or the name that its certificate shows.",
    ),
    Key::optional(
        "password",
        Kind::Text(SECRET),
        at!(Draft, password),
        "no password",
        "Password, plain or as a bcrypt hash ($2a$, $2b$, $2y$).",
    ),
    Key::optional(
        "nkey",
        Kind::Text(NKEY),
        at!(Draft, nkey),
        "no nkey",
        "Public key; the client signs with its seed.",
    ),
    Key::value(
        "certificate",
        Kind::Switch,
        at!(Draft, certificate),
        "The client's TLS certificate proves the name (verify_and_map).",
    ),
    Key::optional(
        "account",
        Kind::Text(WORD),
        at!(Draft, account),
        "the global account $G",
        "Account that the user lives in.",
    ),
    Key::optional(
        "allowed_connection_types",
        Kind::Texts(CONNECTION_TYPE),
        at!(Draft, connection_types),
        "all",
        "Kinds of connection that the user may use.",
    ),
    Key::tree(
        "permissions",
        &Section {
            keys: PERMISSIONS,
            get: |draft: &Draft| draft.permissions.clone(),
            put: |draft, permissions| draft.permissions = Some(permissions),
            fresh: Default::default,
        },
        "What the user may publish and subscribe to; everything without this section.",
    ),
];

static PERMISSIONS: &[Key<Permissions>] = &[
    Key::tree(
        "publish",
        &Section {
            keys: PUBLISH,
            get: |permissions: &Permissions| Some(permissions.publish.clone()),
            put: |permissions, publish| permissions.publish = publish,
            fresh: Default::default,
        },
        "Subjects to publish to.",
    ),
    Key::tree(
        "subscribe",
        &Section {
            keys: SUBSCRIBE,
            get: |permissions: &Permissions| Some(permissions.subscribe.clone()),
            put: |permissions, subscribe| permissions.subscribe = subscribe,
            fresh: Default::default,
        },
        "Subjects to subscribe to, each with a queue after a blank if only that queue is meant.",
    ),
    Key::tree(
        "allow_responses",
        &Section {
            keys: RESPONSES,
            get: |permissions: &Permissions| permissions.allow_responses,
            put: |permissions, responses| permissions.allow_responses = Some(responses),
            fresh: Default::default,
        },
        "The user may answer requests that it was sent, whatever their reply subject. Empty ({}) for the defaults.",
    ),
];

static PUBLISH: &[Key<SubjectPermission>] = &[
    Key::optional(
        "allow",
        Kind::Texts(SUBJECT),
        at!(SubjectPermission, allow),
        "all subjects",
        "Subjects that are allowed; an empty list allows none.",
    ),
    Key::value(
        "deny",
        Kind::Texts(SUBJECT),
        at!(SubjectPermission, deny),
        "Subjects that are refused all the same.",
    ),
];

static SUBSCRIBE: &[Key<SubjectPermission>] = &[
    Key::optional(
        "allow",
        Kind::Texts(SUBJECT_AND_QUEUE),
        at!(SubjectPermission, allow),
        "all subjects",
        "Subjects that are allowed; an empty list allows none.",
    ),
    Key::value(
        "deny",
        Kind::Texts(SUBJECT_AND_QUEUE),
        at!(SubjectPermission, deny),
        "Subjects that are refused all the same.",
    ),
];

static RESPONSES: &[Key<ResponsePermission>] = &[
    Key::optional(
        "max",
        Kind::Count {
            min: 1,
            max: MAX_COUNT,
        },
        Field {
            get: |responses: &ResponsePermission| positive_or_unset(responses.max_messages),
            set: |responses: &mut ResponsePermission, value| {
                responses.max_messages = number_or_minus_one(&value)
            },
        },
        "no limit",
        "Answers to one request.",
    ),
    Key::optional(
        "expires",
        Kind::Duration {
            min: 1,
            max: 24 * HOUR_MS,
        },
        Field {
            get: |responses: &ResponsePermission| positive_or_unset(responses.expires_ms),
            set: |responses: &mut ResponsePermission, value| {
                responses.expires_ms = number_or_minus_one(&value)
            },
        },
        "for ever",
        "How long a request may be answered.",
    ),
];

fn positive_or_unset(number: i64) -> Value {
    u64::try_from(number).map_or(Value::Unset, Value::Number)
}

fn number_or_minus_one(value: &Value) -> i64 {
    match value {
        Value::Number(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        _ => -1,
    }
}

fn push_account(auth: &mut AuthConfig, account: AccountConfig) -> Result<(), WrongKey> {
    if account.name.is_empty() {
        return Err(("name", "missing; every account needs a name".to_owned()));
    }
    if account.name == GLOBAL_ACCOUNT {
        return Err((
            "name",
            format!(
                "{:?} is there without being named; allowed: another name",
                account.name
            ),
        ));
    }
    if auth.accounts.iter().any(|other| other.name == account.name) {
        return Err((
            "name",
            format!("{:?} is taken; allowed: a name of its own", account.name),
        ));
    }
    auth.accounts.push(account);
    Ok(())
}

impl Draft {
    fn finish(self, auth: &mut AuthConfig) -> Result<(), WrongKey> {
        let (name, credential) = self.identity()?;
        if auth.users.iter().any(|other| other.name == name) {
            let key = if self.nkey.is_some() { "nkey" } else { "name" };
            return Err((key, format!("{name:?} is taken; allowed: a user of its own")));
        }
        auth.users.push(UserConfig {
            name,
            credential,
            account: self.account.unwrap_or_else(|| GLOBAL_ACCOUNT.to_owned()),
            permissions: self.permissions.map(Arc::new),
            allowed_connection_types: self.connection_types,
        });
        Ok(())
    }

    fn identity(&self) -> Result<(String, Credential), WrongKey> {
        match (&self.name, &self.password, &self.nkey, self.certificate) {
            (None, None, Some(nkey), false) => Ok((nkey.clone(), Credential::Nkey)),
            (Some(_), None, Some(_), false) => Err((
                "name",
                "a user with an nkey has no other name; allowed: leave it out".to_owned(),
            )),
            (Some(name), Some(password), None, false) => {
                Ok((name.clone(), Credential::Password(password.clone())))
            }
            (Some(name), None, None, true) => Ok((name.clone(), Credential::Certificate)),
            (None, ..) => Err(("name", "missing; every user needs a name or an nkey".to_owned())),
            (Some(name), None, None, false) => Err((
                "password",
                format!("missing; user {name:?} needs a password or certificate: true"),
            )),
            _ => Err((
                "password",
                "more than one of password, nkey and certificate; allowed: one of them".to_owned(),
            )),
        }
    }
}

impl From<&UserConfig> for Draft {
    fn from(user: &UserConfig) -> Self {
        let is_nkey = user.credential == Credential::Nkey;
        Self {
            name: (!is_nkey).then(|| user.name.clone()),
            nkey: is_nkey.then(|| user.name.clone()),
            password: match &user.credential {
                Credential::Password(password) => Some(password.clone()),
                _ => None,
            },
            certificate: user.credential == Credential::Certificate,
            account: (user.account != GLOBAL_ACCOUNT).then(|| user.account.clone()),
            permissions: user.permissions.as_deref().cloned(),
            connection_types: user.allowed_connection_types.clone(),
        }
    }
}
