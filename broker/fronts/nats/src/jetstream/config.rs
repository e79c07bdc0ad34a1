//! Settings of JetStream's front.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// What clients are told, and which accounts are served. Limits are the streams' business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamConfig {
    /// The domain, under whose name (`$JS.<domain>.API`) the API is served as well.
    pub domain: Option<Box<str>>,
    /// Refuse requests with fields that are not known. nats-server's default is true.
    pub strict: bool,
    pub accounts: Enabled,
    /// Monitoring shows it.
    pub store_dir: PathBuf,
    /// Bytes of memory streams at most.
    pub max_memory_bytes: u64,
    /// Bytes of file streams at most.
    pub max_store_bytes: u64,
}

/// Which accounts have JetStream. The system account never has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Enabled {
    #[default]
    All,
    Only(BTreeSet<String>),
    Except(BTreeSet<String>),
}

impl Enabled {
    pub fn contains(&self, account: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(account),
            Self::Except(names) => !names.contains(account),
        }
    }
}
