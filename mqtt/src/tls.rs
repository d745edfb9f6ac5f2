//! TLS for listeners: certificates from PEM files, and the subject of a client's certificate.

use std::path::Path;
use std::sync::Arc;

use ntex_io::{Filter, Io};
use ntex_tls::rustls::PeerCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use x509_parser::prelude::{FromDer as _, X509Certificate};

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

/// Who a verified client certificate is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The last common name, which is the most specific one.
    pub(crate) common_name: Option<Arc<str>>,
    /// The whole subject, such as `C=DE, O=Works, CN=sensor-7`.
    pub(crate) distinguished_name: Arc<str>,
}

/// The subject of the client's certificate, if it showed one.
pub(crate) fn subject<F: Filter>(io: &Io<F>) -> Option<Subject> {
    let certificate = io.query::<PeerCert<'static>>();
    let PeerCert(der) = certificate.as_ref()?;
    subject_of(der)
}

/// The certificate was verified before; still, anything unexpected just means "no name".
fn subject_of(der: &[u8]) -> Option<Subject> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate.subject();
    let usable = |text: &&str| !text.is_empty() && !text.contains('\0');
    let common_name = name.iter_common_name().filter_map(|part| part.as_str().ok()).last();
    Some(Subject {
        common_name: common_name.filter(usable).map(Arc::from),
        distinguished_name: name.to_string().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_found_in_a_certificate() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "SpanMQ");
        params.distinguished_name.push(rcgen::DnType::CommonName, "sensor-7");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let subject = subject_of(certificate.der()).unwrap();
        assert_eq!(subject.common_name.as_deref(), Some("sensor-7"));
        assert_eq!(&*subject.distinguished_name, "O=SpanMQ, CN=sensor-7");
    }

    #[test]
    fn a_certificate_that_is_cut_has_no_name() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        for len in 0..certificate.der().len() {
            assert_eq!(subject_of(&certificate.der()[..len]), None, "{len} bytes");
        }
    }
}
