//! Keys of what is stored, and of what each account may store.

use super::fields::{Slot, at};
use super::rules::{DOMAIN, WORD};
use super::{GIB, KIB, MIB};
use crate::config::kind::Kind;
use crate::config::schema::{Key, Records, WrongKey};
use crate::options::{AccountStreams, StreamsOptions};

const MAX_COUNT: u64 = u32::MAX as u64;
const TIB: u64 = 1 << 40;
/// Bytes that a limit may be at most.
const MAX_BYTES: u64 = 1024 * TIB;

pub static STREAMS: &[Key<StreamsOptions>] = &[
    Key::value(
        "enabled",
        Kind::Switch,
        at!(StreamsOptions, enabled),
        "Store streams; false makes a broker of messages that are not kept.",
    )
    .flag("streams"),
    Key::optional(
        "max_store",
        Kind::Size {
            min: 0,
            max: MAX_BYTES,
        },
        at!(StreamsOptions, max_store_bytes),
        "three quarters of what is free at start",
        "What the streams of all accounts may hold on disk.",
    )
    .flag("max-store"),
    Key::optional(
        "max_memory",
        Kind::Size {
            min: 0,
            max: MAX_BYTES,
        },
        at!(StreamsOptions, max_memory_bytes),
        "three quarters of the machine's memory",
        "What the memory streams of all accounts may hold.",
    )
    .flag("max-memory"),
    Key::optional(
        "domain",
        Kind::Text(DOMAIN),
        at!(StreamsOptions, domain),
        "no domain",
        "Name under which the API answers too, as $JS.<domain>.API.",
    ),
    Key::value(
        "strict",
        Kind::Switch,
        at!(StreamsOptions, strict),
        "Refuse requests of the API with fields that are not known.",
    ),
    Key::value(
        "tail",
        Kind::Size {
            min: MIB,
            max: 64 * GIB,
        },
        at!(StreamsOptions, tail_bytes),
        "Memory for what was stored last: it is read without the disk.",
    ),
    Key::value(
        "log_cache",
        Kind::Size {
            min: 64 * KIB,
            max: 64 * GIB,
        },
        at!(StreamsOptions, log_cache_bytes),
        "Memory for older messages that were read.",
    ),
    Key::value(
        "index_cache",
        Kind::Size {
            min: MIB,
            max: 64 * GIB,
        },
        at!(StreamsOptions, index_cache_bytes),
        "Memory for blocks of the index.",
    ),
    Key::value(
        "min_free",
        Kind::Size { min: MIB, max: TIB },
        at!(StreamsOptions, min_free_bytes),
        "Free space below which nothing is stored until there is more; other messages go on.",
    ),
    Key::value(
        "max_garbage_percent",
        Kind::Count { min: 5, max: 95 },
        at!(StreamsOptions, max_garbage_percent),
        "Deleted part of a file of the log beyond which what is left is copied and the file freed.",
    ),
    Key::value(
        "others_enabled",
        Kind::Switch,
        at!(StreamsOptions, others_enabled),
        "Accounts that are not listed below have streams, without limits of their own.",
    ),
    Key::tree(
        "accounts",
        &Records {
            keys: ACCOUNT,
            get: |streams: &StreamsOptions| streams.accounts.clone(),
            push: push_account,
            fresh: Default::default,
        },
        "What single accounts may store.",
    ),
];

static ACCOUNT: &[Key<AccountStreams>] = &[
    Key::value(
        "name",
        Kind::Text(WORD),
        at!(AccountStreams, name),
        "Name of the account. Required.",
    ),
    Key::value(
        "enabled",
        Kind::Switch,
        at!(AccountStreams, enabled),
        "The account has streams at all.",
    ),
    Key::optional(
        "max_memory",
        BYTES,
        at!(AccountStreams, max_memory_bytes),
        "no limit",
        "What its memory streams may hold.",
    ),
    Key::optional(
        "max_store",
        BYTES,
        at!(AccountStreams, max_store_bytes),
        "no limit",
        "What its streams may hold on disk.",
    ),
    Key::optional(
        "max_streams",
        COUNT,
        at!(AccountStreams, max_streams),
        "no limit",
        "How many streams it may have.",
    ),
    Key::optional(
        "max_consumers",
        COUNT,
        at!(AccountStreams, max_consumers),
        "no limit",
        "How many consumers each of its streams may have.",
    ),
    Key::optional(
        "max_ack_pending",
        COUNT,
        at!(AccountStreams, max_ack_pending),
        "no limit",
        "Messages that a consumer may have out without an acknowledgement.",
    ),
    Key::optional(
        "max_memory_stream",
        BYTES,
        at!(AccountStreams, max_memory_stream_bytes),
        "no limit",
        "Largest max_bytes of a memory stream.",
    ),
    Key::optional(
        "max_store_stream",
        BYTES,
        at!(AccountStreams, max_store_stream_bytes),
        "no limit",
        "Largest max_bytes of a stream on disk.",
    ),
    Key::value(
        "max_bytes_required",
        Kind::Switch,
        at!(AccountStreams, max_bytes_required),
        "Every stream has to say its max_bytes.",
    ),
];

const BYTES: Kind = Kind::Size {
    min: 0,
    max: MAX_BYTES,
};
const COUNT: Kind = Kind::Count {
    min: 0,
    max: MAX_COUNT,
};

fn push_account(streams: &mut StreamsOptions, account: AccountStreams) -> Result<(), WrongKey> {
    let name = &account.name;
    if name.is_empty() {
        return Err((
            "name",
            "missing; allowed: a name of auth.accounts, or $G".to_owned(),
        ));
    }
    if streams.accounts.iter().any(|other| other.name == *name) {
        return Err((
            "name",
            format!("{name:?} is there already; allowed: one entry an account"),
        ));
    }
    streams.accounts.push(account);
    Ok(())
}
