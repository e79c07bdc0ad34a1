//! Where the broker is, and as whom to log in.

use std::str::FromStr;

use anyhow::{Result, bail};
use percent_encoding::percent_decode_str;

/// A broker's address, from `nats://[user:password@|token@]host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    pub login: Login,
}

/// What CONNECT says about who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    None,
    Token(String),
    User { name: String, password: String },
}

const DEFAULT_PORT: u16 = 4222;

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> Result<Self> {
        let rest = match url.split_once("://") {
            None => url,
            Some(("nats", rest)) => rest,
            Some((scheme, _)) => bail!("{url:?}: {scheme}:// is not supported, only nats://"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            None => (Login::None, rest),
            Some((login, place)) => (parse_login(login)?, place),
        };
        let (host, port) = split_port(place);
        let Ok(port) = port.map_or(Ok(DEFAULT_PORT), str::parse) else {
            bail!("{url:?}: the port is no number up to 65535");
        };
        if host.is_empty() {
            bail!("{url:?}: there is no host");
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            login,
        })
    }
}

fn split_port(place: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    place
        .rsplit_once(':')
        .map_or((place, None), |(host, port)| (host, Some(port)))
}

fn parse_login(login: &str) -> Result<Login> {
    let decode = |text: &str| -> Result<String> { Ok(percent_decode_str(text).decode_utf8()?.into_owned()) };
    Ok(match login.split_once(':') {
        None => Login::Token(decode(login)?),
        Some((name, password)) => Login::User {
            name: decode(name)?,
            password: decode(password)?,
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(url: &str, host: &str, port: u16, login: Login) {
        let host = host.to_owned();
        assert_eq!(
            url.parse::<Address>().unwrap(),
            Address { host, port, login },
            "{url}"
        );
    }

    #[test]
    fn urls_are_read() {
        check("nats://127.0.0.1:4333", "127.0.0.1", 4333, Login::None);
        check("broker", "broker", 4222, Login::None);
        check("nats://broker/", "broker", 4222, Login::None);
        check("nats://[::1]:4333", "::1", 4333, Login::None);
        check("nats://s3cret@h:1", "h", 1, Login::Token("s3cret".into()));
        let login = Login::User {
            name: "a@b".into(),
            password: "p:w/".into(),
        };
        check("nats://a%40b:p%3Aw%2F@h:1", "h", 1, login);
    }

    #[test]
    fn wrong_urls_are_refused() {
        for url in [
            "",
            "nats://",
            "tls://h",
            "ws://h:1",
            "h:65536",
            "h:",
            "nats://u:p@",
        ] {
            assert!(url.parse::<Address>().is_err(), "{url}");
        }
    }
}
