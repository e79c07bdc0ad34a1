//! Deliver subjects that nobody subscribes to yet. A subscription that comes wakes their consumers at once; looking for it
//! from time to time is only for what slips through.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::input::{Desk, Key};
use crate::matching;
use crate::service::outlet::Target;

/// By account and subject, the consumers that wait: at most as many as there are push consumers.
type Waiting = HashMap<Arc<str>, HashMap<Bytes, Vec<(Key, Desk)>>>;

#[derive(Default)]
pub(crate) struct Awaited {
    /// How many consumers wait: subscriptions that nobody waits for cost no lock.
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// A consumer that waits, until this is dropped.
pub(super) struct Wait {
    awaited: Arc<Awaited>,
    to: Target,
    key: Key,
}

impl Awaited {
    pub(super) fn wait(self: &Arc<Self>, to: &Target, key: Key, desk: &Desk) -> Wait {
        let mut waiting = self.waiting();
        let subjects = waiting.entry(Arc::clone(&to.account)).or_default();
        let consumers = subjects.entry(to.subject.clone()).or_default();
        consumers.push((key, desk.clone()));
        self.count.fetch_add(1, Ordering::SeqCst);
        Wait {
            awaited: Arc::clone(self),
            to: to.clone(),
            key,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Somebody subscribed.
    pub(crate) fn subscribed(&self, account: &str, filter: &[u8]) {
        let waiting = self.waiting();
        let Some(subjects) = waiting.get(account) else {
            return;
        };
        if let Some(consumers) = subjects.get(filter) {
            consumers.iter().for_each(wake);
        } else if filter.iter().any(|byte| matches!(byte, b'*' | b'>')) {
            let matching = subjects
                .iter()
                .filter(|(subject, _)| matching::matches(subject, filter));
            matching.flat_map(|(_, consumers)| consumers).for_each(wake);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake((key, desk): &(Key, Desk)) {
    let key = *key;
    desk.run(move |engine| engine.listened(key));
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.awaited.count.fetch_sub(1, Ordering::SeqCst);
        let mut waiting = self.awaited.waiting();
        let Some(subjects) = waiting.get_mut(&self.to.account) else {
            return;
        };
        if let Some(consumers) = subjects.get_mut(&self.to.subject) {
            if let Some(place) = consumers.iter().position(|(key, _)| *key == self.key) {
                consumers.swap_remove(place);
            }
            if consumers.is_empty() {
                subjects.remove(&self.to.subject);
            }
        }
        if subjects.is_empty() {
            waiting.remove(&self.to.account);
        }
    }
}

impl std::fmt::Debug for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wait")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ConsumerId, StreamId};

    #[test]
    fn who_waits_is_woken_and_nobody_else() {
        let awaited = Arc::new(Awaited::default());
        let desk = Desk::default();
        let to = |subject: &'static str| Target {
            account: "A".into(),
            subject: Bytes::from_static(subject.as_bytes()),
        };
        let woken = |account: &str, filter: &str| {
            awaited.subscribed(account, filter.as_bytes());
            std::iter::from_fn(|| desk.queue().pop()).count()
        };
        let first = awaited.wait(&to("d.one"), (StreamId(1), ConsumerId(1)), &desk);
        let second = awaited.wait(&to("d.two"), (StreamId(1), ConsumerId(2)), &desk);
        assert_eq!(woken("A", "d.one"), 1);
        assert_eq!(woken("A", "d.*"), 2);
        assert_eq!(
            (woken("A", "e.>"), woken("B", "d.one"), woken("A", "d")),
            (0, 0, 0)
        );
        drop(first);
        assert_eq!(woken("A", ">"), 1);
        drop(second);
        assert_eq!(woken("A", ">"), 0);
        assert!(awaited.waiting().is_empty());
    }
}
