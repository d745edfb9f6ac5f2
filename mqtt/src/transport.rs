//! From an accepted socket to a byte stream: TCP, TLS, WebSocket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ntex_io::{Filter, Io, IoConfig, Sealed};
use ntex_service::cfg::SharedCfg;
use ntex_tls::rustls::TlsServerFilter;
use ntex_util::time::{Millis, Seconds};

use crate::config::{TlsConfig, Transport};
use crate::listener::{ListenerState, Permit};
use crate::mail::Accepted;
use crate::tls::Subject;
use crate::{proxy, socket, tls, ws};

/// Bytes read at once.
pub(crate) const READ_BYTES: usize = 16 * 1024;
/// Output above which a connection is not pumped any more and not read from (L9). Two turns of
/// pumping fit between this mark and the limit of 1 MiB.
const WRITE_HIGH_BYTES: usize = 256 * 1024;

/// A byte stream that is ready for MQTT.
pub(crate) struct Opened {
    pub(crate) io: Io<Sealed>,
    pub(crate) listener: Arc<ListenerState>,
    pub(crate) permit: Permit,
    pub(crate) peer: SocketAddr,
    pub(crate) subject: Option<Subject>,
}

/// Settings of the library's buffers. Its own time-outs stay off: the connection's task has them.
pub(crate) fn io_config() -> SharedCfg {
    let io = IoConfig::new()
        .set_read_buf(READ_BYTES, 1_024, 64)
        .set_write_buf(WRITE_HIGH_BYTES, 1_024, 16)
        .set_disconnect_timeout(Seconds(2));
    SharedCfg::new("mqtt").add(io).into()
}

/// Runs the handshakes of the listener's transport.
///
/// # Errors
/// TLS or HTTP errors; they end the connection and are logged by the caller.
pub(crate) async fn open(accepted: Accepted) -> io::Result<Opened> {
    let Accepted { stream, mut peer, listener, mut permit } = accepted;
    let (lingering, metrics) = permit.lingering();
    let nodelay = listener.config.nodelay;
    let io = socket::open(stream, listener.io_config.clone(), lingering, metrics, nodelay)?;
    if let Some(limit) = listener.config.proxy_timeout {
        peer = proxy::client_address(&io, limit).await?.unwrap_or(peer);
        permit.comes_from(peer.ip())?;
    }
    let (io, subject) = match &listener.config.transport {
        Transport::Tcp => (io.seal(), None),
        Transport::Ws(config) => (ws::accept(io, config).await?.seal(), None),
        Transport::Tls(tls) => {
            let io = tls_handshake(io, &listener, tls).await?;
            let subject = tls::subject(&io);
            (io.seal(), subject)
        }
        Transport::Wss(tls, config) => {
            let io = tls_handshake(io, &listener, tls).await?;
            let subject = tls::subject(&io);
            (ws::accept(io, config).await?.seal(), subject)
        }
    };
    Ok(Opened { io, listener, permit, peer, subject })
}

async fn tls_handshake<F: Filter>(
    io: Io<F>,
    listener: &ListenerState,
    tls: &TlsConfig,
) -> io::Result<Io<ntex_io::Layer<TlsServerFilter, F>>> {
    let Some(config) = &listener.tls else {
        return Err(io::Error::other("the listener has no TLS configuration"));
    };
    let limit = u32::try_from(tls.handshake_timeout.as_millis()).unwrap_or(u32::MAX);
    TlsServerFilter::create(io, config.config(), Millis(limit)).await
}
