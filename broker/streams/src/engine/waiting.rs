//! Pull requests that wait for messages.

use std::collections::VecDeque;

use crate::service::outlet::{Status, Target};

/// One request.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) to: Target,
    /// Messages that it still wants.
    pub(super) left: u64,
    /// Bytes that it still takes; `None`: any.
    pub(super) bytes_left: Option<u64>,
    /// Messages that it got.
    pub(super) delivered: u64,
    pub(super) no_wait: bool,
    pub(super) expires_ns: Option<u64>,
    pub(super) heartbeat_ns: u64,
    /// When its next heartbeat is due; `None`: it wants none.
    pub(super) next_heartbeat_ns: Option<u64>,
}

impl Waiting {
    pub(super) fn is_expired(&self, now_ns: u64) -> bool {
        self.expires_ns.is_some_and(|expires| expires <= now_ns)
    }

    /// It does not wait for more than there was: the time that it gave was for the first message.
    pub(super) fn is_satisfied(&self) -> bool {
        self.no_wait && (self.expires_ns.is_none() || self.delivered > 0)
    }

    /// Counts a message of `bytes`; false: the request does not take it, because it is too large for what is left.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        if let Some(left) = &mut self.bytes_left {
            let Some(rest) = left.checked_sub(bytes) else {
                return false;
            };
            *left = rest;
            if rest == 0 {
                self.left = 1;
            }
        }
        self.left -= 1;
        self.delivered += 1;
        true
    }

    /// A heartbeat or a message was sent.
    pub(super) fn beat(&mut self, now_ns: u64) {
        if self.heartbeat_ns > 0 {
            self.next_heartbeat_ns = Some(now_ns + self.heartbeat_ns);
        }
    }

    /// What to say when it ends before it got all.
    pub(super) fn timeout(&self) -> Status {
        Status::RequestTimeout {
            messages: self.left,
            bytes: self.bytes_left.unwrap_or(0),
        }
    }

    /// What to say when the node stops.
    pub(super) fn shutdown(&self) -> Status {
        Status::ServerShutdown {
            messages: self.left,
            bytes: self.bytes_left.unwrap_or(0),
        }
    }

    /// What to say when its messages are there, but not its bytes.
    pub(super) fn completed(&self) -> Option<Status> {
        let bytes = self.bytes_left.filter(|&bytes| bytes > 0)?;
        Some(Status::BatchCompleted {
            messages: self.left,
            bytes,
        })
    }

    pub(super) fn too_large(&self) -> Status {
        Status::MessageTooLarge {
            messages: self.left,
            bytes: self.bytes_left.unwrap_or(0),
        }
    }
}

/// The requests of one consumer, in the order of their turns.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) requests: VecDeque<Waiting>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Messages that all of them still want.
    pub(super) fn wanted(&self) -> u64 {
        self.requests
            .iter()
            .fold(0, |sum, request| sum.saturating_add(request.left))
    }

    /// When the next one expires or wants a heartbeat.
    pub(super) fn next_time(&self) -> Option<u64> {
        self.requests
            .iter()
            .flat_map(|request| [request.expires_ns, request.next_heartbeat_ns])
            .flatten()
            .min()
    }
}
