//! A group's machine as openraft wants it: applying, writing rows back, snapshots.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, TryStreamExt};
use mainstem_storage::{Batch, GroupId, Kept, StateStore, StorageError};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, LogIdOptionExt, RaftSnapshotBuilder};

use crate::codec::{self, Applied};
use crate::flusher::Flusher;
use crate::groups::Options;
use crate::log_store::GroupLog;
use crate::machine::{Machine, Reply};
use crate::shared::Shared;
use crate::types::{Data, Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, Types};

/// Drives the machine with committed entries.
pub struct Applier {
    group: GroupId,
    kept: Kept,
    log: GroupLog,
    state: Arc<dyn StateStore>,
    machine: Arc<dyn Machine>,
    flusher: Flusher,
    options: Options,
    shared: Arc<Shared>,
    /// What the machine has in it.
    applied: Applied,
    /// The last entry that stands in written rows.
    written: Option<LogId>,
    /// Bytes applied since the last snapshot was asked for.
    since_snapshot: u64,
    snapshot: Arc<Mutex<Option<SnapshotMeta>>>,
}

/// What an [`Applier`] is made of.
pub struct Parts {
    pub group: GroupId,
    pub kept: Kept,
    pub log: GroupLog,
    pub state: Arc<dyn StateStore>,
    pub machine: Arc<dyn Machine>,
    pub flusher: Flusher,
    pub options: Options,
    pub shared: Arc<Shared>,
}

/// The row of a group that is not the machine's: what the rows stand on.
pub fn applied_key(group: GroupId) -> [u8; 5] {
    let [a, b, c, d] = group.0.to_be_bytes();
    [a, b, c, d, 0]
}

/// What a group's rows stand on; nothing, if there are none.
pub fn read_applied(state: &dyn StateStore, group: GroupId) -> Result<Applied, StorageError> {
    let Some(row) = state.get(&applied_key(group))? else {
        return Ok(Applied::default());
    };
    codec::decode_applied(&row).map_err(|error| {
        StorageError::Io(format!(
            "what group {} has applied can not be read: {error}",
            group.0
        ))
    })
}

impl Applier {
    pub fn new(parts: Parts) -> Result<Applier, StorageError> {
        let Parts {
            group,
            kept,
            log,
            state,
            machine,
            flusher,
            options,
            shared,
        } = parts;
        let applied = read_applied(&*state, group)?;
        shared.set_applied(applied.last.next_index());
        // What was found on disk is durable: it is as good as a snapshot.
        let snapshot = applied.last.is_some().then(|| meta(&applied));
        Ok(Applier {
            group,
            kept,
            log,
            state,
            machine,
            flusher,
            options,
            shared,
            written: applied.last,
            applied,
            since_snapshot: 0,
            snapshot: Arc::new(Mutex::new(snapshot)),
        })
    }

    /// Applies one entry.
    pub fn apply_entry(&mut self, entry: Entry) -> Result<Reply, StorageError> {
        let reply = match entry.payload {
            EntryPayload::Blank => Box::new(()),
            EntryPayload::Normal(Data(data)) => {
                self.since_snapshot += data.len() as u64;
                self.machine.apply(entry.log_id.index, &data)?
            }
            EntryPayload::Membership(membership) => {
                self.applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                Box::new(())
            }
        };
        self.applied.last = Some(entry.log_id);
        self.shared.set_applied(entry.log_id.index + 1);
        Ok(reply)
    }

    pub fn applied(&self) -> Option<LogId> {
        self.applied.last
    }

    pub async fn write_back_if_due(&mut self) -> Result<(), StorageError> {
        if self.machine.dirty_bytes() >= self.options.dirty_bytes {
            self.checkpoint().await?;
        }
        if self.since_snapshot >= self.options.snapshot_bytes {
            self.since_snapshot = 0;
            self.shared.snapshot_due.notify_one();
        }
        Ok(())
    }

    /// Writes the machine's changed rows, and what they stand on, in one batch. Waits first until the log has on disk
    /// what they stand on: the store may make rows durable at any time, and rows without their entries would be damage.
    pub async fn checkpoint(&mut self) -> Result<(), StorageError> {
        let Some(last) = self.applied.last else {
            return Ok(());
        };
        if self.written == Some(last) {
            return Ok(());
        }
        self.log.durable(last.index).await?;
        let mut batch = Batch::default();
        self.machine.checkpoint(&mut batch)?;
        batch.put(
            applied_key(self.group),
            codec::encode_applied(&self.applied).to_vec(),
        );
        // A full disk or a stall of the store holds this group up, and not the others of this thread.
        let state = self.state.clone();
        #[allow(clippy::disallowed_methods, reason = "one at a time for each of a few groups")]
        let written = tokio::task::spawn_blocking(move || state.write(batch)).await;
        written.unwrap_or_else(|_| Err(StorageError::Io("writing rows did not end".into())))?;
        self.machine.written();
        self.written = Some(last);
        Ok(())
    }

    /// A checkpoint that is durable.
    pub async fn save(&mut self) -> Result<(), StorageError> {
        self.checkpoint().await?;
        match self.kept {
            Kept::Memory => Ok(()),
            Kept::Synced | Kept::Async => self.flusher.flush().await,
        }
    }
}

fn meta(applied: &Applied) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: applied.last,
        last_membership: applied.membership.clone(),
    }
}

impl RaftStateMachine<Types> for Applier {
    /// Rows that are in the state store are the snapshot; there is nothing else to hand around.
    type SnapshotData = ();
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let reply = self.apply_entry(entry).map_err(|error| self.shared.fail(error))?;
            if let Some(responder) = responder {
                responder.send(reply);
            }
            self.write_back_if_due()
                .await
                .map_err(|error| self.shared.fail(error))?;
            // Entries are large, and a replay has thousands: others on this thread have their turn.
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let checkpoint = self.checkpoint().await;
        Builder {
            checkpoint,
            meta: meta(&self.applied),
            kept: self.kept,
            flusher: self.flusher.clone(),
            shared: self.shared.clone(),
            snapshot: self.snapshot.clone(),
        }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, (): ()) -> Result<(), io::Error> {
        Err(self.shared.fail(StorageError::Io(
            "a snapshot came in, but this version takes none".into(),
        )))
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let meta = self
            .snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(meta.map(|meta| Snapshot { meta, snapshot: () }))
    }
}

/// Makes a checkpoint durable, which makes it a snapshot: the log below it may go.
pub struct Builder {
    checkpoint: Result<(), StorageError>,
    meta: SnapshotMeta,
    kept: Kept,
    flusher: Flusher,
    shared: Arc<Shared>,
    snapshot: Arc<Mutex<Option<SnapshotMeta>>>,
}

impl Builder {
    async fn build(&mut self) -> Result<SnapshotMeta, StorageError> {
        self.checkpoint.clone()?;
        if self.kept != Kept::Memory {
            self.flusher.flush().await?;
        }
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.meta.clone());
        Ok(self.meta.clone())
    }
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let meta = self.build().await.map_err(|error| self.shared.fail(error))?;
        Ok(Snapshot { meta, snapshot: () })
    }
}
