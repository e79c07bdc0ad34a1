//! What a log's database holds, found out when it is opened.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocksdb::{DBRawIterator, IteratorMode};

use super::db::{self, LogDb};
use super::meta::{self, Row};
use crate::directory::Run;
use crate::frame::{FRAME_OVERHEAD, Frame, key, parse_key};
use crate::group::Found;
use crate::log::{GroupId, StorageError};

/// A log as it is on disk.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    pub groups: BTreeMap<GroupId, Found>,
    /// The segment that was written to.
    pub active: u64,
    /// Whether it has anything.
    pub is_active_used: bool,
    /// The number of the next cold segment.
    pub next_cold: u64,
}

/// Reads notes and directory, and all of the segment that was written to last.
pub fn recover(db: &LogDb) -> Result<Recovered, StorageError> {
    recover_with(db, Err)
}

/// The same without what can not be read.
pub fn recover_rest(db: &LogDb) -> Result<Recovered, StorageError> {
    recover_with(db, |error| {
        tracing::warn!("left out: {error}");
        Ok(())
    })
}

fn recover_with(
    db: &LogDb,
    on_damage: impl Fn(StorageError) -> Result<(), StorageError>,
) -> Result<Recovered, StorageError> {
    let mut recovered = Recovered {
        active: 1,
        next_cold: crate::directory::COLD,
        ..Recovered::default()
    };
    read_meta(db, &mut recovered).or_else(&on_damage)?;
    // A group whose frames end in damage is left, and the next one is looked at.
    let mut from = GroupId(0);
    while let Err((group, error)) = read_active(db, &mut recovered, from) {
        on_damage(error)?;
        let Some(next) = group.0.checked_add(1) else { break };
        from = GroupId(next);
    }
    if let Some(last) = last_cold_segment(db)? {
        recovered.next_cold = last + 1;
    }
    Ok(recovered)
}

fn read_meta(db: &LogDb, recovered: &mut Recovered) -> Result<(), StorageError> {
    for row in db.raw().iterator_cf(db.family(db::META)?, IteratorMode::Start) {
        let (key, value) = row.map_err(|error| db.error(&error))?;
        let parsed = meta::parse(&key, &value);
        match parsed.ok_or_else(|| damaged(db, "a row of the log's directory can not be read".into()))? {
            Row::Note(group, note, value) => {
                let found = recovered.groups.entry(group).or_default();
                found.notes.push((note, Bytes::copy_from_slice(value)));
            }
            Row::First(group, first) => recovered.groups.entry(group).or_default().first = first,
            Row::Active(segment) => recovered.active = segment,
            Row::Directory(group, runs) => {
                let found = recovered.groups.entry(group).or_default();
                runs.into_iter().for_each(|run| found.runs.insert(run));
            }
        }
    }
    Ok(())
}

/// Adds the frames of the segment that was written to, of the groups from one on. On damage, says which group was at it.
fn read_active(db: &LogDb, recovered: &mut Recovered, from: GroupId) -> Result<(), (GroupId, StorageError)> {
    let mut at = from;
    let mut frames = Frames::new(db, false, recovered.active, from).map_err(|error| (at, error))?;
    while let Some((segment, group, frame)) = frames.next().map_err(|error| (at, error))? {
        at = group;
        recovered.is_active_used = true;
        recovered.active = segment;
        let found = recovered.groups.entry(group).or_default();
        found.runs.append(Run {
            first: frame.first(),
            last: frame.next() - 1,
            segment,
            bytes: (frame.size() + FRAME_OVERHEAD) as u64,
        });
    }
    Ok(())
}

/// All frames from a segment on, each checked.
pub struct Frames<'a> {
    source: db::Frames<'a>,
    rows: DBRawIterator<'a>,
}

impl<'a> Frames<'a> {
    /// From the first frame of a group in a segment on.
    pub fn new(
        db: &'a LogDb,
        is_cold: bool,
        segment: u64,
        group: GroupId,
    ) -> Result<Frames<'a>, StorageError> {
        let source = db.frames(is_cold)?;
        let mut rows = source.rows();
        rows.seek(key(segment, group, 0));
        Ok(Frames { source, rows })
    }

    /// The next frame; `None`: that was all.
    pub fn next(&mut self) -> Result<Option<(u64, GroupId, Frame)>, StorageError> {
        let Some((key, value)) = self.rows.item() else {
            return self
                .rows
                .status()
                .map(|()| None)
                .map_err(|error| self.source.error(&error));
        };
        let found = decode(&self.source, key, value)?;
        self.rows.next();
        Ok(Some(found))
    }
}

/// Checks a frame.
pub fn decode(
    source: &db::Frames<'_>,
    key: &[u8],
    value: &[u8],
) -> Result<(u64, GroupId, Frame), StorageError> {
    let unreadable = || source.damaged("a key of the log can not be read".into());
    let (segment, group, first) = parse_key(key).ok_or_else(unreadable)?;
    let frame = Frame::decode(group, first, Bytes::copy_from_slice(value)).map_err(|what| {
        source.damaged(format!(
            "{what}: segment {segment}, group {}, index {first}",
            group.0
        ))
    })?;
    Ok((segment, group, frame))
}

/// All that is cold is in files, also what no directory row names.
fn last_cold_segment(db: &LogDb) -> Result<Option<u64>, StorageError> {
    let files = db.frames(true)?.files()?;
    Ok(files.last().and_then(parse_key).map(|(segment, ..)| segment))
}

pub fn damaged(db: &LogDb, what: String) -> StorageError {
    StorageError::Damaged {
        file: db.folder().into(),
        offset: 0,
        what,
    }
}
