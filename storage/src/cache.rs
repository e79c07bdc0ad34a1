//! Frames that were read from disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::frame::Frame;
use crate::log::GroupId;

type Key = (GroupId, u64, u64);

/// A byte-bounded cache. What was not used since it was last in line goes first.
pub struct FrameCache {
    bound: usize,
    frames: Mutex<Frames>,
}

#[derive(Default)]
struct Frames {
    by_key: BTreeMap<Key, Cached>,
    line: VecDeque<Key>,
    bytes: usize,
}

struct Cached {
    frame: Frame,
    used: bool,
}

impl FrameCache {
    pub fn new(bound: usize) -> FrameCache {
        FrameCache {
            bound,
            frames: Mutex::default(),
        }
    }

    /// The frame of a segment that covers an index.
    pub fn get(&self, group: GroupId, segment: u64, index: u64) -> Option<Frame> {
        let mut frames = self.lock();
        let range = (group, segment, 0)..=(group, segment, index);
        let (_, cached) = frames.by_key.range_mut(range).next_back()?;
        cached.used = true;
        cached.frame.covers(index).then(|| cached.frame.clone())
    }

    pub fn put(&self, group: GroupId, segment: u64, frame: Frame) {
        if frame.size() > self.bound {
            return;
        }
        let mut frames = self.lock();
        let key = (group, segment, frame.first());
        let size = frame.size();
        match frames.by_key.insert(key, Cached { frame, used: false }) {
            Some(old) => frames.bytes -= old.frame.size(),
            None => frames.line.push_back(key),
        }
        frames.bytes += size;
        while frames.bytes > self.bound {
            frames.evict();
        }
    }

    /// Forgets the frames of a segment, of one group or of all.
    pub fn forget(&self, segment: u64, group: Option<GroupId>) {
        let mut frames = self.lock();
        let is_of = |key: &Key| key.1 == segment && group.is_none_or(|group| key.0 == group);
        let mut freed = 0;
        frames.by_key.retain(|key, cached| {
            let of = is_of(key);
            freed += if of { cached.frame.size() } else { 0 };
            !of
        });
        frames.line.retain(|key| !is_of(key));
        frames.bytes -= freed;
    }

    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frames {
    fn evict(&mut self) {
        let Some(key) = self.line.pop_front() else { return };
        match self.by_key.get_mut(&key) {
            Some(cached) if cached.used => {
                cached.used = false;
                self.line.push_back(key);
            }
            Some(_) => {
                if let Some(old) = self.by_key.remove(&key) {
                    self.bytes -= old.frame.size();
                }
            }
            None => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::frame;

    fn frame(first: u64) -> Frame {
        let mut value = Vec::new();
        frame::encode(GroupId(1), first, &[Some(Bytes::from(vec![0; 100]))], &mut value);
        Frame::decode(GroupId(1), first, value.into()).unwrap()
    }

    #[test]
    fn it_keeps_what_is_used_and_its_bound() {
        let cache = FrameCache::new(4 * frame(0).size());
        for first in 0..4 {
            cache.put(GroupId(1), 1, frame(first));
        }
        assert!(cache.get(GroupId(1), 1, 0).is_some());
        cache.put(GroupId(1), 1, frame(4));
        cache.put(GroupId(1), 1, frame(5));
        assert!(cache.get(GroupId(1), 1, 0).is_some());
        assert!(cache.get(GroupId(1), 1, 1).is_none());
        assert!(cache.lock().bytes <= cache.bound);
        cache.forget(1, None);
        assert!(cache.get(GroupId(1), 1, 0).is_none());
        assert_eq!(cache.lock().bytes, 0);
    }
}
