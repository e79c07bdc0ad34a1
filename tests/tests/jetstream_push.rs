//! Push consumers: where they deliver, how they are held back, and where they begin.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::{Api, consumer_config, numbers, start};
use mainstem_tests::wire::Message;
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// The next message that is no status.
async fn next_message(api: &mut Api, sid: &str) -> Result<Message> {
    loop {
        let message = api.next(sid).await?;
        match (message.status(), message.reply.as_str()) {
            (None, _) => return Ok(message),
            (Some(100), "") => {}
            (Some(100), reply) => api.send(reply, "").await?,
            (Some(_), _) => anyhow::bail!("{message:?}"),
        }
    }
}

#[tokio::test]
async fn delivery_waits_for_a_subscriber() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.fill("s.a", 3).await?;
    let info = api
        .consumer(
            "s",
            "c",
            json!({"deliver_subject": "d", "ack_policy": "explicit"}),
        )
        .await?;
    assert_eq!(
        (&info["num_pending"], &info["delivered"]["stream_seq"]),
        (&json!(3), &json!(0))
    );
    ensure!(info["push_bound"].as_bool() != Some(true), "{info}");
    let sid = api.subscribe("d").await?;
    for wanted in numbers(1..=3) {
        let message = api.next(&sid).await?;
        assert_eq!((message.text(), message.subject.as_str()), (wanted, "s.a"));
    }
    assert_eq!(api.consumer_info("s", "c").await?["push_bound"], true);
    api.unsubscribe(&sid).await?;
    api.round_trip().await?;
    api.stored("s.a", "4").await?;
    let again = api.subscribe("d").await?;
    assert_eq!(api.next(&again).await?.text(), "4");
    Ok(())
}

#[tokio::test]
async fn a_delivery_group_shares() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let mut members = Vec::new();
    for _ in 0..3 {
        let mut member = Api::open(&server).await?;
        member.send_raw(b"SUB d workers 900\r\n").await?;
        member.round_trip().await?;
        members.push(member);
    }
    let config = json!({"deliver_subject": "d", "deliver_group": "workers", "ack_policy": "none"});
    api.consumer("s", "c", config).await?;
    api.fill("s.a", 90).await?;
    let mut got = Vec::new();
    for member in &mut members {
        let before = got.len();
        while let Some(message) = member.next_within("900", Duration::from_millis(500)).await? {
            got.push(message.delivery(3)?);
        }
        ensure!(got.len() > before, "a member got nothing");
    }
    got.sort_unstable();
    assert_eq!(got, (1..=90).collect::<Vec<u64>>());
    Ok(())
}

#[tokio::test]
async fn an_idle_consumer_sends_heartbeats() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.fill("s.a", 2).await?;
    let sid = api.subscribe("d").await?;
    let config = json!({"deliver_subject": "d", "ack_policy": "none", "idle_heartbeat": SECOND / 4});
    api.consumer("s", "c", config).await?;
    for wanted in numbers(1..=2) {
        assert_eq!(next_message(&mut api, &sid).await?.text(), wanted);
    }
    let beat = api.next(&sid).await?;
    assert_eq!((beat.status(), beat.description()), (Some(100), "Idle Heartbeat"));
    assert_eq!(
        (beat.header("Nats-Last-Consumer"), beat.header("Nats-Last-Stream")),
        (Some("2"), Some("2"))
    );
    Ok(())
}

#[tokio::test]
async fn flow_control_holds_a_consumer_back() -> Result<()> {
    const COUNT: u64 = 4000;
    let server = start("")?;
    let mut api = Api::filled(&server, COUNT).await?;
    let sid = api.subscribe("d").await?;
    let config = json!({
        "deliver_subject": "d", "ack_policy": "none", "flow_control": true, "idle_heartbeat": 5 * SECOND,
    });
    api.consumer("s", "c", config).await?;
    let mut got = 0;
    let mut asked = Vec::new();
    while let Some(message) = api.next_within(&sid, Duration::from_millis(1500)).await? {
        match message.status() {
            None => got += 1,
            Some(_) => asked.push(message.reply),
        }
    }
    ensure!(got < COUNT, "all {got} came at once");
    let reply = asked.pop().context("nobody asked for a sign of life")?;
    ensure!(!reply.is_empty(), "a heartbeat instead");
    api.send(&reply, "").await?;
    while got < COUNT {
        let message = next_message(&mut api, &sid).await?;
        got += 1;
        assert_eq!(message.delivery(3)?, got);
    }
    Ok(())
}

#[tokio::test]
async fn a_consumer_begins_where_its_policy_says() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for subject in ["s.a", "s.b", "s.a"] {
        api.stored(subject, "old").await?;
    }
    let third = api.done("STREAM.MSG.GET.s", &json!({"seq": 3})).await?;
    let time = third["message"]["time"].as_str().context("a time")?.to_owned();
    api.stored("s.b", "old").await?;
    let policies = [
        (json!({}), vec![1, 2, 3, 4, 5]),
        (json!({"deliver_policy": "all"}), vec![1, 2, 3, 4, 5]),
        (json!({"deliver_policy": "last"}), vec![4, 5]),
        (
            json!({"deliver_policy": "last", "filter_subject": "s.a"}),
            vec![3],
        ),
        (json!({"deliver_policy": "new"}), vec![5]),
        (
            json!({"deliver_policy": "by_start_sequence", "opt_start_seq": 3}),
            vec![3, 4, 5],
        ),
        (
            json!({"deliver_policy": "by_start_time", "opt_start_time": time}),
            vec![3, 4, 5],
        ),
        (
            json!({"deliver_policy": "last_per_subject", "filter_subject": "s.*"}),
            vec![3, 4, 5],
        ),
    ];
    let mut wanted = BTreeMap::new();
    for (number, (mut config, sequences)) in policies.into_iter().enumerate() {
        let name = format!("c{number}");
        config["deliver_subject"] = format!("d.{name}").into();
        config["ack_policy"] = "none".into();
        let sid = api.subscribe(&format!("d.{name}")).await?;
        api.consumer("s", &name, config.clone()).await?;
        wanted.insert(sid, (config, sequences));
    }
    api.stored("s.b", "new").await?;
    for (sid, (config, sequences)) in wanted {
        for seq in sequences {
            let message = api.next(&sid).await.with_context(|| format!("{config}, {seq}"))?;
            assert_eq!(message.delivery(3)?, seq, "{config}");
        }
        ensure!(
            api.next_within(&sid, Duration::from_millis(50)).await?.is_none(),
            "{config}: one too many"
        );
    }
    Ok(())
}

#[tokio::test]
async fn headers_alone_tell_the_size() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.put("s.a", &[("Kind", "test")], "12345").await?;
    let sid = api.subscribe("d").await?;
    let config = json!({"deliver_subject": "d", "ack_policy": "none", "headers_only": true});
    api.consumer("s", "c", config).await?;
    let message = api.next(&sid).await?;
    ensure!(message.payload.is_empty(), "{message:?}");
    assert_eq!(
        (message.header("Nats-Msg-Size"), message.header("Kind")),
        (Some("5"), Some("test"))
    );
    Ok(())
}

#[tokio::test]
async fn unfit_consumers_are_refused() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let unfit: [(u64, Value); 7] = [
        (
            10094,
            json!({"deliver_policy": "by_start_sequence", "ack_policy": "none"}),
        ),
        (
            10094,
            json!({"deliver_policy": "last_per_subject", "ack_policy": "none", "opt_start_seq": 1}),
        ),
        (
            10080,
            json!({"deliver_subject": "d", "ack_policy": "none", "max_waiting": 5}),
        ),
        (
            10108,
            json!({"deliver_subject": "d", "ack_policy": "none", "flow_control": true}),
        ),
        (
            10116,
            json!({"ack_policy": "explicit", "backoff": [1000, 2000], "max_deliver": 1}),
        ),
        (
            10138,
            json!({"ack_policy": "none", "filter_subjects": ["s.a", "s.>"]}),
        ),
        (
            10136,
            json!({"ack_policy": "none", "filter_subjects": ["s.a"], "filter_subject": "s.b"}),
        ),
    ];
    for (err_code, config) in unfit {
        let body = consumer_config("s", "c", config);
        let answer = api.call("CONSUMER.CREATE.s.c", &body).await?;
        assert_eq!(answer["error"]["err_code"], err_code, "{body}: {answer}");
    }
    assert_eq!(api.state("s").await?["consumer_count"], 0);
    Ok(())
}
