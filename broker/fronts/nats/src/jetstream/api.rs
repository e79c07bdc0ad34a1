//! Requests that wait, and the tasks that work on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use mainstem_core::account::Account;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::error::ApiError;
use super::json::info::ApiStats;
use super::json::{self, info::Success};
use super::{API_LEVEL, JetStream, direct, ops};

/// Requests that wait at most, as nats-server.
const QUEUE: usize = 10_000;
/// Bytes of their bodies at most.
const QUEUE_BYTES: usize = 64 << 20;
/// Requests that are worked on at once.
const AT_ONCE: usize = 64;
/// Tasks that answer direct gets. Those of one connection are answered in order.
const DIRECT_TASKS: usize = 4;
/// Direct gets whose answers go out together.
const DIRECT_BATCH: usize = 64;

/// A request to the API.
pub(crate) struct Request {
    pub(crate) account: Arc<Account>,
    /// Behind the API's prefix.
    pub(crate) subject: Box<str>,
    /// Empty: nobody waits for the answer.
    pub(crate) reply: Bytes,
    pub(crate) body: Bytes,
    /// It wants a newer API than this one.
    pub(crate) too_new: bool,
    /// The account has JetStream.
    pub(crate) enabled: bool,
    pub(crate) counts: Arc<Counts>,
}

/// How often an account used the API.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    total: AtomicU64,
    errors: AtomicU64,
}

impl Counts {
    fn count(&self, failed: bool) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(u64::from(failed), Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, inflight: u64) -> ApiStats {
        ApiStats {
            level: API_LEVEL,
            total: self.total.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            inflight,
        }
    }
}

/// The queues.
#[derive(Default)]
pub(crate) struct Api {
    /// `None` while nobody works on requests.
    queues: ArcSwapOption<Queues>,
    waiting_bytes: AtomicUsize,
    inflight: AtomicU64,
    counts: Counts,
}

struct Queues {
    requests: mpsc::Sender<Request>,
    direct: Vec<mpsc::Sender<Request>>,
}

impl Api {
    /// Has a request worked on; gives it back where too many wait.
    pub(crate) fn queue(&self, request: Request) -> Result<(), Request> {
        self.send(request, |queues| &queues.requests)
    }

    /// The same for a request that only reads a message.
    pub(crate) fn queue_direct(&self, conn: u64, request: Request) -> Result<(), Request> {
        self.send(request, |queues| &queues.direct[conn as usize % DIRECT_TASKS])
    }

    fn send(
        &self,
        request: Request,
        queue: impl Fn(&Queues) -> &mpsc::Sender<Request>,
    ) -> Result<(), Request> {
        let Some(queues) = self.queues.load_full() else {
            return Err(request);
        };
        let size = request.body.len();
        if self.waiting_bytes.fetch_add(size, Ordering::Relaxed) > QUEUE_BYTES {
            self.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
            return Err(request);
        }
        self.inflight.fetch_add(1, Ordering::Relaxed);
        queue(&queues).try_send(request).map_err(|error| {
            self.inflight.fetch_sub(1, Ordering::Relaxed);
            self.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
            error.into_inner()
        })
    }

    /// A request is answered.
    fn finished(&self, request: &Request, failed: bool) {
        self.inflight.fetch_sub(1, Ordering::Relaxed);
        self.waiting_bytes
            .fetch_sub(request.body.len(), Ordering::Relaxed);
        self.counts.count(failed);
        request.counts.count(failed);
    }

    /// Requests that wait or are worked on.
    pub(crate) fn inflight(&self) -> u64 {
        self.inflight.load(Ordering::Relaxed)
    }

    /// How often the API was used, by all accounts.
    pub(crate) fn stats(&self) -> ApiStats {
        self.counts.stats(self.inflight())
    }

    /// Nothing more comes in; what waits is still worked on.
    pub(crate) fn close(&self) {
        self.queues.store(None);
    }
}

/// Starts the tasks.
pub(crate) fn start(jetstream: &Arc<JetStream>, runtime: &Handle) {
    let (requests, waiting) = mpsc::channel(QUEUE);
    runtime.spawn(work(Arc::clone(jetstream), waiting));
    let direct = (0..DIRECT_TASKS).map(|_| {
        let (requests, waiting) = mpsc::channel(QUEUE);
        runtime.spawn(give(Arc::clone(jetstream), waiting));
        requests
    });
    let direct = direct.collect();
    jetstream
        .api
        .queues
        .store(Some(Arc::new(Queues { requests, direct })));
}

async fn work(jetstream: Arc<JetStream>, mut waiting: mpsc::Receiver<Request>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(request) = waiting.recv().await {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let jetstream = Arc::clone(&jetstream);
        tokio::spawn(async move {
            let answer = ops::answer(&jetstream, &request).await;
            if let Some(json) = answer.json.filter(|_| !request.reply.is_empty()) {
                jetstream.send(&request.account, &request.reply, b"", &json);
            }
            jetstream.api.finished(&request, answer.failed);
            drop(place);
        });
    }
}

async fn give(jetstream: Arc<JetStream>, mut waiting: mpsc::Receiver<Request>) {
    let mut requests = Vec::with_capacity(DIRECT_BATCH);
    while waiting.recv_many(&mut requests, DIRECT_BATCH).await > 0 {
        direct::answer(&jetstream, &requests).await;
        for request in requests.drain(..) {
            jetstream.api.finished(&request, false);
        }
    }
}

/// Too many requests wait.
pub(crate) fn refuse_busy(jetstream: &Arc<JetStream>, request: &Request) {
    if request.reply.is_empty() {
        return;
    }
    let busy = ApiError::from(mainstem_streams::error::Error::TooManyRequests);
    let json = json::answer::<Success>("system", &Err(busy));
    jetstream.send(&request.account, &request.reply, b"", &json);
}
