//! The push side of a consumer: whether somebody listens, and flow control.

use super::awaited::Wait;
use crate::service::outlet::Target;

/// Bytes on their way to a client that answers flow control, at most.
const WINDOW_BYTES: u64 = 32 << 20;

/// The window at first; every answer doubles it.
const FIRST_WINDOW_BYTES: u64 = WINDOW_BYTES / 16;

/// Time between looks for somebody who listens: at first, later, and where somebody does.
const FIRST_LOOK_NS: u64 = 2_000_000;
const LATER_LOOK_NS: u64 = 20_000_000;
const ACTIVE_LOOK_NS: u64 = 250_000_000;

/// What one look may cost a consumer on average: with very many consumers the looks become rarer.
const LOOK_SHARE_NS: u64 = 20_000;

/// What a push consumer has besides what all have.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) to: Target,
    /// Somebody subscribes to the deliver subject.
    pub(super) active: bool,
    /// When to look for somebody again, and after how long then.
    pub(super) look_ns: u64,
    look_after_ns: u64,
    /// Held while nobody listens: who comes is told of at once.
    pub(super) wait: Option<Wait>,
    pub(super) flow: Option<Flow>,
    /// When the next heartbeat is due; `None`: it sends none.
    pub(super) next_heartbeat_ns: Option<u64>,
}

/// Flow control: bytes that were sent and not answered for.
#[derive(Debug)]
pub(super) struct Flow {
    window: u64,
    unanswered: u64,
    /// The request that is not answered, and the bytes that its answer covers.
    asked: Option<(u64, u64)>,
    last_id: u64,
}

impl Push {
    pub(super) fn new(to: Target, flow_control: bool, now_ns: u64) -> Self {
        Self {
            to,
            active: false,
            look_ns: now_ns,
            look_after_ns: FIRST_LOOK_NS,
            wait: None,
            flow: flow_control.then(Flow::new),
            next_heartbeat_ns: None,
        }
    }

    /// Notes whether somebody listens, and when to look again. `consumers` are in use.
    pub(super) fn looked(&mut self, active: bool, now_ns: u64, consumers: usize) {
        if active != self.active {
            self.look_after_ns = FIRST_LOOK_NS;
        }
        self.active = active;
        let longest_ns = match active {
            true => ACTIVE_LOOK_NS,
            false => LATER_LOOK_NS.max(consumers as u64 * LOOK_SHARE_NS),
        };
        self.look_ns = now_ns + self.look_after_ns;
        self.look_after_ns = (self.look_after_ns * 2).min(longest_ns);
    }

    /// It may deliver, as far as the recipient is concerned.
    pub(super) fn may_deliver(&self) -> bool {
        self.active && self.flow.as_ref().is_none_or(|flow| !flow.is_stalled())
    }

    /// The flow control request that it waits for.
    pub(super) fn stalled(&self) -> Option<u64> {
        self.flow.as_ref().and_then(|flow| flow.asked).map(|(id, _)| id)
    }
}

impl Flow {
    fn new() -> Self {
        Self {
            window: FIRST_WINDOW_BYTES,
            unanswered: 0,
            asked: None,
            last_id: 0,
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.unanswered > self.window
    }

    /// Bytes that may be sent before it stalls.
    pub(super) fn room(&self) -> u64 {
        (self.window + 1).saturating_sub(self.unanswered)
    }

    /// Counts what was sent. The answer is a request to send, when one is due.
    pub(super) fn sent(&mut self, bytes: u64) -> Option<u64> {
        self.unanswered += bytes;
        if self.asked.is_some() || self.unanswered <= self.window / 2 {
            return None;
        }
        self.last_id += 1;
        self.asked = Some((self.last_id, self.unanswered));
        Some(self.last_id)
    }

    /// Takes an answer. False: it is not the one that is waited for.
    pub(super) fn answered(&mut self, id: u64) -> bool {
        let Some((_, bytes)) = self.asked.take_if(|(asked, _)| *asked == id) else {
            return false;
        };
        self.window = (self.window * 2).min(WINDOW_BYTES);
        self.unanswered = self.unanswered.saturating_sub(bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stalls_at_the_window_and_goes_on_when_answered() {
        let mut flow = Flow::new();
        assert_eq!(flow.sent(FIRST_WINDOW_BYTES / 2), None);
        assert_eq!(flow.sent(1), Some(1));
        assert_eq!(flow.sent(FIRST_WINDOW_BYTES), None);
        assert!(flow.is_stalled());
        assert!(!flow.answered(7));
        assert!(flow.answered(1));
        assert!(!flow.is_stalled());
        assert_eq!(flow.window, 2 * FIRST_WINDOW_BYTES);
        assert_eq!(flow.sent(1), Some(2));
        assert_eq!(flow.sent(1), None);
    }
}
