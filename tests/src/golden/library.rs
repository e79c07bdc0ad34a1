//! The folder of transcripts and profiles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};

use super::script::{self, Scenario};
use crate::server::{Launch, Server};

/// Scenarios that run at the same time. Most wait for a timer or for a process to start.
const WORKERS: usize = 8;

#[derive(Debug)]
pub struct Library {
    folder: PathBuf,
    pub files: Vec<File>,
}

#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    pub text: String,
    pub scenarios: Vec<Scenario>,
}

impl Library {
    /// The transcripts of this repository.
    #[must_use]
    pub fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
    }

    /// Reads `*.txt` of the folder, keeping the scenarios whose `file name: scenario name` contains `filter`.
    ///
    /// # Errors
    /// A file cannot be read or parsed, or a name is used twice.
    pub fn load(folder: &Path, filter: &str) -> Result<Self> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            paths.push(entry?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        let mut files = Vec::new();
        let mut names = BTreeSet::new();
        for path in paths {
            let file = File::read(path)?;
            for scenario in &file.scenarios {
                ensure!(
                    names.insert(scenario.name.clone()),
                    "two scenarios are named {}",
                    scenario.name
                );
            }
            files.push(file);
        }
        for file in &mut files {
            let name = file.name();
            file.scenarios
                .retain(|scenario| format!("{name}: {}", scenario.name).contains(filter));
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            files,
        })
    }

    /// A server of that program with the scenario's profile.
    ///
    /// # Errors
    /// There is no such profile, or the server did not start.
    /// Forgets the scenarios whose name `unwanted` picks.
    pub fn leave_out(&mut self, unwanted: impl Fn(&str) -> bool) {
        for file in &mut self.files {
            file.scenarios.retain(|scenario| !unwanted(&scenario.name));
        }
    }

    pub fn start_server(&self, program: &Path, scenario: &Scenario) -> Result<Server> {
        let path = self
            .folder
            .join("profiles")
            .join(&scenario.profile)
            .with_extension("conf");
        let config = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Launch::nats_server(program, &config)?.start()
    }

    /// What `job` makes of each scenario, several at a time, in the order of the files.
    pub fn map<T: Send>(&self, job: impl Fn(&File, &Scenario) -> T + Sync) -> Vec<(&File, &Scenario, T)> {
        let all: Vec<_> = self
            .files
            .iter()
            .flat_map(|file| file.scenarios.iter().map(move |scenario| (file, scenario)))
            .collect();
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some((file, scenario)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let made = job(file, scenario);
                        if let Ok(mut done) = done.lock() {
                            done.push((*file, *scenario, made));
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_by(|a, b| (&a.0.path, &a.1.name).cmp(&(&b.0.path, &b.1.name)));
        done
    }
}

impl File {
    fn read(path: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let scenarios = script::parse(&text).with_context(|| path.display().to_string())?;
        Ok(Self {
            path,
            text,
            scenarios,
        })
    }

    /// The file's name without its folder and extension.
    #[must_use]
    pub fn name(&self) -> String {
        self.path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}
