//! nats-server's JSON: the names, the order and the omissions that clients know.

pub(crate) mod consumer;
pub(crate) mod info;
pub(crate) mod request;
pub(crate) mod stream;
pub(crate) mod time;
pub mod version;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;
pub(crate) use crate::monitor::is_default;

/// An answer of the API: what kind, then an error or what was asked for.
#[derive(Debug, Serialize)]
struct Answer<'a, Body> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ApiError>,
    #[serde(flatten)]
    body: Body,
}

/// The answer as JSON. `kind` is its last part: `stream_info` for `io.nats.jetstream.api.v1.stream_info_response`. An
/// error carries the empty body.
pub(crate) fn answer<Body: Serialize + Default>(kind: &str, result: &Result<Body, ApiError>) -> Vec<u8> {
    let kind = format!("io.nats.jetstream.api.v1.{kind}_response");
    let json = match result {
        Ok(body) => serde_json::to_vec(&Answer {
            kind,
            error: None,
            body,
        }),
        Err(error) => serde_json::to_vec(&Answer {
            kind,
            error: Some(error),
            body: Body::default(),
        }),
    };
    // Strings, numbers and maps with text keys always serialize.
    json.unwrap_or_default()
}

/// Reads a request. Nothing at all is an object without fields; `null` is a field that is not there; an unknown field is
/// an error if `strict`.
///
/// # Errors
/// 10025
pub(crate) fn read<Body: DeserializeOwned + Default>(body: &[u8], strict: bool) -> Result<Body, ApiError> {
    if body.trim_ascii().is_empty() {
        return Ok(Body::default());
    }
    let mut value: Value = serde_json::from_slice(body).map_err(ApiError::invalid_json)?;
    if !value.is_object() {
        return Err(ApiError::invalid_json("json: not an object"));
    }
    drop_nulls(&mut value);
    let mut unknown = None;
    let read = serde_ignored::deserialize(value, |path| {
        if unknown.is_none() {
            unknown = path.to_string().rsplit('.').next().map(str::to_owned);
        }
    });
    let read = read.map_err(ApiError::invalid_json)?;
    match unknown {
        Some(field) if strict => Err(ApiError::invalid_json(format_args!(
            "json: unknown field {field:?}"
        ))),
        _ => Ok(read),
    }
}

/// Reads a request that is only one if it begins as JSON does: anything else counts as nothing.
///
/// # Errors
/// 10025
pub(crate) fn read_optional<Body: DeserializeOwned + Default>(
    body: &[u8],
    strict: bool,
) -> Result<Body, ApiError> {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => read(body, strict),
        _ => Ok(Body::default()),
    }
}

/// Nothing, or an object without fields.
pub(crate) fn is_empty(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.is_empty()
        || body == b"{}"
        || matches!(serde_json::from_slice(body), Ok(Value::Object(map)) if map.is_empty())
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Says nothing: `{}`, `""`, `0`, `false`, or an object of such.
pub(crate) fn unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(unset),
    }
}

#[cfg(test)]
mod tests;
