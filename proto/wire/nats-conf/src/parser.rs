//! Items to maps, arrays and values: variables, includes and what a key belongs to.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::lexer::{Item, ItemKind, Lexer};
use crate::limits::{MAX_COPIED_BYTES, MAX_FILES, MAX_INCLUDE_DEPTH, MAX_INPUT_BYTES, MAX_NESTING};
use crate::number;
use crate::source::Source;
use crate::value::{Map, Node, Position, Value};

/// A `$2a$...` without quotes is a bcrypt hash and not a variable.
const BCRYPT_PREFIX: &str = "2a$";
/// Key under which the value of an environment variable is parsed.
const VARIABLE_KEY: &str = "pk";

/// What all files of one parse share.
pub(crate) struct Session<'s> {
    source: &'s dyn Source,
    files: usize,
    input_bytes: usize,
    copied_bytes: usize,
    /// Environment variables whose value is being parsed, to see one that refers to itself.
    open_variables: Vec<String>,
}

impl<'s> Session<'s> {
    pub fn new(source: &'s dyn Source) -> Self {
        Self {
            source,
            files: 0,
            input_bytes: 0,
            copied_bytes: 0,
            open_variables: Vec::new(),
        }
    }

    pub fn parse_file(&mut self, path: &str, depth: usize) -> Result<Map, Error> {
        self.files += 1;
        within("files", self.files, MAX_FILES)?;
        let text = self
            .source
            .read(Path::new(path))
            .map_err(|reason| Error::Read { reason })?;
        self.parse_bytes(&text, path, depth)
    }

    pub fn parse_bytes(&mut self, text: &[u8], path: &str, depth: usize) -> Result<Map, Error> {
        self.input_bytes += text.len();
        within("bytes of text", self.input_bytes, MAX_INPUT_BYTES)?;
        within("includes in includes", depth, MAX_INCLUDE_DEPTH)?;
        Parser::new(self, path, depth).run(text)
    }
}

fn within(what: &'static str, used: usize, limit: usize) -> Result<(), Error> {
    if used > limit {
        Err(Error::Limit { what, limit })
    } else {
        Ok(())
    }
}

/// What a value is put into.
enum Context {
    Map(Map),
    Array(Vec<Node>),
}

/// A key that waits for its value.
struct Key {
    name: String,
    at: Position,
}

/// The parse of one file.
struct Parser<'a, 's> {
    session: &'a mut Session<'s>,
    file: Arc<str>,
    depth: usize,
    /// Open maps and arrays, the innermost last; the first one is the file's own map.
    contexts: Vec<Context>,
    keys: Vec<Key>,
}

impl<'a, 's> Parser<'a, 's> {
    fn new(session: &'a mut Session<'s>, path: &str, depth: usize) -> Self {
        let contexts = vec![Context::Map(Map::default())];
        Self {
            session,
            file: path.into(),
            depth,
            contexts,
            keys: Vec::new(),
        }
    }

    fn run(mut self, text: &[u8]) -> Result<Map, Error> {
        let mut lexer = Lexer::new(text);
        let mut ends_in_key = false;
        loop {
            let item = lexer.next_item().map_err(|error| Error::Syntax {
                at: Position {
                    file: self.file.clone(),
                    line: error.line,
                    column: error.column,
                },
                reason: error.reason,
            })?;
            within("maps and arrays in each other", lexer.nesting(), MAX_NESTING)?;
            if item.kind == ItemKind::End {
                return self.finish(&item, ends_in_key);
            }
            // A last brace too many is taken for a key and allowed, as in JSON that was wrapped.
            ends_in_key = item.kind == ItemKind::Key && item.text != "}";
            self.take(item)?;
        }
    }

    fn finish(mut self, end: &Item, ends_in_key: bool) -> Result<Map, Error> {
        let at = self.position(end);
        if ends_in_key {
            return Err(Error::NoValue { at });
        }
        match (self.contexts.pop(), self.contexts.is_empty()) {
            (Some(Context::Map(map)), true) => Ok(map),
            _ => Err(Error::Syntax {
                at,
                reason: "Unexpected EOF.".into(),
            }),
        }
    }

    fn position(&self, item: &Item) -> Position {
        Position {
            file: self.file.clone(),
            line: item.line,
            column: item.column,
        }
    }

    fn take(&mut self, item: Item) -> Result<(), Error> {
        let at = self.position(&item);
        let bad = |reason| Error::BadValue {
            at: at.clone(),
            reason,
        };
        let value = match item.kind {
            ItemKind::Key => {
                self.keys.push(Key { name: item.text, at });
                return Ok(());
            }
            ItemKind::MapStart => {
                self.contexts.push(Context::Map(Map::default()));
                return Ok(());
            }
            ItemKind::ArrayStart => {
                self.contexts.push(Context::Array(Vec::new()));
                return Ok(());
            }
            ItemKind::MapEnd | ItemKind::ArrayEnd => self.close(&at)?,
            ItemKind::Include => return self.include(&item.text, at),
            ItemKind::Variable => self.look_up(&item.text, &at)?,
            ItemKind::String => Value::String(item.text),
            ItemKind::Bool => Value::Bool(is_on(&item.text)),
            ItemKind::Integer => Value::Integer(number::integer(&item.text).map_err(bad)?),
            ItemKind::Float => Value::Float(number::float(&item.text).map_err(bad)?),
            ItemKind::Datetime => {
                number::datetime(&item.text).map_err(bad)?;
                Value::Datetime(item.text)
            }
            ItemKind::End => return Ok(()),
        };
        self.put(Node {
            value,
            at,
            is_variable: false,
        })
    }

    /// Ends the innermost map or array; the file's own map stays open.
    fn close(&mut self, at: &Position) -> Result<Value, Error> {
        let unexpected = || Error::Syntax {
            at: at.clone(),
            reason: "Unexpected end of a map or an array.".into(),
        };
        if self.contexts.len() < 2 {
            return Err(unexpected());
        }
        match self.contexts.pop().ok_or_else(unexpected)? {
            Context::Map(map) => Ok(Value::Map(map)),
            Context::Array(nodes) => Ok(Value::Array(nodes)),
        }
    }

    /// Puts a value into the innermost map or array. In a map it stands where its key stands.
    fn put(&mut self, mut node: Node) -> Result<(), Error> {
        match self.contexts.last_mut() {
            Some(Context::Array(nodes)) => nodes.push(node),
            Some(Context::Map(map)) => {
                let Some(key) = self.keys.pop() else {
                    return Err(Error::NoValue { at: node.at });
                };
                node.at = key.at;
                map.insert(key.name, node);
            }
            None => return Err(Error::NoValue { at: node.at }),
        }
        Ok(())
    }

    /// Looks a variable up in the open maps, then in the environment.
    fn look_up(&mut self, name: &str, at: &Position) -> Result<Value, Error> {
        if name.starts_with(BCRYPT_PREFIX) {
            return Ok(Value::String(format!("${name}")));
        }
        for context in self.contexts.iter_mut().rev() {
            let Context::Map(map) = context else { continue };
            let Some(node) = map.get_mut(name) else { continue };
            node.is_variable = true;
            self.session.copied_bytes += node.value.size_bytes();
            within(
                "bytes copied by variables",
                self.session.copied_bytes,
                MAX_COPIED_BYTES,
            )?;
            return Ok(node.value.clone());
        }
        match self.value_from_environment(name) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(Error::UnknownVariable {
                at: at.clone(),
                name: name.into(),
            }),
            Err(source) => Err(Error::BadVariable {
                at: at.clone(),
                name: name.into(),
                source: Box::new(source),
            }),
        }
    }

    /// The value of an environment variable, read as if it stood in the file.
    fn value_from_environment(&mut self, name: &str) -> Result<Option<Value>, Error> {
        if self.session.open_variables.iter().any(|open| open == name) {
            return Err(Error::VariableCycle { name: name.into() });
        }
        let Some(text) = self.session.source.variable(name) else {
            return Ok(None);
        };
        let text = format!("{VARIABLE_KEY}={text}");
        self.session.open_variables.push(name.into());
        let parsed = self.session.parse_bytes(text.as_bytes(), "", self.depth + 1);
        self.session.open_variables.pop();
        Ok(parsed?.get(VARIABLE_KEY).map(|node| node.value.clone()))
    }

    /// Puts all that another file says into the innermost map.
    fn include(&mut self, name: &str, at: Position) -> Result<(), Error> {
        let path = beside(&self.file, name);
        let included = self
            .session
            .parse_file(&path, self.depth + 1)
            .map_err(|source| match source {
                limit @ Error::Limit { .. } => limit,
                source => Error::Include {
                    at,
                    name: name.into(),
                    source: Box::new(source),
                },
            })?;
        for (name, node) in included.into_entries() {
            self.keys.push(Key {
                name,
                at: node.at.clone(),
            });
            self.put(node)?;
        }
        Ok(())
    }
}

fn is_on(text: &str) -> bool {
    ["true", "yes", "on"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Path of an include: always below the folder of the file that names it, even when it starts with `/`.
fn beside(file: &str, name: &str) -> String {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut path = PathBuf::new();
    let parts = Path::new(name)
        .components()
        .filter(|part| !matches!(part, Component::RootDir));
    for part in folder.components().chain(parts) {
        match part {
            Component::CurDir => {}
            Component::ParentDir if ends_in_name(&path) => {
                path.pop();
            }
            Component::ParentDir if path.has_root() => {}
            part => path.push(part),
        }
    }
    if path.as_os_str().is_empty() {
        ".".into()
    } else {
        path.to_string_lossy().into_owned()
    }
}

fn ends_in_name(path: &Path) -> bool {
    matches!(path.components().next_back(), Some(Component::Normal(_)))
}
