//! What an acknowledgement means, line by line as the README has it.

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::{Api, consumer_config, numbers, start, texts};
use mainstem_tests::server::{Server, Signal};
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// Publishes without waiting for each, kills the broker as soon as `acknowledged` of them are, and returns the last
/// sequence that was acknowledged.
async fn killed_under_load(server: &mut Server, stream: &str, acknowledged: usize) -> Result<u64> {
    let mut api = Api::open(server).await?;
    let mut replies = Vec::new();
    for number in 1..=3 * acknowledged {
        replies.push(
            api.ask(&format!("{stream}.a"), &[], number.to_string().as_bytes())
                .await?,
        );
    }
    let mut last = 0;
    for reply in &replies[..acknowledged] {
        let ack: Value = serde_json::from_slice(&api.answer(reply).await?.payload)?;
        last = ack["seq"].as_u64().with_context(|| ack.to_string())?;
    }
    server.restart(Signal::KILL)?;
    Ok(last)
}

/// All payloads of a stream, by an ordered read.
async fn contents(server: &Server, stream: &str) -> Result<Vec<String>> {
    let mut api = Api::open(server).await?;
    let messages = api.state(stream).await?["messages"].as_u64().context("a count")?;
    if messages == 0 {
        return Ok(Vec::new());
    }
    api.consumer(stream, "reader", json!({"ack_policy": "none"}))
        .await?;
    let request = json!({"batch": messages, "expires": 20 * SECOND});
    let (read, status) = api.fetch(stream, "reader", request).await?;
    ensure!(
        status == 200,
        "status {status} after {} of {messages}",
        read.len()
    );
    Ok(texts(&read))
}

#[tokio::test]
async fn a_file_stream_keeps_what_it_acknowledged() -> Result<()> {
    let mut server = start("")?;
    Api::open(&server).await?.stream("kept", json!({})).await?;
    let mut before = 0;
    for _ in 0..3 {
        let last = killed_under_load(&mut server, "kept", 200).await?;
        ensure!(last >= before + 200, "{last} after {before}");
        let state = Api::open(&server).await?.state("kept").await?;
        before = state["last_seq"].as_u64().context("a sequence")?;
        ensure!(before >= last, "{last} was acknowledged, {state} is left");
        assert_eq!(state["messages"], before, "{state}");
    }
    let all = contents(&server, "kept").await?;
    for round in all.split(|payload| payload == "1").skip(1) {
        assert_eq!(round, numbers(2..=round.len() as u64 + 1), "order of a producer");
    }
    Ok(())
}

#[tokio::test]
async fn a_memory_stream_is_gone_after_a_restart() -> Result<()> {
    let mut server = start("")?;
    Api::open(&server)
        .await?
        .stream("memory", json!({"storage": "memory"}))
        .await?;
    killed_under_load(&mut server, "memory", 50).await?;
    let mut api = Api::open(&server).await?;
    api.refused(10059, "STREAM.INFO.memory", &Value::Null).await?;
    api.stream("memory", json!({"storage": "memory"})).await?;
    assert_eq!(api.stored("memory.a", "x").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_async_stream_may_lose_its_end_but_nothing_between() -> Result<()> {
    let mut server = start("")?;
    Api::open(&server)
        .await?
        .stream("fast", json!({"persist_mode": "async"}))
        .await?;
    killed_under_load(&mut server, "fast", 500).await?;
    let read = contents(&server, "fast").await?;
    assert_eq!(read, numbers(1..=read.len() as u64));
    let mut api = Api::open(&server).await?;
    assert_eq!(api.stored("fast.a", "x").await?, read.len() as u64 + 1);
    Ok(())
}

#[tokio::test]
async fn an_async_stream_is_whole_after_a_clean_stop() -> Result<()> {
    let mut server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("fast", json!({"persist_mode": "async"})).await?;
    api.fill("fast.a", 300).await?;
    server.restart(Signal::TERM)?;
    assert_eq!(contents(&server, "fast").await?, numbers(1..=300));
    Ok(())
}

#[tokio::test]
async fn a_confirmed_acknowledgement_is_kept() -> Result<()> {
    let mut server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    api.fill("s.a", 20).await?;
    let config = json!({"durable_name": "c", "ack_policy": "explicit", "ack_wait": SECOND});
    api.done("CONSUMER.CREATE.s.c", &consumer_config("s", "c", config))
        .await?;
    let (messages, _) = api
        .fetch("s", "c", json!({"batch": 10, "expires": SECOND}))
        .await?;
    for place in [0, 1, 2, 4] {
        api.request(&messages[place].reply, &[], b"+ACK").await?;
    }
    server.restart(Signal::KILL)?;
    let mut api = Api::open(&server).await?;
    let info = api.consumer_info("s", "c").await?;
    assert_eq!(info["ack_floor"]["stream_seq"], 3, "{info}");
    let (rest, _) = api
        .fetch("s", "c", json!({"batch": 16, "expires": 10 * SECOND}))
        .await?;
    let mut sequences = Vec::new();
    for message in &rest {
        let (seq, deliveries) = (message.delivery(3)?, message.deliveries()?);
        ensure!(
            seq > 10 || deliveries > 1,
            "{seq} was delivered before, but this is delivery {deliveries}"
        );
        sequences.push(seq);
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (4..=20).filter(|seq| *seq != 5).collect::<Vec<u64>>());
    Ok(())
}

#[tokio::test]
async fn changes_are_kept_with_the_messages() -> Result<()> {
    let mut server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"max_msgs": 100, "metadata": {"a": "b"}}))
        .await?;
    api.fill("s.a", 10).await?;
    api.fill("s.b", 10).await?;
    api.done("STREAM.MSG.DELETE.s", &json!({"seq": 3})).await?;
    api.done("STREAM.PURGE.s", &json!({"filter": "s.b", "keep": 1}))
        .await?;
    let update = json!({"name": "s", "subjects": ["s.>", "t"], "max_msgs": 50, "metadata": {"a": "c"}});
    api.done("STREAM.UPDATE.s", &update).await?;
    api.stream("deleted", json!({})).await?;
    api.stored("deleted.a", "x").await?;
    api.done("STREAM.DELETE.deleted", &Value::Null).await?;
    let before = api
        .done("STREAM.INFO.s", &json!({"deleted_details": true}))
        .await?;
    server.restart(Signal::KILL)?;
    let mut api = Api::open(&server).await?;
    let after = api
        .done("STREAM.INFO.s", &json!({"deleted_details": true}))
        .await?;
    for part in ["config", "state", "created"] {
        assert_eq!(after[part], before[part]);
    }
    assert_eq!(after["state"]["messages"], 10);
    api.refused(10059, "STREAM.INFO.deleted", &Value::Null).await?;
    assert_eq!(api.stored("t", "x").await?, 21);
    Ok(())
}

#[tokio::test]
async fn compare_and_set_holds_across_a_kill() -> Result<()> {
    let mut server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream(
        "KV_b",
        json!({"subjects": ["$KV.b.>"], "max_msgs_per_subject": 1, "discard": "new"}),
    )
    .await?;
    let set = |last: u64| [("Nats-Expected-Last-Subject-Sequence", last.to_string())];
    let mut revision = 0;
    for round in 0..3_u64 {
        for number in 0..20_u64 {
            let headers = set(revision);
            let headers = [(headers[0].0, headers[0].1.as_str())];
            let ack = api.put("$KV.b.k", &headers, format!("{round}-{number}")).await?;
            revision = ack["seq"].as_u64().with_context(|| ack.to_string())?;
        }
        server.restart(Signal::KILL)?;
        api = Api::open(&server).await?;
        let headers = set(revision - 1);
        let late = api
            .put("$KV.b.k", &[(headers[0].0, headers[0].1.as_str())], "late")
            .await?;
        assert_eq!(late["error"]["err_code"], 10071, "{late}");
        let last = api
            .done("STREAM.MSG.GET.KV_b", &json!({"last_by_subj": "$KV.b.k"}))
            .await?;
        assert_eq!(last["message"]["seq"], revision);
    }
    Ok(())
}
