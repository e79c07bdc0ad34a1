//! `/healthz`: whether this process can do its work, in nats-server's form.

use std::sync::Arc;

use serde::Serialize;

use crate::BoxFuture;
use crate::registry::{Handler, handler};
use crate::reply::Reply;
use crate::request::{BadQuery, Request};

/// Finds out whether one part of the process is well. It sees the request, because a query may leave checks out
/// (`js-server-only`) or name what to look at (`stream`).
pub type HealthCheck = Arc<dyn Fn(Request) -> BoxFuture<'static, Result<(), Unhealthy>> + Send + Sync>;

/// What is wrong with a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhealthy {
    /// HTTP status of the answer.
    pub status_code: u16,
    /// `status` of the answer when no details are asked for.
    pub status: &'static str,
    /// One sentence.
    pub error: String,
}

impl Unhealthy {
    /// The part does not work now: 503.
    #[must_use]
    pub fn unavailable(error: impl Into<String>) -> Self {
        Self {
            status_code: 503,
            status: "unavailable",
            error: error.into(),
        }
    }

    /// The process is not ready for clients: 500, as nats-server says it.
    #[must_use]
    pub fn not_ready(error: impl Into<String>) -> Self {
        Self {
            status_code: 500,
            status: "error",
            error: error.into(),
        }
    }

    /// The query makes no sense: 400.
    #[must_use]
    pub fn bad_request(error: impl Into<String>) -> Self {
        Self {
            status_code: 400,
            status: "error",
            error: error.into(),
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Detail<'a>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    r#type: &'a str,
    error: &'a str,
}

pub(crate) fn endpoint(checks: Vec<(&'static str, HealthCheck)>) -> Handler {
    let checks = Arc::new(checks);
    handler(move |request| report(Arc::clone(&checks), request))
}

async fn report(checks: Arc<Vec<(&'static str, HealthCheck)>>, request: Request) -> Result<Reply, BadQuery> {
    let details = request.query.bool("details")?;
    let mut found = Vec::new();
    for (name, check) in checks.iter() {
        if let Err(unhealthy) = check(request.clone()).await {
            tracing::warn!(check = name, "health check failed: {}", unhealthy.error);
            found.push((*name, unhealthy));
            if !details {
                break;
            }
        }
    }
    Ok(render(&found, details))
}

/// Compact JSON without the status code in it, which is how nats-server answers over HTTP.
fn render(found: &[(&str, Unhealthy)], details: bool) -> Reply {
    let first = found.first().map(|(_, unhealthy)| unhealthy);
    let body = Body {
        status: match first {
            None => "ok",
            Some(_) if details => "error",
            Some(unhealthy) => unhealthy.status,
        },
        error: first
            .filter(|_| !details)
            .map(|unhealthy| unhealthy.error.as_str()),
        errors: if details {
            found
                .iter()
                .map(|(name, unhealthy)| Detail {
                    r#type: name,
                    error: &unhealthy.error,
                })
                .collect()
        } else {
            Vec::new()
        },
    };
    match serde_json::to_string(&body) {
        Ok(body) => Reply::Json {
            status: first.map_or(200, |unhealthy| unhealthy.status_code),
            body,
        },
        Err(problem) => Reply::error(500, problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(found: &[(&str, Unhealthy)], details: bool) -> (u16, String) {
        let reply = render(found, details);
        (reply.status().as_u16(), reply.into_body())
    }

    #[test]
    fn a_healthy_process() {
        assert_eq!(answer(&[], false), (200, r#"{"status":"ok"}"#.into()));
        assert_eq!(answer(&[], true), (200, r#"{"status":"ok"}"#.into()));
    }

    #[test]
    fn one_error_without_details() {
        let found = [("JETSTREAM", Unhealthy::unavailable("JetStream not enabled"))];
        let expected = r#"{"status":"unavailable","error":"JetStream not enabled"}"#;
        assert_eq!(answer(&found, false), (503, expected.into()));
    }

    #[test]
    fn details_name_each_part() {
        let found = [(
            "BAD_REQUEST",
            Unhealthy::bad_request(r#""account" must not be empty"#),
        )];
        let expected =
            r#"{"status":"error","errors":[{"type":"BAD_REQUEST","error":"\"account\" must not be empty"}]}"#;
        assert_eq!(answer(&found, true), (400, expected.into()));
    }
}
