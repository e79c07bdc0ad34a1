//! On the path of a subject that was seen before there is no allocation a message: counted by the allocator itself.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;

use common::{connect, on_worker};
use mainstem_core::config::CoreLimits;
use mainstem_core::{Conn, Node, Publisher, Worker};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; the counter is a plain thread-local cell
// that neither allocates nor has a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` or `realloc` above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the pointer came from `alloc` or `realloc` above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Publishes `messages` messages of several subjects as one read batch.
fn publish(worker: &Worker, conn: &Rc<Conn>, messages: usize) {
    const BUFFER: &[u8] = b"orders.eu.newpayload";
    let mut publisher = Publisher::new(worker, conn, BUFFER, None);
    for index in 0..messages {
        // Two subjects in turn: each message is a run of its own.
        let subject = if index % 2 == 0 {
            &BUFFER[..13]
        } else {
            &BUFFER[..9]
        };
        publisher.publish(subject, b"", 0, &BUFFER[13..]).unwrap();
    }
    drop(publisher);
    worker.finish_batch();
}

fn count(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn none_on_one_worker_and_a_few_a_batch_between_workers() {
    let node = Node::new(CoreLimits {
        workers: 2,
        ..CoreLimits::default()
    });
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let threads = node.start(|_| {}, stopping).unwrap();

    let local = on_worker(&node, 0, |worker| {
        let (publisher, plain, member) = (connect(worker), connect(worker), connect(worker));
        worker.subscribe(&plain, b"orders.>", None, b"1").unwrap();
        worker
            .subscribe(&member, b"orders.*", Some(b"group"), b"1")
            .unwrap();
        // Buffers reach their size, and every recipient gets to use the largest.
        (0..4).for_each(|_| publish(worker, &publisher, 1000));
        let counted = count(|| publish(worker, &publisher, 1000));
        assert_eq!(plain.traffic().out_msgs, 5000);
        assert_eq!(member.traffic().out_msgs, 2500);
        worker.unsubscribe_all(&plain);
        worker.unsubscribe_all(&member);
        counted
    });
    assert_eq!(local, 0, "allocations of 1,000 messages on one worker");

    on_worker(&node, 1, |worker| {
        let conn = connect(worker);
        worker.subscribe(&conn, b"orders.>", None, b"1").unwrap();
    });
    let (small, large) = on_worker(&node, 0, |worker| {
        let publisher = connect(worker);
        publish(worker, &publisher, 10);
        (
            count(|| publish(worker, &publisher, 10)),
            count(|| publish(worker, &publisher, 1000)),
        )
    });
    assert!(small <= 16, "{small} allocations of a batch of 10 messages");
    // Three lists double a few times; nothing grows with the messages.
    assert!(
        large <= small + 24,
        "{large} allocations of a batch of 1,000 messages, {small} of one of 10"
    );

    stop.send_replace(true);
    for thread in threads {
        thread.join().unwrap();
    }
}
