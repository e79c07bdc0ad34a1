//! The official client async-nats uses buckets of our broker: the checks of `tests/clients/README.md`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use async_nats::jetstream::kv::{self, Operation};
use bytes::Bytes;
use futures_util::StreamExt;
use mainstem_tests::clients::start_broker;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn key_value() -> Result<()> {
    let server = start_broker()?;
    let context = jetstream::new(async_nats::connect(server.nats_address()?.to_string()).await?);
    let config = kv::Config {
        bucket: "b".to_owned(),
        history: 3,
        ..kv::Config::default()
    };
    let bucket = context.create_key_value(config).await?;
    let mut watch = bucket.watch_all().await?;
    let first = bucket.put("k", "one".into()).await?;
    let second = bucket.update("k", "two".into(), first).await?;
    ensure!(
        bucket.update("k", "late".into(), first).await.is_err(),
        "an old revision was updated"
    );
    ensure!(
        bucket.create("k", "new".into()).await.is_err(),
        "a key was created twice"
    );
    assert_eq!(bucket.get("k").await?, Some("two".into()));
    bucket.delete("k").await?;
    assert_eq!(bucket.get("k").await?, None);
    bucket.create("k", "again".into()).await?;
    bucket.create("other", "x".into()).await?;
    bucket.purge("other").await?;
    let mut keys: Vec<_> = bucket.keys().await?.collect().await;
    assert_eq!(keys.pop().context("a key")??, "k");
    ensure!(keys.is_empty(), "{keys:?}");
    let mut history = bucket.history("k").await?;
    let mut values = Vec::new();
    while let Some(entry) = timeout(PATIENCE, history.next()).await? {
        let entry = entry?;
        values.push((entry.operation, entry.value));
    }
    let put = |text: &'static str| (Operation::Put, Bytes::from_static(text.as_bytes()));
    assert_eq!(
        values,
        [put("two"), (Operation::Delete, Bytes::new()), put("again")]
    );
    let old = bucket
        .entry_for_revision("k", second)
        .await?
        .context("an old revision")?;
    assert_eq!(old.value, "two");
    for wanted in ["k", "k", "k", "k", "other", "other"] {
        let entry = timeout(PATIENCE, watch.next()).await?.context("the end")??;
        assert_eq!(entry.key, wanted);
    }
    context.delete_key_value("b").await?;
    ensure!(
        context.get_key_value("b").await.is_err(),
        "the bucket is still there"
    );
    Ok(())
}
