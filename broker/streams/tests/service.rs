//! The service end to end, on a real store.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{ACCOUNT, Bench};
use mainstem_streams::command::Conditions;
use mainstem_streams::config::{AckPolicy, DeliverPolicy, Discard, Retention, Storage};
use mainstem_streams::{AckKind, Advisory, Error, GetMessage, PurgeOptions, Status};

#[tokio::test]
async fn what_is_published_is_stored_and_outlives_a_restart() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    assert_eq!(bench.outlet.captured("S"), Some(vec!["S.>".into()]));
    for number in 1..=3 {
        let stored = bench.publish("S", "S.a", &number.to_string()).await.unwrap();
        assert_eq!(stored.seq, number);
    }
    let before = bench.info("S").await;
    let bench = bench.restart().await;
    assert_eq!(bench.outlet.captured("S"), Some(vec!["S.>".into()]));
    let after = bench.info("S").await;
    assert_eq!((after.state, after.created_ns), (before.state, before.created_ns));
    let message = bench
        .streams
        .get_message(ACCOUNT, "S", GetMessage::Seq(2))
        .await
        .unwrap();
    assert_eq!(&message.payload[..], b"2");
    assert_eq!(bench.publish("S", "S.a", "4").await.unwrap().seq, 4);
}

#[tokio::test]
async fn creating_a_stream_again_gives_it_back_and_differing_is_refused() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.stream("S", |_| {}).await;
    let differs = bench.try_stream("S", |config| config.max_msgs = 5).await;
    assert_eq!(differs.unwrap_err(), Error::StreamNameInUse);
    let overlaps = bench
        .try_stream("T", |config| config.subjects = vec!["S.*".into()])
        .await;
    assert_eq!(overlaps.unwrap_err(), Error::SubjectsOverlap);
}

#[tokio::test]
async fn a_deleted_stream_is_gone_and_its_name_is_free() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.publish("S", "S.a", "x").await.unwrap();
    bench.streams.delete_stream(ACCOUNT, "S").await.unwrap();
    assert_eq!(bench.outlet.captured("S"), Some(vec![]));
    assert_eq!(
        bench.streams.delete_stream(ACCOUNT, "S").await,
        Err(Error::StreamNotFound)
    );
    let bench = bench.restart().await;
    let info = bench.stream("S", |config| config.max_msgs = 7).await;
    assert_eq!(info.state.msgs, 0);
}

#[tokio::test]
async fn a_memory_stream_is_gone_after_a_restart() {
    let bench = Bench::new().await;
    bench.stream("M", |config| config.storage = Storage::Memory).await;
    bench.stream("F", |_| {}).await;
    bench.publish("M", "M.a", "x").await.unwrap();
    assert_eq!(bench.info("M").await.state.msgs, 1);
    let bench = bench.restart().await;
    let names = bench.streams.stream_names(ACCOUNT, None, 0, 10).items;
    assert_eq!(names, ["F".into()]);
}

#[tokio::test]
async fn a_message_id_is_stored_once() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    let id = Conditions {
        msg_id: b"one",
        ..Conditions::default()
    };
    let first = bench.publish_if("S", "S.a", "x", id).await.unwrap();
    let second = bench.publish_if("S", "S.a", "x", id).await.unwrap();
    assert!(!first.duplicate && second.duplicate);
    assert_eq!(second.seq, first.seq);
}

#[tokio::test]
async fn what_does_not_hold_is_refused() {
    let bench = Bench::new().await;
    bench
        .stream("S", |config| {
            (config.max_msgs, config.discard) = (1, Discard::New)
        })
        .await;
    let wrong = Conditions {
        expected_last_seq: Some(9),
        ..Conditions::default()
    };
    let refused = bench.publish_if("S", "S.a", "x", wrong).await;
    assert_eq!(refused, Err(Error::WrongLastSequence { last: 0 }));
    bench.publish("S", "S.a", "x").await.unwrap();
    assert!(matches!(
        bench.publish("S", "S.a", "x").await,
        Err(Error::StoreFailed(_))
    ));
}

#[tokio::test]
async fn a_pull_consumer_gets_what_it_asks_for() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 5).await;
    assert_eq!(bench.consumer("S", "c", |_| {}).await.num_pending, 5);
    bench.pull("S", "c", "inbox", 3);
    let got = bench.outlet.take(3).await;
    let seqs: Vec<_> = got
        .iter()
        .map(|got| (got.seq, got.consumer_seq, got.pending))
        .collect();
    assert_eq!(seqs, [(1, 1, 4), (2, 2, 3), (3, 3, 2)]);
    let info = bench.consumer_info("S", "c").await;
    assert_eq!(
        (info.num_ack_pending, info.num_pending, info.num_waiting),
        (3, 2, 0)
    );
    bench.ack_sync("S", "c", &got[0]).await;
    let info = bench.consumer_info("S", "c").await;
    assert_eq!((info.ack_floor.stream, info.num_ack_pending), (1, 2));
    bench.pull("S", "c", "inbox", 10);
    assert_eq!(bench.outlet.take(2).await[1].seq, 5);
    bench.publish("S", "S.a", "6").await.unwrap();
    assert_eq!(bench.outlet.take(1).await[0].payload, "6");
}

#[tokio::test]
async fn requests_share_what_there_is() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.consumer("S", "c", |_| {}).await;
    bench.pull("S", "c", "one", 10);
    bench.pull("S", "c", "two", 10);
    bench
        .until("both wait", || async {
            bench.consumer_info("S", "c").await.num_waiting == 2
        })
        .await;
    bench.fill("S", "S.a", 4).await;
    let got = bench.outlet.take(4).await;
    assert!(got.iter().any(|got| got.to == "one") && got.iter().any(|got| got.to == "two"));
}

#[tokio::test]
async fn requests_that_do_not_wait_are_told_so() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.consumer("S", "c", |_| {}).await;
    bench.pull_with("S", "c", "inbox", |request| request.no_wait = true);
    assert_eq!(bench.outlet.status().await.1, Status::NoMessages);
    bench.publish("S", "S.a", "x").await.unwrap();
    bench.pull_with("S", "c", "inbox", |request| {
        (request.no_wait, request.batch) = (true, 5)
    });
    bench.outlet.take(1).await;
    assert_eq!(bench.outlet.status().await.1, Status::NoMessages);
}

#[tokio::test]
async fn a_request_ends_with_its_time() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.consumer("S", "c", |_| {}).await;
    bench.pull_with("S", "c", "inbox", |request| {
        (request.batch, request.expires_ns) = (7, 1_000_000_000)
    });
    bench
        .until("it waits", || async {
            bench.consumer_info("S", "c").await.num_waiting == 1
        })
        .await;
    bench.clock.advance(Duration::from_secs(2));
    let timeout = Status::RequestTimeout {
        messages: 7,
        bytes: 0,
    };
    assert_eq!(bench.outlet.status().await, ("inbox".into(), timeout));
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 2).await;
    bench
        .consumer("S", "c", |config| config.ack_wait_ns = 1_000_000_000)
        .await;
    bench.pull("S", "c", "inbox", 10);
    let got = bench.outlet.take(2).await;
    bench.ack_sync("S", "c", &got[1]).await;
    bench.clock.advance(Duration::from_secs(2));
    let again = bench.outlet.take(1).await;
    assert_eq!(
        (again[0].seq, again[0].delivered, again[0].consumer_seq),
        (1, 2, 3)
    );
    bench.ack("S", "c", &again[0], AckKind::Nak { delay_ns: 0 });
    assert_eq!(bench.outlet.take(1).await[0].delivered, 3);
    assert_eq!(bench.consumer_info("S", "c").await.num_redelivered, 1);
}

#[tokio::test]
async fn a_message_is_not_delivered_more_often_than_allowed() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 1).await;
    bench
        .consumer("S", "c", |config| {
            (config.ack_wait_ns, config.max_deliver) = (1_000_000_000, 2)
        })
        .await;
    bench.pull("S", "c", "inbox", 10);
    bench.outlet.take(1).await;
    bench.clock.advance(Duration::from_secs(2));
    bench.outlet.take(1).await;
    bench.clock.advance(Duration::from_secs(2));
    let exceeded = |advisory: &Advisory| {
        matches!(
            advisory,
            Advisory::MaxDeliver {
                stream_seq: 1,
                deliveries: 2,
                ..
            }
        )
    };
    bench.outlet.advisory(exceeded).await;
    assert_eq!(bench.consumer_info("S", "c").await.num_ack_pending, 0);
    assert!(bench.outlet.is_quiet());
}

#[tokio::test]
async fn a_consumer_goes_on_after_a_restart() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 6).await;
    bench.consumer("S", "c", |_| {}).await;
    bench.pull("S", "c", "inbox", 4);
    let got = bench.outlet.take(4).await;
    bench.ack_sync("S", "c", &got[0]).await;
    bench.ack_sync("S", "c", &got[2]).await;
    let before = bench.consumer_info("S", "c").await;
    let bench = bench.restart().await;
    let after = bench.consumer_info("S", "c").await;
    assert_eq!(
        (
            after.delivered.stream,
            after.delivered.consumer,
            after.ack_floor.stream,
            after.num_ack_pending
        ),
        (
            before.delivered.stream,
            before.delivered.consumer,
            before.ack_floor.stream,
            before.num_ack_pending
        ),
    );
    bench.pull("S", "c", "inbox", 10);
    let seqs: Vec<_> = bench
        .outlet
        .take(2)
        .await
        .iter()
        .map(|got| (got.seq, got.delivered))
        .collect();
    assert_eq!(seqs, [(5, 1), (6, 1)]);
    bench.clock.advance(Duration::from_secs(40));
    let mut seqs: Vec<_> = bench.outlet.take(4).await.iter().map(|got| got.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [2, 4, 5, 6]);
}

#[tokio::test]
async fn a_push_consumer_delivers_when_somebody_listens() {
    let bench = Bench::new().await;
    bench.outlet.set_deaf("d", true);
    bench.stream("S", |_| {}).await;
    bench
        .consumer("S", "c", |config| {
            config.deliver_subject = "d".into();
            config.ack_policy = AckPolicy::None;
        })
        .await;
    bench.fill("S", "S.a", 3).await;
    bench.clock.advance(Duration::from_secs(1));
    assert!(!bench.consumer_info("S", "c").await.push_bound);
    assert!(bench.outlet.is_quiet());
    bench.outlet.set_deaf("d", false);
    bench.clock.advance(Duration::from_secs(1));
    let got = bench.outlet.take(3).await;
    assert_eq!((got[2].to.as_str(), got[2].pending), ("d", 0));
    assert!(bench.consumer_info("S", "c").await.push_bound);
}

#[tokio::test]
async fn an_unused_ephemeral_consumer_is_removed() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench
        .consumer("S", "e", |config| {
            config.durable = "".into();
            config.inactive_threshold_ns = 1_000_000_000;
        })
        .await;
    bench.clock.advance(Duration::from_secs(2));
    bench
        .until("it is gone", || async {
            bench.clock.advance(Duration::from_millis(10));
            bench
                .streams
                .consumer_names(ACCOUNT, "S", 0, 10)
                .unwrap()
                .items
                .is_empty()
        })
        .await;
}

#[tokio::test]
async fn filters_and_policies_choose_where_to_begin() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    for subject in ["S.a", "S.b", "S.a", "S.c", "S.b"] {
        bench.publish("S", subject, subject).await.unwrap();
    }
    let filtered = bench
        .consumer("S", "f", |config| config.filter_subject = "S.b".into())
        .await;
    assert_eq!(filtered.num_pending, 2);
    let last = bench
        .consumer("S", "l", |config| {
            (config.deliver_policy, config.filter_subject) = (DeliverPolicy::LastPerSubject, "S.>".into())
        })
        .await;
    assert_eq!(last.num_pending, 3);
    bench.pull("S", "l", "inbox", 10);
    let seqs: Vec<_> = bench
        .outlet
        .take(3)
        .await
        .iter()
        .map(|got| (got.seq, got.pending))
        .collect();
    assert_eq!(seqs, [(3, 2), (4, 1), (5, 0)]);
    bench.publish("S", "S.a", "new").await.unwrap();
    assert_eq!(bench.outlet.take(1).await[0].seq, 6);
    let new = bench
        .consumer("S", "n", |config| config.deliver_policy = DeliverPolicy::New)
        .await;
    assert_eq!(new.num_pending, 0);
    let from = bench
        .consumer("S", "s", |config| {
            config.deliver_policy = DeliverPolicy::ByStartSequence;
            config.opt_start_seq = 4;
        })
        .await;
    assert_eq!(from.num_pending, 3);
}

#[tokio::test]
async fn a_work_queue_removes_what_is_acknowledged() {
    let bench = Bench::new().await;
    bench
        .stream("W", |config| config.retention = Retention::WorkQueue)
        .await;
    bench.fill("W", "W.a", 3).await;
    bench.consumer("W", "c", |_| {}).await;
    bench.pull("W", "c", "inbox", 3);
    let got = bench.outlet.take(3).await;
    bench.ack_sync("W", "c", &got[1]).await;
    let info = bench.info("W").await;
    assert_eq!((info.state.msgs, info.state.first_seq), (2, 1));
}

#[tokio::test]
async fn too_many_unacknowledged_messages_stop_deliveries() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 5).await;
    bench
        .consumer("S", "c", |config| config.max_ack_pending = 2)
        .await;
    bench.pull("S", "c", "inbox", 5);
    let got = bench.outlet.take(2).await;
    bench.ack_sync("S", "c", &got[0]).await;
    assert_eq!(bench.outlet.take(1).await[0].seq, 3);
    assert!(bench.outlet.is_quiet());
}

#[tokio::test]
async fn messages_reach_their_age() {
    let bench = Bench::new().await;
    bench
        .stream("S", |config| config.max_age_ns = 10_000_000_000)
        .await;
    bench.fill("S", "S.a", 3).await;
    bench.clock.advance(Duration::from_secs(5));
    bench.fill("S", "S.a", 1).await;
    bench.clock.advance(Duration::from_secs(6));
    bench
        .until("the old ones are gone", || async {
            bench.clock.advance(Duration::from_millis(20));
            bench.info("S").await.state.msgs == 1
        })
        .await;
    assert_eq!(bench.info("S").await.state.first_seq, 4);
}

#[tokio::test]
async fn a_purge_removes_and_consumers_know() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.fill("S", "S.a", 5).await;
    bench.consumer("S", "c", |_| {}).await;
    bench.pull("S", "c", "inbox", 2);
    bench.outlet.take(2).await;
    let purged = bench
        .streams
        .purge(ACCOUNT, "S", PurgeOptions::default())
        .await
        .unwrap();
    assert_eq!(purged, 5);
    bench
        .until("nothing is pending", || async {
            let info = bench.consumer_info("S", "c").await;
            (info.num_pending, info.num_ack_pending) == (0, 0)
        })
        .await;
}

#[tokio::test]
async fn bytes_of_a_request_are_a_bound() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    for _ in 0..3 {
        bench.publish("S", "S.a", &"x".repeat(97)).await.unwrap();
    }
    bench.consumer("S", "c", |_| {}).await;
    bench.pull_with("S", "c", "inbox", |request| {
        (request.batch, request.max_bytes) = (3, 250)
    });
    bench.outlet.take(2).await;
    let too_large = Status::MessageTooLarge {
        messages: 1,
        bytes: 50,
    };
    assert_eq!(bench.outlet.status().await.1, too_large);
}

#[tokio::test]
async fn a_pull_on_no_consumer_is_answered() {
    let bench = Bench::new().await;
    bench.stream("S", |_| {}).await;
    bench.pull("S", "nobody", "inbox", 1);
    assert_eq!(bench.outlet.status().await.1, Status::NoConsumer);
}
