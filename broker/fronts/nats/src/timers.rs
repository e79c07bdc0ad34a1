//! When to look at a connection again: one heap and one task a worker, whatever the number of connections.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use tokio::sync::Notify;

/// Times and the connections to look at then. A connection may stand in it more than once: looking is harmless.
#[derive(Default)]
pub struct Timers {
    heap: RefCell<BinaryHeap<Reverse<(Instant, u64)>>>,
    earlier: Notify,
}

impl Timers {
    /// Look at connection `conn` at `at`.
    pub fn schedule(&self, at: Instant, conn: u64) {
        let mut heap = self.heap.borrow_mut();
        let is_first = heap.peek().is_none_or(|Reverse((first, _))| at < *first);
        heap.push(Reverse((at, conn)));
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// The next connection whose time has come; waits for it.
    pub async fn next(&self) -> u64 {
        loop {
            let first = self.heap.borrow().peek().map(|Reverse((at, _))| *at);
            match first {
                Some(at) if at <= Instant::now() => {
                    if let Some(Reverse((_, conn))) = self.heap.borrow_mut().pop() {
                        return conn;
                    }
                }
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => {}
                        () = self.earlier.notified() => {}
                    }
                }
                None => self.earlier.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earliest_comes_first() {
        let timers = Timers::default();
        let now = Instant::now();
        timers.schedule(now + Duration::from_millis(2), 2);
        timers.schedule(now, 1);
        assert_eq!(timers.next().await, 1);
        assert_eq!(timers.heap.borrow().len(), 1);
    }
}
