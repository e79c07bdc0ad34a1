//! Keys, and `include`, which stands where a key may stand.

use super::cursor::END;
use super::{ItemKind, Lexer, State, Step};

/// Where a key stands: what is an error differs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// At the top or in a block.
    Top,
    Map,
}

fn is_separator(c: char) -> bool {
    matches!(c, '=' | ':')
}

impl Lexer<'_> {
    /// Reads a key at the top or in a block, and what separates it from its value.
    pub(super) fn key(&mut self) -> Step {
        match self.cursor.peek() {
            c if is_separator(c) => Err(format!("Unexpected key separator '{c}'")),
            quote @ ('"' | '\'') => self.quoted_key(Scope::Top, quote),
            _ => self.bare_key(Scope::Top),
        }
    }

    /// Reads a key in a map, and what separates it from its value.
    pub(super) fn map_key(&mut self) -> Step {
        match self.cursor.peek() {
            c if is_separator(c) => Err(format!("Unexpected key separator '{c}'.")),
            c @ ']' => Err(format!("Unexpected array end '{c}' processing map.")),
            quote @ ('"' | '\'') => self.quoted_key(Scope::Map, quote),
            END => Err("Unexpected EOF processing map.".into()),
            _ => self.bare_map_key(),
        }
    }

    /// Reads a key in a map whatever its first character is.
    pub(super) fn bare_map_key(&mut self) -> Step {
        self.bare_key(Scope::Map)
    }

    fn quoted_key(&mut self, scope: Scope, quote: char) -> Step {
        self.cursor.next();
        self.cursor.skip();
        loop {
            match self.cursor.peek() {
                c if c == quote => break,
                END if scope == Scope::Top => return self.end(),
                END if quote == '"' => return Err("Unexpected EOF processing double quoted map key.".into()),
                END => return Err("Unexpected EOF processing quoted map key.".into()),
                _ => self.cursor.next(),
            };
        }
        self.emit(ItemKind::Key)?;
        self.cursor.next();
        self.cursor.skip();
        self.key_end(scope)
    }

    fn bare_key(&mut self, scope: Scope) -> Step {
        self.cursor.skip();
        self.cursor.next();
        loop {
            match self.cursor.peek() {
                c if c.is_whitespace() && self.cursor.item().eq_ignore_ascii_case(b"include") => {
                    self.cursor.skip();
                    if scope == Scope::Map {
                        self.after.push(State::MapValueEnd);
                    }
                    return self.include();
                }
                c if c.is_whitespace() || is_separator(c) => break,
                END if scope == Scope::Top => break,
                END => return Err("Unexpected EOF processing map key.".into()),
                _ => self.cursor.next(),
            };
        }
        self.emit(ItemKind::Key)?;
        self.key_end(scope)
    }

    /// Reads blanks and at most one separator; the value may follow without any.
    fn key_end(&mut self, scope: Scope) -> Step {
        loop {
            match self.cursor.next() {
                c if c.is_whitespace() => self.cursor.skip(),
                END if scope == Scope::Top => {
                    self.emit(ItemKind::End)?;
                    return Ok(State::End);
                }
                c => {
                    if is_separator(c) {
                        self.cursor.skip();
                    } else {
                        self.cursor.back();
                    }
                    break;
                }
            }
        }
        match scope {
            Scope::Top => Ok(State::Value),
            Scope::Map => self.map_value(),
        }
    }

    /// Before a value in a map, line ends count as blanks.
    fn map_value(&mut self) -> Step {
        loop {
            match self.cursor.next() {
                c if c.is_whitespace() => self.cursor.skip(),
                ',' => return Err("Unexpected map value terminator \",\".".into()),
                '}' => return self.close(ItemKind::MapEnd),
                _ => break,
            }
        }
        self.cursor.back();
        self.after.push(State::MapValueEnd);
        Ok(State::Value)
    }

    fn include(&mut self) -> Step {
        while matches!(self.cursor.next(), ' ' | '\t') {
            self.cursor.skip();
        }
        self.cursor.back();
        let found = match self.cursor.next() {
            quote @ ('"' | '\'') => return self.quoted_include(quote),
            '[' => "start of an array",
            '{' => "start of a map",
            '(' => "start of a block",
            '-' | '0'..='9' => "start of a number",
            '\\' => "escape sequence",
            '\n' | '\r' => "new line",
            _ => {
                self.cursor.back();
                return self.bare_include();
            }
        };
        Err(format!("Expected include value but found {found}"))
    }

    fn quoted_include(&mut self, quote: char) -> Step {
        self.cursor.skip();
        loop {
            match self.cursor.next() {
                c if c == quote => break,
                END if quote == '"' => return Err("Unexpected EOF in double quoted include".into()),
                END => return Err("Unexpected EOF in quoted include".into()),
                _ => {}
            }
        }
        self.emit_before_quote(ItemKind::Include)
    }

    fn bare_include(&mut self) -> Step {
        loop {
            match self.cursor.next() {
                '\n' | '\r' | END | ';' | '}' | ' ' | '\t' => break,
                '\'' => return self.emit_before_quote(ItemKind::Include),
                _ => {}
            }
        }
        self.cursor.back();
        self.emit(ItemKind::Include)?;
        self.back_out()
    }

    /// Hands out an item whose closing quote was just read.
    pub(super) fn emit_before_quote(&mut self, kind: ItemKind) -> Step {
        self.cursor.back();
        self.emit(kind)?;
        self.cursor.next();
        self.cursor.skip();
        self.back_out()
    }
}
