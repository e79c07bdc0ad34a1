//! `mainstem bench` without the broker: `cargo run --release -p mainstem-load --example load -- pubsub 8:8`.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: mainstem_load::cli::Args,
}

fn main() -> ExitCode {
    match mainstem_load::cli::run(Program::parse().args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
