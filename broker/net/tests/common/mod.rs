//! A listener that echoes, certificates made on the spot, and TLS clients.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use mainstem_net::accept::HandshakeError;
use mainstem_net::config::{HandshakeFirst, ListenAddr, TlsConfig};
use mainstem_net::ws::status;
use mainstem_net::{
    Accepted, Decoded, Greeter, HandshakeFailure, Layers, Listener, Security, SharedSecurity,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::client::TlsStream;

pub const GREETING: &[u8] = b"INFO {}\r\n";
pub const THROTTLED: &[u8] = b"-ERR 'slow down'\r\n";

pub struct Greets {
    failures: mpsc::Sender<HandshakeError>,
}

impl Greeter for Greets {
    type State = &'static str;

    fn greet(&self, _peer: SocketAddr, _local: SocketAddr) -> (Bytes, &'static str) {
        (Bytes::from_static(GREETING), "greeted")
    }

    fn throttled(&self) -> Bytes {
        Bytes::from_static(THROTTLED)
    }

    fn failed(&self, failure: &HandshakeFailure) {
        // The error itself cannot be cloned; its words and kind are enough.
        let copy = match &failure.error {
            HandshakeError::Timeout { stage } => HandshakeError::Timeout { stage },
            HandshakeError::Gone { stage } => HandshakeError::Gone { stage },
            HandshakeError::NotPinned => HandshakeError::NotPinned,
            HandshakeError::Throttled => HandshakeError::Throttled,
            HandshakeError::Upgrade(refusal) => HandshakeError::Upgrade(refusal.clone()),
            other => HandshakeError::Io(std::io::Error::other(other.to_string())),
        };
        let _ = self.failures.try_send(copy);
    }
}

pub struct Server {
    pub addr: SocketAddr,
    pub security: SharedSecurity,
    pub accepted: mpsc::Receiver<Accepted<&'static str>>,
    pub failures: mpsc::Receiver<HandshakeError>,
    pub stop: oneshot::Sender<()>,
    pub ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub fn start(security: Security) -> Self {
        let listener = Listener::bind(&ListenAddr {
            host: "127.0.0.1".into(),
            port: 0,
        })
        .unwrap();
        let addr = listener.local_addr();
        let security = security.shared();
        let (accepted_tx, accepted) = mpsc::channel(1024);
        let (failures_tx, failures) = mpsc::channel(1024);
        let (stop, stopped) = oneshot::channel();
        let sink = move |connection| {
            let _ = accepted_tx.try_send(connection);
        };
        let shutdown = async move {
            let _ = stopped.await;
        };
        let greeter = Arc::new(Greets {
            failures: failures_tx,
        });
        let ended = tokio::spawn(listener.run(security.clone(), greeter, sink, shutdown));
        Self {
            addr,
            security,
            accepted,
            failures,
            stop,
            ended,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// The next connection that is handed over.
    pub async fn next(&mut self) -> Accepted<&'static str> {
        self.accepted.recv().await.unwrap()
    }
}

/// Echoes protocol bytes until the peer says good-bye; returns how that happened.
pub async fn echo(accepted: Accepted<&'static str>) -> Decoded {
    let mut stream = TcpStream::from_std(accepted.stream).unwrap();
    let mut layers = accepted.layers.unwrap_or_default();
    let mut wire = Vec::new();
    layers.encode(&accepted.early, &mut wire).unwrap();
    let mut raw = vec![0; 16 * 1024];
    loop {
        stream.write_all(&wire).await.unwrap();
        let len = stream.read(&mut raw).await.unwrap();
        if len == 0 {
            return Decoded::Open;
        }
        wire.clear();
        let (decoded, plain) = decode_all(&mut layers, &raw[..len], &mut wire);
        layers.encode(&plain, &mut wire).unwrap();
        if decoded == Decoded::Closed {
            layers.close(status::NORMAL, "", &mut wire);
            stream.write_all(&wire).await.unwrap();
            return decoded;
        }
    }
}

/// Decodes until nothing is left over.
pub fn decode_all(layers: &mut Layers, raw: &[u8], wire: &mut Vec<u8>) -> (Decoded, Vec<u8>) {
    let mut plain = Vec::new();
    let mut decoded = layers.decode(raw, &mut plain, wire).unwrap();
    while decoded == Decoded::More {
        decoded = layers.decode(&[], &mut plain, wire).unwrap();
    }
    (decoded, plain)
}

/// A certificate authority with a folder for the files it makes.
pub struct Authority {
    pub dir: TempDir,
    pub ca_file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

/// Names of a certificate.
pub struct Names<'a> {
    pub common: &'a str,
    pub dns: &'a [&'a str],
    pub email: Option<&'a str>,
}

impl Authority {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca_file = dir.path().join("ca.pem");
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(&ca_file, certificate.pem()).unwrap();
        let der = certificate.der().clone();
        Self {
            dir,
            ca_file,
            issuer: Issuer::new(params, key),
            der,
        }
    }

    pub fn issue(&self, names: &Names<'_>) -> (CertificateDer<'static>, String, KeyPair) {
        let dns = names.dns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut params = CertificateParams::new(dns).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "acme");
        params.distinguished_name.push(DnType::CommonName, names.common);
        params.subject_alt_names.extend(
            names
                .email
                .map(|email| SanType::Rfc822Name(email.try_into().unwrap())),
        );
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), certificate.pem(), key)
    }

    /// Files of a certificate for a server on localhost.
    pub fn server(&self) -> TlsConfig {
        let (_, pem, key) = self.issue(&Names {
            common: "server",
            dns: &["localhost"],
            email: None,
        });
        let (cert_file, key_file) = (
            self.dir.path().join("server.pem"),
            self.dir.path().join("server.key"),
        );
        std::fs::write(&cert_file, pem).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        TlsConfig {
            cert_file,
            key_file,
            timeout_ms: 60_000,
            ..TlsConfig::default()
        }
    }

    /// As [`Authority::server`], with TLS from the first byte.
    pub fn server_first(&self) -> TlsConfig {
        TlsConfig {
            handshake_first: HandshakeFirst::Always,
            ..self.server()
        }
    }

    /// A client that trusts this authority and shows `identity`, if any.
    pub fn client(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<(CertificateDer<'static>, KeyPair)>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap();
        let builder = builder.with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        })
    }

    /// A client of any version without a certificate.
    pub fn anonymous(&self) -> Arc<ClientConfig> {
        self.client(rustls::ALL_VERSIONS, None)
    }
}

pub async fn handshake(
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await
}

pub async fn read_greeting(stream: &mut TcpStream) {
    let mut greeting = vec![0; GREETING.len()];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, GREETING);
}
