//! Files that tell other programs about this process.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use front_nats::Listening;
use serde::Serialize;

use super::StartError;
use crate::options::Options;

/// Files to remove at the end.
#[derive(Default)]
pub(super) struct Files(Vec<PathBuf>);

impl Files {
    pub(super) fn remove(&self) {
        for path in &self.0 {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

/// nats-server's ports file.
#[derive(Serialize)]
struct Ports {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nats: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    monitoring: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    websocket: Vec<String>,
}

/// Writes the files that the options ask for.
pub(super) fn write(
    options: &Options,
    listening: &Listening,
    monitoring: Option<SocketAddr>,
) -> Result<Files, StartError> {
    let pid = std::process::id();
    let mut files = Files::default();
    if let Some(path) = &options.pid_file {
        put(path, pid.to_string().as_bytes(), "could not write pidfile")?;
        files.0.push(path.clone());
    }
    if let Some(folder) = &options.ports_file_dir {
        let secure = |tls: bool| if tls { "s" } else { "" };
        let websocket_tls = options
            .nats
            .websocket
            .as_ref()
            .is_some_and(|websocket| websocket.tls.is_some());
        let ports = Ports {
            nats: urls("nats", listening.client),
            monitoring: urls(&format!("http{}", secure(options.admin.tls)), monitoring),
            websocket: urls(&format!("ws{}", secure(websocket_tls)), listening.websocket),
        };
        let path = folder.join(format!("nats-server_{pid}.ports"));
        let json = serde_json::to_vec_pretty(&ports).unwrap_or_default();
        put(&path, &json, "could not write ports file")?;
        files.0.push(path);
    }
    Ok(files)
}

fn urls(scheme: &str, addr: Option<SocketAddr>) -> Vec<String> {
    let Some(addr) = addr else { return Vec::new() };
    if !addr.ip().is_unspecified() {
        return vec![format!("{scheme}://{addr}")];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces
        .iter()
        .filter(|interface| addr.is_ipv6() || interface.ip().is_ipv4())
        .map(|interface| format!("{scheme}://{}", SocketAddr::new(interface.ip(), addr.port())))
        .collect()
}

/// Writes through a temporary name, so that a reader finds all of it or nothing.
fn put(path: &Path, bytes: &[u8], what: &str) -> Result<(), StartError> {
    let failed = |source: io::Error| StartError::File {
        what: format!("{what} {}", path.display()),
        source,
    };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    std::fs::write(&temporary, bytes).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
