//! Any bytes end in a map or an error, and what parses has a canonical form.
//!
//! The input is up to three files and one variable, split at 0xff: the first file, what it includes, what that
//! includes, and what `$V` is.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nats_conf::{Source, parse_bytes};

struct Parts<'t>(Vec<&'t [u8]>);

impl Source for Parts<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let place = match path.to_str() {
            Some("a") => 1,
            Some("b") => 2,
            _ => return Err("no such file".into()),
        };
        self.0.get(place).map(|text| text.to_vec()).ok_or_else(|| "no such file".into())
    }

    fn variable(&self, name: &str) -> Option<String> {
        let text = self.0.get(3).filter(|_| name == "V")?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

fuzz_target!(|data: &[u8]| {
    let parts = Parts(data.split(|&byte| byte == 0xff).collect());
    match parse_bytes(parts.0[0], "a.conf", &parts) {
        Ok(map) => assert!(map.canonical_json().ends_with("}\n")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
