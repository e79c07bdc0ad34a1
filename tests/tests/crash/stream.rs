//! Reading a stream whole.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::Api;
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;
const BATCH: u64 = 1000;

/// All messages of a stream from `from` on, by sequence.
pub async fn read(api: &mut Api, stream: &str, from: u64) -> Result<BTreeMap<u64, String>> {
    let name = format!("reader{}", std::process::id());
    let config = json!({
        "ack_policy": "none", "deliver_policy": "by_start_sequence", "opt_start_seq": from.max(1), "mem_storage": true,
    });
    let created = api.consumer(stream, &name, config).await?;
    let mut left = created["num_pending"]
        .as_u64()
        .context("how much there is to read")?;
    let mut all = BTreeMap::new();
    let mut last = 0;
    while left > 0 {
        let batch = left.min(BATCH);
        let (messages, status) = api
            .fetch(stream, &name, json!({"batch": batch, "expires": 10 * SECOND}))
            .await?;
        ensure!(
            status == 200,
            "status {status} with {left} left to read of {stream}"
        );
        for message in &messages {
            let sequence = message.delivery(3)?;
            ensure!(
                sequence > last,
                "{stream}: sequence {sequence} is read after {last}"
            );
            last = sequence;
            all.insert(sequence, message.text());
        }
        left -= batch;
    }
    api.done(&format!("CONSUMER.DELETE.{stream}.{name}"), &json!(null))
        .await?;
    Ok(all)
}

/// The sequence in a publish's answer, if it was stored. A refusal has a sequence too: 0.
pub fn stored(answer: &Value) -> Option<u64> {
    if answer["error"].is_null() {
        answer["seq"].as_u64()
    } else {
        None
    }
}
