//! From rows to the state, and back.

use std::ops::ControlFlow;

use mainstem_storage::{Batch, StorageError};

use super::Streams;
use super::consumer::ConsumerState;
use super::context::Context;
use super::matcher::Matcher;
use super::stream::StreamState;
use super::view::View;
use crate::command::StreamId;
use crate::keys::stream::{StateRow, StreamRow};
use crate::keys::{self, InvalidRow, Kind, consumer, group, of_kind, stream};

/// Subjects in RAM at most, when nothing of them has changed.
const MAX_HELD: usize = 100_000;

impl View {
    pub(super) fn open(cx: Context) -> Result<Self, StorageError> {
        let number = cx.rows.group();
        let read_time =
            |value: &[u8]| group::decode(value).map_err(|error| cx.rows.damaged("the time", error));
        let last_ns = cx
            .rows
            .get(&group::key(number))?
            .map_or(Ok(0), |value| read_time(&value))?;
        let mut streams = Streams::default();
        cx.rows
            .scan_prefix(&of_kind(number, Kind::Stream), |key, value| {
                let stream = read_stream(&cx, key, value)?;
                streams.insert(stream.id, Box::new(stream));
                Ok(ControlFlow::Continue(()))
            })?;
        cx.rows
            .scan_prefix(&of_kind(number, Kind::Consumer), |key, value| {
                let (stream, consumer) = read_consumer(&cx, key, value)?;
                if let Some(stream) = streams.get_mut(&stream) {
                    stream.add_consumer(consumer);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(Self {
            streams,
            cx,
            last_ns,
            broken: None,
            matcher: Matcher::default(),
            commands_since_sweep: 0,
            places: Default::default(),
        })
    }

    /// Puts all that changed into the batch.
    ///
    /// # Errors
    /// What is here is half of an entry, or a row can not be read: the rows stay as they were.
    pub(super) fn checkpoint(&mut self, batch: &mut Batch) -> Result<(), StorageError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if let Err(error) = self.cx.live.save(&mut self.cx.rows) {
            self.broken = Some(error.clone());
            return Err(error);
        }
        // First the rows, whose deleted ranges must not take in what the streams put.
        self.cx.rows.checkpoint(batch);
        let group = self.cx.rows.group();
        for stream in self.streams.values() {
            stream.save(batch, group);
        }
        batch.put(group::key(group), group::encode(self.last_ns));
        Ok(())
    }

    /// The store has what the last checkpoint put into its batch.
    pub(super) fn written(&mut self) {
        if self.broken.is_some() {
            return;
        }
        for stream in self.streams.values_mut() {
            stream.written();
        }
        self.cx.rows.written();
        self.cx.changed_bytes = 0;
        self.sweep();
    }

    /// About how many bytes a checkpoint would write.
    pub(super) fn changed_bytes(&self) -> usize {
        self.cx.rows.changed_bytes() + self.cx.changed_bytes + self.cx.live.changed_bytes()
    }

    /// Forgets subjects that did not change, if there are many.
    pub(super) fn sweep(&mut self) {
        self.commands_since_sweep = 0;
        for stream in self.streams.values_mut() {
            stream.deleted.forget();
        }
        let held: usize = self.streams.values().map(|stream| stream.subjects.held()).sum();
        if held > MAX_HELD {
            for stream in self.streams.values_mut() {
                stream.subjects.forget();
            }
        }
    }

    /// Deletes the rows of a stream that is gone.
    pub(super) fn delete_rows(&mut self, id: StreamId) {
        let number = self.cx.rows.group();
        for kind in keys::OF_STREAMS {
            self.cx.rows.delete_prefix(&keys::of_stream(number, kind, id));
        }
    }
}

fn read_stream(cx: &Context, key: &[u8], value: &[u8]) -> Result<StreamState, StorageError> {
    let damaged = |error| cx.rows.damaged("a stream", error);
    let id = stream::stream_of(key).ok_or_else(|| damaged(InvalidRow::Value))?;
    let row = StreamRow::decode(value).map_err(damaged)?;
    let state = cx
        .rows
        .get(&stream::state_key(cx.rows.group(), id))?
        .ok_or_else(|| damaged(InvalidRow::Value))?;
    let state = StateRow::decode(&state).map_err(damaged)?;
    Ok(StreamState::from_rows(id, row, state))
}

fn read_consumer(cx: &Context, key: &[u8], value: &[u8]) -> Result<(StreamId, ConsumerState), StorageError> {
    let damaged = |error| cx.rows.damaged("a consumer", error);
    let (stream, id) = consumer::ids_of(key).ok_or_else(|| damaged(InvalidRow::Value))?;
    let row = consumer::ConsumerRow::decode(value).map_err(damaged)?;
    Ok((stream, ConsumerState::from_row(id, row)))
}
