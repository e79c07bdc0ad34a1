//! Header blocks: finding a value, adding lines, replacing the status line. Blocks are the bytes from `NATS/1.0` to the
//! empty line, as they travel.

/// First line of a block without a status.
const PLAIN: &[u8] = b"NATS/1.0\r\n";
const LINE_END: &[u8] = b"\r\n";

pub(crate) const REQUIRED_API_LEVEL: &str = "Nats-Required-Api-Level";

/// The lines of a block behind its first: name and value without the blanks before it.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    split_lines(block).skip(1).filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let value = &line[colon + 1..];
        let blanks = value.iter().take_while(|&&byte| byte == b' ').count();
        Some((&line[..colon], &value[blanks..]))
    })
}

fn split_lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let end = rest.windows(2).position(|pair| pair == LINE_END)?;
        let line = &rest[..end];
        rest = &rest[end + 2..];
        (!line.is_empty()).then_some(line)
    })
}

/// The first value of this name that is not empty; names are compared as they are, as nats-server does.
pub(crate) fn value<'a>(block: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (_, value) = lines(block).find(|(found, _)| *found == name.as_bytes())?;
    (!value.is_empty()).then_some(value)
}

/// A decimal number as nats-server reads it in headers: anything else is the largest there is, which matches nothing.
pub(crate) fn number(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<i64>()
        .ok()
        .filter(|_| digits)
        .map_or(u64::MAX, |number| number as u64)
}

/// Length of the block's first line with its end, if it carries a status that is not to be stored.
pub(crate) fn status_len(block: &[u8]) -> Option<usize> {
    if block.starts_with(PLAIN) {
        return None;
    }
    block
        .windows(2)
        .position(|pair| pair == LINE_END)
        .map(|end| end + 2)
}

/// The block without its status: nothing where no line is left.
pub(crate) fn without_status(block: &[u8]) -> Option<Vec<u8>> {
    let rest = &block[status_len(block)?..];
    if rest == LINE_END || rest.is_empty() {
        return Some(Vec::new());
    }
    Some([PLAIN, rest].concat())
}

/// Writes a block: one that is there already and grows, or a new one.
pub(crate) struct Builder {
    block: Vec<u8>,
}

impl Builder {
    /// Starts with the lines of `block`, which may be empty.
    pub(crate) fn from(block: &[u8]) -> Self {
        let lines = block.strip_suffix(LINE_END).unwrap_or(block);
        let mut copy = Vec::with_capacity(block.len() + 160);
        copy.extend_from_slice(if lines.is_empty() { PLAIN } else { lines });
        Self { block: copy }
    }

    /// Starts with a status line.
    pub(crate) fn status(code: u16, text: &str) -> Self {
        let block = format!("NATS/1.0 {code} {text}\r\n").into_bytes();
        Self { block }
    }

    pub(crate) fn line(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), b": ", value.as_ref(), LINE_END] {
            self.block.extend_from_slice(part);
        }
        self
    }

    pub(crate) fn number(self, name: &str, value: u64) -> Self {
        self.line(name, itoa::Buffer::new().format(value))
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.block.extend_from_slice(LINE_END);
        self.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] =
        b"NATS/1.0\r\nNats-Msg-Id: a b \r\nNats-Msg-Id2: x\r\nEmpty:\r\nNo colon\r\nNats-Rollup:sub\r\n\r\n";

    #[test]
    fn values_by_name() {
        assert_eq!(value(BLOCK, "Nats-Msg-Id"), Some(&b"a b "[..]));
        assert_eq!(value(BLOCK, "Nats-Rollup"), Some(&b"sub"[..]));
        assert_eq!(value(BLOCK, "Empty"), None);
        assert_eq!(value(BLOCK, "nats-rollup"), None);
        assert_eq!(value(b"", "A"), None);
        assert_eq!(value(b"NATS/1.0\r\nA: x", "A"), None);
    }

    #[test]
    fn numbers_or_what_matches_nothing() {
        assert_eq!(number(b"17"), 17);
        assert_eq!(number(b"-1"), u64::MAX);
        assert_eq!(number(b"1x"), u64::MAX);
        assert_eq!(number(b"99999999999999999999"), u64::MAX);
    }

    #[test]
    fn a_status_is_not_stored() {
        assert_eq!(without_status(BLOCK), None);
        assert_eq!(without_status(b"NATS/1.0 503\r\n\r\n"), Some(Vec::new()));
        let kept = without_status(b"NATS/1.0 100 Idle\r\nA: b\r\n\r\n");
        assert_eq!(kept.as_deref(), Some(&b"NATS/1.0\r\nA: b\r\n\r\n"[..]));
    }

    #[test]
    fn blocks_grow() {
        let new = Builder::from(b"").number("Nats-Sequence", 7).finish();
        assert_eq!(new, b"NATS/1.0\r\nNats-Sequence: 7\r\n\r\n");
        let grown = Builder::from(&new).line("A", "b").finish();
        assert_eq!(grown, b"NATS/1.0\r\nNats-Sequence: 7\r\nA: b\r\n\r\n");
        assert_eq!(
            Builder::status(404, "No Messages").finish(),
            b"NATS/1.0 404 No Messages\r\n\r\n"
        );
    }
}
