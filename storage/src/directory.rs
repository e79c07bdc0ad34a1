//! Where the entries of a group are: runs of indexes, each in one segment. RAM grows with segments, not with entries.

use std::collections::BTreeMap;
use std::ops::Range;

/// Set in the number of a segment whose entries were copied there by cleaning.
pub const COLD: u64 = 1 << 63;

/// Consecutive indexes of one group in one segment. In a cold segment some of them may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub first: u64,
    pub last: u64,
    pub segment: u64,
    /// What it takes in the segment, about.
    pub bytes: u64,
}

impl Run {
    pub fn is_cold(&self) -> bool {
        self.segment & COLD != 0
    }

    pub fn range(&self) -> Range<u64> {
        self.first..self.last + 1
    }
}

/// The runs of a group, in order and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(BTreeMap<u64, Run>);

impl Runs {
    /// The run that an index is in.
    pub fn find(&self, index: u64) -> Option<Run> {
        let (_, run) = self.0.range(..=index).next_back()?;
        (index <= run.last).then_some(*run)
    }

    /// The index after the last one.
    pub fn next(&self) -> Option<u64> {
        self.0.last_key_value().map(|(_, run)| run.last + 1)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.0.values()
    }

    /// Adds what was appended: behind all others, in the segment that is written to.
    pub fn append(&mut self, run: Run) {
        if let Some(mut last) = self.0.last_entry()
            && last.get().segment == run.segment
            && last.get().last + 1 == run.first
        {
            let last = last.get_mut();
            last.last = run.last;
            last.bytes += run.bytes;
            return;
        }
        self.insert(run);
    }

    /// Adds a run; the newer one wins where two overlap.
    pub fn insert(&mut self, run: Run) {
        self.cut(run.range());
        self.0.insert(run.first, run);
    }

    /// Removes a range of indexes.
    pub fn cut(&mut self, range: Range<u64>) {
        let before = self.0.range(..range.start).next_back().map(|(_, run)| *run);
        let inside = self.0.range(range.clone()).map(|(_, run)| *run);
        for run in before.into_iter().chain(inside).collect::<Vec<_>>() {
            if run.last < range.start {
                continue;
            }
            self.0.remove(&run.first);
            let below = run.first..range.start.max(run.first);
            let above = range.end.min(run.last + 1)..run.last + 1;
            for part in [below, above] {
                if let Some(part) = share(&run, part) {
                    self.0.insert(part.first, part);
                }
            }
        }
    }

    /// The indexes of a range that are in no run.
    pub fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut next = range.start;
        for run in self.0.values() {
            if next >= range.end || run.first >= range.end {
                break;
            }
            if run.first > next {
                gaps.push(next..run.first);
            }
            next = next.max(run.last + 1);
        }
        if next < range.end {
            gaps.push(next..range.end);
        }
        gaps
    }

    /// The runs in a segment.
    pub fn of_segment(&self, segment: u64) -> Vec<Run> {
        self.0
            .values()
            .filter(|run| run.segment == segment)
            .copied()
            .collect()
    }

    /// Makes one run of those that follow each other in a cold segment, with nothing but purged indexes, which are absent,
    /// between them. So there are not more runs than segments, however often their entries move.
    pub fn merge(&mut self, segment: u64, purged: u64) {
        let mut merged: Vec<Run> = Vec::new();
        for run in self.0.values() {
            match merged.last_mut() {
                Some(last) if last.segment == segment && run.segment == segment && run.first <= purged => {
                    last.last = run.last;
                    last.bytes += run.bytes;
                }
                _ => merged.push(*run),
            }
        }
        self.0 = merged.into_iter().map(|run| (run.first, run)).collect();
    }

    pub fn remove(&mut self, first: u64) {
        self.0.remove(&first);
    }
}

/// A part of a run, with the part of its bytes.
fn share(run: &Run, part: Range<u64>) -> Option<Run> {
    if part.is_empty() {
        return None;
    }
    let whole = u128::from(run.last - run.first + 1);
    let bytes = u128::from(run.bytes) * u128::from(part.end - part.start) / whole;
    Some(Run {
        first: part.start,
        last: part.end - 1,
        segment: run.segment,
        bytes: u64::try_from(bytes).unwrap_or(run.bytes),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(first: u64, last: u64, segment: u64) -> Run {
        Run {
            first,
            last,
            segment,
            bytes: last - first + 1,
        }
    }

    #[test]
    fn appends_to_a_segment_are_one_run() {
        let mut runs = Runs::default();
        runs.append(run(1, 4, 7));
        runs.append(run(5, 9, 7));
        runs.append(run(10, 10, 8));
        assert_eq!(
            runs.iter().copied().collect::<Vec<_>>(),
            [run(1, 9, 7), run(10, 10, 8)]
        );
        assert_eq!(runs.find(9), Some(run(1, 9, 7)));
        assert_eq!(runs.find(11), None);
        assert_eq!(runs.next(), Some(11));
    }

    #[test]
    fn what_follows_each_other_in_a_cold_segment_is_merged() {
        let mut runs = Runs::default();
        let all = [
            run(0, 4, COLD),
            run(6, 9, COLD),
            run(12, 13, 3),
            run(15, 15, COLD),
            run(17, 18, COLD),
            run(20, 22, COLD),
        ];
        all.into_iter().for_each(|run| runs.insert(run));
        runs.merge(COLD, 17);
        let merged = Run {
            bytes: 9,
            ..run(0, 9, COLD)
        };
        let later = Run {
            bytes: 3,
            ..run(15, 18, COLD)
        };
        let left = runs.iter().copied().collect::<Vec<_>>();
        assert_eq!(left, [merged, run(12, 13, 3), later, run(20, 22, COLD)]);
    }

    proptest! {
        /// Against a map from index to segment.
        #[test]
        fn the_newest_run_wins(ops in prop::collection::vec((0u64..60, 1u64..20, any::<bool>()), 0..30)) {
            let mut runs = Runs::default();
            let mut model = BTreeMap::new();
            for (segment, (first, count, cut)) in ops.into_iter().enumerate() {
                let range = first..first + count;
                if cut {
                    runs.cut(range.clone());
                    model.retain(|index, _| !range.contains(index));
                } else {
                    runs.insert(run(first, first + count - 1, segment as u64));
                    model.extend(range.map(|index| (index, segment as u64)));
                }
            }
            for index in 0..90 {
                prop_assert_eq!(runs.find(index).map(|run| run.segment), model.get(&index).copied());
            }
            let missing: Vec<u64> = runs.gaps(0..90).into_iter().flatten().collect();
            let expected: Vec<u64> = (0..90).filter(|index| !model.contains_key(index)).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
