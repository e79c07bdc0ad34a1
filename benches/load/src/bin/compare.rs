//! `make bench-nats`: compares the `mainstem` that was built with a nats-server, as `mainstem bench compare` does.

use std::process::ExitCode;

use clap::Parser;
use mainstem_load::compare;

#[derive(Parser)]
#[command(name = "compare", about = "Measure mainstem against nats-server")]
struct Program {
    /// The nats-server to compare with
    #[arg(long, value_name = "program")]
    nats_server: Option<String>,
    /// The mainstem to compare
    #[arg(long, value_name = "program")]
    mainstem: Option<String>,
    #[command(flatten)]
    args: compare::Args,
}

fn main() -> ExitCode {
    let Program {
        nats_server,
        mainstem,
        mut args,
    } = Program::parse();
    args.server_a = args.server_a.or(nats_server);
    // Both then understand the same flags.
    args.server_b = args
        .server_b
        .or_else(|| mainstem.map(|program| format!("{program} nats-server")));
    match compare::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
