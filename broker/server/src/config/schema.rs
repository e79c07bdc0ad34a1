//! How a table of keys describes a settings struct: names, documentation, types and where the values live.
//!
//! A [`Key`] is typed by the struct it belongs to, so the table reads and writes plain fields. [`entries`] turns
//! a table and its values into untyped [`Entry`]s, which printing, the reference, flags and environment share.

use super::kind::{Kind, Value};
use super::report::Report;
use super::suggest;
use super::yaml::{Body, Node};

/// One documented key of a section that is kept in a `T`.
pub struct Key<T: 'static> {
    pub name: &'static str,
    pub doc: &'static str,
    /// Command line flag without its dashes.
    pub flag: Option<&'static str>,
    pub shape: Shape<T>,
}

pub enum Shape<T: 'static> {
    Leaf(Leaf<T>),
    Tree(&'static dyn Tree<T>),
}

/// A key with one value.
pub struct Leaf<T> {
    pub kind: Kind,
    /// What it means that the key is not set; `None`: the key always has a value.
    pub unset: Option<&'static str>,
    pub field: Field<T>,
}

/// Where a value lives.
pub struct Field<T> {
    pub get: fn(&T) -> Value,
    pub set: fn(&mut T, Value),
}

/// A key with keys below it.
pub trait Tree<T>: Sync {
    fn read(&self, node: &Node, path: &str, into: &mut T, report: &mut Report);
    fn entry(&self, of: &T, default: &T) -> Content;
}

/// A section: a mapping kept in a `U`.
pub struct Section<T, U: 'static> {
    pub keys: &'static [Key<U>],
    /// `None`: the section is not there.
    pub get: fn(&T) -> Option<U>,
    pub put: fn(&mut T, U),
    pub fresh: fn() -> U,
}

/// A key of a record and what is wrong with it.
pub type WrongKey = (&'static str, String);

/// A list of mappings, each kept in a `U`.
pub struct Records<T, U: 'static> {
    pub keys: &'static [Key<U>],
    pub get: fn(&T) -> Vec<U>,
    /// Takes one record, or says which of its keys is wrong and why.
    pub push: fn(&mut T, U) -> Result<(), WrongKey>,
    pub fresh: fn() -> U,
}

/// A key with its current and its default value, of whatever type.
pub struct Entry {
    pub name: &'static str,
    pub doc: &'static str,
    pub flag: Option<&'static str>,
    pub content: Content,
}

pub enum Content {
    Leaf {
        kind: &'static Kind,
        unset: Option<&'static str>,
        value: Value,
        default: Value,
    },
    /// `present` is false for an optional section that is not there; its entries are defaults then.
    Section { present: bool, entries: Vec<Entry> },
    /// `sample` shows the keys of a record.
    Records {
        records: Vec<Vec<Entry>>,
        sample: Vec<Entry>,
    },
}

impl<T> Key<T> {
    /// A key that always has a value.
    pub const fn value(name: &'static str, kind: Kind, field: Field<T>, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            flag: None,
            shape: Shape::Leaf(Leaf {
                kind,
                unset: None,
                field,
            }),
        }
    }

    /// A key that need not be set; `unset` says what that means.
    pub const fn optional(
        name: &'static str,
        kind: Kind,
        field: Field<T>,
        unset: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            doc,
            flag: None,
            shape: Shape::Leaf(Leaf {
                kind,
                unset: Some(unset),
                field,
            }),
        }
    }

    /// A section or a list of records.
    pub const fn tree(name: &'static str, tree: &'static dyn Tree<T>, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            flag: None,
            shape: Shape::Tree(tree),
        }
    }

    /// Lets a flag of its own set the key.
    pub const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }
}

/// Every key with its value in `of` and in `default`.
pub fn entries<T>(keys: &'static [Key<T>], of: &T, default: &T) -> Vec<Entry> {
    let content = |shape: &'static Shape<T>| match shape {
        Shape::Tree(tree) => tree.entry(of, default),
        Shape::Leaf(leaf) => Content::Leaf {
            kind: &leaf.kind,
            unset: leaf.unset,
            value: (leaf.field.get)(of),
            default: (leaf.field.get)(default),
        },
    };
    let entry = |key: &'static Key<T>| Entry {
        name: key.name,
        doc: key.doc,
        flag: key.flag,
        content: content(&key.shape),
    };
    keys.iter().map(entry).collect()
}

/// Reads a mapping into `into`; `path` is the dotted path of the mapping, empty for the file itself.
pub fn read_section<T>(keys: &'static [Key<T>], node: &Node, path: &str, into: &mut T, report: &mut Report) {
    if node.is_null() {
        return;
    }
    let Body::Map(pairs) = &node.body else {
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        let text = format!(
            "{} is not a section; allowed: a mapping with the keys {}",
            found(node),
            names.join(", ")
        );
        return report.problem(&node.origin, path, text);
    };
    for (name, child) in pairs {
        let path = join(path, &name.text);
        match keys.iter().find(|key| key.name == name.text) {
            None => report.problem(&name.origin, path, unknown_key(keys, &name.text, report)),
            Some(Key {
                shape: Shape::Tree(tree),
                ..
            }) => {
                report.section_given(&path, &child.origin);
                tree.read(child, &path, into, report);
            }
            Some(Key {
                shape: Shape::Leaf(leaf),
                ..
            }) => {
                report.given(&path, &child.origin);
                read_leaf(leaf, child, &path, into, report);
            }
        }
    }
}

impl<T, U> Tree<T> for Section<T, U> {
    fn read(&self, node: &Node, path: &str, into: &mut T, report: &mut Report) {
        if node.is_null() {
            return;
        }
        let mut section = (self.get)(into).unwrap_or_else(self.fresh);
        read_section(self.keys, node, path, &mut section, report);
        (self.put)(into, section);
    }

    fn entry(&self, of: &T, default: &T) -> Content {
        let fresh = (self.get)(default).unwrap_or_else(self.fresh);
        let section = (self.get)(of);
        let entries = entries(self.keys, section.as_ref().unwrap_or(&fresh), &fresh);
        Content::Section {
            present: section.is_some(),
            entries,
        }
    }
}

impl<T, U> Tree<T> for Records<T, U> {
    fn read(&self, node: &Node, path: &str, into: &mut T, report: &mut Report) {
        if node.is_null() {
            return;
        }
        let Body::List(items) = &node.body else {
            let text = format!("{} is not a list; allowed: a list of mappings", found(node));
            return report.problem(&node.origin, path, text);
        };
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            report.given(&path, &item.origin);
            let problems = report.problem_count();
            let mut record = (self.fresh)();
            read_section(self.keys, item, &path, &mut record, report);
            // A record with a bad key lacks that key: what follows from the gap is no news.
            if report.problem_count() > problems {
                continue;
            }
            if let Err((key, text)) = (self.push)(into, record) {
                report.problem_of(&join(&path, key), text);
            }
        }
    }

    fn entry(&self, of: &T, _: &T) -> Content {
        let fresh = (self.fresh)();
        let records = (self.get)(of)
            .iter()
            .map(|record| entries(self.keys, record, &fresh))
            .collect();
        Content::Records {
            records,
            sample: entries(self.keys, &fresh, &fresh),
        }
    }
}

fn read_leaf<T>(leaf: &Leaf<T>, node: &Node, path: &str, into: &mut T, report: &mut Report) {
    match read_value(leaf, node) {
        Ok(value) => (leaf.field.set)(into, value),
        Err((node, wrong)) => {
            let mut allowed = leaf.kind.allowed();
            if leaf.unset.is_some() {
                allowed = format!("{allowed}, or {}", leaf.kind.unset_word());
            }
            report.problem(&node.origin, path, format!("{wrong}; allowed: {allowed}"));
        }
    }
}

fn read_value<'n, T>(leaf: &Leaf<T>, node: &'n Node) -> Result<Value, (&'n Node, String)> {
    let wrong_type = |node: &'n Node| (node, format!("{} is not a {}", found(node), leaf.kind.noun()));
    match (&node.body, &leaf.kind) {
        _ if node.is_null() && leaf.unset.is_some() => Ok(Value::Unset),
        (Body::Scalar { .. }, _) if node.is_null() => Err((node, "no value".to_owned())),
        (Body::Scalar { text, plain: true }, kind)
            if leaf.unset.is_some() && text == "off" && kind.unset_word() == "off" =>
        {
            Ok(Value::Unset)
        }
        // In a file a list is written as one; commas are for flags and variables.
        (Body::Scalar { .. }, Kind::Texts(_)) if node.is_in_file() => Err(wrong_type(node)),
        (Body::Scalar { text, .. }, kind) => kind.read(text).map_err(|wrong| (node, wrong)),
        (Body::List(items), Kind::Texts(rule)) => {
            let read = |item: &'n Node| match &item.body {
                Body::Scalar { text, .. } => rule.read(text).map_err(|wrong| (item, wrong)),
                _ => Err((item, format!("{} is not {}", found(item), rule.allowed))),
            };
            items.iter().map(read).collect::<Result<_, _>>().map(Value::Texts)
        }
        _ => Err(wrong_type(node)),
    }
}

fn unknown_key<T>(keys: &[Key<T>], name: &str, report: &Report) -> String {
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    if let Some(near) = suggest::nearest(name, names.iter().copied()) {
        return format!("unknown key; did you mean {near:?}?");
    }
    match report.keys_named(name).as_slice() {
        [] => format!("unknown key; allowed: {}", names.join(", ")),
        elsewhere => format!("unknown key; did you mean {}?", elsewhere.join(" or ")),
    }
}

fn found(node: &Node) -> String {
    match &node.body {
        Body::Scalar { text, .. } => format!("{text:?}"),
        Body::List(_) => "a list".to_owned(),
        Body::Map(_) => "a mapping".to_owned(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
