//! What an operator says about accounts, users and limits, already parsed and validated.
//!
//! These types carry no protocol and no file format: every configuration grammar is turned into them.

use std::sync::Arc;

/// Name of the account that users without an account of their own live in (as nats-server's).
pub const GLOBAL_ACCOUNT: &str = "$G";
/// Name of the account that system requests and events live in, unless the operator names another.
pub const SYSTEM_ACCOUNT: &str = "$SYS";

/// Limits of the broker's core. All sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreLimits {
    /// Worker threads that own client connections. 0: one for each core. Default 0.
    pub workers: usize,
    /// Bytes that may wait to be written to one connection before it is cut. Default 64 MiB, minimum 64 KiB.
    pub max_pending_bytes: usize,
    /// Bytes that may wait between two workers before publishers are held back. Default 16 MiB, minimum 1 MiB.
    pub worker_queue_bytes: usize,
    /// Distinct subjects whose fan-out a worker remembers. Default 65,536 (about 4 MiB), minimum 64.
    pub route_cache_entries: usize,
}

impl Default for CoreLimits {
    fn default() -> Self {
        Self {
            workers: 0,
            max_pending_bytes: 64 << 20,
            worker_queue_bytes: 16 << 20,
            route_cache_entries: 65_536,
        }
    }
}

/// Who may connect, as what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// Accounts beside the global one and the system one.
    pub accounts: Vec<AccountConfig>,
    /// Users of all accounts. Names (of password users) and public keys (of nkey users) are unique.
    pub users: Vec<UserConfig>,
    /// One token for everyone (plain, or a bcrypt hash).
    pub token: Option<String>,
    /// Name (or nkey) of the user that a connection without credentials becomes.
    pub no_auth_user: Option<String>,
    /// Which account is the system account. Default [`SYSTEM_ACCOUNT`].
    pub system_account: Option<String>,
}

/// One account: a subject space of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountConfig {
    pub name: String,
    /// Connections at most; `None`: no limit.
    pub max_connections: Option<u32>,
    /// Subscriptions at most; `None`: no limit.
    pub max_subscriptions: Option<u32>,
    /// Largest payload in bytes; `None`: the front's own.
    pub max_payload_bytes: Option<u32>,
}

/// How a user proves to be itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A password in plain text, or a bcrypt hash (`$2a$`, `$2b$`, `$2y$`).
    Password(String),
    /// A signature by the key whose public part (`U...`) is the user's name.
    Nkey,
    /// A verified TLS client certificate that maps to the user's name (`verify_and_map`).
    Certificate,
}

/// One user of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// User name, or the public nkey.
    pub name: String,
    pub credential: Credential,
    /// Account name; [`GLOBAL_ACCOUNT`] when the user is not in one.
    pub account: String,
    pub permissions: Option<Arc<Permissions>>,
    /// Kinds of connection the user may use (`STANDARD`, `WEBSOCKET`, ...); `None`: all.
    pub allowed_connection_types: Option<Vec<String>>,
}

/// What a user may publish and subscribe to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    pub publish: SubjectPermission,
    pub subscribe: SubjectPermission,
    /// Lets the user answer requests it was sent, without a publish permission for the reply subject.
    pub allow_responses: Option<ResponsePermission>,
}

/// Allowed and denied subjects. Subscribe entries may name a queue: `"subject queue"`, wildcards in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectPermission {
    /// `None`: everything is allowed; an empty list: nothing is.
    pub allow: Option<Vec<String>>,
    pub deny: Vec<String>,
}

/// Bounds of `allow_responses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePermission {
    /// Answers to one request at most; -1: no limit. Default 1.
    pub max_messages: i64,
    /// How long a request may be answered, in milliseconds; -1: for ever. Default 120,000.
    pub expires_ms: i64,
}

impl Default for ResponsePermission {
    fn default() -> Self {
        Self {
            max_messages: 1,
            expires_ms: 120_000,
        }
    }
}
