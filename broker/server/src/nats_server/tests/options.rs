//! Directives and flags, and the options they become.

use mainstem_core::config::{
    AuthConfig, Credential, Permissions, ResponsePermission, SubjectPermission, UserConfig,
};
use mainstem_net::config::HandshakeFirst;

use super::super::{Command, parse};
use super::options;
use crate::options::{AccountStreams, LogFormat, Options, Personality, StreamsOptions};

fn from_flags(flags: &[&str]) -> Options {
    match parse(&flags.iter().map(Into::into).collect::<Vec<_>>()) {
        Ok(Command::Run(options)) => *options,
        other => panic!("{other:?}"),
    }
}

fn user<'a>(auth: &'a AuthConfig, name: &str) -> &'a UserConfig {
    auth.users.iter().find(|user| user.name == name).unwrap()
}

fn permissions(auth: &AuthConfig, name: &str) -> Permissions {
    Permissions::clone(user(auth, name).permissions.as_ref().unwrap())
}

fn subjects(list: &[&str]) -> Vec<String> {
    list.iter().map(|subject| (*subject).to_owned()).collect()
}

#[test]
fn defaults_are_those_of_nats_server() {
    let options = from_flags(&[]);
    assert_eq!(options.personality, Personality::NatsServer);
    assert_eq!(
        (options.nats.listen.host.as_str(), options.nats.listen.port),
        ("0.0.0.0", 4222)
    );
    assert_eq!(
        (options.admin.host.as_str(), options.admin.port),
        ("0.0.0.0", None)
    );
    assert_eq!(
        (options.nats.max_payload_bytes, options.limits.max_pending_bytes),
        (1 << 20, 64 << 20)
    );
    assert_eq!(
        (options.nats.auth_timeout_ms, options.nats.max_connections),
        (2_000, 65_536)
    );
    assert_eq!(
        (options.log.format, options.log.time, options.log.utc),
        (LogFormat::NatsServer, true, false)
    );
    assert_eq!(options.auth, AuthConfig::default());
    assert!(options.warnings.is_empty() && !options.streams.enabled);
}

#[test]
fn flags_of_the_suites_are_understood() {
    let options = from_flags(&[
        "--store_dir",
        "d",
        "-p",
        "-1",
        "-l",
        "a.log",
        "-P",
        "a.pid",
        "-n",
        "x",
    ]);
    assert_eq!(
        (options.nats.listen.port, options.nats.server_name.as_str()),
        (0, "x")
    );
    assert_eq!(
        (options.data_dir.to_str(), options.pid_file),
        (Some("d"), Some("a.pid".into()))
    );
    assert_eq!(options.log.file, Some("a.log".into()));
    let options = from_flags(&[
        "-p",
        "4225",
        "-m",
        "8225",
        "-a",
        "127.0.0.1",
        "-DV",
        "-js",
        "-sd=d",
    ]);
    assert_eq!(
        (options.admin.host.as_str(), options.admin.port),
        ("127.0.0.1", Some(8225))
    );
    assert!(options.log.debug && options.log.trace && options.nats.trace && options.streams.enabled);
    let options = from_flags(&["--user", "u", "--pass", "p"]);
    assert_eq!(
        user(&options.auth, "u").credential,
        Credential::Password("p".into())
    );
    assert_eq!(from_flags(&["--auth", "t"]).auth.token.as_deref(), Some("t"));
    let options = from_flags(&["--addr", "::1", "--debug", "--jetstream", "--server_name", "n"]);
    assert_eq!(
        (options.nats.listen.host.as_str(), options.log.debug),
        ("::1", true)
    );
}

#[test]
fn jetstream_and_what_accounts_may_use_of_it() {
    let options = options(
        "jetstream { store_dir: /s, max_mem: 1G, max_file: 64MB, domain: hub, strict: false, sync_interval: always }\n\
         accounts { A { jetstream: enabled }, B { jetstream { max_mem: 1K, max_store: -1, max_streams: 3, \
         max_bytes_required: true } }, C { jetstream: disabled }, D {} }",
        &[],
    );
    assert_eq!(options.data_dir.to_str(), Some("/s"));
    assert!(options.warnings.is_empty(), "{:?}", options.warnings);
    let account = |name: &str| AccountStreams {
        name: name.to_owned(),
        ..AccountStreams::default()
    };
    let expected = StreamsOptions {
        max_memory_bytes: Some(1_000_000_000),
        max_store_bytes: Some(64 << 20),
        domain: Some("hub".into()),
        strict: false,
        accounts: vec![
            account("A"),
            AccountStreams {
                max_memory_bytes: Some(1000),
                max_streams: Some(3),
                max_bytes_required: true,
                ..account("B")
            },
        ],
        others_enabled: false,
        ..StreamsOptions::default()
    };
    assert_eq!(options.streams, expected);

    let alone = from_flags(&["-js"]).streams;
    assert_eq!(alone, StreamsOptions::default(), "the global account has streams");
}

#[test]
fn flags_override_the_file() {
    let options = options(
        "listen: localhost:4222\ndebug: true\nhttp: 8222",
        &["-p", "-1", "-D=false", "-m", "0"],
    );
    assert_eq!(
        (options.nats.listen.host.as_str(), options.nats.listen.port),
        ("localhost", 0)
    );
    assert_eq!((options.log.debug, options.admin.port), (false, None));
}

#[test]
fn limits_and_times_have_their_units() {
    let options = options(
        "max_payload = 128KB\nmax_control_line: 2k\nmax_connections: 0\nmax_subs: 10\nmax_sub_tokens: 8\nping_interval: \
         \"100ms\"\nping_max: 3\nwrite_deadline: \"1.5s\"\nlame_duck_duration: \"1m\"\nlame_duck_grace_period: \"2s\"\n\
         max_pending: 1MiB\nno_header_support: yes\nauthorization { token: $2a$04$x, timeout: 0.5 }",
        &[],
    );
    let nats = &options.nats;
    assert_eq!(
        (
            nats.max_payload_bytes,
            nats.max_control_line_bytes,
            nats.max_connections
        ),
        (131_072, 2_000, 0)
    );
    assert_eq!((nats.max_subscriptions, nats.max_subject_tokens), (10, 8));
    assert_eq!(
        (nats.ping_interval_ms, nats.max_pings_out, nats.write_deadline_ms),
        (100, 3, 1_500)
    );
    assert_eq!(
        (
            nats.lame_duck_duration_ms,
            nats.lame_duck_grace_ms,
            nats.auth_timeout_ms
        ),
        (60_000, 2_000, 500)
    );
    assert!(nats.no_header_support);
    assert_eq!(options.limits.max_pending_bytes, 1 << 20);
}

#[test]
fn monitoring_has_the_listeners_host_unless_it_has_its_own() {
    let own = options("http: 127.0.0.1:-1\nhttp_base_path: nats//x/", &[]);
    assert_eq!(
        (
            own.admin.host.as_str(),
            own.admin.port,
            own.admin.base_path.as_str()
        ),
        ("127.0.0.1", Some(0), "/nats/x")
    );
    let shared = options("host: localhost\nmonitor_port: 8222\nhttp_base_path: \"/\"", &[]);
    assert_eq!(
        (
            shared.admin.host.as_str(),
            shared.admin.port,
            shared.admin.base_path.as_str()
        ),
        ("localhost", Some(8222), "")
    );
}

#[test]
fn permissions_are_lists_of_subjects() {
    let options = options(
        "authorization {\n default_permissions { sub: \"d\" }\n users: [\n\
         {user: a, pass: x, permissions: {publish: [\"a\", \"b.*\"], subscribe: {allow: \"c q\", deny: [\"d\"]}}}\n\
         {user: b, pass: x, permissions: {publish: [], allow_responses: true}}\n\
         {user: c, pass: x, permissions: {publish: {deny: \"x\"}, allow_responses: {max: -5, expires: \"1m\"}}}\n\
         {user: d, pass: x, clients: [websocket]}\n ] }",
        &[],
    );
    let a = permissions(&options.auth, "a");
    assert_eq!(
        a.publish,
        SubjectPermission {
            allow: Some(subjects(&["a", "b.*"])),
            deny: Vec::new()
        }
    );
    assert_eq!(
        a.subscribe,
        SubjectPermission {
            allow: Some(subjects(&["c q"])),
            deny: subjects(&["d"])
        }
    );
    let b = permissions(&options.auth, "b");
    assert_eq!(
        (b.publish.allow, b.allow_responses),
        (Some(Vec::new()), Some(ResponsePermission::default()))
    );
    let c = permissions(&options.auth, "c");
    assert_eq!(
        (c.publish.allow, c.publish.deny),
        (Some(Vec::new()), subjects(&["x"]))
    );
    assert_eq!(
        c.allow_responses,
        Some(ResponsePermission {
            max_messages: -1,
            expires_ms: 60_000
        })
    );
    assert_eq!(
        permissions(&options.auth, "d").subscribe.allow,
        Some(subjects(&["d"]))
    );
    assert_eq!(
        user(&options.auth, "d").allowed_connection_types,
        Some(subjects(&["WEBSOCKET"]))
    );
}

#[test]
fn accounts_have_users_and_limits() {
    let options = options(
        "accounts {\n A { users: [ {user: a, pass: $2a$04$x}, {nkey: \
         UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE} ], limits { max_conn: 5, max_subs: -1, max_pay: 1k },\n\
         default_permissions { pub: \"p\" } }\n $SYS { users: [ {user: s, pass: t} ] }\n}\nno_auth_user: a",
        &[],
    );
    let [account] = &options.auth.accounts[..] else {
        panic!("{:?}", options.auth.accounts)
    };
    assert_eq!(
        (
            account.name.as_str(),
            account.max_connections,
            account.max_subscriptions
        ),
        ("A", Some(5), None)
    );
    assert_eq!(account.max_payload_bytes, Some(1_000));
    assert_eq!(user(&options.auth, "a").account, "A");
    assert_eq!(options.auth.users[1].credential, Credential::Nkey);
    assert_eq!(
        permissions(&options.auth, "a").publish.allow,
        Some(subjects(&["p"]))
    );
    assert_eq!(user(&options.auth, "s").account, "$SYS");
    assert_eq!(options.auth.no_auth_user.as_deref(), Some("a"));
    assert_eq!(options.auth.system_account.as_deref(), Some("$SYS"));
    assert_eq!(
        options.warnings,
        ["Plaintext passwords detected, use nkeys or bcrypt"]
    );
}

#[test]
fn users_of_the_system_account_alone_do_not_lock_out_the_others() {
    let open = options("accounts { $SYS { users: [ {user: s, pass: t} ] } }", &[]).auth;
    let anonymous = open.no_auth_user.as_deref().unwrap();
    assert_eq!(user(&open, anonymous).account, "$G");
    let closed = options(
        "authorization {}\naccounts { S { users: [ {user: s, pass: t} ] } }\nsystem_account: S",
        &[],
    )
    .auth;
    assert_eq!(closed.no_auth_user, None);
    let two = options(
        "accounts { S { users: [ {user: s, pass: t} ] }, B {} }\nsystem_account: S",
        &[],
    )
    .auth;
    assert_eq!(two.no_auth_user, None);
}

/// Two files that look like a certificate and its key from afar.
fn certificate(folder: &std::path::Path) -> (String, String) {
    let write = |name: &str| {
        let path = folder.join(name);
        std::fs::write(&path, "-----BEGIN SOMETHING-----\n").unwrap();
        path.display().to_string()
    };
    (write("cert.pem"), write("key.pem"))
}

#[test]
fn tls_has_certificates_and_manners() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path());
    let block = |more: &str| format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\", {more} }}\n");
    let tls = |more: &str| options(&block(more), &[]).nats.tls.unwrap();
    assert_eq!(tls("").timeout_ms, 2_000);
    assert_eq!(tls("timeout: \"3s\"").timeout_ms, 3_000);
    assert_eq!(options(&block("timeout: 3"), &[]).nats.auth_timeout_ms, 4_000);
    assert_eq!(
        tls("handshake_first: true").handshake_first,
        HandshakeFirst::Always
    );
    assert_eq!(
        tls("handshake_first: 300ms").handshake_first,
        HandshakeFirst::Auto(300)
    );
    assert_eq!(
        tls("handshake_first: auto").handshake_first,
        HandshakeFirst::Auto(50)
    );
    assert!(tls("verify_and_map: true").verify);
    assert_eq!(tls("min_version: \"1.3\"").min_version.as_deref(), Some("1.3"));
    let mapped =
        block("verify_and_map: true") + "authorization { users: [ {user: CN}, {user: b, pass: c} ] }";
    let mapped = options(&mapped, &[]).auth;
    assert_eq!(user(&mapped, "CN").credential, Credential::Certificate);
    assert_eq!(user(&mapped, "b").credential, Credential::Password("c".into()));
    assert_eq!(options(&block(""), &["--tls=false"]).nats.tls, None);
}

#[test]
fn tls_flags_replace_the_files_certificate_and_keep_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path());
    let flags = [
        "--tls",
        "--tlscert",
        &cert,
        "--tlskey",
        &key,
        "--tlsverify",
        "--tlscacert",
        &cert,
    ];
    let alone = from_flags(&flags).nats.tls.unwrap();
    assert_eq!(
        (alone.verify, alone.ca_file.as_deref()),
        (true, Some(std::path::Path::new(&cert)))
    );
    let file =
        format!("tls {{ cert_file: \"{key}\", key_file: \"{key}\", handshake_first: true, timeout: 5 }}");
    let both = options(&file, &flags).nats.tls.unwrap();
    assert_eq!(
        (both.cert_file.to_str(), both.handshake_first, both.timeout_ms),
        (Some(cert.as_str()), HandshakeFirst::Always, 5_000)
    );
}

#[test]
fn websocket_listens_with_or_without_tls() {
    let plain = options(
        "websocket {\n port: -1\n no_tls: true\n compression: true\n user_cookie: u }",
        &[],
    );
    let websocket = plain.nats.websocket.unwrap();
    assert_eq!(
        (websocket.listen.host.as_str(), websocket.listen.port),
        ("0.0.0.0", 0)
    );
    assert!(websocket.compression && websocket.tls.is_none());
    assert_eq!(
        (
            websocket.handshake_timeout_ms,
            websocket.username_cookie.as_deref()
        ),
        (2_000, Some("u"))
    );
    // The start warns of it, once the listener is there.
    assert!(plain.warnings.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path());
    let secure = format!(
        "websocket {{ listen: \"localhost:8444\", tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }} }}"
    );
    let websocket = options(&secure, &[]).nats.websocket.unwrap();
    assert_eq!(
        (websocket.listen.port, websocket.tls.unwrap().timeout_ms),
        (8444, 2_000)
    );
    assert_eq!(options("websocket { no_tls: true }", &[]).nats.websocket, None);
}
