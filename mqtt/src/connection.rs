//! The task of one connection: open the transport, read CONNECT, get the session, read packets.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ntex_io::{Io, Sealed};
use tokio::time::timeout;

use crate::codec::{self, BadPacket, ConnAck, Connect, Encoder, Packet, Version, kind};
use crate::mail::{Accepted, SlotKey};
use crate::shared::Shared;
use crate::transport::{self, Opened};
use crate::worker::{Close, CloseReason, Step, WorkerCell};

/// How long the last bytes may take to leave after the connection has ended.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one accepted socket on this thread.
pub(crate) fn spawn(worker: WorkerCell, shared: Arc<Shared>, accepted: Accepted) {
    tokio::task::spawn_local(async move {
        let limit = accepted.listener.config.connect_timeout;
        let (listener, peer) = (accepted.listener.clone(), accepted.peer);
        let opening = async {
            let opened = transport::open(accepted).await?;
            let connect = read_connect(&opened).await;
            io::Result::Ok((opened, connect))
        };
        match timeout(limit, opening).await {
            Ok(Ok((opened, Ok(connect)))) => serve(worker, shared, opened, connect).await,
            Ok(Ok((opened, Err(refused)))) => refuse(&shared, opened, refused).await,
            Ok(Err(error)) => not_opened(&shared, &listener.config.name, peer, &error),
            Err(_) => shared.metrics.closed_connect_timeout.inc(),
        }
    });
}

/// TLS, the WebSocket upgrade or the PROXY header went wrong. Who just leaves broke no rule.
fn not_opened(shared: &Shared, listener: &str, peer: SocketAddr, error: &io::Error) {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    let left = matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected | UnexpectedEof);
    if left {
        tracing::debug!(%peer, %listener, %error, "not opened");
    } else if let Some(suppressed) = shared.complaints.turn() {
        tracing::warn!(%peer, %listener, %error, suppressed, "a connection was not opened");
    }
}

/// A first packet that is not answered with a session.
#[derive(Debug)]
struct Refused {
    /// The version to answer in, if it is worth an answer.
    version: Option<Version>,
    bad: Option<BadPacket>,
}

/// Reads the first packet, which must be CONNECT [MQTT-3.1.0-1].
async fn read_connect(opened: &Opened) -> Result<Box<Connect>, Refused> {
    let limit = opened.listener.config.packet_bytes_max;
    poll_fn(|cx| {
        loop {
            match opened.io.with_read_buf(|buf| take_connect(buf, limit)) {
                Ok(Some(connect)) => return Poll::Ready(Ok(connect)),
                Ok(None) => {}
                Err(refused) => return Poll::Ready(Err(refused)),
            }
            match opened.io.poll_read_ready(cx) {
                Poll::Ready(Ok(Some(()))) => {}
                Poll::Ready(_) => return Poll::Ready(Err(Refused { version: None, bad: None })),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

fn take_connect(
    buf: &mut ntex_bytes::BytesMut,
    limit: u32,
) -> Result<Option<Box<Connect>>, Refused> {
    let silent = |bad| Refused { version: None, bad: Some(bad) };
    if buf.first().is_some_and(|first| *first != kind::CONNECT << 4) {
        return Err(silent(BadPacket::Protocol("the first packet is not CONNECT")));
    }
    let Some(frame) = codec::cut(buf, limit).map_err(silent)? else { return Ok(None) };
    if !frame.is_complete(buf.len()) {
        return Ok(None);
    }
    let bytes = buf.get(..frame.total).unwrap_or_default();
    let body = bytes.get(frame.header..).unwrap_or_default();
    let version = codec::peek_version(body).map_err(|bad| Refused {
        // Newer levels than ours understand the format of 5.0, older ones that of 3.1.1.
        version: match bad {
            BadPacket::Version(level) if level > 5 => Some(Version::V5),
            BadPacket::Version(_) => Some(Version::V311),
            _ => None,
        },
        bad: Some(bad),
    })?;
    let refused = |bad| Refused { version: Some(version), bad: Some(bad) };
    let packet = codec::decode(version, frame, bytes).map_err(refused)?;
    buf.advance_to(frame.total);
    match packet {
        Packet::Connect(connect) => Ok(Some(connect)),
        _ => Err(refused(BadPacket::Protocol("the first packet is not CONNECT"))),
    }
}

/// Answers a CONNECT that leads nowhere: CONNACK with the code, where the version has one.
async fn refuse(shared: &Shared, opened: Opened, refused: Refused) {
    let Some(bad) = refused.bad else { return };
    if let Some(suppressed) = shared.complaints.turn() {
        let listener = &opened.listener.config.name;
        tracing::warn!(error = %bad, peer = %opened.peer, %listener, suppressed, "CONNECT refused");
    }
    match bad {
        BadPacket::TooLarge { .. } => shared.metrics.closed_too_large.inc(),
        _ => shared.metrics.closed_protocol.inc(),
    }
    // 3.1.1 has codes for the version and the client id only; anything else is just closed.
    let has_code = matches!(bad, BadPacket::Version(_) | BadPacket::ClientId(_));
    if let Some(version) = refused.version.filter(|version| version.is_v5() || has_code) {
        send_connack(&opened, version, bad.code()).await;
    }
}

pub(crate) async fn send_connack(opened: &Opened, version: Version, code: u8) {
    let encoder = Encoder { version, problem_info: true, packet_max: None };
    let ack = ConnAck { code, ..Default::default() };
    if opened.io.with_write_buf(|out| encoder.connack(&ack, out)).is_ok() {
        linger(&opened.io).await;
    }
}

/// Lets the last bytes leave; a client that does not read is not waited for long.
async fn linger(io: &Io<Sealed>) {
    let _ = timeout(LINGER, async {
        let _ = io.flush(true).await;
        let _ = io.shutdown().await;
    })
    .await;
}

async fn serve(worker: WorkerCell, shared: Arc<Shared>, opened: Opened, connect: Box<Connect>) {
    let (version, client_id) = (connect.version, connect.client_id.clone());
    match crate::connect::admit(&worker, &shared, &opened, *connect).await {
        Ok(admitted) => {
            let Opened { io, permit, listener, peer, .. } = opened;
            let (key, number) = admitted.attach(&worker, &shared, &io, permit, listener, peer);
            read_packets(&worker, &io, key, number).await;
            linger(&io).await;
        }
        Err(code) => {
            if let Some(suppressed) = shared.complaints.turn() {
                let (listener, peer) = (&opened.listener.config.name, opened.peer);
                let code = format_args!("{code:#04x}");
                tracing::warn!(?client_id, %peer, %listener, %code, suppressed, "CONNECT refused");
            }
            match code {
                0x88 | 0x89 => shared.metrics.connects_unavailable.inc(),
                _ => shared.metrics.connects_denied.inc(),
            }
            send_connack(&opened, version, code).await;
        }
    }
}

/// Reads until the connection ends, from either side.
async fn read_packets(worker: &WorkerCell, io: &Io<Sealed>, key: SlotKey, number: u64) {
    poll_fn(|cx| match poll_packets(worker, io, key, number, cx) {
        Step::End => Poll::Ready(()),
        Step::Read | Step::Drain => Poll::Pending,
    })
    .await;
}

fn poll_packets(
    worker: &WorkerCell,
    io: &Io<Sealed>,
    key: SlotKey,
    number: u64,
    cx: &mut Context<'_>,
) -> Step {
    loop {
        if io.is_wr_backpressure() {
            match io.poll_flush(cx, false) {
                Poll::Pending => return gone_or(worker, io, key, number, Step::Drain),
                Poll::Ready(Ok(())) => {
                    let mut worker = worker.borrow_mut();
                    worker.begin();
                    worker.unstall(key, number);
                }
                Poll::Ready(Err(_)) => return gone(worker, key, number),
            }
        }
        let step = io.with_read_buf(|buf| {
            let mut worker = worker.borrow_mut();
            let handled = worker.guarded(key, |worker| worker.on_bytes(key, number, buf));
            handled.unwrap_or(Step::End)
        });
        match step {
            Step::End => return Step::End,
            Step::Drain => continue,
            Step::Read => {}
        }
        match io.poll_read_ready(cx) {
            Poll::Ready(Ok(Some(()))) => {}
            Poll::Ready(_) => return gone(worker, key, number),
            Poll::Pending => return Step::Read,
        }
    }
}

fn gone_or(worker: &WorkerCell, io: &Io<Sealed>, key: SlotKey, number: u64, step: Step) -> Step {
    if io.is_closed() { gone(worker, key, number) } else { step }
}

/// The socket is gone; unless the worker has ended the connection before.
fn gone(worker: &WorkerCell, key: SlotKey, number: u64) -> Step {
    let mut worker = worker.borrow_mut();
    worker.begin();
    worker.guarded(key, |worker| worker.close_if(key, number, Close::reason(CloseReason::Gone)));
    Step::End
}
