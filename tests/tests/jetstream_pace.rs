//! How fast a consumer delivers: rates, replaying as published, flow control, and signs of life while it is idle.
//!
//! Times are lower bounds: a loaded machine only makes them longer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::{Api, numbers, start, texts};
use mainstem_tests::wire::Message;
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// A push consumer `c` of the stream `s` that delivers to the subscription that is returned.
async fn pushed(api: &mut Api, mut config: Value) -> Result<String> {
    let sid = api.subscribe("d").await?;
    config["deliver_subject"] = "d".into();
    config["ack_policy"] = "none".into();
    api.consumer("s", "c", config).await?;
    Ok(sid)
}

fn is_heartbeat(message: &Message) -> bool {
    (message.status(), message.description()) == (Some(100), "Idle Heartbeat")
}

#[tokio::test]
async fn a_rate_limit_holds_deliveries_back() -> Result<()> {
    const BYTES: usize = 2000;
    const COUNT: usize = 10;
    // Ten messages a second.
    const BITS_PER_SECOND: usize = BYTES * 10 * 8;
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for _ in 0..COUNT {
        api.stored("s.a", [b'x'; BYTES]).await?;
    }
    let began = Instant::now();
    let sid = pushed(&mut api, json!({"rate_limit_bps": BITS_PER_SECOND})).await?;
    for seq in 1..=COUNT as u64 {
        assert_eq!(api.next(&sid).await?.delivery(3)?, seq);
    }
    // The first one or two need not wait.
    let took = began.elapsed();
    ensure!(took >= Duration::from_millis(750), "all came within {took:?}");
    Ok(())
}

#[tokio::test]
async fn messages_are_replayed_at_the_pace_of_their_publishers() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for number in numbers(1..=4) {
        api.stored("s.a", number).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    let sid = pushed(&mut api, json!({"replay_policy": "original"})).await?;
    let mut times = Vec::new();
    for wanted in numbers(1..=4) {
        let message = api.next(&sid).await?;
        assert_eq!(message.text(), wanted);
        times.push(message.delivery(5)?);
    }
    let published = Duration::from_nanos(times[3] - times[0]);
    let took = began.elapsed();
    ensure!(
        took >= published,
        "what was published within {published:?} came within {took:?}"
    );
    // What comes from now on is not held back: nothing was published for a while, and it comes all the same.
    api.stored("s.a", "5").await?;
    assert_eq!(api.next(&sid).await?.text(), "5");

    let config = json!({"ack_policy": "explicit", "replay_policy": "original"});
    let began = Instant::now();
    api.consumer("s", "pull", config).await?;
    let (messages, _) = api
        .fetch("s", "pull", json!({"batch": 4, "expires": 20 * SECOND}))
        .await?;
    assert_eq!(texts(&messages), numbers(1..=4));
    ensure!(began.elapsed() >= published, "pulled faster than published");
    Ok(())
}

#[tokio::test]
async fn an_idle_consumer_gives_signs_of_life_from_the_begin() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let sid = pushed(&mut api, json!({"idle_heartbeat": SECOND / 5})).await?;
    let standing = |beat: &Message| {
        let last = |name| beat.header(name).map(str::to_owned);
        (last("Nats-Last-Consumer"), last("Nats-Last-Stream"))
    };
    let both = |number: &str| (Some(number.to_owned()), Some(number.to_owned()));
    for _ in 0..3 {
        let beat = api.next(&sid).await?;
        ensure!(is_heartbeat(&beat), "{beat:?}");
        assert_eq!(standing(&beat), both("0"));
    }
    api.stored("s.a", "1").await?;
    let mut message = api.next(&sid).await?;
    while is_heartbeat(&message) {
        message = api.next(&sid).await?;
    }
    assert_eq!(message.text(), "1");
    for _ in 0..3 {
        let beat = api.next(&sid).await?;
        ensure!(is_heartbeat(&beat), "{beat:?}");
        assert_eq!(standing(&beat), both("1"));
    }
    // Nobody listens, then somebody does again.
    api.unsubscribe(&sid).await?;
    api.round_trip().await?;
    api.stored("s.a", "2").await?;
    let again = api.subscribe("d").await?;
    let mut message = api.next(&again).await?;
    while is_heartbeat(&message) {
        message = api.next(&again).await?;
    }
    assert_eq!(message.text(), "2");
    ensure!(is_heartbeat(&api.next(&again).await?), "no more signs of life");
    Ok(())
}

#[tokio::test]
async fn a_stalled_consumer_says_what_it_waits_for() -> Result<()> {
    const COUNT: u64 = 4000;
    let server = start("")?;
    let mut api = Api::filled(&server, COUNT).await?;
    let sid = pushed(
        &mut api,
        json!({"flow_control": true, "idle_heartbeat": SECOND / 4}),
    )
    .await?;
    // Requests that are not answered, until a heartbeat says so.
    let (mut got, mut asked) = (0, None);
    let stalled = loop {
        let message = api.next(&sid).await?;
        match message.status() {
            None => got += 1,
            Some(_) if !is_heartbeat(&message) => asked = Some(message.reply),
            Some(_) => {
                if let Some(stalled) = message.header("Nats-Consumer-Stalled") {
                    break stalled.to_owned();
                }
            }
        }
    };
    ensure!(got < COUNT, "all {got} came at once");
    assert_eq!(Some(&stalled), asked.as_ref());
    // An answer to something else changes nothing; the right one does.
    api.send("$JS.FC.s.c.999999", "").await?;
    api.send(&stalled, "").await?;
    while got < COUNT {
        let message = api.next(&sid).await.with_context(|| format!("after {got}"))?;
        match message.status() {
            None => {
                got += 1;
                assert_eq!(message.delivery(3)?, got);
            }
            Some(_) if !is_heartbeat(&message) => api.send(&message.reply, "").await?,
            Some(_) => {}
        }
    }
    Ok(())
}
