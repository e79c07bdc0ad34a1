//! Direct gets of many messages.

use anyhow::Result;
use mainstem_tests::jetstream::{Api, start};
use serde_json::json;

#[tokio::test]
async fn a_batch_is_complete_however_long_and_large() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({"allow_direct": true})).await?;
    api.fill("s.a", 2000).await?;
    let large = "x".repeat(200_000);
    for _ in 0..20 {
        api.stored("s.b", &large).await?;
    }
    for get in [
        json!({"seq": 1, "batch": 5000}),
        json!({"seq": 1, "batch": 5000, "max_bytes": u32::MAX, "next_by_subj": "s.*"}),
    ] {
        let inbox = api.subscribe("many").await?;
        let body = get.to_string();
        let request = format!("PUB $JS.API.DIRECT.GET.s many {}\r\n{body}\r\n", body.len());
        api.send_raw(request.as_bytes()).await?;
        for number in 1..=2020_u32 {
            let message = api.next(&inbox).await?;
            assert_eq!(message.header("Nats-Sequence"), Some(number.to_string().as_str()));
            let left = (2020 - number).to_string();
            assert_eq!(message.header("Nats-Num-Pending"), Some(left.as_str()));
        }
        let end = api.next(&inbox).await?;
        assert_eq!(end.status(), Some(204));
        assert_eq!(end.header("Nats-Last-Sequence"), Some("2020"));
        api.unsubscribe(&inbox).await?;
    }
    Ok(())
}
