//! The way into a task from any thread: a lock-free queue that counts its bytes, with one wake-up.

use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering, fence};
use std::task::{Context, Poll};

use crossbeam::queue::SegQueue;
use futures_util::task::AtomicWaker;

/// A queue with many senders and one receiver. Whoever sends looks at [`waiting_bytes`](Queue::waiting_bytes) first:
/// what happens at the bound is the sender's business.
pub(crate) struct Queue<T> {
    items: SegQueue<(T, usize)>,
    /// Below 0 for a moment, when an item is received before its sender has counted it.
    bytes: AtomicIsize,
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            items: SegQueue::new(),
            bytes: AtomicIsize::new(0),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Hands an item over. Wakes the receiver if nothing waited before, or if `steps`, numbers of waiting bytes, are
    /// reached: a receiver that leaves something in the queue has to be woken by something else.
    pub(crate) fn push(&self, item: T, bytes: usize, steps: &[usize]) {
        self.items.push((item, bytes));
        // Either the receiver's last look, which comes after its count, finds the item, or this count finds that
        // nothing waited.
        fence(Ordering::SeqCst);
        let before = self.bytes.fetch_add(bytes as isize, Ordering::SeqCst);
        let after = before + bytes as isize;
        let reached = |step: &usize| before < *step as isize && after >= *step as isize;
        if before <= 0 || steps.iter().any(reached) {
            self.waker.wake();
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed).max(0) as usize
    }

    pub(crate) fn pop(&self) -> Option<T> {
        let (item, bytes) = self.items.pop()?;
        self.bytes.fetch_sub(bytes as isize, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Some(item)
    }

    /// Wakes the receiver without an item.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// The receiver ends when it has received everything.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Has the task of `cx` woken by whatever comes from now on. What came before wakes nobody: look after this.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// The next item; `None`: closed and empty.
    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(item) = self.pop() {
            return Poll::Ready(Some(item));
        }
        self.register(cx);
        match self.pop() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.is_closed() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
