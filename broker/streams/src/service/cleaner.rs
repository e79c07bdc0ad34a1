//! Freeing space, on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use mainstem_raft::Group;
use mainstem_storage::{LogStore, StateStore, StorageError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the thread works with.
pub(super) struct Parts {
    pub(super) log: Arc<dyn LogStore>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) groups: Vec<Arc<Group>>,
    pub(super) every: Duration,
}

/// The running thread.
pub(super) struct Cleaner {
    stop: SyncSender<()>,
    ended: oneshot::Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Cleaner {
    /// Starts it. `runtime` is where groups are asked.
    pub(super) fn start(parts: Parts, runtime: Handle) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("cleaner".into())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(parts.every) {
                    parts.clean(&runtime);
                }
                drop(parts);
                // Nobody waits where the service was dropped.
                let _ = end.send(());
            })?;
        Ok(Self {
            stop,
            ended,
            _thread: thread,
        })
    }

    /// Ends it after what it is at.
    pub(super) async fn stop(self) {
        drop(self.stop);
        let _ = self.ended.await;
    }
}

impl Parts {
    fn clean(&self, runtime: &Handle) {
        let mut checkpoint = || self.checkpoint(runtime);
        match self.log.clean(&mut checkpoint) {
            Ok(cleaned) if cleaned.segments_freed > 0 => {
                tracing::debug!(
                    segments = cleaned.segments_freed,
                    freed_bytes = cleaned.bytes_freed,
                    copied_bytes = cleaned.bytes_copied,
                    "cleaned"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cleaning failed; it is tried again"),
        }
    }

    fn checkpoint(&self, runtime: &Handle) -> Result<(), StorageError> {
        for group in &self.groups {
            runtime.block_on(group.checkpoint())?;
        }
        self.state.flush()
    }
}
