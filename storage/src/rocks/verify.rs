//! Looking at every frame there is.

use std::ops::Range;

use rocksdb::DBRawIterator;

use super::db::{self, LogDb};
use super::recover::{Recovered, decode};
use crate::directory::Run;
use crate::frame::{Frame, key, parse_key};
use crate::log::{GroupId, StorageError};

/// Entries that can not be read.
#[derive(Clone, Debug)]
pub struct Lost {
    pub group: GroupId,
    pub indexes: Range<u64>,
    pub segment: u64,
    pub error: StorageError,
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    pub frames: u64,
    pub lost: Vec<Lost>,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Runs with something that is not purged. Of the others, whether there is a file for them at all.
    Log,
    All,
}

/// Reads and checks the frames that the directory names.
pub fn verify(db: &LogDb, recovered: &Recovered, extent: Extent) -> Result<Verified, StorageError> {
    let mut verified = Verified::default();
    let (hot, cold) = (db.frames(false)?.files()?, db.frames(true)?.files()?);
    for (group, found) in &recovered.groups {
        let is_wanted = |run: &&Run| {
            let files = if run.is_cold() { &cold } else { &hot };
            extent == Extent::All || run.last >= found.first || !files.may_hold(*group, run)
        };
        for run in found.runs.iter().filter(is_wanted) {
            let source = db.frames(run.is_cold())?;
            let rows = source.rows();
            Walk {
                source: &source,
                rows,
                group: *group,
                run: *run,
                log_first: found.first,
                verified: &mut verified,
            }
            .walk();
        }
    }
    Ok(verified)
}

/// A walk over the frames of a run.
struct Walk<'a> {
    source: &'a db::Frames<'a>,
    rows: DBRawIterator<'a>,
    group: GroupId,
    run: Run,
    /// Where the group's log begins: what is below it may have been cleaned away.
    log_first: u64,
    verified: &'a mut Verified,
}

impl Walk<'_> {
    fn walk(mut self) {
        let mut index = self.run.first;
        self.rows.seek_for_prev(key(self.run.segment, self.group, index));
        if self.is_elsewhere() {
            self.rows.seek(key(self.run.segment, self.group, index));
        }
        while index <= self.run.last {
            match self.frame() {
                Ok(Some(frame)) => {
                    self.miss(index..frame.first());
                    self.verified.frames += 1;
                    index = frame.next().max(index);
                    self.rows.next();
                }
                Ok(None) => return self.miss(index..self.run.last + 1),
                Err(error) => {
                    let next = self.skip(index);
                    self.lose(index..next, error);
                    index = next;
                }
            }
        }
    }

    fn is_elsewhere(&self) -> bool {
        let place = self.rows.key().and_then(parse_key);
        place.is_none_or(|(segment, group, _)| (segment, group) != (self.run.segment, self.group))
    }

    /// The frame at the position; `None`: there is none of this run any more.
    fn frame(&self) -> Result<Option<Frame>, StorageError> {
        let Some((key, value)) = self.rows.item() else {
            return self
                .rows
                .status()
                .map(|()| None)
                .map_err(|error| self.source.error(&error));
        };
        if self.is_elsewhere() {
            return Ok(None);
        }
        let (_, _, frame) = decode(self.source, key, value)?;
        Ok((frame.first() <= self.run.last).then_some(frame))
    }

    /// Goes on to the first frame behind `index` that can be read; returns its first index, or the run's end.
    fn skip(&mut self, index: u64) -> u64 {
        // A frame that RocksDB can read and that is wrong in itself has a next one.
        while self.rows.valid() {
            self.rows.next();
            if let Ok(frame) = self.frame() {
                return self.begin(frame, index);
            }
        }
        // A block that it can not read hides where the next one begins: that is searched for.
        let (mut bad, mut step) = (index, 1);
        while self.seek(index.saturating_add(step)).is_err() {
            bad = index.saturating_add(step);
            if bad > self.run.last {
                return self.run.last + 1;
            }
            step *= 2;
        }
        let mut good = index.saturating_add(step);
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            match self.seek(middle) {
                Ok(_) => good = middle,
                Err(_) => bad = middle,
            }
        }
        let found = self.seek(good).unwrap_or(None);
        self.begin(found, index)
    }

    fn seek(&mut self, index: u64) -> Result<Option<Frame>, StorageError> {
        // An iterator may hold on to the error of an earlier place.
        self.rows = self.source.rows();
        self.rows.seek(key(self.run.segment, self.group, index));
        self.frame()
    }

    fn begin(&self, frame: Option<Frame>, index: u64) -> u64 {
        frame.map_or(self.run.last + 1, |frame| frame.first().max(index + 1))
    }

    /// There is no frame for these. In a cold segment they were cleaned away, unless they are part of the log, or all
    /// there is.
    fn miss(&mut self, mut indexes: Range<u64>) {
        if self.run.is_cold() && indexes != self.run.range() {
            indexes.start = indexes.start.max(self.log_first);
        }
        if !indexes.is_empty() {
            self.lose(indexes, self.source.damaged("frames are missing".into()));
        }
    }

    fn lose(&mut self, indexes: Range<u64>, error: StorageError) {
        self.verified.lost.push(Lost {
            group: self.group,
            indexes,
            segment: self.run.segment,
            error,
        });
    }
}
