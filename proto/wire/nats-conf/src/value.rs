use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A place in a file, counted as nats-server counts: lines from 1, columns from 0 on the first line and from 1 on
/// all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Path as given to the parser; empty for text that came from no file.
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    /// In a map, where the key stands; in an array, where the value stands (a map or an array: where it ends).
    pub at: Position,
    /// The key was used as a `$variable`, so it need not be a key that anyone knows.
    pub is_variable: bool,
}

/// A value as the grammar tells them apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    String(String),
    Bool(bool),
    /// A whole number, its suffix applied.
    Integer(i64),
    Float(f64),
    /// A date and time in full Zulu form, checked: `2006-01-02T15:04:05Z`.
    Datetime(String),
    Array(Vec<Node>),
    Map(Map),
}

impl Value {
    /// Rough size in memory, to bound what variables may copy.
    pub(crate) fn size_bytes(&self) -> usize {
        let own = size_of::<Node>();
        match self {
            Self::String(text) | Self::Datetime(text) => own + text.len(),
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) => own,
            Self::Array(nodes) => own + nodes.iter().map(|node| node.value.size_bytes()).sum::<usize>(),
            Self::Map(map) => {
                own + map
                    .iter()
                    .map(|(key, node)| key.len() + node.value.size_bytes())
                    .sum::<usize>()
            }
        }
    }
}

/// Keys and values in the order in which the keys were first seen. A key that comes again replaces its value.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<(String, Node)>,
    places: HashMap<String, usize>,
}

impl Map {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of exactly this key (nats-server's readers ignore case; a reader here has to do so itself).
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.places.get(key).map(|&place| &self.entries[place].1)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.places.get(key).map(|&place| &mut self.entries[place].1)
    }

    pub(crate) fn insert(&mut self, key: String, node: Node) {
        match self.places.get(&key) {
            Some(&place) => self.entries[place].1 = node,
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, node));
            }
        }
    }

    /// Keys and values in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(key, node)| (key.as_str(), node))
    }

    pub(crate) fn into_entries(self) -> Vec<(String, Node)> {
        self.entries
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}
