//! What the hand-over between workers is made of; loom puts its own in the place to try all schedules.

#[cfg(not(loom))]
pub(crate) use {
    atomic_waker::AtomicWaker,
    crossbeam::queue::SegQueue as Queue,
    std::sync::atomic::{AtomicUsize, Ordering},
};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};

/// loom's takes the waker by value.
#[cfg(loom)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

#[cfg(loom)]
impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}

/// Stands for the lock-free queue, which is crossbeam's and tested there; the model is about our protocol around it.
#[cfg(loom)]
pub(crate) struct Queue<T>(loom::sync::Mutex<std::collections::VecDeque<T>>);

#[cfg(loom)]
impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(std::collections::VecDeque::new()))
    }

    pub(crate) fn push(&self, item: T) {
        self.0.lock().expect("queue").push_back(item);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().expect("queue").pop_front()
    }
}
