//! Consumers at work: one task a group.
//!
//! Owns the runtime state of the consumers that are in use: who waits for messages, what is delivered and not
//! acknowledged, timers. The machine's state is behind it: progress is proposed in batches, deliveries are reserved
//! ahead, and a restart takes what was reserved as delivered. A consumer that nobody uses has no runtime state.

mod acks;
mod active;
mod awaited;
mod changes;
mod consumer;
mod info;
mod input;
mod pending;
mod picks;
mod progress;
mod pulls;
mod push;
mod serve;
mod slice;
mod tick;
mod timers;
mod waiting;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use mainstem_storage::LogStore;

pub(crate) use self::awaited::Awaited;
use self::consumer::Consumer;
use self::input::Input;
pub(crate) use self::input::{Desk, Key};
use self::progress::Proposal;
pub(crate) use self::slice::native;
use self::timers::Timers;
use crate::command::StreamId;
use crate::machine::GroupMachine;
use crate::proposer::Door;
use crate::service::clock::{Clock, Sleep};
use crate::service::handle::StreamRef;
use crate::service::outlet::Outlet;
use crate::service::registry::Registry;

/// Inputs that are taken in one turn.
const INPUTS_A_TURN: usize = 1024;

/// Slices that are delivered in one turn.
const SLICES_A_TURN: usize = 16;

/// What an engine works with.
pub(crate) struct Parts {
    pub(crate) group: u32,
    pub(crate) machine: Arc<GroupMachine>,
    pub(crate) log: Arc<dyn LogStore>,
    pub(crate) door: Arc<Door>,
    pub(crate) desk: Desk,
    pub(crate) outlet: Arc<dyn Outlet>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Arc<Registry>,
}

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Timer {
    Consumer(Key),
    /// Messages of a stream reach their age.
    Expire(StreamId),
    /// Progress that was not urgent is proposed.
    Progress,
}

/// All consumers in use of one group.
pub(crate) struct Engine {
    parts: Parts,
    consumers: HashMap<Key, Consumer, foldhash::fast::FixedState>,
    /// Those in use, by the names that clients use.
    names: HashMap<(StreamId, Box<str>), Key, foldhash::fast::FixedState>,
    by_stream: HashMap<StreamId, Vec<Key>, foldhash::fast::FixedState>,
    /// Those that may have something to deliver, in the order of their turns.
    ready: VecDeque<Key>,
    timers: Timers<Timer>,
    /// Those with news for the machine.
    dirty: BTreeSet<Key>,
    proposal: Option<Proposal>,
    /// Nothing is proposed before this, on the steady clock: the last proposal was not committed.
    progress_not_before_ns: u64,
    sleep: Option<(u64, Sleep)>,
    /// The steady clock at the begin of the turn.
    now_ns: u64,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            consumers: HashMap::default(),
            names: HashMap::default(),
            by_stream: HashMap::default(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            dirty: BTreeSet::new(),
            proposal: None,
            progress_not_before_ns: 0,
            sleep: None,
            now_ns: 0,
        }
    }

    /// Runs until the desk is closed, and then until all progress is committed.
    pub(crate) async fn run(mut self) {
        self.now_ns = self.parts.clock.steady_ns();
        self.start();
        std::future::poll_fn(|cx| self.poll_turn(cx)).await;
        self.finish().await;
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.parts.desk.queue().register(cx);
        self.now_ns = self.parts.clock.steady_ns();
        let more = self.take_inputs();
        self.take_changes();
        self.take_due();
        self.serve_ready();
        self.poll_progress(cx);
        if self.parts.desk.queue().is_closed() {
            return Poll::Ready(());
        }
        if more || !self.ready.is_empty() || self.poll_sleep(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// True: there is more.
    fn take_inputs(&mut self) -> bool {
        for _ in 0..INPUTS_A_TURN {
            let Some(input) = self.parts.desk.queue().pop() else {
                return false;
            };
            match input {
                Input::Pull {
                    stream,
                    consumer,
                    request,
                } => self.pull(&stream, &consumer, request),
                Input::Ack {
                    stream,
                    consumer,
                    ack,
                } => self.ack(stream, &consumer, ack),
                Input::FlowControl { stream, consumer, id } => self.flow_control(stream, &consumer, id),
                Input::Do(work) => work(self),
            }
        }
        true
    }

    fn serve_ready(&mut self) {
        for _ in 0..SLICES_A_TURN {
            let Some(key) = self.ready.pop_front() else {
                return;
            };
            if let Some(consumer) = self.consumers.get_mut(&key) {
                consumer.is_ready = false;
                self.serve(key);
            }
        }
    }

    /// Ready when something is due.
    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(next) = self.timers.next() else {
            self.sleep = None;
            return Poll::Pending;
        };
        if self.sleep.as_ref().is_none_or(|(until, _)| *until != next) {
            self.sleep = Some((next, self.parts.clock.sleep_until(next)));
        }
        match &mut self.sleep {
            Some((_, sleep)) => sleep.as_mut().poll(cx).map(|()| self.sleep = None),
            None => Poll::Pending,
        }
    }

    /// The consumer may have something to deliver.
    fn make_ready(&mut self, key: Key) {
        if let Some(consumer) = self.consumers.get_mut(&key)
            && !std::mem::replace(&mut consumer.is_ready, true)
        {
            self.ready.push_back(key);
        }
    }

    fn stream(&self, stream: StreamId) -> Option<StreamRef> {
        self.parts.registry.by_id(stream)
    }
}
