//! Accounts: each has its own streams, and the limits that it was given.

use anyhow::{Context, Result, ensure};
use mainstem_tests::jetstream::{Api, consumer_config, start, stream_config};
use mainstem_tests::server::Signal;
use serde_json::{Value, json};

const ACCOUNTS: &str = r#"
accounts {
  A { users: [{user: a, password: a}], jetstream: enabled }
  B { users: [{user: b, password: b}]
      jetstream { max_mem: 10KB, max_file: 100KB, max_streams: 2, max_consumers: 1 } }
  C { users: [{user: c, password: c}] }
}
"#;

fn user(name: &str) -> String {
    format!(r#""user":"{name}","pass":"{name}""#)
}

#[tokio::test]
async fn accounts_do_not_see_each_other() -> Result<()> {
    let server = start(ACCOUNTS)?;
    let mut a = Api::login(&server, &user("a")).await?;
    let mut b = Api::login(&server, &user("b")).await?;
    for api in [&mut a, &mut b] {
        api.stream("s", json!({"max_bytes": 10_000})).await?;
    }
    a.fill("s.x", 5).await?;
    b.fill("s.x", 2).await?;
    a.done("STREAM.MSG.DELETE.s", &json!({"seq": 1})).await?;
    assert_eq!(a.state("s").await?["messages"], 4);
    assert_eq!(b.state("s").await?["messages"], 2);
    b.done("STREAM.DELETE.s", &Value::Null).await?;
    assert_eq!(a.stored("s.x", "x").await?, 6);
    assert_eq!(b.request("s.x", &[], b"x").await?.status(), Some(503));
    Ok(())
}

#[tokio::test]
async fn an_account_without_jetstream_is_told_so() -> Result<()> {
    let server = start(ACCOUNTS)?;
    let mut c = Api::login(&server, &user("c")).await?;
    let answer = c.request("$JS.API.INFO", &[], b"").await?;
    let refused = match answer.status() {
        Some(status) => status == 503,
        None => serde_json::from_slice::<Value>(&answer.payload)?["error"]["err_code"] == 10039,
    };
    assert!(refused, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn an_account_gets_no_more_than_its_limits() -> Result<()> {
    let server = start(ACCOUNTS)?;
    let mut b = Api::login(&server, &user("b")).await?;
    b.stream("s1", json!({"max_bytes": 60_000})).await?;
    let large = stream_config("s2", json!({"max_bytes": 60_000}));
    b.refused(10047, "STREAM.CREATE.s2", &large).await?;
    let memory = stream_config("s2", json!({"max_bytes": 20_000, "storage": "memory"}));
    b.refused(10028, "STREAM.CREATE.s2", &memory).await?;
    b.stream("s2", json!({"max_bytes": 5000, "storage": "memory"}))
        .await?;
    b.refused(
        10027,
        "STREAM.CREATE.s3",
        &stream_config("s3", json!({"max_bytes": 100})),
    )
    .await?;
    b.consumer("s1", "c1", json!({"ack_policy": "explicit"})).await?;
    let second = consumer_config("s1", "c2", json!({"ack_policy": "explicit"}));
    b.refused(10026, "CONSUMER.CREATE.s1.c2", &second).await?;
    let info = b.done("INFO", &Value::Null).await?;
    let limits = json!({"max_memory": 10240, "max_storage": 102_400, "max_streams": 2, "max_consumers": 1});
    for (name, limit) in limits.as_object().context("an object")? {
        assert_eq!(&info["limits"][name], limit, "{info}");
    }
    assert_eq!(
        (&info["streams"], &info["consumers"]),
        (&json!(2), &json!(1)),
        "{info}"
    );
    Ok(())
}

#[tokio::test]
async fn an_account_that_is_full_refuses_to_store() -> Result<()> {
    let server = start(ACCOUNTS)?;
    let mut b = Api::login(&server, &user("b")).await?;
    let mut a = Api::login(&server, &user("a")).await?;
    a.stream("s", json!({})).await?;
    b.stream("s", json!({"storage": "memory"})).await?;
    let payload = [b'x'; 1000];
    let mut stored = 0;
    let error = loop {
        let ack = b.put("s.a", &[], payload).await?;
        if ack["error"].is_object() {
            break ack["error"].clone();
        }
        stored += 1;
        assert!(stored < 20, "stored {stored} KB of 10");
    };
    assert_eq!(error["err_code"], 10002, "{error}");
    assert!(stored >= 5, "only {stored} were stored");
    a.stored("s.a", payload).await?;
    b.done("STREAM.PURGE.s", &Value::Null).await?;
    b.stored("s.a", payload).await?;
    let info = b.done("INFO", &Value::Null).await?;
    assert!(
        info["memory"]
            .as_u64()
            .is_some_and(|bytes| (1000..2000).contains(&bytes)),
        "{info}"
    );
    Ok(())
}

#[tokio::test]
async fn a_reload_gives_accounts_streams_and_other_limits() -> Result<()> {
    let server = start(ACCOUNTS)?;
    let mut b = Api::login(&server, &user("b")).await?;
    let mut c = Api::login(&server, &user("c")).await?;
    c.refused(10039, "INFO", &Value::Null).await?;
    b.stream("s1", json!({"max_bytes": 100})).await?;
    let changed = ACCOUNTS.replace("max_streams: 2", "max_streams: 1").replace(
        "{user: c, password: c}] }",
        "{user: c, password: c}], jetstream: enabled }",
    );
    ensure!(!changed.contains("max_streams: 2"), "{changed}");
    std::fs::write(server.folder().join("server.conf"), changed)?;
    server.signal(Signal::HUP)?;
    server.await_log("Reloaded server configuration")?;
    c.stream("s", json!({})).await?;
    assert_eq!(c.stored("s.a", "x").await?, 1);
    c.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
    assert_eq!(c.consume("s", "c", 1).await?, ["x"]);
    let second = stream_config("s2", json!({"max_bytes": 100}));
    b.refused(10027, "STREAM.CREATE.s2", &second).await?;
    Ok(())
}
