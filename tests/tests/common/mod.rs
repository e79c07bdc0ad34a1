//! Certificates made on the spot, and TLS clients.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use mainstem_tests::wire::Wire;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub type TlsWire = Wire<TlsStream<TcpStream>>;

/// A certificate with its key.
pub type Identity = (CertificateDer<'static>, KeyPair);

/// A certificate authority, with a folder that holds what a server on localhost needs.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let key = KeyPair::generate()?;
        let own = params.self_signed(&key)?;
        let authority = Self {
            folder: tempfile::tempdir()?,
            certificate: own.der().clone(),
            issuer: Issuer::new(params, key),
        };
        std::fs::write(authority.file("ca.pem"), own.pem())?;
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()])?;
        params.distinguished_name.push(DnType::CommonName, "server");
        let key = KeyPair::generate()?;
        let server = params.signed_by(&key, &authority.issuer)?;
        std::fs::write(authority.file("server.pem"), server.pem())?;
        std::fs::write(authority.file("server.key"), key.serialize_pem())?;
        Ok(authority)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A `tls` block with this authority's files and these settings.
    pub fn block(&self, settings: &str) -> String {
        let path = |name| self.file(name).display().to_string();
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, timeout: 30, {settings} }}",
            path("server.pem"),
            path("server.key"),
            path("ca.pem")
        )
    }

    /// A client's certificate.
    pub fn issue(&self, common_name: &str, email: Option<&str>) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        if let Some(email) = email {
            params
                .subject_alt_names
                .push(SanType::Rfc822Name(email.try_into()?));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.der().clone(), key))
    }

    /// Starts TLS on a socket, as a client that trusts this authority and shows this certificate.
    pub async fn secure(
        &self,
        stream: TcpStream,
        identity: Option<&Identity>,
    ) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der())
                    .ok()
                    .context("a key")?;
                builder.with_client_auth_cert(vec![certificate.clone()], key)?
            }
        };
        let name = ServerName::try_from("localhost")?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }

    /// Reads INFO in clear text, starts TLS, and logs in with these fields of CONNECT.
    pub async fn login(
        &self,
        address: SocketAddr,
        identity: Option<&Identity>,
        fields: &str,
    ) -> Result<TlsWire> {
        let mut plain = Wire::open(address).await?;
        plain.info().await?;
        let mut wire = Wire::new(self.secure(plain.into_stream(), identity).await?);
        wire.hello(fields).await?;
        Ok(wire)
    }
}
