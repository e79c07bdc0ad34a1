//! Pull requests as they come in.

use super::Engine;
use super::input::Key;
use super::waiting::Waiting;
use crate::config::ConsumerConfig;
use crate::service::handle::StreamRef;
use crate::service::outlet::{Status, Target};
use crate::service::types::PullRequest;

/// Requests that wait at one consumer, whatever its configuration allows.
const MAX_WAITING: usize = 65_536;

impl Engine {
    pub(super) fn pull(&mut self, stream: &StreamRef, name: &str, request: PullRequest) {
        match self.in_use(stream.id(), name) {
            Some(key) => self.pull_of(key, request),
            None => self.nobody(stream, name, request.reply),
        }
    }

    pub(super) fn pull_of(&mut self, key: Key, request: PullRequest) {
        if request.reply.is_empty() {
            return;
        }
        if let Some(status) = self.refuse_pull(key, &request) {
            return self.say(key, request, &status);
        }
        let now_ns = self.now_ns;
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        consumer.used_ns = now_ns;
        let mut waiting = Waiting {
            to: Target {
                account: consumer.handle.stream().account().clone(),
                subject: request.reply,
            },
            left: request.batch.max(1),
            bytes_left: (request.max_bytes > 0).then_some(request.max_bytes),
            delivered: 0,
            no_wait: request.no_wait,
            expires_ns: (request.expires_ns > 0).then(|| now_ns.saturating_add(request.expires_ns)),
            heartbeat_ns: request.idle_heartbeat_ns,
            next_heartbeat_ns: None,
        };
        waiting.beat(now_ns);
        consumer.waiting.push(waiting);
        self.make_ready(key);
        self.arm(key);
    }

    /// Why a request does not wait.
    fn refuse_pull(&mut self, key: Key, request: &PullRequest) -> Option<Status> {
        let consumer = self.consumers.get(&key)?;
        if consumer.is_push() {
            return Some(Status::PushBased);
        }
        if let Some(status) = beyond_limits(&consumer.config, request) {
            return Some(status);
        }
        let max_waiting = usize::try_from(consumer.config.max_waiting).map_or(0, |max| max.min(MAX_WAITING));
        if consumer.waiting.len() >= max_waiting {
            self.drop_deaf_requests(key);
        }
        if request.no_wait {
            let there_are = self.waiting_messages(key);
            let consumer = self.consumers.get(&key)?;
            if there_are == 0 && request.expires_ns == 0 {
                return Some(Status::NoMessages);
            }
            if there_are > 0 && there_are < consumer.waiting.wanted(there_are + 1) {
                return Some(Status::RequestsPending);
            }
        }
        let consumer = self.consumers.get(&key)?;
        (consumer.waiting.len() >= max_waiting).then_some(Status::MaxWaiting)
    }

    /// Forgets requests whose senders do not listen any more.
    fn drop_deaf_requests(&mut self, key: Key) {
        self.end_requests(key);
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.waiting.drop_deaf(&*self.parts.outlet);
        }
    }

    fn say(&mut self, key: Key, request: PullRequest, status: &Status) {
        let Some(consumer) = self.consumers.get_mut(&key) else {
            return;
        };
        consumer.used_ns = self.now_ns;
        // A client that listens for heartbeats would only ask again at once.
        if *status == Status::MaxWaiting && request.idle_heartbeat_ns > 0 {
            return;
        }
        let to = Target {
            account: consumer.handle.stream().account().clone(),
            subject: request.reply,
        };
        self.parts.outlet.status(&to, &consumer.handle, status);
    }
}

fn beyond_limits(config: &ConsumerConfig, request: &PullRequest) -> Option<Status> {
    let beyond = |asked: u64, limit: i64| limit > 0 && asked > limit as u64;
    if beyond(request.batch, config.max_batch) {
        return Some(Status::MaxBatch {
            limit: config.max_batch as u64,
        });
    }
    if beyond(request.expires_ns, config.max_expires_ns) {
        return Some(Status::MaxExpires {
            limit_ns: config.max_expires_ns as u64,
        });
    }
    if beyond(request.max_bytes, config.max_bytes) {
        return Some(Status::MaxBytes {
            limit: config.max_bytes as u64,
        });
    }
    None
}
