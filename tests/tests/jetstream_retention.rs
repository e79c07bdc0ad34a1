//! Streams that keep a message only as long as somebody needs it.

use anyhow::Result;
use mainstem_tests::jetstream::{Api, consumer_config, numbers, start};
use serde_json::json;

#[tokio::test]
async fn a_work_queue_forgets_what_is_acknowledged() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("q", json!({"retention": "workqueue"})).await?;
    api.fill("q.a", 10).await?;
    api.consumer("q", "worker", json!({"ack_policy": "explicit"}))
        .await?;
    assert_eq!(api.consume("q", "worker", 4).await?, numbers(1..=4));
    let state = api.until_state("q", |state| state["messages"] == 6).await?;
    assert_eq!(state["first_seq"], 5);
    let (messages, _) = api.fetch("q", "worker", json!({"batch": 2})).await?;
    api.request(&messages[1].reply, &[], b"+TERM").await?;
    let state = api.until_state("q", |state| state["messages"] == 5).await?;
    assert_eq!(state["first_seq"], 5, "the fifth is not acknowledged");
    Ok(())
}

#[tokio::test]
async fn consumers_of_a_work_queue_do_not_overlap() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("q", json!({"retention": "workqueue"})).await?;
    let refused = [
        (10084, json!({"ack_policy": "none"})),
        (10101, json!({"ack_policy": "explicit", "deliver_policy": "new"})),
    ];
    for (err_code, config) in refused {
        api.refused(
            err_code,
            "CONSUMER.CREATE.q.w",
            &consumer_config("q", "w", config),
        )
        .await?;
    }
    api.consumer(
        "q",
        "a",
        json!({"ack_policy": "explicit", "filter_subject": "q.a"}),
    )
    .await?;
    api.consumer(
        "q",
        "b",
        json!({"ack_policy": "explicit", "filter_subject": "q.b"}),
    )
    .await?;
    let overlapping = consumer_config(
        "q",
        "c",
        json!({"ack_policy": "explicit", "filter_subject": "q.*"}),
    );
    api.refused(10100, "CONSUMER.CREATE.q.c", &overlapping).await?;
    let all = consumer_config("q", "d", json!({"ack_policy": "explicit"}));
    api.refused(10099, "CONSUMER.CREATE.q.d", &all).await?;
    api.stored("q.a", "1").await?;
    api.stored("q.b", "2").await?;
    assert_eq!(api.consume("q", "b", 1).await?, ["2"]);
    assert_eq!(api.consume("q", "a", 1).await?, ["1"]);
    api.until_state("q", |state| state["messages"] == 0).await?;
    Ok(())
}

#[tokio::test]
async fn a_stream_of_interest_waits_for_every_consumer() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("i", json!({"retention": "interest"})).await?;
    api.stored("i.a", "nobody wants it").await?;
    assert_eq!(api.state("i").await?["messages"], 0);
    api.consumer("i", "one", json!({"ack_policy": "explicit"}))
        .await?;
    api.consumer(
        "i",
        "two",
        json!({"ack_policy": "explicit", "filter_subject": "i.a"}),
    )
    .await?;
    api.fill("i.a", 2).await?;
    api.fill("i.b", 1).await?;
    api.stored("i.b", "4").await?;
    assert_eq!(api.state("i").await?["messages"], 4);
    assert_eq!(api.consume("i", "one", 3).await?, ["1", "2", "1"]);
    let state = api.until_state("i", |state| state["messages"] == 3).await?;
    assert_eq!(
        state["first_seq"], 2,
        "the other consumer has not had the second message"
    );
    assert_eq!(api.consume("i", "two", 1).await?, ["1"]);
    let state = api.until_state("i", |state| state["messages"] == 2).await?;
    assert_eq!(state["first_seq"], 3);
    Ok(())
}

#[tokio::test]
async fn a_deleted_consumer_needs_nothing() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("i", json!({"retention": "interest"})).await?;
    for name in ["one", "two"] {
        api.consumer("i", name, json!({"ack_policy": "explicit"})).await?;
    }
    api.fill("i.a", 4).await?;
    api.consume("i", "one", 3).await?;
    assert_eq!(api.state("i").await?["messages"], 4);
    api.done("CONSUMER.DELETE.i.two", &json!(null)).await?;
    let state = api.until_state("i", |state| state["messages"] == 1).await?;
    assert_eq!(state["first_seq"], 4);
    Ok(())
}

#[tokio::test]
async fn limits_hold_for_a_work_queue_too() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("q", json!({"retention": "workqueue", "max_msgs": 3}))
        .await?;
    api.consumer("q", "worker", json!({"ack_policy": "explicit"}))
        .await?;
    api.fill("q.a", 5).await?;
    assert_eq!(api.consume("q", "worker", 3).await?, numbers(3..=5));
    api.until_state("q", |state| state["messages"] == 0).await?;
    Ok(())
}
