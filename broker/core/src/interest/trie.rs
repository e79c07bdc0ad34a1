//! A persistent trie of filters.
//!
//! One implementation serves both levels of interest: whoever holds the only reference changes it in place, and
//! whoever shares it with readers copies the path from the root (`Arc::make_mut` on the way down does either).

use std::sync::Arc;

use super::children::Children;
use crate::subject;

/// What stands at a filter.
pub trait Value: Clone + Default {
    /// Nothing is left here: the path may be pruned.
    fn is_empty(&self) -> bool;
}

/// Filters and what stands at them.
#[derive(Clone)]
pub struct Trie<V> {
    root: Arc<Node<V>>,
}

/// One token of a filter. `>` is not a node: it is a value of its parent.
#[derive(Clone)]
pub(super) struct Node<V> {
    pub(super) token: Arc<[u8]>,
    pub(super) hash: u64,
    children: Children<V>,
    star: Option<Arc<Node<V>>>,
    here: Option<Arc<V>>,
    below: Option<Arc<V>>,
}

impl<V> Node<V> {
    pub(super) fn new(token: &[u8], hash: u64) -> Self {
        Self {
            token: Arc::from(token),
            hash,
            children: Children::new(),
            star: None,
            here: None,
            below: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_none() && self.below.is_none() && self.star.is_none() && self.children.is_empty()
    }
}

impl<V: Value> Default for Trie<V> {
    fn default() -> Self {
        Self {
            root: Arc::new(Node::new(b"", 0)),
        }
    }
}

impl<V: Value> Trie<V> {
    /// Changes what stands at `filter`, which must be insertable; the path is made or pruned as needed.
    pub fn update<R>(&mut self, filter: &[u8], change: impl FnOnce(&mut V) -> R) -> R {
        debug_assert!(subject::is_insertable(filter), "filter {filter:?}");
        let mut tokens = subject::tokens(filter).peekable();
        update(Arc::make_mut(&mut self.root), &mut tokens, change)
    }

    /// Visits what stands at every filter that matches `subject`. Returns how many of its tokens decided about that:
    /// all subjects that begin with these, and have more, match the same filters.
    pub fn visit<'t>(&'t self, subject: &[u8], visit: &mut impl FnMut(&'t V)) -> usize {
        visit_node(&self.root, subject::tokens(subject), 0, visit)
    }

    /// What stands at exactly this filter.
    pub fn get(&self, filter: &[u8]) -> Option<&V> {
        let mut node = &*self.root;
        let mut tokens = subject::tokens(filter).peekable();
        while let Some(token) = tokens.next() {
            node = match token {
                b">" if tokens.peek().is_none() => return node.below.as_deref(),
                b"*" => node.star.as_deref()?,
                _ => node.children.get(token)?,
            };
        }
        node.here.as_deref()
    }
}

fn update<'a, V: Value, R>(
    node: &mut Node<V>,
    tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a [u8]>>,
    change: impl FnOnce(&mut V) -> R,
) -> R {
    let Some(token) = tokens.next() else {
        return update_value(&mut node.here, change);
    };
    match token {
        b">" if tokens.peek().is_none() => update_value(&mut node.below, change),
        b"*" => {
            let star = node.star.get_or_insert_with(|| Arc::new(Node::new(b"*", 0)));
            let result = update(Arc::make_mut(star), tokens, change);
            if star.is_empty() {
                node.star = None;
            }
            result
        }
        _ => {
            let child = node.children.get_or_insert(token);
            let result = update(child, tokens, change);
            if child.is_empty() {
                node.children.remove(token);
            }
            result
        }
    }
}

fn update_value<V: Value, R>(place: &mut Option<Arc<V>>, change: impl FnOnce(&mut V) -> R) -> R {
    let value = Arc::make_mut(place.get_or_insert_default());
    let result = change(value);
    if value.is_empty() {
        *place = None;
    }
    result
}

fn visit_node<'t, 'a, V: Value>(
    node: &'t Node<V>,
    mut tokens: impl Iterator<Item = &'a [u8]> + Clone,
    depth: usize,
    visit: &mut impl FnMut(&'t V),
) -> usize {
    let Some(token) = tokens.next() else {
        if let Some(value) = &node.here {
            visit(value);
        }
        return depth;
    };
    if let Some(value) = &node.below {
        visit(value);
    }
    if node.star.is_none() && node.children.is_empty() {
        return depth;
    }
    let mut decisive = depth + 1;
    if let Some(child) = node.children.get(token) {
        decisive = decisive.max(visit_node(child, tokens.clone(), depth + 1, visit));
    }
    if let Some(star) = &node.star {
        decisive = decisive.max(visit_node(star, tokens, depth + 1, visit));
    }
    decisive
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::subject::is_subset;

    #[derive(Clone, Default, Debug, PartialEq)]
    struct Ids(Vec<u32>);

    impl Value for Ids {
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn matches(trie: &Trie<Ids>, subject: &str) -> Vec<u32> {
        let mut found = Vec::new();
        trie.visit(subject.as_bytes(), &mut |ids| found.extend_from_slice(&ids.0));
        found.sort_unstable();
        found
    }

    #[test]
    fn wildcards_match() {
        let mut trie = Trie::default();
        for (id, filter) in ["a.b", "a.*", "a.>", ">", "*", "*.b", "a"].iter().enumerate() {
            trie.update(filter.as_bytes(), |ids: &mut Ids| ids.0.push(id as u32));
        }
        assert_eq!(matches(&trie, "a.b"), [0, 1, 2, 3, 5]);
        assert_eq!(matches(&trie, "a"), [3, 4, 6]);
        assert_eq!(matches(&trie, "a.b.c"), [2, 3]);
        assert_eq!(trie.get(b"a.>").map(|ids| ids.0.clone()), Some(vec![2]));
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut trie = Trie::default();
        for id in 0..5000 {
            trie.update(format!("a.{id}.c").as_bytes(), |ids: &mut Ids| ids.0.push(id));
        }
        let old = trie.clone();
        trie.update(b"a.7.c", |ids| ids.0.clear());
        trie.update(b"a.7.*", |ids| ids.0.push(1));
        assert_eq!(matches(&old, "a.7.c"), [7]);
        assert_eq!(matches(&trie, "a.7.c"), [1]);
        assert_eq!(matches(&trie, "a.4999.c"), [4999]);
    }

    fn filter() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("c"), Just("*")];
        (proptest::collection::vec(token, 1..4), any::<bool>()).prop_map(|(mut tokens, full)| {
            if full {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    proptest! {
        #[test]
        fn agrees_with_a_list_of_filters(
            steps in proptest::collection::vec((filter(), 0u32..3, any::<bool>()), 0..60),
            subjects in proptest::collection::vec("[abc](\\.[abc]){0,3}", 8),
        ) {
            let mut trie = Trie::default();
            let mut model: BTreeMap<(String, u32), ()> = BTreeMap::new();
            for (filter, id, insert) in steps {
                trie.update(filter.as_bytes(), |ids: &mut Ids| {
                    ids.0.retain(|have| *have != id);
                    if insert {
                        ids.0.push(id);
                    }
                });
                if insert { model.insert((filter, id), ()); } else { model.remove(&(filter, id)); }
            }
            for subject in subjects {
                let mut expected: Vec<u32> = model.keys()
                    .filter(|(filter, _)| is_subset(subject.as_bytes(), filter.as_bytes()))
                    .map(|(_, id)| *id).collect();
                expected.sort_unstable();
                prop_assert_eq!(matches(&trie, &subject), expected.clone());
                let decisive = trie.visit(subject.as_bytes(), &mut |_| {});
                let tokens: Vec<&str> = subject.split('.').collect();
                if decisive < tokens.len() {
                    let first = tokens[..decisive].join(".");
                    for rest in ["a", "zz", "b.c.zz.a"] {
                        let other = [&first, rest].into_iter().filter(|part| !part.is_empty());
                        let other = other.map(ToString::to_string).collect::<Vec<_>>().join(".");
                        prop_assert_eq!(matches(&trie, &other), expected.clone());
                    }
                }
            }
            for (filter, id) in model.keys() {
                trie.update(filter.as_bytes(), |ids| ids.0.retain(|have| have != id));
            }
            prop_assert!(trie.root.is_empty());
        }
    }
}
