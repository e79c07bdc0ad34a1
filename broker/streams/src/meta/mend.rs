//! Names that lost rows, put together from what the streams themselves say. For `mainstem doctor`.

use std::sync::Arc;

use mainstem_storage::{Batch, GroupId, StateStore, StorageError};

use super::machine::MetaMachine;
use super::names::Placed;
use super::rows;
use crate::command::StreamId;
use crate::keys::stream::StreamRow;

/// Adds the names of streams of data groups that have none. Returns how many.
pub(crate) fn mend(
    group: GroupId,
    state: &dyn StateStore,
    streams: Vec<(u32, StreamId, StreamRow)>,
) -> Result<usize, StorageError> {
    let meta = MetaMachine::open(group, state)?;
    let mut next_id = meta.with(|names| names.all().map(|placed| placed.id.0 + 1).max().unwrap_or(1));
    let (mut batch, mut added) = (Batch::default(), 0);
    for (of, id, row) in streams {
        next_id = next_id.max(id.0 + 1);
        if meta.with(|names| names.get(id).is_some()) {
            continue;
        }
        let placed = Placed {
            id,
            account: Arc::from(row.account),
            group: of,
            created_ns: row.created_ns,
            config: Arc::new(row.config),
        };
        batch.put(rows::stream_key(group, id), rows::encode(&placed));
        added += 1;
    }
    let key = rows::next_id_key(group);
    if state.get(&key)?.is_none() {
        batch.put(key, rows::encode_next_id(next_id));
    }
    state.write(batch)?;
    Ok(added)
}
