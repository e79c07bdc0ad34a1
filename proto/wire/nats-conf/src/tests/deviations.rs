use std::path::Path;

use super::{Given, error, json, parse_with};
use crate::{Source, limits, parse_bytes, parse_file};

#[test]
fn a_bracket_ends_a_number_in_an_array() {
    assert_eq!(json("a = [1]\nb = [1,2k]"), r#"{"a":[1],"b":[1,2000]}"#);
    assert_eq!(json("a = 4222]"), r#"{"a":"4222]"}"#);
}

#[test]
fn odd_suffixes_and_overflow_are_refused() {
    assert_eq!(error("a = 1kbb"), "integer '1kbb' has an unknown suffix");
    assert_eq!(error("a = 19e"), "integer '19e' is out of the range");
}

#[test]
fn a_raw_block_at_the_end_has_no_parenthesis() {
    assert_eq!(json("a (\nx\n)"), r#"{"a":"\nx\n"}"#);
}

#[test]
fn text_that_is_cut_off_or_no_utf8_is_refused() {
    assert_eq!(error("a = ['x', \""), "Parse error on line 1: 'Unexpected EOF.'");
    let latin1 = parse_bytes(b"# \xe9\na = b\n", "", &Given::default());
    assert!(latin1.is_ok(), "comments may hold anything");
    let refused = parse_bytes(b"a = \xe9", "", &Given::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Parse error on line 1: 'String is not valid UTF-8.'"
    );
    assert_eq!(
        error(r"a = \xe9"),
        "Parse error on line 1: 'String is not valid UTF-8.'"
    );
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("a = {}1{}", "{b = ".repeat(depth), "}".repeat(depth));
    assert!(parse_with(&nested(60), &Given::default()).is_ok());
    assert!(error(&nested(100_000)).contains("maps and arrays in each other"));
    assert!(error(&format!("a = {}", "[".repeat(100_000))).contains("maps and arrays in each other"));
}

#[test]
fn includes_are_bounded() {
    let cycle = Given::files(&[("a.conf", "include a.conf")]);
    assert!(
        parse_file("a.conf", &cycle)
            .unwrap_err()
            .to_string()
            .contains("includes in includes")
    );
    struct Fan;
    impl Source for Fan {
        fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
            let name = path.display().to_string();
            Ok(if name.len() > 8 {
                Vec::new()
            } else {
                format!("include {name}a\n").repeat(50).into_bytes()
            })
        }
        fn variable(&self, _name: &str) -> Option<String> {
            None
        }
    }
    assert!(
        parse_file("f", &Fan)
            .unwrap_err()
            .to_string()
            .contains("files, at most")
    );
}

#[test]
fn variables_copy_no_more_than_the_limit() {
    let doubling: String = (1..64)
        .map(|n| format!("v{n} = [$v{0}, $v{0}, $v{0}, $v{0}]\n", n - 1))
        .collect();
    let text = format!("v0 = [1, 2, 3, 4]\n{doubling}");
    assert!(error(&text).contains(&limits::MAX_COPIED_BYTES.to_string()));
}
