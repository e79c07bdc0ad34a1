//! Making rows durable, off the runtime.

use std::sync::Arc;
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};
use mainstem_storage::{StateStore, StorageError};
use tokio::sync::oneshot;

/// Flushes that wait. A group has at most one.
const MAX_WAITING: usize = 1024;

type Waiting = oneshot::Sender<Result<(), StorageError>>;

/// A thread that flushes the state store; whoever asks while it flushes shares the next flush.
#[derive(Clone)]
pub struct Flusher {
    requests: Sender<Waiting>,
}

impl Flusher {
    /// The thread ends when the last clone is dropped.
    pub fn start(state: Arc<dyn StateStore>) -> Result<Flusher, StorageError> {
        let (requests, waiting) = channel::bounded(MAX_WAITING);
        thread::Builder::new()
            .name("state-flush".into())
            .spawn(move || run(&*state, &waiting))
            .map_err(|error| StorageError::Io(format!("no thread for flushing: {error}")))?;
        Ok(Flusher { requests })
    }

    /// All that was written before is durable when this returns.
    pub async fn flush(&self) -> Result<(), StorageError> {
        let (done, flushed) = oneshot::channel();
        self.requests
            .try_send(done)
            .map_err(|_| StorageError::Io("the thread that flushes is gone or overrun".into()))?;
        flushed
            .await
            .unwrap_or_else(|_| Err(StorageError::Io("the thread that flushes is gone".into())))
    }
}

fn run(state: &dyn StateStore, waiting: &Receiver<Waiting>) {
    while let Ok(first) = waiting.recv() {
        let rest: Vec<Waiting> = waiting.try_iter().collect();
        let result = state.flush();
        for done in std::iter::once(first).chain(rest) {
            // Whoever asked may have stopped waiting.
            let _ = done.send(result.clone());
        }
    }
}
