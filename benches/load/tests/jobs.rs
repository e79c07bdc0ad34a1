//! Every kind of work against a stub.
#![allow(clippy::unwrap_used)]

mod stub;

use std::time::Duration;

use mainstem_load::flow::{Flow, Subjects, WINDOW_BYTES};
use mainstem_load::idle::Idle;
use mainstem_load::latency::Steady;
use mainstem_load::progress::Progress;
use mainstem_load::request::Requests;
use mainstem_load::{Background, Stop};

use crate::stub::Fault;

fn flow(publishers: usize, subscribers: usize) -> Flow {
    Flow {
        publishers,
        subscribers,
        subjects: Subjects::Pairs,
        queue_groups: 0,
        subject: "test".to_owned(),
        spread: 1,
        own_ids: false,
        payload_bytes: 100,
        stop: Stop::AfterMessages(1000),
        batch_bytes: 4096,
        window_bytes: WINDOW_BYTES,
        background: Background::NONE,
    }
}

fn check_flow(flow: &Flow, deliveries: u64) {
    let report = flow.run(&stub::start(Fault::None), &Progress::hidden()).unwrap();
    let counted = (report.published, report.count, report.lost, report.surplus);
    assert_eq!(
        counted,
        (1000 * flow.publishers as u64, deliveries, 0, 0),
        "{report}"
    );
    assert!(report.broker.is_some());
    report.check().unwrap();
}

#[test]
fn every_delivery_is_counted() {
    check_flow(&flow(1, 1), 1000);
    check_flow(&flow(1, 20), 20_000);
    check_flow(&flow(3, 3), 3000);
    check_flow(&flow(2, 4), 4000);
    check_flow(&flow(4, 2), 4000);
    check_flow(
        &Flow {
            subjects: Subjects::One,
            ..flow(2, 3)
        },
        6000,
    );
    check_flow(
        &Flow {
            spread: 7,
            own_ids: true,
            ..flow(2, 4)
        },
        4000,
    );
    check_flow(
        &Flow {
            background: Background {
                subscriptions: 2500,
                connections: 2,
            },
            ..flow(1, 1)
        },
        1000,
    );
}

#[test]
fn a_small_window_does_not_block() {
    check_flow(
        &Flow {
            window_bytes: 500,
            ..flow(1, 2)
        },
        2000,
    );
}

#[test]
fn without_subscribers_messages_are_counted() {
    check_flow(&flow(2, 0), 2000);
}

#[test]
fn an_end_by_time_sends_whole_messages() {
    let flow = Flow {
        stop: Stop::After(Duration::from_millis(100)),
        ..flow(2, 2)
    };
    let report = flow.run(&stub::start(Fault::None), &Progress::hidden()).unwrap();
    assert!(report.published > 0);
    assert_eq!(
        (report.count, report.lost, report.surplus),
        (report.published, 0, 0)
    );
}

#[test]
fn a_subscriber_that_is_cut_ends_the_run() {
    let error = flow(1, 2)
        .run(&stub::start(Fault::CutSubscriber), &Progress::hidden())
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(text.starts_with("subscriber "), "{text}");
}

#[test]
fn an_error_of_the_server_is_repeated() {
    let error = flow(1, 1)
        .run(&stub::start(Fault::RefuseLogin), &Progress::hidden())
        .unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "the server answered -ERR 'Authorization Violation'"
    );
}

#[test]
fn requests_are_answered() {
    let requests = Requests {
        requesters: 3,
        responders: 1,
        subject: "test".to_owned(),
        payload_bytes: 100,
        stop: Stop::AfterMessages(50),
        background: Background::NONE,
    };
    let report = requests
        .run(&stub::start(Fault::None), &Progress::hidden())
        .unwrap();
    assert_eq!((report.count, report.latency.unwrap().samples), (150, 150));
}

#[test]
fn a_steady_stream_arrives_whole() {
    let steady = Steady {
        publishers: 2,
        subscribers: 3,
        subject: "test".to_owned(),
        payload_bytes: 16,
        rate: 10_000,
        stop: Stop::AfterMessages(200),
        background: Background::NONE,
    };
    let report = steady
        .run(&stub::start(Fault::None), &Progress::hidden())
        .unwrap();
    assert_eq!((report.published, report.count, report.lost), (400, 1200, 0));
    assert_eq!(
        (
            report.latency.unwrap().samples,
            report.send_delay.unwrap().samples
        ),
        (1200, 400)
    );
}

#[test]
fn idle_connections_are_held() {
    let idle = Idle {
        connections: 300,
        duration: Duration::from_millis(10),
        subject: "test".to_owned(),
    };
    let report = idle.run(&stub::start(Fault::None), &Progress::hidden()).unwrap();
    let held = report.idle.unwrap();
    assert_eq!((held.opened, held.held, report.lost), (300, 300, 0));
    assert!(held.resident_bytes_each.is_some());
}
