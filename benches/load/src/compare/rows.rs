//! The work that is compared.

use std::time::Duration;

use crate::background::Background;
use crate::batch::MAX_BATCH_BYTES;
use crate::flow::{Flow, Subjects, WINDOW_BYTES};
use crate::idle::Idle;
use crate::job::Job;
use crate::latency::Steady;
use crate::publish::Stop;
use crate::request::Requests;
use crate::stored::{Limits, Stored, Work};

/// One row of the comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// For the command line.
    pub name: &'static str,
    pub job: Job,
}

impl Row {
    /// For people.
    pub fn title(&self) -> String {
        self.job.title()
    }
}

/// Subscriptions that are only there.
const CROWD: Background = Background {
    subscriptions: 200_000,
    connections: 1,
};
/// As many as 20,000 open files allow, with room to spare.
const IDLE_CONNECTIONS: usize = 15_000;
/// Subjects in turn.
const SPREAD: usize = 64;
const LATENCY_RATE: u64 = 10_000;

/// All rows, with runs of `duration`.
pub fn all(duration: Duration) -> Vec<Row> {
    let stop = Stop::After(duration);
    let flow = |publishers, subscribers, payload_bytes| Flow {
        publishers,
        subscribers,
        subjects: Subjects::Pairs,
        queue_groups: 0,
        subject: SUBJECT.to_owned(),
        spread: 1,
        own_ids: false,
        payload_bytes,
        stop,
        batch_bytes: MAX_BATCH_BYTES,
        window_bytes: WINDOW_BYTES,
        background: Background::NONE,
    };
    // Nothing that a broker could treat together.
    let varied = |flow| Flow {
        spread: SPREAD,
        own_ids: true,
        ..flow
    };
    let one_subject = || Flow {
        subjects: Subjects::One,
        ..flow(8, 8, 128)
    };
    let requests = Requests {
        requesters: 1,
        responders: 1,
        subject: SUBJECT.to_owned(),
        payload_bytes: 128,
        stop,
        background: Background::NONE,
    };
    let steady = Steady {
        publishers: 1,
        subscribers: 1,
        subject: SUBJECT.to_owned(),
        payload_bytes: 128,
        rate: LATENCY_RATE,
        stop,
        background: Background::NONE,
    };
    let idle = Idle {
        connections: IDLE_CONNECTIONS,
        duration,
        subject: SUBJECT.to_owned(),
    };
    [
        ("1:1-16", Job::Flow(flow(1, 1, 16))),
        ("1:1-128", Job::Flow(flow(1, 1, 128))),
        ("1:100", Job::Flow(flow(1, 100, 128))),
        ("1:1000", Job::Flow(flow(1, 1000, 128))),
        ("1:1-varied", Job::Flow(varied(flow(1, 1, 128)))),
        ("1:100-varied", Job::Flow(varied(flow(1, 100, 128)))),
        ("8:8", Job::Flow(flow(8, 8, 128))),
        ("8:8-one", Job::Flow(one_subject())),
        (
            "8:8-200k",
            Job::Flow(Flow {
                background: CROWD,
                ..flow(8, 8, 128)
            }),
        ),
        (
            "8:8-one-200k",
            Job::Flow(Flow {
                background: CROWD,
                ..one_subject()
            }),
        ),
        ("request", Job::Requests(requests)),
        ("latency", Job::Steady(steady)),
        ("idle", Job::Idle(idle)),
    ]
    .into_iter()
    .map(|(name, job)| Row { name, job })
    .collect()
}

/// All rows with streams. What is read is written before: so many messages.
pub fn log(duration: Duration, messages: u64) -> Vec<Row> {
    let publish = |publishers, outstanding, streams| Work::Publish {
        publishers,
        outstanding,
        streams,
        limits: Limits::default(),
    };
    let (keys, clients) = (KEYS, 16);
    let put = |clients| Work::Put {
        clients,
        outstanding: 1,
        keys,
        at_random: false,
    };
    [
        ("1x500", publish(1, 500, 1), 128),
        ("16x500", publish(16, 500, 1), 128),
        ("16x100-1k", publish(16, 100, 1), 1024),
        ("100x1", publish(100, 1, 1), 128),
        ("put-16", put(clients), 128),
        ("put-64", put(64), 128),
        ("get-16", Work::Get { clients, keys }, 128),
        ("replay", Work::Replay { messages }, 128),
        (
            "pull-4",
            Work::Pull {
                clients: 4,
                messages: messages / PULLED,
            },
            128,
        ),
        ("16x500-10k", publish(16, 500, 10_000), 128),
    ]
    .into_iter()
    .map(|(name, work, payload_bytes)| Row {
        name,
        job: Job::Stored(Stored {
            work,
            payload_bytes,
            in_memory: false,
            stop: Stop::After(duration),
        }),
    })
    .collect()
}

/// Keys of a bucket.
const KEYS: usize = 1000;
/// Acknowledging takes longer than reading: one in so many of the messages is pulled.
const PULLED: u64 = 4;
const SUBJECT: &str = "bench";
