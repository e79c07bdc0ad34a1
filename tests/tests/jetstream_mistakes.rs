//! Bad input: each mistake gets its error, and nobody else is harmed.

use std::time::Duration;

use anyhow::{Result, ensure};
use mainstem_tests::jetstream::{Api, consumer_config, publication, start, stream_config};
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_no_json_is_refused() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let bodies: [&[u8]; 6] = [
        b"{",
        b"[]",
        b"\"s\"",
        b"{\"name\": 5}",
        b"{\"name\": \"t\", \"max_msgs\": \"x\"}",
        b"\xff\xfe",
    ];
    for name in [
        "STREAM.CREATE.t",
        "STREAM.UPDATE.s",
        "CONSUMER.CREATE.s.c",
        "STREAM.MSG.GET.s",
    ] {
        for body in bodies {
            let answer = api.request(&format!("$JS.API.{name}"), &[], body).await?;
            let answer: Value = serde_json::from_slice(&answer.payload)?;
            ensure!(
                answer["error"]["code"].is_u64(),
                "{name} {}: {answer}",
                body.escape_ascii()
            );
        }
    }
    api.refused(10025, "STREAM.CREATE.t", &json!([])).await?;
    assert_eq!(api.stored("s.a", "x").await?, 1);
    Ok(())
}

#[tokio::test]
async fn deep_and_large_bodies_are_refused() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    let deep = [&b"{\"a\":".repeat(50_000)[..], b"1", &b"}".repeat(50_000)].concat();
    let answer = api.request("$JS.API.STREAM.CREATE.t", &[], &deep).await?;
    ensure!(!answer.payload.is_empty(), "{answer:?}");
    let text = "x".repeat(500_000);
    let large = stream_config("t", json!({"description": text}));
    let answer = api.call("STREAM.CREATE.t", &large).await?;
    ensure!(answer["error"]["err_code"].is_u64(), "{answer}");
    api.refused(10059, "STREAM.INFO.t", &Value::Null).await?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_field_is_refused_where_that_was_asked_for() -> Result<()> {
    let server = start("jetstream { strict: true }")?;
    let mut api = Api::open(&server).await?;
    let body = stream_config("s", json!({"no_such_field": 1}));
    api.refused(10025, "STREAM.CREATE.s", &body).await?;
    api.stream("s", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn what_does_not_exist_is_named() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let calls = [
        (10059, "STREAM.INFO.none", Value::Null),
        (10059, "STREAM.DELETE.none", Value::Null),
        (10059, "STREAM.PURGE.none", Value::Null),
        (10059, "STREAM.UPDATE.none", stream_config("none", json!({}))),
        (10059, "STREAM.MSG.GET.none", json!({"seq": 1})),
        (10059, "STREAM.MSG.DELETE.none", json!({"seq": 1})),
        (
            10059,
            "CONSUMER.CREATE.none.c",
            consumer_config("none", "c", json!({"ack_policy": "none"})),
        ),
        (10059, "CONSUMER.INFO.none.c", Value::Null),
        (10059, "CONSUMER.NAMES.none", Value::Null),
        (10014, "CONSUMER.INFO.s.c", Value::Null),
        (10014, "CONSUMER.DELETE.s.c", Value::Null),
        (10037, "STREAM.MSG.GET.s", json!({"seq": 1})),
        (10037, "STREAM.MSG.GET.s", json!({"last_by_subj": "s.none"})),
        (10056, "STREAM.CREATE.other", stream_config("s", json!({}))),
        (
            10065,
            "STREAM.CREATE.t",
            stream_config("t", json!({"subjects": ["s.*"]})),
        ),
        (
            10058,
            "STREAM.CREATE.s",
            stream_config("s", json!({"max_msgs": 5})),
        ),
    ];
    for (err_code, name, body) in calls {
        api.refused(err_code, name, &body).await?;
    }
    for subject in [
        "$JS.API.NONSENSE",
        "$JS.API.STREAM.NONSENSE.s",
        "$JS.API.DIRECT.GET.none",
        "nobody",
    ] {
        let answer = api.request(subject, &[], b"").await?;
        assert_eq!(answer.status(), Some(503), "{subject}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_cannot_be_is_refused() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    let configs = [
        json!({"subjects": ["a..b"]}),
        json!({"subjects": ["a", "a"]}),
        json!({"subjects": ["a.*", "a.b"]}),
        json!({"subjects": ["$JS.API.>"]}),
        json!({"subjects": [">"]}),
        json!({"max_age": -1}),
        json!({"max_age": 1_000_000}),
        json!({"max_age": 1_000_000_000, "duplicate_window": 2_000_000_000}),
        json!({"retention": "sometimes"}),
        json!({"storage": "tape"}),
        json!({"discard_new_per_subject": true}),
        json!({"num_replicas": 2}),
        json!({"max_bytes": i64::MIN, "max_msgs": "five"}),
    ];
    for config in configs {
        let answer = api
            .call("STREAM.CREATE.t", &stream_config("t", config.clone()))
            .await?;
        ensure!(answer["error"]["err_code"].is_u64(), "{config}: {answer}");
    }
    for name in ["a b", "a*", "a>", "a/b", "a\\b"] {
        let answer = api
            .call(
                "STREAM.CREATE.t",
                &stream_config(name, json!({"subjects": ["t"]})),
            )
            .await?;
        ensure!(answer["error"]["err_code"].is_u64(), "{name:?}: {answer}");
    }
    let names = api.done("STREAM.NAMES", &Value::Null).await?;
    assert_eq!(
        (&names["total"], &names["streams"]),
        (&json!(0), &Value::Null),
        "{names}"
    );
    Ok(())
}

#[tokio::test]
async fn one_clients_mistakes_harm_nobody_else() -> Result<()> {
    let server = start("")?;
    let mut good = Api::open(&server).await?;
    good.stream("s", json!({})).await?;
    let mut bad = Api::open(&server).await?;
    let flood = tokio::spawn(async move {
        for number in 0..3000_u64 {
            let subject = match number % 5 {
                0 => "$JS.API.STREAM.CREATE.s",
                1 => "$JS.API.CONSUMER.CREATE.s.c",
                2 => "$JS.API.CONSUMER.MSG.NEXT.s.c",
                3 => "$JS.ACK.s.c.1.1.1.1.1",
                _ => "$JS.API.STREAM.MSG.DELETE.s",
            };
            bad.send_raw(&publication(subject, "nowhere", &[], b"\x00{nonsense"))
                .await?;
        }
        bad.round_trip().await
    });
    for number in 1..=200 {
        assert_eq!(good.stored("s.a", "x").await?, number);
    }
    flood.await??;
    let mut cut = Api::open(&server).await?;
    let oversize = format!("PUB s.a answer {}\r\n", 2 << 20);
    cut.send_raw(oversize.as_bytes()).await?;
    ensure!(cut.round_trip().await.is_err(), "an oversized message passed");
    assert_eq!(good.stored("s.a", "x").await?, 201);
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_leaves_has_published_whole_messages() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let mut leaving = Api::open(&server).await?;
    leaving
        .send_raw(b"PUB s.a 5\r\nwhole\r\nPUB s.a 50\r\nnot all of")
        .await?;
    api.until_state("s", |state| state["messages"] == 1).await?;
    drop(leaving);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(api.stored("s.a", "x").await?, 2);
    Ok(())
}
