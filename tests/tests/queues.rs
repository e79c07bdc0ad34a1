//! Queue groups whose members come and go while messages are published, on two workers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use mainstem_tests::server::Server;
use mainstem_tests::watch::serve;
use mainstem_tests::wire::{Message, PATIENCE, Wire};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

const TWO_WORKERS: &str = "limits:\n  workers: 2\n";

/// Members that come and go; more than there are workers.
const MEMBERS: u64 = 6;
const MESSAGES: u64 = 10_000;
/// Messages between two round trips of the publisher.
const BATCH: u64 = 100;

/// What became of one message, by its number.
#[derive(Debug)]
enum Fate {
    Delivered(u64),
    NoResponders(u64),
}

/// Tells what came on a member's connection.
async fn report(fates: &mpsc::Sender<Fate>, messages: Vec<Message>) -> Result<()> {
    for message in messages {
        let number = String::from_utf8(message.payload)?.parse()?;
        fates.send(Fate::Delivered(number)).await?;
    }
    Ok(())
}

/// Joins the group and leaves it, again and again, on the same connection or on a new one. Whatever the server
/// chose it for is on the wire before the PONG that follows its UNSUB.
async fn come_and_go(
    address: SocketAddr,
    member: u64,
    fates: mpsc::Sender<Fate>,
    stop: Arc<AtomicBool>,
) -> Result<u64> {
    let mut wire = Wire::login(address, "").await?;
    let mut times = 0;
    while !stop.load(Ordering::Relaxed) {
        wire.send("SUB work group 1\r\n").await?;
        for _ in 0..=times % (member + 1) {
            report(&fates, wire.round_trip().await?).await?;
        }
        wire.send("UNSUB 1\r\n").await?;
        report(&fates, wire.round_trip().await?).await?;
        // A message that another worker had sent on its way comes now or never; a second PONG is behind it.
        report(&fates, wire.round_trip().await?).await?;
        times += 1;
        if member.is_multiple_of(2) && times.is_multiple_of(8) {
            wire = Wire::login(address, "").await?;
        }
    }
    Ok(times)
}

/// Stays in the group to the end.
async fn stay(mut wire: Wire<TcpStream>, fates: mpsc::Sender<Fate>) -> Result<()> {
    while let Ok(message) = wire.message().await {
        report(&fates, vec![message]).await?;
    }
    Ok(())
}

/// Publishes all messages with a reply subject, and tells of those that nobody was there for.
async fn request(address: SocketAddr, fates: mpsc::Sender<Fate>) -> Result<()> {
    let mut wire = Wire::login(address, "").await?;
    wire.send("SUB answers.* 1\r\n").await?;
    for first in (0..MESSAGES).step_by(BATCH as usize) {
        let batch: String = (first..first + BATCH)
            .map(|number| {
                format!(
                    "PUB work answers.{number} {}\r\n{number}\r\n",
                    number.to_string().len()
                )
            })
            .collect();
        wire.send(batch).await?;
        for answer in wire.round_trip().await? {
            refused(&fates, &answer).await?;
        }
    }
    // Answers of the other worker may follow the last PONG; the test ends this task when all are accounted for.
    loop {
        refused(&fates, &wire.message().await?).await?;
    }
}

async fn refused(fates: &mpsc::Sender<Fate>, answer: &Message) -> Result<()> {
    ensure!(answer.headers.starts_with(b"NATS/1.0 503"), "{answer:?}");
    let number = answer.subject.strip_prefix("answers.").context("a number")?;
    Ok(fates.send(Fate::NoResponders(number.parse()?)).await?)
}

/// Counts fates until each message has one; fails at the second one of any.
async fn account(fates: &mut mpsc::Receiver<Fate>) -> Result<(u64, u64)> {
    let (mut delivered, mut refused) = (0, 0);
    let mut known: HashMap<u64, Fate> = HashMap::new();
    while (known.len() as u64) < MESSAGES {
        let fate = timeout(PATIENCE, fates.recv())
            .await
            .with_context(|| format!("{} of {MESSAGES} are accounted for", known.len()))?;
        let fate = fate.context("everybody left")?;
        let number = match fate {
            Fate::Delivered(number) => {
                delivered += 1;
                number
            }
            Fate::NoResponders(number) => {
                refused += 1;
                number
            }
        };
        if let Some(other) = known.insert(number, fate) {
            anyhow::bail!("message {number}: {other:?} and {:?}", known.get(&number));
        }
    }
    Ok((delivered, refused))
}

/// Runs it all; how many messages were delivered, and how many refused.
async fn churn(server: &Server, somebody_stays: bool) -> Result<(u64, u64)> {
    let address = server.nats_address()?;
    let (sender, mut fates) = mpsc::channel(1024);
    let stop = Arc::new(AtomicBool::new(false));
    let mut others = JoinSet::new();
    if somebody_stays {
        let mut wire = Wire::login(address, "").await?;
        wire.send("SUB work group 1\r\n").await?;
        wire.round_trip().await?;
        others.spawn(stay(wire, sender.clone()));
    }
    let mut members = JoinSet::new();
    for member in 0..MEMBERS {
        members.spawn(come_and_go(address, member, sender.clone(), Arc::clone(&stop)));
    }
    others.spawn(request(address, sender));
    let counts = account(&mut fates).await?;
    stop.store(true, Ordering::Relaxed);
    let mut times = 0;
    while let Some(member) = members.join_next().await {
        times += member??;
    }
    ensure!(times > MEMBERS, "nobody came and went");
    others.shutdown().await;
    let late = fates.recv().await;
    ensure!(late.is_none(), "after all: {late:?}");
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_delivered_once_or_refused() -> Result<()> {
    let (delivered, refused) = churn(&serve(TWO_WORKERS)?, false).await?;
    assert_eq!(delivered + refused, MESSAGES);
    assert!(delivered > 0, "none delivered");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_member_stays_no_request_is_refused() -> Result<()> {
    let (delivered, refused) = churn(&serve(TWO_WORKERS)?, true).await?;
    assert_eq!((delivered, refused), (MESSAGES, 0));
    Ok(())
}
