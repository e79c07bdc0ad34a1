//! Cleaning memory groups: what nothing needs any more leaves RAM.
//!
//! Stripping an entry asks the machine about each of its messages, under the machine's lock, so it is done only where
//! enough died since it was done last.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::group::Group;
use crate::log::GroupId;

/// Entries that are looked at together.
const UNIT: u64 = 1024;

/// The part of a unit that has to be dead for it to be stripped. Lower than on disk: RAM is what streams are limited by.
const GARBAGE: f64 = 0.2;

/// What is remembered between cleanings.
#[derive(Default)]
pub struct MemoryCleaner {
    /// Bytes that were needed of each unit when it was stripped last.
    needed: HashMap<GroupId, BTreeMap<u64, u64>>,
}

impl MemoryCleaner {
    /// Drops and strips the purged entries of a memory group. Returns the bytes that went.
    pub fn clean(&mut self, group: &Group) -> u64 {
        let liveness = group.liveness();
        let known = self.needed.entry(group.id).or_default();
        let before = std::mem::take(known);
        let (mut from, mut freed) = (0, 0);
        loop {
            let (first, mut entries) = {
                let state = group.lock();
                (state.first, state.purged_in_memory(from, UNIT as usize))
            };
            let Some((index, _)) = entries.first() else {
                return freed;
            };
            let start = index / UNIT * UNIT;
            let range = start..(start + UNIT).min(first);
            let is_whole = range.end == start + UNIT;
            from = range.end;
            entries.retain(|(index, _)| range.contains(index));
            let live = liveness.as_ref().map_or(0, |liveness| liveness.live_bytes(range));
            let was = before.get(&start).filter(|_| is_whole).copied();
            let had = was.unwrap_or_else(|| entries.iter().map(|(_, data)| data.len() as u64).sum());
            if live > 0 && live as f64 > had as f64 * (1.0 - GARBAGE) {
                known.extend(was.map(|was| (start, was)));
                continue;
            }
            for (index, data) in entries {
                let stripped = liveness
                    .as_ref()
                    .and_then(|liveness| liveness.strip(index, &data));
                let length = stripped.as_ref().map_or(0, Bytes::len);
                if length < data.len() || stripped.is_none() {
                    freed += (data.len() - length) as u64;
                    group.lock().replace_in_memory(index, stripped);
                }
            }
            if is_whole {
                known.insert(start, live);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::group::Found;
    use crate::log::{Kept, Liveness};

    const LEN: u64 = 100;

    /// Needs the same part of each entry.
    #[derive(Default)]
    struct Part {
        needed: AtomicU64,
        strips: AtomicU64,
    }

    impl Liveness for Part {
        fn live_bytes(&self, range: Range<u64>) -> u64 {
            (range.end - range.start) * self.needed.load(Ordering::Relaxed)
        }

        fn strip(&self, _: u64, entry: &Bytes) -> Option<Bytes> {
            self.strips.fetch_add(1, Ordering::Relaxed);
            // What is left keeps its place, which takes a few bytes.
            let needed = self.needed.load(Ordering::Relaxed) as usize;
            (needed > 0).then(|| entry.slice(..entry.len().min(needed + 40)))
        }
    }

    #[test]
    fn entries_are_stripped_when_enough_of_them_died() {
        let group = Group::new(GroupId(1), Found::default());
        group.open(Kept::Memory);
        let part = Arc::new(Part::default());
        group.set_liveness(Arc::clone(&part) as Arc<dyn Liveness>);
        let entries = (0..3 * UNIT).map(|_| Bytes::from(vec![0; LEN as usize]));
        group.lock().append(entries, Kept::Memory);
        group.lock().purge(2 * UNIT);
        let mut cleaner = MemoryCleaner::default();
        let mut clean = |needed| {
            part.needed.store(needed, Ordering::Relaxed);
            let freed = cleaner.clean(&group);
            (freed, part.strips.swap(0, Ordering::Relaxed))
        };
        assert_eq!(clean(LEN), (0, 0));
        assert_eq!(clean(90), (0, 0));
        assert_eq!(clean(20), (2 * UNIT * 40, 2 * UNIT));
        // It holds three times what is needed, and will go on to.
        assert_eq!(clean(20), (0, 0));
        assert_eq!(clean(18), (0, 0));
        assert_eq!(clean(10), (2 * UNIT * 10, 2 * UNIT));
        assert_eq!(clean(10), (0, 0));
        assert_eq!(clean(0), (2 * UNIT * 50, 2 * UNIT));
        assert_eq!(clean(0), (0, 0));
    }
}
