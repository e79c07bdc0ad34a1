//! A running group.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use mainstem_storage::{GroupId, LogStore, StorageError};
use openraft::error::{ClientWriteError, Fatal};
use openraft::impls::ProgressResponder;
use openraft::metrics::WaitError;
use openraft::raft::ClientWriteResult;
use tokio::sync::oneshot;

use crate::apply::Applier;
use crate::error::ProposeError;
use crate::machine::Reply;
use crate::shared::Shared;
use crate::types::{Data, Raft, Types};

/// How long a snapshot may take before it is asked for again.
const SNAPSHOT_PATIENCE: Duration = Duration::from_millis(500);

/// How far a group is. Each number is the index of the next entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupMetrics {
    pub last_index: u64,
    pub committed: u64,
    pub applied: u64,
}

/// A group that this node is part of.
pub struct Group {
    id: GroupId,
    /// `None`: the store is read-only.
    raft: Option<Raft>,
    log: Arc<dyn LogStore>,
    shared: Arc<Shared>,
}

/// A proposal that waits for room in openraft's queue.
type Sending = Pin<Box<dyn Future<Output = Result<(), Fatal<Types>>> + Send>>;
type Answer = oneshot::Receiver<ClientWriteResult<Types>>;

impl Group {
    pub(crate) fn new(id: GroupId, raft: Option<Raft>, log: Arc<dyn LogStore>, shared: Arc<Shared>) -> Group {
        Group {
            id,
            raft,
            log,
            shared,
        }
    }

    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Proposes an entry, and waits for what applying it says. Many may be under way; they are appended in the order of
    /// the calls. The entry is handed over when this is called, not when the future is first polled, and dropping the
    /// future does not take it back.
    ///
    /// Data with [`ROOM`](crate::ROOM) bytes of spare capacity, which nobody else holds, is not copied. Callers batch:
    /// what an entry costs is more than what its bytes cost.
    pub fn propose(&self, data: Bytes) -> impl Future<Output = Result<Reply, ProposeError>> + Send + use<> {
        let handed_over = self.hand_over(data);
        async move {
            let (sending, answer) = handed_over?;
            if let Some(sending) = sending {
                sending.await.map_err(|_| ProposeError::Stopped)?;
            }
            match answer.await {
                Ok(Ok(applied)) => Ok(applied.data),
                Ok(Err(ClientWriteError::ForwardToLeader(_))) => Err(ProposeError::NotLeader),
                Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
            }
        }
    }

    fn hand_over(&self, data: Bytes) -> Result<(Option<Sending>, Answer), ProposeError> {
        if let Some(reason @ StorageError::ReadOnly(_)) = self.log.is_full() {
            return Err(ProposeError::Refused(reason));
        }
        let raft = self.raft.clone().ok_or(ProposeError::Stopped)?;
        if self.shared.failure().is_some() {
            return Err(ProposeError::Stopped);
        }
        let (responder, answer) = ProgressResponder::complete_only();
        let send = async move { raft.client_write_ff(Data(data), Some(responder)).await };
        // The first poll takes a place in the queue, whether there is room or not. A task that has used up its budget
        // would be sent away without one.
        let mut sending: Sending = Box::pin(tokio::task::unconstrained(send));
        match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Ok((None, answer)),
            Poll::Ready(Err(_)) => Err(ProposeError::Stopped),
            Poll::Pending => Ok((Some(sending), answer)),
        }
    }

    /// Why nothing should be proposed that makes the store larger; `None`: there is room. Such a proposal is not refused:
    /// whoever removes something needs some room, too.
    pub fn is_full(&self) -> Option<StorageError> {
        self.log.is_full()
    }

    pub fn is_leader(&self) -> bool {
        self.raft.as_ref().is_some_and(Raft::is_leader) && self.failure().is_none()
    }

    /// Why the group has stopped; `None`: it has not, or it was shut down.
    pub fn failure(&self) -> Option<&StorageError> {
        self.shared.failure()
    }

    /// Writes the machine's changed rows to the state store. They are durable after the store's next flush.
    pub async fn checkpoint(&self) -> Result<(), StorageError> {
        self.with_applier(|applier| Box::pin(applier.checkpoint())).await
    }

    /// Makes all that is applied durable in the state store, and purges the log up to there.
    pub async fn snapshot(&self) -> Result<(), StorageError> {
        let Some(raft) = &self.raft else { return Ok(()) };
        let applied = self.shared.applied();
        loop {
            // One snapshot is built at a time, and what is asked for meanwhile is forgotten: it is asked for again.
            raft.trigger().snapshot().await.map_err(|_| self.stopped())?;
            let wait = raft.wait(Some(SNAPSHOT_PATIENCE));
            let purged = wait.metrics(
                |now| now.purged.is_some_and(|purged| purged.index + 1 >= applied),
                "everything that was applied is purged",
            );
            match purged.await {
                Ok(_) => return Ok(()),
                Err(WaitError::Timeout(..)) => {}
                Err(WaitError::ShuttingDown) => return Err(self.stopped()),
            }
        }
    }

    /// Makes all that is applied durable, and ends the group. Proposals after this are refused.
    pub async fn shutdown(&self) {
        let Some(raft) = &self.raft else { return };
        if let Err(error) = self.with_applier(|applier| Box::pin(applier.save())).await {
            tracing::warn!(group = self.id.0, %error, "the state was not saved: a restart applies the log again");
        }
        if let Err(error) = raft.shutdown().await {
            tracing::warn!(group = self.id.0, %error, "the group did not end well");
        }
        self.shared.snapshot_due.notify_one();
    }

    pub fn metrics(&self) -> GroupMetrics {
        GroupMetrics {
            last_index: self.log.bounds(self.id).next,
            committed: self.shared.committed(),
            applied: self.shared.applied(),
        }
    }

    async fn with_applier<F>(&self, work: F) -> Result<(), StorageError>
    where
        F: for<'a> FnOnce(&'a mut Applier) -> Working<'a> + Send + 'static,
    {
        let Some(raft) = &self.raft else { return Ok(()) };
        raft.with_state_machine(work).await.map_err(|_| self.stopped())?
    }

    fn stopped(&self) -> StorageError {
        let failure = self.shared.failure().cloned();
        failure.unwrap_or_else(|| StorageError::Io(format!("group {} has stopped", self.id.0)))
    }
}

type Working<'a> = Pin<Box<dyn Future<Output = Result<(), StorageError>> + Send + 'a>>;

/// Takes snapshots when they are due, until the group ends.
pub async fn keep(raft: Raft, shared: Arc<Shared>) {
    loop {
        shared.snapshot_due.notified().await;
        if raft.trigger().snapshot().await.is_err() {
            return;
        }
    }
}
