//! The process in the manner of nats-server 2.14: its flags, its configuration file, its words.
//!
//! Flags are applied before the file and once more after it, as nats-server does, so that they win and so that a
//! file cannot contradict them unnoticed. A directive that has no effect yet ends up in [`Options::warnings`]; one
//! whose silent absence would leave a door open (authentication by JWT or callout, shared and mapped subjects, OCSP,
//! trusted proxies) is an error like any other, with its place in the file.
//!
//! Where this deviates from nats-server 2.14.5:
//! - Complaints come in the order of the file, and all of a block's are shown (there: any order, the first of some).
//! - A complaint about a permission's subject always has its place.
//! - A password without a user is refused; there it lets everyone in.
//! - `--signal` takes no process id below 1; there `stop=-1` kills every process.
//! - Problems found after the file was read (a port that does not exist, monitoring without its TLS) end the start
//!   before any port is bound.

mod accounts;
mod authorization;
mod directives;
mod draft;
mod duration;
mod files;
mod flags;
mod help;
mod jetstream;
mod permissions;
mod reading;
mod resolve;
mod schema;
mod signal;
mod subject;
#[cfg(test)]
mod tests;
mod tls;
mod unbuilt;
mod users;
mod websocket;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::options::Options;
use draft::Draft;
use flags::Flags;
use reading::Report;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run the server.
    Run(Box<Options>),
    /// Print this to standard output and leave with the code.
    Print(String, u8),
    /// Send a signal with [`Signal::send`] and leave.
    Signal(Signal),
    /// The configuration file is valid: print this line to standard error and leave with 0.
    TestConfig(String),
}

/// A signal for another process: `stop=123`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal(String);

impl Signal {
    /// Sends it.
    ///
    /// # Errors
    /// No such process, no such signal, not permitted.
    pub fn send(&self) -> Result<(), Failure> {
        signal::send(&self.0).map_err(|reason| Failure::new(&reason))
    }
}

/// An end before the server runs, as nats-server ends then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For standard error; one line end is still to be added.
    pub message: String,
    /// For standard output, as it is.
    pub output: String,
    pub exit_code: u8,
}

impl Failure {
    fn new(reason: &str) -> Self {
        Self {
            message: format!("nats-server: {reason}"),
            output: String::new(),
            exit_code: 1,
        }
    }

    /// A wrong flag: Go prints what is wrong and the usage, which ends nats-server with 0.
    fn usage(reason: String) -> Self {
        Self {
            message: reason,
            output: help::USAGE.to_owned(),
            exit_code: 0,
        }
    }

    /// Prints both texts and gives the code to end with.
    pub fn print(&self) -> ExitCode {
        eprintln!("{}", self.message);
        print!("{}", self.output);
        ExitCode::from(self.exit_code)
    }
}

/// Reads the command line, the program's name left out, and the file it names.
///
/// # Errors
/// What nats-server prints, and its exit code.
pub fn parse(args: &[OsString]) -> Result<Command, Failure> {
    let flags = flags::parse(args).map_err(Failure::usage)?;
    if flags.is_on("version") {
        return Ok(Command::Print(help::VERSION.to_owned(), 0));
    }
    if flags.is_on("help") {
        return Ok(Command::Print(help::USAGE.to_owned(), 0));
    }
    if flags.is_on("help_tls") {
        return Ok(Command::Print(help::tls(), 0));
    }
    match flags.rest.first().map(|word| (word, word.to_lowercase())) {
        Some((_, word)) if word == "version" => return Ok(Command::Print(help::VERSION.to_owned(), 0)),
        Some((_, word)) if word == "help" => return Ok(Command::Print(help::USAGE.to_owned(), 0)),
        Some((word, _)) => return Err(Failure::new(&format!("unrecognized command: {word:?}"))),
        None => {}
    }
    match flags.text("signal") {
        Some(request) if !request.is_empty() => return Ok(Command::Signal(Signal(request.to_owned()))),
        _ => {}
    }
    if flags.is_on("test") {
        return test(&flags)
            .map(Command::TestConfig)
            .map_err(|reason| Failure::new(&reason));
    }
    let options = load(&flags, args).map_err(|reason| Failure::new(&reason))?;
    Ok(Command::Run(Box::new(options)))
}

/// Reads the file of a running server again, with the same flags over it.
///
/// # Errors
/// What is wrong with the file, one line or more, each with its place.
pub fn reload(options: &Options) -> Result<Options, String> {
    let flags = flags::parse(&options.command_line)?;
    load(&flags, &options.command_line).map_err(|reason| reason.trim_end().to_owned())
}

/// What the file says, and what was wrong with it.
struct File {
    draft: Draft,
    digest: String,
    report: Report,
}

fn read_file(flags: &Flags, path: &str) -> Result<File, String> {
    let file = nats_conf::parse_file(path, &files::Disk).map_err(|error| error.to_string())?;
    let mut draft = Draft::default();
    let mut report = Report::default();
    flags.apply(&mut draft);
    if file.is_empty() {
        report
            .warnings
            .push(format!("{path}: config has no values or is empty"));
    }
    directives::read(&mut draft, &file, &mut report);
    let digest = ring::digest::digest(&ring::digest::SHA256, file.canonical_json().as_bytes());
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(File {
        draft,
        digest: format!("sha256:{digest}"),
        report,
    })
}

/// Warnings first, each on a line of its own.
fn lines(report: &Report) -> String {
    report
        .warnings
        .iter()
        .chain(&report.errors)
        .map(|line| format!("{line}\n"))
        .collect()
}

fn config_path(flags: &Flags) -> Option<&str> {
    flags.text("config").filter(|path| !path.is_empty())
}

/// `-t`: only the file is looked at, and a warning is as bad as an error.
fn test(flags: &Flags) -> Result<String, String> {
    let Some(path) = config_path(flags) else {
        return Err("must specify [-c, --config] option to check configuration file syntax".into());
    };
    let File { digest, report, .. } = read_file(flags, path)?;
    if !report.errors.is_empty() || !report.warnings.is_empty() {
        return Err(lines(&report));
    }
    Ok(format!(
        "nats-server: configuration file {path} is valid ({digest})"
    ))
}

fn load(flags: &Flags, args: &[OsString]) -> Result<Options, String> {
    let mut draft = Draft::default();
    let mut digest = None;
    let mut warnings = Vec::new();
    let path = config_path(flags);
    if let Some(path) = path {
        let file = read_file(flags, path)?;
        if !file.report.errors.is_empty() {
            return Err(lines(&file.report));
        }
        draft = file.draft;
        digest = Some(file.digest);
        warnings.extend(file.report.warnings);
        warnings.extend(file.report.unbuilt);
    }
    flags.apply(&mut draft);
    warnings.extend(flags.unbuilt());
    let options = resolve::options(draft)?;
    warnings.extend(options.warnings);
    Ok(Options {
        config_file: path.map(Into::into),
        config_digest: digest,
        command_line: args.to_vec(),
        warnings,
        ..options
    })
}
