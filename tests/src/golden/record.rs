//! Filling in what the real server says.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::connection::Cut;
use super::library::Library;
use super::run::{SILENCE, run};
use super::script::{self, Scenario};

/// What a scenario read, by the line of the step: the connection and its messages.
type Recording = BTreeMap<usize, (String, Vec<String>)>;

/// Runs all scenarios against `program` and writes what it says into their files.
///
/// # Errors
/// A scenario could not be run, or waited for what never came; no file is written then.
pub fn record(library: &Library, program: &Path) -> Result<()> {
    let mut files: BTreeMap<&Path, Recording> = BTreeMap::new();
    let mut errors = String::new();
    for (file, scenario, recording) in library.map(|_, scenario| record_one(library, program, scenario)) {
        match recording {
            Ok(recording) => files.entry(&file.path).or_default().extend(recording),
            Err(error) => errors.push_str(&format!("\n{}: {}: {error:#}", file.name(), scenario.name)),
        }
    }
    ensure!(errors.is_empty(), "nothing was recorded:{errors}");
    for file in &library.files {
        if let Some(recording) = files.get(file.path.as_path()) {
            std::fs::write(&file.path, script::rewrite(&file.text, recording))?;
        }
    }
    Ok(())
}

fn record_one(library: &Library, program: &Path, scenario: &Scenario) -> Result<Recording> {
    let server = library.start_server(program, scenario)?;
    let mut recording = Recording::new();
    run(scenario, server.nats_address()?, Cut::Whole, |step, read| {
        recording.insert(step.line, (step.connection.clone(), read));
        true
    })?;
    for (line, (connection, read)) in &recording {
        if read.last().is_some_and(|last| last == SILENCE) {
            bail!(
                "line {}: {connection} waited in vain after {read:#?}\n{}",
                line + 1,
                server.log()
            );
        }
    }
    Ok(recording)
}
