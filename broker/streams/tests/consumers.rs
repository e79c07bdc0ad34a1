//! Consumers at work: what idleness, crashes and removals leave them with.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{ACCOUNT, Bench, Got};
use mainstem_streams::config::DeliverPolicy;
use mainstem_streams::{AckKind, Advisory, PurgeOptions};

/// Lets time pass until the consumer has no runtime state any more.
async fn idle(bench: &Bench, stream: &str, name: &str) {
    bench
        .until("the consumer is at rest", || async {
            bench.clock.advance(Duration::from_secs(1));
            bench.consumer_info(stream, name).await.delivered.last_active_ns == 0
        })
        .await;
}

fn seqs(got: &[Got]) -> Vec<(u64, u64)> {
    got.iter().map(|got| (got.seq, got.delivered)).collect()
}

#[tokio::test]
async fn what_comes_while_nobody_uses_a_consumer_is_delivered_for_the_first_time() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 2).await;
    for (name, max_deliver) in [("c", -1), ("once", 1)] {
        bench
            .consumer("S", name, |config| config.max_deliver = max_deliver)
            .await;
        bench.pull("S", name, "inbox", 2);
        for got in bench.outlet.take(2).await {
            bench.ack_sync("S", name, &got).await;
        }
        idle(&bench, "S", name).await;
    }
    bench.fill("S", "S.a", 3).await;
    for name in ["c", "once"] {
        bench.pull("S", name, "inbox", 3);
        assert_eq!(seqs(&bench.outlet.take(3).await), [(3, 1), (4, 1), (5, 1)]);
    }
}

#[tokio::test]
async fn what_may_have_been_delivered_as_often_as_allowed_is_given_up_once() {
    for policy in [DeliverPolicy::All, DeliverPolicy::LastPerSubject] {
        let bench = Bench::new().await;
        bench.stream("S", |_| {}).await;
        for subject in ["S.a", "S.b", "S.c"] {
            bench.publish("S", subject, "x").await.unwrap();
        }
        bench
            .consumer("S", "c", |config| {
                (config.max_deliver, config.deliver_policy) = (1, policy);
                config.filter_subject = "S.*".into();
            })
            .await;
        // That the first deliveries are reserved is committed before what is published now.
        bench.publish("S", "S.d", "x").await.unwrap();
        let bench = bench.crash().await;
        bench.pull("S", "c", "inbox", 1);
        let given_up = |advisory: &Advisory| matches!(advisory, Advisory::MaxDeliver { stream_seq: 4, .. });
        bench.outlet.advisory(given_up).await;
        assert_eq!(bench.publish("S", "S.e", "x").await.unwrap().seq, 5);
        assert_eq!(seqs(&bench.outlet.take(1).await), [(5, 1)]);
        let info = bench.consumer_info("S", "c").await;
        assert_eq!((info.delivered.stream, info.num_pending), (5, 0));
        let rest = bench.outlet.advisories();
        let given_up = |advisory: &&Advisory| matches!(advisory, Advisory::MaxDeliver { .. });
        assert_eq!(rest.iter().filter(given_up).count(), 3);
    }
}

#[tokio::test]
async fn what_waits_is_counted_rightly_when_a_removal_and_a_gap_that_is_passed_make_up_for_each_other() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 10).await;
    let delete = async |seq| {
        bench
            .streams
            .delete_message(ACCOUNT, "S", seq, false)
            .await
            .unwrap()
    };
    delete(2).await;
    for (name, filter) in [("wild", "S.*"), ("literal", "S.a"), ("all", "")] {
        bench
            .consumer("S", name, |config| config.filter_subject = filter.into())
            .await;
        bench.pull("S", name, "inbox", 3);
        assert_eq!(bench.outlet.take(3).await[2].pending, 6);
    }
    delete(8).await;
    delete(1).await;
    for name in ["wild", "literal", "all"] {
        bench.pull("S", name, "inbox", 1);
        let got = bench.outlet.take(1).await;
        assert_eq!((got[0].seq, got[0].pending), (5, 4), "{name}");
    }
}

#[tokio::test]
async fn what_waits_is_counted_rightly_whatever_comes_and_goes() {
    let bench = Bench::new().await;
    bench.stream("S", |config| config.max_msgs_per_subject = 40).await;
    bench.fill("S", "S.a", 30).await;
    bench.fill("S", "S.b", 20).await;
    let names = [("wild", "S.*"), ("literal", "S.a"), ("other", "S.b")];
    for (name, filter) in names {
        bench
            .consumer("S", name, |config| config.filter_subject = filter.into())
            .await;
    }
    for round in 0..12_u64 {
        for (name, _) in names {
            bench.pull("S", name, "inbox", 3);
            let got = bench.outlet.take(3).await;
            let info = bench.consumer_info("S", name).await;
            assert_eq!(got[2].pending, info.num_pending);
            let fresh = format!("{name}{round}");
            let of_all = bench
                .consumer("S", &fresh, |config| {
                    config.filter_subject = names.iter().find(|of| of.0 == name).unwrap().1.into();
                    config.deliver_policy = DeliverPolicy::ByStartSequence;
                    config.opt_start_seq = got[2].seq + 1;
                })
                .await;
            assert_eq!(info.num_pending, of_all.num_pending, "{name} in round {round}");
            bench.streams.delete_consumer(ACCOUNT, "S", &fresh).await.unwrap();
        }
        bench
            .fill("S", if round % 2 == 0 { "S.a" } else { "S.b" }, 6)
            .await;
    }
}

#[tokio::test]
async fn requests_take_turns_message_by_message() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.consumer("S", "c", |_| {}).await;
    for inbox in ["one", "two", "three"] {
        bench.pull("S", "c", inbox, 10);
    }
    let mut turns = Vec::new();
    for _ in 0..6 {
        bench.publish("S", "S.a", "x").await.unwrap();
        turns.extend(bench.outlet.take(1).await.into_iter().map(|got| got.to));
    }
    assert_eq!(turns, ["one", "two", "three", "one", "two", "three"]);
}

#[tokio::test]
async fn who_does_not_listen_any_more_gets_nothing() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.consumer("S", "c", |_| {}).await;
    for inbox in ["one", "two", "three", "four"] {
        bench.pull("S", "c", inbox, 2);
    }
    bench
        .until("they wait", || async {
            bench.consumer_info("S", "c").await.num_waiting == 4
        })
        .await;
    bench.outlet.set_deaf("one", true);
    bench.outlet.set_deaf("three", true);
    bench.fill("S", "S.a", 4).await;
    let mut to: Vec<_> = bench.outlet.take(4).await.into_iter().map(|got| got.to).collect();
    to.sort();
    assert_eq!(to, ["four", "four", "two", "two"]);
}

#[tokio::test]
async fn what_newer_messages_replace_is_not_waited_for() {
    let bench = Bench::new().await;
    bench.stream("S", |config| config.max_msgs_per_subject = 1).await;
    for subject in ["S.first", "S.a"] {
        bench.publish("S", subject, "x").await.unwrap();
    }
    bench
        .consumer("S", "c", |config| config.max_ack_pending = 2)
        .await;
    bench.pull("S", "c", "inbox", 10_000);
    assert_eq!(seqs(&bench.outlet.take(2).await), [(1, 1), (2, 1)]);
    for seq in 3..20 {
        bench.publish("S", "S.a", "x").await.unwrap();
        assert_eq!(seqs(&bench.outlet.take(1).await), [(seq, 1)]);
    }
    // More than are named one by one.
    bench.fill("S", "S.a", 3_000).await;
    let mut last = 0;
    while last < 3_019 {
        last = bench.outlet.take(1).await[0].seq;
    }
    assert_eq!(bench.consumer_info("S", "c").await.num_ack_pending, 2);
}

#[tokio::test]
async fn the_last_messages_of_subjects_are_not_forgotten_while_nobody_asks_for_them() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    for subject in ["S.a", "S.b", "S.a", "S.b", "S.c"] {
        bench.publish("S", subject, "x").await.unwrap();
    }
    bench
        .consumer("S", "c", |config| {
            config.deliver_policy = DeliverPolicy::LastPerSubject;
            config.filter_subject = "S.>".into();
        })
        .await;
    bench.publish("S", "S.a", "x").await.unwrap();
    bench.pull("S", "c", "inbox", 1);
    let got = bench.outlet.take(1).await;
    assert_eq!(got[0].seq, 3);
    bench.ack_sync("S", "c", &got[0]).await;
    for _ in 0..100 {
        bench.clock.advance(Duration::from_secs(1));
        bench.consumer_info("S", "c").await;
    }
    bench.pull("S", "c", "inbox", 10);
    assert_eq!(seqs(&bench.outlet.take(3).await), [(4, 1), (5, 1), (6, 1)]);
}

#[tokio::test]
async fn a_consumer_passes_what_is_purged() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 5).await;
    bench.consumer("S", "c", |_| {}).await;
    bench.pull("S", "c", "inbox", 1);
    bench.outlet.take(1).await;
    bench
        .streams
        .purge(ACCOUNT, "S", PurgeOptions::default())
        .await
        .unwrap();
    let info = bench.consumer_info("S", "c").await;
    assert_eq!(
        (info.delivered.stream, info.ack_floor.stream, info.num_ack_pending),
        (5, 5, 0)
    );
    bench.fill("S", "S.a", 1).await;
    bench.pull("S", "c", "inbox", 1);
    assert_eq!(seqs(&bench.outlet.take(1).await), [(6, 1)]);
}

#[tokio::test]
async fn a_deleted_message_is_not_waited_for() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 4).await;
    bench.consumer("S", "c", |_| {}).await;
    bench.pull("S", "c", "inbox", 3);
    let got = bench.outlet.take(3).await;
    for (seq, pending, floor) in [(2, 2, 0), (1, 1, 2)] {
        bench
            .streams
            .delete_message(ACCOUNT, "S", seq, false)
            .await
            .unwrap();
        let info = bench.consumer_info("S", "c").await;
        assert_eq!(
            (info.num_ack_pending, info.ack_floor.stream, info.delivered.stream),
            (pending, floor, 3)
        );
    }
    bench.ack("S", "c", &got[2], AckKind::Nak { delay_ns: 0 });
    bench.pull("S", "c", "inbox", 1);
    assert_eq!(seqs(&bench.outlet.take(1).await), [(3, 2)]);
}
