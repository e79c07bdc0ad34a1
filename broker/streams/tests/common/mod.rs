//! A service on a real store, with a clock that is set by hand and an outlet that remembers.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use mainstem_record::{Native, Origin, Record};
use mainstem_storage::{Storage, StorageError};
use mainstem_streams::command::{Conditions, Publish};
use mainstem_streams::config::{AckPolicy, ConsumerConfig, StreamConfig};
use mainstem_streams::{
    Ack, AckKind, Action, Advisory, Clock, ConsumerInfo, ConsumerRef, Delivery, Error, InfoOptions, Options,
    Outlet, Published, PullRequest, Room, Sleep, Status, Stored, StreamInfo, StreamRef, Streams, Target,
    Ticket,
};

pub const ACCOUNT: &str = "A";

/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub to: String,
    pub subject: String,
    pub payload: String,
    pub seq: u64,
    pub consumer_seq: u64,
    pub delivered: u64,
    pub pending: u64,
}

/// Remembers all that it is told.
#[derive(Default)]
pub struct Recorder {
    state: Mutex<Recorded>,
}

#[derive(Default)]
struct Recorded {
    got: Vec<Got>,
    statuses: Vec<(String, Status)>,
    published: HashMap<u64, Result<Stored, Error>>,
    confirmed: Vec<String>,
    advisories: Vec<Advisory>,
    captures: HashMap<String, Vec<String>>,
    deaf: HashSet<String>,
    wakers: Vec<Waker>,
}

impl Recorder {
    fn change(&self, change: impl FnOnce(&mut Recorded)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state);
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }

    async fn wait<R>(&self, what: &str, mut look: impl FnMut(&mut Recorded) -> Option<R>) -> R {
        let waiting = std::future::poll_fn(|cx| {
            let mut state = self.state.lock().unwrap();
            match look(&mut state) {
                Some(found) => Poll::Ready(found),
                None => {
                    state.wakers.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        });
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}"),
        }
    }

    /// Takes the next `count` messages.
    pub async fn take(&self, count: usize) -> Vec<Got> {
        self.wait(&format!("{count} messages"), |state| {
            (state.got.len() >= count).then(|| state.got.drain(..count).collect())
        })
        .await
    }

    pub async fn status(&self) -> (String, Status) {
        self.wait("a status", |state| {
            (!state.statuses.is_empty()).then(|| state.statuses.remove(0))
        })
        .await
    }

    pub async fn outcome(&self, number: u64) -> Result<Stored, Error> {
        self.wait(&format!("the outcome of publish {number}"), |state| {
            state.published.remove(&number)
        })
        .await
    }

    pub async fn confirmation(&self) -> String {
        self.wait("a confirmation", |state| state.confirmed.pop()).await
    }

    pub async fn advisory(&self, matches: impl Fn(&Advisory) -> bool) -> Advisory {
        self.wait("an advisory", |state| {
            let at = state.advisories.iter().position(&matches)?;
            Some(state.advisories.remove(at))
        })
        .await
    }

    /// Advisories so far that were not taken.
    pub fn advisories(&self) -> Vec<Advisory> {
        self.state.lock().unwrap().advisories.clone()
    }

    /// Nothing was delivered that was not taken.
    pub fn is_quiet(&self) -> bool {
        self.state.lock().unwrap().got.is_empty()
    }

    pub fn captured(&self, stream: &str) -> Option<Vec<String>> {
        self.state.lock().unwrap().captures.get(stream).cloned()
    }

    /// Nobody subscribes to this subject any more, or somebody does again.
    pub fn set_deaf(&self, subject: &str, deaf: bool) {
        self.change(|state| {
            match deaf {
                true => state.deaf.insert(subject.into()),
                false => state.deaf.remove(subject),
            };
        });
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Outlet for Recorder {
    fn deliver(&self, to: &Target, _consumer: &ConsumerRef, deliveries: &[Delivery<'_>]) -> Room {
        self.change(|state| {
            state.got.extend(deliveries.iter().map(|delivery| Got {
                to: text(&to.subject),
                subject: text(delivery.subject),
                payload: text(delivery.payload),
                seq: delivery.stream_seq,
                consumer_seq: delivery.consumer_seq,
                delivered: delivery.delivered,
                pending: delivery.pending,
            }));
        });
        Room::More
    }

    fn status(&self, to: &Target, _consumer: &ConsumerRef, status: &Status) {
        self.change(|state| state.statuses.push((text(&to.subject), status.clone())));
    }

    fn added_bytes(&self, _consumer: &ConsumerRef, _delivery: &Delivery<'_>) -> usize {
        0
    }

    fn has_interest(&self, _account: &str, subject: &[u8]) -> bool {
        !self.state.lock().unwrap().deaf.contains(&text(subject))
    }

    fn published(&self, _account: &str, outcomes: Vec<Published>) {
        self.change(|state| {
            for outcome in outcomes {
                state.published.insert(outcome.ticket.conn, outcome.result);
            }
        });
    }

    fn confirmed(&self, _account: &str, reply: Bytes) {
        self.change(|state| state.confirmed.push(text(&reply)));
    }

    fn captures_changed(&self, stream: &StreamRef, _old: &[Box<str>], new: &[Box<str>]) {
        self.change(|state| {
            let subjects = new.iter().map(ToString::to_string).collect();
            state.captures.insert(stream.name().to_string(), subjects);
        });
    }

    fn advisory(&self, _account: &str, advisory: Advisory) {
        self.change(|state| state.advisories.push(advisory));
    }
}

/// A clock that stands still until it is moved.
pub struct ManualClock {
    state: Arc<Mutex<Time>>,
}

struct Time {
    steady_ns: u64,
    sleepers: Vec<(u64, Waker)>,
}

const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

impl ManualClock {
    fn new() -> Arc<Self> {
        let time = Time {
            steady_ns: 1,
            sleepers: Vec::new(),
        };
        Arc::new(Self {
            state: Arc::new(Mutex::new(time)),
        })
    }

    pub fn advance(&self, by: Duration) {
        let mut time = self.state.lock().unwrap();
        time.steady_ns += by.as_nanos() as u64;
        for (_, waker) in time.sleepers.drain(..) {
            waker.wake();
        }
    }
}

impl Clock for ManualClock {
    fn wall_ns(&self) -> u64 {
        EPOCH_NS + self.steady_ns()
    }

    fn steady_ns(&self) -> u64 {
        self.state.lock().unwrap().steady_ns
    }

    fn sleep_until(&self, until_ns: u64) -> Sleep {
        let state = Arc::clone(&self.state);
        Box::pin(std::future::poll_fn(move |cx| {
            let mut time = state.lock().unwrap();
            if time.steady_ns >= until_ns {
                return Poll::Ready(());
            }
            time.sleepers.push((until_ns, cx.waker().clone()));
            Poll::Pending
        }))
    }
}

/// A service under test.
pub struct Bench {
    pub streams: Arc<Streams>,
    pub outlet: Arc<Recorder>,
    pub clock: Arc<ManualClock>,
    storage: Storage,
    folder: tempfile::TempDir,
    options: Options,
    segment_bytes: u64,
    numbers: std::sync::atomic::AtomicU64,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        Self::with_segments(options, mainstem_storage::Options::default().segment_bytes).await
    }

    pub async fn with_segments(options: Options, segment_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::open(folder, options, ManualClock::new(), segment_bytes).await
    }

    async fn open(
        folder: tempfile::TempDir,
        options: Options,
        clock: Arc<ManualClock>,
        segment_bytes: u64,
    ) -> Self {
        let storage = open_store(&folder, segment_bytes).await;
        let outlet = Arc::new(Recorder::default());
        let streams = Streams::start(
            Arc::clone(&storage.log),
            Arc::clone(&storage.state),
            options.clone(),
            Arc::clone(&outlet) as Arc<dyn Outlet>,
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
        .await
        .unwrap();
        Self {
            streams,
            outlet,
            clock,
            storage,
            folder,
            options,
            segment_bytes,
            numbers: std::sync::atomic::AtomicU64::new(1),
        }
    }

    /// Stops the service, and starts it again on the same folder.
    pub async fn restart(self) -> Self {
        self.restart_after(async |_| ()).await
    }

    /// The same, with a change of the folder in between.
    pub async fn restart_after(self, change: impl AsyncFnOnce(&Path)) -> Self {
        self.streams.shutdown().await;
        let Self {
            streams,
            outlet,
            clock,
            storage,
            folder,
            options,
            segment_bytes,
            ..
        } = self;
        drop((streams, outlet));
        storage.close().unwrap();
        // When it can be opened, whoever had it is gone.
        drop(open_store(&folder, segment_bytes).await);
        change(folder.path()).await;
        Self::open(folder, options, clock, segment_bytes).await
    }

    /// Stops the service, while its folder is still there.
    pub async fn stop(self) {
        self.streams.shutdown().await;
        self.storage.close().unwrap();
    }

    pub fn segments_freed(&self) -> u64 {
        self.storage.metrics().segments_freed
    }

    /// Starts on a copy of the folder as it is now: what a crash at this moment would leave.
    pub async fn crash(self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(self.folder.path(), folder.path());
        let (options, clock) = (self.options.clone(), Arc::clone(&self.clock));
        let segment_bytes = self.segment_bytes;
        drop(self);
        Self::open(folder, options, clock, segment_bytes).await
    }

    pub async fn stream(&self, name: &str, change: impl FnOnce(&mut StreamConfig)) -> StreamInfo {
        self.try_stream(name, change).await.unwrap()
    }

    pub async fn try_stream(
        &self,
        name: &str,
        change: impl FnOnce(&mut StreamConfig),
    ) -> Result<StreamInfo, Error> {
        let mut config = StreamConfig {
            name: name.into(),
            subjects: vec![format!("{name}.>").into()],
            ..StreamConfig::default()
        };
        change(&mut config);
        self.streams.create_stream(ACCOUNT, config, false).await
    }

    pub async fn consumer(
        &self,
        stream: &str,
        name: &str,
        change: impl FnOnce(&mut ConsumerConfig),
    ) -> ConsumerInfo {
        self.try_consumer(stream, name, change).await.unwrap()
    }

    pub async fn try_consumer(
        &self,
        stream: &str,
        name: &str,
        change: impl FnOnce(&mut ConsumerConfig),
    ) -> Result<ConsumerInfo, Error> {
        let mut config = ConsumerConfig {
            durable: name.into(),
            name: name.into(),
            ack_policy: AckPolicy::Explicit,
            ..ConsumerConfig::default()
        };
        change(&mut config);
        self.streams
            .create_consumer(ACCOUNT, stream, config, Action::CreateOrUpdate, false)
            .await
    }

    /// Publishes, and waits for what comes of it.
    pub async fn publish(&self, stream: &str, subject: &str, payload: &str) -> Result<Stored, Error> {
        self.publish_if(stream, subject, payload, Conditions::default())
            .await
    }

    pub async fn publish_if(
        &self,
        stream: &str,
        subject: &str,
        payload: &str,
        conditions: Conditions<'_>,
    ) -> Result<Stored, Error> {
        let number = self.send(stream, subject, payload, conditions);
        self.outlet.outcome(number).await
    }

    /// Publishes and does not wait.
    pub fn send(&self, stream: &str, subject: &str, payload: &str, conditions: Conditions<'_>) -> u64 {
        let stream = self.streams.find(ACCOUNT, stream).unwrap();
        let number = self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let message = Publish {
            conditions,
            record: Record::Native(Native {
                subject: subject.as_bytes(),
                headers: b"",
                payload: payload.as_bytes(),
                origin: Origin::NATS,
                properties: b"",
            }),
        };
        let ticket = Ticket {
            worker: 0,
            conn: number,
            reply: Bytes::from_static(b"r"),
        };
        let mut publishing = stream.publishing(1, 0);
        publishing.push(&message, Some(ticket));
        publishing.send();
        number
    }

    /// Publishes `count` messages with their numbers as payload, and waits for all.
    pub async fn fill(&self, stream: &str, subject: &str, count: u64) {
        let numbers: Vec<u64> = (1..=count)
            .map(|number| self.send(stream, subject, &number.to_string(), Conditions::default()))
            .collect();
        for number in numbers {
            self.outlet.outcome(number).await.unwrap();
        }
    }

    pub fn pull(&self, stream: &str, consumer: &str, reply: &str, batch: u64) {
        self.pull_with(stream, consumer, reply, |request| request.batch = batch);
    }

    pub fn pull_with(
        &self,
        stream: &str,
        consumer: &str,
        reply: &str,
        change: impl FnOnce(&mut PullRequest),
    ) {
        let mut request = PullRequest {
            batch: 1,
            reply: Bytes::copy_from_slice(reply.as_bytes()),
            ..PullRequest::default()
        };
        change(&mut request);
        self.streams.pull(ACCOUNT, stream, consumer, request).unwrap();
    }

    pub fn ack(&self, stream: &str, consumer: &str, got: &Got, kind: AckKind) {
        self.ack_with(stream, consumer, got, kind, None);
    }

    /// Acknowledges, and waits until that is committed.
    pub async fn ack_sync(&self, stream: &str, consumer: &str, got: &Got) {
        let reply = format!("ack.{}", got.seq);
        self.ack_with(stream, consumer, got, AckKind::Ack, Some(&reply));
        assert_eq!(self.outlet.confirmation().await, reply);
    }

    pub fn ack_with(&self, stream: &str, consumer: &str, got: &Got, kind: AckKind, reply: Option<&str>) {
        let ack = Ack {
            kind,
            stream_seq: got.seq,
            consumer_seq: got.consumer_seq,
            delivered: got.delivered,
            reply: reply.map(|reply| Bytes::copy_from_slice(reply.as_bytes())),
        };
        self.streams.ack(ACCOUNT, stream, consumer, ack).unwrap();
    }

    pub async fn info(&self, stream: &str) -> StreamInfo {
        self.streams
            .stream_info(ACCOUNT, stream, &InfoOptions::default())
            .await
            .unwrap()
    }

    pub async fn consumer_info(&self, stream: &str, name: &str) -> ConsumerInfo {
        self.streams.consumer_info(ACCOUNT, stream, name).await.unwrap()
    }

    /// Waits until something holds.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("waited in vain until {what}");
        }
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&copy).unwrap();
            copy_folder(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}

/// Tasks of the service before may still hold the store for a moment.
async fn open_store(folder: &tempfile::TempDir, segment_bytes: u64) -> Storage {
    let opening = async {
        loop {
            match Storage::open(folder.path(), store_options(segment_bytes)) {
                Err(StorageError::Locked(_)) => tokio::time::sleep(Duration::from_millis(2)).await,
                opened => return opened.unwrap(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, opening).await.unwrap()
}

pub fn store_options(segment_bytes: u64) -> mainstem_storage::Options {
    mainstem_storage::Options {
        segment_bytes,
        mark_bytes: 0,
        ballast_bytes: 0,
        ..mainstem_storage::Options::default()
    }
}
