//! How long a group stands still while it removes many messages at once, each on a subject of its own:
//! `cargo run --release -p mainstem-streams --example purge [messages]`.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstem_raft::Machine;
use mainstem_record::{EntryBuilder, Native, Record};
use mainstem_storage::{Batch, Entry, GroupId, Kept, Options, Storage};
use mainstem_streams::command::{Command, Conditions, Outcome, Publish, StreamId};
use mainstem_streams::config::StreamConfig;
use mainstem_streams::machine::GroupMachine;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What Raft writes behind the data of an entry: node, term, kind (1: proposed), version.
const TRAILER: [u8; 18] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
const STREAM: StreamId = StreamId(1);
/// Publishes of an entry.
const BATCH: u64 = 300;
/// Dirty bytes at which Raft asks for a checkpoint.
const CHECKPOINT_BYTES: usize = 4 << 20;

struct Group<'a> {
    store: &'a Storage,
    id: GroupId,
    machine: Arc<GroupMachine>,
}

impl Group<'_> {
    /// Appends and applies; returns how long applying and, where it is due, the checkpoint took.
    fn apply(&self, entry: EntryBuilder) -> Result<(Outcome, Duration)> {
        let index = self.store.log.bounds(self.id).next;
        let data = entry.finish();
        let stored = Entry {
            index,
            data: [&data[..], &TRAILER].concat().into(),
        };
        self.store.log.append(self.id, vec![stored], Box::new(|_| {}));
        let begun = Instant::now();
        let outcomes = self.machine.apply(index, &data)?;
        if self.machine.dirty_bytes() > CHECKPOINT_BYTES {
            let mut batch = Batch::default();
            self.machine.checkpoint(&mut batch)?;
            self.store.state.write(batch)?;
            self.machine.written();
        }
        let took = begun.elapsed();
        let outcomes = outcomes.downcast::<Vec<Outcome>>().map_err(|_| "no outcomes")?;
        Ok((outcomes.last().cloned().ok_or("no outcome")?, took))
    }

    fn command(&self, command: &Command) -> Result<(Outcome, Duration)> {
        let mut entry = EntryBuilder::new(1 << 50);
        entry.push_with(|out| command.encode(out));
        self.apply(entry)
    }

    /// Every second message has another length than the one before, so that there are about as many runs.
    fn fill(&self, messages: u64) -> Result {
        for first in (0..messages).step_by(BATCH as usize) {
            let mut entry = EntryBuilder::new(first);
            for number in first..messages.min(first + BATCH) {
                let subject = format!("a.{number}");
                let native = Native {
                    subject: subject.as_bytes(),
                    payload: &[7; 130][..100 + (number % 2) as usize],
                    ..Native::default()
                };
                let publish = Publish {
                    conditions: Conditions::default(),
                    record: Record::Native(native),
                };
                entry.push_with(|out| publish.encode(STREAM, out));
            }
            self.apply(entry)?;
        }
        Ok(())
    }

    /// Repeats a command until it removes nothing any more.
    fn remove(&self, what: &str, command: &Command) -> Result {
        let (mut removed, mut longest, mut times, begun) = (0, Duration::ZERO, 0, Instant::now());
        loop {
            let (outcome, took) = self.command(command)?;
            longest = longest.max(took);
            times += 1;
            match outcome {
                Outcome::Done { removed: more } | Outcome::Partly { removed: more } if more > 0 => {
                    removed += more
                }
                _ => break,
            }
        }
        println!(
            "{what}: {removed} messages in {:.3} s, {times} commands, the longest {:.1} ms",
            begun.elapsed().as_secs_f64(),
            longest.as_secs_f64() * 1e3
        );
        Ok(())
    }
}

fn purge(filter: &str, below_seq: u64, keep: u64) -> Command {
    Command::Purge {
        stream: STREAM,
        filter: filter.into(),
        below_seq,
        keep,
    }
}

fn config(max_msgs: i64) -> StreamConfig {
    StreamConfig {
        name: "s".into(),
        subjects: vec![">".into()],
        max_msgs,
        max_bytes: -1,
        max_msgs_per_subject: -1,
        max_msg_size: -1,
        ..StreamConfig::default()
    }
}

fn main() -> Result {
    let messages: u64 = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let store = &Storage::open(folder.path(), Options::default())?;
    let commands = [
        ("purge", purge("", 0, 0)),
        ("delete", Command::DeleteStream { stream: STREAM }),
        ("purge of a sequence", purge("", messages - 1, 0)),
        ("purge but one", purge("", 0, 1)),
        (
            "expiry",
            Command::Expire {
                stream: STREAM,
                before_ns: 1 << 60,
            },
        ),
        (
            "a lower limit",
            Command::UpdateStream {
                stream: STREAM,
                config: config(10),
            },
        ),
        ("purge of a filter", purge("a.*", 0, 0)),
    ];
    for (number, (what, command)) in (1..).zip(commands) {
        let id = GroupId(number);
        store.log.open_group(id, Kept::Synced)?;
        let machine = GroupMachine::open(id, Arc::clone(&store.log), Arc::clone(&store.state), || {})?;
        let group = Group { store, id, machine };
        group.command(&Command::CreateStream {
            stream: STREAM,
            account: "A".into(),
            config: config(-1),
        })?;
        group.fill(messages)?;
        group.remove(what, &command)?;
    }
    Ok(())
}
