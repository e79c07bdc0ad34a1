//! Acknowledgements: what each one does, and what happens without.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::{Api, numbers, start, texts};
use mainstem_tests::server::Server;
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// A stream `s` with so many messages, and a consumer `c` of it.
async fn prepared(count: usize, mut consumer: Value) -> Result<(Server, Api)> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.fill("s.a", count).await?;
    if consumer["ack_policy"].is_null() {
        consumer["ack_policy"] = "explicit".into();
    }
    api.consumer("s", "c", consumer).await?;
    Ok((server, api))
}

fn request(batch: u64) -> Value {
    json!({"batch": batch, "expires": 10 * SECOND})
}

/// `(num_ack_pending, num_redelivered, ack floor of the stream)`.
async fn standing(api: &mut Api) -> Result<(u64, u64, u64)> {
    let info = api.consumer_info("s", "c").await?;
    let number = |value: &Value| value.as_u64().with_context(|| info.to_string());
    Ok((
        number(&info["num_ack_pending"])?,
        number(&info["num_redelivered"])?,
        number(&info["ack_floor"]["stream_seq"])?,
    ))
}

#[tokio::test]
async fn the_floor_follows_acknowledgements_in_any_order() -> Result<()> {
    let (_server, mut api) = prepared(5, json!({})).await?;
    let (messages, _) = api.fetch("s", "c", request(5)).await?;
    for (place, wanted) in [
        (1, (4, 0, 0)),
        (3, (3, 0, 0)),
        (0, (2, 0, 2)),
        (2, (1, 0, 4)),
        (4, (0, 0, 5)),
    ] {
        let confirmed = api.request(&messages[place].reply, &[], b"+ACK").await?;
        ensure!(confirmed.payload.is_empty(), "{confirmed:?}");
        assert_eq!(standing(&mut api).await?, wanted, "after message {}", place + 1);
    }
    api.request(&messages[0].reply, &[], b"").await?;
    assert_eq!(
        standing(&mut api).await?,
        (0, 0, 5),
        "after a second acknowledgement"
    );
    Ok(())
}

#[tokio::test]
async fn one_acknowledgement_covers_all_before() -> Result<()> {
    let (_server, mut api) = prepared(6, json!({"ack_policy": "all"})).await?;
    let (messages, _) = api.fetch("s", "c", request(6)).await?;
    api.request(&messages[3].reply, &[], b"+ACK").await?;
    assert_eq!(standing(&mut api).await?, (2, 0, 4));
    Ok(())
}

#[tokio::test]
async fn nothing_waits_for_acknowledgements_that_nobody_sends() -> Result<()> {
    let (_server, mut api) = prepared(6, json!({"ack_policy": "none"})).await?;
    let (messages, _) = api.fetch("s", "c", request(6)).await?;
    assert_eq!(texts(&messages), numbers(1..=6));
    assert_eq!(standing(&mut api).await?, (0, 0, 6));
    Ok(())
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() -> Result<()> {
    let (_server, mut api) = prepared(3, json!({"ack_wait": SECOND / 2})).await?;
    let start = Instant::now();
    let (first, _) = api.fetch("s", "c", request(3)).await?;
    api.request(&first[1].reply, &[], b"+ACK").await?;
    let (again, _) = api.fetch("s", "c", request(2)).await?;
    ensure!(
        start.elapsed() >= Duration::from_millis(450),
        "too early: {:?}",
        start.elapsed()
    );
    assert_eq!(texts(&again), ["1", "3"]);
    assert_eq!(
        (again[0].deliveries()?, again[0].delivery(4)?),
        (2, 4),
        "deliveries, consumer sequence"
    );
    assert_eq!(standing(&mut api).await?, (2, 2, 0));
    Ok(())
}

#[tokio::test]
async fn a_nak_brings_it_back_at_once_or_later() -> Result<()> {
    let (_server, mut api) = prepared(2, json!({})).await?;
    let (first, _) = api.fetch("s", "c", request(2)).await?;
    let late = format!(r#"-NAK {{"delay": {}}}"#, SECOND / 2);
    let start = Instant::now();
    api.send(&first[0].reply, late).await?;
    api.send(&first[1].reply, "-NAK").await?;
    let (again, _) = api.fetch("s", "c", request(2)).await?;
    assert_eq!(texts(&again), ["2", "1"]);
    ensure!(
        start.elapsed() >= Duration::from_millis(450),
        "too early: {:?}",
        start.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn work_in_progress_gets_more_time() -> Result<()> {
    let (_server, mut api) = prepared(1, json!({"ack_wait": SECOND / 2})).await?;
    let (first, _) = api.fetch("s", "c", request(1)).await?;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        api.request(&first[0].reply, &[], b"+WPI").await?;
    }
    let (none, _) = api.fetch("s", "c", json!({"batch": 1, "no_wait": true})).await?;
    assert_eq!(texts(&none), numbers([]));
    let (again, _) = api.fetch("s", "c", request(1)).await?;
    assert_eq!(again[0].deliveries()?, 2);
    Ok(())
}

#[tokio::test]
async fn the_pauses_between_deliveries_grow() -> Result<()> {
    let backoff = json!({"backoff": [SECOND / 5, SECOND / 2], "max_deliver": 3});
    let (_server, mut api) = prepared(1, backoff).await?;
    let mut times = Vec::new();
    for attempt in 1..=3 {
        let (message, _) = api.fetch("s", "c", request(1)).await?;
        assert_eq!(message[0].deliveries()?, attempt);
        times.push(Instant::now());
    }
    let pauses = [times[1] - times[0], times[2] - times[1]];
    ensure!(
        pauses[0] >= Duration::from_millis(180) && pauses[1] >= Duration::from_millis(450),
        "{pauses:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_last_delivery_is_announced() -> Result<()> {
    let (_server, mut api) = prepared(1, json!({"ack_wait": SECOND / 5, "max_deliver": 2})).await?;
    let advisories = api
        .subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.s.c")
        .await?;
    for _ in 0..2 {
        api.fetch("s", "c", request(1)).await?;
    }
    let waiting = api.pull("s", "c", request(1)).await?;
    let advisory: Value = serde_json::from_slice(&api.next(&advisories).await?.payload)?;
    assert_eq!(advisory["type"], "io.nats.jetstream.advisory.v1.max_deliver");
    assert_eq!(
        (&advisory["stream_seq"], &advisory["deliveries"]),
        (&json!(1), &json!(2))
    );
    ensure!(
        api.next_within(&waiting, Duration::from_millis(600))
            .await?
            .is_none(),
        "a third delivery"
    );
    api.stored("s.a", "next").await?;
    assert_eq!(api.next(&waiting).await?.text(), "next");
    Ok(())
}

#[tokio::test]
async fn a_terminated_message_is_announced_and_gone() -> Result<()> {
    let (_server, mut api) = prepared(2, json!({"ack_wait": SECOND / 5})).await?;
    let advisories = api
        .subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.s.c")
        .await?;
    let (messages, _) = api.fetch("s", "c", request(1)).await?;
    api.request(&messages[0].reply, &[], b"+TERM no good").await?;
    let advisory: Value = serde_json::from_slice(&api.next(&advisories).await?.payload)?;
    assert_eq!(
        (&advisory["stream_seq"], &advisory["reason"]),
        (&json!(1), &json!("no good"))
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (next, _) = api.fetch("s", "c", request(1)).await?;
    assert_eq!(
        (next[0].text(), standing(&mut api).await?),
        ("2".to_owned(), (1, 0, 1))
    );
    Ok(())
}

#[tokio::test]
async fn only_so_many_wait_for_acknowledgements() -> Result<()> {
    let (_server, mut api) = prepared(10, json!({"max_ack_pending": 3})).await?;
    let sid = api.pull("s", "c", request(10)).await?;
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(api.next(&sid).await?);
    }
    ensure!(
        api.next_within(&sid, Duration::from_millis(300)).await?.is_none(),
        "a fourth message"
    );
    api.send(&messages[1].reply, "+ACK").await?;
    assert_eq!(api.next(&sid).await?.text(), "4");
    ensure!(
        api.next_within(&sid, Duration::from_millis(300)).await?.is_none(),
        "a fifth message"
    );
    Ok(())
}

#[tokio::test]
async fn an_acknowledgement_can_ask_for_the_next() -> Result<()> {
    let (_server, mut api) = prepared(3, json!({})).await?;
    let (first, _) = api.fetch("s", "c", request(1)).await?;
    let inbox = api.subscribe("more").await?;
    let next = format!("PUB {} more 4\r\n+NXT\r\n", first[0].reply);
    api.send_raw(next.as_bytes()).await?;
    let second = api.next(&inbox).await?;
    assert_eq!(second.text(), "2");
    let batch = r#"+NXT {"batch": 1}"#;
    let next = format!("PUB {} more {}\r\n{batch}\r\n", second.reply, batch.len());
    api.send_raw(next.as_bytes()).await?;
    assert_eq!(api.next(&inbox).await?.text(), "3");
    assert_eq!(standing(&mut api).await?, (1, 0, 2));
    Ok(())
}

#[tokio::test]
async fn nonsense_is_no_acknowledgement() -> Result<()> {
    let (_server, mut api) = prepared(2, json!({})).await?;
    let (messages, _) = api.fetch("s", "c", request(2)).await?;
    let reply = messages[0].reply.clone();
    for subject in [
        reply.replace("$JS.ACK.s.c", "$JS.ACK.s.other"),
        reply.replace("$JS.ACK.s.c", "$JS.ACK.other.c"),
        "$JS.ACK.s.c.1.9.9.1.0".to_owned(),
        "$JS.ACK.s.c".to_owned(),
        "$JS.ACK.s.c.x.x.x.x.x".to_owned(),
    ] {
        api.send(&subject, "+ACK").await?;
    }
    api.send(&reply, "what is this").await?;
    api.round_trip().await?;
    assert_eq!(standing(&mut api).await?, (2, 0, 0));
    Ok(())
}
