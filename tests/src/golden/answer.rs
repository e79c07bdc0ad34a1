//! Deliveries of JetStream in a transcript, without what differs from run to run.
//!
//! JSON is written with its fields in alphabetical order. Times become `<time>` or `<ns>`, generated names `<id>`, the
//! server's id `<server>` and version `<2.14.x>`, the details of bad JSON `<detail>`, and sizes `<size>`, because they follow from those.

use serde_json::Value;

use super::escape::escape;

/// Nanoseconds since 1970 that are taken for a time: from 2020 on.
const FIRST_NS: u64 = 1_577_836_800_000_000_000;

/// What follows are the words of the server's JSON library.
const BAD_JSON: &str = "invalid JSON: ";

/// A MSG or HMSG as it stands in a transcript; `None` if it is neither.
#[must_use]
pub fn describe(bytes: &[u8]) -> Option<String> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let body = bytes[end + 2..].strip_suffix(b"\r\n")?;
    let mut words: Vec<String> = line.split(' ').map(|word| mask_tokens(word, '.')).collect();
    let sizes = match words.first()?.as_str() {
        "MSG" => 1,
        "HMSG" => 2,
        _ => return None,
    };
    let header_len = match sizes {
        1 => 0,
        _ => words.get(words.len() - 2)?.parse().ok()?,
    };
    let headers = mask_headers(&escape(body.get(..header_len)?));
    let payload = body.get(header_len..)?;
    let json = serde_json::from_slice(payload).ok().filter(Value::is_object);
    let hides_sizes = json.is_some() || headers.contains("<time>");
    let shown = match json {
        Some(mut value) => {
            mask(&mut value);
            escape(value.to_string().as_bytes())
        }
        None => escape(payload),
    };
    if hides_sizes {
        let first = words.len() - sizes;
        words[first..].fill("<size>".to_owned());
    }
    Some(format!("{}\\r\\n{headers}{shown}\\r\\n", words.join(" ")))
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "id" && is_generated(text) => *value = "<id>".into(),
                    _ => mask(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::String(text) => {
            if text.starts_with(BAD_JSON) {
                *text = format!("{BAD_JSON}<detail>");
            } else if let Some(word) = placeholder(text) {
                *text = word.to_owned();
            }
        }
        Value::Number(number)
            if number.as_u64().is_some_and(|number| number >= FIRST_NS) && !is_limit(number) =>
        {
            *value = "<ns>".into();
        }
        _ => {}
    }
}

/// The largest numbers stand for "no limit".
fn is_limit(number: &serde_json::Number) -> bool {
    number.as_u64().is_none_or(|number| number >= u64::MAX / 4)
}

fn is_generated(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn placeholder(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let is_time = bytes.len() >= 20 && bytes[4] == b'-' && bytes[10] == b'T' && bytes.ends_with(b"Z");
    match text {
        // The time of what never happened.
        "0001-01-01T00:00:00Z" => None,
        _ if is_time => Some("<time>"),
        _ if text.starts_with("2.14.") => Some("<2.14.x>"),
        _ if is_ns(text) => Some("<ns>"),
        _ if text.len() == 56 && text.starts_with('N') => Some("<server>"),
        _ => None,
    }
}

fn is_ns(text: &str) -> bool {
    text.len() == 19 && text.parse::<u64>().is_ok_and(|number| number >= FIRST_NS)
}

fn mask_tokens(text: &str, separator: char) -> String {
    let token = |token| placeholder(token).unwrap_or(token);
    let tokens: Vec<&str> = text.split(separator).map(token).collect();
    tokens.join(&separator.to_string())
}

/// Header values of a block that is escaped already.
fn mask_headers(block: &str) -> String {
    let lines: Vec<String> = block.split("\\r\\n").map(|line| mask_tokens(line, ' ')).collect();
    lines.join("\\r\\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_in_a_delivery_becomes_a_word() {
        let json =
            br#"{"b":"2026-11-21T10:00:00.5Z","a":[1,1795000000000000000],"never":"0001-01-01T00:00:00Z"}"#;
        let message = [format!("MSG r 1 {}\r\n", json.len()).as_bytes(), json, b"\r\n"].concat();
        assert_eq!(
            describe(&message).unwrap(),
            r#"MSG r 1 <size>\r\n{"a":[1,"<ns>"],"b":"<time>","never":"0001-01-01T00:00:00Z"}\r\n"#
        );
        assert_eq!(
            describe(b"MSG s.a 1 $JS.ACK.s.c.1.1.1.1795000000000000000.0 2\r\nhi\r\n").unwrap(),
            "MSG s.a 1 $JS.ACK.s.c.1.1.1.<ns>.0 2\\r\\nhi\\r\\n"
        );
        let head = "NATS/1.0\r\nNats-Time-Stamp: 2026-11-21T10:00:00Z\r\n\r\n";
        let message = format!("HMSG r 1 {} {}\r\n{head}hi\r\n", head.len(), head.len() + 2);
        assert_eq!(
            describe(message.as_bytes()).unwrap(),
            "HMSG r 1 <size> <size>\\r\\nNATS/1.0\\r\\nNats-Time-Stamp: <time>\\r\\n\\r\\nhi\\r\\n"
        );
        assert_eq!(describe(b"PONG\r\n"), None);
    }
}
