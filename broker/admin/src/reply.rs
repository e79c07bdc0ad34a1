//! What an endpoint answers.

use hyper::StatusCode;
use serde::Serialize;

use crate::request::BadQuery;

/// An endpoint's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// JSON text; see [`Reply::json`].
    Json {
        status: u16,
        body: String,
    },
    Html(String),
    Text {
        content_type: &'static str,
        body: String,
    },
    /// A plain sentence.
    Error {
        status: u16,
        message: String,
    },
}

impl Reply {
    /// 200 with `value` as JSON, indented by two blanks, fields in the order of the struct.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(body) => Self::Json { status: 200, body },
            Err(problem) => Self::error(500, format!("cannot write the answer as JSON: {problem}")),
        }
    }

    /// `status` with a sentence.
    #[must_use]
    pub fn error(status: u16, message: impl Into<String>) -> Self {
        Self::Error {
            status,
            message: message.into(),
        }
    }

    /// What nats-server answers for a path it does not know.
    #[must_use]
    pub fn not_found() -> Self {
        Self::error(404, "404 page not found\n")
    }

    pub(crate) fn status(&self) -> StatusCode {
        let code = match self {
            Self::Json { status, .. } | Self::Error { status, .. } => *status,
            Self::Html(_) | Self::Text { .. } => 200,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Json { .. } => "application/json",
            Self::Html(_) => "text/html; charset=utf-8",
            Self::Text { content_type, .. } => content_type,
            Self::Error { .. } => "text/plain; charset=utf-8",
        }
    }

    pub(crate) fn into_body(self) -> String {
        match self {
            Self::Json { body, .. } | Self::Html(body) | Self::Text { body, .. } => body,
            Self::Error { message, .. } => message,
        }
    }
}

impl From<BadQuery> for Reply {
    fn from(problem: BadQuery) -> Self {
        Self::error(400, problem.to_string())
    }
}

impl<E: Into<Reply>> From<Result<Reply, E>> for Reply {
    fn from(result: Result<Reply, E>) -> Self {
        result.unwrap_or_else(Into::into)
    }
}
