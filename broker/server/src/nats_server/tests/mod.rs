#![allow(clippy::unwrap_used)]

mod options;
mod properties;
mod recorded;
mod refusals;
mod reload;

use std::ffi::OsString;
use std::path::Path;

use super::{Command, Failure, parse};
use crate::options::Options;

/// Parses `flags` with a file that holds `config`.
fn parse_config(folder: &Path, config: &str, flags: &[&str]) -> Result<Command, Failure> {
    let file = folder.join("c.conf");
    std::fs::write(&file, config).unwrap();
    let args = [OsString::from("-c"), file.into_os_string()];
    let args: Vec<OsString> = args.into_iter().chain(flags.iter().map(OsString::from)).collect();
    parse(&args)
}

fn run(config: &str, flags: &[&str]) -> Result<Options, Failure> {
    let folder = tempfile::tempdir().unwrap();
    match parse_config(folder.path(), config, flags)? {
        Command::Run(options) => Ok(*options),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn options(config: &str, flags: &[&str]) -> Options {
    run(config, flags).unwrap_or_else(|failure| panic!("{config:?}: {}", failure.message))
}

/// What is wrong with a file, without the program's name and without the folder.
#[track_caller]
fn refusal(config: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let failure = parse_config(folder.path(), config, &[]).unwrap_err();
    let message = failure
        .message
        .replace(&format!("{}/", folder.path().display()), "");
    message.trim_start_matches("nats-server: ").trim_end().to_owned()
}
