//! The configuration as an operator meets it: files, variables and flags in, options or lines out.

#![allow(clippy::unwrap_used)]

mod bad_files;
mod round_trip;
mod sources;
mod the_table;

use std::fs;

use proptest::prelude::*;

use super::{Sources, yaml};
use crate::exit::Failure;
use crate::options::Options;

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        text in prop_oneof![any::<String>(), "[a-z0:,&*!|>'\"#%@`~?\\[\\]{} \n\t-]{0,80}"],
    ) {
        let _ = yaml::parse("any", &text);
        let _ = yaml::parse("any", &format!("nats:\n  {text}\n  port: 1\n"));
    }
}

/// Loads a file with this text; its folder is the `$DIR` of the text and of the lines that come back.
fn load(yaml: &str) -> Result<Options, Vec<String>> {
    load_with(yaml, Sources::default()).map_err(|failure| failure.lines)
}

fn load_with(yaml: &str, sources: Sources) -> Result<Options, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    fs::write(folder.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    fs::write(folder.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let file = folder.path().join("m.yaml");
    fs::write(&file, yaml.replace("$DIR", dir)).unwrap();
    let result = Sources {
        file: Some(file),
        ..sources
    }
    .load();
    result.map_err(|failure| Failure {
        lines: failure
            .lines
            .iter()
            .map(|line| line.replace(&format!("{dir}/"), ""))
            .collect(),
        ..failure
    })
}
