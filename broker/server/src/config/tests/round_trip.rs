//! What `--print-config` prints loads to the same options, whatever they are.

use std::sync::Arc;

use mainstem_core::config::{
    AccountConfig, Credential, Permissions, ResponsePermission, SubjectPermission, UserConfig,
};
use proptest::prelude::*;

use crate::config::kind::Kind;
use crate::config::leaves::leaves;
use crate::config::report::{Origin, Report};
use crate::config::yaml::{self, Body, Name, Node};
use crate::config::{default_entries, effective_yaml, schema, table, units};
use crate::options::{AccountStreams, Options};

/// Texts that trip YAML writers, and at least one that each rule of the table accepts.
const TEXTS: &[&str] = &[
    "a",
    "/x/y",
    "h.example.com:4222",
    "https://example.com",
    "UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "orders.>",
    "orders.* workers",
    "STANDARD",
    "info,front_nats=debug",
    "two words",
    " blanks around ",
    "ünï☃",
    "null",
    "~",
    "true",
    "off",
    "0123",
    "1e3",
    "- x",
    "a: b",
    "#c",
    "a #b",
    "{x}",
    "*p",
    "&p",
    "!t",
    "'",
    "\"\\",
    "tab\there",
    "line\nbreak",
    "%d",
    "@at",
    "`",
    "$2a$11$abc",
];

/// Picks a value of this kind: the choice is any number, the result is a node as a file would hold it.
fn value(kind: &Kind, unset: bool, choice: u64) -> Node {
    let scalar = |text: String, plain| Node {
        origin: Origin::Default,
        body: Body::Scalar { text, plain },
    };
    let within = |min: u64, max: u64| min + choice % (max - min + 1);
    let accepted = |accepts: fn(&str) -> bool| {
        let texts: Vec<&str> = TEXTS.iter().copied().filter(|text| accepts(text)).collect();
        texts[choice as usize % texts.len()].to_owned()
    };
    if unset && choice.is_multiple_of(5) {
        return scalar("null".into(), true);
    }
    match kind {
        Kind::Switch => scalar(choice.is_multiple_of(2).to_string(), true),
        Kind::Text(rule) => scalar(accepted(rule.accepts), false),
        Kind::Texts(rule) => {
            let items = (0..choice % 3)
                .map(|_| scalar(accepted(rule.accepts), false))
                .collect();
            // Lists come from files only.
            let origin = Origin::File {
                path: "t".into(),
                line: 1,
                column: 1,
            };
            Node {
                origin,
                body: Body::List(items),
            }
        }
        Kind::Choice(words) => scalar(words[choice as usize % words.len()].into(), true),
        Kind::Port => scalar(within(0, 65_535).to_string(), true),
        Kind::Count { min, max } => scalar(within(*min, *max).to_string(), true),
        Kind::Size { min, max } => scalar(units::print_size(within(*min, *max)), true),
        Kind::ChoiceOrDuration { words, .. } if choice.is_multiple_of(2) => {
            scalar(words[choice as usize % words.len()].into(), true)
        }
        Kind::Duration { min, max } | Kind::ChoiceOrDuration { min, max, .. } => {
            scalar(units::print_duration(within(*min, *max)), true)
        }
    }
}

/// Options with some keys set to anything that is allowed.
fn options_with(mut seed: u64) -> Options {
    let mut options = Options::default();
    let mut report = Report::default();
    for leaf in leaves(&default_entries()) {
        // One step of a linear congruential generator (Knuth's MMIX); its high bits are the good ones.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let choice = seed >> 20;
        if leaf.in_records || choice.is_multiple_of(4) {
            continue;
        }
        let leaf_node = value(leaf.kind, leaf.unset.is_some(), choice / 4);
        let node = leaf.path.rsplit('.').fold(leaf_node, |inner, name| {
            let name = Name {
                origin: Origin::Default,
                text: name.to_owned(),
            };
            Node {
                origin: Origin::Default,
                body: Body::Map(vec![(name, inner)]),
            }
        });
        schema::read_section(table::ROOT, &node, "", &mut options, &mut report);
    }
    assert!(report.is_clean(), "{:?}", report.lines());
    // The files that TLS cannot do without.
    let websocket_tls = options
        .nats
        .websocket
        .as_mut()
        .and_then(|websocket| websocket.tls.as_mut());
    for tls in options.nats.tls.iter_mut().chain(websocket_tls) {
        (tls.cert_file, tls.key_file) = ("c.pem".into(), "k.pem".into());
    }
    options
}

fn reload(yaml: &str) -> Options {
    let mut options = Options::default();
    let mut report = Report::default();
    let node = yaml::parse("printed", yaml).unwrap_or_else(|problem| panic!("{problem}\n{yaml}"));
    schema::read_section(table::ROOT, &node, "", &mut options, &mut report);
    assert!(report.is_clean(), "{:?}\n{yaml}", report.lines());
    options
}

fn any_subjects() -> impl Strategy<Value = SubjectPermission> {
    let subjects = || prop::collection::vec("[a-z*]{1,3}(\\.[a-z>])?", 0..3);
    (prop::option::of(subjects()), subjects()).prop_map(|(allow, deny)| SubjectPermission { allow, deny })
}

prop_compose! {
    fn any_permissions()(
        publish in any_subjects(),
        subscribe in any_subjects(),
        responses in prop::option::of((prop_oneof![Just(-1), 1..1000_i64], prop_oneof![Just(-1), 1..86_400_000_i64])),
    ) -> Permissions {
        let allow_responses =
            responses.map(|(max_messages, expires_ms)| ResponsePermission { max_messages, expires_ms });
        Permissions { publish, subscribe, allow_responses }
    }
}

prop_compose! {
    fn any_user()(
        name in "\\PC{1,8}",
        secret in any::<String>(),
        kind in 0..3,
        account in prop_oneof![Just("$G"), Just("A"), Just("$SYS")],
        permissions in prop::option::of(any_permissions()),
        types in prop::option::of(prop::sample::subsequence(vec!["STANDARD", "WEBSOCKET"], 0..=2)),
    ) -> UserConfig {
        let name: String = name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect();
        let (name, credential) = match kind {
            0 => (name, Credential::Password(format!("x{secret}"))),
            1 => (name, Credential::Certificate),
            _ => ("UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE".to_owned(), Credential::Nkey),
        };
        UserConfig {
            name,
            credential,
            account: account.to_owned(),
            permissions: permissions.map(Arc::new),
            allowed_connection_types: types.map(|types| types.into_iter().map(str::to_owned).collect()),
        }
    }
}

prop_compose! {
    fn any_account()(
        name in "[A-Z]{1,5}",
        limits in prop::option::of(any::<u32>()),
        payload in prop::option::of(1..=64_u32 << 20),
    ) -> AccountConfig {
        AccountConfig { name, max_connections: limits, max_subscriptions: limits, max_payload_bytes: payload }
    }
}

#[test]
fn the_default_prints_and_loads() {
    let default = Options::default();
    assert_eq!(reload(&effective_yaml(&default)), default);
}

prop_compose! {
    fn any_account_streams()(
        name in "[A-Z]{1,5}",
        flags in any::<(bool, bool)>(),
        bytes in prop::option::of(0..=1_u64 << 50),
        count in prop::option::of(any::<u32>()),
    ) -> AccountStreams {
        AccountStreams {
            name,
            enabled: flags.0,
            max_memory_bytes: bytes,
            max_store_bytes: bytes,
            max_streams: count,
            max_consumers: count,
            max_ack_pending: count,
            max_memory_stream_bytes: bytes,
            max_store_stream_bytes: bytes,
            max_bytes_required: flags.1,
        }
    }
}

proptest! {
    #[test]
    fn printed_options_load_to_the_same(
        seed: u64,
        users in prop::collection::vec(any_user(), 0..4),
        accounts in prop::collection::vec(any_account(), 0..3),
        stores in prop::collection::vec(any_account_streams(), 0..3),
    ) {
        let mut options = options_with(seed);
        for user in users {
            if !options.auth.users.iter().any(|other| other.name == user.name) {
                options.auth.users.push(user);
            }
        }
        for account in accounts {
            if !options.auth.accounts.iter().any(|other| other.name == account.name) {
                options.auth.accounts.push(account);
            }
        }
        for account in stores {
            if !options.streams.accounts.iter().any(|other| other.name == account.name) {
                options.streams.accounts.push(account);
            }
        }
        prop_assert_eq!(reload(&effective_yaml(&options)), options);
    }
}
