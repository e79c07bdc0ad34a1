//! A place in the text that remembers lines, as nats-server's positions need it.

/// What [`Cursor::next`] gives at the end of the text, and for a NUL byte in it, which ends the text as well.
pub(super) const END: char = '\0';

/// Reads characters and marks where the current item starts.
pub(super) struct Cursor<'t> {
    text: &'t [u8],
    /// First byte of the current item.
    pub start: usize,
    /// Next byte to read.
    pub at: usize,
    /// Bytes of the character read last; 0 at the end of the text.
    width: usize,
    /// Line of `at`, from 1.
    pub line: u32,
    /// Where the line of `at` starts: its line feed before, 0 on the first line.
    line_start: usize,
    /// The same for the line of `start`.
    item_line_start: usize,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            start: 0,
            at: 0,
            width: 0,
            line: 1,
            line_start: 0,
            item_line_start: 0,
        }
    }

    pub fn next(&mut self) -> char {
        let Some(&first) = self.text.get(self.at) else {
            self.width = 0;
            return END;
        };
        if first == b'\n' {
            self.line += 1;
            self.line_start = self.at;
        }
        let (character, width) = decode(&self.text[self.at..]);
        self.width = width;
        self.at += width;
        character
    }

    /// Steps back over the character read last.
    pub fn back(&mut self) {
        self.at = self.at.saturating_sub(self.width);
        if self.text.get(self.at) == Some(&b'\n') {
            self.line -= 1;
        }
    }

    pub fn peek(&mut self) -> char {
        let character = self.next();
        self.back();
        character
    }

    /// Reads on over `wanted`, if it comes next.
    pub fn take(&mut self, wanted: char) -> bool {
        let found = self.next() == wanted;
        if !found {
            self.back();
        }
        found
    }

    /// The next item starts here.
    pub fn skip(&mut self) {
        self.start = self.at;
        self.item_line_start = self.line_start;
    }

    /// Bytes of the item so far.
    pub fn item(&self) -> &'t [u8] {
        &self.text[self.start..self.at]
    }

    pub fn bytes(&self, from: usize, to: usize) -> &'t [u8] {
        &self.text[from..to]
    }

    pub fn has_item(&self) -> bool {
        self.at > self.start
    }

    /// Column of an item that ends here and whose value has so many bytes.
    pub fn item_column(&self, value_bytes: usize) -> u32 {
        column(
            self.at
                .saturating_sub(self.item_line_start)
                .saturating_sub(value_bytes),
        )
    }

    /// Column of `at`.
    pub fn column(&self) -> u32 {
        column(self.at.saturating_sub(self.line_start))
    }
}

fn column(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The first character of `text` and its length in bytes. A byte that starts no UTF-8 character counts as one.
fn decode(text: &[u8]) -> (char, usize) {
    let is_ascii = text[0].is_ascii();
    if is_ascii {
        return (char::from(text[0]), 1);
    }
    let whole = (2..=text.len().min(4)).find_map(|width| std::str::from_utf8(&text[..width]).ok());
    match whole.and_then(|text| text.chars().next()) {
        Some(character) => (character, character.len_utf8()),
        None => (char::REPLACEMENT_CHARACTER, 1),
    }
}
