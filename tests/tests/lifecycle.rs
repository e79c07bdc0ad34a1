//! Lame duck, drain, stop and reload of a running broker.

use anyhow::{Context, Result, bail, ensure};
use mainstem_tests::binaries;
use mainstem_tests::jetstream::Api;
use mainstem_tests::server::{Launch, Server, Signal};
use mainstem_tests::watch::{serve, start};
use mainstem_tests::wire::{Frame, Wire};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// The next INFO that says this; whatever else comes before it is skipped.
async fn info_with(wire: &mut Wire<TcpStream>, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    loop {
        match wire.frame().await? {
            Frame::Info(info) if holds(&info) => return Ok(info),
            Frame::Error(text) => bail!("-ERR {text}"),
            _ => {}
        }
    }
}

/// Blocks the test: there is nothing else to do for it.
fn exits_with_success(mut server: Server) -> Result<()> {
    let status = server.await_exit().with_context(|| server.log())?;
    ensure!(status.success(), "{status}:\n{}", server.log());
    Ok(())
}

async fn two_clients(server: &Server) -> Result<(Wire<TcpStream>, Wire<TcpStream>)> {
    let address = server.nats_address()?;
    let (mut one, mut other) = (Wire::login(address, "").await?, Wire::login(address, "").await?);
    one.send("SUB a 1\r\n").await?;
    one.round_trip().await?;
    other.round_trip().await?;
    Ok((one, other))
}

async fn lame_duck(server: Server) -> Result<()> {
    let (mut one, mut other) = two_clients(&server).await?;
    let address = server.nats_address()?;
    server.signal(Signal::USR2)?;
    for wire in [&mut one, &mut other] {
        info_with(wire, |info| info["ldm"] == true).await?;
    }
    ensure!(
        TcpStream::connect(address).await.is_err(),
        "a lame duck accepts connections"
    );
    // Until its turn comes, a connection works.
    other.publish("a", "still here").await?;
    assert_eq!(one.message().await?.payload, b"still here");
    assert_eq!(one.end().await?, [""; 0]);
    assert_eq!(other.end().await?, [""; 0]);
    exits_with_success(server)
}

#[tokio::test]
async fn a_lame_duck_tells_closes_and_ends() -> Result<()> {
    // The shortest that nats-server's file allows; two clients take a second each.
    lame_duck(start(
        "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"",
    )?)
    .await
}

#[tokio::test]
async fn a_lame_duck_of_serve_does_the_same() -> Result<()> {
    lame_duck(serve(
        "nats:\n  lame_duck_duration: 1100ms\n  lame_duck_grace: 1s\n",
    )?)
    .await
}

#[tokio::test]
async fn sigterm_stops_nats_server_at_once() -> Result<()> {
    let server = start("")?;
    let (mut one, _other) = two_clients(&server).await?;
    server.signal(Signal::TERM)?;
    assert_eq!(one.end().await?, [""; 0]);
    exits_with_success(server)
}

#[tokio::test]
async fn sigterm_drains_serve_until_the_last_client_has_gone() -> Result<()> {
    let server = serve("drain_timeout: 1h\n")?;
    let (mut one, mut other) = two_clients(&server).await?;
    let address = server.nats_address()?;
    server.signal(Signal::TERM)?;
    for wire in [&mut one, &mut other] {
        info_with(wire, |info| info["ldm"] == true).await?;
    }
    ensure!(
        TcpStream::connect(address).await.is_err(),
        "a draining broker accepts connections"
    );
    other.publish("a", "still here").await?;
    assert_eq!(one.message().await?.payload, b"still here");
    drop((one, other));
    exits_with_success(server)
}

#[tokio::test]
async fn a_second_sigterm_stops_serve_at_once() -> Result<()> {
    let server = serve("drain_timeout: 1h\n")?;
    let (mut one, mut other) = two_clients(&server).await?;
    server.signal(Signal::TERM)?;
    info_with(&mut one, |info| info["ldm"] == true).await?;
    server.signal(Signal::TERM)?;
    assert_eq!(one.end().await?, [""; 0]);
    assert_eq!(other.end().await?, [""; 0]);
    exits_with_success(server)
}

#[tokio::test]
async fn the_drain_timeout_ends_the_patience_with_clients() -> Result<()> {
    let server = serve("drain_timeout: 100ms\n")?;
    let (mut one, _other) = two_clients(&server).await?;
    server.signal(Signal::TERM)?;
    assert_eq!(one.end().await?, [""; 0]);
    exits_with_success(server)
}

const STAYS: &str = r#""user":"stays","pass":"p""#;
const GOES: &str = r#""user":"goes","pass":"p""#;

fn reload(server: &Server, config: &str) -> Result<()> {
    std::fs::write(server.folder().join("server.conf"), config)?;
    server.signal(Signal::HUP)
}

#[tokio::test]
async fn a_reload_cuts_users_that_are_gone_and_nobody_else() -> Result<()> {
    let server = start("authorization { users [ {user: stays, password: p}, {user: goes, password: p} ] }")?;
    let address = server.nats_address()?;
    let mut stays = Wire::login(address, STAYS).await?;
    let mut goes = Wire::login(address, GOES).await?;
    stays.send("SUB a 1\r\n").await?;
    stays.round_trip().await?;
    // Monitoring cannot change while it runs, so the file still has it.
    let http = "http: \"127.0.0.1:-1\"\n";
    let users = "authorization { users [ {user: stays, password: p}, {user: new, password: p} ] }";
    reload(&server, &format!("{http}{users}"))?;
    let errors = goes.end().await?;
    assert_eq!(errors, ["Authorization Violation"]);
    server.await_log("Reloaded")?;
    stays.publish("a", "still here").await?;
    assert_eq!(stays.message().await?.payload, b"still here");
    ensure!(Wire::login(address, GOES).await.is_err(), "a user that is gone");
    Wire::login(address, r#""user":"new","pass":"p""#).await?;
    Ok(())
}

#[tokio::test]
async fn a_reload_ends_subscriptions_that_it_forbids() -> Result<()> {
    let server = start("authorization { users [ {user: stays, password: p} ] }")?;
    let mut stays = Wire::login(server.nats_address()?, STAYS).await?;
    stays.send("SUB a 1\r\nSUB b 2\r\n").await?;
    stays.round_trip().await?;
    reload(
        &server,
        "http: \"127.0.0.1:-1\"\nauthorization { users [ {user: stays, password: p, permissions: { subscribe: b } } ] }",
    )?;
    let error = loop {
        match stays.frame().await? {
            Frame::Error(text) => break text,
            Frame::Info(_) => {}
            other => bail!("{other:?}"),
        }
    };
    assert_eq!(
        error,
        "Permissions Violation for Subscription to \"a\" (sid \"1\")"
    );
    server.await_log("Reloaded")?;
    stays.publish("a", "forbidden").await?;
    stays.publish("b", "allowed").await?;
    assert_eq!(stays.message().await?.payload, b"allowed");
    Ok(())
}

#[tokio::test]
async fn a_reload_announces_a_new_max_payload() -> Result<()> {
    let server = start("max_payload: 1000")?;
    let mut wire = Wire::login(server.nats_address()?, "").await?;
    reload(&server, "http: \"127.0.0.1:-1\"\nmax_payload: 2000")?;
    info_with(&mut wire, |info| info["max_payload"] == 2000).await?;
    wire.send("SUB a 1\r\n").await?;
    wire.publish("a", [b'x'; 2000]).await?;
    assert_eq!(wire.message().await?.payload.len(), 2000);
    wire.publish("a", [b'x'; 2001]).await?;
    assert_eq!(wire.end().await?, ["Maximum Payload Violation"]);
    Ok(())
}

#[tokio::test]
async fn a_reload_keeps_the_bounds_of_an_account() -> Result<()> {
    let config = |max_payload: u32| {
        format!(
            "nats:\n  max_payload: {max_payload}B\nauth:\n  accounts:\n    - {{ name: A, max_payload: 10B }}\n  \
             users:\n    - {{ name: a, password: p, account: A }}\n"
        )
    };
    let server = serve(&config(1000))?;
    let mut wire = Wire::login(server.nats_address()?, r#""user":"a","pass":"p""#).await?;
    std::fs::write(server.folder().join("mainstem.yaml"), config(2000))?;
    server.signal(Signal::HUP)?;
    server.await_log("Reloaded")?;
    wire.publish("a", [b'x'; 11]).await?;
    assert_eq!(wire.end().await?, ["Maximum Payload Violation"]);
    Ok(())
}

#[tokio::test]
async fn a_broken_file_changes_nothing() -> Result<()> {
    let server = start("max_payload: 1000")?;
    let mut wire = Wire::login(server.nats_address()?, "").await?;
    reload(
        &server,
        "http: \"127.0.0.1:-1\"\nmax_payload: 2000\nauthorization { users: nonsense",
    )?;
    server.await_log("Failed to reload server configuration")?;
    assert_eq!(wire.round_trip().await?, []);
    wire.publish("a", [b'x'; 1001]).await?;
    assert_eq!(wire.end().await?, ["Maximum Payload Violation"]);
    Ok(())
}

/// A broker with a stream of some messages.
async fn with_messages() -> Result<Server> {
    let server = Launch::jetstream(&binaries::broker()?, "")?.start()?;
    let mut api = Api::open(&server).await?;
    api.stream("s", json!({})).await?;
    for n in 0..MESSAGES {
        api.stored("s.a", &n.to_string()).await?;
    }
    Ok(server)
}

const MESSAGES: u64 = 20;

async fn has_all_messages(server: &Server) -> Result<()> {
    let state = Api::open(server).await?.state("s").await?;
    ensure!(state["messages"] == MESSAGES, "{state}");
    Ok(())
}

/// The store can not be opened before somebody writes into a pipe, which nobody does.
#[tokio::test]
async fn sigterm_ends_a_start_that_waits_for_the_store() -> Result<()> {
    let mut server = with_messages().await?;
    server.signal(Signal::TERM)?;
    server.await_exit()?;
    let watermark = server.folder().join("store/jetstream/watermark");
    let aside = server.folder().join("watermark");
    std::fs::rename(&watermark, &aside)?;
    let made = std::process::Command::new("mkfifo").arg(&watermark).status()?;
    ensure!(made.success(), "mkfifo: {made}");
    server.start_again()?;
    server.await_log("Store Directory")?;
    server.signal(Signal::TERM)?;
    let status = server.await_exit().with_context(|| server.log())?;
    ensure!(status.success(), "{status}:\n{}", server.log());
    ensure!(
        server.log().contains("stopped while starting"),
        "{}",
        server.log()
    );
    std::fs::rename(&aside, &watermark)?;
    server.start_again()?;
    server.await_ready()?;
    has_all_messages(&server).await
}

#[tokio::test]
async fn sigterm_at_any_moment_of_a_start_leaves_the_store_whole() -> Result<()> {
    let mut server = with_messages().await?;
    let mut last = Signal::KILL;
    for step in [
        "Starting JetStream",
        "Store Directory",
        "API Level",
        "Took",
        "client connections on",
    ] {
        server.signal(last)?;
        server.await_exit()?;
        server.start_again()?;
        server.await_log(step)?;
        server.signal(Signal::TERM)?;
        let status = server
            .await_exit()
            .with_context(|| format!("{step}: {}", server.log()))?;
        ensure!(status.success(), "{step}: {status}:\n{}", server.log());
        server.start_again()?;
        server.await_ready()?;
        has_all_messages(&server).await.context(step)?;
        last = match last {
            Signal::KILL => Signal::TERM,
            _ => Signal::KILL,
        };
    }
    Ok(())
}
