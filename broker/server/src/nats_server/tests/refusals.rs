//! What nats-server would do and this does not: refused where it would leave a door open, else warned about.

use super::super::{Command, parse};
use super::{options, refusal, run};

#[test]
fn directives_that_guard_something_are_refused_at_their_place() {
    for (config, place, what) in [
        ("operator: eyJ0", "1:0", "authentication by JWT"),
        ("port: 1\nresolver: MEMORY", "2:1", "authentication by JWT"),
        ("resolver_preload { A: b }", "1:0", "authentication by JWT"),
        ("trusted_keys: [O]", "1:0", "authentication by JWT"),
        (
            "authorization { auth_callout { issuer: A } }",
            "1:16",
            "authentication by callout",
        ),
        (
            "authorization { proxy_required: true }",
            "1:16",
            "a connection through a trusted proxy",
        ),
        (
            "authorization { users: [ {user: a, pass: b, proxy_required: true} ] }",
            "1:44",
            "a connection through a trusted proxy",
        ),
        (
            "accounts { A { exports: [ {stream: a} ] } }",
            "1:15",
            "sharing subjects between accounts",
        ),
        (
            "accounts { A { imports: [ {stream: a} ] } }",
            "1:15",
            "sharing subjects between accounts",
        ),
        (
            "accounts { A { mappings: { a: b } } }",
            "1:15",
            "mapping subjects",
        ),
        ("mappings: { a: b }", "1:0", "mapping subjects"),
        ("ocsp: true", "1:0", "OCSP stapling"),
        ("ocsp { mode: always }", "1:0", "OCSP stapling"),
        (
            "tls { ocsp_peer: true }",
            "1:6",
            "checking client certificates by OCSP",
        ),
        ("proxy_protocol: true", "1:0", "the PROXY protocol"),
        (
            "websocket { authorization { user: a } }",
            "1:12",
            "authentication for WebSocket clients alone",
        ),
    ] {
        let expected =
            format!("c.conf:{place}: {what} is not built yet, and running without it would be unsafe");
        let refusal = refusal(config);
        assert!(
            refusal.lines().any(|line| line == expected),
            "{config}: {refusal}"
        );
    }
}

#[test]
fn what_asks_for_nothing_is_not_refused() {
    let config =
        "ocsp: false\nproxy_protocol: false\nmappings {}\naccounts { A { exports: [], imports: [] } }";
    assert_eq!(options(config, &[]).warnings, Vec::<String>::new());
}

#[test]
fn parts_that_are_not_built_are_warned_about() {
    for (config, warning) in [
        (
            "cluster { port: -1 }",
            "clustering is not built yet: the setting has no effect",
        ),
        (
            "leafnodes { port: -1 }",
            "a leaf node connection is not built yet: the setting has no effect",
        ),
        (
            "gateway { name: A }",
            "a gateway is not built yet: the setting has no effect",
        ),
        (
            "mqtt { port: -1 }",
            "MQTT is not built yet: the setting has no effect",
        ),
        (
            "logfile_size_limit: 5",
            "rotating the log file is not built yet: the setting has no effect",
        ),
        (
            "jetstream { meta_compact: 5 }",
            "this part of JetStream is not built yet: the setting has no effect",
        ),
    ] {
        let warnings = options(config, &[]).warnings;
        assert!(
            warnings.iter().any(|line| line.ends_with(warning)),
            "{config}: {warnings:?}"
        );
    }
    let flags = [
        "--cluster",
        "nats://127.0.0.1:-1",
        "--routes",
        "nats://127.0.0.1:1",
        "--cluster_name",
        "c",
    ];
    assert_eq!(options("port: -1", &flags).warnings.len(), 2);
}

#[test]
fn jetstream_is_not_left_open_or_given_to_the_system_account() {
    for (config, reason) in [
        (
            "jetstream { key: secret }",
            "encrypting the store is not built yet, and running without it would be unsafe",
        ),
        (
            "jetstream: true, accounts { S { users: [{ user: a, password: b }], jetstream: true } }, system_account: S",
            "Can't start JetStream: jetstream can not be enabled on the system account \"S\"",
        ),
    ] {
        let failure = run(config, &[]).unwrap_err();
        assert!(
            failure.message.trim_end().ends_with(reason),
            "{config}: {failure:?}"
        );
    }
}

#[test]
fn no_setting_lets_everyone_in_by_mistake() {
    let password_only = run("authorization { password: x }", &[]).unwrap_err();
    assert_eq!(
        password_only.message,
        "nats-server: a password without a user would let everyone in"
    );
    assert!(run("port: 1", &["--pass", "x"]).is_err());
    let nobody = options("authorization { users: [] }", &[]);
    assert!(
        nobody.warnings[0].contains("authorization names no user: everyone may connect"),
        "{nobody:?}"
    );
    // A variable that is called like a key.
    let users = "authorization { PASS: x, users: [ {user: a, pass: $PASS} ] }";
    assert_eq!(options(users, &[]).auth.users.len(), 1);
}

#[test]
fn permissions_without_a_list_still_say_where_they_stand() {
    let config = "authorization { users: [\n {user: a, pass: b, permissions: {publish: \"a..b\"}} ] }";
    assert_eq!(
        refusal(config),
        "c.conf:2:35: subject \"a..b\" is not a valid subject"
    );
}

#[test]
fn ports_that_do_not_exist_are_found_before_the_start() {
    for (config, reason) in [
        ("port: 99999", "listen tcp: address 99999: invalid port"),
        ("port: -2", "listen tcp: address -2: invalid port"),
        ("http_port: 70000", "listen tcp: address 70000: invalid port"),
        (
            "http_port: 1\nhttps_port: 2",
            "Can't start monitoring: can't specify both HTTP (1) and HTTPs (2) ports",
        ),
        (
            "https_port: 2",
            "Can't start monitoring: TLS cert and key required for HTTPS",
        ),
    ] {
        assert_eq!(refusal(config), reason);
    }
}

#[test]
fn a_store_that_is_a_file_ends_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let failure = run("port: -1", &["-js", "--store_dir", file.path().to_str().unwrap()]).unwrap_err();
    assert!(failure.message.contains("storage directory is not a directory"));
    assert_eq!(failure.exit_code, 1);
}

#[test]
fn a_wrong_flag_prints_the_usage_and_ends_as_go_does() {
    let failure = parse(&["-foo".into()]).unwrap_err();
    assert_eq!(failure.message, "flag provided but not defined: -foo");
    assert!(failure.output.contains("Usage: nats-server [options]"));
    assert_eq!(failure.exit_code, 0);
    assert!(matches!(parse(&["--help".into()]), Ok(Command::Print(text, 0)) if text.contains("-p, --port")));
    assert!(
        matches!(parse(&["--help_tls".into()]), Ok(Command::Print(text, 0)) if text.contains("cert_file"))
    );
}
