//! A disk that fills up: publishes are refused, everything else goes on, and it recovers alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mainstem_tests::binaries;
use mainstem_tests::jetstream::Api;
use mainstem_tests::server::{Launch, Server, Signal};
use mainstem_tests::wire::Wire;
use rustix::fs::FallocateFlags;
use serde_json::{Value, json};

/// `insufficient storage resources available`, and what a single server says.
const FULL: [u64; 3] = [10023, 10047, 10077];
const PATIENCE: Duration = Duration::from_secs(30);

/// A file system of its own in the broker's folder. Unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(folder: &Path, mib: u64) -> Result<Mount> {
        let at = folder.join("store");
        std::fs::create_dir_all(&at)?;
        let size = format!("size={mib}m");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&at)
            .status()?;
        ensure!(status.success(), "mount: {status}");
        Ok(Mount(at))
    }

    /// Leaves about this many bytes free.
    fn fill(&self, leave: u64) -> Result<()> {
        let file = std::fs::File::create(self.0.join("filler"))?;
        let mut filled = 0;
        // The broker writes meanwhile: what was free may not be any more.
        for _ in 0..100 {
            let stat = rustix::fs::statvfs(&self.0)?;
            let more = (stat.f_bavail * stat.f_frsize).saturating_sub(leave);
            if more == 0 {
                break;
            }
            match rustix::fs::fallocate(&file, FallocateFlags::empty(), filled, more) {
                Ok(()) => filled += more,
                Err(rustix::io::Errno::NOSPC) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that still has it open is killed right after; the name goes at once.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

async fn put(api: &mut Api, n: u64) -> Result<Result<u64, u64>> {
    let payload = format!("{n} {}", "f".repeat(50_000));
    let answer: Value =
        serde_json::from_slice(&api.request("full.a", &[], payload.as_bytes()).await?.payload)?;
    match answer["error"]["err_code"].as_u64() {
        Some(code) => Ok(Err(code)),
        None => Ok(Ok(answer["seq"].as_u64().context("a sequence")?)),
    }
}

/// Publishes until it is refused; returns how many were stored.
async fn until_refused(api: &mut Api, from: u64) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    for n in from.. {
        match put(api, n).await? {
            Ok(sequence) => ensure!(sequence == n, "{n} is stored at {sequence}"),
            Err(code) => {
                ensure!(FULL.contains(&code), "refused with {code}");
                return Ok(n - 1);
            }
        }
        ensure!(Instant::now() < deadline, "nothing is refused");
    }
    bail!("there is no end of numbers")
}

async fn until_stored(api: &mut Api, n: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(code) = put(api, n).await? {
        ensure!(Instant::now() < deadline, "still refused with {code}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn core_goes_on(server: &Server) -> Result<()> {
    let mut wire = Wire::login(server.nats_address()?, "").await?;
    wire.send("SUB live 1\r\n").await?;
    wire.publish("live", "news").await?;
    let came = wire.round_trip().await?;
    ensure!(came.iter().any(|message| message.payload == b"news"), "{came:?}");
    Ok(())
}

/// All that was stored is there, and nothing that was refused.
async fn check(api: &mut Api, last: u64) -> Result<()> {
    let state = api.state("full").await?;
    ensure!(
        state["messages"] == last && state["last_seq"] == last,
        "{last} were stored: {state}"
    );
    for n in [1, last / 2, last] {
        let answer = api.done("STREAM.MSG.GET.full", &json!({"seq": n})).await?;
        let data =
            data_encoding::BASE64.decode(answer["message"]["data"].as_str().unwrap_or("").as_bytes())?;
        ensure!(
            data.starts_with(format!("{n} ").as_bytes()),
            "{n} is something else"
        );
    }
    Ok(())
}

/// `leave`: how many bytes are free when the disk is full.
async fn fills_and_recovers(leave: u64) -> Result<()> {
    let launch = Launch::jetstream(&binaries::broker()?, "")?;
    let mount = Mount::new(launch.folder(), 700)?;
    let mut server = launch.start()?;
    let done = fill_and_recover(&mut server, &mount, leave).await;
    done.with_context(|| server.log())
}

async fn fill_and_recover(server: &mut Server, mount: &Mount, leave: u64) -> Result<()> {
    let mut api = Api::open(server).await?;
    api.stream("full", json!({})).await?;
    let mut last = 0;
    for _ in 0..2 {
        for n in last + 1..last + 100 {
            until_stored(&mut api, n).await?;
        }
        last += 99;
        mount.fill(leave)?;
        last = until_refused(&mut api, last + 1).await?;
        core_goes_on(server).await?;
        check(&mut api, last).await?;
        mount.clear()?;
        last += 1;
        until_stored(&mut api, last).await?;
    }
    mount.fill(leave)?;
    last = until_refused(&mut api, last + 1).await?;
    server.restart(Signal::KILL)?;
    let mut api = Api::open(server).await?;
    check(&mut api, last).await?;
    mount.clear()?;
    until_stored(&mut api, last + 1).await?;
    check(&mut api, last + 1).await
}

#[tokio::test]
#[cfg_attr(not(can_mount), ignore = "mounting a file system needs root")]
async fn a_disk_that_is_nearly_full_refuses_and_recovers() -> Result<()> {
    fills_and_recovers(100 << 20).await
}

#[tokio::test]
#[cfg_attr(not(can_mount), ignore = "mounting a file system needs root")]
async fn a_disk_without_any_room_refuses_and_recovers() -> Result<()> {
    fills_and_recovers(0).await
}

/// What removes messages is taken on a full disk, and makes room without anybody else's help.
async fn purge_and_recover(server: &mut Server) -> Result<()> {
    let mut api = Api::open(server).await?;
    api.stream("full", json!({})).await?;
    let last = until_refused(&mut api, 1).await?;
    core_goes_on(server).await?;
    api.done("STREAM.PURGE.full", &json!({})).await?;
    until_stored(&mut api, last + 1).await?;
    let state = api.state("full").await?;
    ensure!(state["messages"] == 1, "{state}");
    Ok(())
}

#[tokio::test]
#[cfg_attr(not(can_mount), ignore = "mounting a file system needs root")]
async fn a_purge_makes_room() -> Result<()> {
    let launch = Launch::jetstream(&binaries::broker()?, "")?;
    let _mount = Mount::new(launch.folder(), 700)?;
    let mut server = launch.start()?;
    let done = purge_and_recover(&mut server).await;
    done.with_context(|| server.log())
}
