//! Pull requests: nothing, a number, or JSON.

use bytes::Bytes;
use mainstem_streams::PullRequest;

use super::json::{self, request::Next};

/// Reads a request.
///
/// # Errors
/// The text behind `400 Bad Request - `.
pub(crate) fn parse(body: &[u8], reply: Bytes) -> Result<PullRequest, String> {
    let body = body.trim_ascii();
    let request = PullRequest {
        batch: 1,
        reply,
        ..PullRequest::default()
    };
    if body.starts_with(b"{") {
        return read(&next(body)?, request);
    }
    let batch = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
    Ok(PullRequest {
        batch: batch.unwrap_or(1),
        ..request
    })
}

fn next(body: &[u8]) -> Result<Next, String> {
    serde_json::from_slice(body).or_else(|error| {
        // async-nats says `null` for what it does not want, which the stricter reader knows.
        json::read(body, false).map_err(|_| error.to_string())
    })
}

fn read(next: &Next, request: PullRequest) -> Result<PullRequest, String> {
    if next.idle_heartbeat > 0 && next.idle_heartbeat.saturating_mul(2) > next.expires {
        return Err("heartbeat value too large".to_owned());
    }
    if next.min_pending != 0 || next.min_ack_pending != 0 {
        return Err("Not a Overflow Priority consumer".to_owned());
    }
    if !next.id.is_empty() {
        return Err("Not a Pinned Client Priority consumer".to_owned());
    }
    let positive = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(PullRequest {
        batch: positive(next.batch).max(1),
        expires_ns: positive(next.expires),
        no_wait: next.no_wait,
        max_bytes: positive(next.max_bytes),
        idle_heartbeat_ns: positive(next.idle_heartbeat),
        ..request
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let parse = |body: &str| super::parse(body.as_bytes(), Bytes::from_static(b"r"));
        assert_eq!(parse("").unwrap().batch, 1);
        assert_eq!(parse(" 25 ").unwrap().batch, 25);
        assert_eq!(parse("junk").unwrap().batch, 1);
        let full =
            parse(r#"{"batch":7,"expires":9,"no_wait":true,"max_bytes":3,"idle_heartbeat":4,"group":"g"}"#);
        let expected = PullRequest {
            batch: 7,
            expires_ns: 9,
            no_wait: true,
            max_bytes: 3,
            idle_heartbeat_ns: 4,
            reply: Bytes::from_static(b"r"),
        };
        assert_eq!(full, Ok(expected));
        assert_eq!(
            parse(r#"{"idle_heartbeat":5,"expires":9}"#),
            Err("heartbeat value too large".into())
        );
        assert_eq!(parse(r#"{"batch":3,"max_bytes":null}"#).unwrap().batch, 3);
        assert!(parse(r#"{"batch":"a"}"#).is_err());
    }
}
