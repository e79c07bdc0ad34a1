use crate::value::Position;

/// Why a configuration cannot be parsed. The text is what nats-server prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not follow the grammar.
    #[error("Parse error on line {}: '{reason}'", at.line)]
    Syntax { at: Position, reason: String },
    /// The file ends after a key.
    #[error("config is invalid ({at})")]
    NoValue { at: Position },
    /// A number or a date has the right shape and no meaning.
    #[error("{reason}")]
    BadValue { at: Position, reason: String },
    /// A `$name` that neither an enclosing block nor the environment knows.
    #[error("variable reference for '{name}' on line {} can not be found", at.line)]
    UnknownVariable { at: Position, name: String },
    /// The value of a `$name` cannot be parsed.
    #[error("variable reference for '{name}' on line {} could not be parsed: {source}", at.line)]
    BadVariable {
        at: Position,
        name: String,
        source: Box<Error>,
    },
    /// The environment variable refers to itself.
    #[error("variable reference cycle for '{name}'")]
    VariableCycle { name: String },
    /// An included file cannot be read or parsed.
    #[error("error parsing include file '{name}', {source}")]
    Include {
        at: Position,
        name: String,
        source: Box<Error>,
    },
    /// A file cannot be read.
    #[error("{reason}")]
    Read { reason: String },
    /// One of [`crate::limits`] is passed.
    #[error("configuration has too much of it: {what}, at most {limit}")]
    Limit { what: &'static str, limit: usize },
}
