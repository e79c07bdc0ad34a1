//! Every key that has a value, by its dotted path: what flags, variables and the reference go by.

use super::kind::{Kind, Value};
use super::schema::{Content, Entry};

/// One key with a value.
pub struct LeafInfo<'a> {
    /// Dotted path; keys of records have `[]` after the name of the list.
    pub path: String,
    pub doc: &'static str,
    pub flag: Option<&'static str>,
    pub kind: &'static Kind,
    pub unset: Option<&'static str>,
    pub default: &'a Value,
    /// It stands in a list, where no flag or variable reaches it.
    pub in_records: bool,
}

/// All keys with a value, in the order of the table.
pub fn leaves(entries: &[Entry]) -> Vec<LeafInfo<'_>> {
    let mut found = Vec::new();
    collect(entries, "", false, &mut found);
    found
}

fn collect<'a>(entries: &'a [Entry], path: &str, in_records: bool, found: &mut Vec<LeafInfo<'a>>) {
    for entry in entries {
        let path = if path.is_empty() {
            entry.name.to_owned()
        } else {
            format!("{path}.{}", entry.name)
        };
        match &entry.content {
            Content::Leaf {
                kind, unset, default, ..
            } => {
                let (doc, flag, kind, unset) = (entry.doc, entry.flag, *kind, *unset);
                found.push(LeafInfo {
                    path,
                    doc,
                    flag,
                    kind,
                    unset,
                    default,
                    in_records,
                });
            }
            Content::Section { entries, .. } => collect(entries, &path, in_records, found),
            Content::Records { sample, .. } => collect(sample, &format!("{path}[]"), true, found),
        }
    }
}

/// Name of the environment variable that overrides a key.
pub fn env_name(path: &str) -> String {
    format!("MAINSTEM_{}", path.to_uppercase().replace('.', "_"))
}
