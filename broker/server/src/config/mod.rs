//! One process's configuration: file, then environment, then flags, each overriding the one before.
//!
//! Everything derives from one table ([`table`]); problems are lines that name the place, the key, what was found
//! and what is allowed, and no port is bound while there is one.

mod check;
mod kind;
mod leaves;
mod print;
mod report;
mod schema;
mod suggest;
mod table;
#[cfg(test)]
mod tests;
pub mod units;
mod yaml;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use self::leaves::{env_name, leaves};
use self::report::{Origin, Report};
use self::schema::Entry;
use self::yaml::{Body, Name, Node};
use crate::exit::{Exit, Failure};
use crate::options::Options;

/// Variable that names the configuration file, as `--config` does.
pub const FILE_VARIABLE: &str = "MAINSTEM_CONFIG";
const VARIABLE_PREFIX: &str = "MAINSTEM_";

/// Everything that says how to run, before it is read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// YAML file.
    pub file: Option<PathBuf>,
    /// Variables whose name starts with `MAINSTEM_`.
    pub environment: Vec<(String, String)>,
    /// Values given by flags.
    pub flags: Vec<Setting>,
}

/// One key set by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag with its dashes, for messages.
    pub flag: String,
    /// Dotted path of the key.
    pub key: String,
    pub text: String,
}

/// A key that a flag can set.
pub struct Settable {
    /// Dotted path.
    pub key: String,
    /// Flag without dashes, if the key has one of its own.
    pub flag: Option<&'static str>,
    /// One word for the value.
    pub noun: &'static str,
    /// Meaning, what is allowed, default.
    pub help: String,
}

impl Sources {
    /// The variables of this process that concern it.
    pub fn environment() -> Vec<(String, String)> {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && name != FILE_VARIABLE)
            .collect()
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// One line a problem; exit code 64 when only flags are to blame, else 78.
    pub fn load(&self) -> Result<Options, Failure> {
        let mut options = Options {
            config_file: self.file.clone(),
            ..Options::default()
        };
        let settables = settables().into_iter().map(|settable| settable.key);
        let mut report = Report::new(settables.collect());
        if let Some(file) = &self.file {
            let text = read_file(file)?;
            match yaml::parse(&file.to_string_lossy(), &text) {
                Ok(node) => schema::read_section(table::ROOT, &node, "", &mut options, &mut report),
                Err(problem) => return Err(Failure::new(Exit::Config, problem.to_string())),
            }
        }
        self.read_environment(&mut options, &mut report);
        for Setting { flag, key, text } in &self.flags {
            set(key, text, Origin::Flag(flag.clone()), &mut options, &mut report);
        }
        if report.is_clean() {
            settle(&mut options);
            check::check(&options, &mut report);
        }
        if !report.is_clean() {
            let exit = if report.is_only_flags() {
                Exit::Usage
            } else {
                Exit::Config
            };
            return Err(Failure {
                exit,
                lines: report.lines(),
            });
        }
        Ok(options)
    }

    fn read_environment(&self, options: &mut Options, report: &mut Report) {
        let defaults = default_entries();
        let known: Vec<(String, String)> = leaves(&defaults)
            .into_iter()
            .filter(|leaf| !leaf.in_records)
            .map(|leaf| (env_name(&leaf.path), leaf.path))
            .collect();
        for (name, text) in &self.environment {
            match known.iter().find(|(variable, _)| variable == name) {
                Some(_) if text.starts_with("tcp://") || text.starts_with("udp://") => {
                    options.warnings.push(format!(
                        "{name} looks like a Kubernetes service link and is ignored"
                    ));
                }
                Some((_, key)) => set(key, text, Origin::Environment(name.clone()), options, report),
                None if is_service_link(name) => {}
                None => {
                    let near = suggest::nearest(name, known.iter().map(|(variable, _)| variable.as_str()));
                    let hint = near
                        .map(|near| format!("; did you mean {near}?"))
                        .unwrap_or_default();
                    options
                        .warnings
                        .push(format!("{name} is no known variable and is ignored{hint}"));
                }
            }
        }
    }
}

/// The whole configuration as commented YAML that loads to the same options.
pub fn effective_yaml(options: &Options) -> String {
    print::yaml(&schema::entries(table::ROOT, options, &Options::default()))
}

/// All keys as a table in Markdown.
pub fn reference() -> String {
    print::reference(&default_entries())
}

/// Every key that a flag can set, in the order of the table.
pub fn settables() -> Vec<Settable> {
    let settable = |leaf: leaves::LeafInfo<'_>| Settable {
        help: format!(
            "{} [{}] [default: {}]",
            leaf.doc,
            leaf.kind.allowed(),
            leaf.kind.print(leaf.default)
        ),
        noun: leaf.kind.noun(),
        flag: leaf.flag,
        key: leaf.path,
    };
    leaves(&default_entries())
        .into_iter()
        .filter(|leaf| !leaf.in_records)
        .map(settable)
        .collect()
}

/// The key that was most likely meant.
pub fn nearest_key(typo: &str) -> Option<String> {
    let keys: Vec<String> = settables().into_iter().map(|settable| settable.key).collect();
    suggest::nearest(typo, keys.iter().map(String::as_str)).map(str::to_owned)
}

fn default_entries() -> Vec<Entry> {
    let default = Options::default();
    schema::entries(table::ROOT, &default, &default)
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let failure = |text: String| Failure::new(Exit::Config, format!("{name}: {text}"));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(yaml::MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| failure(format!("cannot read the configuration file: {error}")))?;
    if bytes.len() > yaml::MAX_FILE_BYTES {
        return Err(failure(format!(
            "too large; allowed: {} bytes",
            yaml::MAX_FILE_BYTES
        )));
    }
    String::from_utf8(bytes).map_err(|error| failure(format!("not UTF-8: {error}")))
}

/// Reads one value as if the file held nothing else.
fn set(key: &str, text: &str, origin: Origin, options: &mut Options, report: &mut Report) {
    let leaf = Node::scalar(origin.clone(), text);
    let node = key.rsplit('.').fold(leaf, |inner, name| {
        let name = Name {
            origin: origin.clone(),
            text: name.to_owned(),
        };
        Node {
            origin: origin.clone(),
            body: Body::Map(vec![(name, inner)]),
        }
    });
    schema::read_section(table::ROOT, &node, "", options, report);
}

/// What follows from the values given.
fn settle(options: &mut Options) {
    options.nats.trace = match &options.log.filter {
        Some(filter) => filter.contains("trace"),
        None => options.log.trace,
    };
    if options.admin.metrics_port == options.admin.port && options.admin.port != Some(0) {
        options.admin.metrics_port = None;
    }
}

/// Variables that Kubernetes sets in every pod for a service called `mainstem`.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || name == "MAINSTEM_PORT"
}
