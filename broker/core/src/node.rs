//! The node: what all workers share, and the threads they run on.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::account::Accounts;
use crate::config::CoreLimits;
use crate::inbox::Inbox;
use crate::message::Batch;
use crate::worker::Worker;

/// Workers at most: a set of them is one machine word.
pub const MAX_WORKERS: usize = 64;
/// Stack of a worker thread: matching descends one level a token, and a control line has room for 2,000 tokens.
const STACK_BYTES: usize = 4 << 20;

/// Something to do on a worker's thread.
pub(crate) type Call = Box<dyn FnOnce(&Rc<Worker>) + Send>;

/// What other threads ask of a worker.
pub(crate) enum WorkerMessage {
    Batch(Arc<Batch>),
    Call(Call),
}

/// Shared by all threads of the process.
pub struct Node {
    pub accounts: Accounts,
    pub limits: CoreLimits,
    workers: Box<[Seat]>,
    next_conn: AtomicU64,
}

/// A worker as other threads see it.
#[derive(Default)]
struct Seat {
    inbox: Inbox<WorkerMessage>,
    connections: AtomicUsize,
}

impl Node {
    /// A node without running workers.
    pub fn new(mut limits: CoreLimits) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = if limits.workers == 0 {
            cores
        } else {
            limits.workers
        }
        .clamp(1, MAX_WORKERS);
        limits.workers = count;
        Arc::new(Self {
            accounts: Accounts::default(),
            limits,
            workers: (0..count).map(|_| Seat::default()).collect(),
            next_conn: AtomicU64::new(1),
        })
    }

    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// An id for a new connection, never used before.
    pub fn next_conn_id(&self) -> u64 {
        self.next_conn.fetch_add(1, Ordering::Relaxed)
    }

    /// The worker with the fewest connections. It counts one more from now on, until [`Worker::detach`].
    pub fn assign(&self) -> usize {
        let load = |seat: &Seat| seat.connections.load(Ordering::Relaxed);
        let least = self.workers.iter().enumerate().min_by_key(|(_, seat)| load(seat));
        let worker = least.map_or(0, |(index, _)| index);
        self.workers[worker].connections.fetch_add(1, Ordering::Relaxed);
        worker
    }

    /// Gives back a place that [`Node::assign`] took for a connection that never came to be.
    pub fn release(&self, worker: usize) {
        self.connection_removed(worker);
    }

    /// Connections of all workers.
    pub fn connections(&self) -> usize {
        self.workers
            .iter()
            .map(|seat| seat.connections.load(Ordering::Relaxed))
            .sum()
    }

    pub(crate) fn connection_removed(&self, worker: usize) {
        self.workers[worker].connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Runs `call` on a worker's thread, soon.
    pub fn call(&self, worker: usize, call: impl FnOnce(&Rc<Worker>) + Send + 'static) {
        self.send(worker, WorkerMessage::Call(Box::new(call)), 0);
    }

    /// Asks every worker the same and awaits all answers.
    pub async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Rc<Worker>) -> T + Send + Sync + 'static,
    ) -> Vec<T> {
        let question = Arc::new(question);
        let mut answers = Vec::with_capacity(self.workers.len());
        for worker in 0..self.workers.len() {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let question = Arc::clone(&question);
            self.call(worker, move |worker| {
                // Whoever asked may have gone away.
                let _ = sender.send(question(worker));
            });
            answers.push(receiver);
        }
        let mut all = Vec::with_capacity(answers.len());
        for answer in answers {
            if let Ok(answer) = answer.await {
                all.push(answer);
            }
        }
        all
    }

    pub(crate) fn send(&self, worker: usize, message: WorkerMessage, bytes: usize) -> usize {
        self.workers[worker].inbox.send(message, bytes)
    }

    pub(crate) fn inbox(&self, worker: usize) -> &Inbox<WorkerMessage> {
        &self.workers[worker].inbox
    }

    /// Bytes that wait for a worker.
    pub fn waiting_bytes(&self, worker: usize) -> usize {
        self.workers[worker].inbox.waiting_bytes()
    }

    /// Starts one thread a worker; `setup` runs first on each. The threads end when `stop` says so.
    ///
    /// # Errors
    /// The system has no thread or no event queue left.
    pub fn start(
        self: &Arc<Self>,
        setup: impl Fn(&Rc<Worker>) + Send + Sync + 'static,
        stop: tokio::sync::watch::Receiver<bool>,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        let setup = Arc::new(setup);
        (0..self.workers.len())
            .map(|index| {
                let (node, setup, stop) = (Arc::clone(self), Arc::clone(&setup), stop.clone());
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                std::thread::Builder::new()
                    .name(format!("worker-{index}"))
                    .stack_size(STACK_BYTES)
                    .spawn(move || {
                        let _guard = AbortOnPanic;
                        let worker = Worker::new(index, node);
                        let tasks = tokio::task::LocalSet::new();
                        tasks.block_on(&runtime, async move {
                            setup(&worker);
                            run(&worker, stop).await;
                        });
                    })
            })
            .collect()
    }
}

/// A node without one of its workers would hang where nobody sees it; a supervisor starts a dead one again. (A panic in
/// a connection's own task ends only that connection.)
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a worker panicked; the process ends");
            std::process::abort();
        }
    }
}

/// Messages handled before the worker looks after its sockets again.
const MESSAGES_A_TURN: usize = 16;

async fn run(worker: &Rc<Worker>, mut stop: tokio::sync::watch::Receiver<bool>) {
    let receive = async {
        loop {
            let inbox = &worker.node.workers[worker.index].inbox;
            let message = std::future::poll_fn(|cx| inbox.poll_recv(cx)).await;
            worker.receive(message, worker);
            for _ in 1..MESSAGES_A_TURN {
                match inbox.try_recv() {
                    Some(message) => worker.receive(message, worker),
                    None => break,
                }
            }
            worker.finish_batch();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = receive => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
