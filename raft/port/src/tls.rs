//! TLS settings: version 1.3 only, ring only, both sides authenticated, no resumption.
//!
//! ALPN tells members and enrolling nodes apart *before* the handshake ends, so that a
//! connection without a client certificate can reach nothing but the enrolment exchange.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature},
    server::{
        NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::{ca::CaFingerprint, error::CaError};

pub(crate) const ALPN_MEMBER: &[u8] = b"spanmq-member/1";
pub(crate) const ALPN_ENROL: &[u8] = b"spanmq-enrol/1";

/// Ready-made TLS settings of one node.
#[derive(Debug, Clone)]
pub(crate) struct TlsSettings {
    /// For those who show a certificate of the cluster.
    pub(crate) member: Arc<ServerConfig>,
    /// For those who have none yet; only where the CA's key is at hand.
    pub(crate) enrol: Option<Arc<ServerConfig>>,
    pub(crate) client: Arc<ClientConfig>,
    /// Sent as SNI only; the verifier knows which name to ask for.
    pub(crate) dial_name: ServerName<'static>,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

/// Settings for a node that shows `chain` and trusts who was signed by `roots` and, if given,
/// carries `member_name`.
pub(crate) fn settings(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
    member_name: Option<ServerName<'static>>,
    enrols: bool,
) -> Result<TlsSettings, CaError> {
    let roots = Arc::new(roots);
    let members = MemberVerifier::new(Arc::clone(&roots), member_name.clone())?;
    let members = Arc::new(members);
    let mut member = server()?
        .with_client_cert_verifier(Arc::clone(&members) as Arc<dyn ClientCertVerifier>)
        .with_single_cert(chain.clone(), key.clone_key())?;
    close_side_doors(&mut member, ALPN_MEMBER);
    let enrol = if enrols {
        let mut enrol =
            server()?.with_no_client_auth().with_single_cert(chain.clone(), key.clone_key())?;
        close_side_doors(&mut enrol, ALPN_ENROL);
        Some(Arc::new(enrol))
    } else {
        None
    };
    let mut client = client()?
        .dangerous()
        .with_custom_certificate_verifier(members)
        .with_client_auth_cert(chain, key)?;
    client.alpn_protocols = vec![ALPN_MEMBER.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(TlsSettings {
        member: Arc::new(member),
        enrol,
        client: Arc::new(client),
        dial_name: member_name.unwrap_or_else(member_dns_name),
    })
}

/// The settings of a joiner, who trusts the CA with this fingerprint and shows no certificate.
pub(crate) fn enrol_client(fingerprint: CaFingerprint) -> Result<ClientConfig, CaError> {
    let mut client = client()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinVerifier { fingerprint }))
        .with_no_client_auth();
    client.alpn_protocols = vec![ALPN_ENROL.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(client)
}

pub(crate) fn member_dns_name() -> ServerName<'static> {
    ServerName::try_from(crate::ca::MEMBER_NAME).expect("a constant DNS name")
}

fn server() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])
}

fn client() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])
}

/// Every connection proves its certificate anew: no tickets, no stored sessions, no early data.
fn close_side_doors(config: &mut ServerConfig, alpn: &[u8]) {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
}

/// Accepts members: signed by the cluster's CA and, where one is asked for, with the name that
/// members carry. The address plays no part: nodes move, and proxies stand between them.
#[derive(Debug)]
struct MemberVerifier {
    roots: Arc<RootCertStore>,
    name: Option<ServerName<'static>>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl MemberVerifier {
    fn new(roots: Arc<RootCertStore>, name: Option<ServerName<'static>>) -> Result<Self, CaError> {
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| CaError::BadCertificate {
                what: "cluster CA",
                reason: error.to_string(),
            })?;
        Ok(Self { roots, name, clients })
    }

    fn check_name(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        match &self.name {
            Some(name) => verify_server_name(&ParsedCertificate::try_from(certificate)?, name),
            None => Ok(()),
        }
    }
}

impl ServerCertVerifier for MemberVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let all = algorithms().all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            all,
        )?;
        self.check_name(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.clients.verify_client_cert(end_entity, intermediates, now)?;
        self.check_name(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn only_tls13() -> rustls::Error {
    rustls::Error::General("the cluster port speaks TLS 1.3 only".to_owned())
}

/// Accepts who shows a chain to the one CA certificate that the join token pins.
#[derive(Debug)]
struct PinVerifier {
    fingerprint: CaFingerprint,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = intermediates.iter().find(|ca| CaFingerprint::of(ca) == self.fingerprint);
        let pinned = pinned.ok_or(rustls::CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &roots,
            &[],
            now,
            algorithms().all,
        )?;
        verify_server_name(&certificate, &member_dns_name())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}
