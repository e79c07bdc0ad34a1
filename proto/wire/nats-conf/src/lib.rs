//! Parser of nats-server's configuration grammar, as nats-server 2.14 reads it.
//!
//! The grammar is close to HOCON: keys and values separated by `=`, `:` or blanks, quoted and unquoted strings,
//! `#` and `//` comments, maps, arrays with and without commas, `$VARIABLES` looked up in the enclosing blocks and
//! then in the environment, `include`, numbers with suffixes (`64MiB`, `1k`), raw blocks between `(` and `)`.
//! Durations are plain strings here: what `2s` means is for the reader of the key to say.
//!
//! The crate does no IO: files and environment variables come from the caller's [`Source`]. Everything is bounded,
//! see [`limits`].
//!
//! Each value knows the file, line and column of its key, counted as nats-server counts them (the first line's
//! columns start at 0, those of all others at 1), and an [`Error`] reads as nats-server prints it.
//!
//! Deliberate deviations, all where nats-server takes something it did not mean to take, or the other way round:
//! - `]` ends a number (`[1]` is an array of one number; nats-server reads on to the next blank).
//! - A number whose suffix is unknown (`1kbb`) or that overflows with its suffix is an error instead of ignored or
//!   wrapped.
//! - The `)` that ends a raw block is not part of it, also when the file ends right there.
//! - An array that the file's end cuts off is an error, keys and values must be UTF-8, and only ASCII digits are
//!   digits.
//! - What passes [`limits`] is an error; nats-server crashes on an include that includes itself.

mod error;
mod json;
mod lexer;
pub mod limits;
mod number;
mod parser;
mod source;
mod value;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use source::{NoSource, Source};
pub use value::{Map, Node, Position, Value};

/// Parses the file at `path`, which `source` reads, with all that it includes.
pub fn parse_file(path: &str, source: &dyn Source) -> Result<Map, Error> {
    parser::Session::new(source).parse_file(path, 0)
}

/// Parses `text`; errors and positions call it `path`, and includes are looked up beside it.
pub fn parse_bytes(text: &[u8], path: &str, source: &dyn Source) -> Result<Map, Error> {
    parser::Session::new(source).parse_bytes(text, path, 0)
}
