//! One worker's routes, remembered.
//!
//! Two tables: of subjects, and of beginnings of subjects after which nothing decides any more. Many subjects are used
//! once (acknowledgements, keys, inboxes): they are found by their beginning, and only a subject that comes back takes a
//! place of its own, where it is found faster.

use std::rc::Rc;

use crate::account::{Account, AccountId};
use crate::interest::{LocalInterest, shard_of};
use crate::route::Route;
use crate::subject::{self, SEPARATOR};

/// Tables of fixed size in which a new subject takes the place of another.
pub(crate) struct RouteCache {
    slots: Vec<Option<Slot>>,
    /// For each slot the hash of the subject that was last looked for there in vain.
    missed: Vec<u32>,
    /// By the first token.
    beginnings: [Beginnings; BUCKETS],
    hasher: foldhash::fast::RandomState,
    /// Targets that all remembered routes hold.
    targets: usize,
}

struct Slot {
    account: AccountId,
    /// The subject, or its beginning with the separator.
    subject: Box<[u8]>,
    shard: usize,
    route: Rc<Route>,
}

/// Targets that a cache holds at most (8 bytes each); past it the cache starts anew.
const MAX_TARGETS: usize = 1 << 20;
const BUCKETS: usize = 16;
const WAYS: usize = 8;

#[derive(Default)]
struct Beginnings {
    slots: [Option<Slot>; WAYS],
    /// Which one goes next.
    next: usize,
}

impl RouteCache {
    pub(crate) fn new(entries: usize) -> Self {
        let slots = entries.clamp(64, 1 << 20).next_power_of_two();
        Self {
            slots: std::iter::repeat_with(|| None).take(slots).collect(),
            missed: vec![0; slots],
            beginnings: Default::default(),
            hasher: foldhash::fast::RandomState::default(),
            targets: 0,
        }
    }

    /// The route of `subject`: remembered, or worked out now.
    #[inline]
    pub(crate) fn route(
        &mut self,
        worker: usize,
        account: &Account,
        local: &LocalInterest,
        subject: &[u8],
    ) -> Rc<Route> {
        let hash = self.hash(account.id, subject);
        let at = hash as usize & (self.slots.len() - 1);
        if let Some(slot) = &self.slots[at]
            && slot.account == account.id
            && *slot.subject == *subject
            && slot.route.is_fresh(account, local, slot.shard)
        {
            return Rc::clone(&slot.route);
        }
        self.search(hash, worker, account, local, subject)
    }

    #[inline]
    fn hash(&self, account: AccountId, text: &[u8]) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = self.hasher.build_hasher();
        hasher.write(text);
        hasher.write_u32(account.0);
        hasher.finish()
    }

    #[cold]
    fn search(
        &mut self,
        hash: u64,
        worker: usize,
        account: &Account,
        local: &LocalInterest,
        subject: &[u8],
    ) -> Rc<Route> {
        let at = hash as usize & (self.slots.len() - 1);
        // The upper half: the lower one chose the slot.
        let tag = (hash >> 32) as u32;
        let comes_back = std::mem::replace(&mut self.missed[at], tag) == tag;
        let bucket = self.bucket(account.id, subject);
        let found = self.beginnings[bucket].find(account, local, subject);
        let route = match &found {
            Some(route) => Rc::clone(route),
            None => Rc::new(Route::build(worker, account, local, subject)),
        };
        if found.is_none() || comes_back {
            self.make_room(route.targets());
        }
        if comes_back || route.decisive().is_none() {
            let old = self.slots[at].replace(Slot::new(account.id, subject, subject, &route));
            self.count(&route, old);
        } else if found.is_none()
            && let Some(decisive) = route.decisive()
        {
            let slot = Slot::new(account.id, subject, beginning(subject, decisive), &route);
            let old = self.beginnings[bucket].put(slot);
            self.count(&route, old);
        }
        route
    }

    fn bucket(&self, account: AccountId, subject: &[u8]) -> usize {
        let first = subject::tokens(subject).next().unwrap_or_default();
        self.hash(account, first) as usize % BUCKETS
    }

    fn count(&mut self, new: &Route, old: Option<Slot>) {
        self.targets += new.targets();
        self.targets -= old.map_or(0, |old| old.route.targets());
    }

    fn make_room(&mut self, targets: usize) {
        if self.targets + targets > MAX_TARGETS {
            self.slots.iter_mut().for_each(|slot| *slot = None);
            self.beginnings = Default::default();
            self.targets = 0;
        }
    }
}

impl Slot {
    fn new(account: AccountId, subject: &[u8], part: &[u8], route: &Rc<Route>) -> Self {
        Self {
            account,
            subject: Box::from(part),
            shard: shard_of(subject),
            route: Rc::clone(route),
        }
    }
}

impl Beginnings {
    fn find(&self, account: &Account, local: &LocalInterest, subject: &[u8]) -> Option<Rc<Route>> {
        let slot = self.slots.iter().flatten().find(|slot| {
            slot.account == account.id
                && subject
                    .strip_prefix(&*slot.subject)
                    .is_some_and(|rest| subject::tokens(rest).all(|token| !token.is_empty()))
                && slot.route.is_fresh(account, local, slot.shard)
        });
        slot.map(|slot| Rc::clone(&slot.route))
    }

    /// Puts it in the place of one with the same beginning, which is stale, or of the oldest.
    fn put(&mut self, new: Slot) -> Option<Slot> {
        let same = |slot: &Option<Slot>| {
            slot.as_ref()
                .is_some_and(|slot| slot.account == new.account && slot.subject == new.subject)
        };
        let at = self.slots.iter().position(same).unwrap_or_else(|| {
            self.next = (self.next + 1) % WAYS;
            self.next
        });
        self.slots[at].replace(new)
    }
}

/// The first `tokens` tokens with the separator after them.
fn beginning(subject: &[u8], tokens: usize) -> &[u8] {
    let mut separators = (0..subject.len()).filter(|&at| subject[at] == SEPARATOR);
    let end = separators
        .nth(tokens.saturating_sub(1))
        .map_or(subject.len(), |at| at + 1);
    &subject[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::account::Accounts;

    /// Which workers other than the first want a subject, as far as plain subscriptions go.
    fn wanted(account: &Account, subject: &str) -> u64 {
        let mut workers = 0;
        if subject.split('.').any(str::is_empty) {
            return 0;
        }
        account
            .interest
            .visit(subject.as_bytes(), |interest| workers |= interest.plain);
        workers & !1
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_is_worked_out(
            steps in prop::collection::vec(
                prop_oneof![
                    ("[ab*](\\.[ab*]){0,2}(\\.>)?", 1usize..4, any::<bool>()).prop_map(|(f, w, on)| (f, Some((w, on)))),
                    "[ab](\\.[abcd]?){0,4}".prop_map(|subject| (subject, None)),
                    "[ab](\\.[abcd]?){0,4}".prop_map(|subject| (subject, None)),
                ],
                1..80,
            ),
        ) {
            let accounts = Accounts::default();
            let account = accounts.global();
            let local = LocalInterest::new(0);
            let mut routes = RouteCache::new(64);
            for (text, change) in steps {
                match change {
                    Some((worker, on)) => account.interest.set_plain(text.as_bytes(), worker, on),
                    None => {
                        let route = routes.route(0, &account, &local, text.as_bytes());
                        prop_assert_eq!(route.workers, wanted(&account, &text), "{}", text);
                    }
                }
            }
        }
    }

    #[test]
    fn subjects_that_are_used_once_take_no_place() {
        let accounts = Accounts::default();
        let account = accounts.global();
        let local = LocalInterest::new(0);
        account.interest.set_plain(b"ack.*.>", 1, true);
        account.interest.set_plain(b"other", 2, true);
        let mut routes = RouteCache::new(64);
        for number in 0..10_000 {
            let subject = format!("ack.s.{number}.x");
            assert_eq!(routes.route(0, &account, &local, subject.as_bytes()).workers, 2);
        }
        let taken = routes.slots.iter().flatten().count();
        assert_eq!(taken, 0);
        for _ in 0..2 {
            routes.route(0, &account, &local, b"ack.s.again");
        }
        assert_eq!(routes.slots.iter().flatten().count(), 1);
        assert_eq!(beginning(b"a.b.c", 2), b"a.b.");
    }
}
