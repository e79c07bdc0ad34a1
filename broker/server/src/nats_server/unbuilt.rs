//! Clusters, gateways, leaf nodes and MQTT: checked, then warned about. Nothing listens for them, so nothing is open.

use nats_conf::{Node, Value};

use super::draft::Draft;
use super::reading::{Read, Report, host_port, map_or, switch};
use super::schema::{self, Key, Kind};

/// Go's words where nats-server has none of its own.
const NO_MAP: &str = "interface conversion: interface {} is %T, not map[string]interface {}";

const CLUSTER: &[Key] = &[
    Key {
        names: &["name"],
        kind: Kind::Name("cluster name cannot contain spaces or new lines"),
    },
    Key {
        names: &["listen"],
        kind: Kind::HostPort,
    },
    Key {
        names: &["port", "connect_retries", "pool_size", "ping_max"],
        kind: Kind::Whole,
    },
    Key {
        names: &["host", "net", "cluster_advertise", "advertise"],
        kind: Kind::Text,
    },
    Key {
        names: &["no_advertise", "connect_backoff"],
        kind: Kind::Switch,
    },
    Key {
        names: &["authorization"],
        kind: Kind::OneUser("Cluster"),
    },
    Key {
        names: &["permissions"],
        kind: Kind::Permissions,
    },
    Key {
        names: &["routes"],
        kind: Kind::Urls,
    },
    Key {
        names: &["tls"],
        kind: Kind::Tls,
    },
    Key {
        names: &["accounts"],
        kind: Kind::Texts,
    },
    Key {
        names: &["compression"],
        kind: Kind::Compression,
    },
    Key {
        names: &["ping_interval", "write_deadline"],
        kind: Kind::Duration,
    },
    Key {
        names: &["write_timeout"],
        kind: Kind::WritePolicy,
    },
];

const REMOTE_GATEWAY: &[Key] = &[
    Key {
        names: &["name", "url"],
        kind: Kind::Text,
    },
    Key {
        names: &["urls"],
        kind: Kind::Urls,
    },
    Key {
        names: &["tls"],
        kind: Kind::Tls,
    },
];

const GATEWAY: &[Key] = &[
    Key {
        names: &["name"],
        kind: Kind::Name("gateway name cannot contain spaces"),
    },
    Key {
        names: &["listen"],
        kind: Kind::HostPort,
    },
    Key {
        names: &["port", "connect_retries"],
        kind: Kind::Whole,
    },
    Key {
        names: &["host", "net", "advertise"],
        kind: Kind::Text,
    },
    Key {
        names: &["connect_backoff", "reject_unknown", "reject_unknown_cluster"],
        kind: Kind::Switch,
    },
    Key {
        names: &["authorization"],
        kind: Kind::OneUser("Gateway"),
    },
    Key {
        names: &["tls"],
        kind: Kind::Tls,
    },
    Key {
        names: &["gateways"],
        kind: Kind::Maps(REMOTE_GATEWAY, "Expected gateways field to be an array, got %T"),
    },
    Key {
        names: &["write_deadline"],
        kind: Kind::Duration,
    },
    Key {
        names: &["write_timeout"],
        kind: Kind::WritePolicy,
    },
];

const LEAF_USER: &[Key] = &[
    Key {
        names: &["user", "username", "pass", "password", "account"],
        kind: Kind::Text,
    },
    Key {
        names: &["proxy_required"],
        kind: Kind::Switch,
    },
];

const LEAF_AUTHORIZATION: &[Key] = &[
    Key {
        names: &["user", "username", "pass", "password", "nkey", "account"],
        kind: Kind::Text,
    },
    Key {
        names: &["timeout"],
        kind: Kind::Timeout("leafnode authorization"),
    },
    Key {
        names: &["users"],
        kind: Kind::Maps(LEAF_USER, "Expected users field to be an array, got %T"),
    },
    Key {
        names: &["proxy_required"],
        kind: Kind::Switch,
    },
];

const PROXY: &[Key] = &[
    Key {
        names: &["url", "username", "password"],
        kind: Kind::Text,
    },
    Key {
        names: &["timeout"],
        kind: Kind::Duration,
    },
];

const REMOTE_LEAF: &[Key] = &[
    Key {
        names: &[
            "no_randomize",
            "dont_randomize",
            "hub",
            "ws_compress",
            "ws_compression",
            "websocket_compress",
            "websocket_compression",
            "ws_no_masking",
            "websocket_no_masking",
            "isolate_leafnode_interest",
            "isolate",
            "request_isolation",
            "disabled",
            "ignore_discovered_servers",
        ],
        kind: Kind::Switch,
    },
    Key {
        names: &["url", "urls"],
        kind: Kind::UrlOrUrls,
    },
    Key {
        names: &["account", "local", "creds", "credentials", "nkey", "seed"],
        kind: Kind::Text,
    },
    Key {
        names: &["tls"],
        kind: Kind::Tls,
    },
    Key {
        names: &["deny_imports", "deny_import", "deny_exports", "deny_export"],
        kind: Kind::Subjects,
    },
    Key {
        names: &["jetstream_cluster_migrate", "js_cluster_migrate"],
        kind: Kind::SwitchOrMap,
    },
    Key {
        names: &["compression"],
        kind: Kind::Compression,
    },
    Key {
        names: &["first_info_timeout", "dial_timeout"],
        kind: Kind::Duration,
    },
    Key {
        names: &["proxy"],
        kind: Kind::Map(PROXY, "Expected proxy to be a map, got %T"),
    },
];

const LEAFNODES: &[Key] = &[
    Key {
        names: &["listen"],
        kind: Kind::HostPort,
    },
    Key {
        names: &["port"],
        kind: Kind::Whole,
    },
    Key {
        names: &[
            "host",
            "net",
            "leafnode_advertise",
            "advertise",
            "min_version",
            "minimum_version",
        ],
        kind: Kind::Text,
    },
    Key {
        names: &["authorization"],
        kind: Kind::Map(LEAF_AUTHORIZATION, NO_MAP),
    },
    Key {
        names: &["remotes"],
        kind: Kind::Maps(REMOTE_LEAF, "Expected remotes field to be an array, got %T"),
    },
    Key {
        names: &[
            "reconnect",
            "reconnect_delay",
            "reconnect_interval",
            "dial_timeout",
            "write_deadline",
        ],
        kind: Kind::Duration,
    },
    Key {
        names: &["tls"],
        kind: Kind::Tls,
    },
    Key {
        names: &["no_advertise", "isolate_leafnode_interest", "isolate"],
        kind: Kind::Switch,
    },
    Key {
        names: &["compression"],
        kind: Kind::Compression,
    },
    Key {
        names: &["write_timeout"],
        kind: Kind::WritePolicy,
    },
];

const SIMPLE_AUTHORIZATION: &[Key] = &[
    Key {
        names: &["user", "username", "pass", "password", "token"],
        kind: Kind::Text,
    },
    Key {
        names: &["timeout"],
        kind: Kind::Timeout("authorization"),
    },
];

const MQTT: &[Key] = &[
    Key {
        names: &["listen"],
        kind: Kind::HostPort,
    },
    Key {
        names: &["port", "stream_replicas", "consumer_replicas"],
        kind: Kind::Whole,
    },
    Key {
        names: &["max_ack_pending", "max_pending", "max_inflight"],
        kind: Kind::Range(0, 0xffff, "invalid value, should be in [0..65535] range"),
    },
    Key {
        names: &["host", "net", "no_auth_user", "js_domain"],
        kind: Kind::Text,
    },
    Key {
        names: &["tls"],
        kind: Kind::Tls,
    },
    Key {
        names: &["authorization", "authentication"],
        kind: Kind::Map(SIMPLE_AUTHORIZATION, NO_MAP),
    },
    Key {
        names: &[
            "ack_wait",
            "ackwait",
            "js_api_timeout",
            "api_timeout",
            "consumer_inactive_threshold",
            "consumer_auto_cleanup",
        ],
        kind: Kind::Duration,
    },
    Key {
        names: &[
            "consumer_memory_storage",
            "reject_qos2_publish",
            "downgrade_qos2_subscribe",
        ],
        kind: Kind::Switch,
    },
];

pub(super) fn cluster(draft: &mut Draft, node: &Node, report: &mut Report) -> Read<()> {
    let map = map_or(node, "Expected map to define cluster, got %T")?;
    schema::check(CLUSTER, map, report);
    for (key, node) in map.iter() {
        match key.to_lowercase().as_str() {
            "no_advertise" => draft.no_advertise = switch(node).unwrap_or_default(),
            "listen" => draft.has_cluster |= host_port(node).is_ok(),
            "port" | "host" | "net" => draft.has_cluster |= !matches!(node.value, Value::Integer(0)),
            _ => {}
        }
    }
    report.not_built(node, "clustering");
    Ok(())
}

pub(super) fn gateway(node: &Node, report: &mut Report) -> Read<()> {
    schema::check(
        GATEWAY,
        map_or(node, "Expected gateway to be a map, got %T")?,
        report,
    );
    report.not_built(node, "a gateway");
    Ok(())
}

pub(super) fn leafnodes(node: &Node, report: &mut Report) -> Read<()> {
    schema::check(
        LEAFNODES,
        map_or(node, "Expected map to define a leafnode, got %T")?,
        report,
    );
    report.not_built(node, "a leaf node connection");
    Ok(())
}

pub(super) fn mqtt(node: &Node, report: &mut Report) -> Read<()> {
    schema::check(MQTT, map_or(node, "Expected mqtt to be a map, got %T")?, report);
    report.not_built(node, "MQTT");
    Ok(())
}
