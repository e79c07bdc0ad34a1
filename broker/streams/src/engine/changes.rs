//! What entries that were applied mean for consumers.

use std::sync::Arc;

use super::input::Key;
use super::{Engine, Timer};
use crate::command::{Command, StreamId};
use crate::machine::{Change, StreamState, View};
use crate::service::outlet::Status;

/// Shortest time between two looks for messages that reached their age.
const EXPIRE_NS: u64 = 50_000_000;

/// When an expiry did not take effect.
const EXPIRE_AGAIN_NS: u64 = 1_000_000_000;

/// What a stream holds now, as far as consumers are concerned.
#[derive(Debug)]
struct Extent {
    bytes: u64,
    first_seq: u64,
    last_seq: u64,
    /// It holds messages that will be too old.
    ages: bool,
    /// It holds some that are.
    expires_more: bool,
    /// What was removed behind its first message since the last time; `None`: too much to name.
    removed: Option<Vec<u64>>,
}

impl Extent {
    fn of(stream: &StreamState, change: &Change) -> Self {
        Self {
            bytes: stream.bytes,
            first_seq: stream.first_seq,
            last_seq: stream.last_seq,
            ages: stream.config.max_age_ns > 0 && stream.msgs > 0,
            expires_more: stream.expires_more,
            removed: stream
                .removed_inside(change.removed_inside)
                .map(Iterator::collect),
        }
    }
}

impl Engine {
    /// Takes what the machine changed since the last time.
    pub(super) fn take_changes(&mut self) {
        let machine = Arc::clone(&self.parts.machine);
        let changed: Vec<_> = machine.with(|view| {
            let changes = view.take_changes();
            let now = |(id, change)| {
                let extent = view.stream(id).map(|stream| Extent::of(stream, &change));
                (id, change, extent)
            };
            changes.into_iter().map(now).collect()
        });
        for (stream, change, extent) in changed {
            match extent {
                Some(extent) => self.stream_changed(stream, change, &extent),
                None => self.stream_gone(stream),
            }
        }
    }

    fn stream_gone(&mut self, stream: StreamId) {
        for key in self.by_stream.get(&stream).cloned().unwrap_or_default() {
            self.consumer_gone(key);
        }
    }

    fn stream_changed(&mut self, id: StreamId, change: Change, extent: &Extent) {
        if let Some(stream) = self.stream(id) {
            stream.set_bytes(extent.bytes);
        }
        if extent.ages {
            let wait_ns = if extent.expires_more { 0 } else { EXPIRE_NS };
            self.timers.no_later(Timer::Expire(id), self.now_ns + wait_ns);
        }
        let Some(keys) = self.by_stream.get(&id) else {
            return;
        };
        for key in keys.clone() {
            if change.consumers && !self.exists(key) {
                self.consumer_gone(key);
                continue;
            }
            if change.removed {
                self.drop_removed(key, extent.first_seq);
                match &extent.removed {
                    Some(removed) => self.forget_all(key, removed),
                    None => self.recheck_consumer(key),
                }
            }
            let may_get = self.consumers.get(&key).is_some_and(|consumer| {
                let is_behind = consumer.next_seq <= extent.last_seq || consumer.pending.queued() > 0;
                let is_asked = match &consumer.push {
                    Some(push) => push.active,
                    None => !consumer.waiting.is_empty(),
                };
                is_asked && is_behind
            });
            if may_get {
                self.make_ready(key);
            }
        }
    }

    fn exists(&self, (stream, consumer): Key) -> bool {
        self.parts.machine.with(|view| {
            view.stream(stream)
                .is_some_and(|stream| stream.consumer(consumer).is_some())
        })
    }

    /// What was removed at the begin of the stream waits for no acknowledgement.
    fn drop_removed(&mut self, key: Key, first_seq: u64) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        let oldest = consumer.pending.first().map(|(seq, _)| seq);
        if first_seq == 0 || oldest.is_none_or(|oldest| oldest >= first_seq) {
            return;
        }
        consumer.pending.remove_range(0..=first_seq - 1);
        consumer.news.range_done(consumer.floor.stream + 1, first_seq - 1);
        consumer.move_floor();
        self.dirty.insert(key);
        self.make_ready(key);
    }

    /// The stream was purged: consumers pass what is not there any more.
    pub(crate) fn purged(&mut self, stream: StreamId) {
        let first_seq = |view: &mut View| view.stream(stream).map_or(0, |stream| stream.first_seq);
        let first_seq = self.parts.machine.with(first_seq);
        for key in self.by_stream.get(&stream).cloned().unwrap_or_default() {
            if let Some(consumer) = self.consumers.get_mut(&key) {
                consumer.pass(first_seq.saturating_sub(1));
            }
            self.recheck_consumer(key);
        }
    }

    /// One message was removed.
    pub(crate) fn deleted(&mut self, stream: StreamId, seq: u64) {
        for key in self.by_stream.get(&stream).cloned().unwrap_or_default() {
            self.forget_all(key, &[seq]);
        }
    }

    /// Messages were removed anywhere in the stream: what waits for acknowledgement may be among them.
    pub(super) fn recheck(&mut self, stream: StreamId) {
        for key in self.by_stream.get(&stream).cloned().unwrap_or_default() {
            self.recheck_consumer(key);
        }
    }

    fn recheck_consumer(&mut self, key: Key) {
        let Some(consumer) = self.consumers.get(&key) else {
            return;
        };
        let gone: Vec<u64> = self.parts.machine.with(|view| {
            let is_gone = |seq: &u64| matches!(view.position(key.0, *seq), Ok(None));
            consumer.pending.sequences().filter(is_gone).collect()
        });
        self.forget_all(key, &gone);
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.move_floor();
        }
        self.make_ready(key);
    }

    /// These are not there any more.
    fn forget_all(&mut self, key: Key, gone: &[u64]) {
        let Some(consumer) = self.consumers.get(&key) else {
            return;
        };
        let waits = |seq: &&u64| consumer.pending.get(**seq).is_some();
        let gone: Vec<u64> = gone.iter().filter(waits).copied().collect();
        if gone.is_empty() {
            return;
        }
        for seq in gone {
            self.forget(key, seq);
        }
        self.make_ready(key);
    }

    fn consumer_gone(&mut self, key: Key) {
        if let Some(consumer) = self.consumers.get_mut(&key) {
            for request in consumer.waiting.requests.drain(..) {
                self.parts
                    .outlet
                    .status(&request.to, &consumer.handle, &Status::ConsumerDeleted);
            }
        }
        self.drop_consumer(key);
    }

    /// Removes messages that have reached their age, and sets when the next ones do.
    pub(super) fn expire(&mut self, stream: StreamId) {
        let wall_ns = self.parts.clock.wall_ns();
        let oldest = self.parts.machine.with(|view| {
            let state = view
                .stream(stream)
                .filter(|state| state.config.max_age_ns > 0 && state.msgs > 0)?;
            let (first_seq, max_age_ns) = (state.first_seq, state.config.max_age_ns as u64);
            let first = view.position(stream, first_seq).ok().flatten()?;
            Some((first.timestamp_ns, max_age_ns))
        });
        let Some((first_ns, max_age_ns)) = oldest else {
            return;
        };
        let due_ns = first_ns.saturating_add(max_age_ns);
        let again_ns = match due_ns <= wall_ns {
            true => {
                let before_ns = wall_ns - max_age_ns + 1;
                // A change of the stream says that it took effect.
                drop(self.parts.door.submit([&Command::Expire { stream, before_ns }]));
                EXPIRE_AGAIN_NS
            }
            false => (due_ns - wall_ns).max(EXPIRE_NS),
        };
        self.timers
            .set(Timer::Expire(stream), Some(self.now_ns + again_ns));
    }
}
