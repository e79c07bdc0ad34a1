//! When something is due: one time a consumer or stream, soonest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

/// Keys and when each is due. Setting a key again replaces its time.
#[derive(Debug)]
pub(super) struct Timers<K> {
    heap: BinaryHeap<Reverse<(u64, K)>>,
    /// The time of each key that counts; other times in the heap mean nothing.
    due: HashMap<K, u64, foldhash::fast::FixedState>,
}

impl<K> Default for Timers<K>
where
    K: Ord + Hash + Copy,
{
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            due: HashMap::default(),
        }
    }
}

impl<K: Ord + Hash + Copy> Timers<K> {
    /// Sets when `key` is due; `None`: not at all.
    pub(super) fn set(&mut self, key: K, at_ns: Option<u64>) {
        let Some(at_ns) = at_ns else {
            self.due.remove(&key);
            return;
        };
        if self.due.insert(key, at_ns) != Some(at_ns) {
            self.heap.push(Reverse((at_ns, key)));
            if self.heap.len() > 2 * self.due.len() + 1024 {
                self.heap = self.due.iter().map(|(&key, &at)| Reverse((at, key))).collect();
            }
        }
    }

    /// Makes `key` due at `at_ns`, unless it is due before that.
    pub(super) fn no_later(&mut self, key: K, at_ns: u64) {
        if self.due.get(&key).is_none_or(|&due| due > at_ns) {
            self.set(key, Some(at_ns));
        }
    }

    /// The next key that is due at `now_ns`; it is not set any more.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<K> {
        while let Some(&Reverse((at_ns, key))) = self.heap.peek() {
            let counts = self.due.get(&key) == Some(&at_ns);
            if counts && at_ns > now_ns {
                return None;
            }
            self.heap.pop();
            if counts {
                self.due.remove(&key);
                return Some(key);
            }
        }
        None
    }

    /// When the next key is due.
    pub(super) fn next(&mut self) -> Option<u64> {
        while let Some(&Reverse((at_ns, key))) = self.heap.peek() {
            if self.due.get(&key) == Some(&at_ns) {
                return Some(at_ns);
            }
            self.heap.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_that_was_set_counts() {
        let mut timers = Timers::default();
        timers.set('a', Some(10));
        timers.set('b', Some(20));
        timers.set('a', Some(30));
        assert_eq!(timers.next(), Some(20));
        assert_eq!(timers.pop(15), None);
        assert_eq!(timers.pop(40), Some('b'));
        assert_eq!(timers.pop(40), Some('a'));
        assert_eq!(timers.pop(40), None);
    }

    #[test]
    fn an_earlier_time_is_kept() {
        let mut timers = Timers::default();
        timers.no_later('a', 10);
        timers.no_later('a', 20);
        assert_eq!(timers.pop(10), Some('a'));
        timers.set('a', Some(5));
        timers.set('a', None);
        assert_eq!(timers.next(), None);
    }
}
