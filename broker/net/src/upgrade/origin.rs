//! Where a web page came from (RFC 6454): scheme, host and port.

use thiserror::Error;

/// A scheme, host and port that can be compared. Host and scheme are in lower case; the port is never left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: String,
}

/// Not the URL of an origin.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("parse \"{url}\": {reason}")]
pub struct InvalidOrigin {
    pub url: String,
    pub reason: &'static str,
}

impl Origin {
    /// From a URL; path and user information do not matter.
    ///
    /// # Errors
    /// `url` is not absolute, or its host and port are malformed.
    pub fn parse(url: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |reason| InvalidOrigin {
            url: url.to_owned(),
            reason,
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("invalid URI for request"))?;
        let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty() || !scheme.bytes().all(is_scheme_byte) {
            return Err(invalid("invalid URI for request"));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host_port = authority.rsplit('@').next().unwrap_or_default();
        Self::new(scheme, host_port)
    }

    /// As [`Origin::parse`], for the list in a configuration: http or https, with a host.
    ///
    /// # Errors
    /// `url` could never match.
    pub fn parse_allowed(url: &str) -> Result<Self, InvalidOrigin> {
        let origin = Self::parse(url)?;
        let invalid = |reason| {
            Err(InvalidOrigin {
                url: url.to_owned(),
                reason,
            })
        };
        if !matches!(origin.scheme.as_str(), "http" | "https") {
            return invalid("allowed origins must be absolute URLs with http or https scheme");
        }
        if origin.host.is_empty() {
            return invalid("host is required");
        }
        Ok(origin)
    }

    /// From a scheme and `host[:port]`; without a port, the scheme's own.
    ///
    /// # Errors
    /// More colons than a host and a port have.
    pub fn new(scheme: &str, host_port: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |reason| {
            Err(InvalidOrigin {
                url: host_port.to_owned(),
                reason,
            })
        };
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = match host_port.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(None) => return invalid("missing ']' in address"),
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, after))) => match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => return invalid("invalid port in address"),
            },
            None => match host_port.split_once(':') {
                Some((_, port)) if port.contains(':') => return invalid("too many colons in address"),
                Some((host, port)) => (host, Some(port)),
                None => (host_port, None),
            },
        };
        let port = port.unwrap_or(if scheme == "https" { "443" } else { "80" });
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port: port.to_owned(),
            scheme,
        })
    }
}
