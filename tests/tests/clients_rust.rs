//! The official client async-nats exchanges messages with our broker: the checks of `tests/clients/README.md`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::client::RequestErrorKind;
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream::select_all;
use mainstem_tests::clients::start_broker;
use mainstem_tests::server::Server;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// A broker, a client, and what the client said of its connection.
struct Bench {
    client: Client,
    events: mpsc::Receiver<Event>,
    server: Server,
}

impl Bench {
    async fn start() -> Result<Self> {
        let server = start_broker()?;
        let (sender, events) = mpsc::channel(64);
        let options = ConnectOptions::new().event_callback(move |event| {
            let sender = sender.clone();
            async move { drop(sender.send(event).await) }
        });
        let client = options.connect(server.nats_address()?.to_string()).await?;
        Ok(Self {
            client,
            events,
            server,
        })
    }

    /// Nothing but the connection's start was reported.
    fn assert_steady(mut self) -> Result<()> {
        while let Ok(event) = self.events.try_recv() {
            ensure!(event == Event::Connected, "{event}\n{}", self.server.log());
        }
        Ok(())
    }
}

async fn gather(subscriber: &mut Subscriber, count: usize) -> Result<Vec<Bytes>> {
    let mut payloads = Vec::new();
    while payloads.len() < count {
        let next = timeout(PATIENCE, subscriber.next()).await;
        let message = next.with_context(|| format!("got {} of {count}", payloads.len()))?;
        payloads.push(message.context("the subscription ended")?.payload);
    }
    Ok(payloads)
}

/// Returns once the broker has done all that the client sent before. (`flush` only empties the client's buffer.)
async fn round_trip(client: &Client) -> Result<()> {
    let answer = timeout(PATIENCE, client.request("nobody", "".into())).await?;
    ensure!(answer.is_err(), "somebody answered");
    Ok(())
}

fn numbers(count: usize) -> Vec<Bytes> {
    (0..count).map(|number| number.to_string().into()).collect()
}

#[tokio::test]
async fn connect() -> Result<()> {
    let bench = Bench::start().await?;
    let info = bench.client.server_info();
    ensure!(info.version.starts_with("2.14."), "version {}", info.version);
    ensure!(info.max_payload == 1 << 20, "max_payload {}", info.max_payload);
    ensure!(info.headers, "no headers");
    round_trip(&bench.client).await?;
    bench.assert_steady()
}

#[tokio::test]
async fn pub_sub() -> Result<()> {
    let bench = Bench::start().await?;
    let mut subscriber = bench.client.subscribe("a").await?;
    let every_byte: Vec<u8> = (0..=255).collect();
    let sent: Vec<Bytes> = numbers(1000)
        .iter()
        .map(|number| [&every_byte[..], b"\r\n", number].concat().into())
        .collect();
    for payload in &sent {
        bench.client.publish("a", payload.clone()).await?;
    }
    ensure!(
        gather(&mut subscriber, sent.len()).await? == sent,
        "other messages, or another order"
    );
    bench.assert_steady()
}

#[tokio::test]
async fn wildcards() -> Result<()> {
    let bench = Bench::start().await?;
    let mut one = bench.client.subscribe("w.*.end").await?;
    let mut rest = bench.client.subscribe("w.>").await?;
    for subject in ["w.a.end", "w.b.end", "w.a.b.end", "w", "w.a", "last"] {
        bench.client.publish(subject, subject.into()).await?;
    }
    bench.client.publish("w.z.end", "w.z.end".into()).await?;
    assert_eq!(gather(&mut one, 3).await?, ["w.a.end", "w.b.end", "w.z.end"]);
    assert_eq!(
        gather(&mut rest, 5).await?,
        ["w.a.end", "w.b.end", "w.a.b.end", "w.a", "w.z.end"]
    );
    bench.assert_steady()
}

#[tokio::test]
async fn queue_group() -> Result<()> {
    let bench = Bench::start().await?;
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(bench.client.queue_subscribe("q", "workers".into()).await?);
    }
    for number in numbers(300) {
        bench.client.publish("q", number).await?;
    }
    let mut together = select_all(members);
    let mut got = Vec::new();
    while got.len() < 300 {
        let next = timeout(PATIENCE, together.next())
            .await
            .with_context(|| format!("got {} of 300", got.len()))?;
        got.push(next.context("the group ended")?.payload);
    }
    let mut wanted = numbers(300);
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
    bench.assert_steady()
}

#[tokio::test]
async fn request_reply() -> Result<()> {
    let bench = Bench::start().await?;
    let mut requests = bench.client.subscribe("service").await?;
    let replier = bench.client.clone();
    let service = tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let Some(reply) = request.reply else { continue };
            let answer = [b"re: ", &request.payload[..]].concat();
            replier.publish(reply, answer.into()).await?;
        }
        anyhow::Ok(())
    });
    let client = &bench.client;
    let answers = numbers(50)
        .into_iter()
        .map(|number| client.request("service", number));
    for (number, answer) in try_join_all(answers).await?.iter().enumerate() {
        assert_eq!(answer.payload, format!("re: {number}"));
    }
    service.abort();
    bench.assert_steady()
}

#[tokio::test]
async fn no_responders() -> Result<()> {
    let bench = Bench::start().await?;
    let answer = bench.client.request("nobody", "".into()).await;
    let kind = answer.err().context("the request was answered")?.kind();
    assert_eq!(kind, RequestErrorKind::NoResponders);
    bench.assert_steady()
}

#[tokio::test]
async fn headers() -> Result<()> {
    let bench = Bench::start().await?;
    let mut subscriber = bench.client.subscribe("h").await?;
    let mut sent = HeaderMap::new();
    sent.insert("Trace-Id", "a b:c");
    sent.append("Many", "one");
    sent.append("Many", "two");
    bench
        .client
        .publish_with_headers("h", sent.clone(), "".into())
        .await?;
    let message = timeout(PATIENCE, subscriber.next())
        .await?
        .context("the subscription ended")?;
    assert_eq!(message.headers, Some(sent));
    assert_eq!(message.payload, "");
    bench.assert_steady()
}

#[tokio::test]
async fn auto_unsubscribe() -> Result<()> {
    let bench = Bench::start().await?;
    let mut limited = bench.client.subscribe("m").await?;
    limited.unsubscribe_after(3).await?;
    let mut other = bench.client.subscribe("m").await?;
    for number in numbers(5) {
        bench.client.publish("m", number).await?;
    }
    assert_eq!(gather(&mut other, 5).await?, numbers(5));
    assert_eq!(gather(&mut limited, 3).await?, numbers(3));
    ensure!(
        timeout(PATIENCE, limited.next()).await?.is_none(),
        "a fourth message"
    );
    bench.assert_steady()
}

#[tokio::test]
async fn large_payload() -> Result<()> {
    let bench = Bench::start().await?;
    let mut subscriber = bench.client.subscribe("l").await?;
    let size = bench.client.server_info().max_payload;
    let payload: Bytes = b"\0\r\n\xff".iter().copied().cycle().take(size).collect();
    bench.client.publish("l", payload.clone()).await?;
    ensure!(
        gather(&mut subscriber, 1).await? == [payload],
        "the payload changed on its way"
    );
    ensure!(
        bench.client.publish("l", vec![0; size + 1].into()).await.is_err(),
        "one byte too many was sent"
    );
    bench.assert_steady()
}

#[tokio::test]
async fn drain() -> Result<()> {
    let bench = Bench::start().await?;
    let leaving = async_nats::connect(bench.server.nats_address()?.to_string()).await?;
    let mut subscriber = leaving.subscribe("d").await?;
    round_trip(&leaving).await?;
    for number in numbers(100) {
        bench.client.publish("d", number).await?;
    }
    round_trip(&bench.client).await?;
    leaving.drain().await?;
    assert_eq!(gather(&mut subscriber, 100).await?, numbers(100));
    ensure!(
        timeout(PATIENCE, subscriber.next()).await?.is_none(),
        "a message after the drain"
    );
    bench.assert_steady()
}
