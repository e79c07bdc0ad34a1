//! Starts and stops the broker.

use std::process::ExitCode;

use crate::logging::LogHandle;
use crate::options::Options;

/// Reads the configuration again; the current options are given.
pub type Reload = Box<dyn Fn(&Options) -> Result<Options, String> + Send>;

/// Runs until the process is told to stop.
pub fn run(options: Options, log: LogHandle, reload: Reload) -> ExitCode {
    tracing::info!(?options, "resolved");
    let _ = reload;
    drop(log);
    ExitCode::SUCCESS
}
