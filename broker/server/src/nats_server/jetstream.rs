//! `jetstream`: checked key by key, remembered as asked for, and without an effect until streams are built.

use nats_conf::{Node, Value};

use super::draft::Draft;
use super::permissions::shown;
use super::reading::{Read, Report, complaint, go_type, switch, text};
use super::schema::{self, Key, Kind};

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
    draft.jetstream = match &node.value {
        Value::Map(map) => {
            schema::check(SERVER, map, report);
            let mut enabled = true;
            for (key, node) in map.iter() {
                match key.to_lowercase().as_str() {
                    "enable" | "enabled" => enabled = switch(node).unwrap_or_default(),
                    "store" | "store_dir" | "storedir" => {
                        draft.set_store_dir(node, text(node).unwrap_or_default())?;
                    }
                    _ => {}
                }
            }
            enabled
        }
        _ => is_enabled(node)?,
    };
    Ok(())
}

/// What an account may use of it.
pub(super) fn of_account(node: &Node, report: &mut Report) -> Read<()> {
    match &node.value {
        Value::Map(map) => schema::check(ACCOUNT, map, report),
        _ => {
            is_enabled(node)?;
        }
    }
    Ok(())
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
