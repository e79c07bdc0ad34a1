//! Giving up what a group lost, so that it starts again. For `mainstem doctor`: no group is running.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use mainstem_storage::{Batch, GroupId, Kept, LogStore, Note, StateStore, StorageError};
use openraft::{BasicNode, EntryPayload, LogIdOptionExt};
use tokio::sync::oneshot;

use crate::apply::{Applier, Parts, applied_key, read_applied};
use crate::codec::{self, Applied};
use crate::flusher::Flusher;
use crate::groups::Options;
use crate::log_store::GroupLog;
use crate::machine::Machine;
use crate::shared::Shared;
use crate::types::{Data, Membership, StoredMembership};

/// Gives up what a log lost: its rows stay as they are, and its log goes on behind what they stand on. What they point
/// to in the lost part stays missing.
pub async fn accept_loss(
    log: &Arc<dyn LogStore>,
    state: &Arc<dyn StateStore>,
    id: GroupId,
) -> Result<(), StorageError> {
    let shared = Arc::new(Shared::new(id));
    let group = GroupLog::open(log.clone(), id, Kept::Synced, shared)?;
    let applied = read_applied(&**state, id)?.last;
    cut_behind_hole(log, id, applied.next_index()).await?;
    let last = group.last()?;
    let end = if applied.next_index() > last.next_index() {
        applied
    } else {
        last
    };
    let Some(end) = end else { return Ok(()) };
    if let Some(applied) = applied {
        // What the rows stand on is not read again: it does not matter which of it is lost.
        let note = codec::encode_log_id(&applied);
        finished(|done| log.purge(id, applied.index + 1, note, done)).await?;
    }
    finished(|done| log.set_note(id, Note::Committed, codec::encode_log_id(&end), done)).await
}

/// Ends a log where an entry is missing that its rows do not have yet: what is behind it can not be applied.
async fn cut_behind_hole(log: &Arc<dyn LogStore>, id: GroupId, from: u64) -> Result<(), StorageError> {
    let bounds = log.bounds(id);
    for index in from.max(bounds.first)..bounds.next {
        match log.get(id, index) {
            Err(StorageError::Missing { .. }) => return finished(|done| log.truncate(id, index, done)).await,
            other => drop(other?),
        }
    }
    Ok(())
}

async fn finished(start: impl FnOnce(mainstem_storage::Done)) -> Result<(), StorageError> {
    let (done, result) = oneshot::channel();
    start(Box::new(move |outcome| {
        // Nobody stops waiting for this.
        let _ = done.send(outcome);
    }));
    result
        .await
        .unwrap_or_else(|_| Err(StorageError::Io("the log's writer is gone".into())))
}

/// Whether the log has all that ever was in it, and `is_whole` says so of the data of each entry. Without that, nothing
/// can be worked out anew from it.
pub async fn is_complete(
    log: &Arc<dyn LogStore>,
    id: GroupId,
    is_whole: impl Fn(&Bytes) -> bool,
) -> Result<bool, StorageError> {
    let group = GroupLog::open(log.clone(), id, Kept::Synced, Arc::new(Shared::new(id)))?;
    let mut entries = group.entries(0..log.bounds(id).next);
    loop {
        match entries.read_next() {
            Ok(None) => return Ok(true),
            Ok(Some(entry)) => match entry.payload {
                EntryPayload::Normal(Data(data)) if !is_whole(&data) => return Ok(false),
                _ => {}
            },
            Err(StorageError::Missing { .. } | StorageError::Damaged { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        tokio::task::consume_budget().await;
    }
}

/// Applies a log that is [complete](is_complete) from its begin, to a machine without any rows.
pub async fn rebuild(
    log: &Arc<dyn LogStore>,
    state: &Arc<dyn StateStore>,
    id: GroupId,
    machine: Arc<dyn Machine>,
) -> Result<(), StorageError> {
    let shared = Arc::new(Shared::new(id));
    let group = GroupLog::open(log.clone(), id, Kept::Synced, shared.clone())?;
    let mut applier = Applier::new(Parts {
        group: id,
        kept: Kept::Synced,
        log: group.clone(),
        state: state.clone(),
        machine,
        flusher: Flusher::start(state.clone())?,
        options: Options::default(),
        shared,
    })?;
    let mut entries = group.entries(0..log.bounds(id).next);
    while let Some(entry) = entries.read_next()? {
        applier.apply_entry(entry)?;
        applier.write_back_if_due().await?;
    }
    applier.checkpoint().await
}

/// Whether it is known which entry the group's rows stand on, and the log goes on from there.
pub fn is_joined(
    log: &Arc<dyn LogStore>,
    state: &Arc<dyn StateStore>,
    id: GroupId,
) -> Result<bool, StorageError> {
    let is_known = state.get(&applied_key(id))?.is_some();
    Ok(is_known && read_applied(&**state, id)?.last.next_index() >= log.bounds(id).first)
}

/// Makes a group without any rows one that has applied all of its log.
pub fn skip(
    log: &Arc<dyn LogStore>,
    state: &Arc<dyn StateStore>,
    id: GroupId,
    node_id: u64,
) -> Result<(), StorageError> {
    let shared = Arc::new(Shared::new(id));
    let last = GroupLog::open(log.clone(), id, Kept::Synced, shared)?.last()?;
    let nodes = BTreeMap::from([(node_id, BasicNode::default())]);
    let membership = Membership::new(vec![BTreeSet::from([node_id])], nodes)
        .map_err(|error| StorageError::Io(error.to_string()))?;
    let applied = Applied {
        last,
        membership: StoredMembership::new(last, membership),
    };
    let mut batch = Batch::default();
    batch.put(applied_key(id), codec::encode_applied(&applied).to_vec());
    state.write(batch)
}
