//! What happens at the bounds of the core.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{connect, connect_to, on_worker};
use mainstem_core::config::CoreLimits;
use mainstem_core::{BufferPool, ConnIo, Cut, Node, Outbound, SubscribeError};

/// Runs `work` on the only worker of a new node.
fn alone(limits: CoreLimits, work: impl FnOnce(&Rc<mainstem_core::Worker>) + Send + 'static) {
    let node = Node::new(CoreLimits { workers: 1, ..limits });
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let threads = node.start(|_| {}, stopping).unwrap();
    on_worker(&node, 0, work);
    stop.send_replace(true);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn filters_have_a_depth() {
    alone(CoreLimits::default(), |worker| {
        let conn = connect(worker);
        let deep = |tokens: usize| vec!["a"; tokens].join(".");
        assert_eq!(worker.subscribe(&conn, deep(2048).as_bytes(), None, b"1"), Ok(()));
        assert_eq!(
            worker.subscribe(&conn, deep(2049).as_bytes(), None, b"2"),
            Err(SubscribeError::BadSubject)
        );
    });
}

#[test]
fn a_filter_has_so_many_queue_groups() {
    alone(CoreLimits::default(), |worker| {
        let conn = connect(worker);
        let group = |index: usize| format!("group{index}");
        for index in 0..1024 {
            let name = group(index);
            assert_eq!(
                worker.subscribe(&conn, b"a", Some(name.as_bytes()), name.as_bytes()),
                Ok(())
            );
        }
        let refused = worker.subscribe(&conn, b"a", Some(b"one more"), b"x");
        assert_eq!(refused, Err(SubscribeError::GroupLimit));
        assert_eq!(worker.subscribe(&conn, b"a", Some(b"group7"), b"member"), Ok(()));
        assert_eq!(worker.subscribe(&conn, b"b", Some(b"one more"), b"y"), Ok(()));
    });
}

/// A socket that takes nothing.
struct Stuck(Rc<Cell<Option<Cut>>>);

impl ConnIo for Stuck {
    fn flush(&self, _out: &mut Outbound, _pool: &mut BufferPool) {}

    fn cut(&self, reason: Cut) {
        self.0.set(Some(reason));
    }

    fn no_responders(&self, _subject: &[u8], _reply: &[u8]) {}
}

#[test]
fn answers_count_as_messages_do() {
    alone(
        CoreLimits {
            max_pending_bytes: 64 << 10,
            ..CoreLimits::default()
        },
        |worker| {
            let cut = Rc::new(Cell::new(None));
            let conn = connect_to(worker, Box::new(Stuck(Rc::clone(&cut))));
            for _ in 0..(64 << 10) / 8 {
                worker.enqueue(&conn, |out| out.extend_from_slice(b"-ERR x\r\n"));
            }
            assert_eq!(cut.get(), None);
            worker.enqueue(&conn, |out| out.push(b'x'));
            assert_eq!(
                cut.get(),
                Some(Cut::PendingBytes {
                    pending_bytes: (64 << 10) + 1
                })
            );
            assert!(conn.is_closed());
        },
    );
}
