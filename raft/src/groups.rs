//! Opening and starting groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use mainstem_storage::{Batch, GroupId, Kept, LogStore, StateStore, StorageError};
use openraft::{BasicNode, Config, LogIdOptionExt, SnapshotPolicy};

use crate::apply::{Applier, Parts};
use crate::error::StartError;
use crate::flusher::Flusher;
use crate::group::{Group, keep};
use crate::log_store::GroupLog;
use crate::machine::Machine;
use crate::network::Network;
use crate::shared::Shared;
use crate::types::{NodeId, Raft};

/// How groups behave.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// This node's number. It stands in every group's membership: a node keeps it for as long as its data.
    pub node_id: u64,
    /// Changed rows are written back when there are about this many bytes of them.
    pub dirty_bytes: usize,
    /// The log is purged when this many bytes of it were applied since the last time. It is about what a restart
    /// applies again.
    pub snapshot_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            node_id: 1,
            dirty_bytes: 4 << 20,
            snapshot_bytes: 128 << 20,
        }
    }
}

/// All groups of this process.
pub struct Groups {
    log: Arc<dyn LogStore>,
    state: Arc<dyn StateStore>,
    flusher: Flusher,
    options: Options,
}

impl Groups {
    pub fn new(
        log: Arc<dyn LogStore>,
        state: Arc<dyn StateStore>,
        options: Options,
    ) -> Result<Arc<Groups>, StorageError> {
        let flusher = Flusher::start(state.clone())?;
        Ok(Arc::new(Groups {
            log,
            state,
            flusher,
            options,
        }))
    }

    /// Opens the group's log. A memory group starts empty: rows that were left of it are removed, so its machine must
    /// be opened after this.
    pub fn open(self: &Arc<Groups>, id: GroupId, kept: Kept) -> Result<Opening, StartError> {
        self.log.open_group(id, kept)?;
        if kept == Kept::Memory && !self.is_read_only() {
            let mut batch = Batch::default();
            batch.delete_range(id.0.to_be_bytes(), (id.0 + 1).to_be_bytes());
            self.state.write(batch)?;
        }
        Ok(Opening {
            groups: self.clone(),
            id,
            kept,
        })
    }

    /// [`open`](Groups::open) and [`Opening::start`] in one, for a machine that reads nothing when it is made.
    pub async fn start(
        self: &Arc<Groups>,
        id: GroupId,
        kept: Kept,
        machine: Arc<dyn Machine>,
    ) -> Result<Arc<Group>, StartError> {
        self.open(id, kept)?.start(machine).await
    }

    fn is_read_only(&self) -> bool {
        matches!(self.log.is_full(), Some(StorageError::ReadOnly(_)))
    }
}

/// A group whose log is open, and which has no machine yet.
pub struct Opening {
    groups: Arc<Groups>,
    id: GroupId,
    kept: Kept,
}

impl Opening {
    /// Starts the group: the first time with this node as its only voter. Returns when this node leads it, and all that
    /// was ever committed is applied.
    ///
    /// In a read-only store, the group applies what its log has and takes no proposals.
    pub async fn start(self, machine: Arc<dyn Machine>) -> Result<Arc<Group>, StartError> {
        let Opening { groups, id, kept } = self;
        let shared = Arc::new(Shared::new(id));
        let log = GroupLog::open(groups.log.clone(), id, kept, shared.clone())?;
        let applier = Applier::new(Parts {
            group: id,
            kept,
            log: log.clone(),
            state: groups.state.clone(),
            machine,
            flusher: groups.flusher.clone(),
            options: groups.options,
            shared: shared.clone(),
        })?;
        let read_only = groups.is_read_only();
        let last = log.last()?;
        check_joined(id, &applier, groups.log.bounds(id).first)?;
        if !read_only {
            check_whole(id, &applier, &log, last.next_index())?;
        }
        let raft = if read_only {
            replay(&groups, id, applier, &log).await?;
            None
        } else {
            Some(start_raft(&groups, id, applier, log, last.next_index()).await?)
        };
        if let Some(raft) = &raft {
            tokio::spawn(keep(raft.clone(), shared.clone()));
        }
        Ok(Arc::new(Group::new(id, raft, groups.log.clone(), shared)))
    }
}

/// The log is purged only where durable rows have it. Rows that end before that are older ones.
fn check_joined(id: GroupId, applier: &Applier, first: u64) -> Result<(), StartError> {
    let applied = applier.applied().next_index();
    if applied < first {
        return Err(StartError::Old {
            group: id.0,
            applied,
            first,
        });
    }
    Ok(())
}

/// Rows and commits stand on entries that were durable. If the log does not have them, it lost its end.
fn check_whole(id: GroupId, applier: &Applier, log: &GroupLog, next: u64) -> Result<(), StartError> {
    let needed = applier.applied().max(log.committed()).next_index();
    if needed > next {
        let last = next.saturating_sub(1);
        return Err(StartError::Behind {
            group: id.0,
            applied: needed - 1,
            last,
        });
    }
    Ok(())
}

/// Applies what can be read, up to the first entry that can not, for reading alone.
async fn replay(
    groups: &Groups,
    id: GroupId,
    mut applier: Applier,
    log: &GroupLog,
) -> Result<(), StartError> {
    let next = groups.log.bounds(id).next;
    for entry in log.entries(applier.applied().next_index()..next) {
        let Ok(entry) = entry.inspect_err(|error| {
            tracing::error!(group = id.0, "the rest of the log is left out: {error}");
        }) else {
            break;
        };
        applier.apply_entry(entry)?;
        tokio::task::consume_budget().await;
    }
    Ok(())
}

fn config(id: GroupId) -> Result<Arc<Config>, String> {
    let config = Config {
        cluster_name: format!("group-{}", id.0),
        // One voter needs no clock: it has nobody to hear from and nobody to hold off.
        enable_tick: false,
        enable_heartbeat: false,
        enable_pre_vote: Some(true),
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|error| error.to_string())
}

async fn start_raft(
    groups: &Groups,
    id: GroupId,
    applier: Applier,
    log: GroupLog,
    next: u64,
) -> Result<Raft, StartError> {
    let node_id = groups.options.node_id;
    let failed = |what: String| StartError::Raft { group: id.0, what };
    let config = config(id).map_err(failed)?;
    let raft = Raft::new(node_id, config, Network, log, applier).await;
    let raft = raft.map_err(|error| failed(error.to_string()))?;
    let started = lead(&raft, node_id, next).await;
    if let Err(what) = started {
        // It did not start; there is nothing to add to that.
        let _ = raft.shutdown().await;
        return Err(failed(what));
    }
    Ok(raft)
}

/// Makes the node the leader, and waits until it has applied all that the log had before and one entry of its own.
async fn lead(raft: &Raft, node_id: NodeId, next: u64) -> Result<(), String> {
    let initialized = raft.is_initialized().await.map_err(|error| error.to_string())?;
    if !initialized {
        let members = BTreeMap::from([(node_id, BasicNode::default())]);
        raft.initialize(members)
            .await
            .map_err(|error| error.to_string())?;
    } else if !raft.voter_ids().any(|voter| voter == node_id) {
        return Err(format!("node {node_id} is not one of its voters"));
    } else if !raft.is_leader() {
        raft.trigger()
            .elect(false)
            .await
            .map_err(|error| error.to_string())?;
    }
    let wait = raft.wait(None);
    let ready = wait.metrics(
        |now| {
            now.current_leader == Some(node_id)
                && now.last_applied.next_index() >= next.max(1)
                && now.last_applied.index() == now.last_log_index
        },
        "this node leads, and has applied everything",
    );
    ready.await.map(drop).map_err(|error| error.to_string())
}
