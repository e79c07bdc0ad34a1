//! The table itself: complete, consistent, and equal to the reference that is kept beside the crate.

use std::collections::HashSet;

use crate::config::kind::{Kind, Value};
use crate::config::leaves::{env_name, leaves};
use crate::config::schema::{Content, Entry};
use crate::config::{default_entries, reference};

#[test]
fn every_key_is_documented_in_sentences() {
    fn check(entries: &[Entry]) {
        for entry in entries {
            let doc = entry.doc;
            assert!(
                doc.ends_with('.') && doc.len() > 10 && !doc.contains("  "),
                "{}: {doc:?}",
                entry.name
            );
            match &entry.content {
                Content::Leaf { .. } => {}
                Content::Section { entries, .. } => check(entries),
                Content::Records { sample, .. } => check(sample),
            }
        }
    }
    check(&default_entries());
}

#[test]
fn names_flags_and_variables_are_unique() {
    let entries = default_entries();
    let leaves = leaves(&entries);
    let unique = |names: Vec<String>| {
        let count = names.len();
        assert_eq!(names.into_iter().collect::<HashSet<_>>().len(), count);
    };
    unique(leaves.iter().map(|leaf| leaf.path.clone()).collect());
    unique(leaves.iter().map(|leaf| env_name(&leaf.path)).collect());
    unique(
        leaves
            .iter()
            .filter_map(|leaf| leaf.flag.map(str::to_owned))
            .collect(),
    );
}

#[test]
fn every_default_is_within_its_own_bounds() {
    for leaf in leaves(&default_entries()) {
        let required = *leaf.default == Value::Text(String::new());
        match leaf.default {
            _ if required => assert!(leaf.doc.contains("Required"), "{}", leaf.path),
            Value::Unset => assert!(leaf.unset.is_some(), "{}", leaf.path),
            Value::Texts(_) => {}
            Value::Text(text) => assert_eq!(leaf.kind.read(text).as_ref(), Ok(leaf.default), "{}", leaf.path),
            _ => assert_eq!(
                leaf.kind.read(&leaf.kind.print(leaf.default)).as_ref(),
                Ok(leaf.default),
                "{}",
                leaf.path
            ),
        }
    }
}

#[test]
fn bounds_can_be_met() {
    for leaf in leaves(&default_entries()) {
        if let Kind::Count { min, max }
        | Kind::Size { min, max }
        | Kind::Duration { min, max }
        | Kind::ChoiceOrDuration { min, max, .. } = leaf.kind
        {
            assert!(min < max, "{}", leaf.path);
        }
    }
}

#[test]
fn the_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/CONFIGURATION.md");
    let head = "# Configuration\n\nOne YAML file (`mainstem serve --config FILE`), overridden by variables \
                `MAINSTEM_<SECTION>_<KEY>`,\noverridden by flags. `--set KEY=VALUE` sets any key that is not in a list. \
                Every key has a default;\n`mainstem serve --print-config` prints the whole configuration as it is in \
                effect.\n\nThis page is what `mainstem help config` prints. After a change of the table, write it anew \
                with\n`UPDATE_REFERENCE=1 cargo test -p mainstem the_reference_is_current`.\n\n";
    let current = format!("{head}{}", reference());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == current,
        "CONFIGURATION.md is not what the table says"
    );
}
