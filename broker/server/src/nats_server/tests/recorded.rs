//! Ends of nats-server 2.14.5, recorded: `-t` with good and bad files, and starts that fail.

use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;

use super::super::{Command, parse};
use super::parse_config;

const RECORDED: &str = include_str!("recorded.json");

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Text of `c.conf`.
    config: Option<String>,
    args: Vec<String>,
    #[serde(flatten)]
    end: End,
}

#[derive(Debug, Deserialize, PartialEq)]
struct End {
    exit_code: u8,
    stdout: String,
    stderr: String,
}

fn end_of(case: &Case, folder: &Path) -> End {
    let prefix = format!("{}/", folder.display());
    let args: Vec<&str> = case.args.iter().map(String::as_str).collect();
    let command = match &case.config {
        // The recordings name the file without a folder, also where the file names itself.
        Some(config) => parse_config(
            folder,
            &config.replace("c.conf", &format!("{prefix}c.conf")),
            &args,
        ),
        None => parse(&args.iter().map(OsString::from).collect::<Vec<_>>()),
    };
    let (exit_code, stdout, stderr) = match command {
        Ok(Command::Print(text, code)) => (code, text, String::new()),
        Ok(Command::TestConfig(line)) => (0, String::new(), line + "\n"),
        Ok(Command::Signal(signal)) => match signal.send() {
            Ok(()) => (0, String::new(), String::new()),
            Err(failure) => (failure.exit_code, failure.output, failure.message + "\n"),
        },
        Ok(Command::Run(_)) => panic!("{}: would run", case.name),
        Err(failure) => (failure.exit_code, failure.output, failure.message + "\n"),
    };
    End {
        exit_code,
        stdout,
        stderr: stderr.replace(&prefix, ""),
    }
}

#[test]
fn ends_are_those_of_nats_server() {
    let cases: Vec<Case> = serde_json::from_str(RECORDED).unwrap();
    assert!(cases.len() >= 140);
    let folder = tempfile::tempdir().unwrap();
    let different: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let end = end_of(case, folder.path());
            (end != case.end).then(|| format!("{}: {end:?} instead of {:?}", case.name, case.end))
        })
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}
