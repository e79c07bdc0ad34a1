//! What is not built yet is refused by name, never half done.

use anyhow::{Result, ensure};
use mainstem_tests::jetstream::{Api, consumer_config, start, stream_config};
use serde_json::json;

#[tokio::test]
async fn a_stream_that_needs_it_is_refused() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    let configs = [
        json!({"mirror": {"name": "other"}, "subjects": []}),
        json!({"sources": [{"name": "other"}]}),
        json!({"republish": {"src": ">", "dest": "r.>"}}),
        json!({"subject_transform": {"src": ">", "dest": "r.>"}}),
        json!({"placement": {"cluster": "east"}}),
        json!({"subject_delete_marker_ttl": 1_000_000_000_u64}),
        json!({"allow_msg_counter": true}),
        json!({"allow_atomic": true}),
        json!({"allow_batched": true}),
        json!({"allow_msg_schedules": true}),
    ];
    for config in configs {
        let body = stream_config("s", config);
        api.refused(10052, "STREAM.CREATE.s", &body).await?;
    }
    api.refused(
        10074,
        "STREAM.CREATE.s",
        &stream_config("s", json!({"num_replicas": 3})),
    )
    .await?;
    assert_eq!(api.done("STREAM.NAMES", &json!(null)).await?["total"], 0);
    Ok(())
}

#[tokio::test]
async fn a_consumer_that_needs_it_is_refused() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    let configs = [
        json!({"priority_groups": ["g"], "priority_policy": "overflow", "ack_policy": "explicit"}),
        json!({"pause_until": "2099-01-01T00:00:00Z", "ack_policy": "explicit"}),
    ];
    for config in configs {
        let body = consumer_config("s", "c", config);
        api.refused(10012, "CONSUMER.CREATE.s.c", &body).await?;
    }
    assert_eq!(api.state("s").await?["consumer_count"], 0);
    Ok(())
}

#[tokio::test]
async fn a_message_that_needs_it_is_refused() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"allow_msg_ttl": true})).await?;
    let ack = api.put("s.a", &[("Nats-TTL", "1s")], "x").await?;
    assert_eq!(ack["error"]["err_code"], 10166, "{ack}");
    for headers in [
        [("Nats-Incr", "1")].as_slice(),
        &[("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", "1")],
        &[
            ("Nats-Schedule", "@at 2099-01-01T00:00:00Z"),
            ("Nats-Schedule-Target", "s.b"),
        ],
    ] {
        let ack = api.put("s.a", headers, "1").await?;
        ensure!(ack["error"]["err_code"].is_u64(), "{headers:?}: {ack}");
    }
    assert_eq!(api.state("s").await?["messages"], 0);
    Ok(())
}

#[tokio::test]
async fn subjects_that_are_not_served_have_no_responders() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for name in [
        "STREAM.SNAPSHOT.s",
        "STREAM.RESTORE.t",
        "STREAM.LEADER.STEPDOWN.s",
        "CONSUMER.PAUSE.s.c",
        "CONSUMER.RESET.s.c",
        "CONSUMER.UNPIN.s.c",
        "META.LEADER.STEPDOWN",
        "NONSENSE",
    ] {
        let answer = api.request(&format!("$JS.API.{name}"), &[], b"").await?;
        assert_eq!(answer.status(), Some(503), "{name}: {answer:?}");
    }
    Ok(())
}
