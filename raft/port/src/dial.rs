//! One attempt to reach a peer: address, TCP, TLS, handshake.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    connection::{CloseReason, FrameIo, Io},
    context::{PortContext, Security},
    dial_map::DialMap,
    error::DialError,
    frame::HANDSHAKE_FRAME_BYTES_MAX,
    handshake::{self, Greeting, HandshakeError},
    hello::{Purpose, Refusal},
    identity::{NodeId, PeerId, PeerInfo},
    tuning::PortTuning,
};

/// Whom to reach and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The node that must answer; any when `None`.
    pub(crate) node: Option<NodeId>,
    pub(crate) name: Option<String>,
    /// `host:port`, before the dial map.
    pub(crate) address: String,
}

impl Target {
    pub(crate) fn rewritten<'a>(&'a self, map: &'a DialMap) -> &'a str {
        map.rewrite(self.node, self.name.as_deref(), &self.address)
    }
}

/// Loopback, also when written as an IPv4 address inside IPv6.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Connects TCP, without a byte sent.
pub(crate) async fn connect_tcp(
    address: &str,
    dev: bool,
    tuning: &PortTuning,
) -> Result<TcpStream, DialError> {
    let limit = tuning.connect_timeout;
    let connecting = async {
        let resolved = tokio::net::lookup_host(address).await;
        let resolved = resolved
            .map_err(|source| DialError::Resolve { address: address.to_owned(), source })?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in resolved {
            if dev && !is_loopback(address.ip()) {
                return Err(DialError::DevNotLoopback { address });
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(DialError::Connect { address: address.to_owned(), source: last })
    };
    let timed_out = |_| DialError::Timeout { address: address.to_owned(), limit };
    let stream = timeout(limit, connecting).await.map_err(timed_out)??;
    stream
        .set_nodelay(true)
        .map_err(|source| DialError::Connect { address: address.to_owned(), source })?;
    Ok(stream)
}

/// Reaches `target` for `purpose`; both sides have accepted when this returns.
pub(crate) async fn dial(
    context: &PortContext,
    target: &Target,
    purpose: Purpose,
) -> Result<(FrameIo, PeerId), DialError> {
    let address = target.rewritten(context.dial_map());
    let tuning = context.tuning();
    let tcp = connect_tcp(address, context.is_dev(), tuning).await?;
    let limit = tuning.handshake_timeout;
    timeout(limit, greet(context, target, address, purpose, tcp))
        .await
        .map_err(|_| DialError::Timeout { address: address.to_owned(), limit })?
}

async fn greet(
    context: &PortContext,
    target: &Target,
    address: &str,
    purpose: Purpose,
    tcp: TcpStream,
) -> Result<(FrameIo, PeerId), DialError> {
    let broken = |source| DialError::Broken { address: address.to_owned(), source };
    let peer_address = tcp.peer_addr().map_err(broken)?;
    let io = secure(context, address, tcp).await?;
    let mut io = FrameIo::new(io, HANDSHAKE_FRAME_BYTES_MAX);
    let meant = |hello: &crate::Hello| match target.node {
        Some(expected) if expected != hello.node_id => {
            Err(Refusal::WrongNode { expected, found: hello.node_id })
        }
        _ => Ok(()),
    };
    let greeting = handshake::greet(&mut io, context, purpose, meant)
        .await
        .map_err(|error| dial_error(address, error))?;
    Ok((io, peer_id(greeting, peer_address)))
}

pub(crate) fn peer_id(greeting: Greeting, address: SocketAddr) -> PeerId {
    let Greeting { hello, protocol } = greeting;
    PeerId(Arc::new(PeerInfo {
        node_id: hello.node_id,
        node_name: hello.node_name,
        cluster_id: hello.cluster_id,
        instance: hello.instance,
        incarnation: hello.incarnation,
        purpose: hello.purpose,
        protocol,
        address,
    }))
}

async fn secure(
    context: &PortContext,
    address: &str,
    tcp: TcpStream,
) -> Result<Box<dyn Io>, DialError> {
    match context.security() {
        Security::Dev => Ok(Box::new(tcp)),
        Security::Tls(credentials) => {
            let tls = credentials.tls();
            let connector = TlsConnector::from(Arc::clone(&tls.client));
            let stream = connector.connect(tls.dial_name.clone(), tcp).await;
            let stream =
                stream.map_err(|source| DialError::Tls { address: address.to_owned(), source })?;
            Ok(Box::new(stream))
        }
    }
}

pub(crate) fn dial_error(address: &str, error: HandshakeError) -> DialError {
    let address = address.to_owned();
    match error {
        HandshakeError::Refused(refusal) => DialError::Refused(refusal),
        HandshakeError::RefusedByPeer(sentence) => DialError::RefusedByPeer { address, sentence },
        HandshakeError::Closed(CloseReason::Frame(source)) => DialError::Frame { address, source },
        // With TLS 1.3 the acceptor judges our certificate after the dialler's TLS has ended.
        HandshakeError::Closed(CloseReason::Io(source)) if is_tls(&source) => {
            DialError::Tls { address, source }
        }
        HandshakeError::Closed(CloseReason::Io(source)) => DialError::Broken { address, source },
        HandshakeError::Closed(reason) => {
            let source = io::Error::new(io::ErrorKind::ConnectionAborted, reason.to_string());
            DialError::Broken { address, source }
        }
    }
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
