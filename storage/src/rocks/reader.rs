//! Reading entries: from RAM, else from frames on disk.

use std::ops::Range;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rocksdb::DBRawIterator;

use super::db::{self, LogDb};
use super::recover::{damaged, decode};
use crate::cache::FrameCache;
use crate::directory::Run;
use crate::frame::{Frame, key, parse_key};
use crate::group::{Group, Place};
use crate::log::{Entry, StorageError};
use crate::metrics::Metrics;

/// Bytes of frames that one look at the disk brings in, the one that is asked for included.
const READ_AHEAD: usize = 16 << 10;

/// How often a read looks again when cleaning moved the entry under it.
const MAX_TRIES: u32 = 8;

/// Reads entries.
pub struct Reader<'a> {
    pub db: &'a LogDb,
    pub cache: &'a FrameCache,
    pub metrics: &'a Metrics,
}

impl Reader<'_> {
    pub fn get(&self, group: &Group, index: u64) -> Result<Bytes, StorageError> {
        let missing = || StorageError::Missing {
            group: group.id.0,
            index,
        };
        for _ in 0..MAX_TRIES {
            let place = group.lock().place(index);
            let run = match place {
                Place::Here(data) => {
                    self.metrics.tail_hits.fetch_add(1, Ordering::Relaxed);
                    return Ok(data);
                }
                Place::In(run) => run,
                Place::Nowhere => return Err(missing()),
            };
            match self.frame(group, run, index)? {
                Some(frame) => return frame.get(index).ok_or_else(missing),
                None if run.is_cold() && self.is_still_in(group, run, index) => return Err(missing()),
                None => (),
            }
        }
        self.lost(group, index)
    }

    pub fn read(
        &self,
        group: &Group,
        range: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let range = group.lock().clip(range);
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut index = range.start;
        while index < range.end && (bytes < max_bytes || entries.is_empty()) {
            let (place, end) = self.stretch(group, index)?;
            let end = end.min(range.end);
            while index < end && (bytes < max_bytes || entries.is_empty()) {
                let data = match &place {
                    Some(frame) => frame.get(index),
                    None => match group.lock().place(index) {
                        Place::Here(data) => Some(data),
                        // It left the tail: the frame has it.
                        _ => break,
                    },
                };
                let data = data.ok_or(StorageError::Missing {
                    group: group.id.0,
                    index,
                })?;
                bytes += data.len();
                entries.push(Entry { index, data });
                index += 1;
            }
        }
        Ok(entries)
    }

    /// The frame that has an index, or `None` for RAM, and the end of what it is good for.
    fn stretch(&self, group: &Group, index: u64) -> Result<(Option<Frame>, u64), StorageError> {
        for _ in 0..MAX_TRIES {
            let place = group.lock().place(index);
            match place {
                Place::Here(_) => return Ok((None, u64::MAX)),
                Place::Nowhere => {
                    return Err(StorageError::Missing {
                        group: group.id.0,
                        index,
                    });
                }
                Place::In(run) => {
                    if let Some(frame) = self.frame(group, run, index)? {
                        let end = frame.next().min(run.last + 1);
                        return Ok((Some(frame), end));
                    }
                }
            }
        }
        self.lost(group, index)
    }

    fn is_still_in(&self, group: &Group, run: Run, index: u64) -> bool {
        matches!(group.lock().place(index), Place::In(now) if now.segment == run.segment)
    }

    /// The directory says where it is, and it is not there.
    fn lost<T>(&self, group: &Group, index: u64) -> Result<T, StorageError> {
        Err(damaged(
            self.db,
            format!("entry {index} of group {} is gone", group.id.0),
        ))
    }

    /// The frame of a run that covers an index; `None`: there is none.
    fn frame(&self, group: &Group, run: Run, index: u64) -> Result<Option<Frame>, StorageError> {
        if let Some(frame) = self.cache.get(group.id, run.segment, index) {
            self.metrics.cache_hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(frame));
        }
        self.metrics.disk_reads.fetch_add(1, Ordering::Relaxed);
        let source = self.db.frames(run.is_cold())?;
        let mut rows = source.lookup();
        rows.seek_for_prev(key(run.segment, group.id, index));
        if rows.status().is_err() {
            return self.beside_damage(&source, group, run, index);
        }
        let Some(wanted) = self.take(&source, &rows, group, run)? else {
            return rows.status().map(|()| None).map_err(|error| source.error(&error));
        };
        // Small frames come together: the one that is asked for next is mostly beside it.
        let mut ahead = wanted.size();
        while ahead < READ_AHEAD {
            rows.next();
            // What is wrong behind it is said to whoever asks for that.
            let Ok(Some(frame)) = self.take(&source, &rows, group, run) else {
                break;
            };
            ahead += frame.size();
        }
        Ok(wanted.covers(index).then_some(wanted))
    }

    /// The same where RocksDB can not read a block: it may be the next one, which the search for the entry touches.
    fn beside_damage(
        &self,
        source: &db::Frames<'_>,
        group: &Group,
        run: Run,
        index: u64,
    ) -> Result<Option<Frame>, StorageError> {
        let (mut rows, mut step) = (source.rows(), 1);
        while !rows.valid() && step <= index - run.first {
            rows = source.rows();
            rows.seek_for_prev(key(run.segment, group.id, index - step));
            step *= 2;
        }
        if !rows.valid() {
            rows = source.rows();
            rows.seek(key(run.segment, group.id, run.first));
        }
        while let Some(frame) = self.take(source, &rows, group, run)? {
            if frame.covers(index) {
                return Ok(Some(frame));
            }
            rows.next();
        }
        rows.status().map(|()| None).map_err(|error| source.error(&error))
    }

    /// The frame at a position, which goes into the cache; `None`: it is not of the run, or there is none.
    fn take(
        &self,
        source: &db::Frames<'_>,
        rows: &DBRawIterator<'_>,
        group: &Group,
        run: Run,
    ) -> Result<Option<Frame>, StorageError> {
        let Some((key, value)) = rows.item() else {
            return Ok(None);
        };
        if parse_key(key).is_some_and(|(segment, id, _)| (segment, id) != (run.segment, group.id)) {
            return Ok(None);
        }
        let (_, _, frame) = decode(source, key, value)?;
        self.cache.put(group.id, run.segment, frame.clone());
        Ok(Some(frame))
    }
}
