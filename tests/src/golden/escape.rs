//! Bytes as readable text, and back.

use anyhow::{Context, Result, bail};

/// Runs at least this long are written as `\{a*64}`.
const SHORTEST_RUN: usize = 64;

/// What a scenario sends: bytes, some of which are known only once connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Bytes(Vec<u8>),
    /// The signature of the server's nonce by this nkey seed.
    Signature(String),
}

impl Template {
    /// Reads the notation of the module [`super`].
    ///
    /// # Errors
    /// An unknown or unfinished escape.
    pub fn parse(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            rest = &rest[at + 1..];
            let kind = rest.chars().next().context("a lone \\ at the end")?;
            rest = &rest[kind.len_utf8()..];
            match kind {
                'r' => bytes.push(b'\r'),
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                '\\' => bytes.push(b'\\'),
                'x' => {
                    let digits = rest.get(..2).context("\\x needs two digits")?;
                    bytes.push(u8::from_str_radix(digits, 16).with_context(|| format!("\\x{digits}"))?);
                    rest = &rest[2..];
                }
                '{' => {
                    let (inside, after) = rest.split_once('}').context("\\{ without }")?;
                    rest = after;
                    if let Some(seed) = inside.strip_prefix("sig ") {
                        pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
                        pieces.push(Piece::Signature(seed.to_owned()));
                    } else {
                        let (unit, count) = inside.rsplit_once('*').context("\\{ needs TEXT*COUNT")?;
                        bytes.extend(unit.as_bytes().repeat(count.parse()?));
                    }
                }
                other => bail!("unknown escape \\{other}"),
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        pieces.push(Piece::Bytes(bytes));
        Ok(Self(pieces))
    }
}

/// Bytes in the notation of [`Template::parse`], in one line of printable ASCII.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for run in bytes.chunk_by(|a, b| a == b) {
        let byte = run[0];
        if run.len() >= SHORTEST_RUN && byte.is_ascii_alphanumeric() {
            text.push_str(&format!("\\{{{}*{}}}", char::from(byte), run.len()));
        } else {
            run.iter().for_each(|byte| escape_byte(*byte, &mut text));
        }
    }
    text
}

fn escape_byte(byte: u8, text: &mut String) {
    match byte {
        b'\r' => text.push_str("\\r"),
        b'\n' => text.push_str("\\n"),
        b'\t' => text.push_str("\\t"),
        b'\\' => text.push_str("\\\\"),
        b' '..=b'~' => text.push(char::from(byte)),
        _ => text.push_str(&format!("\\x{byte:02x}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        match Template::parse(text).unwrap().0.as_slice() {
            [Piece::Bytes(bytes)] => bytes.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_byte_survives_the_way_there_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes(&escape(&all)), all);
        assert_eq!(bytes(&escape(&[b'z'; 100])), [b'z'; 100]);
    }

    #[test]
    fn a_run_and_a_signature_are_read() {
        assert_eq!(bytes("\\{ab*3}!"), b"ababab!");
        let pieces = Template::parse("x\\{sig SUA}y").unwrap().0;
        assert_eq!(pieces[1], Piece::Signature("SUA".to_owned()));
    }

    #[test]
    fn a_broken_escape_is_refused() {
        for text in ["\\", "\\q", "\\x1", "\\xzz", "\\{a*3", "\\{a}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
