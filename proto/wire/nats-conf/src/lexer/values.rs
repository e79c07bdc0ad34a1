//! Strings, numbers, dates and raw blocks.

use super::cursor::END;
use super::{ItemKind, Lexer, State, Step, shown};

/// Ends an unquoted value.
fn ends_value(c: char) -> bool {
    matches!(c, '\n' | '\r' | END | ';' | ',' | ']' | '}' | ' ' | '\t')
}

/// First letter of a number's suffix, such as the k of 1kb.
fn is_number_suffix(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'k' | 'm' | 'g' | 't' | 'p' | 'e')
}

fn is_switch(text: &[u8]) -> bool {
    ["true", "false", "on", "off", "yes", "no"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

impl Lexer<'_> {
    pub(super) fn value(&mut self) -> Step {
        match self.cursor.next() {
            ' ' | '\t' => self.skip_to(State::Value),
            '[' => {
                self.cursor.skip();
                self.emit(ItemKind::ArrayStart)?;
                Ok(State::Array)
            }
            '{' => {
                self.cursor.skip();
                self.emit(ItemKind::MapStart)?;
                Ok(State::Map)
            }
            '\'' => {
                self.cursor.skip();
                self.single_quoted()
            }
            '"' => {
                self.cursor.skip();
                self.double_quoted()
            }
            '(' => {
                self.cursor.skip();
                self.raw_block()
            }
            '-' => self.negative_number(),
            '0'..='9' => self.number(),
            '.' => Err("Floats must start with a digit".into()),
            '\n' | '\r' => Err("Expected value but found new line".into()),
            _ => {
                self.cursor.back();
                self.bare_string()
            }
        }
    }

    /// Nothing in single quotes has a meaning but the closing quote.
    fn single_quoted(&mut self) -> Step {
        loop {
            match self.cursor.next() {
                '\'' => return self.emit_before_quote(ItemKind::String),
                END => return self.end(),
                _ => {}
            }
        }
    }

    fn double_quoted(&mut self) -> Step {
        loop {
            match self.cursor.next() {
                '\\' => self.escape()?,
                '"' => return self.emit_before_quote(ItemKind::String),
                END => return self.end(),
                _ => {}
            }
        }
    }

    /// A string without quotes: it may turn out to be a switch or a variable.
    fn bare_string(&mut self) -> Step {
        loop {
            match self.cursor.next() {
                '\\' => self.escape()?,
                '\'' => return self.emit_before_quote(ItemKind::String),
                c if ends_value(c) => break,
                _ => {}
            }
        }
        self.cursor.back();
        let kind = match self.cursor.item() {
            _ if self.unescaped.is_some() => ItemKind::String,
            text if is_switch(text) => ItemKind::Bool,
            [b'$', ..] => {
                self.cursor.start += 1;
                ItemKind::Variable
            }
            _ => ItemKind::String,
        };
        self.emit_value(kind)
    }

    /// Reads what follows a backslash, and keeps what the string holds so far.
    fn escape(&mut self) -> Result<(), String> {
        let before = self.cursor.bytes(self.cursor.start, self.cursor.at - 1);
        let unescaped = self.unescaped.get_or_insert_default();
        unescaped.extend_from_slice(before);
        let byte = match self.cursor.next() {
            'x' => self.hex_escape()?,
            't' => b'\t',
            'n' => b'\n',
            'r' => b'\r',
            c @ ('"' | '\\') => c as u8,
            other => {
                return Err(format!(
                    "Invalid escape character '{}'. Only the following escape characters are allowed: \
                     \\xXX, \\t, \\n, \\r, \\\", \\\\.",
                    shown(other)
                ));
            }
        };
        self.unescaped.get_or_insert_default().push(byte);
        self.cursor.start = self.cursor.at;
        Ok(())
    }

    fn hex_escape(&mut self) -> Result<u8, String> {
        for _ in 0..2 {
            if matches!(self.cursor.next(), '\n' | '\r') {
                return Err("Expected two hexadecimal digits after '\\x', but hit end of line".into());
            }
        }
        let digits =
            String::from_utf8_lossy(self.cursor.bytes(self.cursor.at - 2, self.cursor.at)).into_owned();
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u8::from_str_radix(&digits, 16)
            .ok()
            .filter(|_| is_hex)
            .ok_or_else(|| format!("Expected two hexadecimal digits after '\\x', but got '{digits}'"))
    }

    /// A raw block goes on to a `)` that has a line of its own.
    fn raw_block(&mut self) -> Step {
        let mut last = '(';
        loop {
            match self.cursor.next() {
                ')' if last == '\n' => {
                    let close = self.cursor.at - 1;
                    match self.cursor.next() {
                        '\n' | END => return self.raw_block_end(close),
                        other => last = other,
                    }
                }
                END => return Err("Unexpected EOF processing block.".into()),
                c => last = c,
            }
        }
    }

    /// `close` is where the `)` stands; what follows it is read again.
    fn raw_block_end(&mut self, close: usize) -> Step {
        self.cursor.back();
        self.cursor.at = close;
        self.emit(ItemKind::String)?;
        self.cursor.at = close + 1;
        self.cursor.skip();
        self.back_out()
    }

    /// A whole number, float, date, address, or a string that starts with a digit. The first digit was read.
    fn number(&mut self) -> Step {
        loop {
            match self.cursor.next() {
                '0'..='9' => {}
                '-' if self.cursor.item().len() == 5 => return self.date_after_year(),
                '-' => return Err("All ISO8601 dates must be in full Zulu form.".into()),
                '.' => return self.fraction(),
                c if is_number_suffix(c) => return self.number_suffix(),
                c if self.ends_number(c) => break,
                _ => return self.bare_string(),
            }
        }
        self.cursor.back();
        self.emit_value(ItemKind::Integer)
    }

    fn negative_number(&mut self) -> Step {
        match self.cursor.next() {
            '0'..='9' => {}
            '.' => return Err("Floats must start with a digit, not '.'.".into()),
            other => return Err(format!("Expected a digit but got '{}'.", shown(other))),
        }
        loop {
            match self.cursor.next() {
                '0'..='9' => {}
                '.' => return self.fraction(),
                c if is_number_suffix(c) => return self.number_suffix(),
                _ => break,
            }
        }
        self.cursor.back();
        self.emit_value(ItemKind::Integer)
    }

    /// What follows the first letter of a suffix; any other letter makes a string of it all.
    fn number_suffix(&mut self) -> Step {
        while matches!(self.cursor.next(), 'b' | 'B' | 'i' | 'I') {}
        self.cursor.back();
        let next = self.cursor.peek();
        let is_number = self.ends_number(next) || next.is_ascii_digit();
        if is_number {
            self.emit_value(ItemKind::Integer)
        } else {
            self.bare_string()
        }
    }

    fn ends_number(&self, c: char) -> bool {
        ends_value(c) && (c != ']' || self.after.last() == Some(&State::ArrayValueEnd))
    }

    fn date_after_year(&mut self) -> Step {
        for expected in "00-00T00:00:00Z".chars() {
            let found = self.cursor.next();
            if expected == '0' && !found.is_ascii_digit() {
                return Err(format!(
                    "Expected digit in ISO8601 datetime, but found '{}' instead.",
                    shown(found)
                ));
            }
            if expected != '0' && found != expected {
                let found = shown(found);
                return Err(format!(
                    "Expected '{expected}' in ISO8601 datetime, but found '{found}' instead."
                ));
            }
        }
        self.emit_value(ItemKind::Datetime)
    }

    /// Digits after a point; a second point makes an address of it.
    fn fraction(&mut self) -> Step {
        let first = self.cursor.next();
        if !first.is_ascii_digit() {
            let found = shown(first);
            return Err(format!(
                "Floats must have a digit after the '.', but got '{found}' instead."
            ));
        }
        loop {
            match self.cursor.next() {
                '0'..='9' => {}
                '.' => return self.address(),
                _ => break,
            }
        }
        self.cursor.back();
        self.emit_value(ItemKind::Float)
    }

    /// Such as `127.0.0.1:4222`, or `0.0.0.0:-1`.
    fn address(&mut self) -> Step {
        while matches!(self.cursor.next(), '0'..='9' | '.' | ':' | '-') {}
        self.cursor.back();
        self.emit_value(ItemKind::String)
    }

    fn emit_value(&mut self, kind: ItemKind) -> Step {
        self.emit(kind)?;
        self.back_out()
    }
}
