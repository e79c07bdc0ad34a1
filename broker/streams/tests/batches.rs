//! Many messages at once.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{ACCOUNT, Bench};
use mainstem_streams::{BatchEnd, Clock, Error, GetBatch, StoredMessage};

/// All messages of a batch, and the largest piece of it.
fn read(bench: &Bench, get: &GetBatch) -> (Vec<StoredMessage>, BatchEnd, usize) {
    let mut batch = bench.streams.get_batch(ACCOUNT, "S", get).unwrap();
    let (mut all, mut largest) = (Vec::new(), 0);
    loop {
        let piece = batch.read().unwrap();
        if piece.is_empty() {
            return (all, batch.end().unwrap(), largest);
        }
        largest = largest.max(piece.iter().map(|message| message.payload.len()).sum());
        all.extend(piece);
    }
}

fn seqs(messages: &[StoredMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

#[tokio::test]
async fn a_batch_is_as_long_as_asked_for() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 2500).await;
    bench.publish("S", "S.b", "x").await.unwrap();
    bench.fill("S", "S.a", 2).await;
    for subjects in [vec![], vec!["S.a".into()], vec!["S.*".into()]] {
        let skipped = u64::from(subjects == ["S.a".into()]);
        let get = GetBatch {
            subjects,
            seq: 2,
            batch: 2501,
            ..GetBatch::default()
        };
        let (messages, end, _) = read(&bench, &get);
        assert_eq!(messages.len(), 2501);
        assert_eq!(messages[2500].seq, 2502 + skipped);
        for (number, message) in messages.iter().enumerate() {
            assert_eq!(message.pending, 2502 - skipped - 1 - number as u64);
            let before = number.checked_sub(1).map_or(0, |before| messages[before].seq);
            assert_eq!(message.last_seq, before);
        }
        assert_eq!((end.pending, end.last_seq), (1 - skipped, 2502 + skipped));
    }
}

#[tokio::test]
async fn a_batch_is_read_in_pieces_and_ends_with_its_bytes() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    let payload = "x".repeat(100_000);
    for _ in 0..40 {
        bench.publish("S", "S.a", &payload).await.unwrap();
    }
    let all = GetBatch {
        seq: 1,
        batch: 100,
        max_bytes: usize::MAX,
        ..GetBatch::default()
    };
    let (messages, end, largest) = read(&bench, &all);
    assert_eq!((messages.len(), end.pending), (40, 0));
    assert!(largest < 1 << 20, "{largest}");
    // The message that reaches the limit is the last one.
    for (max_bytes, expected) in [(1, 1), (1_000_030, 10), (1_000_031, 11)] {
        let get = GetBatch {
            max_bytes,
            ..all.clone()
        };
        let (messages, end, _) = read(&bench, &get);
        assert_eq!((messages.len(), end.pending), (expected, 40 - expected as u64));
    }
}

#[tokio::test]
async fn what_comes_while_a_batch_is_read_is_not_in_it() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 300).await;
    let get = GetBatch {
        seq: 1,
        batch: 1000,
        ..GetBatch::default()
    };
    let mut batch = bench.streams.get_batch(ACCOUNT, "S", &get).unwrap();
    let mut count = batch.read().unwrap().len();
    bench
        .streams
        .delete_message(ACCOUNT, "S", 300, false)
        .await
        .unwrap();
    bench.fill("S", "S.a", 5).await;
    loop {
        let piece = batch.read().unwrap();
        if piece.is_empty() {
            break;
        }
        count += piece.len();
    }
    assert_eq!(count, 299);
    let end = batch.end().unwrap();
    assert_eq!((end.pending, end.last_seq), (5, 299));
}

#[tokio::test]
async fn the_last_of_each_subject_is_as_it_was_before_a_time() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    let mut times = Vec::new();
    for subject in ["S.a", "S.b", "S.a"] {
        bench.clock.advance(Duration::from_secs(1));
        times.push(bench.clock.wall_ns());
        bench.publish("S", subject, "x").await.unwrap();
    }
    let up_to = |up_to_ns| GetBatch {
        subjects: vec!["S.>".into()],
        multi_last: true,
        up_to_ns: Some(up_to_ns),
        ..GetBatch::default()
    };
    // A message of just that time is not among them.
    for (at_ns, expected) in [
        (times[0] - 1, vec![]),
        (times[0], vec![]),
        (times[0] + 1, vec![1]),
        (times[2], vec![1, 2]),
        (times[2] + 1, vec![2, 3]),
    ] {
        assert_eq!(seqs(&read(&bench, &up_to(at_ns)).0), expected, "{at_ns}");
    }
}

#[tokio::test]
async fn the_last_of_too_many_subjects_is_refused() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    for number in 0..1024 {
        bench.send("S", &format!("S.{number}"), "x", Default::default());
    }
    let get = GetBatch {
        subjects: vec!["S.*".into()],
        multi_last: true,
        ..GetBatch::default()
    };
    bench.publish("S", "S.0", "x").await.unwrap();
    let (messages, end, _) = read(&bench, &get);
    assert_eq!((messages.len(), end.up_to_seq), (1024, 1025));
    bench.publish("S", "S.more", "x").await.unwrap();
    let refused = bench.streams.get_batch(ACCOUNT, "S", &get);
    assert_eq!(refused.err(), Some(Error::TooManySubjects));
}
