//! Files that must be refused, each with the exact lines that say why.

use super::load;

const USER_NKEY: &str = "UAFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE";

/// Asserts that the file is refused with these lines, each after `m.yaml:`.
fn refused(cases: &[(&str, &[&str])]) {
    let mut wrong = String::new();
    for (yaml, expected) in cases {
        let lines = load(yaml).expect_err(yaml);
        let expected: Vec<String> = expected.iter().map(|line| format!("m.yaml:{line}")).collect();
        if lines != expected {
            wrong.push_str(&format!(
                "{yaml}\nlines:    {lines:#?}\nexpected: {expected:#?}\n\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn text_that_is_no_yaml() {
    refused(&[
        (
            "nats: {port: 1",
            &["2:1: not YAML: while parsing a flow mapping, did not find expected ',' or '}'"],
        ),
        (
            "nats:\n\tport: 1\n",
            &["2:2: not YAML: tabs disallowed within this context (block indentation)"],
        ),
        (
            "nats:\n  port: 1\n host: a\n",
            &["3:2: not YAML: while parsing a block mapping, did not find expected key"],
        ),
        (
            "\"open\n",
            &["1:1: not YAML: while scanning a quoted scalar, found unexpected end of stream"],
        ),
        (
            "a: *nobody\n",
            &["1:4: not YAML: while parsing node, found unknown anchor"],
        ),
        (
            "nats: &n\n  tls: *n\n",
            &["2:8: this alias stands inside its own anchor"],
        ),
        (
            "nats: {}\n---\nnats: {}\n",
            &["3:1: a second document; allowed: one document a file"],
        ),
        (
            "nats: !!map {}\n",
            &["1:7: a YAML tag; allowed: plain values, the key decides their type"],
        ),
        (
            "{[1, 2]: 3}\n",
            &["1:2: this key is not a text; allowed: a key name"],
        ),
        (
            "log:\n  time: true\n  time: true\n",
            &["3:3: time: given twice; the first stands in line 2"],
        ),
        (
            "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n",
            &["1:17: nested too deeply; allowed: 16 levels"],
        ),
    ]);
}

#[test]
fn keys_that_do_not_exist() {
    refused(&[
        (
            "nats:\n  prot: 4222\n",
            &["2:3: nats.prot: unknown key; did you mean \"port\"?"],
        ),
        (
            "natz:\n  port: 1\n",
            &["1:1: natz: unknown key; did you mean \"nats\"?"],
        ),
        (
            "nats: {max-payload: 1MiB}\n",
            &["1:8: nats.max-payload: unknown key; did you mean \"max_payload\"?"],
        ),
        (
            "Server_Name: x\n",
            &["1:1: Server_Name: unknown key; did you mean \"server_name\"?"],
        ),
        (
            "limits:\n  zebra: 1\n",
            &[
                "2:3: limits.zebra: unknown key; allowed: workers, max_pending, worker_queue, route_cache_entries",
            ],
        ),
        (
            "port: 4222\n",
            &["1:1: port: unknown key; did you mean nats.port or nats.websocket.port or admin.port?"],
        ),
        (
            "max_payload: 1MiB\n",
            &["1:1: max_payload: unknown key; did you mean nats.max_payload?"],
        ),
        (
            "auth:\n  users:\n    - pasword: x\n",
            &["3:7: auth.users[0].pasword: unknown key; did you mean \"password\"?"],
        ),
    ]);
}

#[test]
fn values_of_the_wrong_type() {
    refused(&[
        (
            "nats: 4222\n",
            &[
                "1:7: nats: \"4222\" is not a section; allowed: a mapping with the keys host, port, client_advertise, \
             no_advertise, max_payload, max_control_line, max_connections, max_subscriptions, max_subject_tokens, \
             max_connections_per_second, ping_interval, max_pings_out, write_deadline, auth_timeout, \
             no_header_support, lame_duck_duration, lame_duck_grace, allow_non_tls, tls, websocket",
            ],
        ),
        (
            "- nats\n",
            &[
                "1:1: a list is not a section; allowed: a mapping with the keys server_name, data_dir, pid_file, \
             ports_file_dir, drain_timeout, nats, streams, admin, limits, auth, log",
            ],
        ),
        (
            "nats:\n  port: abc\n",
            &["2:9: nats.port: \"abc\" is not a port; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "nats:\n  port: 65536\n",
            &["2:9: nats.port: \"65536\" is not a port; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "nats:\n  port: -1\n",
            &["2:9: nats.port: \"-1\" is not a port; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "nats:\n  port: +1\n",
            &["2:9: nats.port: \"+1\" is not a port; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "nats:\n  port:\n",
            &["2:7: nats.port: no value; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "nats:\n  port: off\n",
            &["2:9: nats.port: \"off\" is not a port; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "nats:\n  port: [4222]\n",
            &["2:9: nats.port: a list is not a port; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "nats:\n  port: {a: 1}\n",
            &["2:9: nats.port: a mapping is not a port; allowed: 1 to 65535, or 0 for any free port"],
        ),
        (
            "admin:\n  port: none\n",
            &["2:9: admin.port: \"none\" is not a port; allowed: 1 to 65535, or 0 for any free port, or off"],
        ),
        (
            "admin:\n  tls: yes\n",
            &["2:8: admin.tls: \"yes\" is not a switch; allowed: true, false"],
        ),
        (
            "limits:\n  workers: many\n",
            &["2:12: limits.workers: \"many\" is not a count; allowed: a whole number from 0 to 1024"],
        ),
        (
            "limits:\n  workers: 1.5\n",
            &["2:12: limits.workers: \"1.5\" is not a count; allowed: a whole number from 0 to 1024"],
        ),
        (
            "auth:\n  users: alice\n",
            &["2:10: auth.users: \"alice\" is not a list; allowed: a list of mappings"],
        ),
        (
            "auth:\n  users: [alice]\n",
            &[
                "2:11: auth.users[0]: \"alice\" is not a section; allowed: a mapping with the keys name, password, nkey, \
             certificate, account, allowed_connection_types, permissions",
            ],
        ),
        (
            "nats:\n  websocket:\n    allowed_origins: https://a.b\n",
            &[
                "3:22: nats.websocket.allowed_origins: \"https://a.b\" is not a list; allowed: a list, each an origin such \
             as https://example.com",
            ],
        ),
        (
            "nats:\n  websocket:\n    allowed_origins: [https://a.b, [c]]\n",
            &[
                "3:36: nats.websocket.allowed_origins: a list is not an origin such as https://example.com; allowed: a \
             list, each an origin such as https://example.com",
            ],
        ),
    ]);
}

#[test]
fn sizes_and_durations_without_sense() {
    let size = "nats.max_payload";
    let sizes = "allowed: 1B to 64MiB, in B, KiB, MiB, GiB, KB, MB or GB";
    for (value, wrong) in [
        ("1048576", "\"1048576\" has no unit"),
        ("64kb", "\"64kb\" has the unknown unit \"kb\""),
        ("64 parsecs", "\"64 parsecs\" has the unknown unit \"parsecs\""),
        ("much", "\"much\" is not a size"),
        ("1.5MiB", "\"1.5MiB\" is not a size"),
        ("-1B", "\"-1B\" is not a size"),
        ("0", "0 is below the minimum"),
        ("65MiB", "65MiB is above the maximum"),
        (
            "99999999999999999999GiB",
            "99999999999999999999GiB is above the maximum",
        ),
    ] {
        refused(&[(
            &format!("nats:\n  max_payload: {value}\n"),
            &[&format!("2:16: {size}: {wrong}; {sizes}")],
        )]);
    }
    let durations = "allowed: 0ms to 1h, in ms, s, m or h";
    for (value, wrong) in [
        ("20", "\"20\" has no unit"),
        ("2d", "\"2d\" has the unknown unit \"d\""),
        ("1m30s", "\"1m30s\" has the unknown unit \"m30s\""),
        ("soon", "\"soon\" is not a duration"),
        ("61m", "61m is above the maximum"),
    ] {
        let yaml = format!("drain_timeout: {value}\n");
        refused(&[(&yaml, &[&format!("1:16: drain_timeout: {wrong}; {durations}")])]);
    }
}

#[test]
fn values_out_of_bounds() {
    refused(&[
        (
            "nats: {max_control_line: 511B}\n",
            &[
                "1:26: nats.max_control_line: 511B is below the minimum; allowed: 512B to 16MiB, in B, KiB, MiB, GiB, KB, \
             MB or GB",
            ],
        ),
        (
            "limits: {max_pending: 1KiB}\n",
            &[
                "1:23: limits.max_pending: 1KiB is below the minimum; allowed: 64KiB to 4GiB, in B, KiB, MiB, GiB, KB, MB \
             or GB",
            ],
        ),
        (
            "limits: {route_cache_entries: 63}\n",
            &[
                "1:31: limits.route_cache_entries: 63 is below the minimum; allowed: a whole number from 64 to 16777216",
            ],
        ),
        (
            "limits: {workers: 99999999999999999999}\n",
            &[
                "1:19: limits.workers: 99999999999999999999 is above the maximum; allowed: a whole number from 0 to 1024",
            ],
        ),
        (
            "nats: {max_pings_out: 0}\n",
            &["1:23: nats.max_pings_out: 0 is below the minimum; allowed: a whole number from 1 to 1000"],
        ),
        (
            "nats: {ping_interval: 1ms}\n",
            &["1:23: nats.ping_interval: 1ms is below the minimum; allowed: 10ms to 24h, in ms, s, m or h"],
        ),
    ]);
}

#[test]
fn texts_of_the_wrong_shape() {
    refused(&[
        (
            "log: {level: loud}\n",
            &["1:14: log.level: \"loud\" is not a choice; allowed: error, warn, info, debug, trace"],
        ),
        (
            "log: {format: xml}\n",
            &["1:15: log.format: \"xml\" is not a choice; allowed: text, json, nats-server"],
        ),
        (
            "log: {filter: \"a=b=c\"}\n",
            &[
                "1:15: log.filter: \"a=b=c\" is not a filter such as info,front_nats=debug; allowed: a filter such as \
             info,front_nats=debug, or null",
            ],
        ),
        (
            "server_name: two words\n",
            &[
                "1:14: server_name: \"two words\" is not a name without blanks; allowed: a name without blanks, or null",
            ],
        ),
        (
            "data_dir: \"\"\n",
            &["1:11: data_dir: \"\" is not the path of a folder; allowed: the path of a folder"],
        ),
        (
            "nats: {host: \"a b\"}\n",
            &[
                "1:14: nats.host: \"a b\" is not a host name or address, such as 0.0.0.0 or ::; allowed: a host name or \
             address, such as 0.0.0.0 or ::",
            ],
        ),
        (
            "nats: {client_advertise: \"a:0\"}\n",
            &[
                "1:26: nats.client_advertise: \"a:0\" is not HOST or HOST:PORT as clients reach it; allowed: HOST or \
             HOST:PORT as clients reach it, or null",
            ],
        ),
        (
            "admin: {base_path: nats/}\n",
            &[
                "1:20: admin.base_path: \"nats/\" is not a path such as /nats, without a slash at its end; allowed: a path \
             such as /nats, without a slash at its end, or null",
            ],
        ),
        (
            "nats: {tls: {handshake_first: sometimes}}\n",
            &[
                "1:31: nats.tls.handshake_first: \"sometimes\" is not a choice or duration; allowed: never, always, or 1ms \
             to 1m, in ms, s, m or h",
            ],
        ),
        (
            "nats: {tls: {min_version: 1.1}}\n",
            &["1:27: nats.tls.min_version: \"1.1\" is not a choice; allowed: 1.2, 1.3, or null"],
        ),
        (
            "nats: {tls: {pinned_certs: [abc]}}\n",
            &[
                "1:29: nats.tls.pinned_certs: \"abc\" is not a SHA-256 of 64 hexadecimal digits; allowed: a list, each a \
             SHA-256 of 64 hexadecimal digits",
            ],
        ),
    ]);
}

#[test]
fn ports_that_clash() {
    refused(&[
        (
            "nats:\n  port: 8222\n",
            &[
                "2:9: nats.port: 8222 is also the port of admin.port (default); allowed: a port of its own, or 0",
            ],
        ),
        (
            "admin:\n  port: 4222\n",
            &[
                "2:9: admin.port: 4222 is also the port of nats.port (default); allowed: a port of its own, or 0",
            ],
        ),
        (
            "nats:\n  port: 1\nadmin:\n  metrics_port: 1\n",
            &[
                "4:17: admin.metrics_port: 1 is also the port of nats.port (m.yaml:2:9); allowed: a port of its own, or 0",
            ],
        ),
        (
            "nats:\n  websocket:\n    port: 4222\n",
            &[
                "3:11: nats.websocket.port: 4222 is also the port of nats.port (default); allowed: a port of its own, or 0",
            ],
        ),
        (
            "nats: {host: localhost, port: 1}\nadmin: {host: 127.0.0.1, port: 1}\n",
            &[
                "2:32: admin.port: 1 is also the port of nats.port (m.yaml:1:31); allowed: a port of its own, or 0",
            ],
        ),
    ]);
}

#[test]
fn files_that_are_not_there() {
    refused(&[
        (
            "nats:\n  tls: {}\n",
            &[
                "2:8: nats.tls.cert_file: missing; TLS needs a PEM file with a CERTIFICATE block",
                "2:8: nats.tls.key_file: missing; TLS needs a PEM file with a PRIVATE KEY block",
            ],
        ),
        (
            "nats:\n  tls:\n    cert_file: $DIR/no.pem\n    key_file: $DIR/key.pem\n",
            &[
                "3:16: nats.tls.cert_file: cannot read no.pem: No such file or directory (os error 2); allowed: a PEM file",
            ],
        ),
        (
            "nats:\n  tls:\n    cert_file: $DIR/key.pem\n    key_file: $DIR/cert.pem\n",
            &[
                "3:16: nats.tls.cert_file: key.pem has no CERTIFICATE block; allowed: a PEM file with one",
                "4:15: nats.tls.key_file: cert.pem has no PRIVATE KEY block; allowed: a PEM file with one",
            ],
        ),
        (
            "nats:\n  tls:\n    cert_file: $DIR/cert.pem\n    key_file: $DIR/key.pem\n    ca_file: $DIR/\n",
            &["5:14: nats.tls.ca_file: cannot read : Is a directory (os error 21); allowed: a PEM file"],
        ),
        (
            "nats:\n  websocket:\n    tls: {}\n",
            &[
                "3:10: nats.websocket.tls.cert_file: missing; TLS needs a PEM file with a CERTIFICATE block",
                "3:10: nats.websocket.tls.key_file: missing; TLS needs a PEM file with a PRIVATE KEY block",
            ],
        ),
        (
            "data_dir: $DIR/m.yaml\n",
            &["1:11: data_dir: m.yaml is a file; allowed: a folder"],
        ),
    ]);
}

#[test]
fn keys_that_need_others() {
    let tls = "cert_file: $DIR/cert.pem\n    key_file: $DIR/key.pem";
    refused(&[
        (
            "admin:\n  tls: true\n",
            &[
                "2:8: admin.tls: true needs the certificate of nats.tls; allowed: false, or a section nats.tls",
            ],
        ),
        (
            "nats:\n  allow_non_tls: true\n",
            &["2:18: nats.allow_non_tls: true without TLS; allowed: false, or a section nats.tls"],
        ),
        (
            &format!("nats:\n  tls:\n    {tls}\n    verify: true\n"),
            &[
                "5:13: nats.tls.verify: true needs the authorities to check against; allowed: false, or nats.tls.ca_file",
            ],
        ),
        (
            &format!("nats:\n  tls:\n    {tls}\n    verify_and_map: true\n"),
            &[
                "5:21: nats.tls.verify_and_map: true needs the authorities to check against; allowed: false, or \
             nats.tls.ca_file",
            ],
        ),
        (
            "nats: {max_payload: 8MiB}\nlimits: {max_pending: 4MiB}\n",
            &["1:21: nats.max_payload: 8MiB is more than limits.max_pending (4MiB); allowed: at most that"],
        ),
        (
            "nats: {lame_duck_duration: 5s}\n",
            &[
                "1:28: nats.lame_duck_duration: 5s is shorter than nats.lame_duck_grace (10s); allowed: at least that",
            ],
        ),
    ]);
}

#[test]
fn users_and_accounts() {
    refused(&[
        (
            "auth:\n  users:\n    - name: a\n",
            &["3:7: auth.users[0].password: missing; user \"a\" needs a password or certificate: true"],
        ),
        (
            "auth:\n  users:\n    - password: a\n",
            &["3:7: auth.users[0].name: missing; every user needs a name or an nkey"],
        ),
        (
            "auth:\n  users:\n    - {name: a, password: b, certificate: true}\n",
            &[
                "3:27: auth.users[0].password: more than one of password, nkey and certificate; allowed: one of them",
            ],
        ),
        (
            "auth:\n  users:\n    - nkey: UBFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE\n",
            &[
                "3:13: auth.users[0].nkey: \"UBFHG6FUD2UU4SDFVAFUL5LDFO2XM4WYM76UNXTPJYJK7EEMYRBHT2VE\" is not the \
             public nkey of a user (U and 55 more characters); allowed: the public nkey of a user (U and 55 more \
             characters), or null",
            ],
        ),
        (
            "auth:\n  users:\n    - nkey: UABC\n",
            &[
                "3:13: auth.users[0].nkey: \"UABC\" is not the public nkey of a user (U and 55 more characters); \
             allowed: the public nkey of a user (U and 55 more characters), or null",
            ],
        ),
        (
            &format!("auth:\n  users:\n    - name: a\n      nkey: {USER_NKEY}\n"),
            &["3:13: auth.users[0].name: a user with an nkey has no other name; allowed: leave it out"],
        ),
        (
            "auth:\n  users:\n    - {name: a, password: x}\n    - {name: a, password: y}\n",
            &["4:14: auth.users[1].name: \"a\" is taken; allowed: a user of its own"],
        ),
        (
            "auth:\n  users:\n    - {name: a, password: x, account: B}\n",
            &["3:39: auth.users[0].account: no account \"B\"; allowed: a name of auth.accounts"],
        ),
        (
            "auth:\n  accounts:\n    - max_connections: 1\n",
            &["3:7: auth.accounts[0].name: missing; every account needs a name"],
        ),
        (
            "auth:\n  accounts: [{name: A}, {name: A}]\n",
            &["2:32: auth.accounts[1].name: \"A\" is taken; allowed: a name of its own"],
        ),
        (
            "auth:\n  accounts: [{name: $G}]\n",
            &["2:21: auth.accounts[0].name: \"$G\" is there without being named; allowed: another name"],
        ),
        (
            "auth: {token: t, users: [{name: a, password: b}]}\n",
            &["1:15: auth.token: a token together with users; allowed: one of both"],
        ),
        (
            "auth: {no_auth_user: ghost}\n",
            &["1:22: auth.no_auth_user: no user \"ghost\"; allowed: a name or nkey of auth.users"],
        ),
        (
            "nats: {websocket: {no_auth_user: ghost}}\n",
            &["1:34: nats.websocket.no_auth_user: no user \"ghost\"; allowed: a name or nkey of auth.users"],
        ),
        (
            "auth: {system_account: SYS}\n",
            &["1:24: auth.system_account: no account \"SYS\"; allowed: a name of auth.accounts"],
        ),
        (
            "auth: {users: [{name: a, password: b, allowed_connection_types: [TELNET]}]}\n",
            &[
                "1:66: auth.users[0].allowed_connection_types: \"TELNET\" is not one of STANDARD, WEBSOCKET, LEAFNODE, \
             LEAFNODE_WS, MQTT, MQTT_WS, INPROCESS; allowed: a list, each one of STANDARD, WEBSOCKET, LEAFNODE, \
             LEAFNODE_WS, MQTT, MQTT_WS, INPROCESS, or null",
            ],
        ),
        (
            "auth: {users: [{name: a, password: b, permissions: {publish: {allow: [a..b]}}}]}\n",
            &[
                "1:71: auth.users[0].permissions.publish.allow: \"a..b\" is not a subject such as orders.*.new or orders.>; \
             allowed: a list, each a subject such as orders.*.new or orders.>, or null",
            ],
        ),
        (
            "auth: {users: [{name: a, password: b, permissions: {publish: {deny: [a q]}}}]}\n",
            &[
                "1:70: auth.users[0].permissions.publish.deny: \"a q\" is not a subject such as orders.*.new or orders.>; \
             allowed: a list, each a subject such as orders.*.new or orders.>",
            ],
        ),
    ]);
}

#[test]
fn every_problem_has_its_line_in_the_order_of_the_file() {
    refused(&[(
        "nats:\n  port: x\n  max_payload: 1\nlog:\n  leve: info\n",
        &[
            "2:9: nats.port: \"x\" is not a port; allowed: 1 to 65535, or 0 for any free port",
            "3:16: nats.max_payload: \"1\" has no unit; allowed: 1B to 64MiB, in B, KiB, MiB, GiB, KB, MB or GB",
            "5:3: log.leve: unknown key; did you mean \"level\"?",
        ],
    )]);
    let many: String = (0..30).map(|n| format!("zzzzzzzz{n}: 1\n")).collect();
    let lines = load(&many).unwrap_err();
    assert_eq!(lines.len(), 21);
    assert_eq!(lines[20], "and 10 more problems");
}
