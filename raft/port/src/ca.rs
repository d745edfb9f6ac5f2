//! The cluster's own certificate authority: makes it, signs node certificates, checks tokens.
//!
//! Every member holds the CA's key (file mode 0600). It would be neater if one node did, but
//! then no node could join or renew its certificate while that one is down or lost for good, and
//! the key adds no power: each member takes part in every decision of the cluster anyway.

use std::{fmt, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use ring::{
    digest::{SHA256, digest},
    hmac,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject};
use time::OffsetDateTime;

use crate::{
    error::CaError,
    token::{JoinSecret, JoinToken},
};

/// The name in every node certificate that a cluster CA signs; both ends of a connection insist
/// on it. It names the role, because node addresses change and the CA serves one cluster only.
pub(crate) const MEMBER_NAME: &str = "member.spanmq.internal";

const CA_LIFETIME: time::Duration = time::Duration::days(20 * 365);
const NODE_LIFETIME: time::Duration = time::Duration::days(365);
/// Certificates begin a day early: clocks of new machines are often wrong.
const BACKDATED: time::Duration = time::Duration::days(1);
const NAME_CHARS_MAX: usize = 64;

/// SHA-256 of the CA certificate (DER).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CaFingerprint(pub [u8; 32]);

impl CaFingerprint {
    /// The fingerprint of `certificate`.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest(&SHA256, certificate).as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Certificate and key of the cluster CA.
pub struct ClusterCa {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
    token_key: hmac::Key,
}

impl ClusterCa {
    /// Makes the CA of a new cluster.
    ///
    /// # Errors
    /// [`CaError`] for a bad name or a broken random source.
    pub fn create(cluster_name: &str, now: OffsetDateTime) -> Result<Self, CaError> {
        check_name(cluster_name)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.not_before = now - BACKDATED;
        params.not_after = now + CA_LIFETIME;
        params.distinguished_name = common_name(&format!("SpanMQ cluster {cluster_name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Self::from_pem(certificate.pem(), key.serialize_pem())
    }

    /// The CA from its two PEM texts.
    ///
    /// # Errors
    /// [`CaError`] when they cannot be read or do not belong together.
    pub fn from_pem(certificate_pem: String, key_pem: String) -> Result<Self, CaError> {
        let bad = |reason: String| CaError::BadCertificate { what: "cluster CA", reason };
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| bad(error.to_string()))?;
        let key = KeyPair::from_pem(&key_pem)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| bad(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(bad("it is not a CA certificate".to_owned()));
        }
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(bad("its key belongs to another certificate".to_owned()));
        }
        let secret = hmac::Key::new(hmac::HMAC_SHA256, key.serialized_der());
        let token_key = hmac::sign(&secret, b"spanmq join token 1");
        let token_key = hmac::Key::new(hmac::HMAC_SHA256, token_key.as_ref());
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, certificate_pem, key_pem, issuer, token_key })
    }

    /// What join tokens pin.
    pub fn fingerprint(&self) -> CaFingerprint {
        CaFingerprint::of(&self.certificate)
    }

    /// The certificate as PEM; public.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key as PEM; secret, for files of mode 0600 and for enrolled members only.
    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A key and certificate for one of our own: PEM of both, certificate first.
    pub(crate) fn issue(&self, node_name: &str, now: OffsetDateTime) -> Result<String, CaError> {
        let key = KeyPair::generate()?;
        let certificate = node_params(node_name, now)?.signed_by(&key, &self.issuer)?;
        Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
    }

    /// Signs the key of a certificate request. Of the request only the key counts, which it
    /// proves to hold; name, lifetime and use are ours to say.
    pub(crate) fn sign_request(
        &self,
        request: &[u8],
        node_name: &str,
        now: OffsetDateTime,
    ) -> Result<String, CaError> {
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
                .map_err(|error| CaError::BadRequest { reason: error.to_string() })?;
        let certificate =
            node_params(node_name, now)?.signed_by(&request.public_key, &self.issuer)?;
        Ok(certificate.pem())
    }

    /// A new join token, good for `valid_for` or without end.
    pub fn token(&self, valid_for: Option<Duration>, now: OffsetDateTime) -> JoinToken {
        let now = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        let expires_unix_s = valid_for.map_or(0, |valid| now.saturating_add(valid.as_secs()));
        self.token_with(expires_unix_s, rand::random())
    }

    /// The token of this serial and expiry; whoever knows its secret was given it by a member.
    pub(crate) fn token_with(&self, expires_unix_s: u64, serial: u32) -> JoinToken {
        let mut message = expires_unix_s.to_be_bytes().to_vec();
        message.extend(serial.to_be_bytes());
        let tag = hmac::sign(&self.token_key, &message);
        let mut secret = [0; 16];
        for (to, from) in secret.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        let fingerprint = self.fingerprint();
        JoinToken { fingerprint, expires_unix_s, serial, secret: JoinSecret(secret) }
    }
}

impl fmt::Debug for ClusterCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterCa({}, key: ***)", self.fingerprint())
    }
}

fn node_params(node_name: &str, now: OffsetDateTime) -> Result<CertificateParams, CaError> {
    check_name(node_name)?;
    let mut params = CertificateParams::new(vec![MEMBER_NAME.to_owned()])?;
    params.not_before = now - BACKDATED;
    params.not_after = now + NODE_LIFETIME;
    params.distinguished_name = common_name(node_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn check_name(name: &str) -> Result<(), CaError> {
    let fits = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c));
    if fits { Ok(()) } else { Err(CaError::BadName { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    #[test]
    fn a_token_can_be_checked_by_every_member_and_by_no_other_cluster() {
        let ca = ClusterCa::create("east", now()).unwrap();
        let copy =
            ClusterCa::from_pem(ca.certificate_pem().to_owned(), ca.key_pem().to_owned()).unwrap();
        let token = ca.token(Some(Duration::from_secs(60)), now());
        assert_eq!(token.expires_unix_s, 1_800_000_060);
        assert_eq!(copy.token_with(token.expires_unix_s, token.serial), token);
        assert_ne!(copy.token_with(token.expires_unix_s + 1, token.serial).secret, token.secret);
        let other = ClusterCa::create("east", now()).unwrap();
        assert_ne!(other.token_with(token.expires_unix_s, token.serial).secret, token.secret);
    }

    #[test]
    fn a_ca_is_not_made_of_parts_that_do_not_belong_together() {
        let (a, b) =
            (ClusterCa::create("a", now()).unwrap(), ClusterCa::create("b", now()).unwrap());
        let mixed = ClusterCa::from_pem(a.certificate_pem().to_owned(), b.key_pem().to_owned());
        assert!(matches!(mixed, Err(CaError::BadCertificate { .. })));
    }

    #[test]
    fn a_request_cannot_ask_for_more_than_a_node_certificate() {
        let ca = ClusterCa::create("east", now()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut greedy = CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let request = greedy.serialize_request(&key).unwrap();
        let pem = ca.sign_request(request.der(), "n2", now()).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert!(!certificate.is_ca());
        assert_eq!(certificate.subject().to_string(), "CN=n2");
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1);
    }

    #[test]
    fn a_request_whose_signature_is_wrong_is_refused() {
        let ca = ClusterCa::create("east", now()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::default();
        let mut request = params.serialize_request(&key).unwrap().der().to_vec();
        *request.last_mut().unwrap() ^= 1;
        let refused = ca.sign_request(&request, "n2", now());
        assert!(matches!(refused, Err(CaError::BadRequest { .. })));
    }

    #[test]
    fn names_that_could_be_more_than_names_are_refused() {
        for name in ["", "a b", "x\n", "n1,O=evil", &"n".repeat(65)] {
            assert!(matches!(ClusterCa::create(name, now()), Err(CaError::BadName { .. })));
        }
    }
}
