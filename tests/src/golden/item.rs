//! One message of the server: finding its end, and writing it down without what varies.

use std::collections::BTreeMap;

use serde_json::Value;

use super::escape::escape;

/// Fields of INFO that tell which build or key a server has, not how it behaves.
const LEFT_OUT: [&str; 4] = ["go", "git_commit", "xkey", "api_lvl"];

/// The length of the message at the start of `bytes`: a line, with its payload after MSG and HMSG.
/// `None` while it is not all there.
#[must_use]
pub fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.iter().position(|byte| *byte == b'\n')? + 1;
    let text = String::from_utf8_lossy(&bytes[..line]);
    let mut words = text.split_ascii_whitespace();
    if !matches!(words.next(), Some("MSG" | "HMSG")) {
        return Some(line);
    }
    let payload = words.last().and_then(|word| word.parse::<usize>().ok());
    let whole = payload.map_or(line, |size| line + size + 2);
    (bytes.len() >= whole).then_some(whole)
}

/// The INFO that these bytes are, if they are one.
#[must_use]
pub fn info(bytes: &[u8]) -> Option<BTreeMap<String, Value>> {
    serde_json::from_slice(bytes.strip_prefix(b"INFO ")?).ok()
}

/// How the message stands in a transcript. `port` is the one that we are connected to.
#[must_use]
pub fn describe(bytes: &[u8], port: u16) -> String {
    match info(bytes) {
        Some(fields) => describe_info(fields, port),
        None => escape(bytes),
    }
}

fn describe_info(fields: BTreeMap<String, Value>, port: u16) -> String {
    let shown: BTreeMap<String, Value> = fields
        .into_iter()
        .filter(|(name, _)| !LEFT_OUT.contains(&name.as_str()))
        .map(|(name, value)| match placeholder(&name, &value, port) {
            Some(word) => (name, Value::from(word)),
            None => (name, value),
        })
        .collect();
    format!("INFO {}", serde_json::json!(shown))
}

/// The word for a value that differs from server to server, if it has the right form.
fn placeholder(name: &str, value: &Value, port: u16) -> Option<&'static str> {
    let text = value.as_str().unwrap_or_default();
    match name {
        "server_id" if text.len() == 56 && text.starts_with('N') => Some("<id>"),
        "server_name" if !text.is_empty() => Some("<name>"),
        "version" if text.starts_with("2.14.") => Some("<2.14.x>"),
        "nonce" if text.len() >= 11 => Some("<nonce>"),
        "client_id" if value.as_u64().is_some_and(|id| id > 0) => Some("<number>"),
        "port" if value.as_u64() == Some(u64::from(port)) => Some("<port>"),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_after_its_payload() {
        assert_eq!(length(b"PONG\r\n+OK\r\n"), Some(6));
        assert_eq!(length(b"MSG a 1 2\r\nhi\r\nPONG\r\n"), Some(15));
        assert_eq!(length(b"MSG a 1 2\r\nhi\r"), None);
        assert_eq!(length(b"PON"), None);
    }

    #[test]
    fn what_varies_in_info_becomes_a_word() {
        let shown = describe(
            b"INFO {\"port\":7,\"version\":\"2.14.5\",\"go\":\"x\",\"proto\":1} \r\n",
            7,
        );
        assert_eq!(shown, r#"INFO {"port":"<port>","proto":1,"version":"<2.14.x>"}"#);
        assert_eq!(describe(b"INFO {\"port\":8}\r\n", 7), r#"INFO {"port":8}"#);
    }
}
