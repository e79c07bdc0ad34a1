//! What a crash leaves between the names and the data, and what a start makes of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstem_storage::{Storage, StorageError};

use super::Streams;
use super::clock::SystemClock;
use super::handle::{ConsumerRef, StreamRef};
use super::outlet::{Advisory, Delivery, Outlet, Published, Room, Status, Target};
use super::start::Options;
use super::types::InfoOptions;
use crate::command::{Command, StreamId};
use crate::config::StreamConfig;
use crate::error::Error;
use crate::meta::{MetaCommand, Placed};

const ACCOUNT: &str = "A";
const PATIENCE: Duration = Duration::from_secs(20);

/// Nobody listens.
struct Nobody;

impl Outlet for Nobody {
    fn deliver(&self, _to: &Target, _consumer: &ConsumerRef, _deliveries: &[Delivery<'_>]) -> Room {
        Room::More
    }

    fn status(&self, _to: &Target, _consumer: &ConsumerRef, _status: &Status) {}

    fn added_bytes(&self, _consumer: &ConsumerRef, _delivery: &Delivery<'_>) -> usize {
        0
    }

    fn has_interest(&self, _account: &str, _subject: &[u8]) -> bool {
        false
    }

    fn published(&self, _account: &str, _outcomes: Vec<Published>) {}

    fn confirmed(&self, _account: &str, _reply: Bytes) {}

    fn captures_changed(&self, _stream: &StreamRef, _old: &[Box<str>], _new: &[Box<str>]) {}

    fn advisory(&self, _account: &str, _advisory: Advisory) {}
}

/// Tasks of a service that has stopped may hold the store for a moment longer.
async fn open(folder: &Path) -> Storage {
    let options = mainstem_storage::Options {
        mark_bytes: 0,
        ballast_bytes: 0,
        ..mainstem_storage::Options::default()
    };
    loop {
        match Storage::open(folder, options.clone()) {
            Err(StorageError::Locked(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
            opened => return opened.unwrap(),
        }
    }
}

async fn start(folder: &Path) -> (Storage, Arc<Streams>) {
    let storage = tokio::time::timeout(PATIENCE, open(folder)).await.unwrap();
    let streams = Streams::start(
        Arc::clone(&storage.log),
        Arc::clone(&storage.state),
        Options::default(),
        Arc::new(Nobody),
        Arc::new(SystemClock::new()),
    )
    .await
    .unwrap();
    (storage, streams)
}

fn config(name: &str) -> StreamConfig {
    StreamConfig {
        name: name.into(),
        subjects: vec![format!("{name}.>").into()],
        ..StreamConfig::default()
    }
}

/// As a stream's configuration stands with its name.
fn named(like: &Placed, name: &str) -> StreamConfig {
    StreamConfig {
        name: name.into(),
        subjects: vec![format!("{name}.>").into()],
        ..(*like.config).clone()
    }
}

async fn create(streams: &Streams, name: &str) -> Arc<Placed> {
    streams.create_stream(ACCOUNT, config(name), false).await.unwrap();
    streams.place(ACCOUNT, name).unwrap().0
}

#[tokio::test]
async fn a_start_makes_names_and_data_agree() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, streams) = start(folder.path()).await;
    let (changed, deleted) = (
        create(&streams, "changed").await,
        create(&streams, "deleted").await,
    );
    // Each time the crash comes between the entry of the names and that of the data.
    let created = MetaCommand::Create {
        account: ACCOUNT.into(),
        group: changed.group,
        created_ns: 1,
        max_streams: -1,
        config: named(&changed, "created"),
    };
    streams.change_names(&created).await.unwrap();
    let mut smaller = named(&changed, "changed");
    smaller.max_msgs = 7;
    let update = MetaCommand::Update {
        id: changed.id,
        config: smaller,
    };
    streams.change_names(&update).await.unwrap();
    let delete = MetaCommand::Delete { id: deleted.id };
    streams.change_names(&delete).await.unwrap();
    let lane = streams.lane_of(&changed).unwrap();
    let nameless = Command::CreateStream {
        stream: StreamId(999),
        account: ACCOUNT.into(),
        config: named(&changed, "nameless"),
    };
    lane.door.call(&nameless).await.unwrap();
    streams.shutdown().await;
    drop(streams);
    storage.close().unwrap();

    let (_storage, streams) = start(folder.path()).await;
    for name in ["created", "changed"] {
        let info = streams.stream_info(ACCOUNT, name, &InfoOptions::default()).await;
        assert!(info.is_ok(), "{name}: {info:?}");
    }
    let lane = streams.lane_of(&changed).unwrap();
    let held = lane.machine.with(|view| {
        let mut held: Vec<_> = view
            .streams()
            .map(|stream| (stream.config.name.to_string(), stream.config.max_msgs))
            .collect();
        held.sort();
        held
    });
    assert_eq!(held, [("changed".to_owned(), 7), ("created".to_owned(), -1)]);
    let gone = streams
        .stream_info(ACCOUNT, "deleted", &InfoOptions::default())
        .await;
    assert_eq!(gone.map(drop), Err(Error::StreamNotFound));
    // Their names and subjects are free.
    for name in ["deleted", "nameless"] {
        create(&streams, name).await;
    }
    streams.shutdown().await;
}
