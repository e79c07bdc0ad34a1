//! What a user may do, compiled for fast answers.

use crate::config::{Permissions as Config, ResponsePermission};
use crate::interest::{Trie, Value};
use crate::subject;

/// Compiled permissions of one user; shared by its connections.
pub struct Permissions {
    publish_allow: Option<SubjectSet>,
    publish_deny: Option<SubjectSet>,
    subscribe_allow: Option<SubjectSet>,
    subscribe_deny: Option<SubjectSet>,
    deny_filters: Vec<String>,
    responses: Option<ResponsePermission>,
}

impl Permissions {
    pub fn compile(config: &Config) -> Self {
        let publish = &config.publish;
        // As nats-server: who may only answer may publish nothing else.
        let only_answers =
            config.allow_responses.is_some() && publish.allow.is_none() && publish.deny.is_empty();
        let allow = if only_answers {
            Some(&[][..])
        } else {
            publish.allow.as_deref()
        };
        Self {
            publish_allow: allow.map(SubjectSet::new),
            publish_deny: SubjectSet::unless_empty(&config.publish.deny),
            // As nats-server: an empty list of allowed subscriptions is no list.
            subscribe_allow: config
                .subscribe
                .allow
                .as_deref()
                .and_then(SubjectSet::unless_empty),
            subscribe_deny: SubjectSet::unless_empty(&config.subscribe.deny),
            deny_filters: config
                .subscribe
                .deny
                .iter()
                .filter_map(|entry| Some(split_queue(entry)?.0.to_owned()))
                .collect(),
            responses: config.allow_responses,
        }
    }

    /// Publishing is restricted at all.
    pub fn restricts_publish(&self) -> bool {
        self.publish_allow.is_some() || self.publish_deny.is_some()
    }

    /// The user may publish to `subject` (answers to requests aside).
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        self.publish_allow
            .as_ref()
            .is_none_or(|allow| allow.holds(subject))
            && !self.publish_deny.as_ref().is_some_and(|deny| deny.holds(subject))
    }

    /// The user may subscribe to `filter`, as a member of `queue` if there is one.
    pub fn may_subscribe(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        if let Some(allow) = &self.subscribe_allow {
            let found = allow.covering(filter);
            let allowed = match queue {
                Some(queue) if !found.queues.is_empty() => matches_queue(queue, &found.queues),
                _ => found.plain,
            };
            if !allowed {
                return false;
            }
        }
        !self.subscription_denied(filter, queue)
    }

    /// A message on `subject` must not reach a subscription of this user, though its filter was allowed.
    pub fn denies_delivery(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        self.subscription_denied(subject, queue)
    }

    /// Deliveries to this subscription have to be checked one by one: a denied subject may hide behind its filter.
    pub fn needs_delivery_check(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        (queue.is_some() || !subject::is_literal(filter))
            && self
                .deny_filters
                .iter()
                .any(|deny| subject::collide(deny.as_bytes(), filter))
    }

    /// Bounds of `allow_responses`, where the user has it.
    pub fn responses(&self) -> Option<ResponsePermission> {
        self.responses
    }

    fn subscription_denied(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(deny) = &self.subscribe_deny else {
            return false;
        };
        let found = deny.lookup(subject);
        found.plain
            || queue.is_some_and(|queue| !found.queues.is_empty() && matches_queue(queue, &found.queues))
    }
}

/// The subject and the queue of a permission entry; `None`: it names more than two things, or nothing.
fn split_queue(entry: &str) -> Option<(&str, Option<&str>)> {
    let mut parts = entry.split_ascii_whitespace();
    let (subject, queue) = (parts.next()?, parts.next());
    parts.next().is_none().then_some((subject, queue))
}

fn matches_queue(queue: &[u8], patterns: &[&str]) -> bool {
    patterns
        .iter()
        .any(|pattern| queue == pattern.as_bytes() || subject::is_subset(queue, pattern.as_bytes()))
}

/// Nothing matches such a subject.
fn has_empty_token(subject: &[u8]) -> bool {
    subject::tokens(subject).any(<[u8]>::is_empty)
}

/// A set of filters, some of them for queue groups only.
struct SubjectSet {
    trie: Trie<Entries>,
    filters: Vec<(String, Option<String>)>,
}

#[derive(Clone, Default)]
struct Entries {
    plain: bool,
    queues: Vec<String>,
}

impl Value for Entries {
    fn is_empty(&self) -> bool {
        !self.plain && self.queues.is_empty()
    }
}

/// What a set says about a subject.
#[derive(Default)]
struct Lookup<'a> {
    plain: bool,
    queues: Vec<&'a str>,
}

impl SubjectSet {
    fn new(entries: &[String]) -> Self {
        let mut trie = Trie::default();
        let mut filters = Vec::new();
        for (subject, queue) in entries.iter().filter_map(|entry| split_queue(entry)) {
            if !subject::is_insertable(subject.as_bytes()) {
                continue;
            }
            trie.update(subject.as_bytes(), |here: &mut Entries| match queue {
                Some(queue) => here.queues.push(queue.to_owned()),
                None => here.plain = true,
            });
            filters.push((subject.to_owned(), queue.map(str::to_owned)));
        }
        Self { trie, filters }
    }

    fn unless_empty(entries: impl AsRef<[String]>) -> Option<Self> {
        let entries = entries.as_ref();
        (!entries.is_empty()).then(|| Self::new(entries))
    }

    fn holds(&self, subject: &[u8]) -> bool {
        if has_empty_token(subject) {
            return false;
        }
        let mut found = false;
        self.trie.visit(subject, &mut |entries| found |= entries.plain);
        found
    }

    fn lookup(&self, subject: &[u8]) -> Lookup<'_> {
        let mut found = Lookup::default();
        if has_empty_token(subject) {
            return found;
        }
        self.trie.visit(subject, &mut |entries: &Entries| {
            found.plain |= entries.plain;
            found.queues.extend(entries.queues.iter().map(String::as_str));
        });
        found
    }

    /// As `lookup`, for a filter: an entry counts only when it covers all that the filter matches. (In the trie a
    /// `*` would take a `>` for a token, and let `a.*` allow `a.>`.)
    fn covering(&self, filter: &[u8]) -> Lookup<'_> {
        if !filter.ends_with(b">") {
            return self.lookup(filter);
        }
        let mut found = Lookup::default();
        for (entry, queue) in &self.filters {
            if subject::is_subset(filter, entry.as_bytes()) {
                match queue {
                    Some(queue) => found.queues.push(queue),
                    None => found.plain = true,
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SubjectPermission;

    fn compile(allow: Option<&[&str]>, deny: &[&str]) -> Permissions {
        let list = |entries: &[&str]| {
            entries
                .iter()
                .map(|entry| (*entry).to_owned())
                .collect::<Vec<_>>()
        };
        let side = SubjectPermission {
            allow: allow.map(list),
            deny: list(deny),
        };
        Permissions::compile(&Config {
            publish: side.clone(),
            subscribe: side,
            allow_responses: None,
        })
    }

    #[test]
    fn publish() {
        let user = compile(Some(&["a.*", "b"]), &["a.secret"]);
        assert!(user.may_publish(b"a.x") && user.may_publish(b"b"));
        assert!(!user.may_publish(b"a.secret") && !user.may_publish(b"c"));
        assert!(!compile(Some(&[]), &[]).may_publish(b"a"));
        assert!(compile(None, &[]).may_publish(b"a"));
    }

    #[test]
    fn one_token_allowed_is_not_all_below_allowed() {
        let user = compile(Some(&["a.*"]), &[]);
        assert!(user.may_subscribe(b"a.*", None) && user.may_subscribe(b"a.b", None));
        assert!(!user.may_subscribe(b"a.>", None));
    }

    #[test]
    fn queues() {
        let user = compile(Some(&["foo v1", "bar", "bar v2.*", "baz >"]), &["> prod"]);
        assert!(user.may_subscribe(b"foo", Some(b"v1")));
        assert!(!user.may_subscribe(b"foo", None));
        assert!(!user.may_subscribe(b"foo", Some(b"v2")));
        assert!(user.may_subscribe(b"bar", None));
        assert!(user.may_subscribe(b"bar", Some(b"v2.x")));
        assert!(!user.may_subscribe(b"bar", Some(b"other")));
        assert!(user.may_subscribe(b"baz", Some(b"any")));
        assert!(!user.may_subscribe(b"baz", Some(b"prod")));
    }

    #[test]
    fn wildcards_are_narrowed_by_deny() {
        let user = compile(None, &["a.secret", "q.x grp"]);
        assert!(user.may_subscribe(b"a.*", None));
        assert!(user.needs_delivery_check(b"a.*", None));
        assert!(!user.needs_delivery_check(b"a.b", None));
        assert!(user.denies_delivery(b"a.secret", None));
        assert!(!user.denies_delivery(b"a.b", None));
        assert!(user.needs_delivery_check(b"q.*", Some(b"grp")));
        assert!(user.denies_delivery(b"q.x", Some(b"grp")));
        assert!(!user.denies_delivery(b"q.x", Some(b"other")));
    }
}
