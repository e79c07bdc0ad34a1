//! On the path of a subject that was seen before there is no allocation a message: counted by the allocator itself.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;

use mainstem_core::config::CoreLimits;
use mainstem_core::{BufferPool, Conn, ConnIo, Cut, Encoder, Entry, Node, Outbound, Publisher, Run, Worker};

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

/// Writes bodies and nothing else.
struct Plain;

static PLAIN: Plain = Plain;

impl Encoder for Plain {
    fn run(&self, out: &mut Vec<u8>, run: &Run<'_>, _id: &[u8]) {
        for entry in run.entries {
            out.extend_from_slice(run.bytes(entry.body));
        }
    }

    fn head(&self, _out: &mut Vec<u8>, _run: &Run<'_>, _entry: &Entry, _id: &[u8]) -> usize {
        0
    }

    fn tail(&self) -> &'static [u8] {
        b""
    }
}

/// A socket that takes everything.
struct Sink;

impl ConnIo for Sink {
    fn flush(&self, out: &mut Outbound, pool: &mut BufferPool) {
        out.advance(out.pending(), pool);
    }

    fn cut(&self, reason: Cut) {
        panic!("cut: {reason:?}");
    }

    fn no_responders(&self, _subject: &[u8], _reply: &[u8]) {}
}

fn connect(worker: &Rc<Worker>) -> Rc<Conn> {
    let node = worker.node();
    let conn = Conn::new(
        node.next_conn_id(),
        node.accounts.global().id,
        &PLAIN,
        Box::new(Sink),
    );
    worker.add(&conn);
    conn
}

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

fn on_worker<T: Send + 'static>(
    node: &Node,
    index: usize,
    work: impl FnOnce(&Rc<Worker>) -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::sync_channel(1);
    node.call(index, move |worker| sender.send(work(worker)).unwrap());
    receiver.recv().unwrap()
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
