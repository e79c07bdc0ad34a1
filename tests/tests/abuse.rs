//! Clients that take all they can, say nothing, or say nonsense: nobody else notices, and nothing stays behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use mainstem_tests::watch::{figure, memory, open_files, start, until, until_deserted, until_open_files};
use mainstem_tests::wire::{Frame, Wire, publication};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Subscriptions of a client that floods.
const FLOOD: u64 = 100_000;

/// Two clients that talk until they are told to stop; how often each had its answer.
async fn talk(address: SocketAddr, fields: &'static str, stop: Arc<AtomicBool>) -> Result<u64> {
    let mut asking = Wire::login(address, fields).await?;
    let mut answering = Wire::login(address, fields).await?;
    asking.send("SUB answers 1\r\n").await?;
    asking.round_trip().await?;
    answering.send("SUB questions 1\r\n").await?;
    answering.round_trip().await?;
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) || rounds == 0 {
        let text = rounds.to_string();
        asking.publish("questions", &text).await?;
        let question = answering.message().await?;
        answering.publish("answers", &question.payload).await?;
        ensure!(
            asking.message().await?.payload == text.as_bytes(),
            "another answer"
        );
        rounds += 1;
    }
    Ok(rounds)
}

async fn flood(subject: impl Fn(u64) -> String) -> Result<()> {
    let server = start("")?;
    let address = server.nats_address()?;
    let before = figure(&server, "/subsz", "num_subscriptions")?;
    let mut flooding = Wire::login(address, "").await?;
    let stop = Arc::new(AtomicBool::new(false));
    let talking = tokio::spawn(talk(address, "", Arc::clone(&stop)));
    let lines: Vec<u8> = (0..FLOOD)
        .flat_map(|number| format!("SUB {} {number}\r\n", subject(number)).into_bytes())
        .collect();
    flooding.send(lines).await?;
    flooding.round_trip().await?;
    // The flood, and the two that talk.
    until(&server, "/subsz", |subsz| {
        subsz["num_subscriptions"]
            .as_u64()
            .is_some_and(|count| count >= before + FLOOD)
    })
    .await?;
    drop(flooding);
    until(&server, "/subsz", |subsz| {
        subsz["num_subscriptions"]
            .as_u64()
            .is_some_and(|count| count <= before + 2)
    })
    .await?;
    stop.store(true, Ordering::Relaxed);
    ensure!(talking.await?? > 0, "nobody could talk");
    until_deserted(&server, before).await
}

#[tokio::test]
async fn a_flood_of_distinct_subscriptions_leaves_nothing_behind() -> Result<()> {
    flood(|number| format!("flood.{}.{number}", number % 100)).await
}

#[tokio::test]
async fn a_flood_of_subscriptions_to_one_subject_leaves_nothing_behind() -> Result<()> {
    flood(|_| "flood".to_owned()).await
}

#[tokio::test]
async fn a_flood_of_queue_members_leaves_nothing_behind() -> Result<()> {
    flood(|_| "flood group".to_owned()).await
}

#[tokio::test]
async fn subscriptions_of_one_connection_are_bounded() -> Result<()> {
    let server = start("max_subscriptions: 3")?;
    let mut wire = Wire::login(server.nats_address()?, "").await?;
    wire.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\n").await?;
    assert_eq!(
        wire.frame().await?,
        Frame::Error("maximum subscriptions exceeded".into())
    );
    wire.publish("d", "nobody").await?;
    wire.publish("c", "me").await?;
    assert_eq!(wire.message().await?.subject, "c");
    wire.send("UNSUB 1\r\nSUB d 4\r\n").await?;
    wire.publish("d", "now me").await?;
    assert_eq!(wire.message().await?.subject, "d");
    Ok(())
}

const GUARDED: &str = "authorization { user: u, password: p, timeout: 0.2 }";
const USER: &str = r#""user":"u","pass":"p""#;

#[tokio::test]
async fn who_never_sends_connect_is_cut_after_the_auth_timeout() -> Result<()> {
    let server = start(GUARDED)?;
    let address = server.nats_address()?;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(Wire::open(address).await?);
    }
    let mut good = Wire::login(address, USER).await?;
    for mut wire in silent {
        assert_eq!(wire.end().await?, ["Authentication Timeout"]);
    }
    good.round_trip().await?;
    until(&server, "/varz", |varz| varz["connections"] == 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_trickle_does_not_put_the_auth_timeout_off() -> Result<()> {
    let server = start(GUARDED)?;
    let mut wire = Wire::open(server.nats_address()?).await?;
    wire.info().await?;
    let mut endless = br#"CONNECT {"name":""#.to_vec();
    endless.resize(4000, b'x');
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(5));
    for byte in endless {
        tokio::select! {
            frame = wire.next() => {
                assert_eq!(frame?, Some(Frame::Error("Authentication Timeout".into())));
                assert_eq!(wire.end().await?, [""; 0]);
                return Ok(());
            }
            _ = pace.tick() => {}
        }
        // Refused once the server has closed; the answer is read above.
        drop(wire.send([byte]).await);
    }
    bail!("a whole line could be sent")
}

#[tokio::test]
async fn a_command_one_byte_at_a_time_is_a_command() -> Result<()> {
    let server = start("")?;
    let mut slow = Wire::login(server.nats_address()?, "").await?;
    let mut other = Wire::login(server.nats_address()?, "").await?;
    slow.send("SUB a 1\r\n").await?;
    for (count, byte) in publication("a", "hello").into_iter().enumerate() {
        slow.send([byte]).await?;
        if count % 4 == 0 {
            other.round_trip().await?;
        }
    }
    assert_eq!(slow.message().await?.payload, b"hello");
    Ok(())
}

#[tokio::test]
async fn who_does_not_answer_pings_is_stale() -> Result<()> {
    let server = start("ping_interval: \"100ms\"\nping_max: 2")?;
    let address = server.nats_address()?;
    // Never read, so never answered.
    let deaf = TcpStream::connect(address).await?;
    let mut good = Wire::login(address, "").await?;
    let staleness = until(&server, "/varz", |varz| varz["stale_connections"] == 1);
    let answering = async {
        loop {
            if let Err(error) = good.next().await {
                break error;
            }
        }
    };
    tokio::select! {
        varz = staleness => assert_eq!(varz?["connections"], 1),
        error = answering => return Err(error),
    }
    drop(deaf);
    good.round_trip().await.map(drop)
}

#[tokio::test]
async fn a_half_closed_socket_ends_the_connection() -> Result<()> {
    let server = start("")?;
    let mut half = Wire::login(server.nats_address()?, "").await?;
    half.send("SUB a 1\r\n").await?;
    half.round_trip().await?;
    half.shutdown().await?;
    assert_eq!(half.end().await?, [""; 0]);
    until(&server, "/varz", |varz| varz["connections"] == 0).await?;
    Ok(())
}

/// Connects, and leaves in one of several ways.
async fn come_and_go(address: SocketAddr, number: u64) -> Result<()> {
    let mut wire = Wire::open(address).await?;
    if number.is_multiple_of(5) {
        // INFO stays unread: the system resets the connection.
        return Ok(());
    }
    wire.connect("").await?;
    wire.send(format!("SUB come.{number} 1\r\nSUB come.> q 2\r\n"))
        .await?;
    if number.is_multiple_of(2) {
        wire.round_trip().await?;
    }
    Ok(())
}

async fn come_and_go_all(address: SocketAddr, numbers: std::ops::Range<u64>) -> Result<()> {
    let places = Arc::new(Semaphore::new(64));
    let mut clients = JoinSet::new();
    for number in numbers {
        let place = Arc::clone(&places).acquire_owned().await?;
        clients.spawn(async move {
            let outcome = come_and_go(address, number).await;
            drop(place);
            outcome
        });
    }
    while let Some(outcome) = clients.join_next().await {
        outcome??;
    }
    Ok(())
}

#[tokio::test]
async fn thousands_that_come_and_go_leave_nothing_behind() -> Result<()> {
    let server = start("")?;
    let address = server.nats_address()?;
    let subscriptions = figure(&server, "/subsz", "num_subscriptions")?;
    let files = open_files(&server)?;
    come_and_go_all(address, 0..2000).await?;
    until_deserted(&server, subscriptions).await?;
    let after_two = memory(&server)?.resident;
    come_and_go_all(address, 2000..5000).await?;
    until_deserted(&server, subscriptions).await?;
    let grown = memory(&server)?.resident.saturating_sub(after_two);
    // The last 10,000 closed connections are remembered for monitoring.
    ensure!(
        grown < 16 << 20,
        "grew by {grown} bytes over the last 3,000 connections"
    );
    assert_eq!(figure(&server, "/varz", "total_connections")?, 5000);
    until_open_files(&server, files).await
}

/// `-ERR` and the end, or only the end.
const NONSENSE: [(&[u8], &[&str]); 12] = [
    (b"NONSENSE\r\n", &["Unknown Protocol Operation"]),
    (b"\xff\xfe\xfd\r\n", &["Unknown Protocol Operation"]),
    (b"\r\n\r\n", &["Unknown Protocol Operation"]),
    (b"PUB steady 5\r\nhello!\r\n", &["Unknown Protocol Operation"]),
    (b"PUB steady 99999999\r\n", &["Maximum Payload Violation"]),
    (b"PUB steady -1\r\nx\r\n", &[]),
    (b"PUB steady\r\n", &[]),
    (b"HPUB steady 9 3\r\nabc\r\n", &[]),
    (b"SUB steady\r\n", &[]),
    (b"UNSUB\r\n", &["Unknown Protocol Operation"]),
    (b"CONNECT {\"verbose\":\r\n", &[]),
    (b"-ERR 'you'\r\n", &[]),
];

/// Publishes numbers on "steady" until told to stop, then their count.
async fn publish_numbers(address: SocketAddr, stop: Arc<AtomicBool>) -> Result<u64> {
    let mut wire = Wire::login(address, USER).await?;
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<u8> = (next..next + 100)
            .flat_map(|number| publication("steady", number.to_string()))
            .collect();
        wire.send(batch).await?;
        wire.round_trip().await?;
        next += 100;
    }
    wire.publish("steady", "end").await?;
    wire.round_trip().await?;
    Ok(next)
}

/// Reads numbers from "steady" in their order, up to "end"; returns their count.
async fn read_numbers(mut wire: Wire<TcpStream>) -> Result<u64> {
    for next in 0.. {
        let payload = String::from_utf8(wire.message().await?.payload)?;
        if payload == "end" {
            return Ok(next);
        }
        ensure!(payload == next.to_string(), "{payload} instead of {next}");
    }
    unreachable!("an endless range")
}

#[tokio::test]
async fn nonsense_of_one_does_not_disturb_another() -> Result<()> {
    let server = start(GUARDED)?;
    let address = server.nats_address()?;
    let mut reader = Wire::login(address, USER).await?;
    reader.send("SUB steady 1\r\n").await?;
    reader.round_trip().await?;
    let reading = tokio::spawn(read_numbers(reader));
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn(publish_numbers(address, Arc::clone(&stop)));

    let mut line_too_long = b"SUB steady.".to_vec();
    line_too_long.resize(100_000, b'x');
    let long: (&[u8], &[&str]) = (&line_too_long, &["maximum control line exceeded"]);
    for _ in 0..10 {
        for (bytes, errors) in NONSENSE.into_iter().chain([long]) {
            let mut wire = Wire::login(address, USER).await?;
            wire.send("SUB mine 1\r\n").await?;
            wire.round_trip().await?;
            // The rest of a long line is refused.
            drop(wire.send(bytes).await);
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
            let said = wire.end().await.with_context(|| shown.clone())?;
            // A reset, for bytes of ours that were not read, may overtake the error.
            let overtaken = bytes.len() > 4096 && said.is_empty();
            ensure!(overtaken || said == *errors, "{shown}: {said:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (sent, read) = (publishing.await??, reading.await??);
    assert!(sent > 0);
    assert_eq!(read, sent);
    until_deserted(&server, figure(&server, "/subsz", "num_subscriptions")?).await
}
