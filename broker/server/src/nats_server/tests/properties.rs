use nats_conf::{NoSource, parse_bytes};
use proptest::prelude::*;

use super::super::draft::Draft;
use super::super::reading::Report;
use super::super::{directives, resolve};

/// Keys of all blocks: a key in the wrong place is as good a test as one in the right place.
const KEYS: &[&str] = &[
    "listen",
    "port",
    "host",
    "http",
    "https_port",
    "http_base_path",
    "server_name",
    "client_advertise",
    "tls",
    "verify_and_map",
    "handshake_first",
    "timeout",
    "pinned_certs",
    "cipher_suites",
    "certs",
    "websocket",
    "no_tls",
    "allowed_origins",
    "headers",
    "authorization",
    "user",
    "pass",
    "token",
    "nkey",
    "users",
    "permissions",
    "default_permissions",
    "publish",
    "subscribe",
    "allow",
    "deny",
    "allow_responses",
    "max",
    "expires",
    "accounts",
    "limits",
    "max_conn",
    "jetstream",
    "store_dir",
    "enabled",
    "cluster",
    "routes",
    "compression",
    "leafnodes",
    "remotes",
    "url",
    "gateway",
    "gateways",
    "mqtt",
    "max_payload",
    "max_pending",
    "max_connections",
    "max_sub_tokens",
    "ping_interval",
    "write_deadline",
    "lame_duck_duration",
    "lame_duck_grace_period",
    "no_auth_user",
    "system_account",
    "operator",
    "ocsp",
    "mappings",
    "server_tags",
    "$SYS",
    "A",
    "unknown",
];

const VALUES: &[&str] = &[
    "1",
    "-1",
    "0",
    "4222",
    "99999",
    "9223372036854775807",
    "-9223372036854775808",
    "1.5",
    "1e",
    "true",
    "off",
    "a",
    "\"\"",
    "\"a b\"",
    "\"a..b\"",
    "\">\"",
    "\"1s\"",
    "\"-1h\"",
    "\"99999h\"",
    "\"µ\"",
    "\"10G\"",
    "\"G\"",
    "\"é\"",
    "\"[::1]:-1\"",
    "\"http://:x\"",
    "$2a$04$x",
    "2016-05-04T18:53:41Z",
    "UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE",
];

fn value() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(VALUES).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| format!("[{}\n]", values.join("\n"))),
            prop::collection::vec((prop::sample::select(KEYS), inner), 0..4).prop_map(|entries| {
                let entries: String = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}\n"))
                    .collect();
                format!("{{\n{entries}}}")
            }),
        ]
    })
}

proptest! {
    /// Any file ends in options or in complaints.
    #[test]
    fn nothing_in_a_file_ends_the_process(
        entries in prop::collection::vec((prop::sample::select(KEYS), value()), 0..6),
    ) {
        let text: String = entries.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        let Ok(file) = parse_bytes(text.as_bytes(), "c.conf", &NoSource) else { return Ok(()) };
        let mut draft = Draft::default();
        let mut report = Report::default();
        directives::read(&mut draft, &file, &mut report);
        prop_assert!(report.errors.iter().all(|line| line.starts_with("c.conf:")), "{:?}", report.errors);
        if let Err(reason) = resolve::options(draft) {
            prop_assert!(!reason.is_empty());
        }
    }
}
