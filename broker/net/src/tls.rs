//! TLS of a listener: certificates and keys from files, client certificates, what a handshake told about the peer.

mod der;
pub mod name;
pub mod peer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use thiserror::Error;

use crate::config::TlsConfig;
pub use peer::{PeerCertificate, TlsInfo, peer_names};

/// How long a handshake may take when the settings say 0, as in nats-server.
pub const DEFAULT_TIMEOUT_MS: u64 = 2_000;

static TLS13_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Why TLS settings cannot be used. Every variant names the file or the setting at fault.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("cannot read {role} '{}': {source}", path.display())]
    Read {
        role: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("no {role} in PEM form found in '{}'", path.display())]
    Missing { role: &'static str, path: PathBuf },
    #[error("cannot use {role} '{}': {reason}", path.display())]
    Unusable {
        role: &'static str,
        path: PathBuf,
        reason: String,
    },
    #[error("the certificate in '{}' does not belong to the private key in '{}'", cert.display(), key.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
    #[error("TLS version '{0}' is not supported; allowed: 1.2, 1.3")]
    Version(String),
    #[error("pinned certificate '{0}' is not the SHA-256 of a public key in lower-case hex (64 digits)")]
    Pin(String),
    #[error("the system has no trusted authorities to check client certificates against: set ca_file")]
    NoAuthorities,
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
}

/// The TLS of one listener, loaded and checked: what a handshake needs.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub config: Arc<ServerConfig>,
    pub settings: TlsConfig,
}

impl ServerTls {
    /// Reads the files that `settings` names.
    ///
    /// # Errors
    /// As [`server_config`].
    pub fn load(settings: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self {
            config: server_config(settings)?,
            settings: settings.clone(),
        })
    }

    /// How long the handshake may take.
    pub fn timeout(&self) -> Duration {
        match self.settings.timeout_ms {
            0 => Duration::from_millis(DEFAULT_TIMEOUT_MS),
            timeout_ms => Duration::from_millis(timeout_ms),
        }
    }

    /// Whether the peer of a finished handshake is one of the pinned certificates; always true without pins.
    pub fn is_pinned(&self, connection: &ServerConnection) -> bool {
        let pins = &self.settings.pinned_certs;
        pins.is_empty()
            || PeerCertificate::of(connection).is_some_and(|peer| pins.contains(&peer.spki_sha256))
    }
}

/// Builds rustls' configuration from files.
///
/// Without `verify` no client certificate is asked for, also if there is a `ca_file`, as in nats-server. With `verify`
/// but without `ca_file` the system's authorities vouch for clients.
///
/// # Errors
/// A file that cannot be read or used, a key that is not the certificate's, an unknown version, a malformed pin.
pub fn server_config(settings: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    check_pins(&settings.pinned_certs)?;
    let versions = protocol_versions(settings.min_version.as_deref())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certified = certified_key(&provider, &settings.cert_file, &settings.key_file)?;
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions)?;
    let builder = match client_verifier(&provider, settings)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(
        builder.with_cert_resolver(Arc::new(OneCertificate(certified))),
    ))
}

/// Answers every ClientHello with the same certificate.
#[derive(Debug)]
struct OneCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for OneCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn protocol_versions(min: Option<&str>) -> Result<&'static [&'static SupportedProtocolVersion], TlsError> {
    match min {
        None | Some("1.2") => Ok(rustls::ALL_VERSIONS),
        Some("1.3") => Ok(TLS13_ONLY),
        Some(other) => Err(TlsError::Version(other.to_owned())),
    }
}

fn check_pins(pins: &[String]) -> Result<(), TlsError> {
    let is_digest =
        |pin: &str| pin.len() == 64 && pin.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match pins.iter().find(|pin| !is_digest(pin)) {
        Some(bad) => Err(TlsError::Pin(bad.clone())),
        None => Ok(()),
    }
}

fn certified_key(provider: &CryptoProvider, cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    const ROLE: &str = "private key";
    let chain = certificates("certificate", cert)?;
    let der = PrivateKeyDer::from_pem_slice(&read(ROLE, key)?).map_err(|_| TlsError::Missing {
        role: ROLE,
        path: key.to_owned(),
    })?;
    let signer = provider
        .key_provider
        .load_private_key(der)
        .map_err(|error| unusable(ROLE, key, &error))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(TlsError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
        }),
        Err(error) => Err(unusable("certificate", cert, &error)),
    }
}

fn certificates(role: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(role, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::Missing {
            role,
            path: path.to_owned(),
        }),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(role, path, &error)),
    }
}

fn read(role: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        role,
        path: path.to_owned(),
        source,
    })
}

fn unusable(role: &'static str, path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unusable {
        role,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn client_verifier(
    provider: &Arc<CryptoProvider>,
    settings: &TlsConfig,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if !(settings.verify || settings.verify_and_map) {
        if let Some(path) = &settings.ca_file {
            authorities(path)?;
        }
        return Ok(None);
    }
    let roots = match &settings.ca_file {
        Some(path) => authorities(path)?,
        None => system_authorities()?,
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = verifier
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(Some(verifier))
}

/// Certificates that do not parse are skipped, as Go does; a file without any usable one is an error.
fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    const ROLE: &str = "certificate authority";
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(ROLE, path)?);
    match added {
        0 => Err(TlsError::Missing {
            role: ROLE,
            path: path.to_owned(),
        }),
        _ => Ok(roots),
    }
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        Err(TlsError::NoAuthorities)
    } else {
        Ok(roots)
    }
}

/// Version of a finished handshake as nats-server shows it: "1.2", "1.3".
pub(crate) fn version_name(connection: &ServerConnection) -> &'static str {
    match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        _ => "",
    }
}
