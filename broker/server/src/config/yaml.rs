//! YAML text to a tree whose every node knows its line and column.
//!
//! Scalars stay text: the key they belong to decides what they mean, so `no`, `1e3` or `0123` are never
//! turned into something the operator did not write.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::report::{Origin, Problem};

/// Largest configuration file.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Nodes of one file, aliases unfolded.
const MAX_NODES: usize = 100_000;
/// Levels of nesting. The deepest key of the table has 5.
const MAX_DEPTH: usize = 16;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub origin: Origin,
    pub body: Body,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Scalar {
        text: String,
        /// Written without quotes: `null` is the absence of a value then.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Name, Node)>),
}

/// A key of a mapping and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub origin: Origin,
    pub text: String,
}

impl Node {
    /// A scalar that did not come from a file: its text is read as an unquoted YAML scalar.
    pub fn scalar(origin: Origin, text: &str) -> Self {
        Self {
            origin,
            body: Body::Scalar {
                text: text.to_owned(),
                plain: true,
            },
        }
    }

    /// No value: nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.body, Body::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    pub fn is_in_file(&self) -> bool {
        matches!(self.origin, Origin::File { .. })
    }

    fn count(&self) -> usize {
        1 + match &self.body {
            Body::Scalar { .. } => 0,
            Body::List(items) => items.iter().map(Node::count).sum(),
            Body::Map(pairs) => pairs.iter().map(|(_, node)| node.count()).sum(),
        }
    }
}

/// Parses one document. An empty one is an empty mapping.
pub fn parse(path: &str, text: &str) -> Result<Node, Problem> {
    let path: Arc<str> = path.into();
    let mut loader = Loader {
        path,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        depth: 0,
    };
    loader.document()
}

struct Loader<'a> {
    path: Arc<str>,
    parser: Parser<'a, StrInput<'a>>,
    /// Complete nodes by their anchor.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    depth: usize,
}

impl<'a> Loader<'a> {
    fn document(&mut self) -> Result<Node, Problem> {
        let start = self.origin(&Marker::new(0, 1, 0));
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    return Err(self.error(&span.start, "a second document; allowed: one document a file"));
                }
                event => root = Some(self.node(event, &span)?),
            }
        }
        match root {
            Some(root) if !root.is_null() => Ok(root),
            _ => Ok(Node {
                origin: start,
                body: Body::Map(Vec::new()),
            }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span) -> Result<Node, Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.error(
                &span.start,
                format!("too many values; allowed: {MAX_NODES} with aliases unfolded"),
            ));
        }
        let origin = self.origin(&span.start);
        let (body, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, &span.start),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &span.start)?;
                (
                    Body::Scalar {
                        text: text.into_owned(),
                        plain: style == ScalarStyle::Plain,
                    },
                    anchor,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &span.start)?;
                (self.nested(&span.start, Self::list)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &span.start)?;
                (self.nested(&span.start, Self::map)?, anchor)
            }
            _ => return Err(self.error(&span.start, "a value is missing here")),
        };
        let node = Node { origin, body };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn nested(
        &mut self,
        at: &Marker,
        inner: impl FnOnce(&mut Self) -> Result<Body, Problem>,
    ) -> Result<Body, Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(at, format!("nested too deeply; allowed: {MAX_DEPTH} levels")));
        }
        let body = inner(self)?;
        self.depth -= 1;
        Ok(body)
    }

    fn list(&mut self) -> Result<Body, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Body::List(items));
            }
            items.push(self.node(event, &span)?);
        }
    }

    fn map(&mut self) -> Result<Body, Problem> {
        let mut pairs: Vec<(Name, Node)> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            let text = match event {
                Event::MappingEnd => return Ok(Body::Map(pairs)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.error(&span.start, "this key is not a text; allowed: a key name")),
            };
            if let Some(line) = lines.insert(text.clone(), span.start.line()) {
                return Err(self.error(
                    &span.start,
                    format!("{text}: given twice; the first stands in line {line}"),
                ));
            }
            let name = Name {
                origin: self.origin(&span.start),
                text,
            };
            let (event, span) = self.next()?;
            let value = self.node(event, &span)?;
            pairs.push((name, value));
        }
    }

    fn alias(&mut self, anchor: usize, at: &Marker) -> Result<Node, Problem> {
        // An anchor that is not complete yet would contain itself.
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.error(at, "this alias stands inside its own anchor"));
        };
        self.nodes += node.count();
        Ok(node)
    }

    fn refuse_tag(&self, tag: Option<&Tag>, at: &Marker) -> Result<(), Problem> {
        match tag {
            None => Ok(()),
            Some(_) => Err(self.error(
                at,
                "a YAML tag; allowed: plain values, the key decides their type",
            )),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.error(error.marker(), format!("not YAML: {}", error.info()))),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn origin(&self, at: &Marker) -> Origin {
        Origin::File {
            path: self.path.clone(),
            line: at.line(),
            column: at.col() + 1,
        }
    }

    fn error(&self, at: &Marker, text: impl Into<String>) -> Problem {
        Problem {
            origin: self.origin(at),
            key: String::new(),
            text: text.into(),
        }
    }
}
