//! Which streams there are, by account and name, and which subjects they capture.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::command::StreamId;
use crate::config::StreamConfig;
use crate::matching;

/// A stream's place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) id: StreamId,
    pub(crate) account: Arc<str>,
    /// The group that holds its data.
    pub(crate) group: u32,
    pub(crate) created_ns: u64,
    pub(crate) config: Arc<StreamConfig>,
}

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_id: BTreeMap<u64, Arc<Placed>>,
    accounts: HashMap<Arc<str>, Account>,
}

#[derive(Debug, Default)]
struct Account {
    names: BTreeMap<Box<str>, StreamId>,
    /// Subjects without wildcards.
    literals: HashMap<Box<str>, StreamId>,
    wildcards: Vec<(Box<str>, StreamId)>,
}

impl Names {
    pub(crate) fn get(&self, id: StreamId) -> Option<Arc<Placed>> {
        self.by_id.get(&id.0).cloned()
    }

    pub(crate) fn find(&self, account: &str, name: &str) -> Option<Arc<Placed>> {
        let id = self.accounts.get(account)?.names.get(name)?;
        self.get(*id)
    }

    pub(crate) fn count(&self, account: &str) -> usize {
        self.accounts
            .get(account)
            .map_or(0, |account| account.names.len())
    }

    pub(crate) fn accounts(&self) -> Vec<Arc<str>> {
        self.accounts.keys().cloned().collect()
    }

    /// All streams, in the order of their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Placed>> {
        self.by_id.values()
    }

    /// The streams of an account, in the order of their names.
    pub(crate) fn of_account<'a>(&'a self, account: &str) -> impl Iterator<Item = &'a Arc<Placed>> {
        self.accounts
            .get(account)
            .into_iter()
            .flat_map(|account| account.names.values())
            .filter_map(|id| self.by_id.get(&id.0))
    }

    /// Another stream than `but` captures something of `subjects`.
    pub(crate) fn overlaps(&self, account: &str, subjects: &[Box<str>], but: Option<StreamId>) -> bool {
        let Some(account) = self.accounts.get(account) else {
            return false;
        };
        subjects.iter().any(|subject| account.overlaps(subject, but))
    }

    pub(crate) fn insert(&mut self, placed: Arc<Placed>) {
        self.remove(placed.id);
        let account = self.accounts.entry(Arc::clone(&placed.account)).or_default();
        account.names.insert(Box::from(&*placed.config.name), placed.id);
        for subject in &placed.config.subjects {
            match matching::has_wildcard(subject) {
                true => account.wildcards.push((subject.clone(), placed.id)),
                false => drop(account.literals.insert(subject.clone(), placed.id)),
            }
        }
        self.by_id.insert(placed.id.0, placed);
    }

    pub(crate) fn remove(&mut self, id: StreamId) -> Option<Arc<Placed>> {
        let placed = self.by_id.remove(&id.0)?;
        if let Some(account) = self.accounts.get_mut(&placed.account) {
            account.names.remove(&*placed.config.name);
            for subject in &placed.config.subjects {
                if account.literals.get(subject) == Some(&id) {
                    account.literals.remove(subject);
                }
            }
            account.wildcards.retain(|(_, of)| *of != id);
            if account.names.is_empty() {
                self.accounts.remove(&placed.account);
            }
        }
        Some(placed)
    }
}

impl Account {
    fn overlaps(&self, subject: &str, but: Option<StreamId>) -> bool {
        let other = |id: &StreamId| but != Some(*id);
        if self
            .wildcards
            .iter()
            .any(|(wildcard, id)| other(id) && matching::overlap(wildcard, subject))
        {
            return true;
        }
        match matching::has_wildcard(subject) {
            false => self.literals.get(subject).is_some_and(other),
            true => self
                .literals
                .iter()
                .any(|(literal, id)| other(id) && matching::overlap(subject, literal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(id: u64, name: &str, subjects: &[&str]) -> Arc<Placed> {
        Arc::new(Placed {
            id: StreamId(id),
            account: Arc::from("A"),
            group: 1,
            created_ns: 0,
            config: Arc::new(StreamConfig {
                name: name.into(),
                subjects: subjects.iter().map(|subject| Box::from(*subject)).collect(),
                ..StreamConfig::default()
            }),
        })
    }

    fn overlaps(names: &Names, subject: &str, but: Option<u64>) -> bool {
        names.overlaps("A", &[subject.into()], but.map(StreamId))
    }

    #[test]
    fn subjects_of_other_streams_overlap() {
        let mut names = Names::default();
        names.insert(placed(1, "one", &["a.b", "c.*"]));
        assert!(overlaps(&names, "a.b", None));
        assert!(overlaps(&names, "a.*", None));
        assert!(overlaps(&names, "c.d", None));
        assert!(overlaps(&names, "c.>", None));
        assert!(!overlaps(&names, "a.c", None));
        assert!(!overlaps(&names, "a.b", Some(1)));
        assert!(!names.overlaps("B", &["a.b".into()], None));
    }

    #[test]
    fn what_a_stream_no_longer_captures_is_free() {
        let mut names = Names::default();
        names.insert(placed(1, "one", &["a", "b.>"]));
        names.insert(placed(1, "one", &["c"]));
        assert!(!overlaps(&names, "a", None) && !overlaps(&names, "b.c", None));
        assert!(overlaps(&names, "c", None));
        names.remove(StreamId(1));
        assert!(!overlaps(&names, "c", None));
        assert_eq!(names.count("A"), 0);
        assert!(names.accounts().is_empty());
    }
}
