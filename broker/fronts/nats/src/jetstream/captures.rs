//! Which subjects streams capture: a tap for each, on the core.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mainstem_core::account::Account;
use mainstem_core::{Node, Run, Source, Tap, TapId};
use mainstem_streams::command::StreamId;
use mainstem_streams::{StreamRef, Ticket};

use super::outlet::Answers;
use super::{headers, publish};

/// The taps of all streams.
#[derive(Default)]
pub(crate) struct Captures(Mutex<HashMap<StreamId, Captured>>);

struct Captured {
    tap: Arc<StreamTap>,
    filters: HashMap<Box<str>, TapId>,
}

impl Captures {
    /// A stream captures `subjects` from now on, and nothing else. None: the stream is gone.
    pub(crate) fn set(
        &self,
        node: &Arc<Node>,
        account: &Arc<Account>,
        stream: &StreamRef,
        subjects: &[Box<str>],
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entry = match all.entry(stream.id()) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(_) if subjects.is_empty() => return,
            Entry::Vacant(entry) => entry.insert_entry(Captured {
                tap: Arc::new(StreamTap {
                    node: Arc::clone(node),
                    account: Arc::clone(account),
                    stream: stream.clone(),
                }),
                filters: HashMap::new(),
            }),
        };
        entry.get_mut().set(account, subjects);
        if subjects.is_empty() {
            entry.remove();
        }
    }
}

impl Captured {
    /// New filters are there before old ones go.
    fn set(&mut self, account: &Account, subjects: &[Box<str>]) {
        for subject in subjects {
            if !self.filters.contains_key(subject) {
                let tap = Arc::clone(&self.tap);
                if let Some(id) = account.add_tap(subject.as_bytes(), tap) {
                    self.filters.insert(subject.clone(), id);
                }
            }
        }
        self.filters.retain(|subject, id| {
            let kept = subjects.contains(subject);
            if !kept {
                account.remove_tap(id);
            }
            kept
        });
    }
}

/// Takes what is published to a stream's subjects.
struct StreamTap {
    node: Arc<Node>,
    account: Arc<Account>,
    stream: StreamRef,
}

impl Tap for StreamTap {
    fn take(&self, source: Source, run: &Run<'_>) {
        let messages = run.entries.len();
        let bytes = run.body_bytes() as usize + messages * run.subject.len();
        let mut publishing = self.stream.publishing(messages, bytes);
        let mut refused = Answers::new(&self.account);
        let replies = replies(run);
        let mut at = 0;
        for entry in run.entries {
            let (block, payload) = run.bytes(entry.body).split_at(entry.header_len as usize);
            let reply = replies.slice(at..at + entry.reply.len());
            at += reply.len();
            let stripped = headers::without_status(block);
            let block = stripped.as_deref().unwrap_or(block);
            match publish::message(run.subject, &reply, block, payload) {
                Ok(message) => publishing.push(&message, ticket(source, reply)),
                Err(error) if reply.is_empty() || self.stream.is_silent() => drop(error),
                Err(error) => refused.refused(&reply, self.stream.name(), &error),
            }
        }
        publishing.send();
        refused.send(&self.node);
    }

    fn is_full(&self) -> bool {
        self.stream.is_full()
    }
}

/// The reply subjects of a run, one after the other: one allocation for all of its tickets.
fn replies(run: &Run<'_>) -> Bytes {
    let bytes = run.entries.iter().map(|entry| entry.reply.len()).sum();
    let mut replies = Vec::with_capacity(bytes);
    for entry in run.entries {
        replies.extend_from_slice(run.reply(entry));
    }
    replies.into()
}

fn ticket(source: Source, reply: Bytes) -> Option<Ticket> {
    (!reply.is_empty()).then(|| Ticket {
        worker: source.worker,
        conn: source.conn,
        reply,
    })
}
