//! What texts of the table must look like.

use crate::config::kind::Rule;
use crate::nkey::{self, Role};

pub const HOST: Rule = Rule {
    allowed: "a host name or address, such as 0.0.0.0 or ::",
    accepts: |text| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._:%[]".contains(c))
    },
};

pub const HOST_AND_PORT: Rule = Rule {
    allowed: "HOST or HOST:PORT as clients reach it",
    accepts: |text| {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        (HOST.accepts)(host) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
    },
};

pub const FILE: Rule = Rule {
    allowed: "the path of a file",
    accepts: is_path,
};
pub const FOLDER: Rule = Rule {
    allowed: "the path of a folder",
    accepts: is_path,
};

pub const PATH_PREFIX: Rule = Rule {
    allowed: "a path such as /nats, without a slash at its end",
    accepts: |text| {
        text.len() > 1
            && text.starts_with('/')
            && !text.ends_with('/')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/-._~".contains(c))
    },
};

pub const WORD: Rule = Rule {
    allowed: "a name without blanks",
    accepts: is_word,
};

pub const DOMAIN: Rule = Rule {
    allowed: "a name without blanks, dots and wildcards",
    accepts: |text| is_word(text) && !text.contains(['.', '*', '>']),
};

pub const SECRET: Rule = Rule {
    allowed: "a text that is not empty",
    accepts: |text| !text.is_empty(),
};

pub const NKEY: Rule = Rule {
    allowed: "the public nkey of a user (U and 55 more characters)",
    accepts: |text| nkey::is_public(text, Role::User),
};

pub const ORIGIN: Rule = Rule {
    allowed: "an origin such as https://example.com",
    accepts: |text| {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        host.is_some_and(|host| (HOST.accepts)(host))
    },
};

pub const FINGERPRINT: Rule = Rule {
    allowed: "a SHA-256 of 64 hexadecimal digits",
    accepts: |text| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
};

pub const SUBJECT: Rule = Rule {
    allowed: "a subject such as orders.*.new or orders.>",
    accepts: |text| is_subject(text),
};

pub const SUBJECT_AND_QUEUE: Rule = Rule {
    allowed: "a subject such as orders.>, with a queue after a blank if only that queue is meant",
    accepts: |text| match text.split_once(' ') {
        Some((subject, queue)) => is_subject(subject) && is_subject(queue),
        None => is_subject(text),
    },
};

pub const CONNECTION_TYPES: &[&str] = &[
    "STANDARD",
    "WEBSOCKET",
    "LEAFNODE",
    "LEAFNODE_WS",
    "MQTT",
    "MQTT_WS",
    "INPROCESS",
];

pub const CONNECTION_TYPE: Rule = Rule {
    allowed: "one of STANDARD, WEBSOCKET, LEAFNODE, LEAFNODE_WS, MQTT, MQTT_WS, INPROCESS",
    accepts: |text| CONNECTION_TYPES.contains(&text),
};

fn is_path(text: &str) -> bool {
    !text.is_empty() && !text.contains('\0')
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Tokens between dots; `>` stands last, wildcards stand alone in their token.
fn is_subject(text: &str) -> bool {
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        let is_last = tokens.peek().is_none();
        if !is_word(token) || (token == ">" && !is_last) {
            return false;
        }
    }
    true
}
