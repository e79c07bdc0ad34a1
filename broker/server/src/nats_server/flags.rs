//! The command line, as Go's `flag` package reads it: `-x` and `--x` are the same, values come after `=` or as the
//! next argument, a switch takes a value only after `=`, and the first argument that is no flag ends the flags.

use std::collections::HashMap;
use std::ffi::OsString;

use super::draft::Draft;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Switch,
    Whole,
    Text,
}

/// All flags: names of the same setting, the first one is what the code calls it.
const FLAGS: &[(&[&str], Kind)] = &[
    (&["help", "h"], Kind::Switch),
    (&["version", "v"], Kind::Switch),
    (&["help_tls"], Kind::Switch),
    (&["test", "t"], Kind::Switch),
    (&["config", "c"], Kind::Text),
    (&["signal", "sl"], Kind::Text),
    (&["addr", "a", "net"], Kind::Text),
    (&["port", "p"], Kind::Whole),
    (&["server_name", "n", "name"], Kind::Text),
    (&["client_advertise"], Kind::Text),
    (&["http_port", "m"], Kind::Whole),
    (&["https_port", "ms"], Kind::Whole),
    (&["pid", "P"], Kind::Text),
    (&["ports_file_dir"], Kind::Text),
    (&["log", "l"], Kind::Text),
    (&["log_size_limit"], Kind::Whole),
    (&["logtime", "T"], Kind::Switch),
    (&["logtime_utc"], Kind::Switch),
    (&["syslog", "s"], Kind::Switch),
    (&["remote_syslog", "r"], Kind::Text),
    (&["debug", "D"], Kind::Switch),
    (&["trace", "V"], Kind::Switch),
    (&["DV"], Kind::Switch),
    (&["DVV"], Kind::Switch),
    (&["VV"], Kind::Switch),
    (&["max_traced_msg_len"], Kind::Whole),
    (&["user"], Kind::Text),
    (&["pass"], Kind::Text),
    (&["auth"], Kind::Text),
    (&["tls"], Kind::Switch),
    (&["tlsverify"], Kind::Switch),
    (&["tlscert"], Kind::Text),
    (&["tlskey"], Kind::Text),
    (&["tlscacert"], Kind::Text),
    (&["jetstream", "js"], Kind::Switch),
    (&["store_dir", "sd"], Kind::Text),
    (&["routes"], Kind::Text),
    (&["cluster", "cluster_listen"], Kind::Text),
    (&["cluster_name"], Kind::Text),
    (&["cluster_advertise"], Kind::Text),
    (&["connect_retries"], Kind::Whole),
    (&["no_advertise"], Kind::Switch),
    (&["profile"], Kind::Whole),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Switch(bool),
    Whole(i64),
    Text(String),
}

/// The flags given; of one given twice, the last.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    values: HashMap<&'static str, Value>,
    /// What follows the flags.
    pub rest: Vec<String>,
}

/// Reads the arguments, the program's name left out.
///
/// # Errors
/// Go's words on the first argument that is wrong.
pub(super) fn parse(args: &[OsString]) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    while let Some(arg) = args.next() {
        let Some(dashed) = arg.strip_prefix('-').filter(|name| !name.is_empty()) else {
            flags.rest.push(arg);
            break;
        };
        if dashed == "-" {
            break;
        }
        let flag = dashed.strip_prefix('-').unwrap_or(dashed);
        if flag.is_empty() || flag.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {arg}"));
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let Some(&(names, kind)) = FLAGS
            .iter()
            .find(|(names, _)| names.contains(&name) && name != "test")
        else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match (kind, value) {
            (Kind::Switch, None) => Value::Switch(true),
            (_, Some(text)) => kind.read(name, text)?,
            (_, None) => {
                let text = args
                    .next()
                    .ok_or_else(|| format!("flag needs an argument: -{name}"))?;
                kind.read(name, text)?
            }
        };
        flags.values.insert(names[0], value);
    }
    flags.rest.extend(args);
    Ok(flags)
}

impl Kind {
    fn read(self, name: &str, text: String) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::Text(text)),
            Self::Switch => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Switch(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Switch(false)),
                _ => Err(format!("invalid boolean value {text:?} for -{name}: parse error")),
            },
            Self::Whole => whole(&text)
                .map(Value::Whole)
                .map_err(|reason| format!("invalid value {text:?} for flag -{name}: {reason}")),
        }
    }
}

/// Decimal, or with one of Go's prefixes (0x, 0o, 0b, 0).
fn whole(text: &str) -> Result<i64, &'static str> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err("parse error");
    }
    let number = i64::from_str_radix(digits, radix).map_err(|_| "value out of range")?;
    Ok(if negative { -number } else { number })
}

impl Flags {
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn switch(&self, name: &str) -> Option<bool> {
        match self.values.get(name) {
            Some(Value::Switch(on)) => Some(*on),
            _ => None,
        }
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.switch(name) == Some(true)
    }

    fn whole(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Whole(number)) => Some(*number),
            _ => None,
        }
    }

    /// Puts the flags over what `draft` holds.
    pub fn apply(&self, draft: &mut Draft) {
        for (name, target) in [
            ("addr", &mut draft.host),
            ("server_name", &mut draft.server_name),
            ("client_advertise", &mut draft.client_advertise),
            ("pid", &mut draft.pid_file),
            ("ports_file_dir", &mut draft.ports_file_dir),
            ("log", &mut draft.log_file),
            ("user", &mut draft.user),
            ("pass", &mut draft.password),
            ("auth", &mut draft.token),
            ("store_dir", &mut draft.store_dir),
            ("routes", &mut draft.routes),
            ("tlscert", &mut draft.flag_tls.cert_file),
            ("tlskey", &mut draft.flag_tls.key_file),
            ("tlscacert", &mut draft.flag_tls.ca_file),
        ] {
            if let Some(text) = self.text(name) {
                text.clone_into(target);
            }
        }
        for (name, target) in [
            ("port", &mut draft.port),
            ("http_port", &mut draft.http_port),
            ("https_port", &mut draft.https_port),
        ] {
            *target = self.whole(name).unwrap_or(*target);
        }
        for (name, target) in [
            ("logtime_utc", &mut draft.log_time_utc),
            ("jetstream", &mut draft.jetstream.enabled),
            ("no_advertise", &mut draft.no_advertise),
            ("tlsverify", &mut draft.flag_tls.verify),
        ] {
            *target = self.switch(name).unwrap_or(*target);
        }
        self.apply_logging(draft);
        draft.flag_tls.on = self.switch("tls");
        draft.flag_tls.given = self.values.keys().any(|name| name.starts_with("tls"));
        if let Some(listen) = self.text("cluster") {
            draft.has_cluster = !listen.is_empty();
        }
    }

    fn apply_logging(&self, draft: &mut Draft) {
        if let Some(on) = self.switch("logtime") {
            draft.no_log_time = !on;
        }
        let both = self.switch("DVV").or(self.switch("DV"));
        let debug = both.or(self.switch("debug"));
        let trace = self.switch("VV").or(both).or(self.switch("trace"));
        draft.debug = debug.unwrap_or(draft.debug);
        draft.trace = trace.unwrap_or(draft.trace);
    }

    /// Flags that were given and have no effect yet.
    pub fn unbuilt(&self) -> Vec<String> {
        let settings = [
            ("log_size_limit", "rotating the log file"),
            ("syslog", "syslog"),
            ("remote_syslog", "syslog"),
            ("max_traced_msg_len", "a bound on traced messages"),
            ("cluster", "clustering"),
            ("routes", "clustering"),
            ("profile", "a profiling port"),
        ];
        let is_given = |name: &str| {
            self.values
                .get(name)
                .is_some_and(|value| *value != Value::Switch(false))
        };
        settings
            .iter()
            .filter(|(name, _)| is_given(name))
            .map(|(name, what)| format!("--{name}: {what} is not built yet: the flag has no effect"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, String> {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        super::parse(&args)
    }

    #[test]
    fn one_dash_is_as_good_as_two_and_values_follow_or_are_attached() {
        for line in [
            "-p 4223",
            "--p 4223",
            "-port=4223",
            "--port=4223",
            "-p 1 -port 0x107f",
        ] {
            assert_eq!(
                parse(line).unwrap_or_default().whole("port"),
                Some(4223),
                "{line}"
            );
        }
        let flags = parse("-sd=d -js -DV --tls=false -p -1 --store_dir e").unwrap_or_default();
        assert_eq!(flags.text("store_dir"), Some("e"));
        assert_eq!(flags.whole("port"), Some(-1));
        assert!(flags.is_on("jetstream") && flags.is_on("DV"));
        assert_eq!(flags.switch("tls"), Some(false));
        assert_eq!(
            parse("-js true -p 1").unwrap_or_default().rest,
            ["true", "-p", "1"]
        );
        assert_eq!(parse("-- -p").unwrap_or_default().rest, ["-p"]);
    }

    #[test]
    fn wrong_flags_read_as_go_prints_them() {
        for (line, error) in [
            ("-foo", "flag provided but not defined: -foo"),
            ("--test", "flag provided but not defined: -test"),
            ("-js=x", "invalid boolean value \"x\" for -js: parse error"),
            ("-p abc", "invalid value \"abc\" for flag -p: parse error"),
            (
                "-p 99999999999999999999",
                "invalid value \"99999999999999999999\" for flag -p: value out of range",
            ),
            ("-p", "flag needs an argument: -p"),
            ("---x", "bad flag syntax: ---x"),
            ("-=x", "bad flag syntax: -=x"),
        ] {
            assert_eq!(parse(line).err().as_deref(), Some(error), "{line}");
        }
    }

    #[test]
    fn the_longer_logging_flags_win() {
        let logging = |line| {
            let mut draft = Draft {
                debug: true,
                ..Draft::default()
            };
            parse(line).unwrap_or_default().apply(&mut draft);
            (draft.debug, draft.trace)
        };
        assert_eq!(logging(""), (true, false));
        assert_eq!(logging("-D=false -V"), (false, true));
        assert_eq!(logging("-DV"), (true, true));
        assert_eq!(logging("-V -DV=false"), (false, false));
        assert_eq!(logging("-VV"), (true, true));
    }
}
