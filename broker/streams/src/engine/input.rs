//! What comes into an engine from other threads.

use std::sync::Arc;

use bytes::Bytes;

use super::Engine;
use crate::command::{ConsumerId, StreamId};
use crate::queue::Queue;
use crate::service::handle::StreamRef;
use crate::service::types::{Ack, PullRequest};

/// Above this, those who send are held back.
const FULL_BYTES: usize = 8 << 20;

/// Above this, pulls and acknowledgements are dropped, as if the network had lost them.
const DROP_BYTES: usize = 64 << 20;

/// What one input costs beside its bytes.
const INPUT_BYTES: usize = 128;

/// A consumer among all of a group.
pub(crate) type Key = (StreamId, ConsumerId);

/// Something to do in the engine.
pub(crate) type Work = Box<dyn FnOnce(&mut Engine) + Send>;

/// What a client or the service wants of the engine.
pub(super) enum Input {
    Pull {
        stream: StreamRef,
        consumer: Box<str>,
        request: PullRequest,
    },
    Ack {
        stream: StreamId,
        consumer: Box<str>,
        ack: Ack,
    },
    FlowControl {
        stream: StreamId,
        consumer: Box<str>,
        id: u64,
    },
    Do(Work),
}

/// The way into one group's engine, from any thread.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Queue<Input>>);

impl Desk {
    /// So much waits that clients are to be held back.
    pub(crate) fn is_full(&self) -> bool {
        self.0.waiting_bytes() >= FULL_BYTES
    }

    pub(crate) fn pull(&self, stream: &StreamRef, consumer: &str, request: PullRequest) {
        let bytes = request.reply.len();
        let (stream, consumer) = (stream.clone(), Box::from(consumer));
        self.push(
            Input::Pull {
                stream,
                consumer,
                request,
            },
            bytes,
        );
    }

    pub(crate) fn ack(&self, stream: StreamId, consumer: &str, ack: Ack) {
        let bytes = ack.reply.as_ref().map_or(0, Bytes::len);
        let consumer = Box::from(consumer);
        self.push(
            Input::Ack {
                stream,
                consumer,
                ack,
            },
            bytes,
        );
    }

    pub(crate) fn flow_control(&self, stream: StreamId, consumer: &str, id: u64) {
        let consumer = Box::from(consumer);
        self.push(Input::FlowControl { stream, consumer, id }, 0);
    }

    /// Has the engine do something in its next turn.
    pub(crate) fn run(&self, work: impl FnOnce(&mut Engine) + Send + 'static) {
        if !self.0.is_closed() {
            self.0.push(Input::Do(Box::new(work)), INPUT_BYTES, &[]);
        }
    }

    /// The machine changed.
    pub(crate) fn wake(&self) {
        self.0.wake();
    }

    pub(super) fn queue(&self) -> &Queue<Input> {
        &self.0
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }

    fn push(&self, input: Input, bytes: usize) {
        if self.0.waiting_bytes() < DROP_BYTES {
            self.0.push(input, INPUT_BYTES + bytes, &[]);
        }
    }
}
