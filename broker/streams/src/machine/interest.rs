//! Which consumers of a stream want a subject.

use std::collections::BTreeSet;

use mainstem_core::interest::{Trie, Value};

use crate::command::ConsumerId;
use crate::matching::Filters;

/// The consumers that have a filter.
#[derive(Clone, Default)]
struct Ids(BTreeSet<ConsumerId>);

impl Value for Ids {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The filters of all consumers.
#[derive(Default)]
pub(crate) struct Interest(Trie<Ids>);

impl Interest {
    pub(crate) fn add(&mut self, id: ConsumerId, filters: &Filters) {
        for filter in each(filters) {
            self.0.update(filter, |ids| ids.0.insert(id));
        }
    }

    pub(crate) fn remove(&mut self, id: ConsumerId, filters: &Filters) {
        for filter in each(filters) {
            self.0.update(filter, |ids| ids.0.remove(&id));
        }
    }

    /// Some consumer for which `is_meant` wants the subject.
    pub(crate) fn is_any(&self, subject: &[u8], mut is_meant: impl FnMut(ConsumerId) -> bool) -> bool {
        let mut found = false;
        self.0.visit(subject, &mut |ids: &Ids| {
            found = found || ids.0.iter().any(|id| is_meant(*id));
        });
        found
    }
}

fn each(filters: &Filters) -> impl Iterator<Item = &[u8]> {
    let all = filters.is_all().then_some(&b">"[..]);
    all.into_iter().chain(filters.iter())
}
