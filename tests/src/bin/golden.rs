//! Records and replays the golden transcripts of the NATS client protocol.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use mainstem_tests::golden::library::Library;
use mainstem_tests::golden::record;
use mainstem_tests::golden::replay::{self, Subject};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder of the transcripts.
    #[arg(long, global = true, default_value_os_t = Library::folder())]
    folder: PathBuf,
    /// Only scenarios whose `file: name` contains this.
    #[arg(long, global = true, default_value = "")]
    filter: String,
}

#[derive(Subcommand)]
enum Command {
    /// Write what this nats-server says into the transcripts.
    Record {
        #[arg(long)]
        server: PathBuf,
    },
    /// Compare what this server says with the transcripts, also one byte at a time.
    Replay {
        #[arg(long)]
        server: PathBuf,
        /// It is the nats-server that was recorded: skip what varies with it.
        #[arg(long)]
        reference: bool,
    },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let library = Library::load(&arguments.folder, &arguments.filter)?;
    match arguments.command {
        Command::Record { server } => record::record(&library, &server).map(|()| ExitCode::SUCCESS),
        Command::Replay { server, reference } => {
            let subject = if reference {
                Subject::Reference
            } else {
                Subject::Broker
            };
            let report = replay::replay(&library, &server, subject);
            println!("{report}");
            Ok(if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}
