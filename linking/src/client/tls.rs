//! The TLS side of a link (LINK-SPEC 1.2): files are read at each connection, so that renewed
//! certificates count from the next one on.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName as DnsName, UnixTime};
use spanmq_link_protocol::config::{ServerName, SslConfig, TlsVersion, Verify};
use spanmq_link_protocol::reason::{Reason, ReasonWord};

fn unreadable(what: &str, path: &str, error: &dyn std::fmt::Display) -> Reason {
    Reason::with_detail(ReasonWord::LocalTlsFiles, &format!("{what} {path}: {error}"))
}

/// Whether the files can be used; for links that are not stored yet (C-10).
///
/// # Errors
/// As [`client_config`].
pub(crate) fn check(ssl: &SslConfig) -> Result<(), Reason> {
    if ssl.enable { client_config(ssl).map(|_| ()) } else { Ok(()) }
}

/// Builds the configuration of one connection.
///
/// # Errors
/// [`ReasonWord::LocalTlsFiles`] with the file that cannot be read.
pub(super) fn client_config(ssl: &SslConfig) -> Result<(Arc<ClientConfig>, Refusal), Reason> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: Vec<&'static rustls::SupportedProtocolVersion> = ssl
        .versions
        .iter()
        .map(|version| match version {
            TlsVersion::V1_2 => &rustls::version::TLS12,
            TlsVersion::V1_3 => &rustls::version::TLS13,
        })
        .collect();
    let failed =
        |error: rustls::Error| Reason::with_detail(ReasonWord::TlsFailed, &error.to_string());
    let (verifier, refusal) = verifier(ssl, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match (&ssl.certfile, &ssl.keyfile) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("certfile", certificate)?;
            let key = private_key(key.reveal())?;
            builder.with_client_auth_cert(chain, key).map_err(failed)?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok((Arc::new(config), refusal))
}

/// The name to ask for and to verify.
///
/// # Errors
/// When it is neither a DNS name nor an address.
pub(super) fn server_name(ssl: &SslConfig, host: &str) -> Result<DnsName<'static>, Reason> {
    let name = match &ssl.server_name_indication {
        ServerName::Name(name) => name.clone(),
        ServerName::FromServer | ServerName::Disable => host.to_owned(),
    };
    DnsName::try_from(name)
        .map_err(|error| Reason::with_detail(ReasonWord::TlsNameMismatch, &error.to_string()))
}

/// A path, or PEM text that is not in a file yet. Texts never get into a reason.
fn certificates(what: &str, source: &str) -> Result<Vec<CertificateDer<'static>>, Reason> {
    if !is_pem(source) {
        let found = CertificateDer::pem_file_iter(source).and_then(Iterator::collect);
        return found.map_err(|error| unreadable(what, source, &error));
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(source.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err(unreadable(what, "(text)", &"no certificate in it")),
        found => found.map_err(|error| unreadable(what, "(text)", &error)),
    }
}

fn private_key(source: &str) -> Result<PrivateKeyDer<'static>, Reason> {
    if is_pem(source) {
        return PrivateKeyDer::from_pem_slice(source.as_bytes())
            .map_err(|error| unreadable("keyfile", "(text)", &error));
    }
    PrivateKeyDer::from_pem_file(source).map_err(|error| unreadable("keyfile", source, &error))
}

fn is_pem(source: &str) -> bool {
    source.contains("-----BEGIN")
}

fn roots(ssl: &SslConfig) -> Result<RootCertStore, Reason> {
    let mut store = RootCertStore::empty();
    match &ssl.cacertfile {
        Some(path) => {
            let (added, _) = store.add_parsable_certificates(certificates("cacertfile", path)?);
            if added == 0 {
                return Err(unreadable("cacertfile", path, &"no certificate in it"));
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

/// Why the certificate of the remote was refused, if it was. ntex tells only that a handshake ended.
pub(super) type Refusal = Arc<Mutex<Option<rustls::Error>>>;

fn verifier(ssl: &SslConfig, provider: Arc<CryptoProvider>) -> Result<(Verifier, Refusal), Reason> {
    let chain = match ssl.verify {
        Verify::None => None,
        Verify::Peer => {
            let roots = Arc::new(roots(ssl)?);
            let built =
                WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            let failed = |error| Reason::with_detail(ReasonWord::TlsUntrusted, &format!("{error}"));
            Some(built.map_err(failed)?)
        }
    };
    let refusal = Refusal::default();
    let any_name = ssl.server_name_indication == ServerName::Disable;
    Ok((Verifier { chain, any_name, provider, refusal: refusal.clone() }, refusal))
}

/// Without a chain it is `verify_none`; `any_name` is `server_name_indication = disable`, which
/// verifies the chain but no name. Signatures of the handshake are verified in any case.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    any_name: bool,
    provider: Arc<CryptoProvider>,
    refusal: Refusal,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &DnsName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.any_name => Ok(ServerCertVerified::assertion()),
            Err(error) => {
                *self.refusal.lock() = Some(error.clone());
                Err(error)
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
