//! A state that is damaged: what the doctor makes of it, where the log has everything, and where it does not.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{ACCOUNT, Bench, store_options};
use mainstem_storage::Storage;
use mainstem_streams::{Error, GetMessage, Options};

const SEGMENT_BYTES: u64 = 256 << 10;
const SUBJECTS: usize = 2000;

fn options() -> Options {
    let mut options = Options {
        clean_every: Duration::from_millis(10),
        ..Options::default()
    };
    options.raft.snapshot_bytes = 128 << 10;
    options.raft.dirty_bytes = 64 << 10;
    options
}

/// A stream of messages that stay; returns them by sequence.
async fn filled(bench: &Bench) -> BTreeMap<u64, String> {
    bench
        .stream("kept", |config| config.max_msgs_per_subject = 1)
        .await;
    bench.consumer("kept", "reader", |_| {}).await;
    let mut kept = BTreeMap::new();
    for number in 0..SUBJECTS {
        let payload = format!("{number} {}", "p".repeat(number % 300));
        let subject = format!("kept.{number}");
        let stored = bench.publish("kept", &subject, &payload);
        kept.insert(stored.await.unwrap().seq, payload);
    }
    kept
}

/// Messages that do not stay, until segments of the log have been cleaned away.
async fn churn(bench: &Bench) {
    bench.stream("churn", |config| config.max_msgs = 1).await;
    let payload = "c".repeat(20_000);
    while bench.segments_freed() < 6 {
        bench.publish("churn", "churn.a", &payload).await.unwrap();
    }
}

fn largest_table(folder: &Path) -> PathBuf {
    let tables = fs::read_dir(folder.join("state")).unwrap();
    let tables = tables.map(|entry| entry.unwrap().path());
    let tables = tables.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    tables
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

/// Flips a bit at a part (of 100) of the largest file of the state, and gives up what that loses.
async fn damage_and_mend(folder: &Path, percent: usize) -> Vec<String> {
    let table = largest_table(folder);
    let mut bytes = fs::read(&table).unwrap();
    let at = bytes.len() * percent / 100;
    bytes[at] ^= 1;
    fs::write(&table, bytes).unwrap();
    let options = mainstem_storage::Options {
        accept_loss: true,
        ..store_options(SEGMENT_BYTES)
    };
    let store = Storage::open(folder, options).unwrap();
    assert!(!store.lost_rows().is_empty(), "nothing is lost at {percent}%");
    let said = mainstem_streams::accept_loss(&store.log, &store.state, store.lost_rows()).await;
    store.close().unwrap();
    said.unwrap()
}

/// What is there is what was stored, and counts agree with it. Returns how many messages there are.
async fn check(bench: &Bench, kept: &BTreeMap<u64, String>) -> u64 {
    let mut found = 0;
    for (seq, payload) in kept {
        match bench
            .streams
            .get_message(ACCOUNT, "kept", GetMessage::Seq(*seq))
            .await
        {
            Ok(message) => {
                assert_eq!(&message.payload[..], payload.as_bytes());
                let subject = String::from_utf8(message.subject.to_vec()).unwrap();
                let last = GetMessage::LastBySubject(subject.into());
                let last = bench.streams.get_message(ACCOUNT, "kept", last).await.unwrap();
                assert_eq!(last.seq, *seq);
                found += 1;
            }
            Err(error) => assert_eq!(error, Error::NoMessageFound),
        }
    }
    let state = bench.info("kept").await.state;
    assert_eq!((state.msgs, state.num_subjects), (found, found));
    found
}

#[tokio::test]
async fn a_state_is_made_anew_from_a_log_that_has_everything() {
    let options = Options {
        clean_every: Duration::from_secs(3600),
        ..options()
    };
    let mut bench = Bench::with_segments(options, SEGMENT_BYTES).await;
    let kept = filled(&bench).await;
    for percent in [1, 30, 60] {
        bench = bench
            .restart_after(async |folder| {
                let said = damage_and_mend(folder, percent).await;
                assert!(
                    said.iter().any(|line| line.contains("has everything")),
                    "{said:?}"
                );
            })
            .await;
        assert_eq!(check(&bench, &kept).await, SUBJECTS as u64);
        bench.consumer_info("kept", "reader").await;
    }
    bench.publish("kept", "kept.new", "new").await.unwrap();
    bench.stop().await;
}

#[tokio::test]
async fn what_the_log_no_longer_has_is_gone_and_said() {
    for percent in [1, 20, 40, 60, 80] {
        let bench = Bench::with_segments(options(), SEGMENT_BYTES).await;
        let kept = filled(&bench).await;
        churn(&bench).await;
        let mut said = Vec::new();
        let bench = bench
            .restart_after(async |folder| said = damage_and_mend(folder, percent).await)
            .await;
        let found = check(&bench, &kept).await;
        println!("{percent}%: {found} left, {said:?}");
        let gone = SUBJECTS as u64 - found;
        let is_said = |line: &String| line.contains("kept") && line.contains("lost");
        assert!(gone == 0 || said.iter().any(is_said), "{gone} gone: {said:?}");
        bench.publish("kept", "kept.new", "new").await.unwrap();
        let bench = bench.restart().await;
        bench.publish("kept", "kept.newer", "newer").await.unwrap();
        bench.stop().await;
    }
}
