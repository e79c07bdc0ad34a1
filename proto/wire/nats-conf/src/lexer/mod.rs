//! Text to items: what nats-server's grammar tells apart before values have a meaning.
//!
//! A state machine with a stack: a state says what may come next, and the stack says what comes after a value or a
//! comment. `keys` and `values` read what stands between two states.

mod cursor;
mod keys;
mod values;

use std::collections::VecDeque;

use cursor::{Cursor, END};

/// One piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub kind: ItemKind,
    pub text: String,
    /// Line on which the item ends.
    pub line: u32,
    pub column: u32,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKind {
    Key,
    Include,
    String,
    Bool,
    Integer,
    Float,
    Datetime,
    Variable,
    ArrayStart,
    ArrayEnd,
    MapStart,
    MapEnd,
    End,
}

/// Why the text cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LexError {
    pub line: u32,
    pub column: u32,
    pub reason: String,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A key, a block or the end of the text.
    Top,
    /// The end of a value at the top.
    TopEnd,
    /// A key, a block or the end of a block. A block is a `{` without a key, around the whole text.
    Block,
    /// The end of a value in a block.
    BlockValueEnd,
    /// The end of a block.
    BlockEnd,
    /// A value, on this line.
    Value,
    /// A value, a comment or the end of an array.
    Array,
    /// The end of a value in an array.
    ArrayValueEnd,
    /// A key, a comment or the end of a map.
    Map,
    /// The end of a value in a map.
    MapValueEnd,
    /// The end of the text.
    End,
}

type Step = Result<State, String>;

/// Reads items one by one.
pub(crate) struct Lexer<'t> {
    cursor: Cursor<'t>,
    state: State,
    /// States to go back to, the innermost last.
    after: Vec<State>,
    ready: VecDeque<Item>,
    /// What a string holds so far, once it has had an escape.
    unescaped: Option<Vec<u8>>,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            cursor: Cursor::new(text),
            state: State::Top,
            after: Vec::new(),
            ready: VecDeque::new(),
            unescaped: None,
        }
    }

    /// The next item; [`ItemKind::End`] for ever after the last one.
    pub fn next_item(&mut self) -> Result<Item, LexError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            self.state = self.step().map_err(|reason| LexError {
                line: self.cursor.line,
                column: self.cursor.column(),
                reason,
            })?;
        }
    }

    /// How many maps, arrays and blocks are open.
    pub fn nesting(&self) -> usize {
        self.after.len()
    }

    fn step(&mut self) -> Step {
        match self.state {
            State::Top => self.top(),
            State::TopEnd => self.top_end(),
            State::Block => self.block(),
            State::BlockValueEnd => self.block_value_end(),
            State::BlockEnd => self.block_end(),
            State::Value => self.value(),
            State::Array => self.array(),
            State::ArrayValueEnd => self.array_value_end(),
            State::Map => self.map(),
            State::MapValueEnd => self.map_value_end(),
            State::End => self.end(),
        }
    }

    fn top(&mut self) -> Step {
        match self.cursor.next() {
            c if c.is_whitespace() => self.skip_to(State::Top),
            '{' => {
                self.after.push(State::Top);
                self.skip_to(State::Block)
            }
            '#' => self.comment(State::Top),
            '/' if self.cursor.take('/') => self.comment(State::Top),
            '/' | END => self.end(),
            _ => {
                self.cursor.back();
                self.after.push(State::TopEnd);
                self.key()
            }
        }
    }

    fn top_end(&mut self) -> Step {
        match self.cursor.next() {
            '#' => self.comment(State::Top),
            '/' if self.cursor.take('/') => self.comment(State::Top),
            '/' | ' ' | '\t' => Ok(State::TopEnd),
            '\n' | '\r' | END | ';' | ',' | '}' => self.skip_to(State::Top),
            other => Err(format!(
                "Expected a top-level value to end with a new line, comment or EOF, but got '{}' instead.",
                shown(other)
            )),
        }
    }

    fn block(&mut self) -> Step {
        match self.cursor.next() {
            c if c.is_whitespace() => self.skip_to(State::Block),
            '{' => {
                self.after.push(State::BlockEnd);
                self.skip_to(State::Block)
            }
            '}' => {
                self.cursor.skip();
                self.back_out()
            }
            '#' => self.comment(State::Block),
            '/' if self.cursor.take('/') => self.comment(State::Block),
            '/' | END => self.end(),
            _ => {
                self.cursor.back();
                self.after.push(State::BlockValueEnd);
                self.key()
            }
        }
    }

    fn block_value_end(&mut self) -> Step {
        match self.cursor.next() {
            '#' => self.comment(State::BlockValueEnd),
            '/' if self.cursor.take('/') => self.comment(State::BlockValueEnd),
            '/' | ' ' | '\t' => Ok(State::BlockValueEnd),
            '\n' | '\r' | ';' | ',' => self.skip_to(State::Block),
            '}' => {
                self.cursor.back();
                Ok(State::BlockEnd)
            }
            other => Err(format!(
                "Expected a block-level value to end with a new line, comment or EOF, but got '{}' instead.",
                shown(other)
            )),
        }
    }

    fn block_end(&mut self) -> Step {
        match self.cursor.next() {
            '#' => self.comment(State::Block),
            '/' if self.cursor.take('/') => self.comment(State::Block),
            '/' | '\n' | '\r' | ' ' | '\t' => Ok(State::BlockEnd),
            ';' | ',' => self.skip_to(State::Block),
            '}' => {
                self.cursor.skip();
                self.back_out()
            }
            other => Err(format!(
                "Expected a block-level to end with a '}}', but got '{}' instead.",
                shown(other)
            )),
        }
    }

    fn array(&mut self) -> Step {
        match self.cursor.next() {
            c if c.is_whitespace() => self.skip_to(State::Array),
            '#' => self.comment(State::Array),
            '/' if self.cursor.take('/') => self.comment(State::Array),
            '/' | ',' => Err("Unexpected array value terminator ','.".into()),
            ']' => self.close(ItemKind::ArrayEnd),
            _ => {
                self.cursor.back();
                self.after.push(State::ArrayValueEnd);
                Ok(State::Value)
            }
        }
    }

    fn array_value_end(&mut self) -> Step {
        match self.cursor.next() {
            ' ' | '\t' => self.skip_to(State::ArrayValueEnd),
            '#' => self.comment(State::ArrayValueEnd),
            '/' if self.cursor.take('/') => self.comment(State::ArrayValueEnd),
            '/' | ',' | '\n' | '\r' => self.skip_to(State::Array),
            ']' => self.close(ItemKind::ArrayEnd),
            other => Err(format!(
                "Expected an array value terminator \",\" or an array terminator \"]\", but got '{}' instead.",
                shown(other)
            )),
        }
    }

    fn map(&mut self) -> Step {
        match self.cursor.peek() {
            c if c.is_whitespace() => {
                self.cursor.next();
                self.skip_to(State::Map)
            }
            '}' => {
                self.cursor.next();
                self.close(ItemKind::MapEnd)
            }
            '#' => {
                self.cursor.next();
                self.comment(State::Map)
            }
            '/' => {
                self.cursor.next();
                if self.cursor.take('/') {
                    self.comment(State::Map)
                } else {
                    self.bare_map_key()
                }
            }
            _ => self.map_key(),
        }
    }

    fn map_value_end(&mut self) -> Step {
        match self.cursor.next() {
            ' ' | '\t' => self.skip_to(State::MapValueEnd),
            '#' => self.comment(State::MapValueEnd),
            '/' if self.cursor.take('/') => self.comment(State::MapValueEnd),
            '/' | ';' | ',' | '\n' | '\r' => self.skip_to(State::Map),
            '}' => self.close(ItemKind::MapEnd),
            other => Err(format!(
                "Expected a map value terminator \",\" or a map terminator \"}}\", but got '{}' instead.",
                shown(other)
            )),
        }
    }

    /// Reads a comment up to its line's end; `next` comes after it.
    fn comment(&mut self, next: State) -> Step {
        self.cursor.skip();
        while !matches!(self.cursor.peek(), '\n' | '\r' | END) {
            self.cursor.next();
        }
        self.skip_to(next)
    }

    /// The text ends here, which is an error if something was begun.
    fn end(&mut self) -> Step {
        if self.state != State::End && self.cursor.has_item() {
            return Err("Unexpected EOF.".into());
        }
        self.emit(ItemKind::End)?;
        Ok(State::End)
    }

    fn close(&mut self, kind: ItemKind) -> Step {
        self.cursor.skip();
        self.emit(kind)?;
        self.back_out()
    }

    fn skip_to(&mut self, next: State) -> Step {
        self.cursor.skip();
        Ok(next)
    }

    fn back_out(&mut self) -> Step {
        self.after
            .pop()
            .ok_or_else(|| "Unexpected end of a value.".into())
    }

    /// Hands out what was read since the last item.
    fn emit(&mut self, kind: ItemKind) -> Result<(), String> {
        let mut bytes = self.unescaped.take().unwrap_or_default();
        bytes.extend_from_slice(self.cursor.item());
        let (line, column) = (self.cursor.line, self.cursor.item_column(bytes.len()));
        let text = String::from_utf8(bytes).map_err(|_| "String is not valid UTF-8.")?;
        self.ready.push_back(Item {
            kind,
            text,
            line,
            column,
        });
        self.cursor.skip();
        Ok(())
    }
}

fn shown(character: char) -> String {
    if character == '\n' {
        "\\n".into()
    } else {
        character.into()
    }
}
