//! TLS for listeners: certificates from PEM files, and the common name of a client's certificate.

use std::path::Path;
use std::sync::Arc;

use ntex_io::{Filter, Io};
use ntex_tls::rustls::PeerCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::config::{TlsConfig, TlsVersion};

/// Why a listener's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is missing, unreadable or not PEM.
    #[error("{file} holds no usable PEM; check that it exists and may be read by the broker")]
    Pem {
        /// Which file.
        file: std::path::PathBuf,
        /// What the parser met.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Key and certificate do not fit, or the chain is not valid.
    #[error("certificate and key cannot be used together")]
    Certificate(#[source] rustls::Error),
    /// The client CAs cannot be used.
    #[error("{file} holds no usable certificate authority")]
    ClientCa {
        /// Which file.
        file: std::path::PathBuf,
    },
}

/// The TLS side of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] naming the file.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let chain = certificates(&config.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&config.key)
            .map_err(|source| TlsError::Pem { file: config.key.clone(), source })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions(config))
            .map_err(TlsError::Certificate)?;
        let builder = match &config.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let bad_ca = || TlsError::ClientCa { file: file.clone() };
                let mut roots = RootCertStore::empty();
                for ca in certificates(file)? {
                    roots.add(ca).map_err(|_| bad_ca())?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = if config.client_required {
                    verifier
                } else {
                    verifier.allow_unauthenticated()
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|_| bad_ca())?)
            }
        };
        let server = builder.with_single_cert(chain, key).map_err(TlsError::Certificate)?;
        Ok(Self(Arc::new(server)))
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.clone()
    }
}

fn versions(config: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
    let version = |version: &TlsVersion| match version {
        TlsVersion::V1_2 => &rustls::version::TLS12,
        TlsVersion::V1_3 => &rustls::version::TLS13,
    };
    config.versions.iter().map(version).collect()
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { file: file.to_owned(), source };
    CertificateDer::pem_file_iter(file).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)
}

/// The subject's common name of a verified client certificate.
pub(crate) fn common_name<F: Filter>(io: &Io<F>) -> Option<Arc<str>> {
    let certificate = io.query::<PeerCert<'static>>();
    let PeerCert(der) = certificate.as_ref()?;
    subject_common_name(der).map(Arc::from)
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;
/// 2.5.4.3, id-at-commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Finds the common name in a DER certificate (RFC 5280 §4.1). The certificate was verified
/// before; still, anything unexpected just means "no name".
fn subject_common_name(der: &[u8]) -> Option<&str> {
    let (_, certificate, _) = element(der)?;
    let (_, tbs, _) = element(certificate)?;
    let mut rest = tbs;
    if rest.first() == Some(&CONTEXT_0) {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (tag, mut subject, _) = element(rest)?;
    if tag != SEQUENCE {
        return None;
    }
    let mut found = None;
    while !subject.is_empty() {
        let (tag, set, next) = element(subject)?;
        subject = next;
        let (_, attribute, _) = element(set).filter(|_| tag == SET)?;
        let (_, oid, value) = element(attribute)?;
        if oid == COMMON_NAME {
            // The last one is the most specific.
            found = std::str::from_utf8(element(value)?.1).ok();
        }
    }
    found.filter(|name| !name.is_empty() && !name.contains('\0'))
}

/// One DER element: tag, content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0usize, |len, digit| len << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_name_is_found_in_a_certificate() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "SpanMQ");
        params.distinguished_name.push(rcgen::DnType::CommonName, "sensor-7");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(subject_common_name(certificate.der()), Some("sensor-7"));
    }

    #[test]
    fn a_certificate_that_is_cut_has_no_name() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        for len in 0..certificate.der().len() {
            let _ = subject_common_name(&certificate.der()[..len]);
        }
        assert_eq!(subject_common_name(&[]), None);
    }
}
