//! What tests of the core need: connections without sockets, and code on a worker's thread.
#![allow(dead_code, clippy::unwrap_used)]

use std::rc::Rc;
use std::sync::mpsc;

use mainstem_core::{BufferPool, Conn, ConnIo, Cut, Encoder, Entry, Node, Outbound, Run, Worker};

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
pub struct Sink;

impl ConnIo for Sink {
    fn flush(&self, out: &mut Outbound, pool: &mut BufferPool) {
        out.advance(out.pending(), pool);
    }

    fn cut(&self, reason: Cut) {
        panic!("cut: {reason:?}");
    }

    fn no_responders(&self, _subject: &[u8], _reply: &[u8]) {}
}

/// A connection of the global account whose socket takes everything.
pub fn connect(worker: &Rc<Worker>) -> Rc<Conn> {
    connect_to(worker, Box::new(Sink))
}

/// A connection of the global account with this socket.
pub fn connect_to(worker: &Rc<Worker>, io: Box<dyn ConnIo>) -> Rc<Conn> {
    let node = worker.node();
    let conn = Conn::new(node.next_conn_id(), node.accounts.global().id, &PLAIN, io);
    worker.add(&conn);
    conn
}

/// Runs `work` on a worker's thread and waits for what it returns.
pub fn on_worker<T: Send + 'static>(
    node: &Node,
    index: usize,
    work: impl FnOnce(&Rc<Worker>) -> T + Send + 'static,
) -> T {
    let (sender, receiver) = mpsc::sync_channel(1);
    node.call(index, move |worker| sender.send(work(worker)).unwrap());
    receiver.recv().unwrap()
}
