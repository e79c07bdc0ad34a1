//! Changes to what is already in the log: ends that are cut off, and runs that cleaning moved.

use std::collections::BTreeSet;

use bytes::Bytes;
use rocksdb::WriteBatch;

use super::db;
use super::meta;
use super::shared::Shared;
use super::writer::Moved;
use crate::directory::{COLD, Run};
use crate::frame;
use crate::group::Group;
use crate::log::{GroupId, StorageError};

/// Removes what was cut off a log: by key where it is in the segment that is written to, else by its directory row.
pub fn truncate(
    shared: &Shared,
    active: u64,
    group: &Group,
    from: u64,
    batch: &mut WriteBatch,
) -> Result<(), StorageError> {
    let db = &shared.db;
    let (hot, meta) = (db.family(db::HOT)?, db.family(db::META)?);
    let mut state = group.lock();
    let changed: Vec<u64> = state
        .runs
        .iter()
        .filter(|run| run.last >= from)
        .map(|run| run.segment)
        .collect();
    let cut = state.runs.find(from).filter(|run| run.first < from);
    state.runs.cut(from..u64::MAX - 1);
    state.written = state.written.min(from);
    for segment in changed {
        shared.cache.forget(segment, Some(group.id));
        if segment != active {
            let row = meta::encode_runs(&state.runs.of_segment(segment));
            batch.put_cf(meta, meta::directory_key(segment, group.id), row);
        }
    }
    drop(state);
    // The mark must not say that more is there than is.
    shared.lower_watermark()?;
    if cut.is_some_and(|run| run.segment == active) {
        shorten_frame(shared, active, group.id, from, batch)?;
    }
    let mut rows = db.raw().raw_iterator_cf(hot);
    rows.seek(frame::key(active, group.id, from));
    while let Some(key) = rows.key() {
        if !frame::parse_key(key).is_some_and(|(segment, id, _)| segment == active && id == group.id) {
            break;
        }
        batch.delete_cf(hot, key);
        rows.next();
    }
    rows.status().map_err(|error| db.error(&error))
}

/// Writes the frame that the cut goes through again, without what is behind it.
fn shorten_frame(
    shared: &Shared,
    active: u64,
    group: GroupId,
    from: u64,
    batch: &mut WriteBatch,
) -> Result<(), StorageError> {
    let db = &shared.db;
    let hot = db.family(db::HOT)?;
    let mut rows = db.raw().raw_iterator_cf(hot);
    rows.seek_for_prev(frame::key(active, group, from - 1));
    let Some((key, value)) = rows.item() else {
        return rows.status().map_err(|error| db.error(&error));
    };
    let Some((segment, id, first)) = frame::parse_key(key) else {
        return Ok(());
    };
    if segment != active || id != group {
        return Ok(());
    }
    let old = frame::Frame::decode(id, first, Bytes::copy_from_slice(value))
        .map_err(|what| super::recover::damaged(db, what.into()))?;
    if old.next() > from {
        let entries: Vec<Option<Bytes>> = (first..from).map(|index| old.get(index)).collect();
        let mut value = Vec::new();
        frame::encode(group, first, &entries, &mut value);
        batch.put_cf(hot, frame::key(active, group, first), &value);
    }
    Ok(())
}

/// Points to where cleaning copied entries, and forgets where they were.
pub fn relocate(shared: &Shared, moved: &[Moved], batch: &mut WriteBatch) -> Result<(), StorageError> {
    let meta = shared.db.family(db::META)?;
    let mut touched = BTreeSet::new();
    for Moved { group, from, to } in moved {
        let mut state = group.lock();
        // What a truncation has cut off since stays cut off.
        let Some(now) = state
            .runs
            .find(from.first)
            .filter(|now| now.segment == from.segment)
        else {
            continue;
        };
        state.runs.remove(now.first);
        if let Some(to) = to.filter(|to| to.first <= now.last) {
            state.runs.insert(Run {
                last: to.last.min(now.last),
                ..to
            });
        }
        touched.extend(
            [Some(from.segment), to.map(|run| run.segment)]
                .into_iter()
                .flatten()
                .map(|segment| (segment, group.id)),
        );
    }
    for (segment, id) in touched {
        let Some(group) = shared.groups.load().get(&id).cloned() else {
            continue;
        };
        let mut state = group.lock();
        if segment & COLD != 0 {
            let first = state.first;
            state.runs.merge(segment, first);
        }
        let key = meta::directory_key(segment, id);
        let runs = state.runs.of_segment(segment);
        if runs.is_empty() {
            batch.delete_cf(meta, key);
        } else {
            batch.put_cf(meta, key, meta::encode_runs(&runs));
        }
    }
    Ok(())
}
