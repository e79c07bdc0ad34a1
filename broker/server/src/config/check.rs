//! What must hold between keys, and between the configuration and the machine, before any port is bound.

use std::fs;
use std::path::Path;

use mainstem_core::config::{AuthConfig, GLOBAL_ACCOUNT, SYSTEM_ACCOUNT};
use mainstem_net::config::TlsConfig;

use super::report::Report;
use super::units;
use crate::options::Options;

/// Notes everything that contradicts itself or needs a file that is not there.
pub fn check(options: &Options, report: &mut Report) {
    ports(options, report);
    tls(options, report);
    auth(options, report);
    streams(options, report);
    nats(options, report);
    folders(options, report);
}

struct Listener<'a> {
    key: &'static str,
    host: &'a str,
    port: u16,
}

fn listeners(options: &Options) -> Vec<Listener<'_>> {
    let nats = &options.nats;
    let mut listeners = vec![Listener {
        key: "nats.port",
        host: &nats.listen.host,
        port: nats.listen.port,
    }];
    if let Some(websocket) = &nats.websocket {
        let listen = &websocket.listen;
        listeners.push(Listener {
            key: "nats.websocket.port",
            host: &listen.host,
            port: listen.port,
        });
    }
    let admin = &options.admin;
    let admin_ports = [
        ("admin.port", admin.port),
        ("admin.metrics_port", admin.metrics_port),
    ];
    listeners.extend(admin_ports.into_iter().filter_map(|(key, port)| {
        port.map(|port| Listener {
            key,
            host: &admin.host,
            port,
        })
    }));
    listeners
}

fn ports(options: &Options, report: &mut Report) {
    let listeners = listeners(options);
    for (index, one) in listeners.iter().enumerate() {
        let clash = listeners[..index]
            .iter()
            .find(|other| one.port != 0 && one.port == other.port && hosts_overlap(one.host, other.host));
        let Some(other) = clash else { continue };
        // Blame the one that the operator wrote, the other may be a default.
        let (blamed, other) = if report.is_given(one.key) {
            (one, other)
        } else {
            (other, one)
        };
        let place = report.exact_origin(other.key);
        report.problem_of(
            blamed.key,
            format!(
                "{} is also the port of {} ({place}); allowed: a port of its own, or 0",
                one.port, other.key
            ),
        );
    }
}

/// Could both hosts mean the same address?
fn hosts_overlap(one: &str, other: &str) -> bool {
    let is_any = |host: &str| ["0.0.0.0", "::", "[::]"].contains(&host);
    let is_loopback = |host: &str| ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host);
    one == other
        || is_any(one)
        || is_any(other)
        || ((one == "localhost" || other == "localhost") && is_loopback(one) && is_loopback(other))
}

fn tls(options: &Options, report: &mut Report) {
    if let Some(tls) = &options.nats.tls {
        tls_section(tls, "nats.tls", report);
    }
    if let Some(tls) = options
        .nats
        .websocket
        .as_ref()
        .and_then(|websocket| websocket.tls.as_ref())
    {
        tls_section(tls, "nats.websocket.tls", report);
    }
    if options.admin.tls && options.nats.tls.is_none() {
        report.problem_of(
            "admin.tls",
            "true needs the certificate of nats.tls; allowed: false, or a section nats.tls",
        );
    }
    if options.nats.allow_non_tls && options.nats.tls.is_none() {
        report.problem_of(
            "nats.allow_non_tls",
            "true without TLS; allowed: false, or a section nats.tls",
        );
    }
}

fn tls_section(tls: &TlsConfig, section: &str, report: &mut Report) {
    pem_file(
        &tls.cert_file,
        &format!("{section}.cert_file"),
        "CERTIFICATE",
        report,
    );
    pem_file(
        &tls.key_file,
        &format!("{section}.key_file"),
        "PRIVATE KEY",
        report,
    );
    if let Some(ca_file) = &tls.ca_file {
        pem_file(ca_file, &format!("{section}.ca_file"), "CERTIFICATE", report);
    }
    if (tls.verify || tls.verify_and_map) && tls.ca_file.is_none() {
        let key = if tls.verify { "verify" } else { "verify_and_map" };
        let text =
            format!("true needs the authorities to check against; allowed: false, or {section}.ca_file");
        report.problem_of(&format!("{section}.{key}"), text);
    }
}

fn pem_file(path: &Path, key: &str, label: &str, report: &mut Report) {
    if path.as_os_str().is_empty() {
        return report.problem_of(key, format!("missing; TLS needs a PEM file with a {label} block"));
    }
    let name = path.display();
    match fs::read(path) {
        Err(error) => report.problem_of(key, format!("cannot read {name}: {error}; allowed: a PEM file")),
        Ok(bytes) if !String::from_utf8_lossy(&bytes).contains(&format!("{label}-----")) => {
            report.problem_of(
                key,
                format!("{name} has no {label} block; allowed: a PEM file with one"),
            );
        }
        Ok(_) => {}
    }
}

fn auth(options: &Options, report: &mut Report) {
    let auth = &options.auth;
    let system = auth.system_account.as_deref().unwrap_or(SYSTEM_ACCOUNT);
    if system != SYSTEM_ACCOUNT && !auth.accounts.iter().any(|account| account.name == system) {
        report.problem_of(
            "auth.system_account",
            format!("no account {system:?}; allowed: a name of auth.accounts"),
        );
    }
    for (index, user) in auth.users.iter().enumerate() {
        let name = user.account.as_str();
        let is_known =
            name == GLOBAL_ACCOUNT || name == system || auth.accounts.iter().any(|one| one.name == name);
        if !is_known {
            let key = format!("auth.users[{index}].account");
            report.problem_of(
                &key,
                format!("no account {name:?}; allowed: a name of auth.accounts"),
            );
        }
    }
    if auth.token.is_some() && !auth.users.is_empty() {
        report.problem_of("auth.token", "a token together with users; allowed: one of both");
    }
    no_auth_user(auth, auth.no_auth_user.as_deref(), "auth.no_auth_user", report);
    let websocket = options.nats.websocket.as_ref();
    let of_websocket = websocket.and_then(|websocket| websocket.no_auth_user.as_deref());
    no_auth_user(auth, of_websocket, "nats.websocket.no_auth_user", report);
}

fn streams(options: &Options, report: &mut Report) {
    let system = options.auth.system_account.as_deref().unwrap_or(SYSTEM_ACCOUNT);
    for (index, account) in options.streams.accounts.iter().enumerate() {
        let name = account.name.as_str();
        let key = format!("streams.accounts[{index}].name");
        if name == system {
            report.problem_of(
                &key,
                format!("{name:?} is the system account, which has no streams; allowed: another"),
            );
        } else if name != GLOBAL_ACCOUNT && !options.auth.accounts.iter().any(|one| one.name == name) {
            report.problem_of(
                &key,
                format!("no account {name:?}; allowed: a name of auth.accounts, or $G"),
            );
        }
    }
}

fn no_auth_user(auth: &AuthConfig, name: Option<&str>, key: &str, report: &mut Report) {
    if let Some(name) = name.filter(|name| !auth.users.iter().any(|user| user.name == *name)) {
        report.problem_of(
            key,
            format!("no user {name:?}; allowed: a name or nkey of auth.users"),
        );
    }
}

fn nats(options: &Options, report: &mut Report) {
    let (payload, pending) = (options.nats.max_payload_bytes, options.limits.max_pending_bytes);
    if payload > pending {
        let [payload, pending] = [payload, pending].map(|bytes| units::print_size(bytes as u64));
        let text = format!("{payload} is more than limits.max_pending ({pending}); allowed: at most that");
        report.problem_of("nats.max_payload", text);
    }
    let (grace, duration) = (
        options.nats.lame_duck_grace_ms,
        options.nats.lame_duck_duration_ms,
    );
    if grace > duration {
        let [grace, duration] = [grace, duration].map(units::print_duration);
        // Blame the one that the operator wrote, the other may be a default.
        if report.is_given("nats.lame_duck_grace") {
            let text =
                format!("{grace} is longer than nats.lame_duck_duration ({duration}); allowed: at most that");
            report.problem_of("nats.lame_duck_grace", text);
        } else {
            let text =
                format!("{duration} is shorter than nats.lame_duck_grace ({grace}); allowed: at least that");
            report.problem_of("nats.lame_duck_duration", text);
        }
    }
}

fn folders(options: &Options, report: &mut Report) {
    let folders = [
        ("data_dir", Some(&options.data_dir)),
        ("ports_file_dir", options.ports_file_dir.as_ref()),
    ];
    for (key, folder) in folders {
        if let Some(folder) = folder.filter(|folder| folder.exists() && !folder.is_dir()) {
            report.problem_of(key, format!("{} is a file; allowed: a folder", folder.display()));
        }
    }
}
