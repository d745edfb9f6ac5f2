//! Enrolment: how a node that holds a join token gets its certificate.
//!
//! Over TLS in which only the member shows a certificate (pinned by the token's fingerprint) the
//! joiner proves the secret with a MAC over this very TLS session, its request and its name; the
//! member answers with certificate, CA certificate and CA key (`ca.rs` says why the key).

use std::{io, path::Path, sync::Arc};

use ring::hmac;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    ca::ClusterCa,
    codec,
    connection::{CloseReason, FrameIo},
    credentials::Credentials,
    dial,
    dial_map::DialMap,
    error::{CaError, DialError},
    frame::{Frame, FrameKind, HANDSHAKE_FRAME_BYTES_MAX},
    handshake::{self, HandshakeError},
    tls,
    token::JoinToken,
    tuning::PortTuning,
};

const EXPORTER_LABEL: &[u8] = b"EXPORTER-spanmq-enrol-1";
const REFUSED_TOKEN: &str = "the join token is not one of this cluster or was changed; print a new one with `spanmq cluster token` on a member";
const REFUSED_EXPIRED: &str =
    "the join token has expired; print a new one with `spanmq cluster token` on a member";
const REFUSED_REQUEST: &str = "the certificate request or the node name cannot be used; a node name has 1 to 64 letters, digits, '.', '_' or '-'";

#[derive(Debug, Serialize, Deserialize)]
struct EnrolRequest {
    expires_unix_s: u64,
    serial: u32,
    node_name: String,
    request_der: Vec<u8>,
    mac: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Enrolled {
    node_pem: String,
    ca_pem: String,
    ca_key_pem: String,
}

/// Why enrolment did not succeed; nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error("no member could be reached for enrolment")]
    Dial(#[from] DialError),
    #[error(
        "{address} does not belong to the cluster that made this join token (its CA has another fingerprint, or it does not enrol nodes); check address and token"
    )]
    WrongCluster {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("the member's answer cannot be used")]
    Answer(#[source] CaError),
    #[error("the member answered with another CA than the one that the join token pins")]
    OtherCa,
    #[error("the certificates could not be made or stored")]
    Store(#[from] CaError),
}

/// Gets a certificate from the member at `address` and stores it in `dir` (which must not exist).
/// The dial map applies to `address`.
///
/// # Errors
/// [`EnrolError`]; another member may be tried then.
pub async fn enrol(
    address: &str,
    dial_map: &DialMap,
    token: &JoinToken,
    node_name: &str,
    dir: &Path,
    tuning: &PortTuning,
) -> Result<Arc<Credentials>, EnrolError> {
    if dir.exists() {
        return Err(CaError::Exists { path: dir.to_owned() }.into());
    }
    let address = dial_map.rewrite(None, None, address);
    let tcp = dial::connect_tcp(address, false, tuning).await?;
    let limit = tuning.handshake_timeout;
    let exchange = exchange(tcp, address, token, node_name);
    let timed_out = |_| DialError::Timeout { address: address.to_owned(), limit };
    let (ca, node_pem) = tokio::time::timeout(limit, exchange).await.map_err(timed_out)??;
    Ok(Credentials::store(dir, ca, &node_pem)?)
}

async fn exchange(
    tcp: TcpStream,
    address: &str,
    token: &JoinToken,
    node_name: &str,
) -> Result<(ClusterCa, String), EnrolError> {
    let config = tls::enrol_client(token.fingerprint)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(tls::member_dns_name(), tcp)
        .await
        .map_err(|source| EnrolError::WrongCluster { address: address.to_owned(), source })?;
    let session = session_key(stream.get_ref().1)?;
    let (key_pem, request_der) = certificate_request()?;
    let mac = proof(token, &session, node_name, &request_der);
    let request = EnrolRequest {
        expires_unix_s: token.expires_unix_s,
        serial: token.serial,
        node_name: node_name.to_owned(),
        request_der,
        mac: mac.as_ref().to_vec(),
    };
    let mut io = FrameIo::new(Box::new(stream), HANDSHAKE_FRAME_BYTES_MAX);
    let answer = ask(&mut io, &request).await.map_err(|error| dial::dial_error(address, error))?;
    let ca = ClusterCa::from_pem(answer.ca_pem, answer.ca_key_pem).map_err(EnrolError::Answer)?;
    if ca.fingerprint() != token.fingerprint {
        return Err(EnrolError::OtherCa);
    }
    Ok((ca, format!("{}{key_pem}", answer.node_pem)))
}

async fn ask(io: &mut FrameIo, request: &EnrolRequest) -> Result<Enrolled, HandshakeError> {
    io.write(&Frame::new(FrameKind::Enrol, codec::encode(request))).await?;
    let frame = io.read().await?;
    match frame.kind {
        FrameKind::Enrolled => codec::decode(&frame.body)
            .ok_or_else(|| crate::FrameError::Body { kind: frame.kind.name() }.into()),
        FrameKind::Refused => Err(HandshakeError::RefusedByPeer(handshake::sentence(&frame.body))),
        kind => Err(crate::FrameError::Unexpected { found: kind.name() }.into()),
    }
}

/// Why a member did not enrol who asked; the sentence goes to the joiner.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEnrolled {
    #[error("{0}")]
    Refused(&'static str),
    #[error(transparent)]
    Closed(#[from] CloseReason),
    #[error(transparent)]
    Tls(#[from] CaError),
}

/// The member's side; `session` comes from [`session_key`]. Returns the new node's name.
pub(crate) async fn serve(
    io: &mut FrameIo,
    session: &[u8; 32],
    ca: &ClusterCa,
) -> Result<String, NotEnrolled> {
    let frame = io.read().await?;
    let now = OffsetDateTime::now_utc();
    let request = match frame.kind {
        FrameKind::Enrol => codec::decode::<EnrolRequest>(&frame.body),
        _ => None,
    };
    let signed = request.ok_or(REFUSED_REQUEST).and_then(|request| {
        let node_pem = decide(ca, session, &request, now)?;
        Ok((request.node_name, node_pem))
    });
    match signed {
        Ok((node_name, node_pem)) => {
            let answer = Enrolled {
                node_pem,
                ca_pem: ca.certificate_pem().to_owned(),
                ca_key_pem: ca.key_pem().to_owned(),
            };
            let frame = Frame::new(FrameKind::Enrolled, codec::encode(&answer));
            io.write(&frame).await.map_err(CloseReason::from)?;
            Ok(node_name)
        }
        Err(sentence) => {
            handshake::refuse(io, sentence).await;
            Err(NotEnrolled::Refused(sentence))
        }
    }
}

/// The secret first: who does not know it learns nothing else.
fn decide(
    ca: &ClusterCa,
    session: &[u8; 32],
    request: &EnrolRequest,
    now: OffsetDateTime,
) -> Result<String, &'static str> {
    let token = ca.token_with(request.expires_unix_s, request.serial);
    let message = message(session, &request.node_name, &request.request_der);
    // Compares in constant time.
    hmac::verify(&mac_key(&token), &message, &request.mac).map_err(|_| REFUSED_TOKEN)?;
    let now_unix_s = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    if token.expires_unix_s != 0 && token.expires_unix_s < now_unix_s {
        return Err(REFUSED_EXPIRED);
    }
    ca.sign_request(&request.request_der, &request.node_name, now).map_err(|_| REFUSED_REQUEST)
}

/// A value that only the two ends of this TLS session know, and that no other session has.
pub(crate) fn session_key<Data>(tls: &rustls::ConnectionCommon<Data>) -> Result<[u8; 32], CaError> {
    Ok(tls.export_keying_material([0; 32], EXPORTER_LABEL, None)?)
}

fn certificate_request() -> Result<(String, Vec<u8>), CaError> {
    let key = rcgen::KeyPair::generate()?;
    let request = rcgen::CertificateParams::default().serialize_request(&key)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

fn mac_key(token: &JoinToken) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &token.secret.0)
}

fn proof(token: &JoinToken, session: &[u8; 32], name: &str, request: &[u8]) -> hmac::Tag {
    hmac::sign(&mac_key(token), &message(session, name, request))
}

fn message(session: &[u8; 32], node_name: &str, request: &[u8]) -> Vec<u8> {
    let mut message = session.to_vec();
    message.extend((node_name.len() as u64).to_be_bytes());
    message.extend(node_name.as_bytes());
    message.extend(request);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: [u8; 32] = [5; 32];

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn later(seconds: i64) -> OffsetDateTime {
        now() + time::Duration::seconds(seconds)
    }

    fn request(token: &JoinToken) -> EnrolRequest {
        let (_, request_der) = certificate_request().unwrap();
        let mac = proof(token, &SESSION, "n2", &request_der).as_ref().to_vec();
        EnrolRequest {
            expires_unix_s: token.expires_unix_s,
            serial: token.serial,
            node_name: "n2".to_owned(),
            request_der,
            mac,
        }
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let ca = ClusterCa::create("east", now()).unwrap();
        let minute = request(&ca.token(Some(std::time::Duration::from_secs(60)), now()));
        assert!(decide(&ca, &SESSION, &minute, later(60)).is_ok());
        assert_eq!(decide(&ca, &SESSION, &minute, later(61)), Err(REFUSED_EXPIRED));
        let endless = request(&ca.token(None, now()));
        assert!(decide(&ca, &SESSION, &endless, later(1_000_000)).is_ok());
    }

    #[test]
    fn a_proof_is_worth_nothing_in_another_session_for_another_name_or_key() {
        let ca = ClusterCa::create("east", now()).unwrap();
        let token = ca.token(None, now());
        let good = || request(&token);
        assert!(decide(&ca, &SESSION, &good(), now()).is_ok());
        assert_eq!(decide(&ca, &[6; 32], &good(), now()), Err(REFUSED_TOKEN));
        let renamed = EnrolRequest { node_name: "n3".to_owned(), ..good() };
        assert_eq!(decide(&ca, &SESSION, &renamed, now()), Err(REFUSED_TOKEN));
        let (_, request_der) = certificate_request().unwrap();
        let other_key = EnrolRequest { request_der, ..good() };
        assert_eq!(decide(&ca, &SESSION, &other_key, now()), Err(REFUSED_TOKEN));
        let unproven = EnrolRequest { mac: Vec::new(), ..good() };
        assert_eq!(decide(&ca, &SESSION, &unproven, now()), Err(REFUSED_TOKEN));
    }

    #[test]
    fn with_a_good_proof_a_bad_name_is_still_refused() {
        let ca = ClusterCa::create("east", now()).unwrap();
        let token = ca.token(None, now());
        let mut request = request(&token);
        request.node_name = "n2\nCN=n1".to_owned();
        request.mac =
            proof(&token, &SESSION, &request.node_name, &request.request_der).as_ref().to_vec();
        assert_eq!(decide(&ca, &SESSION, &request, now()), Err(REFUSED_REQUEST));
    }
}
