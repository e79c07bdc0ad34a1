//! Facts taken from nats-server 2.14.5 by running it; `deviations` are ours.

#![allow(clippy::unwrap_used)]

mod deviations;
mod digests;
mod errors;
mod positions;
mod properties;
mod values;

use std::collections::HashMap;
use std::path::Path;

use crate::{Error, Map, Node, Source, Value, parse_bytes};

/// Files and variables of one test.
#[derive(Default)]
struct Given {
    files: HashMap<&'static str, &'static str>,
    variables: HashMap<&'static str, &'static str>,
}

impl Given {
    fn files(files: &[(&'static str, &'static str)]) -> Self {
        Self {
            files: files.iter().copied().collect(),
            ..Self::default()
        }
    }

    fn variables(variables: &[(&'static str, &'static str)]) -> Self {
        Self {
            variables: variables.iter().copied().collect(),
            ..Self::default()
        }
    }
}

impl Source for Given {
    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let text = path.to_str().and_then(|path| self.files.get(path));
        text.map(|text| text.as_bytes().to_vec())
            .ok_or_else(|| format!("open {}: no such file or directory", path.display()))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }
}

fn parse_with(text: &str, given: &Given) -> Result<Map, Error> {
    parse_bytes(text.as_bytes(), "a.conf", given)
}

fn parse(text: &str) -> Map {
    parse_with(text, &Given::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn error(text: &str) -> String {
    parse_with(text, &Given::default()).unwrap_err().to_string()
}

/// The value as JSON, the shortest way to say what is expected.
fn json(text: &str) -> String {
    parse(text).canonical_json().trim_end().to_owned()
}

/// The node at a path of keys and indexes.
fn at<'m>(map: &'m Map, path: &[&str]) -> &'m Node {
    let mut node = map.get(path[0]).unwrap();
    for step in &path[1..] {
        node = match &node.value {
            Value::Map(map) => map.get(step).unwrap(),
            Value::Array(nodes) => &nodes[step.parse::<usize>().unwrap()],
            other => panic!("no {step} in {other:?}"),
        };
    }
    node
}
