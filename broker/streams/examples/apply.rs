//! What applying costs, in CPU time of the thread that does it: `cargo run --release -p mainstem-streams --example apply`.

use std::error::Error;
use std::sync::Arc;

use mainstem_raft::Machine;
use mainstem_record::{EntryBuilder, Native, Record};
use mainstem_storage::{Batch, Entry, GroupId, Kept, Options, Storage};
use mainstem_streams::command::{Command, Conditions, Publish, StreamId};
use mainstem_streams::config::StreamConfig;
use mainstem_streams::machine::GroupMachine;
use mainstem_streams::matching::Filters;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What Raft writes behind the data of an entry: node, term, kind (1: proposed), version.
const TRAILER: [u8; 18] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
/// Publishes of an entry.
const BATCH: u64 = 400;
/// Dirty bytes at which Raft asks for a checkpoint.
const CHECKPOINT_BYTES: usize = 8 << 20;

struct Run<'a> {
    store: &'a Storage,
    group: GroupId,
    machine: Arc<GroupMachine>,
    index: u64,
    rows_bytes: usize,
    seed: u64,
}

/// Time that this thread has been on a CPU.
fn cpu_ns() -> Outcome<u64> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(schedstat.split(' ').next().unwrap_or_default().parse()?)
}

impl<'a> Run<'a> {
    fn new(store: &'a Storage, group: u32, streams: u64, config: &StreamConfig) -> Outcome<Self> {
        let group = GroupId(group);
        store.log.open_group(group, Kept::Memory)?;
        let machine = GroupMachine::open(group, Arc::clone(&store.log), Arc::clone(&store.state), || {})?;
        let mut run = Self {
            store,
            group,
            machine,
            index: 0,
            rows_bytes: 0,
            seed: 1,
        };
        run.create(streams, config)?;
        Ok(run)
    }

    fn random(&mut self) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.seed >> 33
    }

    fn create(&mut self, streams: u64, config: &StreamConfig) -> Outcome {
        let mut entry = EntryBuilder::new(0);
        for stream in 0..streams {
            let command = Command::CreateStream {
                stream: StreamId(stream),
                account: "A".into(),
                config: config.clone(),
            };
            entry.push_with(|out| command.encode(out));
        }
        self.apply(entry).map(drop)
    }

    /// Appends and applies; returns what applying took.
    fn apply(&mut self, entry: EntryBuilder) -> Outcome<u64> {
        let index = self.store.log.bounds(self.group).next;
        let data = entry.finish();
        let stored = Entry {
            index,
            data: [&data[..], &TRAILER].concat().into(),
        };
        self.store.log.append(self.group, vec![stored], Box::new(|_| {}));
        self.index = index;
        let start = cpu_ns()?;
        self.machine.apply(index, &data)?;
        if self.machine.dirty_bytes() > CHECKPOINT_BYTES {
            let mut batch = Batch::default();
            self.machine.checkpoint(&mut batch)?;
            self.rows_bytes += batch.bytes;
            self.store.state.write(batch)?;
            self.machine.written();
        }
        Ok(cpu_ns()? - start)
    }

    /// Publishes; `subject` says where to.
    fn publish(&mut self, what: &str, entries: u64, subject: impl Fn(u64) -> (StreamId, String)) -> Outcome {
        let (before, mut spent_ns) = (self.rows_bytes, 0);
        for number in 0..entries {
            let mut entry = EntryBuilder::new(number * 1_000_000);
            for _ in 0..BATCH {
                let (stream, subject) = subject(self.random());
                let native = Native {
                    subject: subject.as_bytes(),
                    payload: &[7; 128],
                    ..Native::default()
                };
                let publish = Publish {
                    conditions: Conditions::default(),
                    record: Record::Native(native),
                };
                entry.push_with(|out| publish.encode(stream, out));
            }
            spent_ns += self.apply(entry)?;
        }
        let messages = entries * BATCH;
        let ns = spent_ns / messages;
        let rows = (self.rows_bytes - before) as f64 / messages as f64;
        println!("{what}: {ns} ns a message, {rows:.1} bytes of rows a message");
        Ok(())
    }
}

fn config(max_msgs_per_subject: i64, max_msgs: i64) -> StreamConfig {
    StreamConfig {
        name: "s".into(),
        subjects: vec![">".into()],
        max_msgs_per_subject,
        max_msgs,
        max_bytes: -1,
        max_msg_size: -1,
        duplicate_window_ns: 1_000_000_000,
        ..StreamConfig::default()
    }
}

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let store = &Storage::open(folder.path(), Options::default())?;
    let mut run = Run::new(store, 1, 10_000, &config(-1, -1))?;
    run.publish("one stream, one subject", 2000, |_| (StreamId(0), "a.b.c".into()))?;
    run.publish("10,000 streams at random", 2000, |at| {
        (StreamId(1 + at % 9_999), format!("s.{}", 1 + at % 9_999))
    })?;
    run.publish("one stream, 100,000 subjects at random", 2000, |at| {
        (StreamId(0), format!("sensor.{}", at % 100_000))
    })?;
    look(&run)?;
    let mut run = Run::new(store, 2, 1, &config(1, -1))?;
    run.publish("a bucket of 100,000 keys, filled and overwritten", 2000, |at| {
        (StreamId(0), format!("$KV.b.{}", at % 100_000))
    })?;
    let mut run = Run::new(store, 3, 1, &config(1, -1))?;
    run.publish("a bucket of 5,000,000 keys, filled and overwritten", 2000, |at| {
        (StreamId(0), format!("$KV.b.{}", at % 5_000_000))
    })?;
    let mut run = Run::new(store, 4, 1, &config(-1, 100_000))?;
    run.publish("one subject at its limit", 2000, |_| {
        (StreamId(0), "a.b.c".into())
    })
}

fn look(run: &Run<'_>) -> Outcome {
    let start = cpu_ns()?;
    let (mut from, mut messages, mut positions) = (1, 0_u64, Vec::new());
    loop {
        positions.clear();
        run.machine
            .with(|view| view.next_matches(StreamId(0), &Filters::all(), from, 256, &mut positions))?;
        let Some(last) = positions.last() else { break };
        from = last.seq + 1;
        messages += positions.len() as u64;
    }
    println!("next messages: {} ns each", (cpu_ns()? - start) / messages);
    for filters in [&["sensor.5"][..], &["sensor.*"]] {
        let start = cpu_ns()?;
        let count = run
            .machine
            .with(|view| view.count_from(StreamId(0), &Filters::new(filters), 2))?;
        println!("count of {filters:?}, {count}: {} us", (cpu_ns()? - start) / 1000);
    }
    Ok(())
}
