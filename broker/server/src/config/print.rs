//! The effective configuration as commented YAML, and the reference of all keys.

use std::fmt::Write as _;

use super::kind::{Kind, Value};
use super::leaves::{env_name, leaves};
use super::schema::{Content, Entry};

/// Longest comment line.
const WIDTH: usize = 100;

/// YAML that loads to the same options. Sections that are not there are shown as comments.
pub fn yaml(entries: &[Entry]) -> String {
    let mut printer = Printer {
        out: String::new(),
        depth: 0,
        commented_from: None,
        with_docs: true,
    };
    for entry in entries {
        printer.out.push('\n');
        printer.entry(entry);
    }
    printer.out.trim_start().to_owned()
}

/// All keys as a table in Markdown.
pub fn reference(entries: &[Entry]) -> String {
    let mut out =
        String::from("| key | value | default | flag and variable | meaning |\n|---|---|---|---|---|\n");
    for leaf in leaves(entries) {
        let unset = leaf
            .unset
            .map(|unset| format!(" `{}`: {unset}.", leaf.kind.unset_word()))
            .unwrap_or_default();
        let flag = leaf.flag.map(|flag| format!("`--{flag}` ")).unwrap_or_default();
        let variable = if leaf.in_records {
            String::new()
        } else {
            format!("`{}`", env_name(&leaf.path))
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | {}: {} | {} | {flag}{variable} | {}{unset} |",
            leaf.path,
            leaf.kind.noun(),
            leaf.kind.allowed(),
            default_of(leaf.kind, leaf.default),
            leaf.doc,
        );
    }
    out
}

fn default_of(kind: &Kind, default: &Value) -> String {
    match default {
        Value::Text(text) if text.is_empty() => String::new(),
        default => format!("`{}`", kind.print(default)),
    }
}

struct Printer {
    out: String,
    depth: usize,
    /// Depth at which everything became a comment.
    commented_from: Option<usize>,
    with_docs: bool,
}

impl Printer {
    fn entry(&mut self, entry: &Entry) {
        match &entry.content {
            Content::Leaf {
                kind,
                unset,
                value,
                default,
            } => {
                self.doc(entry.doc);
                self.bounds(kind, *unset, default);
                self.line(&format!("{}: {}", entry.name, kind.print(value)));
            }
            Content::Section { present, entries } => {
                self.doc(entry.doc);
                self.commented_unless(*present, |printer| {
                    printer.line(&format!("{}:", entry.name));
                    printer.indented(1, entries);
                });
            }
            Content::Records { records, sample } if records.is_empty() => {
                self.doc(entry.doc);
                self.commented_unless(false, |printer| {
                    printer.line(&format!("{}:", entry.name));
                    printer.record(sample);
                });
            }
            Content::Records { records, .. } => {
                self.doc(entry.doc);
                self.line(&format!("{}:", entry.name));
                let with_docs = self.with_docs;
                for record in records {
                    self.record(record);
                    // The first record has explained the keys.
                    self.with_docs = false;
                }
                self.with_docs = with_docs;
            }
        }
    }

    fn record(&mut self, entries: &[Entry]) {
        self.depth += 1;
        self.line("-");
        self.indented(1, entries);
        self.depth -= 1;
    }

    fn indented(&mut self, levels: usize, entries: &[Entry]) {
        self.depth += levels;
        for entry in entries {
            // Without its explanation, a section that is not there is noise.
            if self.with_docs || is_there(entry) {
                self.entry(entry);
            }
        }
        self.depth -= levels;
    }

    fn commented_unless(&mut self, present: bool, print: impl FnOnce(&mut Self)) {
        let outer = self.commented_from;
        if !present {
            self.commented_from = outer.or(Some(self.depth));
        }
        print(self);
        self.commented_from = outer;
    }

    fn doc(&mut self, text: &str) {
        if !self.with_docs {
            return;
        }
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && line.len() + word.len() + 2 * self.depth > WIDTH {
                self.comment(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.comment(&line);
    }

    fn bounds(&mut self, kind: &Kind, unset: Option<&str>, default: &Value) {
        let mut text = format!("{}: {}.", capitalized(kind.noun()), kind.allowed());
        if let Some(unset) = unset {
            let _ = write!(text, " {}: {unset}.", kind.unset_word());
        }
        if default != &Value::Text(String::new()) {
            let _ = write!(text, " Default {}.", kind.print(default));
        }
        self.doc(&text);
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {text}"));
    }

    fn line(&mut self, text: &str) {
        let from = self.commented_from.unwrap_or(self.depth);
        let mark = if self.commented_from.is_some() { "# " } else { "" };
        let _ = writeln!(
            self.out,
            "{:2$}{mark}{:3$}{text}",
            "",
            "",
            2 * from,
            2 * (self.depth - from)
        );
    }
}

fn is_there(entry: &Entry) -> bool {
    match &entry.content {
        Content::Leaf { .. } => true,
        Content::Section { present, .. } => *present,
        Content::Records { records, .. } => !records.is_empty(),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
