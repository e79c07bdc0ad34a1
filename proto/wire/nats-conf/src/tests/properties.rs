use proptest::prelude::*;

use super::Given;
use crate::{Map, Value, parse_bytes};

/// A document as its writer means it.
#[derive(Clone, Debug)]
enum Doc {
    Text(String),
    Switch(bool),
    Number(i64),
    List(Vec<Doc>),
    Map(Vec<(String, Doc)>),
}

fn key() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,8}".prop_filter("not a keyword", |key| key != "include")
}

fn doc() -> impl Strategy<Value = Doc> {
    let leaf = prop_oneof![
        "[^']{0,12}".prop_map(Doc::Text),
        any::<bool>().prop_map(Doc::Switch),
        any::<i64>().prop_map(Doc::Number),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Doc::List),
            prop::collection::btree_map(key(), inner, 0..5)
                .prop_map(|map| Doc::Map(map.into_iter().collect())),
        ]
    })
}

fn write(doc: &Doc, out: &mut String, separator: &str, end: &str) {
    match doc {
        // NUL ends a text, so it cannot stand in one.
        Doc::Text(text) => out.push_str(&format!("'{}'", text.replace('\0', ""))),
        Doc::Switch(on) => out.push_str(if *on { "on" } else { "False" }),
        Doc::Number(number) => out.push_str(&number.to_string()),
        Doc::List(docs) => {
            out.push('[');
            for doc in docs {
                write(doc, out, separator, end);
                out.push_str(end);
            }
            out.push_str(" ]");
        }
        Doc::Map(entries) => {
            out.push('{');
            for (key, doc) in entries {
                out.push_str(key);
                out.push_str(separator);
                write(doc, out, separator, end);
                out.push_str(end);
            }
            out.push('}');
        }
    }
}

fn same(doc: &Doc, value: &Value) -> bool {
    match (doc, value) {
        (Doc::Text(text), Value::String(value)) => text.replace('\0', "") == *value,
        (Doc::Switch(on), Value::Bool(value)) => on == value,
        (Doc::Number(number), Value::Integer(value)) => number == value,
        (Doc::List(docs), Value::Array(nodes)) => {
            docs.len() == nodes.len() && docs.iter().zip(nodes).all(|(doc, node)| same(doc, &node.value))
        }
        (Doc::Map(entries), Value::Map(map)) => same_map(entries, map),
        _ => false,
    }
}

fn same_map(entries: &[(String, Doc)], map: &Map) -> bool {
    entries.len() == map.len()
        && entries
            .iter()
            .all(|(key, doc)| map.get(key).is_some_and(|node| same(doc, &node.value)))
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        entries in prop::collection::btree_map(key(), doc(), 0..6),
        separator in prop::sample::select(vec![" = ", "=", ": ", " : ", " "]),
        end in prop::sample::select(vec!["\n", ", ", " # c\n", "\r\n", " // c\n"]),
    ) {
        let entries: Vec<_> = entries.into_iter().collect();
        let mut text = String::new();
        for (key, doc) in &entries {
            text.push_str(key);
            text.push_str(separator);
            write(doc, &mut text, separator, end);
            text.push('\n');
        }
        let map = parse_bytes(text.as_bytes(), "", &Given::default()).map_err(|error| {
            TestCaseError::fail(format!("{text:?}: {error}"))
        })?;
        prop_assert!(same_map(&entries, &map), "{text:?} gave {map:?}");
    }

    #[test]
    fn any_bytes_end_in_a_map_or_an_error(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_bytes(&text, "", &Given::default());
    }

    #[test]
    fn any_mix_of_the_grammar_ends_in_a_map_or_an_error(
        text in prop::collection::vec(
            prop::sample::select(vec![
                "a", "$a", "1", "-", "2016-", ".", "k", "=", ":", " ", "\n", "{", "}", "[", "]", ",", ";", "#", "//",
                "/", "'", "\"", "\\", "\\x4", "(", "\n)", "include ", "true", "\0", "é",
            ]),
            0..40,
        ),
    ) {
        let _ = parse_bytes(text.concat().as_bytes(), "", &Given::default());
    }
}
