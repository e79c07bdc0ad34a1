//! Monitoring of a running broker: what it says of a client that does known things.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt;
use mainstem_tests::binaries;
use mainstem_tests::server::{Launch, PATIENCE, Server};
use serde_json::{Value, json};
use tokio::time::timeout;

const VARZ: &str = include_str!("../../broker/fronts/nats/src/monitor/golden/varz.json");

fn start(config: &str) -> Result<Server> {
    Launch::nats_server(&binaries::broker()?, &format!("http: \"127.0.0.1:-1\"\n{config}"))?.start()
}

async fn connect(server: &Server) -> Result<Client> {
    Ok(ConnectOptions::new()
        .name("watched")
        .connect(server.nats_address()?.to_string())
        .await?)
}

/// Returns once the broker has done all that the client sent before.
async fn round_trip(client: &Client) -> Result<()> {
    ensure!(
        client.request("nobody", "".into()).await.is_err(),
        "somebody answered"
    );
    Ok(())
}

/// Status line and body of an answer.
fn get(server: &Server, path: &str) -> Result<(String, String)> {
    let address: SocketAddr = server.address("monitoring")?;
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
    Ok((
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    ))
}

fn json(server: &Server, path: &str) -> Result<Value> {
    let (status, body) = get(server, path)?;
    ensure!(status.contains("200 OK"), "{path}: {status}: {body}");
    Ok(serde_json::from_str(&body)?)
}

/// Asks until the connection is closed: there is no event to wait for.
async fn closed_connection(server: &Server, cid: u64) -> Result<Value> {
    loop {
        let connz = json(server, &format!("/connz?state=closed&cid={cid}"))?;
        if connz["num_connections"] == 1 {
            return Ok(connz["connections"][0].clone());
        }
        tokio::task::yield_now().await;
    }
}

/// The kind of each value, so that two answers can be compared without their figures.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(_) => "array".into(),
        Value::String(_) => "string".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "bool".into(),
        Value::Null => "null".into(),
    }
}

#[tokio::test]
async fn varz_has_nats_servers_fields_and_the_clients_traffic() -> Result<()> {
    let server = start("")?;
    let client = connect(&server).await?;
    let mut subscriber = client.subscribe("a").await?;
    client.publish("a", "hello".into()).await?;
    client.publish("a", "world".into()).await?;
    client.publish("b", "!".into()).await?;
    subscriber.next().await.context("a message")?;
    subscriber.next().await.context("a message")?;
    round_trip(&client).await?;

    let mut recorded: Value = serde_json::from_str(VARZ)?;
    let mut ours = json(&server, "/varz")?;
    for varz in [&mut recorded, &mut ours] {
        let fields = varz.as_object_mut().context("an object")?;
        // Flags of nats-server's inner workings, and addresses that depend on the machine.
        for optional in ["feature_flags", "connect_urls", "http_req_stats", "git_commit"] {
            fields.remove(optional);
        }
    }
    assert_eq!(shape(&ours), shape(&recorded));
    // The request to nobody is the fourth message, its answer the third.
    assert_eq!(
        (&ours["connections"], &ours["total_connections"]),
        (&json!(1), &json!(1))
    );
    assert_eq!((&ours["in_msgs"], &ours["in_bytes"]), (&json!(4), &json!(11)));
    Ok(())
}

#[tokio::test]
async fn connz_follows_a_connection_from_open_to_closed() -> Result<()> {
    let server = start("")?;
    let client = connect(&server).await?;
    let _subscriber = client.queue_subscribe("orders.*", "workers".into()).await?;
    round_trip(&client).await?;

    let connz = json(&server, "/connz?subs=detail&auth=1")?;
    assert_eq!(
        (&connz["num_connections"], &connz["total"]),
        (&json!(1), &json!(1))
    );
    let connection = &connz["connections"][0];
    assert_eq!(
        (&connection["name"], &connection["lang"]),
        (&json!("watched"), &json!("rust"))
    );
    assert_eq!(
        (&connection["kind"], &connection["type"]),
        (&json!("Client"), &json!("nats"))
    );
    let details = connection["subscriptions_list_detail"]
        .as_array()
        .context("subscriptions")?;
    let orders = details
        .iter()
        .find(|sub| sub["subject"] == "orders.*")
        .context("the subscription")?;
    assert_eq!(
        (&orders["qgroup"], &orders["cid"]),
        (&json!("workers"), &connection["cid"])
    );

    let cid = connection["cid"].as_u64().context("an id")?;
    client.drain().await?;
    let closed = timeout(PATIENCE, closed_connection(&server, cid)).await??;
    assert_eq!(closed["reason"], "Client Closed");
    assert!(closed["stop"].is_string());
    Ok(())
}

#[tokio::test]
async fn subsz_lists_and_tests_subscriptions() -> Result<()> {
    let server = start("")?;
    let client = connect(&server).await?;
    let _one = client.subscribe("test.*.a").await?;
    let _other = client.subscribe("test.b").await?;
    round_trip(&client).await?;
    let subsz = json(&server, "/subsz?subs=1&acc=$G&test=test.x.a")?;
    let subjects: Vec<_> = subsz["subscriptions_list"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|s| &s["subject"])
        .collect();
    assert_eq!(subjects, ["test.*.a"]);
    Ok(())
}

#[tokio::test]
async fn bad_queries_and_unknown_paths() -> Result<()> {
    let server = start("")?;
    let answer = |path: &str| get(&server, path).map(|(status, body)| (status[9..12].to_owned(), body));
    assert_eq!(answer("/healthz")?, ("200".into(), r#"{"status":"ok"}"#.into()));
    assert_eq!(answer("/nope")?, ("404".into(), "404 page not found\n".into()));
    assert_eq!(
        answer("/connz?sort=bad")?,
        ("400".into(), "invalid sorting option: bad".into())
    );
    assert_eq!(
        answer("/connz?state=zz")?,
        ("400".into(), "Error decoding state for zz".into())
    );
    assert_eq!(
        answer("/subsz?limit=x")?,
        (
            "400".into(),
            r#"Error decoding int for 'limit': strconv.Atoi: parsing "x": invalid syntax"#.into()
        )
    );
    Ok(())
}

#[tokio::test]
async fn accounts_count_their_own_traffic() -> Result<()> {
    let config =
        "accounts { A { users [ {user: a, password: p} ] }, B { users [ {user: b, password: p} ] } }";
    let server = start(config)?;
    let options = ConnectOptions::with_user_and_password("a".into(), "p".into());
    let client = options.connect(server.nats_address()?.to_string()).await?;
    client.publish("x", "12345".into()).await?;
    round_trip(&client).await?;
    let statz = json(&server, "/accstatz")?;
    let accounts = statz["account_statz"].as_array().context("accounts")?;
    let a = accounts
        .iter()
        .find(|account| account["acc"] == "A")
        .context("account A")?;
    assert_eq!(
        (&a["conns"], &a["received"]["msgs"], &a["received"]["bytes"]),
        (&json!(1), &json!(2), &json!(5))
    );
    assert!(accounts.iter().all(|account| account["acc"] != "B"));
    let connz = json(&server, "/connz?acc=A&auth=1")?;
    assert_eq!(connz["connections"][0]["authorized_user"], "a");
    assert_eq!(connz["connections"][0]["account"], "A");
    Ok(())
}
