//! Subscribers that do not read are cut, alone.

use anyhow::{Context, Result, ensure};
use mainstem_tests::server::Server;
use mainstem_tests::watch::{figure, json, memory, start, until};
use mainstem_tests::wire::{PATIENCE, Wire, publication};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const ACCOUNTS: &str = "accounts { \
    A { users [ {user: a, password: p} ] }, \
    B { users [ {user: b, password: p} ] } }";
const USER_A: &str = r#""user":"a","pass":"p""#;
const USER_B: &str = r#""user":"b","pass":"p""#;

const PAYLOAD_BYTES: usize = 32 << 10;
/// Messages on their way to a subscriber that reads: fewer bytes than any bound.
const WINDOW: usize = 32;

/// A client that never reads, and whose system takes little in its place.
async fn deaf_subscriber(server: &Server, fields: &str, subject: &str) -> Result<Wire<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(8 << 10)?;
    let mut wire = Wire::new(socket.connect(server.nats_address()?).await?);
    wire.connect(fields).await?;
    wire.send(format!("SUB {subject} 1\r\n")).await?;
    wire.round_trip().await?;
    Ok(wire)
}

/// Publishes `count` numbered messages on "feed" and reads each from `reader`, never far behind.
async fn stream(publisher: &mut Wire<TcpStream>, reader: &mut Wire<TcpStream>, count: usize) -> Result<()> {
    for first in (0..count).step_by(WINDOW) {
        let sent: Vec<Vec<u8>> = (first..first + WINDOW).map(numbered).collect();
        let batch: Vec<u8> = sent
            .iter()
            .flat_map(|payload| publication("feed", payload))
            .collect();
        let read = async {
            for payload in &sent {
                ensure!(reader.message().await?.payload == *payload, "another message");
            }
            Ok(())
        };
        tokio::try_join!(publisher.send(&batch), read)?;
    }
    Ok(())
}

fn numbered(number: usize) -> Vec<u8> {
    let mut payload = number.to_string().into_bytes();
    payload.resize(PAYLOAD_BYTES, b'.');
    payload
}

#[tokio::test]
async fn who_never_reads_is_cut_and_nobody_else() -> Result<()> {
    let server = start(&format!("max_pending: 4MB\n{ACCOUNTS}"))?;
    let address = server.nats_address()?;
    let mut deaf = Vec::new();
    // More than there are workers: some live on the publisher's, some elsewhere.
    for _ in 0..4 {
        deaf.push(deaf_subscriber(&server, USER_A, "feed").await?);
    }
    let mut publisher = Wire::login(address, USER_A).await?;
    let mut reader = Wire::login(address, USER_A).await?;
    reader.send("SUB feed 1\r\n").await?;
    reader.round_trip().await?;
    let mut elsewhere = Wire::login(address, USER_B).await?;
    elsewhere.send("SUB feed 1\r\n").await?;
    elsewhere.round_trip().await?;

    let before = memory(&server)?.resident;
    stream(&mut publisher, &mut reader, 4096).await?;
    let grown = memory(&server)?.peak - before;
    // 128 MiB went through; four clients may hold 4 MiB each, and reading has its own buffers.
    ensure!(grown < 48 << 20, "grew by {grown} bytes");

    let varz = until(&server, "/varz", |varz| varz["slow_consumers"] == 4).await?;
    assert_eq!(varz["connections"], 3, "{varz}");
    let closed = json(&server, "/connz?state=closed")?;
    for connection in closed["connections"].as_array().context("connections")? {
        assert_eq!(
            connection["reason"], "Slow Consumer (Pending Bytes)",
            "{connection}"
        );
    }
    for mut cut in deaf {
        // What the system had taken already may still be read; then comes the end, perhaps in a message.
        let rest = async { while let Ok(Some(_)) = cut.next().await {} };
        timeout(PATIENCE, rest).await.context("it was not closed")?;
    }
    ensure!(
        elsewhere.round_trip().await?.is_empty(),
        "a message of another account"
    );
    publisher.publish("feed", "after").await?;
    assert_eq!(reader.message().await?.payload, b"after");
    Ok(())
}

#[tokio::test]
async fn a_socket_that_stays_full_is_cut_at_the_write_deadline() -> Result<()> {
    let server = start("write_deadline: \"100ms\"")?;
    let deaf = deaf_subscriber(&server, "", "feed").await?;
    let address = server.nats_address()?;
    let mut publisher = Wire::login(address, "").await?;
    let mut reader = Wire::login(address, "").await?;
    reader.send("SUB feed 1\r\n").await?;
    reader.round_trip().await?;
    // More than the system takes for it, less than the broker's bound of 64 MiB.
    stream(&mut publisher, &mut reader, 640).await?;
    let closed = until(&server, "/connz?state=closed", |connz| {
        connz["num_connections"] == 1
    })
    .await?;
    assert_eq!(
        closed["connections"][0]["reason"],
        "Slow Consumer (Write Deadline)"
    );
    assert_eq!(figure(&server, "/varz", "slow_consumers")?, 1);
    drop(deaf);
    stream(&mut publisher, &mut reader, WINDOW).await
}

#[tokio::test]
async fn who_never_reads_answers_to_its_own_requests_is_cut_too() -> Result<()> {
    let server = start("max_pending: 1MB\nwrite_deadline: \"500ms\"")?;
    let mut deaf = deaf_subscriber(&server, "", "echo").await?;
    let mut other = Wire::login(server.nats_address()?, "").await?;
    let echo = publication("echo", numbered(0));
    // It publishes to itself, until the broker has enough of it.
    let flood = async { while deaf.send(&echo).await.is_ok() {} };
    timeout(PATIENCE, flood).await.context("it is still served")?;
    until(&server, "/varz", |varz| varz["slow_consumers"] == 1).await?;
    other.round_trip().await?;
    Ok(())
}

/// Repeats these commands without ever reading what they cause; the broker has to have enough of it.
async fn never_reads_what_it_causes(config: &str, before: &str, commands: &str) -> Result<()> {
    let server = start(&format!("max_pending: 1MB\nwrite_deadline: \"500ms\"\n{config}"))?;
    let address = server.nats_address()?;
    let mut other = Wire::login(address, USER_A).await?;
    let mut deaf = deaf_subscriber(&server, USER_A, "unused").await?;
    deaf.send(before).await?;
    let grown_from = memory(&server)?.resident;
    let many = commands.repeat((256 << 10) / commands.len());
    let flood = async { while deaf.send(&many).await.is_ok() {} };
    timeout(PATIENCE, flood).await.context("it is still served")?;
    until(&server, "/varz", |varz| varz["slow_consumers"] == 1).await?;
    let grown = memory(&server)?.peak.saturating_sub(grown_from);
    ensure!(grown < 32 << 20, "grew by {grown} bytes");
    other.round_trip().await.map(drop)
}

#[tokio::test]
async fn pongs_that_nobody_reads_are_bounded() -> Result<()> {
    never_reads_what_it_causes("", "", "PING\r\n").await
}

#[tokio::test]
async fn acknowledgements_that_nobody_reads_are_bounded() -> Result<()> {
    let verbose = format!("CONNECT {{\"verbose\":true,{USER_A}}}\r\n");
    never_reads_what_it_causes("", &verbose, "PUB a 0\r\n\r\n").await
}

#[tokio::test]
async fn errors_that_nobody_reads_are_bounded() -> Result<()> {
    let config = "authorization { users [ {user: a, password: p, permissions: { subscribe: unused } } ] }";
    never_reads_what_it_causes(config, "", "SUB a 2\r\n").await
}

#[tokio::test]
async fn no_responders_that_nobody_reads_are_bounded() -> Result<()> {
    never_reads_what_it_causes("", "SUB r 2\r\n", "PUB nobody r 0\r\n\r\n").await
}
