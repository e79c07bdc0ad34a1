//! `jetstream`: checked key by key, remembered as asked for, and without an effect until streams are built.

use nats_conf::{Node, Value};

use super::draft::Draft;
use super::permissions::shown;
use super::reading::{Read, Report, complaint, go_type, switch, text, whole};
use super::schema::{self, Key, Kind};
use crate::options::AccountStreams;

const CIPHER: Key = Key {
    names: &["cipher"],
    kind: Kind::Word(&["chacha", "chachapoly", "aes"], "Unknown cipher type"),
};

const BATCH: &[Key] = &[
    Key {
        names: &["max_inflight_per_stream", "max_inflight_total", "max_msgs"],
        kind: Kind::Whole,
    },
    Key {
        names: &["timeout"],
        kind: Kind::GoDuration,
    },
];

const LIMITS: &[Key] = &[
    Key {
        names: &["max_ack_pending", "max_ha_assets", "max_request_batch"],
        kind: Kind::Whole,
    },
    Key {
        names: &["duplicate_window"],
        kind: Kind::GoDuration,
    },
    Key {
        names: &["batch"],
        kind: Kind::Map(BATCH, "Expected a map to define batch limits, got %T"),
    },
];

const TPM: &[Key] = &[
    Key {
        names: &["keys_file", "encryption_password", "srk_password"],
        kind: Kind::Text,
    },
    Key {
        names: &["pcr"],
        kind: Kind::Whole,
    },
    CIPHER,
];

const SERVER: &[Key] = &[
    Key {
        names: &["strict", "enable", "enabled", "meta_compact_sync"],
        kind: Kind::Switch,
    },
    Key {
        names: &[
            "store",
            "store_dir",
            "storedir",
            "domain",
            "extension_hint",
            "unique_tag",
        ],
        kind: Kind::Text,
    },
    Key {
        names: &[
            "key",
            "ek",
            "encryption_key",
            "prev_key",
            "prev_ek",
            "prev_encryption_key",
        ],
        kind: Kind::Text,
    },
    CIPHER,
    Key {
        names: &["sync", "sync_interval"],
        kind: Kind::SyncInterval,
    },
    Key {
        names: &[
            "max_memory_store",
            "max_mem_store",
            "max_mem",
            "max_file_store",
            "max_file",
            "max_outstanding_catchup",
            "max_buffered_size",
            "meta_compact_size",
        ],
        kind: Kind::Size,
    },
    Key {
        names: &["max_buffered_msgs", "request_queue_limit", "info_queue_limit"],
        kind: Kind::Whole,
    },
    Key {
        names: &["meta_compact"],
        kind: Kind::Range(0, i64::MAX, "Expected an absolute size for \"meta_compact\""),
    },
    Key {
        names: &["max_concurrent_io"],
        kind: Kind::Range(
            4,
            8192,
            "Expected an absolute size for \"max_concurrent_io\" between 4 and 8192",
        ),
    },
    Key {
        names: &["limits"],
        kind: Kind::Map(LIMITS, "Expected a map to define JetStreamLimits, got %T"),
    },
    Key {
        names: &["tpm"],
        kind: Kind::Map(TPM, "Expected a map to define JetStreamLimits, got %T"),
    },
];

const ACCOUNT: &[Key] = &[
    Key {
        names: &[
            "max_memory",
            "max_mem",
            "mem",
            "memory",
            "max_store",
            "max_file",
            "max_disk",
            "store",
            "disk",
            "max_streams",
            "streams",
            "max_consumers",
            "consumers",
            "mem_max_stream_bytes",
            "memory_max_stream_bytes",
            "disk_max_stream_bytes",
            "store_max_stream_bytes",
            "max_ack_pending",
        ],
        kind: Kind::Whole,
    },
    Key {
        names: &["max_bytes_required", "max_stream_bytes", "max_bytes"],
        kind: Kind::Switch,
    },
    Key {
        names: &["cluster_traffic"],
        kind: Kind::Word(
            &["", "system", "owner"],
            "Expected 'system' or 'owner' string value for \"cluster_traffic\"",
        ),
    },
];

/// The block at the top of the file.
pub(super) fn directive(draft: &mut Draft, node: &Node, report: &mut Report) -> Read<()> {
    let Value::Map(map) = &node.value else {
        draft.jetstream.enabled = is_enabled(node)?;
        return Ok(());
    };
    let problems = report.errors.len();
    schema::check(SERVER, map, report);
    if report.errors.len() > problems {
        return Ok(());
    }
    draft.jetstream.enabled = true;
    report.each_key(map, |report, key, _, node| server_key(draft, key, node, report));
    Ok(())
}

fn server_key(draft: &mut Draft, key: &str, node: &Node, report: &mut Report) -> Read<()> {
    let jetstream = &mut draft.jetstream;
    match key {
        "enable" | "enabled" => jetstream.enabled = switch(node)?,
        "store" | "store_dir" | "storedir" => draft.set_store_dir(node, text(node)?)?,
        "domain" => text(node)?.clone_into(&mut jetstream.domain),
        "strict" => jetstream.strict = switch(node)?,
        "max_memory_store" | "max_mem_store" | "max_mem" => {
            jetstream.max_memory = Some(schema::size(key, node)?);
        }
        "max_file_store" | "max_file" => jetstream.max_store = Some(schema::size(key, node)?),
        "key" | "ek" | "encryption_key" | "tpm" => report.refuse(node, "encrypting the store"),
        // What is acknowledged is synced, always.
        "sync" | "sync_interval" | "cipher" => {}
        "prev_key" | "prev_ek" | "prev_encryption_key" => {}
        "limits" => report.not_built(node, "a bound on all streams"),
        _ => report.not_built(node, "this part of JetStream"),
    }
    Ok(())
}

/// What an account may use of it; `None`: the account does not have it.
pub(super) fn of_account(name: &str, node: &Node, report: &mut Report) -> Read<Option<AccountStreams>> {
    let mut account = AccountStreams {
        name: name.to_owned(),
        ..AccountStreams::default()
    };
    let Value::Map(map) = &node.value else {
        return Ok(is_enabled(node)?.then_some(account));
    };
    schema::check(ACCOUNT, map, report);
    for (key, node) in map.iter() {
        account_key(&mut account, &key.to_lowercase(), node);
    }
    Ok(Some(account))
}

/// A value of the wrong type was complained about before.
fn account_key(account: &mut AccountStreams, key: &str, node: &Node) {
    let bytes = whole(node).ok().and_then(|bytes| u64::try_from(bytes).ok());
    let count = bytes.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    match key {
        "max_memory" | "max_mem" | "mem" | "memory" => account.max_memory_bytes = bytes,
        "max_store" | "max_file" | "max_disk" | "store" | "disk" => account.max_store_bytes = bytes,
        "max_streams" | "streams" => account.max_streams = count,
        "max_consumers" | "consumers" => account.max_consumers = count,
        "max_ack_pending" => account.max_ack_pending = count,
        "mem_max_stream_bytes" | "memory_max_stream_bytes" => account.max_memory_stream_bytes = bytes,
        "disk_max_stream_bytes" | "store_max_stream_bytes" => account.max_store_stream_bytes = bytes,
        "max_bytes_required" | "max_stream_bytes" | "max_bytes" => {
            account.max_bytes_required = switch(node).unwrap_or_default();
        }
        _ => {}
    }
}

fn is_enabled(node: &Node) -> Read<bool> {
    match &node.value {
        Value::Bool(on) => Ok(*on),
        Value::String(word) => match word.to_lowercase().as_str() {
            "enabled" | "enable" => Ok(true),
            "disabled" | "disable" => Ok(false),
            _ => {
                let found = shown(&node.value);
                let reason = format!("Expected 'enabled' or 'disabled' for string value, got '{found}'");
                Err(complaint(node, reason))
            }
        },
        other => {
            let found = go_type(other);
            Err(complaint(
                node,
                format_args!("Expected map, bool or string to define JetStream, got {found}"),
            ))
        }
    }
}
