//! From errors of the system, of TLS and of MQTT to the catalogue of reasons.

use spanmq_link_protocol::reason::{Reason, ReasonWord};
use std::error::Error;
use std::io;

/// A TCP connection that did not come about.
pub(super) fn tcp(error: &io::Error) -> Reason {
    let word = match error.kind() {
        io::ErrorKind::ConnectionRefused => ReasonWord::ConnectionRefused,
        io::ErrorKind::TimedOut => ReasonWord::ConnectTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ReasonWord::Unreachable
        }
        _ => ReasonWord::ConnectionLost,
    };
    Reason::with_detail(word, &error.to_string())
}

/// A TLS handshake that failed. rustls puts its own error inside the I/O error.
pub(super) fn tls(error: &io::Error) -> Reason {
    let inner = error.get_ref().and_then(|e| (e as &(dyn Error + 'static)).downcast_ref());
    let word = inner.map_or(ReasonWord::TlsFailed, tls_word);
    Reason::with_detail(word, &error.to_string())
}

fn tls_word(error: &rustls::Error) -> ReasonWord {
    use rustls::{AlertDescription, CertificateError as Bad, Error as E};
    match error {
        E::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })
        | E::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            ReasonWord::TlsExpired
        }
        E::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            ReasonWord::TlsNameMismatch
        }
        E::InvalidCertificate(_) => ReasonWord::TlsUntrusted,
        E::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => ReasonWord::TlsClientCertificate,
        E::InvalidMessage(_) => ReasonWord::NotTls,
        _ => ReasonWord::TlsFailed,
    }
}

/// A connection that broke after it was open. With TLS 1.3 the refusal of our certificate comes
/// only with the first bytes after the handshake.
pub(super) fn broken(error: &io::Error) -> Reason {
    match tls(error) {
        reason if reason.word != ReasonWord::TlsFailed => reason,
        _ => Reason::with_detail(ReasonWord::ConnectionLost, &error.to_string()),
    }
}

/// CONNACK with a refusal.
pub(super) fn connack(code: u8, text: Option<&str>) -> Reason {
    let word = match code {
        0x84 => ReasonWord::PeerNotMqtt5,
        0x85 => ReasonWord::ClientIdRefused,
        0x86 | 0x87 | 0x8c => ReasonWord::LoginRefused,
        0x88 | 0x89 => ReasonWord::ServerBusy,
        0x8a => ReasonWord::Banned,
        0x97 | 0x9f => ReasonWord::QuotaExceeded,
        _ => ReasonWord::ConnectRefused,
    };
    Reason::with_detail(word, &detail(code, text))
}

/// DISCONNECT from the remote.
pub(super) fn disconnected(code: u8, text: Option<&str>) -> Reason {
    let word = match code {
        0x83 => ReasonWord::RemoteProtocolError,
        0x87 => ReasonWord::AclDenied,
        0x88 | 0x89 | 0x8b => ReasonWord::ServerBusy,
        0x8d => ReasonWord::KeepAliveTimeout,
        0x8e => ReasonWord::ClientIdConflict,
        0x95 => ReasonWord::PacketTooLarge,
        0x97 | 0x9f => ReasonWord::QuotaExceeded,
        _ => ReasonWord::SessionEnded,
    };
    Reason::with_detail(word, &detail(code, text))
}

fn detail(code: u8, text: Option<&str>) -> String {
    match text {
        Some(text) => format!("reason code 0x{code:02X}: {text}"),
        None => format!("reason code 0x{code:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_port_and_a_bad_certificate_have_words_of_their_own() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(tcp(&refused).word, ReasonWord::ConnectionRefused);
        let expired = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
        assert_eq!(tls(&io::Error::other(expired)).word, ReasonWord::TlsExpired);
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(tls(&io::Error::other(unknown)).word, ReasonWord::TlsUntrusted);
    }

    // W-4
    #[test]
    fn a_take_over_is_a_conflict_of_client_ids() {
        assert_eq!(disconnected(0x8e, None).word, ReasonWord::ClientIdConflict);
    }
}
