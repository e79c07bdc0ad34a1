//! The hot core: what a match costs among 200,000 subscriptions, and a read batch that fans out.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mainstem_core::config::CoreLimits;
use mainstem_core::interest::NodeInterest;
use mainstem_core::{BufferPool, Conn, ConnIo, Cut, Encoder, Entry, Node, Outbound, Publisher, Run, Worker};

const SUBSCRIPTIONS: usize = 200_000;
/// Messages of one read batch.
const BATCH: usize = 400;

fn match_subjects(criterion: &mut Criterion) {
    let interest = NodeInterest::default();
    for index in 0..SUBSCRIPTIONS {
        interest.set_plain(format!("orders.{}.{index}", index % 1000).as_bytes(), 1, true);
    }
    interest.set_plain(b"orders.*.77", 2, true);
    interest.set_plain(b"orders.>", 3, true);
    let mut group = criterion.benchmark_group("match among 200,000");
    for (name, subject) in [
        ("literal and wildcards", "orders.77.100077"),
        ("wildcard only", "orders.x.y"),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut workers = 0;
                interest.visit(black_box(subject.as_bytes()), |found| workers |= found.plain);
                workers
            });
        });
    }
    group.bench_function("subscribe and unsubscribe", |bencher| {
        bencher.iter(|| {
            interest.set_plain(b"orders.5.new", 1, true);
            interest.set_plain(b"orders.5.new", 1, false);
        });
    });
    group.finish();
}

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

    fn cut(&self, _reason: Cut) {}

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

/// Publishes batches to `recipients` connections on one worker; the time of all.
fn fan_out(node: &Node, recipients: usize, own_ids: bool, batches: u64) -> Duration {
    let (sender, receiver) = mpsc::sync_channel(1);
    node.call(0, move |worker| {
        let publisher = connect(worker);
        let conns: Vec<_> = (0..recipients).map(|_| connect(worker)).collect();
        for (index, conn) in conns.iter().enumerate() {
            let id = if own_ids {
                index.to_string()
            } else {
                "1".to_owned()
            };
            let made = worker.subscribe(conn, b"orders.new", None, id.as_bytes());
            assert!(made.is_ok(), "{made:?}");
        }
        let buffer = [&b"orders.new"[..], &[b'x'; 128]].concat();
        let start = Instant::now();
        for _ in 0..batches {
            let mut batch = Publisher::new(worker, &publisher, &buffer, None);
            for _ in 0..BATCH {
                let published = batch.publish(&buffer[..10], b"", 0, &buffer[10..]);
                assert!(published.is_ok(), "{published:?}");
            }
            drop(batch);
            worker.finish_batch();
        }
        let elapsed = start.elapsed();
        conns
            .iter()
            .chain([&publisher])
            .for_each(|conn| worker.detach(conn));
        // The benchmark ended if nobody listens.
        let _ = sender.send(elapsed);
    });
    receiver.recv().unwrap_or_default()
}

fn deliver(criterion: &mut Criterion) {
    let node = Node::new(CoreLimits {
        workers: 1,
        ..CoreLimits::default()
    });
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let threads = node.start(|_| {}, stopping);
    assert!(threads.is_ok(), "{threads:?}");
    let mut group = criterion.benchmark_group("deliver 128 B");
    for (recipients, own_ids) in [(1, false), (100, false), (100, true), (1000, false)] {
        group.throughput(Throughput::Elements((BATCH * recipients) as u64));
        let name = format!("1:{recipients}{}", if own_ids { ", own ids" } else { "" });
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|batches| fan_out(&node, recipients, own_ids, batches));
        });
    }
    group.finish();
}

criterion_group!(benches, match_subjects, deliver);
criterion_main!(benches);
