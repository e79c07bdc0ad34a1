//! Pull consumers: what a request gets, and how it ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::{Api, consumer_config, numbers, start, texts};
use serde_json::json;

const SECOND: u64 = 1_000_000_000;

#[tokio::test]
async fn requests_end_as_they_said() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    let (none, status) = api.fetch("s", "c", json!({"batch": 1, "no_wait": true})).await?;
    assert_eq!((none.len(), status), (0, 404));
    api.fill("s.a", 5).await?;
    let (some, status) = api.fetch("s", "c", json!({"batch": 3})).await?;
    assert_eq!((texts(&some), status), (numbers(1..=3), 200));
    let (rest, status) = api.fetch("s", "c", json!({"batch": 9, "no_wait": true})).await?;
    ensure!(
        texts(&rest) == numbers(4..=5) && (status == 404 || status == 408),
        "{status}: {rest:?}"
    );
    let (none, status) = api
        .fetch("s", "c", json!({"batch": 2, "expires": SECOND / 5}))
        .await?;
    assert_eq!((none.len(), status), (0, 408));
    let waiting = api
        .pull("s", "c", json!({"batch": 2, "expires": 10 * SECOND}))
        .await?;
    api.fill("s.b", 2).await?;
    assert_eq!(api.next(&waiting).await?.text(), "1");
    assert_eq!(api.next(&waiting).await?.subject, "s.b");
    Ok(())
}

#[tokio::test]
async fn an_expired_request_says_what_is_left_of_it() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    api.fill("s.a", 2).await?;
    let sid = api
        .pull("s", "c", json!({"batch": 5, "expires": SECOND / 2}))
        .await?;
    for _ in 0..2 {
        ensure!(api.next(&sid).await?.status().is_none(), "a status too early");
    }
    let end = api.next(&sid).await?;
    assert_eq!(
        (end.status(), end.header("Nats-Pending-Messages")),
        (Some(408), Some("3"))
    );
    assert_eq!(end.header("Nats-Pending-Bytes"), Some("0"));
    Ok(())
}

#[tokio::test]
async fn a_request_can_be_bounded_in_bytes() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    for _ in 0..4 {
        api.stored("s.a", [b'x'; 400]).await?;
    }
    let request = json!({"batch": 10, "max_bytes": 1200, "expires": 2 * SECOND});
    let (messages, status) = api.fetch("s", "c", request).await?;
    assert_eq!((messages.len(), status), (2, 409));
    let (none, status) = api
        .fetch("s", "c", json!({"batch": 1, "max_bytes": 100, "expires": SECOND}))
        .await?;
    assert_eq!((none.len(), status), (0, 409));
    Ok(())
}

#[tokio::test]
async fn a_waiting_request_hears_heartbeats() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    let request = json!({"batch": 1, "expires": 2 * SECOND, "idle_heartbeat": SECOND / 4});
    let sid = api.pull("s", "c", request).await?;
    for _ in 0..3 {
        let beat = api.next(&sid).await?;
        assert_eq!((beat.status(), beat.description()), (Some(100), "Idle Heartbeat"));
    }
    api.stored("s.a", "x").await?;
    let mut message = api.next(&sid).await?;
    while message.status() == Some(100) {
        message = api.next(&sid).await?;
    }
    assert_eq!(message.text(), "x");
    Ok(())
}

#[tokio::test]
async fn bad_requests_are_told_so() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let config = json!({"ack_policy": "explicit", "max_batch": 5, "max_expires": SECOND, "max_waiting": 1});
    api.consumer("s", "c", config).await?;
    let bad = [
        (json!({"batch": 6}), 409),
        (json!({"batch": 1, "expires": 2 * SECOND}), 409),
        (
            json!({"batch": 1, "expires": SECOND, "idle_heartbeat": SECOND}),
            400,
        ),
        (json!({"batch": 1, "idle_heartbeat": SECOND}), 400),
    ];
    for (request, wanted) in bad {
        let (none, status) = api.fetch("s", "c", request.clone()).await?;
        assert_eq!((none.len(), status), (0, wanted), "{request}");
    }
    let first = api.pull("s", "c", json!({"batch": 1, "expires": SECOND})).await?;
    let (_, status) = api
        .fetch("s", "c", json!({"batch": 1, "expires": SECOND}))
        .await?;
    assert_eq!(status, 409, "one too many waits");
    api.stored("s.a", "x").await?;
    assert_eq!(api.next(&first).await?.text(), "x");
    let nobody = api
        .request("$JS.API.CONSUMER.MSG.NEXT.s.missing", &[], b"")
        .await?;
    assert_eq!(nobody.status(), Some(503));
    Ok(())
}

#[tokio::test]
async fn a_deleted_consumer_ends_its_requests() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    let sid = api
        .pull("s", "c", json!({"batch": 1, "expires": 20 * SECOND}))
        .await?;
    api.done("CONSUMER.DELETE.s.c", &json!(null)).await?;
    let end = api.next(&sid).await?;
    assert_eq!((end.status(), end.description()), (Some(409), "Consumer Deleted"));
    Ok(())
}

#[tokio::test]
async fn requests_share_what_comes() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    let mut others = Vec::new();
    for _ in 0..4 {
        let mut other = Api::open(&server).await?;
        let sid = other
            .pull("s", "c", json!({"batch": 25, "expires": 20 * SECOND}))
            .await?;
        other.round_trip().await?;
        others.push((other, sid));
    }
    while api.consumer_info("s", "c").await?["num_waiting"] != 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    api.fill("s.a", 100).await?;
    let mut got = Vec::new();
    for (other, sid) in &mut others {
        for _ in 0..25 {
            got.push(other.next(sid).await?.delivery(3)?);
        }
    }
    got.sort_unstable();
    assert_eq!(got, (1..=100).collect::<Vec<u64>>());
    Ok(())
}

#[tokio::test]
async fn a_requester_that_left_gets_nothing() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    let mut gone = Api::open(&server).await?;
    gone.pull("s", "c", json!({"batch": 10, "expires": 60 * SECOND}))
        .await?;
    gone.round_trip().await?;
    drop(gone);
    tokio::time::sleep(Duration::from_millis(300)).await;
    api.fill("s.a", 3).await?;
    let (messages, _) = api
        .fetch("s", "c", json!({"batch": 3, "expires": 10 * SECOND}))
        .await?;
    let mut deliveries = Vec::new();
    for message in &messages {
        deliveries.push(message.deliveries()?);
    }
    assert_eq!((texts(&messages), deliveries), (numbers(1..=3), vec![1, 1, 1]));
    Ok(())
}

#[tokio::test]
async fn pending_is_exact_for_every_filter() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for number in 0..300 {
        api.ask(&format!("s.{}.{}", number % 3, number % 7), &[], b"x")
            .await?;
    }
    api.until_state("s", |state| state["messages"] == 300).await?;
    for seq in [1, 4, 100, 300] {
        api.done("STREAM.MSG.DELETE.s", &json!({"seq": seq})).await?;
    }
    let left: Vec<u64> = (1..=300).filter(|seq| ![1, 4, 100, 300].contains(seq)).collect();
    let matching = |holds: &dyn Fn(u64) -> bool| left.iter().filter(|seq| holds(**seq - 1)).count() as u64;
    let filters = [
        (json!(["s.0.*"]), matching(&|number| number % 3 == 0)),
        (json!(["s.*.5"]), matching(&|number| number % 7 == 5)),
        (
            json!(["s.1.1", "s.2.>"]),
            matching(&|number| number % 3 == 2 || (number % 3 == 1 && number % 7 == 1)),
        ),
        (json!(["other.>"]), 0),
        (json!([">"]), left.len() as u64),
    ];
    for (number, (filter, wanted)) in filters.into_iter().enumerate() {
        let name = format!("c{number}");
        let config = json!({"ack_policy": "explicit", "filter_subjects": filter});
        let info = api.consumer("s", &name, config).await?;
        assert_eq!(info["num_pending"], wanted, "{filter}");
        if wanted == 0 {
            continue;
        }
        let (messages, _) = api
            .fetch("s", &name, json!({"batch": wanted, "expires": 10 * SECOND}))
            .await?;
        let mut before = 0;
        for (place, message) in messages.iter().enumerate() {
            assert_eq!(message.delivery(6)?, wanted - 1 - place as u64, "{filter}");
            let seq = message.delivery(3)?;
            ensure!(seq > before, "{filter}: {seq} after {before}");
            before = seq;
        }
        assert_eq!(api.consumer_info("s", &name).await?["num_pending"], 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_consumer_without_use_goes_away() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let config = json!({"ack_policy": "explicit", "inactive_threshold": SECOND / 2});
    let body = json!({"stream_name": "s", "config": config});
    let made = api.done("CONSUMER.CREATE.s", &body).await?;
    let name = made["name"].as_str().context("a generated name")?.to_owned();
    ensure!(
        made["config"]["name"].is_null(),
        "a name that nobody gave: {made}"
    );
    for _ in 0..4 {
        api.fetch("s", &name, json!({"batch": 1, "expires": SECOND / 4}))
            .await?;
    }
    api.consumer_info("s", &name).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    api.refused(10014, &format!("CONSUMER.INFO.s.{name}"), &json!(null))
        .await?;
    let durable = consumer_config(
        "s",
        "kept",
        json!({"durable_name": "kept", "ack_policy": "explicit"}),
    );
    api.done("CONSUMER.CREATE.s.kept", &durable).await?;
    assert_eq!(api.state("s").await?["consumer_count"], 1);
    Ok(())
}
