//! Who a connection is: users, tokens, keys and certificates, and the account each belongs to.

mod hash_pool;

use std::collections::HashMap;
use std::sync::Arc;

use crate::account::{Account, Accounts};
use crate::config::{AuthConfig, Credential, UserConfig};
use crate::permissions::Permissions;

pub use hash_pool::HashPool;

/// What a connection shows. Absent fields are empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub token: &'a str,
    /// Public key of an nkey user.
    pub nkey: &'a str,
    /// Signature of `nonce` by that key, raw.
    pub signature: &'a [u8],
    pub nonce: &'a [u8],
    pub certificate: Certificate<'a>,
    /// Kind of connection, as `allowed_connection_types` names it.
    pub connection_type: &'a str,
    /// Wins over the configured `no_auth_user` (a WebSocket listener has its own).
    pub no_auth_user: Option<&'a str>,
}

/// What a client's verified certificate says about the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate<'a> {
    /// Nothing: certificates do not name users on this listener.
    #[default]
    Irrelevant,
    /// It names none that is known.
    Nobody,
    User(&'a str),
}

/// Who a connection turned out to be.
#[derive(Clone)]
pub struct Identity {
    /// User name or public key; `None` when there are no users.
    pub user: Option<Arc<str>>,
    pub account: Arc<Account>,
    pub permissions: Option<Arc<Permissions>>,
}

/// The answer to credentials.
pub enum Verdict {
    Accepted(Identity),
    Refused,
    /// Accepted if `secret` has this bcrypt hash. Slow: for the [`HashPool`], never for a worker.
    NeedsHash {
        secret: String,
        hash: String,
        identity: Identity,
    },
}

/// Checks credentials against one configuration. Immutable; a reload makes a new one.
pub struct Authenticator {
    users: HashMap<String, User>,
    token: Option<String>,
    no_auth_user: Option<String>,
    global: Arc<Account>,
    has_nkeys: bool,
}

struct User {
    config: UserConfig,
    identity: Identity,
}

impl Authenticator {
    /// Accounts that are named and missing are created.
    pub fn new(config: &AuthConfig, accounts: &Accounts) -> Self {
        accounts.configure(&config.accounts);
        let user = |user: &UserConfig| {
            let identity = Identity {
                user: Some(Arc::from(user.name.as_str())),
                account: accounts.get_or_create(&user.account),
                permissions: user
                    .permissions
                    .as_deref()
                    .map(|config| Arc::new(Permissions::compile(config))),
            };
            (
                user.name.clone(),
                User {
                    config: user.clone(),
                    identity,
                },
            )
        };
        Self {
            users: config.users.iter().map(user).collect(),
            token: config.token.clone(),
            no_auth_user: config.no_auth_user.clone(),
            global: accounts.global(),
            has_nkeys: config
                .users
                .iter()
                .any(|user| user.credential == Credential::Nkey),
        }
    }

    /// Connections have to show something.
    pub fn is_required(&self) -> bool {
        self.token.is_some() || !self.users.is_empty()
    }

    /// Clients need a nonce to sign.
    pub fn needs_nonce(&self) -> bool {
        self.has_nkeys
    }

    /// Names of all users.
    pub fn user_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.users.keys().map(String::as_str)
    }

    /// A connection may do without credentials (it becomes the `no_auth_user`).
    pub fn has_no_auth_user(&self) -> bool {
        self.no_auth_user.is_some()
    }

    /// Whether a connection with the identity of `user` would still get it: after a reload the others are cut.
    pub fn still_holds(&self, identity: &Identity, old: &Self) -> bool {
        match &identity.user {
            None => !self.is_required() || (self.token.is_some() && self.token == old.token),
            Some(user) => match (self.users.get(&**user), old.users.get(&**user)) {
                (Some(now), Some(before)) => {
                    now.config.credential == before.config.credential
                        && now.config.account == before.config.account
                }
                _ => false,
            },
        }
    }

    /// The user's identity as configured now.
    pub fn identity(&self, user: &str) -> Option<Identity> {
        self.users.get(user).map(|user| user.identity.clone())
    }

    /// Checks credentials.
    pub fn check(&self, shown: &Credentials<'_>) -> Verdict {
        if !self.is_required() {
            return Verdict::Accepted(Identity {
                user: None,
                account: Arc::clone(&self.global),
                permissions: None,
            });
        }
        match shown.certificate {
            Certificate::Irrelevant => {}
            Certificate::Nobody => return Verdict::Refused,
            Certificate::User(name) => {
                return match self.allowed(name, shown) {
                    Some(user) => Verdict::Accepted(user.identity.clone()),
                    None => Verdict::Refused,
                };
            }
        }
        if !shown.nkey.is_empty() {
            return self.check_nkey(shown);
        }
        let anonymous = shown.user.is_empty() && shown.password.is_empty() && shown.token.is_empty();
        if anonymous {
            let name = shown.no_auth_user.or(self.no_auth_user.as_deref());
            return match name.and_then(|name| self.allowed(name, shown)) {
                Some(user) => Verdict::Accepted(user.identity.clone()),
                None => Verdict::Refused,
            };
        }
        match &self.token {
            Some(token) if shown.user.is_empty() => {
                let identity = Identity {
                    user: None,
                    account: Arc::clone(&self.global),
                    permissions: None,
                };
                compare(token, shown.token, identity)
            }
            _ => self.check_password(shown),
        }
    }

    fn allowed(&self, name: &str, shown: &Credentials<'_>) -> Option<&User> {
        let user = self.users.get(name)?;
        let types = user.config.allowed_connection_types.as_ref();
        types
            .is_none_or(|types| {
                types
                    .iter()
                    .any(|kind| kind.eq_ignore_ascii_case(shown.connection_type))
            })
            .then_some(user)
    }

    fn check_password(&self, shown: &Credentials<'_>) -> Verdict {
        match self.allowed(shown.user, shown) {
            Some(User {
                config:
                    UserConfig {
                        credential: Credential::Password(expected),
                        ..
                    },
                identity,
            }) => compare(expected, shown.password, identity.clone()),
            _ => Verdict::Refused,
        }
    }

    fn check_nkey(&self, shown: &Credentials<'_>) -> Verdict {
        let signed = || {
            let key = nkeys::KeyPair::from_public_key(shown.nkey).ok()?;
            key.verify(shown.nonce, shown.signature).ok()
        };
        match self.allowed(shown.nkey, shown) {
            Some(user)
                if user.config.credential == Credential::Nkey
                    && !shown.nonce.is_empty()
                    && signed().is_some() =>
            {
                Verdict::Accepted(user.identity.clone())
            }
            _ => Verdict::Refused,
        }
    }
}

/// A bcrypt hash, by its prefix.
fn is_bcrypt(secret: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"]
        .iter()
        .any(|prefix| secret.starts_with(prefix))
}

fn compare(expected: &str, shown: &str, identity: Identity) -> Verdict {
    if is_bcrypt(expected) {
        return Verdict::NeedsHash {
            secret: shown.to_owned(),
            hash: expected.to_owned(),
            identity,
        };
    }
    if equal_in_constant_time(expected.as_bytes(), shown.as_bytes()) {
        Verdict::Accepted(identity)
    } else {
        Verdict::Refused
    }
}

/// The time does not tell how many bytes were right (their number it may tell).
fn equal_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && std::hint::black_box(one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, credential: Credential, account: &str) -> UserConfig {
        UserConfig {
            name: name.into(),
            credential,
            account: account.into(),
            permissions: None,
            allowed_connection_types: None,
        }
    }

    fn accepted(authenticator: &Authenticator, shown: &Credentials<'_>) -> Option<String> {
        match authenticator.check(shown) {
            Verdict::Accepted(identity) => Some(identity.account.name.clone()),
            _ => None,
        }
    }

    #[test]
    fn passwords_tokens_and_nobody() {
        let accounts = Accounts::default();
        let config = AuthConfig {
            users: vec![
                user("a", Credential::Password("pa".into()), "A"),
                user("h", Credential::Password("$2a$04$abc".into()), "A"),
            ],
            no_auth_user: Some("a".into()),
            ..AuthConfig::default()
        };
        let users = Authenticator::new(&config, &accounts);
        assert_eq!(
            accepted(
                &users,
                &Credentials {
                    user: "a",
                    password: "pa",
                    ..Default::default()
                }
            ),
            Some("A".into())
        );
        assert_eq!(
            accepted(
                &users,
                &Credentials {
                    user: "a",
                    password: "px",
                    ..Default::default()
                }
            ),
            None
        );
        assert_eq!(accepted(&users, &Credentials::default()), Some("A".into()));
        let hashed = users.check(&Credentials {
            user: "h",
            password: "x",
            ..Default::default()
        });
        assert!(matches!(hashed, Verdict::NeedsHash { .. }));

        let token = AuthConfig {
            token: Some("t".into()),
            ..AuthConfig::default()
        };
        let token = Authenticator::new(&token, &accounts);
        assert_eq!(
            accepted(
                &token,
                &Credentials {
                    token: "t",
                    ..Default::default()
                }
            ),
            Some("$G".into())
        );
        assert_eq!(accepted(&token, &Credentials::default()), None);
        assert_eq!(
            accepted(
                &Authenticator::new(&AuthConfig::default(), &accounts),
                &Credentials::default()
            ),
            Some("$G".into())
        );
    }

    #[test]
    fn nkeys_sign_the_nonce() {
        let accounts = Accounts::default();
        let pair = nkeys::KeyPair::new_user();
        let name = pair.public_key();
        let config = AuthConfig {
            users: vec![user(&name, Credential::Nkey, "$G")],
            ..AuthConfig::default()
        };
        let users = Authenticator::new(&config, &accounts);
        let signature = pair.sign(b"nonce").unwrap_or_default();
        let good = Credentials {
            nkey: &name,
            signature: &signature,
            nonce: b"nonce",
            ..Default::default()
        };
        assert!(accepted(&users, &good).is_some());
        assert!(
            accepted(
                &users,
                &Credentials {
                    nonce: b"other",
                    ..good
                }
            )
            .is_none()
        );
        assert!(users.needs_nonce());
    }
}
