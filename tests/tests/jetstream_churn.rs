//! Many clients pull while consumers come and go: every request gets an end, and every message arrives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mainstem_tests::jetstream::{Api, consumer_config, publication, start};
use mainstem_tests::random::Random;
use mainstem_tests::server::Server;
use mainstem_tests::wire::PATIENCE;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MILLISECOND: u64 = 1_000_000;

/// Durable consumers, each with messages of its own and several clients.
const CONSUMERS: u64 = 3;
const CLIENTS: u64 = 6;
const MESSAGES: u64 = 2000;

/// Clients that make consumers of their own, and delete them while they ask.
const CHURNERS: u64 = 6;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    All,
    Status(u16),
}

/// Subscribes and asks in one go, so that nothing is between the two, and takes what comes until the request ends.
/// What came is acknowledged.
async fn pull(api: &mut Api, consumer: &str, request: Value, inbox: &str) -> Result<(Vec<u64>, End)> {
    let sid = ask(api, consumer, &request, inbox).await?;
    collect(api, &sid, &request).await
}

async fn ask(api: &mut Api, consumer: &str, request: &Value, inbox: &str) -> Result<String> {
    let sid = format!("9{inbox}");
    let inbox = format!("_INBOX.churn.{inbox}");
    let mut bytes = format!("SUB {inbox} {sid}\r\n").into_bytes();
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.s.{consumer}");
    bytes.extend(publication(&subject, &inbox, &[], request.to_string().as_bytes()));
    api.send_raw(&bytes).await?;
    Ok(sid)
}

async fn collect(api: &mut Api, sid: &str, request: &Value) -> Result<(Vec<u64>, End)> {
    let batch = request["batch"].as_u64().unwrap_or(1);
    let mut sequences = Vec::new();
    let end = loop {
        if sequences.len() as u64 == batch {
            break End::All;
        }
        let message = api
            .next(sid)
            .await
            .with_context(|| format!("{request} has no end after {sequences:?}"))?;
        match message.status() {
            None => {
                sequences.push(message.delivery(3)?);
                api.send(&message.reply, "+ACK").await?;
            }
            Some(100) => {}
            Some(status) => break End::Status(status),
        }
    };
    api.unsubscribe(sid).await?;
    Ok((sequences, end))
}

/// A request of any kind that ends.
fn any_request(random: &mut Random) -> Value {
    let batch = random.within(1..21);
    let expires = random.within(20..320) * MILLISECOND;
    match random.within(0..5) {
        0 => json!({"batch": batch, "no_wait": true}),
        1 => json!({"batch": batch, "expires": expires, "no_wait": true}),
        2 => json!({"batch": batch, "expires": expires, "idle_heartbeat": 8 * MILLISECOND}),
        3 => json!({"batch": batch, "expires": expires, "max_bytes": 2000}),
        _ => json!({"batch": batch, "expires": expires}),
    }
}

/// What all share.
struct Churn {
    server: Server,
    /// Messages that arrived, of all consumers.
    arrived: AtomicU64,
    over: AtomicBool,
}

impl Churn {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Pulls from a durable consumer until all its messages have arrived at somebody.
    async fn client(self: Arc<Self>, consumer: u64, client: u64) -> Result<(u64, Vec<u64>)> {
        let mut random = Random::new(consumer * 100 + client);
        let mut api = Api::open(&self.server).await?;
        let (mut mine, mut number) = (Vec::new(), 0);
        while !self.is_over() {
            number += 1;
            let inbox = format!("1{consumer}{client}0{number}");
            let (sequences, _) = pull(
                &mut api,
                &format!("c{consumer}"),
                any_request(&mut random),
                &inbox,
            )
            .await?;
            self.arrived.fetch_add(sequences.len() as u64, Ordering::Relaxed);
            mine.extend(sequences);
        }
        // The acknowledgements are there before the answer.
        api.round_trip().await?;
        Ok((consumer, mine))
    }

    /// Makes a consumer, asks it for something at once, and deletes it meanwhile.
    async fn churner(self: Arc<Self>, churner: u64) -> Result<()> {
        let mut random = Random::new(1000 + churner);
        let mut api = Api::open(&self.server).await?;
        let mut number = 0;
        while !self.is_over() {
            number += 1;
            // The same names again and again.
            let name = format!("e{churner}{}", random.within(0..2));
            let config = json!({"ack_policy": "explicit", "filter_subject": "s.nobody"});
            let create = format!("CONSUMER.CREATE.s.{name}");
            api.done(&create, &consumer_config("s", &name, config)).await?;
            let request = json!({"batch": 3, "expires": 30_000 * MILLISECOND});
            let waiting = ask(&mut api, &name, &request, &format!("2{churner}0{number}")).await?;
            let other = any_request(&mut random);
            let also = ask(&mut api, &name, &other, &format!("3{churner}0{number}")).await?;
            if random.chance(50) {
                let info = api.consumer_info("s", &name).await?;
                ensure!(
                    info["num_waiting"].as_u64() >= Some(1),
                    "a request is lost: {info}"
                );
            }
            api.done(&format!("CONSUMER.DELETE.s.{name}"), &Value::Null)
                .await?;
            // It may be too late for the last one: it comes before or behind the end of the consumer.
            let late = ask(&mut api, &name, &other, &format!("4{churner}0{number}")).await?;
            let (none, end) = collect(&mut api, &waiting, &request).await?;
            ensure!(none.is_empty() && end == End::Status(409), "{end:?}");
            for sid in [also, late] {
                match collect(&mut api, &sid, &other).await? {
                    (none, End::Status(_)) if none.is_empty() => {}
                    unexpected => bail!("{other} ended with {unexpected:?}"),
                }
            }
        }
        Ok(())
    }

    async fn publisher(self: Arc<Self>) -> Result<()> {
        let mut api = Api::open(&self.server).await?;
        for number in 0..MESSAGES {
            for consumer in 0..CONSUMERS {
                let subject = format!("s.{consumer}.{}", number % 7);
                match number % 50 {
                    0 => drop(api.stored(&subject, "now").await?),
                    _ => api.send(&subject, "soon").await?,
                }
            }
        }
        api.until_state("s", |state| state["messages"] == MESSAGES * CONSUMERS)
            .await?;
        let (mut before, mut since) = (0, Instant::now());
        while before < MESSAGES * CONSUMERS {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let arrived = self.arrived.load(Ordering::Relaxed);
            if arrived > before {
                (before, since) = (arrived, Instant::now());
            }
            ensure!(since.elapsed() < PATIENCE, "only {arrived} messages arrived");
        }
        self.over.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_ends_and_every_message_arrives() -> Result<()> {
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for consumer in 0..CONSUMERS {
        let config = json!({
            "durable_name": format!("c{consumer}"), "ack_policy": "explicit",
            "filter_subject": format!("s.{consumer}.*"),
        });
        api.consumer("s", &format!("c{consumer}"), config).await?;
    }
    let churn = Arc::new(Churn {
        server,
        arrived: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let mut others = JoinSet::new();
    let mut clients = JoinSet::new();
    others.spawn(Arc::clone(&churn).publisher());
    for churner in 0..CHURNERS {
        others.spawn(Arc::clone(&churn).churner(churner));
    }
    for consumer in 0..CONSUMERS {
        for client in 0..CLIENTS {
            clients.spawn(Arc::clone(&churn).client(consumer, client));
        }
    }
    let mut arrived: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); CONSUMERS as usize];
    let mut twice = 0;
    while let Some(ended) = others.join_next().await {
        ended??;
    }
    while let Some(ended) = clients.join_next().await {
        let (consumer, mine) = ended??;
        for seq in mine {
            twice += u64::from(!arrived[consumer as usize].insert(seq));
        }
    }
    let counts: Vec<usize> = arrived.iter().map(BTreeSet::len).collect();
    assert_eq!(counts, vec![MESSAGES as usize; CONSUMERS as usize]);
    assert_eq!(twice, 0, "messages that came twice");
    for consumer in 0..CONSUMERS {
        let info = api.consumer_info("s", &format!("c{consumer}")).await?;
        assert_eq!(
            (&info["num_pending"], &info["num_ack_pending"]),
            (&json!(0), &json!(0)),
            "{info}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_end_also_when_their_stream_goes_at_that_moment() -> Result<()> {
    const ROUNDS: u64 = 30;
    const REQUESTS: u64 = 20;
    let server = start("")?;
    let mut api = Api::open(&server).await?;
    let mut other = Api::open(&server).await?;
    for round in 0..ROUNDS {
        api.stream("s", json!({"storage": "memory"})).await?;
        api.consumer("s", "c", json!({"ack_policy": "explicit"})).await?;
        let request = json!({"batch": 1, "expires": 60_000 * MILLISECOND});
        let deleted = other.ask("$JS.API.STREAM.DELETE.s", &[], b"").await?;
        let mut sids = Vec::new();
        for number in 0..REQUESTS {
            sids.push(ask(&mut api, "c", &request, &format!("5{round}0{number}")).await?);
        }
        other.answer(&deleted).await?;
        for sid in sids {
            let (none, end) = collect(&mut api, &sid, &request).await?;
            ensure!(
                none.is_empty() && matches!(end, End::Status(409 | 503)),
                "{end:?}"
            );
        }
    }
    Ok(())
}
