//! The HTTP/1.1 request that opens a WebSocket (RFC 6455 section 4.2), without IO. Answers as nats-server does.

mod origin;

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use thiserror::Error;

use crate::config::WebsocketConfig;
use crate::ws::WsOptions;
pub use origin::{InvalidOrigin, Origin};

/// Longest request, in bytes. Cookies may carry tokens.
pub const MAX_REQUEST_BYTES: usize = 32 * 1024;
/// Most header lines of a request.
pub const MAX_HEADERS: usize = 64;

/// As lenient with unused bits as Go's decoder.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const DEFLATE_EXTENSION: &str = "permessage-deflate";
const DEFLATE_ANSWER: &str = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";

/// What a listener asks of an upgrade request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpgradeRules {
    /// Agree to permessage-deflate.
    pub compression: bool,
    /// The Origin must be the host that the request names.
    pub same_origin: bool,
    /// Origins that are accepted; empty: all.
    pub allowed_origins: Vec<Origin>,
    /// Ends of paths that are answered with 404.
    pub unknown_path_suffixes: Vec<String>,
    /// Longest inflated message, in bytes; 0: no bound.
    pub max_inflated_bytes: usize,
}

impl UpgradeRules {
    /// # Errors
    /// An allowed origin that is no http or https URL with a host.
    pub fn new(config: &WebsocketConfig) -> Result<Self, InvalidOrigin> {
        let allowed_origins = config
            .allowed_origins
            .iter()
            .map(|url| Origin::parse_allowed(url));
        Ok(Self {
            compression: config.compression,
            same_origin: config.same_origin,
            allowed_origins: allowed_origins.collect::<Result<_, _>>()?,
            ..Self::default()
        })
    }
}

/// What the request told about the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WsInfo {
    /// Request target, for example `/`.
    pub path: String,
    /// Names and values, in the order sent.
    pub cookies: Vec<(String, String)>,
    /// `X-Forwarded-For`, if it is exactly one address.
    pub forwarded_for: Option<IpAddr>,
    /// Whether permessage-deflate was agreed on.
    pub compressed: bool,
}

/// A request that is accepted: what to answer, and how to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    pub response: Vec<u8>,
    pub options: WsOptions,
    pub info: WsInfo,
}

/// Why there is no WebSocket. The connection is closed after [`Refusal::response`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// Not a readable HTTP request.
    #[error("{status} {}: {reason}", status_text(*status))]
    Http { status: u16, reason: &'static str },
    /// HTTP, but not a WebSocket that is welcome here.
    #[error("websocket handshake error: {reason}")]
    Handshake { status: u16, reason: Cow<'static, str> },
    /// Closed without an answer.
    #[error("websocket handshake error: client sent data before handshake is complete")]
    EarlyData,
}

impl Refusal {
    fn bad_request(reason: &'static str) -> Self {
        Self::Handshake {
            status: 400,
            reason: reason.into(),
        }
    }

    /// The bytes to send before closing.
    pub fn response(&self) -> Vec<u8> {
        let (status, headers, body) = match self {
            Self::EarlyData => return Vec::new(),
            Self::Http { status, reason: "" } => (status, "", format!("{status} {}", status_text(*status))),
            Self::Http { status, reason } => {
                (status, "", format!("{status} {}: {reason}", status_text(*status)))
            }
            Self::Handshake { status, .. } => (
                status,
                "Sec-Websocket-Version: 13\r\nX-Content-Type-Options: nosniff\r\n",
                format!("{}\n", status_text(*status)),
            ),
        };
        format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: text/plain; charset=utf-8\r\n{headers}Content-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            status_text(*status),
            body.len()
        )
        .into_bytes()
    }
}

fn status_text(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// Judges what was read so far; `None`: more is needed.
///
/// # Errors
/// Anything that is not an acceptable request, also one longer than [`MAX_REQUEST_BYTES`].
pub fn parse(read: &[u8], over_tls: bool, rules: &UpgradeRules) -> Result<Option<Upgrade>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(read) {
        Ok(httparse::Status::Complete(used)) => {
            let upgrade = accept(
                &Request {
                    parsed: &request,
                    over_tls,
                },
                rules,
            )?;
            if used < read.len() {
                Err(Refusal::EarlyData)
            } else {
                Ok(Some(upgrade))
            }
        }
        Ok(httparse::Status::Partial) if read.len() < MAX_REQUEST_BYTES => Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => Err(Refusal::Http {
            status: 431,
            reason: "",
        }),
        Err(httparse::Error::Version) => Err(Refusal::Http {
            status: 505,
            reason: "unsupported protocol version",
        }),
        Err(_) => Err(Refusal::Http {
            status: 400,
            reason: "",
        }),
    }
}

struct Request<'a> {
    parsed: &'a httparse::Request<'a, 'a>,
    over_tls: bool,
}

impl<'a> Request<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let headers = self
            .parsed
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name));
        headers
            .filter_map(|header| std::str::from_utf8(header.value).ok())
            .map(str::trim)
    }

    fn value(&self, name: &str) -> &'a str {
        self.values(name).next().unwrap_or("")
    }

    /// Whether a comma-separated header has this token.
    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    fn offers_deflate(&self) -> bool {
        let offers = self
            .values("Sec-WebSocket-Extensions")
            .flat_map(|value| value.split([',', ';']));
        offers
            .map(str::trim)
            .any(|offer| offer.eq_ignore_ascii_case(DEFLATE_EXTENSION))
    }
}

fn accept(request: &Request<'_>, rules: &UpgradeRules) -> Result<Upgrade, Refusal> {
    check_host(request)?;
    let path = request.parsed.path.unwrap_or_default();
    let route = path.split('?').next().unwrap_or_default();
    if rules
        .unknown_path_suffixes
        .iter()
        .any(|suffix| route.ends_with(suffix.as_str()))
    {
        return Err(Refusal::Handshake {
            status: 404,
            reason: "websocket endpoint not enabled".into(),
        });
    }
    let key = check_handshake(request)?;
    check_origin(request, rules).map_err(|why| Refusal::Handshake {
        status: 403,
        reason: format!("origin not allowed: {why}").into(),
    })?;
    let deflate = rules.compression && request.offers_deflate();
    let allow_unmasked = request.value("Nats-No-Masking") == "true";
    let agent = request.value("User-Agent");
    let browser = agent.starts_with("Mozilla/");
    let info = WsInfo {
        path: path.to_owned(),
        cookies: request.values("Cookie").flat_map(cookies).collect(),
        forwarded_for: request.value("X-Forwarded-For").parse().ok(),
        compressed: deflate,
    };
    let options = WsOptions {
        deflate,
        allow_unmasked,
        browser,
        // Chrome also calls itself Safari; only Safari says Version.
        whole_deflated: browser && agent.contains("Version/") && agent.contains("Safari/"),
        max_inflated_bytes: rules.max_inflated_bytes,
    };
    Ok(Upgrade {
        response: response(key, &options),
        options,
        info,
    })
}

/// Rules of HTTP itself about the Host header.
fn check_host(request: &Request<'_>) -> Result<(), Refusal> {
    match (request.values("Host").count(), request.parsed.version) {
        (0, Some(1)) => Err(Refusal::Http {
            status: 400,
            reason: "missing required Host header",
        }),
        (0 | 1, _) => Ok(()),
        _ => Err(Refusal::Http {
            status: 400,
            reason: "",
        }),
    }
}

/// RFC 6455 section 4.2.1, in the order in which nats-server checks; returns the key.
fn check_handshake<'a>(request: &Request<'a>) -> Result<&'a str, Refusal> {
    if request.parsed.method != Some("GET") {
        return Err(Refusal::Handshake {
            status: 405,
            reason: "request method must be GET".into(),
        });
    }
    if request.value("Host").is_empty() {
        return Err(Refusal::bad_request("'Host' missing in request"));
    }
    if !request.has_token("Upgrade", "websocket") {
        return Err(Refusal::bad_request("invalid value for header 'Upgrade'"));
    }
    if !request.has_token("Connection", "Upgrade") {
        return Err(Refusal::bad_request("invalid value for header 'Connection'"));
    }
    let key = request.value("Sec-WebSocket-Key");
    if key.is_empty() {
        return Err(Refusal::bad_request("key missing"));
    }
    if BASE64.decode(key).map_or(true, |nonce| nonce.len() != 16) {
        return Err(Refusal::bad_request("invalid websocket key"));
    }
    if !request.has_token("Sec-WebSocket-Version", "13") {
        return Err(Refusal::bad_request("invalid version"));
    }
    Ok(key)
}

/// A request without an Origin does not come from a web page and is welcome.
fn check_origin(request: &Request<'_>, rules: &UpgradeRules) -> Result<(), Cow<'static, str>> {
    if !rules.same_origin && rules.allowed_origins.is_empty() {
        return Ok(());
    }
    let named = [request.value("Origin"), request.value("Sec-WebSocket-Origin")];
    let Some(url) = named.into_iter().find(|url| !url.is_empty()) else {
        return Ok(());
    };
    let origin = Origin::parse(url).map_err(|error| error.to_string())?;
    if rules.same_origin {
        let scheme = if request.over_tls { "https" } else { "http" };
        let own = Origin::new(scheme, request.value("Host")).map_err(|error| error.to_string())?;
        if origin != own {
            return Err("not same origin".into());
        }
    }
    if !rules.allowed_origins.is_empty() && !rules.allowed_origins.contains(&origin) {
        return Err("not in the allowed list".into());
    }
    Ok(())
}

/// The pairs of one Cookie header (RFC 6265 section 4.2.1); what is not a pair is skipped.
fn cookies(header: &str) -> impl Iterator<Item = (String, String)> {
    header.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
    })
}

fn response(key: &str, options: &WsOptions) -> Vec<u8> {
    let extensions = if options.deflate { DEFLATE_ANSWER } else { "" };
    let masking = if options.allow_unmasked {
        "Nats-No-Masking: true\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{extensions}{masking}\r\n",
        accept_key(key)
    )
    .into_bytes()
}

fn accept_key(key: &str) -> String {
    let mut sha1 = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key.as_bytes());
    sha1.update(ACCEPT_GUID);
    BASE64.encode(sha1.finish())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
