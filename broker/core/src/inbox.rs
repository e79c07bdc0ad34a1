//! The hand-over between workers: a lock-free queue with a byte count and one wake-up.
//!
//! Any thread sends; one worker receives. The protocol (send then wake; register then look again) is modelled
//! under loom: `make loom`.

use std::task::{Context, Poll};

use crate::sync::{AtomicUsize, AtomicWaker, Ordering, Queue};

/// One worker's inbox.
pub struct Inbox<T> {
    queue: Queue<(T, usize)>,
    /// Bytes sent and not yet received.
    bytes: AtomicUsize,
    /// Items ever sent and ever received.
    sent: AtomicUsize,
    received: AtomicUsize,
    waker: AtomicWaker,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self {
            queue: Queue::new(),
            bytes: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
        }
    }
}

impl<T> Inbox<T> {
    /// Hands `item` over and wakes the receiver. Returns the bytes that now wait: above its bound a sender stops
    /// reading its sockets (it never waits here).
    pub fn send(&self, item: T, bytes: usize) -> usize {
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.queue.push((item, bytes));
        self.waker.wake();
        waiting
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many items were sent so far; see [`Inbox::has_reached`].
    pub fn mark(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// All items that `mark` counted were received.
    pub fn has_reached(&self, mark: usize) -> bool {
        self.received.load(Ordering::Relaxed).wrapping_sub(mark) as isize >= 0
    }

    /// The next item, if there is one.
    pub fn try_recv(&self) -> Option<T> {
        let (item, bytes) = self.queue.pop()?;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.received.fetch_add(1, Ordering::Relaxed);
        Some(item)
    }

    /// The next item, or a wake-up when there will be one.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(item) = self.try_recv() {
            return Poll::Ready(item);
        }
        self.waker.register(cx.waker());
        // An item sent between the look and the registration woke nobody.
        match self.try_recv() {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        }
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn everything_sent_is_received_once_and_in_order_a_sender() {
        const SENDERS: usize = 4;
        const EACH: usize = 10_000;
        let inbox = Arc::new(Inbox::default());
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let inbox = Arc::clone(&inbox);
                std::thread::spawn(move || {
                    for number in 0..EACH {
                        inbox.send((sender, number), 1);
                    }
                })
            })
            .collect();
        let mut next = [0; SENDERS];
        for _ in 0..SENDERS * EACH {
            let (sender, number): (usize, usize) = std::future::poll_fn(|cx| inbox.poll_recv(cx)).await;
            assert_eq!(number, next[sender]);
            next[sender] += 1;
        }
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(inbox.waiting_bytes(), 0);
    }
}

#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;

    use super::*;

    /// Involuntary switches of one schedule: what goes wrong goes wrong within a few (CHESS, Musuvathi and Qadeer).
    const PREEMPTIONS: usize = 3;

    /// No schedule of two senders and a receiver loses an item or a wake-up.
    #[test]
    fn nothing_is_lost() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(PREEMPTIONS);
        model.check(|| {
            let inbox = Arc::new(Inbox::default());
            let senders: Vec<_> = (0..2)
                .map(|item| {
                    let inbox = Arc::clone(&inbox);
                    loom::thread::spawn(move || inbox.send(item, 1))
                })
                .collect();
            let mut sum = 0;
            for _ in 0..2 {
                sum += loom::future::block_on(std::future::poll_fn(|cx| inbox.poll_recv(cx))) + 1;
            }
            for sender in senders {
                sender.join().expect("sender");
            }
            assert_eq!(sum, 3);
            assert_eq!(inbox.waiting_bytes(), 0);
        });
    }
}
