//! Logins that take long, and logins that fail, hold nobody up.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use mainstem_tests::watch::{start, until};
use mainstem_tests::wire::Wire;
use tokio::task::JoinSet;

/// Of "a long enough password": some 50 ms of work.
const CONFIG: &str = "authorization { timeout: 60, users: [ \
    { user: hashed, password: \"$2a$10$upWqyqZHbSTOX7fcFPwoHOPoaOD15KOsVCaQuZDuWEVMgl3at6W3S\" }, \
    { user: plain, password: p } ] }";
const PLAIN: &str = r#""user":"plain","pass":"p""#;
const RIGHT: &str = r#""user":"hashed","pass":"a long enough password""#;
const WRONG: &str = r#""user":"hashed","pass":"a wrong password""#;

const LOGINS: usize = 50;
const ROUNDS: usize = 200;

/// Logs in with the wrong password; returns once the server has said so.
async fn refused(address: SocketAddr) -> Result<()> {
    let mut wire = Wire::open(address).await?;
    wire.info().await?;
    let connect = format!("CONNECT {{{WRONG}}}\r\nPING\r\nPUB questions 7\r\nstolen!\r\n");
    wire.send(connect).await?;
    assert_eq!(wire.end().await?, ["Authorization Violation"]);
    Ok(())
}

#[tokio::test]
async fn slow_password_checks_do_not_delay_messages() -> Result<()> {
    let server = start(CONFIG)?;
    let address = server.nats_address()?;
    let mut asking = Wire::login(address, PLAIN).await?;
    let mut answering = Wire::login(address, PLAIN).await?;
    asking.send("SUB answers 1\r\n").await?;
    asking.round_trip().await?;
    answering.send("SUB questions 1\r\n").await?;
    answering.round_trip().await?;

    let mut logins = JoinSet::new();
    for _ in 0..LOGINS {
        logins.spawn(refused(address));
    }
    // All of them are connected, so most are being checked or wait for it.
    until(&server, "/varz", |varz| varz["total_connections"] == LOGINS + 2).await?;
    for round in 0..ROUNDS {
        asking.publish("questions", round.to_string()).await?;
        let question = answering.message().await?.payload;
        ensure!(
            question == round.to_string().as_bytes(),
            "a refused client's message"
        );
        answering.publish("answers", question).await?;
        asking.message().await?;
    }
    let mut answered = 0;
    while let Some(outcome) = logins.try_join_next() {
        outcome??;
        answered += 1;
    }
    ensure!(
        answered < LOGINS,
        "{ROUNDS} questions waited for {answered} logins"
    );
    while let Some(outcome) = logins.join_next().await {
        outcome??;
    }
    Wire::login(address, RIGHT).await?;
    Ok(())
}

#[tokio::test]
async fn commands_behind_a_slow_login_wait_and_are_not_lost() -> Result<()> {
    let server = start(CONFIG)?;
    let address = server.nats_address()?;
    let mut reader = Wire::login(address, PLAIN).await?;
    reader.send("SUB a 1\r\n").await?;
    reader.round_trip().await?;
    let mut wire = Wire::open(address).await?;
    wire.info().await?;
    // More than one read holds, all behind the CONNECT that is being checked.
    let many: String = (0..20_000)
        .map(|number| format!("PUB a 5\r\n{number:05}\r\n"))
        .collect();
    let fields = RIGHT.to_owned();
    wire.send(format!(
        "CONNECT {{\"verbose\":false,\"protocol\":1,{fields}}}\r\n{many}"
    ))
    .await?;
    for number in 0..20_000 {
        ensure!(
            reader.message().await?.payload == format!("{number:05}").as_bytes(),
            "not {number}"
        );
    }
    wire.round_trip().await.map(drop)
}

#[tokio::test]
async fn who_leaves_during_the_check_leaves_nothing() -> Result<()> {
    let server = start(CONFIG)?;
    let address = server.nats_address()?;
    for _ in 0..20 {
        let mut wire = Wire::open(address).await?;
        wire.info().await?;
        wire.send(format!("CONNECT {{{RIGHT}}}\r\n")).await?;
    }
    until(&server, "/varz", |varz| {
        varz["total_connections"] == 20 && varz["connections"] == 0
    })
    .await?;
    Wire::login(address, RIGHT).await?;
    Ok(())
}
