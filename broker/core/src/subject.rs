//! Subjects and filters: what is valid, and what matches.
//!
//! A subject is a list of tokens with dots between them. A filter may hold `*` (one token) and, last, `>`
//! (one token or more). Bytes are compared as they are.

/// Separates tokens.
pub const SEPARATOR: u8 = b'.';

/// The tokens of a subject or filter.
#[inline]
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    subject.split(|&byte| byte == SEPARATOR)
}

/// No empty token, no blank or line end, `>` only in the last place.
pub fn is_valid_filter(filter: &[u8]) -> bool {
    if filter
        .iter()
        .any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0c))
    {
        return false;
    }
    is_insertable(filter)
}

/// Tokens of a filter at most: a trie descends one call a token.
pub const MAX_TOKENS: usize = 2048;

/// What can stand in a trie: no empty token, `>` only in the last place, [`MAX_TOKENS`] tokens at most.
pub fn is_insertable(filter: &[u8]) -> bool {
    let mut after_full_wildcard = false;
    for (index, token) in tokens(filter).enumerate() {
        if index >= MAX_TOKENS || token.is_empty() || after_full_wildcard {
            return false;
        }
        after_full_wildcard = token == b">";
    }
    true
}

/// A valid filter without wildcards.
pub fn is_valid_literal(subject: &[u8]) -> bool {
    is_valid_filter(subject) && is_literal(subject)
}

/// No token is a wildcard.
pub fn is_literal(subject: &[u8]) -> bool {
    tokens(subject).all(|token| token != b"*" && token != b">")
}

/// Every subject that `narrow` matches is matched by `wide`.
pub fn is_subset(narrow: &[u8], wide: &[u8]) -> bool {
    let mut narrow = tokens(narrow);
    for wide in tokens(wide) {
        let Some(token) = narrow.next() else { return false };
        match wide {
            b">" => return true,
            b"*" if token == b">" => return false,
            b"*" => {}
            _ if token != wide => return false,
            _ => {}
        }
    }
    narrow.next().is_none()
}

/// Some subject is matched by both filters.
pub fn collide(one: &[u8], other: &[u8]) -> bool {
    let (mut ones, mut others) = (tokens(one), tokens(other));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(a), Some(b)) if a != b && a != b"*" && b != b"*" => return false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity() {
        for good in ["a", "a.b", "a.*", "a.>", ">", "*", "a*", "a.b>"] {
            assert!(is_valid_filter(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b", "a b", "a\tb"] {
            assert!(!is_valid_filter(bad.as_bytes()), "{bad}");
        }
        assert!(is_valid_literal(b"a.b*"));
        assert!(!is_valid_literal(b"a.*"));
    }

    #[test]
    fn subsets_and_collisions() {
        for (narrow, wide, subset, both) in [
            ("a.b", "a.b", true, true),
            ("a.b", "a.*", true, true),
            ("a.b", ">", true, true),
            ("a.*", "a.b", false, true),
            ("a.>", "a.*", false, true),
            ("a.*", "a.>", true, true),
            ("a", "a.>", false, false),
            ("a.b.c", "a.*", false, false),
            ("*.b", "a.*", false, true),
            ("x", "y", false, false),
        ] {
            assert_eq!(
                is_subset(narrow.as_bytes(), wide.as_bytes()),
                subset,
                "{narrow} in {wide}"
            );
            assert_eq!(
                collide(narrow.as_bytes(), wide.as_bytes()),
                both,
                "{narrow} and {wide}"
            );
        }
    }
}
