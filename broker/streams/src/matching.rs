//! Filters of consumers and requests: which subjects match.

use bytes::Bytes;
pub use mainstem_core::subject::{collide, is_literal, is_subset, is_valid_filter, is_valid_literal, tokens};

/// A set of filters, of which one has to match. Empty, or with `>`: everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    filters: Box<[Bytes]>,
}

impl Filters {
    pub fn all() -> Self {
        Self::default()
    }

    pub fn new<F: AsRef<[u8]>>(filters: impl IntoIterator<Item = F>) -> Self {
        let filters: Vec<Bytes> = filters
            .into_iter()
            .map(|filter| Bytes::copy_from_slice(filter.as_ref()))
            .collect();
        if filters.iter().any(|filter| &filter[..] == b">") {
            return Self::all();
        }
        Self {
            filters: filters.into(),
        }
    }

    /// Everything matches.
    pub fn is_all(&self) -> bool {
        self.filters.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.filters.iter().map(|filter| &filter[..])
    }

    /// The one subject that matches, if there is no other.
    pub fn literal(&self) -> Option<&[u8]> {
        match &*self.filters {
            [one] if is_literal(one) => Some(one),
            _ => None,
        }
    }

    /// Some subjects match, and they are named.
    pub fn are_literal(&self) -> bool {
        !self.is_all() && self.iter().all(is_literal)
    }

    pub fn matches(&self, subject: &[u8]) -> bool {
        self.is_all() || self.filters.iter().any(|filter| matches(subject, filter))
    }
}

/// Whether a subject, which has no wildcards, matches a filter.
pub fn matches(subject: &[u8], filter: &[u8]) -> bool {
    let mut subject = tokens(subject);
    for token in tokens(filter) {
        let Some(given) = subject.next() else { return false };
        match token {
            b">" => return true,
            b"*" => {}
            _ if token != given => return false,
            _ => {}
        }
    }
    subject.next().is_none()
}

/// Some token is a wildcard.
pub fn has_wildcard(filter: &str) -> bool {
    !is_literal(filter.as_bytes())
}

/// Some subject is matched by both filters.
pub fn overlap(one: &str, other: &str) -> bool {
    collide(one.as_bytes(), other.as_bytes())
}

/// What all subjects that match a filter begin with: its tokens before the first wildcard.
pub fn literal_prefix(filter: &[u8]) -> &[u8] {
    let mut end = 0;
    for token in tokens(filter) {
        if token == b"*" || token == b">" {
            return &filter[..end];
        }
        end = (end + token.len() + 1).min(filter.len());
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_match_filters() {
        for (subject, filter, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.*", true),
            ("a.b", "a.>", true),
            ("a.b", ">", true),
            ("a", "a.>", false),
            ("a.b.c", "a.*", false),
            ("a.b.c", "*.b.>", true),
            ("a.*", "a.b", false),
        ] {
            assert_eq!(
                matches(subject.as_bytes(), filter.as_bytes()),
                expected,
                "{subject} {filter}"
            );
        }
    }

    #[test]
    fn prefixes_end_before_the_first_wildcard() {
        for (filter, prefix) in [
            ("a.b", "a.b"),
            ("a.*.c", "a."),
            (">", ""),
            ("a.>", "a."),
            ("*.a", ""),
        ] {
            assert_eq!(literal_prefix(filter.as_bytes()), prefix.as_bytes(), "{filter}");
        }
    }

    #[test]
    fn a_full_wildcard_makes_a_set_match_everything() {
        let filters = Filters::new(["a.b", ">"]);
        assert!(filters.is_all() && filters.matches(b"x"));
        assert_eq!(Filters::new(["a.b"]).literal(), Some(&b"a.b"[..]));
        assert_eq!(Filters::new(["a.*"]).literal(), None);
    }
}
