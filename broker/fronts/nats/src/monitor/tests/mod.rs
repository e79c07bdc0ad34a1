//! Our answers against those recorded from nats-server 2.14.5 (`golden/`), byte for byte: each test reads a
//! recording back into a snapshot and renders it again.

#![allow(clippy::unwrap_used)]

mod recording;

use std::sync::Arc;
use std::time::SystemTime;

use mainstem_admin::{Query, Registry, Reply};
use serde::Serialize;
use serde_json::Value;

use super::snapshot::*;
use super::*;
use recording::{Recording, recording};

fn check<T: Serialize>(recording: &Recording, ours: &T) {
    let ours = serde_json::to_string_pretty(ours).unwrap();
    for (line, (expected, ours)) in recording.text.lines().zip(ours.lines()).enumerate() {
        assert_eq!(ours, expected, "line {} of {}", line + 1, recording.name);
    }
    assert_eq!(ours, recording.text, "{}", recording.name);
}

fn check_connz(name: &'static str, query: &str) {
    let recording = recording(name);
    let options = ConnzOptions::parse(&Query::parse(query)).unwrap();
    check(
        &recording,
        &connz(
            &recording.server_id(),
            recording.now(),
            recording.connections(),
            &options,
        ),
    );
}

#[test]
fn open_connections() {
    check_connz("connz_auth_detail", "auth=1&subs=detail");
    check_connz("connz_auth_subs", "auth=1&subs=1");
    check_connz("connz_raw", "auth=1&subs=detail");
}

#[test]
fn closed_connections() {
    check_connz("connz_closed", "state=closed&auth=1&subs=detail&sort=stop");
    check_connz("connz_any", "state=any&sort=cid");
}

#[test]
fn one_page_of_connections() {
    let recording = recording("connz_page");
    let options = ConnzOptions::parse(&Query::parse("offset=1&limit=1")).unwrap();
    let mut connections = recording.connections();
    connections.insert(
        0,
        ConnSnapshot {
            cid: 7,
            ..connections[0].clone()
        },
    );
    check(
        &recording,
        &connz(&recording.server_id(), recording.now(), connections, &options),
    );
}

#[test]
fn a_connection_that_is_not_there() {
    let recording = recording("connz_cid0");
    let options = ConnzOptions::parse(&Query::parse("cid=999")).unwrap();
    let others = super::tests::recording("connz_auth_detail").connections();
    check(
        &recording,
        &connz(&recording.server_id(), recording.now(), others, &options),
    );
}

#[test]
fn filters_of_connections() {
    let recording = recording("connz_raw");
    let cids = |query: &str| {
        let options = ConnzOptions::parse(&Query::parse(query)).unwrap();
        let answer = connz("id", recording.now(), recording.connections(), &options);
        let answer = serde_json::to_value(&answer).unwrap();
        let cids = answer["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["cid"].as_u64().unwrap())
            .collect();
        (answer["total"].as_u64().unwrap(), cids)
    };
    let found = |total: u64, cids: &[u64]| (total, cids.to_vec());
    assert_eq!(cids("acc=B"), found(2, &[10, 13]));
    assert_eq!(cids("user=bob"), found(3, &[12]));
    assert_eq!(cids("cid=13"), found(3, &[13]));
    assert_eq!(cids("acc=B&filter_subject=x.1"), found(2, &[10]));
    assert_eq!(cids("acc=A&filter_subject=*"), found(1, &[12]));
    assert_eq!(cids("acc=nope"), found(0, &[]));
    assert_eq!(cids("mqtt_client=m"), found(3, &[]));
    assert_eq!(cids("state=closed"), found(0, &[]));
}

#[test]
fn orders_of_connections() {
    let mut recording = recording("connz_closed").connections();
    recording[2].traffic.in_bytes = 900;
    let order = |sort: &str| {
        let options = ConnzOptions::parse(&Query::parse(&format!("state=closed&sort={sort}"))).unwrap();
        let answer = connz("id", SystemTime::UNIX_EPOCH, recording.clone(), &options);
        let answer = serde_json::to_value(&answer).unwrap();
        let cids: Vec<_> = answer["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["cid"].as_u64().unwrap())
            .collect();
        cids
    };
    assert_eq!(order("start"), [7, 8, 9, 11, 12, 13]);
    assert_eq!(order("stop"), [13, 12, 11, 8, 7, 9]);
    assert_eq!(order("bytes_from"), [11, 9, 12, 13, 7, 8]);
    assert_eq!(order("bytes_to"), [7, 8, 9, 11, 12, 13]);
    assert_eq!(order("msgs_from"), [9, 12, 13, 7, 8, 11]);
    assert_eq!(order("msgs_to"), [7, 8, 9, 11, 12, 13]);
    assert_eq!(order("pending"), [11, 9, 7, 8, 12, 13]);
    assert_eq!(order("subs"), [7, 8, 12, 13, 9, 11]);
    assert_eq!(order("last"), [13, 12, 11, 7, 9, 8]);
    assert_eq!(order("idle"), [8, 7, 9, 11, 12, 13]);
    assert_eq!(order("rtt"), [7, 9, 8, 13, 12, 11]);
    assert_eq!(order("uptime"), [11, 9, 13, 12, 8, 7]);
    assert_eq!(order("reason"), [11, 7, 8, 9, 12, 13]);
}

#[test]
fn a_client_certificate_is_shown_with_auth_only() {
    let mut connection = recording("connz_auth_detail").connections().remove(0);
    connection.tls.as_mut().unwrap().first = true;
    connection
        .tls
        .as_mut()
        .unwrap()
        .peer_certificates
        .push(PeerCertificate {
            subject: "CN=a".into(),
            spki_sha256: "01".into(),
            cert_sha256: "02".into(),
        });
    let shown = |query: &str| {
        let options = ConnzOptions::parse(&Query::parse(query)).unwrap();
        let answer = connz("id", SystemTime::UNIX_EPOCH, vec![connection.clone()], &options);
        serde_json::to_value(&answer).unwrap()["connections"][0].clone()
    };
    let with = shown("auth=1");
    assert_eq!(with["tls_first"], true);
    assert_eq!(with["tls_peer_certs"][0]["spki_sha256"], "01");
    assert_eq!(shown("")["tls_peer_certs"], Value::Null);
}

#[test]
fn subscriptions() {
    for (name, query) in [
        ("subsz_acc", "acc=A"),
        ("subsz_detail", "acc=A&subs=1"),
        ("subsz_test", "acc=B&subs=1&test=x.y"),
    ] {
        let recording = recording(name);
        let options = SubszOptions::parse(&Query::parse(query)).unwrap();
        let account = options.account.clone().unwrap();
        let other = recording::account("other", recording.interest(&recording.value));
        let accounts = [
            recording::account(&account, recording.interest(&recording.value)),
            other,
        ];
        let mut subscriptions = recording.subscriptions(&recording.value["subscriptions_list"]);
        subscriptions.push(SubSnapshot {
            account: "other".into(),
            subject: "x.y".into(),
            ..SubSnapshot::default()
        });
        subscriptions.push(SubSnapshot {
            account: "B".into(),
            subject: "no".into(),
            ..SubSnapshot::default()
        });
        let ours = subsz(
            &recording.server_id(),
            recording.now(),
            &accounts,
            Some(subscriptions),
            &options,
        );
        if options.subscriptions {
            check(&recording, &ours);
        } else {
            let unlisted = subsz(&recording.server_id(), recording.now(), &accounts, None, &options);
            check(&recording, &unlisted);
        }
    }
}

#[test]
fn figures_of_several_accounts_are_summed() {
    let part = |matches, cache_hits, cached, max_fanout, total_fanout| InterestSnapshot {
        subscriptions: 1,
        cached,
        inserts: 3,
        removes: 2,
        matches,
        cache_hits,
        max_fanout,
        total_fanout,
    };
    let accounts = [
        recording::account("A", part(8, 2, 4, 2, 6)),
        recording::account("B", part(0, 0, 0, 0, 0)),
    ];
    let options = SubszOptions::parse(&Query::parse("")).unwrap();
    let sum = serde_json::to_value(subsz("id", SystemTime::UNIX_EPOCH, &accounts, None, &options)).unwrap();
    assert_eq!(sum["num_subscriptions"], 2);
    assert_eq!(sum["num_inserts"], 6);
    assert_eq!(
        (&sum["cache_hit_rate"], &sum["avg_fanout"]),
        (&Value::from(0.25), &Value::from(1.5))
    );
    assert_eq!(sum["max_fanout"], 2);
}

#[test]
fn a_test_subject_must_be_literal() {
    let problem = SubszOptions::parse(&Query::parse("test=*")).unwrap_err();
    assert_eq!(
        problem.0,
        "invalid test subject, must be valid publish subject: *"
    );
}

#[test]
fn accounts() {
    let names = recording("accountz");
    let server = names.server();
    check(
        &names,
        &accountz(&server, names.now(), &names.accounts_by_name(), None).unwrap(),
    );

    // Imports of the system account's services are not built.
    let one = recording("accountz_a").without("    \"imports\": [", "    ],");
    let detail = &one.value["account_detail"];
    let account = AccountSnapshot {
        updated: recording::time(&detail["update_time"]),
        connections: 2,
        ..recording::account("A", one.interest(&detail["sublist_stats"]))
    };
    check(
        &one,
        &accountz(&server, one.now(), &[account], Some("A")).unwrap(),
    );

    let problem = accountz(&server, one.now(), &[], Some("nope")).unwrap_err();
    assert_eq!(problem.0, "Account nope does not exist");
}

#[test]
fn traffic_of_accounts() {
    let all = recording("accstatz_unused");
    check(
        &all,
        &accstatz(&all.server_id(), all.now(), &all.account_traffic(), true),
    );
    let used = recording("accstatz");
    check(
        &used,
        &accstatz(&used.server_id(), used.now(), &all.account_traffic(), false),
    );
}

#[test]
fn servers() {
    for name in ["varz", "varz_rich"] {
        // Flags of nats-server's own inner workings.
        let recording = recording(name).without("  \"feature_flags\": {", "  },");
        check(&recording, &varz(&recording.server(), &recording.requests()));
    }
}

#[test]
fn monitoring_over_tls_is_shown_under_its_own_port() {
    let recording = recording("varz");
    let mut server = recording.server();
    server.monitoring.tls = true;
    let answer = serde_json::to_value(varz(&server, &recording.requests())).unwrap();
    assert_eq!(
        (&answer["http_port"], &answer["https_port"]),
        (&Value::from(0), &Value::from(28222))
    );
}

#[test]
fn metrics_have_one_family_a_name_and_one_sample_an_account() {
    let recording = recording("accstatz_unused");
    let families = families(
        &super::tests::recording("varz").server(),
        &recording.account_traffic(),
    );
    let mut names: Vec<_> = families.iter().map(|family| family.name.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), families.len());
    let text = mainstem_admin::metrics::encode(families);
    assert!(
        text.contains("mainstem_account_in_messages_total{account=\"A\"} 1\n"),
        "{text}"
    );
    assert!(
        text.contains("mainstem_account_connections{account=\"$G\"} 0\n"),
        "{text}"
    );
    assert!(text.contains("mainstem_nats_connections_total 1\n"), "{text}");
}

#[test]
fn queries_of_healthz() {
    let check = |query: &str| {
        check_health_query(&Request {
            path: "/healthz".into(),
            query: Query::parse(query),
        })
        .map_err(|bad| bad.error)
    };
    assert_eq!(
        check("js-enabled-only=true&account=A&stream=S&consumer=C"),
        Ok(())
    );
    assert_eq!(
        check("stream=S").unwrap_err(),
        r#""account" must not be empty when checking stream health"#
    );
    assert_eq!(
        check("account=A&consumer=C").unwrap_err(),
        r#""stream" must not be empty when checking consumer health"#
    );
    assert!(
        check("js-server-only=x")
            .unwrap_err()
            .starts_with("Error decoding boolean for 'js-server-only'")
    );
}

/// A source that plays recordings.
struct Recordings;

impl MonitorSource for Recordings {
    fn server(&self) -> BoxFuture<'_, ServerSnapshot> {
        Box::pin(async { recording("varz_rich").server() })
    }

    fn connections(&self, wanted: ConnectionsWanted) -> BoxFuture<'_, Vec<ConnSnapshot>> {
        assert_eq!(wanted.account.as_deref(), Some("A"));
        Box::pin(async { recording("connz_auth_detail").connections() })
    }

    fn subscriptions(&self, _: Option<String>) -> BoxFuture<'_, Vec<SubSnapshot>> {
        Box::pin(async { Vec::new() })
    }

    fn accounts(&self) -> BoxFuture<'_, Vec<AccountSnapshot>> {
        Box::pin(async { recording("accstatz_unused").account_traffic() })
    }
}

#[tokio::test]
async fn endpoints_answer_from_their_source() {
    let source: Arc<dyn MonitorSource> = Arc::new(Recordings);
    let mut registry = Registry::new();
    register(&mut registry, &source);
    let ask = |answer: Reply| match answer {
        Reply::Json { status: 200, body } => serde_json::from_str::<Value>(&body).unwrap(),
        other => panic!("{other:?}"),
    };
    let request = |query: &str| Request {
        path: String::new(),
        query: Query::parse(query),
    };
    let connz = serve_connz(Arc::clone(&source), request("acc=A&auth=1"))
        .await
        .unwrap();
    assert_eq!(ask(connz)["num_connections"], 2);
    let subsz = serve_subsz(Arc::clone(&source), request("subs=1")).await.unwrap();
    assert_eq!(ask(subsz)["total"], 0);
    let accountz = serve_accountz(Arc::clone(&source), request("")).await.unwrap();
    assert_eq!(ask(accountz)["accounts"].as_array().unwrap().len(), 4);
    let accstatz = serve_accstatz(Arc::clone(&source), request("unused=x")).await;
    assert!(
        matches!(accstatz, Err(BadRequest(text)) if text.starts_with("Error decoding boolean for 'unused'"))
    );
}
