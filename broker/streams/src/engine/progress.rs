//! Telling the machine how far consumers have come: in batches, one at a time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::consumer::{Consumer, News};
use super::input::Key;
use super::{Engine, Timer};
use crate::command::{Command, Progress};
use crate::proposer::Answer;

/// A proposal is closed when it has about this many bytes.
const PROPOSAL_BYTES: usize = 48 << 10;

/// News that nobody waits for are proposed after this time.
const LAZY_NS: u64 = 250_000_000;

/// A consumer whose progress was not committed delivers nothing for this time.
const FAILED_NS: u64 = 250_000_000;

/// Progress that was proposed and is not committed yet.
pub(super) struct Proposal {
    answer: oneshot::Receiver<Answer>,
    consumers: Vec<Proposed>,
}

struct Proposed {
    key: Key,
    account: std::sync::Arc<str>,
    news: News,
}

impl Engine {
    /// Takes what became of the last proposal, and makes the next one.
    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(proposal) = &mut self.proposal {
                let Poll::Ready(answer) = Pin::new(&mut proposal.answer).poll(cx) else {
                    return;
                };
                self.settle(answer.is_ok_and(|answer| answer.is_ok()));
            }
            if !self.propose(false) {
                return;
            }
        }
    }

    /// Proposes also what nobody waits for.
    pub(super) fn flush_progress(&mut self) {
        if self.proposal.is_none() {
            self.propose(true);
        } else {
            self.timers.no_later(Timer::Progress, self.now_ns + LAZY_NS);
        }
    }

    /// True: something was proposed.
    fn propose(&mut self, lazy: bool) -> bool {
        let urgent = |key: &Key| {
            self.consumers
                .get(key)
                .is_some_and(|consumer| consumer.news.is_urgent())
        };
        if self.proposal.is_some() || self.dirty.is_empty() {
            return false;
        }
        if self.now_ns < self.progress_not_before_ns {
            self.timers.no_later(Timer::Progress, self.progress_not_before_ns);
            return false;
        }
        if !lazy && !self.dirty.iter().any(urgent) {
            self.timers.no_later(Timer::Progress, self.now_ns + LAZY_NS);
            return false;
        }
        let (mut commands, mut ends, mut consumers) = (Vec::new(), Vec::new(), Vec::new());
        while commands.len() < PROPOSAL_BYTES
            && let Some(key) = self.dirty.pop_first()
        {
            let Some(consumer) = self.consumers.get_mut(&key) else {
                continue;
            };
            let news = std::mem::take(&mut consumer.news);
            progress(consumer, &news).encode(&mut commands);
            ends.push(commands.len() as u32);
            consumers.push(Proposed {
                key,
                account: consumer.handle.stream().account().clone(),
                news,
            });
        }
        if ends.is_empty() {
            return false;
        }
        let answer = self.parts.door.submit_encoded(commands, ends);
        self.proposal = Some(Proposal { answer, consumers });
        true
    }

    /// The proposal has its outcome.
    fn settle(&mut self, committed: bool) {
        let Some(proposal) = self.proposal.take() else {
            return;
        };
        if !committed {
            return self.take_back(proposal);
        }
        for Proposed { key, account, news } in proposal.consumers {
            for reply in news.confirm {
                self.parts.outlet.confirmed(&account, reply);
            }
            if news.reserve == 0 {
                continue;
            }
            if let Some(consumer) = self.consumers.get_mut(&key) {
                consumer.reserved = consumer.reserved.max(news.reserve);
                self.make_ready(key);
            }
        }
    }

    /// What was not committed is said again after a while. If it was committed and nobody knows, that changes nothing.
    /// It is not confirmed: the client asks again.
    fn take_back(&mut self, proposal: Proposal) {
        self.progress_not_before_ns = self.now_ns + FAILED_NS;
        self.timers.no_later(Timer::Progress, self.progress_not_before_ns);
        for Proposed { key, news, .. } in proposal.consumers {
            if let Some(consumer) = self.consumers.get_mut(&key) {
                consumer.reserving = consumer.reserved;
                consumer.pace.not_before_ns = self.now_ns + FAILED_NS;
                consumer.news.put_before(news);
                self.dirty.insert(key);
            }
            self.arm(key);
        }
    }

    /// Tells clients who wait that they have to ask again.
    pub(crate) fn end_all_requests(&mut self) {
        for consumer in self.consumers.values_mut() {
            for request in consumer.waiting.requests.drain(..) {
                let status = request.shutdown();
                self.parts.outlet.status(&request.to, &consumer.handle, &status);
            }
        }
    }

    /// At the end: commits where everybody is.
    pub(super) async fn finish(mut self) {
        self.end_all_requests();
        for consumer in self.consumers.values_mut() {
            if consumer.takes_back_reserved() {
                self.dirty.insert(consumer.key);
            }
        }
        loop {
            if let Some(proposal) = &mut self.proposal {
                let answer = Pin::new(&mut proposal.answer).await;
                self.settle(answer.is_ok_and(|answer| answer.is_ok()));
            }
            if !self.propose(true) {
                break;
            }
        }
        // Who asked something is told that there is no answer.
        while self.parts.desk.queue().pop().is_some() {}
    }
}

fn progress(consumer: &Consumer, news: &News) -> Command {
    Command::Progress(Progress {
        stream: consumer.key.0,
        consumer: consumer.key.1,
        delivered: consumer.delivered,
        reserved: news.reserve.max(consumer.reserved),
        pending: news.pending.values().copied().collect(),
        done: news.done.clone(),
        given_up: news.given_up.clone(),
    })
}
