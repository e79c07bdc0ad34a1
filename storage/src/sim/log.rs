//! The log on the simulated disk: a journal of records.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::codec::{self, CLEANED, ENTRY, NOTE, PURGE, Record, STRIPPED, TRUNCATE};
use super::disk::{Disk, File};
use super::group::{Group, Purged};
use crate::log::{Bounds, Cleaned, Done, Entry, GroupId, Kept, Liveness, LogStore, Note, StorageError};
use crate::watermark::{self, Marks};

/// The log of all groups. Its write is a step that somebody takes: [`step`](SimLog::step), or each operation itself
/// while it is not [held](SimLog::hold).
pub struct SimLog {
    disk: Disk,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    groups: BTreeMap<GroupId, Group>,
    waiting: Vec<Waiting>,
    is_held: bool,
    mark_bytes: u64,
    read_only: Option<StorageError>,
}

/// A completion, and how far its group is on disk then.
struct Waiting {
    group: GroupId,
    written: u64,
    done: Option<Done>,
}

impl SimLog {
    pub fn open(disk: &Disk) -> Result<SimLog, StorageError> {
        let (records, length) = codec::decode(disk.read(File::Log));
        let mut groups: BTreeMap<GroupId, Group> = BTreeMap::new();
        for record in records {
            groups.entry(record.group).or_default().apply(record);
        }
        groups.values_mut().for_each(|group| group.written = group.next);
        let marks = if disk.is_empty(File::Watermark) {
            Marks::new()
        } else {
            let (_, marks) = watermark::decode(&disk.read(File::Watermark)).ok_or(StorageError::Damaged {
                file: "watermark".into(),
                offset: 0,
                what: "no slot of it is whole".into(),
            })?;
            marks
        };
        let next = |group: &GroupId| groups.get(group).map_or(0, |group| group.next);
        let short = marks.iter().find(|(group, mark)| next(group) < **mark);
        let read_only = short.map(|(group, mark)| StorageError::Truncated {
            group: group.0,
            last: next(group).saturating_sub(1),
            watermark: mark - 1,
        });
        if read_only.is_none() {
            disk.cut(File::Log, length);
        }
        let inner = Inner {
            groups,
            read_only,
            ..Inner::default()
        };
        Ok(SimLog {
            disk: disk.clone(),
            inner: Mutex::new(inner),
        })
    }

    /// Why nothing can be written.
    pub fn read_only(&self) -> Option<StorageError> {
        self.lock().read_only.clone()
    }

    /// From now on nothing is durable before [`step`](SimLog::step) is called.
    pub fn hold(&self) {
        self.lock().is_held = true;
    }

    /// Below this many free bytes nothing new should be appended.
    pub fn set_mark(&self, bytes: u64) {
        self.lock().mark_bytes = bytes;
    }

    /// Makes everything that waits durable, and says so.
    pub fn step(&self) {
        let waiting = {
            let mut inner = self.lock();
            self.disk.sync(File::Log);
            let waiting = std::mem::take(&mut inner.waiting);
            for one in &waiting {
                if let Some(group) = inner.groups.get_mut(&one.group) {
                    group.written = one.written;
                }
            }
            self.write_watermark(&inner);
            waiting
        };
        for done in waiting.into_iter().filter_map(|waiting| waiting.done) {
            done(Ok(()));
        }
    }

    fn write_watermark(&self, inner: &Inner) {
        let groups = inner.groups.iter().filter(|(_, group)| !group.is_memory());
        let marks = groups.map(|(id, group)| (*id, group.written)).collect();
        self.disk.replace(File::Watermark, watermark::encode(1, &marks));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes records in, and writes them down where the group is on disk.
    fn change(
        &self,
        id: GroupId,
        done: Done,
        make: impl FnOnce(&Group) -> Result<Vec<Record>, StorageError>,
    ) {
        let mut inner = self.lock();
        let made = match (inner.read_only.clone(), inner.groups.get(&id)) {
            (Some(error), _) => Err(error),
            (None, Some(group)) => make(group),
            (None, None) => Err(unknown(id)),
        };
        let is_held = inner.is_held;
        let (records, group) = match (made, inner.groups.get_mut(&id)) {
            (Ok(records), Some(group)) => (records, group),
            (Err(error), _) => {
                drop(inner);
                return done(Err(error));
            }
            (Ok(_), None) => return,
        };
        let truncates = records.iter().any(|record| record.kind == TRUNCATE);
        let mut bytes = Vec::new();
        for record in records {
            record.encode(&mut bytes);
            group.apply(record);
        }
        if group.is_memory() {
            group.written = group.next;
            drop(inner);
            return done(Ok(()));
        }
        let (now, later) = if group.kept == Some(Kept::Async) && !bytes.is_empty() {
            (Some(done), None)
        } else {
            (None, Some(done))
        };
        let written = group.next;
        if truncates {
            // The mark must not say that more is there than will be.
            group.written = group.written.min(written);
            self.write_watermark(&inner);
        }
        self.disk.append(File::Log, &bytes);
        inner.waiting.push(Waiting {
            group: id,
            written,
            done: later,
        });
        drop(inner);
        if let Some(done) = now {
            done(Ok(()));
        }
        if !is_held {
            self.step();
        }
    }

    fn with<T>(&self, id: GroupId, look: impl FnOnce(&Group) -> T) -> Option<T> {
        self.lock().groups.get(&id).map(look)
    }
}

fn unknown(group: GroupId) -> StorageError {
    StorageError::Io(format!("group {} is not open", group.0))
}

impl LogStore for SimLog {
    fn open_group(&self, group: GroupId, kept: Kept) -> Result<(), StorageError> {
        let mut inner = self.lock();
        let group = inner.groups.entry(group).or_default();
        if kept == Kept::Memory {
            *group = Group::default();
        }
        group.kept = Some(kept);
        Ok(())
    }

    fn is_full(&self) -> Option<StorageError> {
        let inner = self.lock();
        if let Some(reason) = &inner.read_only {
            return Some(StorageError::ReadOnly(reason.to_string()));
        }
        let (free_bytes, mark_bytes) = (self.disk.free_bytes(), inner.mark_bytes);
        (free_bytes < mark_bytes).then_some(StorageError::Full {
            free_bytes,
            mark_bytes,
        })
    }

    fn append(&self, id: GroupId, entries: Vec<Entry>, done: Done) {
        self.change(id, done, |group| {
            if !(group.next..)
                .zip(&entries)
                .all(|(index, entry)| index == entry.index)
            {
                return Err(StorageError::Io(format!(
                    "entries for group {} are not at {}",
                    id.0, group.next
                )));
            }
            let record = |entry: Entry| Record {
                kind: ENTRY,
                group: id,
                index: entry.index,
                data: entry.data,
            };
            Ok(entries.into_iter().map(record).collect())
        });
    }

    fn truncate(&self, group: GroupId, from: u64, done: Done) {
        let record = Record {
            kind: TRUNCATE,
            group,
            index: from,
            data: Bytes::new(),
        };
        self.change(group, done, |_| Ok(vec![record]));
    }

    fn purge(&self, group: GroupId, first: u64, note: Bytes, done: Done) {
        let record = Record {
            kind: PURGE,
            group,
            index: first,
            data: note,
        };
        self.change(group, done, |_| Ok(vec![record]));
    }

    fn set_note(&self, group: GroupId, note: Note, value: Bytes, done: Done) {
        let record = Record {
            kind: NOTE,
            group,
            index: note as u64,
            data: value,
        };
        self.change(group, done, |_| Ok(vec![record]));
    }

    fn note(&self, group: GroupId, note: Note) -> Result<Option<Bytes>, StorageError> {
        let value = self.with(group, |group| group.notes.get(&(note as u8)).cloned());
        value.ok_or_else(|| unknown(group))
    }

    fn bounds(&self, group: GroupId) -> Bounds {
        let bounds = self.with(group, |group| Bounds {
            first: group.first,
            next: group.next,
        });
        bounds.unwrap_or(Bounds { first: 0, next: 0 })
    }

    fn durable(&self, group: GroupId) -> u64 {
        self.with(group, |group| group.written).unwrap_or(0)
    }

    fn sync(&self, group: GroupId, done: Done) {
        self.change(group, done, |_| Ok(Vec::new()));
    }

    fn read(&self, group: GroupId, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, StorageError> {
        let inner = self.lock();
        let id = group.0;
        let group = inner.groups.get(&group).ok_or_else(|| unknown(group))?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        for index in range.start..range.end.min(group.next) {
            if bytes >= max_bytes && !entries.is_empty() {
                break;
            }
            let data = group
                .entries
                .get(&index)
                .ok_or(StorageError::Missing { group: id, index })?
                .clone();
            bytes += data.len();
            entries.push(Entry { index, data });
        }
        Ok(entries)
    }

    fn get(&self, group: GroupId, index: u64) -> Result<Bytes, StorageError> {
        let data = self
            .with(group, |group| group.entries.get(&index).cloned())
            .flatten();
        data.ok_or(StorageError::Missing {
            group: group.0,
            index,
        })
    }

    fn set_liveness(&self, group: GroupId, liveness: Arc<dyn Liveness>) {
        if let Some(group) = self.lock().groups.get_mut(&group) {
            group.liveness = Some(liveness);
        }
    }

    fn clean(
        &self,
        checkpoint: &mut dyn FnMut() -> Result<(), StorageError>,
    ) -> Result<Cleaned, StorageError> {
        let purged: Vec<Purged> = {
            let inner = self.lock();
            let open = inner.groups.iter().filter(|(_, group)| group.kept.is_some());
            let purged = |group: &Group| {
                group
                    .entries
                    .range(..group.first)
                    .map(|(k, v)| (*k, v.clone()))
                    .collect()
            };
            open.map(|(id, group)| (*id, group.liveness.clone(), purged(group)))
                .collect()
        };
        let mut cleaned = Cleaned::default();
        let mut records = Vec::new();
        for (group, liveness, entries) in purged {
            for (index, data) in entries {
                let stripped = liveness
                    .as_ref()
                    .and_then(|liveness| liveness.strip(index, &data));
                let length = stripped.as_ref().map_or(0, Bytes::len);
                if stripped.as_ref() == Some(&data) {
                    continue;
                }
                cleaned.bytes_freed += (data.len() - length) as u64;
                cleaned.bytes_copied += length as u64;
                let kind = if stripped.is_some() { STRIPPED } else { CLEANED };
                records.push(Record {
                    kind,
                    group,
                    index,
                    data: stripped.unwrap_or_default(),
                });
            }
        }
        if records.is_empty() {
            return Ok(cleaned);
        }
        cleaned.segments_freed = 1;
        checkpoint()?;
        for record in records {
            let id = record.group;
            self.change(id, Box::new(|_| ()), |_| Ok(vec![record]));
        }
        Ok(cleaned)
    }
}
