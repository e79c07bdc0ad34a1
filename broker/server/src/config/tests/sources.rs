//! File, environment and flags together.

use std::path::PathBuf;

use mainstem_core::config::Credential;
use mainstem_net::config::HandshakeFirst;

use super::{load, load_with};
use crate::config::{Setting, Sources};
use crate::exit::Exit;
use crate::options::{LogFormat, LogLevel, Options};

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    Sources {
        environment,
        ..Sources::default()
    }
}

fn flag(flag: &str, key: &str, text: &str) -> Setting {
    Setting {
        flag: flag.to_owned(),
        key: key.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn nothing_given_is_the_embedded_default() {
    let options = Sources::default().load().unwrap();
    assert_eq!(options, Options::default());
    assert_eq!(options.data_dir, PathBuf::from("./mainstem-data"));
    assert_eq!(
        (options.nats.listen.host.as_str(), options.nats.listen.port),
        ("0.0.0.0", 4222)
    );
    assert_eq!(
        (options.admin.host.as_str(), options.admin.port),
        ("127.0.0.1", Some(8222))
    );
    assert_eq!(options.nats.websocket, None);
}

#[test]
fn empty_files_are_the_default_too() {
    for yaml in [
        "",
        "# nothing\n",
        "---\n",
        "nats:\nlog: null\nauth: {users: }\n",
        "\u{feff}",
    ] {
        let options = load(yaml).unwrap();
        assert_eq!(
            Options {
                config_file: None,
                ..options
            },
            Options::default(),
            "{yaml:?}"
        );
    }
}

#[test]
fn a_file_says_everything() {
    let options = load(
        "server_name: n1\n\
         drain_timeout: 5s\n\
         nats:\n  port: 0\n  max_payload: 2MiB\n  ping_interval: 2m\n  client_advertise: \"n1.example.com:4222\"\n\
         \x20 tls:\n    cert_file: $DIR/cert.pem\n    key_file: $DIR/key.pem\n    handshake_first: 300ms\n\
         \x20 websocket: {port: 9222, compression: true, allowed_origins: [\"https://a.b\"]}\n\
         admin: {port: off}\n\
         limits: {workers: 2, max_pending: 10MB}\n\
         auth:\n  no_auth_user: bob\n  accounts: [{name: A, max_connections: 3}]\n  users:\n\
         \x20   - {name: bob, password: 12345, account: A}\n\
         \x20   - nkey: UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE\n\
         \x20     permissions: &p\n        publish: {deny: [secret.>]}\n        subscribe: {allow: [\"a.* q\"]}\n\
         \x20       allow_responses: {max: off, expires: 5s}\n\
         \x20   - {name: CN=x, certificate: true, permissions: *p}\n\
         log: {format: json, level: trace, utc: true}\n",
    )
    .unwrap();
    assert_eq!(options.nats.server_name, "n1");
    assert_eq!(options.drain_timeout_ms, 5_000);
    assert_eq!(options.nats.listen.port, 0);
    assert_eq!(options.nats.max_payload_bytes, 2 << 20);
    assert_eq!(
        options.nats.client_advertise.as_deref(),
        Some("n1.example.com:4222")
    );
    assert_eq!(
        options.nats.tls.as_ref().unwrap().handshake_first,
        HandshakeFirst::Auto(300)
    );
    assert_eq!(options.nats.tls.as_ref().unwrap().timeout_ms, 2_000);
    let websocket = options.nats.websocket.as_ref().unwrap();
    assert_eq!((websocket.listen.port, websocket.compression), (9222, true));
    assert_eq!(options.admin.port, None);
    assert_eq!(
        (options.limits.workers, options.limits.max_pending_bytes),
        (2, 10_000_000)
    );
    assert_eq!(options.auth.accounts[0].max_connections, Some(3));
    let users = &options.auth.users;
    assert_eq!(users[0].credential, Credential::Password("12345".into()));
    assert_eq!(
        (users[0].account.as_str(), users[1].account.as_str()),
        ("A", "$G")
    );
    assert_eq!(users[1].credential, Credential::Nkey);
    let permissions = users[1].permissions.as_ref().unwrap();
    assert_eq!(permissions.publish.allow, None);
    assert_eq!(permissions.publish.deny, ["secret.>"]);
    assert_eq!(permissions.subscribe.allow, Some(vec!["a.* q".to_owned()]));
    let responses = permissions.allow_responses.unwrap();
    assert_eq!((responses.max_messages, responses.expires_ms), (-1, 5_000));
    assert_eq!(
        (&users[2].credential, &users[2].permissions),
        (&Credential::Certificate, &users[1].permissions)
    );
    assert_eq!(options.log.format, LogFormat::Json);
    assert!(options.log.trace && options.log.debug && options.nats.trace && options.log.utc);
}

#[test]
fn flags_override_the_environment_and_that_the_file() {
    let yaml = "nats: {port: 1, host: file}\nlog: {level: warn}\n";
    let sources = Sources {
        flags: vec![flag("--nats-port", "nats.port", "3")],
        ..environment(&[("MAINSTEM_NATS_PORT", "2"), ("MAINSTEM_NATS_HOST", "variable")])
    };
    let options = load_with(yaml, sources).unwrap();
    assert_eq!(
        (options.nats.listen.port, options.nats.listen.host.as_str()),
        (3, "variable")
    );
    assert_eq!(options.log.level, LogLevel::Warn);
}

#[test]
fn variables_reach_every_kind_of_key() {
    let sources = environment(&[
        ("MAINSTEM_SERVER_NAME", "n2"),
        ("MAINSTEM_ADMIN_PORT", "off"),
        (
            "MAINSTEM_NATS_WEBSOCKET_ALLOWED_ORIGINS",
            "https://a.b, https://c.d",
        ),
        ("MAINSTEM_NATS_WEBSOCKET_COMPRESSION", "true"),
        ("MAINSTEM_LOG_FILE", "null"),
        ("MAINSTEM_NATS_PING_INTERVAL", "30s"),
    ]);
    let options = load_with("log: {file: x}\n", sources).unwrap();
    assert_eq!(options.nats.server_name, "n2");
    assert_eq!(options.admin.port, None);
    assert_eq!(options.log.file, None);
    assert_eq!(options.nats.ping_interval_ms, 30_000);
    let websocket = options.nats.websocket.unwrap();
    assert!(websocket.compression);
    assert_eq!(websocket.allowed_origins, ["https://a.b", "https://c.d"]);
}

#[test]
fn problems_name_the_variable_or_flag() {
    let sources = Sources {
        flags: vec![
            flag("--metrics", "admin.metrics_port", "x"),
            flag("--set", "log.level", "loud"),
        ],
        ..environment(&[("MAINSTEM_NATS_MAX_PAYLOAD", "1")])
    };
    let failure = load_with("nats: {port: y}\n", sources).unwrap_err();
    assert_eq!(failure.exit, Exit::Config);
    assert_eq!(
        failure.lines,
        [
            "m.yaml:1:14: nats.port: \"y\" is not a port; allowed: 1 to 65535, or 0 for any free port",
            "MAINSTEM_NATS_MAX_PAYLOAD: nats.max_payload: \"1\" has no unit; allowed: 1B to 64MiB, in B, KiB, MiB, GiB, \
         KB, MB or GB",
            "--metrics: admin.metrics_port: \"x\" is not a port; allowed: 1 to 65535, or 0 for any free port, or off",
            "--set: log.level: \"loud\" is not a choice; allowed: error, warn, info, debug, trace",
        ]
    );
    let clash = Sources {
        flags: vec![flag("--admin-port", "admin.port", "4222")],
        ..Sources::default()
    };
    let failure = clash.load().unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert_eq!(
        failure.lines,
        [
            "--admin-port: admin.port: 4222 is also the port of nats.port (default); allowed: a port of its own, or 0"
        ]
    );
}

#[test]
fn variables_that_mean_nothing_are_warned_about() {
    let sources = environment(&[
        ("MAINSTEM_NATS_PROT", "1"),
        ("MAINSTEM_ZEBRA", "1"),
        ("MAINSTEM_NATS_PORT", "tcp://10.0.0.1:4222"),
        ("MAINSTEM_PORT_4222_TCP_ADDR", "10.0.0.1"),
        ("MAINSTEM_SERVICE_HOST", "10.0.0.1"),
    ]);
    let options = sources.load().unwrap();
    assert_eq!(
        options.warnings,
        [
            "MAINSTEM_NATS_PROT is no known variable and is ignored; did you mean MAINSTEM_NATS_PORT?",
            "MAINSTEM_ZEBRA is no known variable and is ignored",
            "MAINSTEM_NATS_PORT looks like a Kubernetes service link and is ignored",
        ]
    );
    assert_eq!(options.nats.listen.port, 4222);
}

#[test]
fn protocol_lines_are_made_when_somebody_reads_them() {
    for (yaml, expected) in [
        ("", false),
        ("log: {level: trace}", true),
        ("log: {filter: \"info,front_nats=trace\"}", true),
        ("log: {level: trace, filter: info}", false),
    ] {
        assert_eq!(load(yaml).unwrap().nats.trace, expected, "{yaml}");
    }
}

#[test]
fn metrics_on_the_monitoring_port_are_no_second_listener() {
    let options = load("admin: {metrics_port: 8222}\n").unwrap();
    assert_eq!(options.admin.metrics_port, None);
}

#[test]
fn unreadable_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.yaml");
    let load = || {
        let failure = Sources {
            file: Some(path.clone()),
            ..Sources::default()
        }
        .load()
        .unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        failure
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    };
    let missing = load();
    assert_eq!(
        missing,
        "m.yaml: cannot read the configuration file: No such file or directory (os error 2)"
    );
    std::fs::write(&path, b"a: \xff").unwrap();
    assert_eq!(
        load(),
        "m.yaml: not UTF-8: invalid utf-8 sequence of 1 bytes from index 3"
    );
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(load(), "m.yaml: too large; allowed: 1048576 bytes");
}

#[test]
fn aliases_cannot_unfold_without_bound() {
    let mut yaml = "a: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..8 {
        let inner = vec![format!("*a{}", n - 1); 10].join(",");
        yaml.push_str(&format!("a{n}: &a{n} [{inner}]\n"));
    }
    let lines = load(&yaml).unwrap_err();
    assert!(
        lines[0].ends_with("too many values; allowed: 100000 with aliases unfolded"),
        "{lines:?}"
    );
}
