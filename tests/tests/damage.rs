//! A flipped byte and a cut end in each kind of file: damage is said, and never served as data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use mainstem_tests::binaries;
use mainstem_tests::jetstream::Api;
use mainstem_tests::random::Random;
use mainstem_tests::server::{Launch, Server, Signal};
use serde_json::json;
use tempfile::TempDir;

const STREAM: &str = "kept";
/// How far the watermark may be behind what is durable, and more.
const WATERMARK_LAG: Duration = Duration::from_millis(500);

/// A store that is whole, and what was acknowledged into it.
struct Original {
    folder: TempDir,
    messages: BTreeMap<u64, String>,
}

/// What a broker does with a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Nothing was lost: what was damaged is not needed, or is there twice.
    Whole,
    /// It does not start, and says what is damaged.
    Refused,
    /// It reads and does not write, and says what is damaged.
    ReadOnly,
}

fn store(folder: &Path) -> PathBuf {
    folder.join("store")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(from)
        .arg(to)
        .status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}

async fn publish(api: &mut Api, messages: &mut BTreeMap<u64, String>, count: u64) -> Result<()> {
    let mut random = Random::new(count);
    let mut waiting = Vec::new();
    for _ in 0..count {
        let payload = format!(
            "{} {}",
            random.number(),
            "z".repeat(random.within(0..1500) as usize)
        );
        let reply = api
            .ask(
                &format!("{STREAM}.{}", random.within(0..20)),
                &[],
                payload.as_bytes(),
            )
            .await?;
        waiting.push((reply, payload));
    }
    for (reply, payload) in waiting {
        let ack: serde_json::Value = serde_json::from_slice(&api.answer(&reply).await?.payload)?;
        ensure!(ack["error"].is_null(), "{ack}");
        messages.insert(ack["seq"].as_u64().context("a sequence")?, payload);
    }
    Ok(())
}

/// A store with files of every kind: some that a clean stop left, some in the middle of being written.
async fn original() -> Result<Original> {
    let mut server = Launch::jetstream(&binaries::broker()?, "")?.start()?;
    let mut messages = BTreeMap::new();
    Api::open(&server).await?.stream(STREAM, json!({})).await?;
    for _ in 0..2 {
        publish(&mut Api::open(&server).await?, &mut messages, 1000).await?;
        server.restart(Signal::TERM)?;
    }
    publish(&mut Api::open(&server).await?, &mut messages, 500).await?;
    tokio::time::sleep(WATERMARK_LAG).await;
    server.signal(Signal::KILL)?;
    server.await_exit()?;
    let folder = tempfile::tempdir()?;
    copy(&store(server.folder()), &store(folder.path()))?;
    Ok(Original { folder, messages })
}

/// The kind of a file, by its name; `None`: it holds nothing that could be lost.
fn kind(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let folder = file.parent()?.file_name()?.to_str()?;
    let is_idle = name.starts_with("LOG") || ["LOCK", "lock", "ballast"].contains(&name);
    if is_idle || std::fs::metadata(file).ok()?.len() == 0 {
        return None;
    }
    let kind = match name.rsplit_once('.') {
        Some((_, extension)) => format!("*.{extension}"),
        None => name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(),
    };
    Some(format!("{folder}/{kind}"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?)
        } else {
            all.push(path)
        }
    }
    all.sort();
    Ok(all)
}

/// One file of each kind, the largest.
fn one_of_each(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut kinds: BTreeMap<String, (u64, PathBuf)> = BTreeMap::new();
    for file in files(folder)? {
        let Some(kind) = kind(&file) else { continue };
        let size = std::fs::metadata(&file)?.len();
        let largest = kinds.entry(kind).or_default();
        if size > largest.0 {
            *largest = (size, file);
        }
    }
    Ok(kinds.into_iter().map(|(kind, (_, file))| (kind, file)).collect())
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip,
    Cut,
}

fn harm(file: &Path, harm: Harm, random: &mut Random) -> Result<u64> {
    let mut bytes = std::fs::read(file)?;
    // Files are allocated ahead: what is behind the last byte that is not zero was never written.
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .context("the file is empty")? as u64
        + 1;
    let at = random.within(0..end);
    match harm {
        Harm::Flip => bytes[at as usize] ^= 1 << random.within(0..8),
        Harm::Cut => bytes.truncate(at as usize),
    }
    std::fs::write(file, bytes)?;
    Ok(at)
}

/// Reads every message by its sequence: it is what was stored, or there is an error. Returns how many are missing.
async fn missing(api: &mut Api, messages: &BTreeMap<u64, String>) -> Result<usize> {
    let mut missing = 0;
    for (sequence, stored) in messages {
        let answer = api
            .call(&format!("STREAM.MSG.GET.{STREAM}"), &json!({"seq": sequence}))
            .await?;
        if !answer["error"].is_null() {
            missing += 1;
            continue;
        }
        let data = answer["message"]["data"].as_str().unwrap_or_default();
        let read = BASE64.decode(data.as_bytes())?;
        ensure!(
            read == stored.as_bytes(),
            "sequence {sequence} is served with other bytes"
        );
    }
    Ok(missing)
}

/// Starts a broker on the store, and finds out what it makes of it.
async fn judge(launch: Launch, messages: &BTreeMap<u64, String>) -> Result<(Outcome, usize, Option<Server>)> {
    let server = match launch.start() {
        Ok(server) => server,
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(!text.contains("panicked"), "{text}");
            ensure!(text.contains("ended with"), "it does not end: {text}");
            ensure!(
                text.contains("damaged") || text.contains("doctor"),
                "it does not say why: {text}"
            );
            return Ok((Outcome::Refused, messages.len(), None));
        }
    };
    let mut api = Api::open(&server).await?;
    let missing = missing(&mut api, messages).await?;
    let published = api.request(&format!("{STREAM}.new"), &[], b"new").await?;
    let is_stored = published.text().contains("\"seq\"") && !published.text().contains("\"error\"");
    let log = server.log();
    ensure!(!log.contains("panicked"), "{log}");
    if is_stored {
        ensure!(
            missing == 0,
            "{missing} messages are gone, and it goes on as if nothing were: {log}"
        );
        return Ok((Outcome::Whole, 0, Some(server)));
    }
    ensure!(
        log.contains("reading only") || log.contains("read-only"),
        "it refuses to store, and does not say why: {log}"
    );
    Ok((Outcome::ReadOnly, missing, Some(server)))
}

/// `mainstem doctor` finds the damage, and with `--accept-loss` the broker goes on without what is gone. The state is
/// worked out from the log: of that, nothing is gone.
async fn go_on(kind: &str, folder: &Path, messages: &BTreeMap<u64, String>) -> Result<String> {
    let doctor = |arguments: &[&str]| {
        let data = store(folder).join("jetstream");
        Command::new(binaries::broker()?)
            .arg("doctor")
            .arg(data)
            .args(arguments)
            .output()
            .context("doctor")
    };
    let found = doctor(&[])?;
    ensure!(
        !found.status.success(),
        "doctor finds nothing: {}",
        String::from_utf8_lossy(&found.stdout)
    );
    let accepted = doctor(&["--accept-loss"])?;
    let said = String::from_utf8_lossy(&accepted.stderr);
    if !accepted.status.success() {
        // Of a folder that says nothing of its format, nothing is known.
        ensure!(kind.ends_with("/FORMAT"), "loss is not accepted: {said}");
        return Ok(format!("loss is not accepted: {}", said.trim()));
    }
    let launch = Launch::jetstream(&binaries::broker()?, "")?;
    copy(&store(folder), &store(launch.folder()))?;
    let server = launch.start()?;
    let mut api = Api::open(&server).await?;
    let gone = missing(&mut api, messages).await?;
    ensure!(
        gone == 0 || !kind.starts_with("state/"),
        "{gone} are gone: {said}"
    );
    if api.state(STREAM).await.is_err() {
        return Ok("goes on without the stream".into());
    }
    api.stored(&format!("{STREAM}.new"), "new").await?;
    Ok(format!("goes on without {gone}"))
}

async fn damage(kind_of_harm: Harm, rounds: u64) -> Result<()> {
    let original = original().await?;
    let whole = one_of_each(original.folder.path())?;
    ensure!(whole.len() >= 8, "kinds of files: {:?}", whole.keys());
    let mut wrong = Vec::new();
    println!(
        "{:<22}{:>10} {:>10}  {:<10}{:>8}",
        "file", "bytes", "at", "outcome", "unread"
    );
    for (kind, file) in &whole {
        for round in 0..rounds {
            let mut random = Random::new(round);
            let launch = Launch::jetstream(&binaries::broker()?, "")?;
            copy(&store(original.folder.path()), &store(launch.folder()))?;
            let copied = launch.folder().join(file.strip_prefix(original.folder.path())?);
            let size = std::fs::metadata(&copied)?.len();
            let at = harm(&copied, kind_of_harm, &mut random)?;
            let damaged = tempfile::tempdir()?;
            copy(&store(launch.folder()), &store(damaged.path()))?;
            match judge(launch, &original.messages).await {
                Ok((outcome, unread, _server)) => {
                    let mut after = String::new();
                    if outcome != Outcome::Whole && round == 0 {
                        after = match go_on(kind, damaged.path(), &original.messages).await {
                            Ok(after) => after,
                            Err(error) => {
                                wrong.push(format!("{kind} at {at}: after the doctor: {error:#}"));
                                "see below".into()
                            }
                        };
                    }
                    println!("{kind:<22}{size:>10} {at:>10}  {outcome:<10?}{unread:>8}  {after}");
                }
                Err(error) => {
                    println!("{kind:<22}{size:>10} {at:>10}  WRONG");
                    wrong.push(format!("{kind_of_harm:?} {kind} at {at}: {error:#}"));
                }
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{} of them wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
    Ok(())
}

#[tokio::test]
async fn a_flipped_bit_is_never_served() -> Result<()> {
    damage(Harm::Flip, 3).await
}

#[tokio::test]
async fn a_cut_file_is_never_taken_for_whole() -> Result<()> {
    damage(Harm::Cut, 2).await
}
