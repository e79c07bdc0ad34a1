//! What an endpoint gets to see of a request.

use std::str::FromStr;

/// A request for one endpoint. Method, headers and body do not matter to any of them.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The endpoint's path, without the base path of the configuration.
    pub path: String,
    pub query: Query,
}

/// The parameters behind the question mark. Of several with one name, the first counts.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

/// A parameter that cannot be read. Its text is what nats-server answers, Go's names included, because
/// operators' scripts match on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Error decoding {kind} for '{name}': strconv.{function}: parsing {value:?}: {problem}")]
pub struct BadQuery {
    kind: &'static str,
    function: &'static str,
    name: String,
    value: String,
    problem: &'static str,
}

impl Query {
    /// Reads `a=1&b=x%20y`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The parameter's text; `None` when it is absent or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// A switch: `1 t T true True TRUE` or `0 f F false False FALSE`; false when absent.
    pub fn bool(&self, name: &str) -> Result<bool, BadQuery> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(other) => Err(BadQuery {
                kind: "boolean",
                function: "ParseBool",
                name: name.into(),
                value: other.into(),
                problem: INVALID,
            }),
        }
    }

    /// A whole number; 0 when absent.
    pub fn int(&self, name: &str) -> Result<i64, BadQuery> {
        self.number(name, "int", "Atoi", true)
    }

    /// A whole number without a sign; 0 when absent.
    pub fn uint(&self, name: &str) -> Result<u64, BadQuery> {
        self.number(name, "uint64", "ParseUint", false)
    }

    fn number<N: FromStr + Default>(
        &self,
        name: &str,
        kind: &'static str,
        function: &'static str,
        signed: bool,
    ) -> Result<N, BadQuery> {
        let Some(text) = self.get(name) else {
            return Ok(N::default());
        };
        let digits = if signed {
            text.strip_prefix(['+', '-']).unwrap_or(text)
        } else {
            text
        };
        let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let problem = if well_formed {
            "value out of range"
        } else {
            INVALID
        };
        let bad = || BadQuery {
            kind,
            function,
            name: name.into(),
            value: text.into(),
            problem,
        };
        if well_formed {
            text.parse().map_err(|_| bad())
        } else {
            Err(bad())
        }
    }
}

const INVALID: &str = "invalid syntax";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn error<T: std::fmt::Debug>(result: Result<T, BadQuery>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn the_first_of_several_counts_and_escapes_are_resolved() {
        let query = Query::parse("acc=%24G&acc=other&test=a+b&empty=");
        assert_eq!(query.get("acc"), Some("$G"));
        assert_eq!(query.get("test"), Some("a b"));
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.get("absent"), None);
    }

    #[test]
    fn absent_parameters_have_defaults() {
        let query = Query::parse("");
        assert_eq!(
            (query.bool("x"), query.int("x"), query.uint("x")),
            (Ok(false), Ok(0), Ok(0))
        );
    }

    #[test]
    fn numbers_and_switches() {
        let query = Query::parse("on=true&off=F&low=-3&plus=%2B4&cid=18446744073709551615");
        assert_eq!(query.bool("on"), Ok(true));
        assert_eq!(query.bool("off"), Ok(false));
        assert_eq!(query.int("low"), Ok(-3));
        assert_eq!(query.int("plus"), Ok(4));
        assert_eq!(query.uint("cid"), Ok(u64::MAX));
    }

    #[test]
    fn errors_read_as_nats_servers() {
        let query = Query::parse("limit=x&big=99999999999999999999&cid=-1&subs=zz");
        assert_eq!(
            error(query.int("limit")),
            r#"Error decoding int for 'limit': strconv.Atoi: parsing "x": invalid syntax"#
        );
        assert_eq!(
            error(query.int("big")),
            r#"Error decoding int for 'big': strconv.Atoi: parsing "99999999999999999999": value out of range"#
        );
        assert_eq!(
            error(query.uint("cid")),
            r#"Error decoding uint64 for 'cid': strconv.ParseUint: parsing "-1": invalid syntax"#
        );
        assert_eq!(
            error(query.bool("subs")),
            r#"Error decoding boolean for 'subs': strconv.ParseBool: parsing "zz": invalid syntax"#
        );
    }
}
