//! TLS: who gets in, as whom, and that those who dawdle hold nobody up.

mod common;

use anyhow::{Context, Result, ensure};
use common::{Authority, TlsWire};
use mainstem_tests::server::Server;
use mainstem_tests::watch::{json, open_files, start, until, until_open_files};
use mainstem_tests::wire::Wire;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// The first bytes of a ClientHello.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// One sends, the other receives, both ways.
async fn exchange<A, B>(one: &mut Wire<A>, other: &mut Wire<B>) -> Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    // More than a TLS record holds.
    let payload: Vec<u8> = (0..200_000u32).map(|number| (number / 7) as u8).collect();
    one.send("SUB to.one 1\r\n").await?;
    other.send("SUB to.other 1\r\n").await?;
    one.round_trip().await?;
    other.round_trip().await?;
    one.publish("to.other", &payload).await?;
    ensure!(other.message().await?.payload == payload, "changed on its way");
    other.publish("to.one", &payload).await?;
    ensure!(one.message().await?.payload == payload, "changed on its way");
    Ok(())
}

fn user_of(server: &Server, name: &str) -> Result<String> {
    let connz = json(server, "/connz?auth=1")?;
    let connections = connz["connections"].as_array().context("connections")?;
    let found = connections.iter().find(|connection| connection["name"] == name);
    let user = found.with_context(|| format!("no {name} in {connz}"))?["authorized_user"].as_str();
    Ok(user.context("a user")?.to_owned())
}

#[tokio::test]
async fn tls_starts_after_info() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&authority.block(""))?;
    let address = server.nats_address()?;
    let mut plain = Wire::open(address).await?;
    let info = plain.info().await?;
    assert_eq!(info["tls_required"], true, "{info}");
    let mut one: TlsWire = Wire::new(authority.secure(plain.into_stream(), None).await?);
    one.hello("").await?;
    let mut other = authority.login(address, None, "").await?;
    exchange(&mut one, &mut other).await?;
    // Clear text is no handshake.
    let mut clear = Wire::open(address).await?;
    clear.info().await?;
    clear.send("CONNECT {}\r\nPING\r\n").await?;
    ensure!(
        !matches!(clear.next().await, Ok(Some(mainstem_tests::wire::Frame::Pong))),
        "served in clear text"
    );
    exchange(&mut one, &mut other).await
}

#[tokio::test]
async fn slow_handshakes_do_not_keep_others_out() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&authority.block(""))?;
    let address = server.nats_address()?;
    let files = open_files(&server)?;
    let mut slow = Vec::new();
    for number in 0..100 {
        let mut wire = Wire::open(address).await?;
        wire.info().await?;
        let mut stream = wire.into_stream();
        if number % 2 == 1 {
            stream.write_all(HALF_A_HELLO).await?;
        }
        slow.push(stream);
    }
    let mut one = authority.login(address, None, "").await?;
    let mut other = authority.login(address, None, "").await?;
    exchange(&mut one, &mut other).await?;
    // Nobody was told to hurry: all of them are still there.
    let held = open_files(&server)?;
    ensure!(
        held >= files + 100,
        "{held} open files, {files} before: the slow ones were cut"
    );
    drop((slow, one, other));
    until_open_files(&server, files).await
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&authority.block("timeout: 0.1").replace("timeout: 30, ", ""))?;
    let address = server.nats_address()?;
    let mut silent = Wire::open(address).await?;
    silent.info().await?;
    assert_eq!(silent.end().await?, [""; 0]);
    authority.login(address, None, "").await?;
    Ok(())
}

#[tokio::test]
async fn verify_wants_a_certificate_of_the_authority() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&authority.block("verify: true"))?;
    let address = server.nats_address()?;
    let good = authority.issue("good", None)?;
    let stranger = Authority::new()?.issue("good", None)?;
    let mut inside = authority.login(address, Some(&good), "").await?;
    ensure!(
        authority.login(address, None, "").await.is_err(),
        "without a certificate"
    );
    ensure!(
        authority.login(address, Some(&stranger), "").await.is_err(),
        "with another authority's"
    );
    inside.round_trip().await?;
    until(&server, "/varz", |varz| varz["connections"] == 1).await?;
    Ok(())
}

#[tokio::test]
async fn verify_and_map_makes_the_certificate_a_user() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&format!(
        "{}\nauthorization {{ users [ \
            {{user: \"anna@example.com\", permissions: {{ publish: allowed }} }}, \
            {{user: \"CN=bert\"}} ] }}",
        authority.block("verify_and_map: true")
    ))?;
    let address = server.nats_address()?;
    let anna = authority.issue("whoever", Some("anna@example.com"))?;
    let bert = authority.issue("bert", None)?;
    let nobody = authority.issue("nobody", None)?;
    let mut anna = authority
        .login(address, Some(&anna), r#""name":"by e-mail""#)
        .await?;
    let mut bert = authority
        .login(address, Some(&bert), r#""name":"by subject""#)
        .await?;
    assert_eq!(user_of(&server, "by e-mail")?, "anna@example.com");
    assert_eq!(user_of(&server, "by subject")?, "CN=bert");
    bert.send("SUB > 1\r\n").await?;
    bert.round_trip().await?;
    anna.publish("forbidden", "x").await?;
    ensure!(anna.round_trip().await.is_err(), "anna may not publish there");
    anna.publish("allowed", "x").await?;
    assert_eq!(bert.message().await?.subject, "allowed");
    ensure!(
        authority.login(address, Some(&nobody), "").await.is_err(),
        "a certificate that names no user"
    );
    Ok(())
}

#[tokio::test]
async fn handshake_first_says_nothing_in_clear_text() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&authority.block("handshake_first: true"))?;
    let address = server.nats_address()?;
    let mut wires = Vec::new();
    for _ in 0..2 {
        let stream = TcpStream::connect(address).await?;
        // Were there an INFO before, this would take it for a ServerHello and fail.
        let mut wire = Wire::new(authority.secure(stream, None).await?);
        let info = wire.connect("").await?;
        assert_eq!(info["tls_required"], true);
        wires.push(wire);
    }
    let [one, other] = &mut wires[..] else {
        unreachable!("two")
    };
    exchange(one, other).await
}

#[tokio::test]
async fn handshake_first_with_a_delay_serves_both_kinds() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&authority.block("handshake_first: \"100ms\""))?;
    let address = server.nats_address()?;
    let first = TcpStream::connect(address).await?;
    let mut first = Wire::new(authority.secure(first, None).await?);
    first.connect("").await?;
    let mut after_info = authority.login(address, None, "").await?;
    exchange(&mut first, &mut after_info).await
}

#[tokio::test]
async fn allow_non_tls_serves_both_on_one_port() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&format!("allow_non_tls: true\n{}", authority.block("")))?;
    let address = server.nats_address()?;
    let mut clear = Wire::open(address).await?;
    let info = clear.connect("").await?;
    assert_eq!(
        (&info["tls_available"], &info["tls_required"]),
        (&true.into(), &serde_json::Value::Null)
    );
    let mut secured = authority.login(address, None, "").await?;
    exchange(&mut clear, &mut secured).await
}

#[tokio::test]
async fn broken_records_end_their_own_connection() -> Result<()> {
    let authority = Authority::new()?;
    let server = start(&authority.block(""))?;
    let address = server.nats_address()?;
    let mut one = authority.login(address, None, "").await?;
    let mut other = authority.login(address, None, "").await?;
    for _ in 0..10 {
        let wire = authority.login(address, None, "").await?;
        let (mut stream, _) = wire.into_stream().into_inner();
        stream
            .write_all(b"\x17\x03\x03\x00\x20no record that was ever encrypted")
            .await?;
        let mut raw = Wire::new(stream);
        // An alert may come first: whatever it is, the end follows.
        while let Ok(Some(_)) = raw.next().await {}
    }
    until(&server, "/varz", |varz| varz["connections"] == 2).await?;
    exchange(&mut one, &mut other).await
}
