//! Where values come from, and what is wrong with them: one line a problem, with its place first.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Lines that one attempt prints at most; the rest is counted.
const MAX_PROBLEMS: usize = 20;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In the configuration file; line and column count from 1.
    File {
        line: usize,
        column: usize,
        path: Arc<str>,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line, with its dashes.
    Flag(String),
    /// Nobody gave it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    /// Dotted path of the key; empty for the file as a whole.
    pub key: String,
    /// What was found and what is allowed.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// All that reading a configuration found out beside the values.
#[derive(Debug, Default)]
pub struct Report {
    problems: Vec<Problem>,
    origins: HashMap<String, Origin>,
    /// Dotted paths of all keys, to find the one that was meant.
    known_keys: Vec<String>,
}

impl Report {
    pub fn new(known_keys: Vec<String>) -> Self {
        Self {
            known_keys,
            ..Self::default()
        }
    }

    /// Keys of this name, in whatever section.
    pub fn keys_named(&self, name: &str) -> Vec<&str> {
        let is_named = |key: &&String| key.rsplit('.').next() == Some(name);
        self.known_keys
            .iter()
            .filter(is_named)
            .map(String::as_str)
            .collect()
    }

    /// Notes a problem.
    pub fn problem(&mut self, origin: &Origin, key: impl Into<String>, text: impl Into<String>) {
        self.problems.push(Problem {
            origin: origin.clone(),
            key: key.into(),
            text: text.into(),
        });
    }

    /// Notes a problem of a key whose place is looked up.
    pub fn problem_of(&mut self, key: &str, text: impl Into<String>) {
        let origin = self.origin(key);
        self.problem(&origin, key, text);
    }

    /// Notes where a value was given; the last one counts.
    pub fn given(&mut self, key: &str, origin: &Origin) {
        self.origins.insert(key.to_owned(), origin.clone());
    }

    /// Notes where a section was given; the first one counts, later sources only add to it.
    pub fn section_given(&mut self, key: &str, origin: &Origin) {
        self.origins
            .entry(key.to_owned())
            .or_insert_with(|| origin.clone());
    }

    /// Was the key given at all?
    pub fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// Where the key itself was given.
    pub fn exact_origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Where the key, or the nearest section above it, was given.
    pub fn origin(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Origin::Default,
            }
        }
    }

    /// Problems so far.
    pub fn problem_count(&self) -> usize {
        self.problems.len()
    }

    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Are flags the cause of every problem?
    pub fn is_only_flags(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| matches!(problem.origin, Origin::Flag(_)))
    }

    /// One line a problem, in the order of the file, then environment, then flags.
    pub fn lines(&self) -> Vec<String> {
        let mut problems: Vec<&Problem> = self.problems.iter().collect();
        problems.sort_by(|a, b| a.origin.cmp(&b.origin));
        let mut lines: Vec<String> = problems
            .iter()
            .take(MAX_PROBLEMS)
            .map(ToString::to_string)
            .collect();
        if problems.len() > MAX_PROBLEMS {
            lines.push(format!("and {} more problems", problems.len() - MAX_PROBLEMS));
        }
        lines
    }
}
