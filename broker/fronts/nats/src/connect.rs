//! CONNECT: what a client says about itself.

use serde::Deserialize;
use serde_json::Value;

/// Options of CONNECT. As in nats-server, each CONNECT of a connection changes only what it names, keys match in any
/// case, `null` changes nothing, and unknown keys are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    pub verbose: bool,
    pub pedantic: bool,
    pub echo: bool,
    pub headers: bool,
    pub no_responders: bool,
    pub protocol: i64,
    pub user: String,
    pub pass: String,
    pub auth_token: String,
    pub nkey: String,
    pub sig: String,
    pub name: String,
    pub lang: String,
    pub version: String,
    pub account: String,
    pub new_account: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            protocol: 0,
            user: String::new(),
            pass: String::new(),
            auth_token: String::new(),
            nkey: String::new(),
            sig: String::new(),
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            account: String::new(),
            new_account: false,
        }
    }
}

/// The text is no JSON object, or a value has the wrong type.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadConnect(pub String);

impl ConnectOptions {
    /// Takes over what `json` names.
    ///
    /// # Errors
    /// The text is no JSON object, or a value has the wrong type.
    pub fn update(&mut self, json: &[u8]) -> Result<(), BadConnect> {
        let value: Value = serde_json::from_slice(json).map_err(|error| BadConnect(error.to_string()))?;
        let object = match value {
            Value::Object(object) => object,
            Value::Null => return Ok(()),
            other => return Err(BadConnect(format!("CONNECT needs a JSON object, not {other}"))),
        };
        for (key, value) in object {
            if !value.is_null() {
                self.set(&key, value)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value) -> Result<(), BadConnect> {
        match key.to_ascii_lowercase().as_str() {
            "verbose" => set(key, value, &mut self.verbose),
            "pedantic" => set(key, value, &mut self.pedantic),
            "echo" => set(key, value, &mut self.echo),
            "headers" => set(key, value, &mut self.headers),
            "no_responders" => set(key, value, &mut self.no_responders),
            "protocol" => set(key, value, &mut self.protocol),
            "user" => set(key, value, &mut self.user),
            "pass" => set(key, value, &mut self.pass),
            "auth_token" => set(key, value, &mut self.auth_token),
            "nkey" => set(key, value, &mut self.nkey),
            "sig" => set(key, value, &mut self.sig),
            "name" => set(key, value, &mut self.name),
            "lang" => set(key, value, &mut self.lang),
            "version" => set(key, value, &mut self.version),
            "account" => set(key, value, &mut self.account),
            "new_account" => set(key, value, &mut self.new_account),
            _ => Ok(()),
        }
    }
}

fn set<T: for<'a> Deserialize<'a>>(key: &str, value: Value, place: &mut T) -> Result<(), BadConnect> {
    *place = serde_json::from_value(value).map_err(|error| BadConnect(format!("{key}: {error}")))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_it_changes() {
        let mut options = ConnectOptions::default();
        assert_eq!(
            options.update(br#"{"verbose":false,"User":"u","echo":null,"x":[1]}"#),
            Ok(())
        );
        assert_eq!(options.update(br#"{"pass":"p"}"#), Ok(()));
        assert!(!options.verbose && options.echo && options.pedantic);
        assert_eq!((options.user.as_str(), options.pass.as_str()), ("u", "p"));
        for bad in ["", "x", "[]", r#"{"verbose":"no"}"#, r#"{"protocol":1.5}"#, "{"] {
            assert!(options.update(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
