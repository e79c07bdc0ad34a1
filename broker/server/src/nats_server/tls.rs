//! `tls`: certificate, key, and who has to show a certificate.

use std::path::{Path, PathBuf};

use mainstem_net::config::{HandshakeFirst, TlsConfig};
use nats_conf::{Node, Value};

use super::reading::{Read, Report, array_or, complaint, go_type, map, seconds};
use super::{duration, files};

/// Cipher suites that nats-server knows and takes. The listener offers those of them that have forward secrecy and
/// authenticated encryption, whatever the file says.
pub(super) const CIPHER_SUITES: [&str; 13] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// Those that nats-server takes only with `allow_insecure_cipher_suites`. They are never offered here.
const INSECURE_CIPHER_SUITES: [&str; 12] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

pub(super) const CURVES: [&str; 5] = ["X25519MLKEM768", "X25519", "CurveP256", "CurveP384", "CurveP521"];

/// How long a handshake may take, when nobody says.
pub(super) const DEFAULT_TIMEOUT_MS: u64 = 2_000;

/// How long to wait for a ClientHello before INFO goes out in clear text, when the file says `auto`.
const AUTO_FALLBACK_MS: u64 = 50;

/// A `tls` block.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    pub config: TlsConfig,
    /// How long a handshake may take; 0: the default.
    pub timeout_seconds: f64,
    /// Where the block stands.
    pub place: String,
    insecure_suites: Vec<&'static str>,
    insecure_suites_allowed: bool,
}

/// Reads a block and checks that its files can be read. A listener needs a certificate, which flags may add: see
/// [`Tls::for_listener`].
pub(super) fn block(node: &Node, report: &mut Report) -> Read<Tls> {
    let mut tls = Tls {
        place: node.at.to_string(),
        ..Tls::default()
    };
    let keys = map(node)?;
    for (written, node) in keys.iter() {
        tls.key(&written.to_lowercase(), written, node, report)?;
    }
    if !tls.insecure_suites_allowed && !tls.insecure_suites.is_empty() {
        let suites = tls.insecure_suites.join(", ");
        let reason = "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set";
        return Err(complaint(node, format_args!("{reason}: {suites}")));
    }
    tls.config.timeout_ms = duration::seconds_to_ms(tls.timeout_seconds);
    check_files(&tls.config).map_err(|reason| complaint(node, reason))?;
    Ok(tls)
}

/// Checks that certificate, key and authorities are there, in the words of nats-server.
pub(super) fn check_files(config: &TlsConfig) -> Result<(), String> {
    let (cert, key) = (&config.cert_file, &config.key_file);
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    match (is_set(cert), is_set(key)) {
        (true, false) => return Err("missing 'key_file' in TLS configuration".into()),
        (false, true) => return Err("missing 'cert_file' in TLS configuration".into()),
        _ => {}
    }
    for (path, what) in [(cert, "certificate"), (key, "key")]
        .into_iter()
        .filter(|(path, _)| is_set(path))
    {
        let context = "error parsing X509 certificate/key pair";
        if !files::has_pem(path).map_err(|error| format!("{context}: {error}"))? {
            return Err(format!(
                "{context}: tls: failed to find any PEM data in {what} input"
            ));
        }
    }
    match &config.ca_file {
        Some(path) if !files::has_pem(path)? => Err("failed to parse root ca certificate".into()),
        _ => Ok(()),
    }
}

impl Tls {
    /// The configuration of a listener, whole.
    ///
    /// # Errors
    /// There is no certificate: every handshake would fail.
    pub fn for_listener(mut self) -> Result<TlsConfig, String> {
        if self.config.cert_file.as_os_str().is_empty() {
            return Err(format!(
                "{}: a listener needs 'cert_file' and 'key_file'",
                self.place
            ));
        }
        if self.config.timeout_ms == 0 {
            self.config.timeout_ms = DEFAULT_TIMEOUT_MS;
        }
        Ok(self.config)
    }

    fn key(&mut self, key: &str, written: &str, node: &Node, report: &mut Report) -> Read<()> {
        match key {
            "cert_file" => self.config.cert_file = file(key, node)?,
            "key_file" => self.config.key_file = file(key, node)?,
            "ca_file" => self.config.ca_file = Some(file(key, node)?),
            "verify" => self.config.verify = flag(key, node)?,
            "verify_and_map" => {
                self.config.verify_and_map = flag(key, node)?;
                self.config.verify |= self.config.verify_and_map;
            }
            "insecure" | "verify_cert_and_check_known_urls" => {
                flag(key, node)?;
            }
            "allow_insecure_cipher_suites" => self.insecure_suites_allowed = flag(key, node)?,
            "cipher_suites" => self.cipher_suites(node, report)?,
            "curve_preferences" => curve_preferences(node, report)?,
            "timeout" => self.timeout_seconds = seconds("tls", node)?,
            "connection_rate_limit" => match node.value {
                Value::Integer(_) => report.not_built(node, "a rate limit of TLS connections"),
                _ => {
                    return Err(complaint(
                        node,
                        "error parsing tls config, 'connection_rate_limit' wrong type",
                    ));
                }
            },
            "pinned_certs" => self.config.pinned_certs = pinned_certs(node)?,
            "handshake_first" | "first" | "immediate" => {
                self.config.handshake_first = handshake_first(written, node)?
            }
            "ocsp_peer" if node.value == Value::Bool(false) => {}
            "ocsp_peer" => report.refuse(node, "checking client certificates by OCSP"),
            "certs" | "certificates" => self.certificates(node)?,
            "min_version" => self.config.min_version = Some(min_version(node)?),
            "cert_store" => return Err(complaint(node, "cert store type not implemented")),
            "cert_match_by" | "cert_match" | "ca_certs_match" | "cert_match_skip_invalid" => {
                report.not_built(node, "a certificate store");
            }
            _ => {
                return Err(complaint(
                    node,
                    format_args!("error parsing tls config, unknown field {written:?}"),
                ));
            }
        }
        Ok(())
    }

    fn cipher_suites(&mut self, node: &Node, report: &mut Report) -> Read<()> {
        for suite in names(node, "cipher_suites")? {
            let (node, name) = suite?;
            if let Some(insecure) = INSECURE_CIPHER_SUITES.iter().find(|known| **known == name) {
                self.insecure_suites.push(insecure);
            } else if !CIPHER_SUITES.contains(&name) {
                return Err(complaint(node, format_args!("unrecognized cipher {name}")));
            }
        }
        report.not_built(node, "a choice of cipher suites (all offered ones are strong)");
        Ok(())
    }

    /// A list of pairs, of which one can be served.
    fn certificates(&mut self, node: &Node) -> Read<()> {
        let pairs = array_or(node, "error parsing certificates config: unsupported type %T")?;
        for (index, node) in pairs.iter().enumerate() {
            if index > 0 {
                return Err(complaint(node, "more than one certificate is not built yet"));
            }
            let Value::Map(pair) = &node.value else {
                let found = go_type(&node.value);
                let reason = format!("error parsing certificates config: unsupported type {found}");
                return Err(complaint(node, reason));
            };
            for (key, node) in pair.iter() {
                match key {
                    "cert_file" => self.config.cert_file = file(key, node)?,
                    "key_file" => self.config.key_file = file(key, node)?,
                    _ => {
                        let reason = format!("error parsing tls certs config, unknown field {key:?}");
                        return Err(complaint(node, reason));
                    }
                }
            }
        }
        Ok(())
    }
}

fn file(key: &str, node: &Node) -> Read<PathBuf> {
    match &node.value {
        Value::String(path) => Ok(path.into()),
        _ => Err(complaint(
            node,
            format_args!("error parsing tls config, expected '{key}' to be filename"),
        )),
    }
}

fn flag(key: &str, node: &Node) -> Read<bool> {
    match node.value {
        Value::Bool(on) => Ok(on),
        _ => Err(complaint(
            node,
            format_args!("error parsing tls config, expected '{key}' to be a boolean"),
        )),
    }
}

/// The texts of an array that may not be empty.
fn names<'n>(node: &'n Node, key: &str) -> Read<impl Iterator<Item = Read<(&'n Node, &'n str)>>> {
    let nodes = array_or(
        node,
        "interface conversion: interface {} is %T, not []interface {}",
    )?;
    if nodes.is_empty() {
        return Err(complaint(
            node,
            format_args!("error parsing tls config, '{key}' cannot be empty"),
        ));
    }
    Ok(nodes
        .iter()
        .map(|node| super::reading::text(node).map(|name| (node, name))))
}

fn curve_preferences(node: &Node, report: &mut Report) -> Read<()> {
    for curve in names(node, "curve_preferences")? {
        let (node, name) = curve?;
        if !CURVES.contains(&name) {
            return Err(complaint(
                node,
                format_args!("unrecognized curve preference {name}"),
            ));
        }
    }
    report.not_built(node, "a choice of curves");
    Ok(())
}

fn pinned_certs(node: &Node) -> Read<Vec<String>> {
    let what = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo";
    let nodes = array_or(
        node,
        &format!("error parsing tls config, expected 'pinned_certs' to be a list of {what}"),
    )?;
    let pin = |node| {
        let pin = super::reading::text(node)?.to_lowercase();
        if pin.len() == 64 && pin.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(pin);
        }
        let reason = format!("error parsing tls config, 'pinned_certs' key {pin} does not look like {what}");
        Err(complaint(node, reason))
    };
    nodes.iter().map(pin).collect()
}

fn handshake_first(key: &str, node: &Node) -> Read<HandshakeFirst> {
    match &node.value {
        Value::Bool(true) => Ok(HandshakeFirst::Always),
        Value::Bool(false) => Ok(HandshakeFirst::Never),
        Value::String(word) => match word.to_lowercase().as_str() {
            "true" | "on" => Ok(HandshakeFirst::Always),
            "false" | "off" => Ok(HandshakeFirst::Never),
            "auto" | "auto_fallback" => Ok(HandshakeFirst::Auto(AUTO_FALLBACK_MS)),
            _ => match duration::parse(word) {
                Ok(ns) if ns > 0 => Ok(HandshakeFirst::Auto(duration::to_ms(ns))),
                Ok(_) => Ok(HandshakeFirst::Always),
                Err(_) => Err(complaint(
                    node,
                    format_args!("field {key:?}'s value {word:?} is invalid"),
                )),
            },
        },
        other => {
            let found = go_type(other);
            Err(complaint(
                node,
                format_args!("field {key:?} should be a boolean or a string, got {found}"),
            ))
        }
    }
}

fn min_version(node: &Node) -> Read<String> {
    let bad = |reason: String| complaint(node, format_args!("error parsing tls config: {reason}"));
    match &node.value {
        Value::String(version) => match version.as_str() {
            "1.2" | "1.3" => Ok(version.clone()),
            "1.0" | "1.1" => Err(bad(format!("unsupported TLS version: TLS {version}"))),
            _ => Err(bad(format!("unknown version: {version}"))),
        },
        other => Err(bad(format!(
            "'min_version' wrong type: {}",
            super::permissions::shown(other)
        ))),
    }
}
