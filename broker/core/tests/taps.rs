//! What takes messages besides subscriptions, and what the broker itself publishes.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::{connect, connect_to, on_worker};
use mainstem_core::config::CoreLimits;
use mainstem_core::{
    BufferPool, Conn, ConnIo, Cut, Gate, Injection, Node, Outbound, Publisher, Run, Source, Tap, Worker,
};

/// Keeps what it takes.
#[derive(Default)]
struct Keeper {
    taken: Mutex<Vec<(u64, String)>>,
    full: AtomicBool,
}

impl Tap for Keeper {
    fn take(&self, source: Source, run: &Run<'_>) {
        let mut taken = self.taken.lock().unwrap();
        for entry in run.entries {
            let text = [run.subject, run.reply(entry), run.body(entry)].map(String::from_utf8_lossy);
            taken.push((source.conn, text.join(" ")));
        }
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

impl Keeper {
    fn texts(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|(_, text)| text.clone()).collect()
    }
}

/// What a socket was given, and who was told that nobody was there.
#[derive(Clone, Default)]
struct Seen {
    bytes: Arc<Mutex<Vec<u8>>>,
    no_responders: Rc<Cell<usize>>,
}

impl ConnIo for Seen {
    fn flush(&self, out: &mut Outbound, pool: &mut BufferPool) {
        while out.pending() > 0 {
            let front = out.front().to_vec();
            self.bytes.lock().unwrap().extend_from_slice(&front);
            out.advance(front.len(), pool);
        }
    }

    fn cut(&self, reason: Cut) {
        panic!("cut: {reason:?}");
    }

    fn no_responders(&self, _subject: &[u8], _reply: &[u8]) {
        self.no_responders.set(self.no_responders.get() + 1);
    }
}

struct Running {
    node: Arc<Node>,
    stop: tokio::sync::watch::Sender<bool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

fn start(workers: usize) -> Running {
    let node = Node::new(CoreLimits {
        workers,
        max_pending_bytes: 64 << 10,
        ..CoreLimits::default()
    });
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let threads = node.start(|_| {}, stopping).unwrap();
    Running { node, stop, threads }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// Publishes with a reply subject.
fn request(worker: &Worker, conn: &Rc<Conn>, subject: &str) {
    let buffer = format!("{subject}replybody");
    let (name, rest) = buffer.as_bytes().split_at(subject.len());
    let mut publisher = Publisher::new(worker, conn, buffer.as_bytes(), None);
    publisher.publish(name, &rest[..5], 0, &rest[5..]).unwrap();
    drop(publisher);
    worker.finish_batch();
}

#[test]
fn a_tap_takes_each_message_once_and_counts_as_a_responder() {
    let running = start(1);
    let node = Arc::clone(&running.node);
    on_worker(&running.node, 0, move |worker| {
        let account = node.accounts.global();
        let seen = Seen::default();
        let conn = connect_to(worker, Box::new(seen.clone()));
        request(worker, &conn, "orders.new");
        assert_eq!(seen.no_responders.get(), 1);

        let keeper = Arc::new(Keeper::default());
        let ids: Vec<_> = ["orders.*", "orders.>", ">"]
            .iter()
            .map(|filter| account.add_tap(filter.as_bytes(), Arc::clone(&keeper) as Arc<dyn Tap>))
            .collect();
        request(worker, &conn, "orders.new");
        assert_eq!(keeper.texts(), ["orders.new reply body"]);
        assert_eq!(keeper.taken.lock().unwrap()[0].0, conn.id());
        assert_eq!(seen.no_responders.get(), 1);
        assert!(!account.has_interest(b"orders.new"), "a tap is not a subscriber");

        for id in ids {
            account.remove_tap(&id.unwrap());
        }
        request(worker, &conn, "orders.new");
        assert_eq!(keeper.texts().len(), 1);
        assert_eq!(seen.no_responders.get(), 2);
        assert!(account.add_tap(b"a..b", keeper).is_none());
    });
}

#[test]
fn a_full_tap_holds_its_publisher_back() {
    let running = start(1);
    let node = Arc::clone(&running.node);
    on_worker(&running.node, 0, move |worker| {
        let keeper = Arc::new(Keeper::default());
        let tap = Arc::clone(&keeper) as Arc<dyn Tap>;
        node.accounts.global().add_tap(b"a", tap).unwrap();
        let conn = connect(worker);
        request(worker, &conn, "a");
        assert!(!worker.is_stalled(&conn));
        keeper.full.store(true, Ordering::Relaxed);
        request(worker, &conn, "b");
        assert!(!worker.is_stalled(&conn), "it publishes elsewhere");
        request(worker, &conn, "a");
        assert!(worker.is_stalled(&conn));
        keeper.full.store(false, Ordering::Relaxed);
        assert!(!worker.is_stalled(&conn));
        assert_eq!(keeper.texts().len(), 2, "what came was taken");
    });
}

#[test]
fn injected_messages_reach_subscriptions_of_all_workers_in_order() {
    let running = start(2);
    for worker in 0..2 {
        on_worker(&running.node, worker, |worker| {
            worker
                .subscribe(&connect(worker), b"inbox.*", None, b"1")
                .unwrap();
            for group in [b"g", b"h"] {
                worker
                    .subscribe(&connect(worker), b"work", Some(group), b"2")
                    .unwrap();
            }
        });
    }
    let account = running.node.accounts.global();
    assert!(account.has_interest(b"inbox.7") && account.has_interest(b"work"));
    assert!(!account.has_interest(b"inbox"));

    let keeper = Arc::new(Keeper::default());
    let tap = Arc::clone(&keeper) as Arc<dyn Tap>;
    account.add_tap(b">", tap).unwrap();
    let mut injection = Injection::new(&account);
    assert!(injection.is_empty());
    for number in 0..100 {
        let reply = format!("ack.{number}");
        injection.push(b"inbox.1", b"orders.new", reply.as_bytes(), b"", b"x");
        injection.push(b"work", b"work", b"", b"", b"yy");
    }
    injection.push(b"nowhere", b"nowhere", b"", b"", b"");
    let injected = running.node.inject(injection);
    assert_eq!((injected.reached, injected.full), (200, false));
    assert!(keeper.texts().is_empty(), "not captured");

    let mut plain = Vec::new();
    let mut members = 0;
    for worker in 0..2 {
        let (messages, bytes) = on_worker(&running.node, worker, |worker| {
            let all = worker.conns().into_iter().map(|conn| conn.traffic());
            let (plain, members): (Vec<_>, Vec<_>) = all.partition(|traffic| traffic.out_bytes == 100);
            (
                plain.len(),
                members.iter().map(|traffic| traffic.out_msgs).sum::<u64>(),
            )
        });
        plain.push(messages);
        members += bytes;
    }
    assert_eq!(members, 200, "each group once");
    assert_eq!(plain, [1, 1]);

    let mut injection = Injection::new(&account).captured();
    injection.push(b"api.x", b"api.x", b"r", b"h", b"b");
    assert_eq!(running.node.inject(injection).reached, 1);
    assert_eq!(keeper.texts(), ["api.x r hb"]);
    assert_eq!(keeper.taken.lock().unwrap()[0].0, 0);
}

#[test]
fn bodies_that_stay_where_they_are_come_between_the_others() {
    let running = start(1);
    let node = Arc::clone(&running.node);
    let bytes = on_worker(&running.node, 0, move |worker| {
        let seen = Seen::default();
        let conn = connect_to(worker, Box::new(seen.clone()));
        worker.subscribe(&conn, b"a", None, b"1").unwrap();
        let account = node.accounts.global();
        let mut injection = Injection::new(&account);
        let large = Bytes::from(vec![b'z'; 20_000]);
        injection.push(b"a", b"s", b"", b"h1", b"first");
        injection.push_shared(b"a", b"s", b"reply", 2, &large);
        injection.push(b"a", b"s", b"", b"", b"last");
        assert!(injection.size_bytes() > 20_000);
        node.inject(injection);
        seen.bytes
    });
    on_worker(&running.node, 0, |worker| worker.finish_batch());
    let bytes = std::mem::take(&mut *bytes.lock().unwrap());
    let expected = [&b"h1first"[..], &vec![b'z'; 20_000], b"last"].concat();
    assert!(bytes == expected);
}

/// A socket that takes nothing.
struct Stuck;

impl ConnIo for Stuck {
    fn flush(&self, _out: &mut Outbound, _pool: &mut BufferPool) {}
    fn cut(&self, _reason: Cut) {}
    fn no_responders(&self, _subject: &[u8], _reply: &[u8]) {}
}

#[test]
fn a_recipient_that_is_behind_closes_the_gate() {
    let running = start(1);
    on_worker(&running.node, 0, |worker| {
        let conn = connect_to(worker, Box::new(Stuck));
        worker.subscribe(&conn, b"a", None, b"1").unwrap();
    });
    let account = running.node.accounts.global();
    let gate = Gate::new();
    for (bytes, open) in [(20 << 10, true), (20 << 10, true), (30 << 10, false)] {
        let mut injection = Injection::new(&account).gated(&gate);
        injection.push(b"a", b"a", b"", b"", &vec![0; bytes]);
        running.node.inject(injection);
        on_worker(&running.node, 0, |_| ());
        assert_eq!(gate.is_open(), open);
    }
}
