//! The machine against a naive model of it.

mod model;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mainstem_raft::Machine;
use mainstem_record::{self as record, EntryBuilder, Native, Record};
use mainstem_storage::{Batch, GroupId, Liveness, LogStore, StateStore};
use proptest::prelude::*;

use super::{GroupMachine, Position};
use crate::command::{
    Command, Conditions, ConsumerId, Outcome, Pending, Progress, Publish, Rollup, SeqPair, StreamId,
};
use crate::config::{AckPolicy, ConsumerConfig, DeliverPolicy, Discard, Retention, StreamConfig};
use crate::matching::Filters;
use model::{Model, Stream, Wish};
use store::{Log, State};

const GROUP: GroupId = GroupId(7);
const SUBJECTS: [&str; 6] = ["a.x", "a.y", "a.z", "b.x", "b", "c.d.e"];
const FILTERS: [&str; 7] = ["", "a.*", "a.x", "*.x", "b", "c.>", "none"];

/// One step: what to do, and numbers to choose the rest by.
type Step = (u8, u16, u16, u8);

struct Bench {
    log: Arc<Log>,
    state: Arc<State>,
    machine: Arc<GroupMachine>,
    model: Model,
    index: u64,
    /// Entries up to here are in the rows.
    applied: u64,
    entries: BTreeMap<u64, Bytes>,
    now_ns: u64,
    next_consumer: u64,
}

fn open(log: &Arc<Log>, state: &Arc<State>) -> Arc<GroupMachine> {
    let log: Arc<dyn LogStore> = Arc::clone(log) as Arc<dyn LogStore>;
    let state: Arc<dyn StateStore> = Arc::clone(state) as Arc<dyn StateStore>;
    GroupMachine::open(GROUP, log, state, || {}).unwrap()
}

fn filter(number: u16) -> &'static str {
    FILTERS[usize::from(number) % FILTERS.len()]
}

fn filters(number: u16) -> Filters {
    match filter(number) {
        "" => Filters::all(),
        one if number.is_multiple_of(3) => Filters::new([one, "b.x"]),
        one => Filters::new([one]),
    }
}

/// Streams of all kinds of limits, by number.
fn config(number: u16, id: StreamId) -> StreamConfig {
    let on = |bit: u16| number & (1 << bit) != 0;
    let limit = |bit: u16, value: i64| if on(bit) { value } else { -1 };
    let mut config = StreamConfig {
        name: "s".into(),
        subjects: vec![">".into()],
        max_msgs: limit(0, 7 + i64::from(number % 5)),
        max_bytes: limit(1, 400),
        max_msgs_per_subject: limit(2, 1 + i64::from(number % 3)),
        max_msg_size: -1,
        discard: if on(3) { Discard::New } else { Discard::Old },
        discard_new_per_subject: on(3) && on(2) && on(4),
        max_consumers: -1,
        duplicate_window_ns: 50,
        allow_rollup: on(5),
        first_seq: if on(6) { 100 } else { 0 },
        ..StreamConfig::default()
    };
    config.retention = match id.0 % 3 {
        0 => Retention::Limits,
        1 => Retention::Interest,
        _ => Retention::WorkQueue,
    };
    config
}

impl Bench {
    fn new() -> Self {
        let (log, state) = (Arc::new(Log::default()), Arc::new(State::default()));
        let machine = open(&log, &state);
        Self {
            log,
            state,
            machine,
            model: Model::default(),
            index: 0,
            applied: 0,
            entries: BTreeMap::new(),
            now_ns: 1000,
            next_consumer: 1,
        }
    }

    fn apply(&mut self, entry: EntryBuilder) -> Vec<Outcome> {
        let data = entry.finish();
        self.index += 1;
        self.log.push(self.index, &data);
        self.entries.insert(self.index, data.clone());
        outcomes(&self.machine, self.index, &data)
    }

    /// Several publishes in one entry.
    fn publish(&mut self, (_, a, b, c): Step, steps: &[Step]) {
        self.now_ns += u64::from(c % 8);
        let mut entry = EntryBuilder::new(self.now_ns);
        let mut expected = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let stream = StreamId(u64::from(a) % 6);
            let wish = self.wish(stream, *step, b.wrapping_add(number as u16));
            expected.push(self.model.publish(stream, &wish, self.now_ns));
            entry.push_with(|out| {
                Publish {
                    conditions: Conditions {
                        msg_id: wish.msg_id.as_bytes(),
                        expected_last_seq: wish.expected_last,
                        expected_last_subject_seq: wish.expected_subject,
                        rollup: wish.rollup,
                        ..Conditions::default()
                    },
                    record: match wish.batch {
                        0 => Record::Native(Native {
                            subject: wish.subject.as_bytes(),
                            payload: &wish.payload,
                            ..Native::default()
                        }),
                        messages => Record::Batch(record::Batch {
                            messages,
                            subject: wish.subject.as_bytes(),
                            data: &wish.payload,
                            ..record::Batch::default()
                        }),
                    },
                }
                .encode(stream, out);
            });
        }
        assert_eq!(self.apply(entry), expected);
    }

    fn wish(&self, stream: StreamId, (_, a, b, c): Step, number: u16) -> Wish {
        let model = self.model.streams.get(&stream);
        let subject = SUBJECTS[usize::from(number % 17) % SUBJECTS.len()].to_owned();
        let last_of = |model: &Stream| model.of_subject(&subject).last().copied().unwrap_or(0);
        Wish {
            payload: vec![a as u8; usize::from(b % 4) * usize::from(c % 3)],
            msg_id: if c % 7 == 0 {
                format!("id{}", b % 5)
            } else {
                String::new()
            },
            expected_last: (c % 11 == 1).then(|| model.map_or(0, |model| model.last) + u64::from(b % 3 == 0)),
            expected_subject: (c % 11 == 2).then(|| model.map_or(0, last_of) + u64::from(b % 3 == 0)),
            rollup: match c {
                3 => Rollup::Subject,
                4 if b % 8 == 0 => Rollup::All,
                _ => Rollup::None,
            },
            batch: if c % 13 == 0 { u32::from(b % 6) } else { 0 },
            subject,
        }
    }

    fn command(&mut self, command: &Command) {
        let mut all = 0;
        loop {
            let mut entry = EntryBuilder::new(self.now_ns);
            entry.push_with(|out| command.encode(out));
            match self.apply(entry).remove(0) {
                Outcome::Partly { removed } => all += removed,
                Outcome::Done { removed } => {
                    assert_eq!(self.model.apply(command), Some(all + removed), "{command:?}");
                    return;
                }
                Outcome::Refused(_) => return,
                other => panic!("{other:?} to {command:?}"),
            }
        }
    }

    fn step(&mut self, (kind, a, b, c): Step) {
        let stream = StreamId(u64::from(a) % 6);
        let known = self.model.streams.get(&stream);
        let some_seq = |model: &Stream| model.first + u64::from(b) % (model.last + 2 - model.first).max(1);
        match kind {
            0 => self.command(&Command::CreateStream {
                stream,
                account: "A".into(),
                config: config(b, stream),
            }),
            1 if c < 60 => self.command(&Command::DeleteStream { stream }),
            2 => {
                let Some(model) = known else { return };
                let config = StreamConfig {
                    retention: model.config.retention,
                    ..config(b, stream)
                };
                self.command(&Command::UpdateStream { stream, config });
            }
            3 => {
                let below_seq = if c.is_multiple_of(3) {
                    known.map_or(0, some_seq)
                } else {
                    0
                };
                self.command(&Command::Purge {
                    stream,
                    filter: if c % 4 == 0 { "".into() } else { filter(b).into() },
                    below_seq,
                    keep: if below_seq == 0 { u64::from(c % 5) } else { 0 },
                });
            }
            4 => self.command(&Command::Expire {
                stream,
                before_ns: self.now_ns.saturating_sub(u64::from(c % 30)),
            }),
            5 | 6 => {
                let seq = known.map_or(0, some_seq);
                self.command(&Command::DeleteMessage { stream, seq });
            }
            7 => self.create_consumer(stream, b, c),
            8 => {
                let ids: Vec<_> = known
                    .into_iter()
                    .flat_map(|model| model.consumers.keys().copied())
                    .collect();
                if let Some(consumer) = ids.get(usize::from(b) % ids.len().max(1)) {
                    self.command(&Command::DeleteConsumer {
                        stream,
                        consumer: *consumer,
                    });
                }
            }
            9..=12 => self.progress(stream, b, c),
            _ => {}
        }
    }

    fn create_consumer(&mut self, stream: StreamId, b: u16, c: u8) {
        let Some(model) = self.model.streams.get(&stream) else {
            return;
        };
        let start_seq = if c.is_multiple_of(3) {
            model.last + 1
        } else {
            model.first
        };
        let consumer = ConsumerId(self.next_consumer);
        self.next_consumer += 1;
        let config = ConsumerConfig {
            name: format!("c{}", consumer.0).into(),
            filter_subject: filter(b).into(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: match (model.config.retention, c % 3) {
                (Retention::WorkQueue, _) | (_, 0) => AckPolicy::Explicit,
                (_, 1) => AckPolicy::All,
                _ => AckPolicy::None,
            },
            ..ConsumerConfig::default()
        };
        self.command(&Command::CreateConsumer {
            stream,
            consumer,
            start_seq,
            config,
        });
    }

    /// Delivers a few messages to a consumer, and acknowledges some.
    fn progress(&mut self, stream: StreamId, b: u16, c: u8) {
        let Some(model) = self.model.streams.get(&stream) else {
            return;
        };
        let consumers: Vec<_> = model.consumers.iter().collect();
        let Some((id, consumer)) = consumers.get(usize::from(b) % consumers.len().max(1)) else {
            return;
        };
        let mut progress = Progress {
            stream,
            consumer: **id,
            delivered: consumer.delivered,
            ..Progress::default()
        };
        let next = model.matching(&consumer.filters).into_iter();
        for seq in next
            .filter(|seq| *seq > consumer.delivered.stream)
            .take(usize::from(c % 5))
        {
            progress.delivered = SeqPair {
                consumer: progress.delivered.consumer + 1,
                stream: seq,
            };
            if consumer.ack != AckPolicy::None {
                progress.pending.push(Pending {
                    stream_seq: seq,
                    consumer_seq: progress.delivered.consumer,
                    delivered_ns: self.now_ns,
                    count: 1,
                });
            }
        }
        let waiting: Vec<u64> = consumer.pending.keys().copied().collect();
        for (number, seq) in waiting.iter().enumerate() {
            match (u16::from(c) + b + number as u16) % 4 {
                0 => progress.done.push((*seq, *seq)),
                1 if c.is_multiple_of(9) => progress.given_up.push(*seq),
                _ => {}
            }
        }
        if consumer.ack == AckPolicy::All && c.is_multiple_of(2) {
            progress.done.push((1, progress.delivered.stream));
        }
        progress.reserved = progress.delivered.stream + 3;
        self.command(&Command::Progress(progress));
    }

    fn checkpoint(&mut self) {
        let mut batch = Batch::default();
        self.machine.checkpoint(&mut batch).unwrap();
        self.state.write(batch).unwrap();
        self.machine.written();
        self.applied = self.index;
        assert!(self.machine.dirty_bytes() < 64);
    }

    /// As after a crash: what was not written is applied again.
    fn reopen(&mut self) {
        self.machine = open(&self.log, &self.state);
        for (index, data) in self.entries.range(self.applied + 1..) {
            outcomes(&self.machine, *index, data);
        }
    }

    /// Drops from the log what nothing needs.
    fn clean(&mut self) {
        self.checkpoint();
        let kept = self.entries.split_off(&(self.applied + 1));
        for index in 1..=self.applied {
            let Ok(stored) = self.log.get(GROUP, index) else {
                continue;
            };
            match self.machine.strip(index, &stored) {
                Some(stripped) => self.log.set(index, stripped),
                None => self.log.forget(index),
            }
        }
        self.entries = kept;
    }

    fn check(&self, number: u16) {
        let ids: Vec<_> = self
            .machine
            .with(|view| view.streams().map(|stream| stream.id).collect());
        assert_eq!(ids.len(), self.model.streams.len());
        let mut live = 0;
        for (id, model) in &self.model.streams {
            self.check_stream(*id, model);
            self.check_matches(*id, model, number);
            self.check_consumers(*id, model);
            live += model.bytes();
        }
        assert_eq!(
            self.machine.live_bytes(0..(self.index + 1).next_multiple_of(64)),
            live
        );
    }

    fn check_stream(&self, id: StreamId, model: &Stream) {
        self.machine.with(|view| {
            let stream = view.stream(id).unwrap();
            let subjects: std::collections::BTreeSet<_> =
                model.messages.values().map(|m| &m.subject).collect();
            assert_eq!(stream.msgs, model.messages.len() as u64);
            assert_eq!((stream.first_seq, stream.last_seq), (model.first, model.last));
            assert_eq!(stream.bytes, model.bytes());
            assert_eq!(stream.num_subjects, subjects.len() as u64);
            let gone: Vec<_> = (model.first..=model.last)
                .filter(|seq| !model.messages.contains_key(seq))
                .collect();
            assert_eq!(stream.num_deleted(), gone.len() as u64);
            assert_eq!(view.deleted(id, usize::MAX).unwrap(), gone);
            let first = model.messages.first_key_value().map(|(_, message)| message.at_ns);
            assert_eq!(view.first_timestamp_ns(id).unwrap(), first);
        });
        for seq in model.first.saturating_sub(1)..=model.last + 1 {
            let position = self.machine.with(|view| view.position(id, seq)).unwrap();
            assert_eq!(position.is_some(), model.messages.contains_key(&seq), "{seq}");
            let Some(position) = position else { continue };
            let (message, expected) = (self.machine.load(&position).unwrap(), &model.messages[&seq]);
            assert_eq!((message.seq, message.timestamp_ns), (seq, expected.at_ns));
            assert_eq!(message.subject, expected.subject.as_bytes());
            assert_eq!(message.payload, expected.payload);
        }
    }

    fn check_matches(&self, id: StreamId, model: &Stream, number: u16) {
        let filters = filters(number);
        let from = model.first + u64::from(number) % (model.last + 3 - model.first);
        let matching = model.matching(&filters);
        let later: Vec<u64> = matching.iter().copied().filter(|seq| *seq >= from).collect();
        let seqs = |positions: &[Position]| positions.iter().map(|position| position.seq).collect::<Vec<_>>();
        self.machine.with(|view| {
            let next = view.next_match(id, &filters, from).unwrap();
            assert_eq!(next.map(|position| position.seq), later.first().copied());
            let mut found = Vec::new();
            view.next_matches(id, &filters, from, 1000, &mut found).unwrap();
            assert_eq!(seqs(&found), later);
            assert_eq!(view.count_from(id, &filters, from).unwrap(), later.len() as u64);
            let last = view.last_match(id, &filters).unwrap();
            assert_eq!(last.map(|position| position.seq), matching.last().copied());
            let at_ns = model
                .messages
                .values()
                .nth(usize::from(number) % 9)
                .map_or(5, |message| message.at_ns);
            let at_time = model.messages.iter().find(|(_, message)| message.at_ns >= at_ns);
            let expected = at_time.map_or(model.last + 1, |(seq, _)| *seq);
            assert_eq!(view.seq_at_time(id, at_ns).unwrap(), expected);
            let mut counts: BTreeMap<Box<[u8]>, u64> = BTreeMap::new();
            let mut last_to: BTreeMap<&str, u64> = BTreeMap::new();
            for seq in &matching {
                let subject = &model.messages[seq].subject;
                *counts.entry(subject.as_bytes().into()).or_default() += 1;
                if *seq <= from {
                    last_to.insert(subject, *seq);
                }
            }
            let subjects = view.subjects(id, &filters, 100).unwrap().unwrap();
            assert_eq!(subjects, counts.into_iter().collect::<Vec<_>>());
            let mut expected: Vec<u64> = last_to.into_values().collect();
            expected.sort_unstable();
            assert_eq!(
                seqs(&view.last_per_subject(id, &filters, from).unwrap()),
                expected
            );
        });
    }

    fn check_consumers(&self, id: StreamId, model: &Stream) {
        self.machine.with(|view| {
            let stream = view.stream(id).unwrap();
            assert_eq!(stream.consumers().len(), model.consumers.len());
            for (id, expected) in &model.consumers {
                let consumer = stream.consumer(*id).unwrap();
                assert_eq!(stream.consumer_named(&consumer.name).unwrap().id, *id);
                assert_eq!(consumer.delivered, expected.delivered);
                assert_eq!(consumer.ack_floor.stream, expected.floor);
                assert_eq!(consumer.pending, expected.pending);
                assert_eq!(consumer.given_up, expected.given_up);
            }
        });
    }
}

fn outcomes(machine: &GroupMachine, index: u64, data: &Bytes) -> Vec<Outcome> {
    *machine.apply(index, data).unwrap().downcast().unwrap()
}

fn step() -> impl Strategy<Value = Step> {
    // Most steps publish.
    let kind = prop_oneof![1 => 0..2_u8, 3 => 2..13_u8, 6 => Just(20_u8), 1 => 30..33_u8];
    (kind, any::<u16>(), any::<u16>(), any::<u8>())
}

fn run(steps: &[Step]) {
    let mut bench = Bench::new();
    for stream in 0..6 {
        let id = StreamId(stream);
        bench.command(&Command::CreateStream {
            stream: id,
            account: "A".into(),
            config: config(steps.first().map_or(0, |step| step.1) >> stream, id),
        });
    }
    for (number, step) in steps.iter().enumerate() {
        match step.0 {
            20 => bench.publish(
                *step,
                &steps[number..steps.len().min(number + 1 + usize::from(step.3 % 6))],
            ),
            30 => bench.checkpoint(),
            31 => bench.reopen(),
            32 => bench.clean(),
            _ => bench.step(*step),
        }
        bench.check(step.2);
    }
    bench.reopen();
    bench.check(3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn as_the_model(steps in prop::collection::vec(step(), 1..150)) {
        run(&steps);
    }
}

#[test]
fn sequences_end_before_numbers_do() {
    let mut bench = Bench::new();
    let stream = StreamId(0);
    let limited = StreamConfig {
        max_msgs: 1,
        ..config(0, stream)
    };
    let create = Command::CreateStream {
        stream,
        account: "A".into(),
        config: StreamConfig {
            first_seq: u64::MAX,
            ..limited
        },
    };
    let publish = |bench: &mut Bench| {
        let mut entry = EntryBuilder::new(1);
        let publish = Publish {
            conditions: Conditions::default(),
            record: Record::Native(Native {
                subject: b"a.b",
                ..Native::default()
            }),
        };
        entry.push_with(|out| publish.encode(stream, out));
        bench.apply(entry)
    };
    let apply = |bench: &mut Bench, command: &Command| {
        let mut entry = EntryBuilder::new(1);
        entry.push_with(|out| command.encode(out));
        bench.apply(entry)
    };
    apply(&mut bench, &create);
    assert_eq!(publish(&mut bench), [Outcome::Stored { seq: super::MAX_SEQ }]);
    for _ in 0..2 {
        assert!(matches!(publish(&mut bench)[..], [Outcome::Refused(_)]));
    }
    let purge = Command::Purge {
        stream,
        filter: String::new().into(),
        below_seq: u64::MAX,
        keep: 0,
    };
    assert!(matches!(apply(&mut bench, &purge)[..], [Outcome::Refused(_)]));
    bench.checkpoint();
}

#[test]
fn a_deleted_stream_leaves_no_rows() {
    let mut bench = Bench::new();
    let stream = StreamId(0);
    bench.command(&Command::CreateStream {
        stream,
        account: "A".into(),
        config: config(0, stream),
    });
    for number in 0..100 {
        bench.publish((20, 0, number, 5), &[(20, 0, number, 5); 3]);
    }
    bench.checkpoint();
    assert!(bench.state.len() > 10);
    bench.command(&Command::DeleteStream { stream });
    bench.checkpoint();
    // The time of the last entry.
    assert_eq!(bench.state.len(), 1);
}
