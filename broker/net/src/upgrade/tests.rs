use proptest::prelude::*;

use super::*;

const LINES: [&str; 6] = [
    "GET / HTTP/1.1",
    "Host: broker.example:8080",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

fn request(lines: &[&str]) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

fn with(extra: &[&str]) -> Vec<u8> {
    request(&[&LINES, extra].concat())
}

fn without(header: &str) -> Vec<u8> {
    request(
        &LINES
            .iter()
            .copied()
            .filter(|line| !line.starts_with(header))
            .collect::<Vec<_>>(),
    )
}

fn judge(request: &[u8]) -> Result<Upgrade, Refusal> {
    parse(request, false, &UpgradeRules::default()).map(Option::unwrap)
}

#[test]
fn the_rfc_example_is_accepted() {
    let upgrade = judge(&with(&[])).unwrap();
    assert_eq!(
        String::from_utf8(upgrade.response).unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
    assert_eq!(upgrade.options, WsOptions::default());
}

#[test]
fn a_request_may_come_in_pieces() {
    let whole = with(&[]);
    for cut in 0..whole.len() {
        assert_eq!(
            parse(&whole[..cut], false, &UpgradeRules::default()),
            Ok(None),
            "{cut}"
        );
    }
}

#[test]
fn what_is_missing_or_wrong_is_refused_as_nats_server_does() {
    let cases: [(Vec<u8>, u16, &str); 8] = [
        (
            request(&[&["POST / HTTP/1.1"], &LINES[1..]].concat()),
            405,
            "request method must be GET",
        ),
        (
            request(&[&["GET / HTTP/1.0"], &LINES[2..]].concat()),
            400,
            "'Host' missing in request",
        ),
        (without("Upgrade"), 400, "invalid value for header 'Upgrade'"),
        (
            without("Connection"),
            400,
            "invalid value for header 'Connection'",
        ),
        (without("Sec-WebSocket-Key"), 400, "key missing"),
        (without("Sec-WebSocket-Version"), 400, "invalid version"),
        (
            request(&[&LINES[..4], &["Sec-WebSocket-Key: c2hvcnQ="], &LINES[5..]].concat()),
            400,
            "invalid websocket key",
        ),
        (
            request(&[&LINES[..5], &["Sec-WebSocket-Version: 8"]].concat()),
            400,
            "invalid version",
        ),
    ];
    for (request, status, reason) in cases {
        let refusal = judge(&request).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::Handshake {
                status,
                reason: reason.into()
            }
        );
        assert_eq!(
            refusal.to_string(),
            format!("websocket handshake error: {reason}")
        );
    }
}

#[test]
fn refusals_are_worded_like_gos_http_server() {
    assert_eq!(
        String::from_utf8(judge(&without("Upgrade")).unwrap_err().response()).unwrap(),
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\n\
         X-Content-Type-Options: nosniff\r\nContent-Length: 12\r\nConnection: close\r\n\r\nBad Request\n"
    );
    let bodies = [
        (without("Host"), "400 Bad Request: missing required Host header"),
        (with(&["Host: other"]), "400 Bad Request"),
        (with(&["no colon"]), "400 Bad Request"),
        (b"CONNECT {}\r\nPING\r\n".to_vec(), "400 Bad Request"),
        (
            b"GET / HTTP/3.1\r\n\r\n".to_vec(),
            "505 HTTP Version Not Supported: unsupported protocol version",
        ),
        (with(&["X: a"; 65]), "431 Request Header Fields Too Large"),
    ];
    for (request, body) in bodies {
        let response = judge(&request).unwrap_err().response();
        let response = String::from_utf8(response).unwrap();
        assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{response}");
    }
}

#[test]
fn an_endless_header_is_cut_off() {
    let mut endless = request(&LINES[..2]);
    endless.truncate(endless.len() - 2);
    endless.extend_from_slice(b"X: ");
    endless.resize(MAX_REQUEST_BYTES, b'a');
    assert_eq!(
        judge(&endless),
        Err(Refusal::Http {
            status: 431,
            reason: ""
        })
    );
}

#[test]
fn frames_before_the_answer_are_refused_silently() {
    let mut early = with(&[]);
    early.push(0x82);
    assert_eq!(judge(&early), Err(Refusal::EarlyData));
    assert!(Refusal::EarlyData.response().is_empty());
}

#[test]
fn deflate_is_agreed_on_only_if_both_want_it() {
    let rules = UpgradeRules {
        compression: true,
        ..UpgradeRules::default()
    };
    let offer = with(&["Sec-WebSocket-Extensions: foo, permessage-deflate; client_max_window_bits"]);
    let upgrade = parse(&offer, false, &rules).unwrap().unwrap();
    assert!(upgrade.options.deflate && upgrade.info.compressed);
    assert!(String::from_utf8(upgrade.response).unwrap().contains(
        "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover\r\n"
    ));
    assert!(!judge(&offer).unwrap().options.deflate);
    assert!(!parse(&with(&[]), false, &rules).unwrap().unwrap().options.deflate);
}

#[test]
fn origins_are_checked() {
    let same = UpgradeRules {
        same_origin: true,
        ..UpgradeRules::default()
    };
    let listed = UpgradeRules {
        allowed_origins: vec![Origin::parse_allowed("https://Good.example").unwrap()],
        ..UpgradeRules::default()
    };
    let cases = [
        (&same, false, "http://BROKER.example:8080/page", None),
        (&same, true, "https://broker.example:8080", None),
        (&same, true, "http://broker.example:8080", Some("not same origin")),
        (&same, false, "http://broker.example", Some("not same origin")),
        (
            &same,
            false,
            "null",
            Some("parse \"null\": invalid URI for request"),
        ),
        (&listed, false, "https://good.example:443", None),
        (
            &listed,
            false,
            "http://good.example",
            Some("not in the allowed list"),
        ),
        (
            &listed,
            false,
            "https://evil.example",
            Some("not in the allowed list"),
        ),
        (
            &listed,
            false,
            "https://a:b:c",
            Some("parse \"a:b:c\": too many colons in address"),
        ),
    ];
    for (rules, over_tls, origin, refused) in cases {
        let answer = parse(&with(&[&format!("Origin: {origin}")]), over_tls, rules);
        let expected = refused.map(|why| Refusal::Handshake {
            status: 403,
            reason: format!("origin not allowed: {why}").into(),
        });
        assert_eq!(answer.err(), expected, "{origin}");
        assert!(parse(&with(&[]), over_tls, rules).is_ok(), "no Origin, no check");
    }
}

#[test]
fn allowed_origins_must_be_able_to_match() {
    assert!(Origin::parse_allowed("ftp://host").is_err());
    assert!(Origin::parse_allowed("https://").is_err());
    assert!(Origin::parse_allowed("host:80").is_err());
    assert_eq!(
        Origin::parse("http://[::1]:80").unwrap(),
        Origin::new("http", "[::1]").unwrap()
    );
}

#[test]
fn the_client_is_described() {
    let request = with(&[
        "Cookie: jwt=abc; user=\"bob\"; broken",
        "X-Forwarded-For: 10.1.2.3",
        "User-Agent: Mozilla/5.0 (Macintosh) Version/17.0 Safari/605.1",
        "Nats-No-Masking: true",
    ]);
    let upgrade = judge(&request).unwrap();
    assert_eq!(
        upgrade.info.cookies,
        [("jwt".into(), "abc".into()), ("user".into(), "bob".into())]
    );
    assert_eq!(upgrade.info.forwarded_for, Some("10.1.2.3".parse().unwrap()));
    assert!(upgrade.options.browser && upgrade.options.whole_deflated && upgrade.options.allow_unmasked);
    assert!(
        String::from_utf8(upgrade.response)
            .unwrap()
            .contains("\r\nNats-No-Masking: true\r\n")
    );
    let chain = judge(&with(&[
        "X-Forwarded-For: 10.1.2.3, 10.1.2.4",
        "User-Agent: Mozilla Chrome",
    ]))
    .unwrap();
    assert_eq!(chain.info.forwarded_for, None);
    assert!(!chain.options.browser);
}

#[test]
fn paths_can_be_switched_off() {
    let rules = UpgradeRules {
        unknown_path_suffixes: vec!["/mqtt".into()],
        ..UpgradeRules::default()
    };
    let to = |path: &str| request(&[&[format!("GET {path} HTTP/1.1").as_str()], &LINES[1..]].concat());
    assert!(matches!(
        parse(&to("/mqtt?x=1"), false, &rules),
        Err(Refusal::Handshake { status: 404, .. })
    ));
    assert_eq!(
        parse(&to("/nats"), false, &rules).unwrap().unwrap().info.path,
        "/nats"
    );
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512), at in 0usize..200) {
        let rules = UpgradeRules { same_origin: true, compression: true, ..UpgradeRules::default() };
        let _ = parse(&bytes, true, &rules);
        let mut damaged = with(&["Origin: http://x", "Cookie: a=b"]);
        let at = at.min(damaged.len());
        damaged.splice(at..at, bytes);
        let _ = parse(&damaged, true, &rules);
    }
}
