//! What a finished handshake says about the peer.

use ring::digest::{SHA256, digest};
use rustls::ServerConnection;

use super::der::{Certificate, tag};
use super::name::{DistinguishedName, Subject};
use super::version_name;

/// A finished handshake, for monitoring and for mapping certificates to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// "1.2" or "1.3".
    pub version: &'static str,
    /// IANA name, for example `TLS_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The certificate the client showed, already verified.
    pub peer: Option<PeerCertificate>,
}

impl TlsInfo {
    pub(crate) fn of(connection: &ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite();
        let suite = suite.and_then(|suite| suite.suite().as_str()).unwrap_or_default();
        Self {
            version: version_name(connection),
            cipher: suite.replacen("TLS13_", "TLS_", 1),
            peer: PeerCertificate::of(connection),
        }
    }
}

/// The names in a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Subject alternative names: e-mail addresses, then DNS names, then URIs.
    pub alternative_names: Vec<String>,
    /// The subject's distinguished name, if all its attributes have a short name.
    pub distinguished_name: Option<DistinguishedName>,
    /// The subject as Go prints it, first with its domain components if there are any, then without.
    pub subjects: Vec<String>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), in lower-case hex.
    pub spki_sha256: String,
    /// SHA-256 of the whole certificate, in lower-case hex.
    pub certificate_sha256: String,
}

impl PeerCertificate {
    /// The first certificate that the peer showed; `None` if it showed none.
    pub fn of(connection: &ServerConnection) -> Option<Self> {
        Self::parse(connection.peer_certificates()?.first()?)
    }

    fn parse(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::parse(der)?;
        let subject = Subject::from_der(certificate.subject).unwrap_or_default();
        let go_string = subject.to_go_string();
        let components = subject.domain_components();
        let mut subjects = Vec::new();
        if !components.is_empty() {
            subjects.push(format!("{go_string},{components}"));
        }
        subjects.push(go_string);
        Some(Self {
            alternative_names: alternative_names(&certificate),
            distinguished_name: subject.distinguished_name(),
            subjects,
            spki_sha256: sha256_hex(certificate.spki),
            certificate_sha256: sha256_hex(der),
        })
    }

    /// All names that may stand for a user, in nats-server's order of preference.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.alternative_names.clone();
        names.extend(self.distinguished_name.iter().map(ToString::to_string));
        names.extend(self.subjects.iter().cloned());
        names.retain(|name| !name.is_empty());
        names
    }

    /// Which of `users` the certificate stands for: an alternative name, the distinguished name (in any spelling,
    /// then with its parts in any order), or the subject as Go prints it.
    pub fn user<'u>(&self, users: impl Iterator<Item = &'u str> + Clone) -> Option<&'u str> {
        let literal = |name: &String| users.clone().find(|user| !user.is_empty() && user == name);
        let by_distinguished_name = || {
            let own = self.distinguished_name.as_ref().filter(|name| !name.is_empty())?;
            let parsed = || {
                users
                    .clone()
                    .filter_map(|user| Some((user, DistinguishedName::parse(user)?)))
            };
            let exact = parsed().find(|(_, name)| name == own);
            exact
                .or_else(|| parsed().find(|(_, name)| name.has_same_parts(own)))
                .map(|(user, _)| user)
        };
        let alternative = self.alternative_names.iter().find_map(literal);
        alternative
            .or_else(by_distinguished_name)
            .or_else(|| self.subjects.iter().find_map(literal))
    }
}

/// The names a verified client certificate may stand for, in nats-server's order: e-mail addresses, DNS names, URIs,
/// the subject in RFC 2253 form, the subject as Go prints it. Empty without a certificate.
pub fn peer_names(connection: &ServerConnection) -> Vec<String> {
    PeerCertificate::of(connection)
        .map(|peer| peer.names())
        .unwrap_or_default()
}

fn alternative_names(certificate: &Certificate<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for kind in [tag::SAN_EMAIL, tag::SAN_DNS, tag::SAN_URI] {
        let mut general = certificate.alternative_names();
        while let Some(name) = general.next() {
            if name.tag == kind
                && let Ok(text) = std::str::from_utf8(name.content)
            {
                names.push(text.to_owned());
            }
        }
    }
    names
}

fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    digest(&SHA256, bytes)
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate() -> PeerCertificate {
        let mut params = CertificateParams::new(vec!["app.example".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names.extend([
            SanType::URI("spiffe://acme/app".try_into().unwrap()),
            SanType::Rfc822Name("bob@example.com".try_into().unwrap()),
        ]);
        params.distinguished_name.push(
            DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]),
            "com",
        );
        params.distinguished_name.push(DnType::OrganizationName, "acme");
        params.distinguished_name.push(DnType::CommonName, "bob");
        let key = KeyPair::generate().unwrap();
        PeerCertificate::parse(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn names_stand_in_order_of_preference() {
        let names = [
            "bob@example.com",
            "app.example",
            "spiffe://acme/app",
            "CN=bob,O=acme,DC=com",
        ];
        let subjects = ["CN=bob,O=acme,DC=com", "CN=bob,O=acme"];
        assert_eq!(certificate().names(), [&names[..], &subjects[..]].concat());
    }

    #[test]
    fn a_user_is_found_by_any_name_but_by_the_best_one_first() {
        let peer = certificate();
        let user = |users: &[&'static str]| peer.user(users.iter().copied());
        assert_eq!(user(&["CN=bob,O=acme", "app.example", "x"]), Some("app.example"));
        assert_eq!(user(&["cn=bob, o=acme, dc=com"]), Some("cn=bob, o=acme, dc=com"));
        assert_eq!(user(&["DC=com,CN=bob,O=acme"]), Some("DC=com,CN=bob,O=acme"));
        assert_eq!(user(&["CN=bob,O=acme"]), Some("CN=bob,O=acme"));
        assert_eq!(user(&["CN=bob", ""]), None);
    }

    #[test]
    fn anything_but_a_certificate_is_refused_without_a_panic() {
        let key = KeyPair::generate().unwrap();
        let der = CertificateParams::new(vec!["a".into()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .der()
            .to_vec();
        for cut in 0..der.len() {
            let _ = PeerCertificate::parse(&der[..cut]);
        }
        for at in 0..der.len() {
            let mut damaged = der.clone();
            damaged[at] ^= 0xff;
            let _ = PeerCertificate::parse(&damaged);
        }
    }
}
