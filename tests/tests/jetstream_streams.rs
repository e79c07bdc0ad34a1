//! Limits of streams, what removes messages, and what a publisher is told.

use std::time::Duration;

use anyhow::{Result, ensure};
use mainstem_tests::jetstream::{Api, start, stream_config};
use mainstem_tests::server::Signal;
use serde_json::{Value, json};

/// Refusals to store a message for the stream's limits.
const STORE_FAILED: u64 = 10077;

fn range(state: &Value) -> (u64, u64, u64) {
    let number = |name: &str| state[name].as_u64().unwrap_or(u64::MAX);
    (number("messages"), number("first_seq"), number("last_seq"))
}

/// The error of a publish: its code and text.
async fn refusal(api: &mut Api, subject: &str, payload: &[u8]) -> Result<(u64, String)> {
    let ack = api.put(subject, &[], payload).await?;
    let error = &ack["error"];
    ensure!(!error.is_null(), "{subject} was stored: {ack}");
    let text = error["description"].as_str().unwrap_or_default().to_owned();
    Ok((error["err_code"].as_u64().unwrap_or_default(), text))
}

#[tokio::test]
async fn the_oldest_message_makes_room() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    for (name, limit) in [
        ("messages", json!({"max_msgs": 3})),
        ("bytes", json!({"max_bytes": 150})),
    ] {
        api.stream(name, limit).await?;
        api.fill(&format!("{name}.a"), 10).await?;
        let state = api.state(name).await?;
        let (messages, first, last) = range(&state);
        ensure!((1..=4).contains(&messages) && last == 10, "{name}: {state}");
        assert_eq!(first, last - messages + 1, "{name}: {state}");
        ensure!(name != "bytes" || state["bytes"].as_u64() <= Some(150), "{state}");
    }
    assert_eq!(range(&api.state("messages").await?), (3, 8, 10));
    Ok(())
}

#[tokio::test]
async fn a_full_stream_refuses_what_is_new() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    let limits = [
        (
            "messages",
            json!({"max_msgs": 3, "discard": "new"}),
            "maximum messages exceeded",
        ),
        (
            "bytes",
            json!({"max_bytes": 150, "discard": "new"}),
            "maximum bytes exceeded",
        ),
    ];
    for (name, config, text) in limits {
        api.stream(name, config).await?;
        let subject = format!("{name}.a");
        let mut stored = 0;
        while api.put(&subject, &[], b"1").await?["error"].is_null() {
            stored += 1;
            ensure!(stored < 10, "{name} has no limit");
        }
        assert_eq!(
            refusal(&mut api, &subject, b"1").await?,
            (STORE_FAILED, text.to_owned())
        );
        assert_eq!(range(&api.state(name).await?), (stored, 1, stored));
        api.done(&format!("STREAM.MSG.DELETE.{name}"), &json!({"seq": 1}))
            .await?;
        assert_eq!(
            api.stored(&subject, "1").await?,
            stored + 1,
            "{name}: after a delete"
        );
    }
    Ok(())
}

#[tokio::test]
async fn each_subject_has_its_limit() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("old", json!({"max_msgs_per_subject": 2})).await?;
    for subject in ["old.a", "old.b", "old.a", "old.a", "old.c", "old.a"] {
        api.stored(subject, "x").await?;
    }
    let info = api
        .done(
            "STREAM.INFO.old",
            &json!({"subjects_filter": ">", "deleted_details": true}),
        )
        .await?;
    assert_eq!(
        info["state"]["subjects"],
        json!({"old.a": 2, "old.b": 1, "old.c": 1})
    );
    assert_eq!(range(&info["state"]), (4, 2, 6));
    assert_eq!(info["state"]["deleted"], json!([3]));

    let config =
        json!({"max_msgs_per_subject": 1, "discard": "new", "discard_new_per_subject": true, "max_msgs": 9});
    api.stream("new", config).await?;
    api.stored("new.a", "x").await?;
    let (code, text) = refusal(&mut api, "new.a", b"y").await?;
    assert_eq!(
        (code, text.as_str()),
        (STORE_FAILED, "maximum messages per subject exceeded")
    );
    assert_eq!(api.stored("new.b", "x").await?, 2);
    Ok(())
}

#[tokio::test]
async fn old_messages_expire() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    for storage in ["file", "memory"] {
        api.stream(
            storage,
            json!({"max_age": 400_000_000, "storage": storage, "duplicate_window": 100_000_000}),
        )
        .await?;
        api.fill(&format!("{storage}.a"), 5).await?;
        assert_eq!(range(&api.state(storage).await?), (5, 1, 5));
        let state = api.until_state(storage, |state| state["messages"] == 0).await?;
        assert_eq!(range(&state), (0, 6, 5));
        assert_eq!(api.stored(&format!("{storage}.a"), "x").await?, 6);
    }
    Ok(())
}

#[tokio::test]
async fn a_message_has_its_limit() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"max_msg_size": 10})).await?;
    api.stored("s.a", "0123456789").await?;
    assert_eq!(refusal(&mut api, "s.a", b"0123456789a").await?.0, 10054);
    assert_eq!(range(&api.state("s").await?), (1, 1, 1));
    Ok(())
}

#[tokio::test]
async fn a_message_id_counts_once_within_the_window() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"duplicate_window": 500_000_000})).await?;
    let id = [("Nats-Msg-Id", "one")];
    let first = api.put("s.a", &id, "x").await?;
    assert_eq!(first, json!({"stream": "s", "seq": 1}));
    let again = api.put("s.b", &id, "x").await?;
    assert_eq!(again, json!({"stream": "s", "seq": 1, "duplicate": true}));
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(api.put("s.a", &id, "x").await?, json!({"stream": "s", "seq": 2}));
    Ok(())
}

#[tokio::test]
async fn what_is_expected_must_hold() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.put("s.a", &[("Nats-Msg-Id", "one")], "x").await?;
    api.stored("s.b", "x").await?;
    let refused = [
        ("Nats-Expected-Stream", "other", 10060),
        ("Nats-Expected-Last-Sequence", "1", 10071),
        ("Nats-Expected-Last-Msg-Id", "two", 10070),
        ("Nats-Expected-Last-Subject-Sequence", "2", 10071),
        ("Nats-Expected-Last-Subject-Sequence", "0", 10071),
    ];
    for (name, value, err_code) in refused {
        let ack = api.put("s.a", &[(name, value)], "x").await?;
        assert_eq!(ack["error"]["err_code"], err_code, "{name}: {ack}");
    }
    let taken = [
        ("s.a", "Nats-Expected-Stream", "s"),
        ("s.a", "Nats-Expected-Last-Sequence", "3"),
        ("s.a", "Nats-Expected-Last-Subject-Sequence", "4"),
        ("s.new", "Nats-Expected-Last-Subject-Sequence", "0"),
    ];
    for (seq, (subject, name, value)) in (3..).zip(taken) {
        let ack = api.put(subject, &[(name, value)], "x").await?;
        assert_eq!(ack["seq"], seq, "{name}: {ack}");
    }
    let other = [
        ("Nats-Expected-Last-Subject-Sequence", "6"),
        ("Nats-Expected-Last-Subject-Sequence-Subject", "s.*"),
    ];
    assert_eq!(api.put("s.a", &other, "x").await?["seq"], 7);
    Ok(())
}

#[tokio::test]
async fn a_rollup_replaces_what_was_before() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"allow_rollup_hdrs": true})).await?;
    api.fill("s.a", 3).await?;
    api.fill("s.b", 3).await?;
    api.put("s.a", &[("Nats-Rollup", "sub")], "x").await?;
    assert_eq!(range(&api.state("s").await?), (4, 4, 7));
    api.put("s.a", &[("Nats-Rollup", "all")], "x").await?;
    assert_eq!(range(&api.state("s").await?), (1, 8, 8));
    api.stream("plain", json!({})).await?;
    let ack = api.put("plain.a", &[("Nats-Rollup", "sub")], "x").await?;
    assert_eq!(ack["error"]["err_code"], 10111, "{ack}");
    Ok(())
}

#[tokio::test]
async fn a_purge_removes_what_it_names() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for _ in 0..5 {
        api.stored("s.a", "x").await?;
        api.stored("s.b", "x").await?;
    }
    let steps = [
        (json!({"filter": "s.a", "keep": 4}), 1, (9, 2, 10)),
        (json!({"seq": 5}), 3, (6, 5, 10)),
        (json!({"filter": "s.b", "seq": 7}), 1, (5, 5, 10)),
        (json!({"keep": 2}), 3, (2, 9, 10)),
        (Value::Null, 2, (0, 11, 10)),
    ];
    for (request, purged, left) in steps {
        let answer = api.done("STREAM.PURGE.s", &request).await?;
        assert_eq!(answer["purged"], purged, "{request}");
        assert_eq!(range(&api.state("s").await?), left, "{request}");
    }
    api.refused(10003, "STREAM.PURGE.s", &json!({"seq": 1, "keep": 1}))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_stream_can_deny_deletes_and_purges() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"deny_delete": true, "deny_purge": true}))
        .await?;
    api.stored("s.a", "x").await?;
    api.refused(10057, "STREAM.MSG.DELETE.s", &json!({"seq": 1}))
        .await?;
    api.refused(10110, "STREAM.PURGE.s", &Value::Null).await?;
    assert_eq!(range(&api.state("s").await?), (1, 1, 1));
    Ok(())
}

#[tokio::test]
async fn an_update_changes_limits_at_once() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"metadata": {"owner": "a"}})).await?;
    api.fill("s.a", 10).await?;
    let update = |config: Value| {
        let mut config = config;
        config["name"] = "s".into();
        config
    };
    let changed = update(json!({"subjects": ["s.>", "t"], "max_msgs": 4, "metadata": {"owner": "b"}}));
    let info = api.done("STREAM.UPDATE.s", &changed).await?;
    assert_eq!(info["config"]["metadata"]["owner"], "b");
    assert_eq!(range(&api.state("s").await?), (4, 7, 10));
    assert_eq!(api.stored("t", "x").await?, 11);
    let memory = update(json!({"subjects": ["s.>"], "storage": "memory"}));
    api.refused(10052, "STREAM.UPDATE.s", &memory).await?;
    api.done("STREAM.UPDATE.s", &update(json!({"subjects": ["s.>"]})))
        .await?;
    let gone = api.request("t", &[], b"x").await?;
    assert_eq!(gone.status(), Some(503), "a subject that the stream gave up");
    Ok(())
}

#[tokio::test]
async fn a_stream_without_acknowledgements_stores_in_silence() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"no_ack": true})).await?;
    let inbox = api.subscribe("quiet").await?;
    api.send_raw(b"PUB s.a quiet 1\r\nx\r\n").await?;
    api.until_state("s", |state| state["messages"] == 1).await?;
    ensure!(
        api.next_within(&inbox, Duration::from_millis(200))
            .await?
            .is_none(),
        "an acknowledgement"
    );
    Ok(())
}

#[tokio::test]
async fn live_subscribers_get_what_a_stream_takes_and_what_it_refuses() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"max_msgs": 1, "discard": "new"})).await?;
    let live = api.subscribe("s.*").await?;
    api.stored("s.a", "taken").await?;
    refusal(&mut api, "s.b", b"refused").await?;
    let mut payloads = Vec::new();
    for _ in 0..2 {
        payloads.push(api.next(&live).await?.text());
    }
    assert_eq!(payloads, ["taken", "refused"]);
    Ok(())
}

#[tokio::test]
async fn a_delete_says_why_there_is_nothing_to_delete() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    let cases = [
        ("file", [(3, 10043), (0, 10057), (1, 10057), (9, 10057)]),
        ("memory", [(3, 10043), (0, 10043), (1, 10043), (9, 10043)]),
    ];
    for (storage, wanted) in cases {
        api.stream(storage, json!({"storage": storage})).await?;
        api.fill(&format!("{storage}.a"), 4).await?;
        let delete = format!("STREAM.MSG.DELETE.{storage}");
        for seq in [1, 3] {
            api.done(&delete, &json!({"seq": seq})).await?;
        }
        for (seq, err_code) in wanted {
            api.refused(err_code, &delete, &json!({"seq": seq})).await?;
        }
        assert_eq!(api.state(storage).await?["messages"], 2);
    }
    Ok(())
}

#[tokio::test]
async fn compression_is_remembered() -> Result<()> {
    let mut server = start("")?;
    let mut api = Api::open(&server).await?;
    let made = api.stream("s", json!({"compression": "s2"})).await?;
    assert_eq!(made["config"]["compression"], "s2");
    api.fill("s.a", 3).await?;
    server.restart(Signal::KILL)?;
    let mut api = Api::open(&server).await?;
    let info = api.done("STREAM.INFO.s", &Value::Null).await?;
    assert_eq!(
        (&info["config"]["compression"], &info["state"]["messages"]),
        (&json!("s2"), &json!(3))
    );
    let changed = api
        .done(
            "STREAM.UPDATE.s",
            &stream_config("s", json!({"compression": "none"})),
        )
        .await?;
    assert_eq!(changed["config"]["compression"], "none");
    Ok(())
}
