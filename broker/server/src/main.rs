//! The `mainstem` binary.

mod cli;
mod client;
mod config;
mod doctor;
mod exit;
mod logging;
mod nats_server;
mod nkey;
mod options;
mod start;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Action, Mode, Serve};
use crate::exit::{Exit, Failure};
use crate::options::Options;
use crate::start::Reload;

/// Less processor time than the C library's (a tenth to a seventh of a stored message), and memory that is freed is given
/// back after a burst. RocksDB uses it as well.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Under this name the program is a nats-server.
const NATS_SERVER: &str = "nats-server";

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    run(&args).unwrap_or_else(|failure| failure.print())
}

fn run(args: &[OsString]) -> Result<ExitCode, Failure> {
    if args.first().is_some_and(is_nats_server) {
        return nats_server(&args[1..]);
    }
    match cli::parse(args)? {
        Action::Serve(command) => serve(command),
        Action::Bench(args) => mainstem_load::cli::run(*args)
            .map(|()| Exit::Ok.into())
            .map_err(|error| Failure::new(Exit::General, format!("{error:#}"))),
        Action::Client(command) => client::run(*command).map(Into::into),
        Action::Doctor(args) => doctor::run(&args).map(Into::into),
        Action::NatsServer(args) => nats_server(&args),
        Action::Print(text) => print(&text),
    }
}

fn is_nats_server(program: &OsString) -> bool {
    Path::new(program)
        .file_name()
        .is_some_and(|name| name == NATS_SERVER)
}

fn serve(Serve { sources, mode }: Serve) -> Result<ExitCode, Failure> {
    let options = sources.load()?;
    match mode {
        Mode::Print => print(&config::effective_yaml(&options)),
        Mode::Check => {
            eprintln!("the configuration is right");
            Ok(Exit::Ok.into())
        }
        Mode::Run => broker(
            options,
            Box::new(move |_| sources.load().map_err(|failure| failure.to_string())),
        ),
    }
}

/// Runs the broker to its end.
fn broker(options: Options, reload: Reload) -> Result<ExitCode, Failure> {
    let log =
        logging::init(&options.log).map_err(|error| Failure::new(Exit::CannotCreate, error.to_string()))?;
    let code = start::run(options, log.clone(), reload);
    log.flush();
    Ok(code)
}

fn print(text: &str) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Ok.into()),
        Err(error) => Err(Failure::new(
            Exit::IoError,
            format!("cannot write to standard output: {error}"),
        )),
    }
}

fn nats_server(args: &[OsString]) -> Result<ExitCode, Failure> {
    match nats_server::parse(args) {
        Ok(nats_server::Command::Run(options)) => broker(*options, Box::new(nats_server::reload)),
        Ok(nats_server::Command::Print(text, code)) => print(&text).map(|_| ExitCode::from(code)),
        Ok(nats_server::Command::TestConfig(line)) => {
            eprintln!("{line}");
            Ok(Exit::Ok.into())
        }
        Ok(nats_server::Command::Signal(signal)) => match signal.send() {
            Ok(()) => Ok(Exit::Ok.into()),
            Err(failure) => Ok(failure.print()),
        },
        Err(failure) => Ok(failure.print()),
    }
}
