//! Pull requests that wait for messages.

use std::collections::VecDeque;

use crate::service::outlet::{Outlet, Status, Target};

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
    /// When it expires or wants a heartbeat.
    fn next_time(&self) -> Option<u64> {
        self.expires_ns.into_iter().chain(self.next_heartbeat_ns).min()
    }

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
    /// Nothing of the requests is due before this; `None`: never.
    due_ns: Option<u64>,
    /// There may be some that do not wait.
    pub(super) any_no_wait: bool,
}

impl Queue {
    pub(super) fn push(&mut self, request: Waiting) {
        self.due_ns = self.due_ns.into_iter().chain(request.next_time()).min();
        self.any_no_wait |= request.no_wait;
        self.requests.push_back(request);
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Messages that all of them still want, as far as that is not more than `enough`.
    pub(super) fn wanted(&self, enough: u64) -> u64 {
        let mut sum = 0_u64;
        for request in &self.requests {
            sum = sum.saturating_add(request.left);
            if sum >= enough {
                return enough;
            }
        }
        sum
    }

    /// When one expires or wants a heartbeat, or somewhat before that.
    pub(super) fn next_time(&self) -> Option<u64> {
        self.due_ns.filter(|_| !self.requests.is_empty())
    }

    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        self.next_time().is_some_and(|due_ns| due_ns <= now_ns)
    }

    /// Works out anew when the next one is due, and whether all of them wait.
    pub(super) fn look_through(&mut self) {
        self.due_ns = self.requests.iter().filter_map(Waiting::next_time).min();
        self.any_no_wait = self.requests.iter().any(|request| request.no_wait);
    }

    /// Forgets the first ones, as long as their senders do not listen any more.
    pub(super) fn drop_deaf_front(&mut self, outlet: &dyn Outlet) {
        while let Some(request) = self.requests.front()
            && !outlet.has_interest(&request.to.account, &request.to.subject)
        {
            self.requests.pop_front();
        }
    }

    /// Forgets those whose senders do not listen any more.
    pub(super) fn drop_deaf(&mut self, outlet: &dyn Outlet) {
        self.requests
            .retain(|request| outlet.has_interest(&request.to.account, &request.to.subject));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(left: u64, expires_ns: u64, heartbeat_ns: Option<u64>) -> Waiting {
        Waiting {
            to: Target {
                account: "A".into(),
                subject: bytes::Bytes::from_static(b"inbox"),
            },
            left,
            bytes_left: None,
            delivered: 0,
            no_wait: false,
            expires_ns: Some(expires_ns),
            heartbeat_ns: 0,
            next_heartbeat_ns: heartbeat_ns,
        }
    }

    #[test]
    fn a_queue_knows_when_the_next_request_is_due() {
        let mut queue = Queue::default();
        assert_eq!(queue.next_time(), None);
        queue.push(request(1, 50, None));
        queue.push(request(1, 70, Some(20)));
        queue.push(request(1, 60, None));
        assert_eq!(queue.next_time(), Some(20));
        assert!(queue.is_due(20) && !queue.is_due(19));
        queue.requests.remove(1);
        queue.look_through();
        assert_eq!(queue.next_time(), Some(50));
        queue.requests.clear();
        assert_eq!(queue.next_time(), None);
    }

    #[test]
    fn what_is_wanted_is_counted_as_far_as_it_matters() {
        let mut queue = Queue::default();
        queue.push(request(3, 1, None));
        queue.push(request(u64::MAX, 1, None));
        assert_eq!((queue.wanted(2), queue.wanted(10)), (2, 10));
        queue.requests.pop_back();
        assert_eq!(queue.wanted(10), 3);
    }
}
