//! One enum of errors per boundary: frames, certificates, listening, dialling, requests, wires.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::hello::Refusal;

/// Bytes that are not a frame. The connection ends with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {announced} bytes was announced, the limit is {limit}")]
    TooLong { announced: u32, limit: u32 },
    #[error("a frame of {announced} bytes was announced, too few for version and kind")]
    TooShort { announced: u32 },
    #[error(
        "frame version {found} is unknown here; the other side is newer, or is not a SpanMQ node"
    )]
    Version { found: u8 },
    #[error("frame kind {found} is unknown")]
    Kind { found: u8 },
    #[error("the body of a {kind} frame cannot be read")]
    Body { kind: &'static str },
    #[error("a {found} frame came where it does not belong")]
    Unexpected { found: &'static str },
}

/// What went wrong with the cluster's certificates and keys.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("{path}: {doing} failed", path = path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "{path} exists already: this directory belongs to a cluster; leave out --init or choose an empty data directory",
        path = path.display()
    )]
    Exists { path: PathBuf },
    #[error(
        "{path} is missing while other certificate files are there; restore it, or remove {dir} and join again",
        path = path.display(),
        dir = dir.display()
    )]
    Missing { path: PathBuf, dir: PathBuf },
    #[error("{path} holds no {what} in PEM form", path = path.display())]
    NotPem { what: &'static str, path: PathBuf },
    #[error("the {what} cannot be read as a certificate: {reason}")]
    BadCertificate { what: &'static str, reason: String },
    #[error("the certificate request is refused: {reason}")]
    BadRequest { reason: String },
    #[error("{name:?} cannot stand in a certificate: 1 to 64 letters, digits, '.', '_' or '-'")]
    BadName { name: String },
    #[error(
        "this node does not hold the cluster CA's key (own certificates were given); sign the new node's certificate with your own CA"
    )]
    NoCaKey,
    #[error("making a key or certificate failed")]
    Generate(#[from] rcgen::Error),
    #[error("the certificates cannot be used for TLS")]
    Tls(#[from] rustls::Error),
}

/// Why the cluster port does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen for cluster connections on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(
        "--dev speaks plain text and listens on loopback only, not on {address}; use 127.0.0.1 or leave out --dev"
    )]
    DevNotLoopback { address: SocketAddr },
}

/// Why no connection to a peer came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{address:?} does not resolve to an address")]
    Resolve {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("{address} cannot be reached")]
    Connect {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("{address} did not answer within {limit:?}")]
    Timeout { address: String, limit: Duration },
    #[error(
        "--dev speaks plain text and dials loopback only, not {address}; leave out --dev to use TLS"
    )]
    DevNotLoopback { address: SocketAddr },
    #[error(
        "TLS with {address} failed; if the certificate is unknown, that node belongs to another cluster or was initialised anew"
    )]
    Tls {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("refused by this node: {0}")]
    Refused(#[source] Refusal),
    #[error("refused by {address}: {sentence}")]
    RefusedByPeer { address: String, sentence: String },
    #[error("{address} does not speak the cluster protocol")]
    Frame {
        address: String,
        #[source]
        source: FrameError,
    },
    #[error("the connection to {address} broke during the handshake")]
    Broken {
        address: String,
        #[source]
        source: io::Error,
    },
}

/// Why a request has no answer. All but [`RequestError::Disconnected`] and
/// [`RequestError::Deadline`] mean that it was not carried out (by the transport's word).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The handler's own answer; `code` is the handler's.
    #[error("{message}")]
    Failed { code: u16, message: String },
    #[error("the peer has too many requests in work; try again later")]
    Overloaded,
    #[error("the peer does not know requests of kind {kind}; it may be an older version")]
    UnknownKind { kind: u16 },
    #[error("the peer is not connected: {reason}")]
    NotConnected { reason: String },
    #[error("the connection ended before the answer; whether the request was carried out is open")]
    Disconnected,
    #[error("no answer in time; whether the request was carried out is open")]
    Deadline,
    #[error("{bytes} bytes are more than one frame may hold ({limit}); send it in parts")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the peer's handler broke down; its log tells why")]
    HandlerPanicked,
}

impl RequestError {
    /// The handler's refusal.
    pub fn failed(code: u16, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into() }
    }
}

/// The wire's connection ended; open the next session and send again what was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the wire is closed: {reason}")]
pub struct WireClosed {
    pub reason: String,
}

/// Why a frame was not taken for sending.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireSendError {
    #[error("the wire's queue is full")]
    Full,
    #[error("{bytes} bytes are more than one frame may hold ({limit})")]
    TooLarge { bytes: usize, limit: usize },
    #[error(transparent)]
    Closed(#[from] WireClosed),
}
