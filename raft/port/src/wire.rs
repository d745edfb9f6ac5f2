//! Wires: ordered one-way frames with acknowledgements, one socket per peer and lane.
//!
//! A session is one connection. What was sent in it and not acknowledged when it ends is the
//! caller's to send again in the next one; nothing is kept here. The receiver of a new session
//! sees the old one closed first (the port closes it), so two never speak at the same time.

use std::sync::{Arc, OnceLock};

use bytes::{Buf, BufMut, Bytes};

use crate::{
    connection::{self, CloseReason, FrameIo, FrameSink, OutFrame, Outbox},
    counters::{Counters, count},
    error::{FrameError, WireClosed, WireSendError},
    frame::{Frame, FrameKind},
    identity::PeerId,
    peer::{Connected, PeerShared},
    pool::AbortOnDrop,
    queue::{self, Closed, QueueRx, QueueTx, TryPushError},
    tuning::PortTuning,
};

/// One message of a wire. `body` shares the connection's read buffer: copy what is kept for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFrame {
    /// The sender's number; the port neither checks nor makes it.
    pub seq: u64,
    pub body: Bytes,
}

/// The receiver's word on a wire; by convention all up to `seq` is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireAck {
    pub seq: u64,
    /// Whatever the two ends agree on (refused ones, applied index); mostly empty.
    pub body: Bytes,
}

fn numbered(kind: FrameKind, seq: u64, body: Bytes) -> OutFrame {
    OutFrame::new(kind, |head| head.put_u64(seq), body)
}

fn parse(mut body: Bytes, kind: &'static str) -> Result<(u64, Bytes), FrameError> {
    let seq = body.try_get_u64().map_err(|_| FrameError::Body { kind })?;
    Ok((seq, body))
}

/// Why the connection ended, for whoever still holds an end of it.
#[derive(Debug, Clone, Default)]
struct Ending(Arc<OnceLock<String>>);

impl Ending {
    fn closed(&self) -> WireClosed {
        let reason = self.0.get().cloned();
        WireClosed { reason: reason.unwrap_or_else(|| "closed by this node".to_owned()) }
    }

    fn set(&self, reason: &CloseReason) {
        drop(self.0.set(reason.to_string()));
    }
}

/// One numbered direction of frames out; used for messages on one end and acks on the other.
#[derive(Debug, Clone)]
struct Numbered {
    kind: FrameKind,
    queue: QueueTx<OutFrame>,
    body_bytes_max: usize,
    counters: Arc<Counters>,
    ending: Ending,
}

impl Numbered {
    async fn send(&self, seq: u64, body: Bytes) -> Result<(), WireSendError> {
        self.check(&body)?;
        let frame = numbered(self.kind, seq, body);
        let cost = frame.wire_len();
        self.queue.push(frame, cost).await.map_err(|Closed| self.ending.closed().into())
    }

    fn try_send(&self, seq: u64, body: Bytes) -> Result<(), WireSendError> {
        self.check(&body)?;
        let frame = numbered(self.kind, seq, body);
        let cost = frame.wire_len();
        self.queue.try_push(frame, cost).map_err(|error| match error {
            TryPushError::Full => {
                count(&self.counters.queue_full);
                WireSendError::Full
            }
            TryPushError::Closed => self.ending.closed().into(),
        })
    }

    fn check(&self, body: &Bytes) -> Result<(), WireSendError> {
        match body.len() {
            bytes if bytes > self.body_bytes_max => {
                Err(WireSendError::TooLarge { bytes, limit: self.body_bytes_max })
            }
            _ => Ok(()),
        }
    }
}

/// The sending end of a session. The connection is flushed and closed when all clones are gone.
#[derive(Debug, Clone)]
pub struct WireTx(Numbered);

impl WireTx {
    /// Queues one message; waits while the queue is full. Frames leave in the order of the calls.
    ///
    /// # Errors
    /// [`WireSendError`]; `Full` does not occur.
    pub async fn send(&self, seq: u64, body: Bytes) -> Result<(), WireSendError> {
        self.0.send(seq, body).await
    }

    /// Queues one message if there is room.
    ///
    /// # Errors
    /// [`WireSendError`].
    pub fn try_send(&self, seq: u64, body: Bytes) -> Result<(), WireSendError> {
        self.0.try_send(seq, body)
    }

    /// Ends when the session has ended.
    pub async fn closed(&self) {
        self.0.queue.closed().await;
    }
}

/// One connection of a wire, on the sending side.
#[derive(Debug)]
pub struct WireSession {
    peer: PeerId,
    tx: WireTx,
    acks: QueueRx<WireAck>,
    ending: Ending,
}

impl WireSession {
    /// Who is at the other end.
    pub fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// The sending end, to be cloned.
    pub fn tx(&self) -> &WireTx {
        &self.tx
    }

    /// The next acknowledgement. They must be taken: a full queue of acks stops the connection.
    /// Safe to cancel.
    ///
    /// # Errors
    /// [`WireClosed`] when the session has ended and all acks were taken.
    pub async fn ack(&mut self) -> Result<WireAck, WireClosed> {
        self.acks.recv().await.ok_or_else(|| self.ending.closed())
    }
}

/// A lane to one peer. One owner per lane: a second session closes the first at the receiver.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<PeerShared>,
    lane: u16,
}

impl Wire {
    pub(crate) fn new(shared: Arc<PeerShared>, lane: u16) -> Self {
        Self { shared, lane }
    }

    /// The number of the lane.
    pub fn lane(&self) -> u16 {
        self.lane
    }

    /// Dials until a session is there, with back-off between the attempts. Safe to cancel.
    ///
    /// # Errors
    /// [`WireClosed`] when the peer was removed from the pool.
    pub async fn connect(&mut self) -> Result<WireSession, WireClosed> {
        let (shared, lane) = (Arc::clone(&self.shared), self.lane);
        let (tx, rx) = tokio::sync::oneshot::channel();
        // The socket must live on the pool's runtime, whoever calls.
        let dialling = AbortOnDrop(self.shared.runtime.spawn(async move {
            let connected = shared.dial_until_connected(crate::Purpose::Wire(lane)).await;
            drop(tx.send(connected.map(|connected| start_session(&shared, connected))));
        }));
        let session = rx.await.ok().flatten();
        drop(dialling);
        session.ok_or_else(|| WireClosed { reason: "the peer was removed".to_owned() })
    }
}

fn start_session(shared: &Arc<PeerShared>, connected: Connected) -> WireSession {
    let Connected { io, peer, mut target } = connected;
    let tuning = shared.context.tuning().clone();
    let counters = Arc::clone(&shared.counters);
    let (queue, first) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
    let (acks_tx, acks) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
    let ending = Ending::default();
    let numbered = Numbered {
        kind: FrameKind::Wire,
        queue,
        body_bytes_max: connection::body_bytes_max(&tuning),
        counters: Arc::clone(&counters),
        ending: ending.clone(),
    };
    let session = WireSession { peer, tx: WireTx(numbered), acks, ending: ending.clone() };
    shared.runtime.spawn(async move {
        let mut sink = AckSink(acks_tx);
        let outbox = Outbox { first, rest: None };
        let reason = tokio::select! {
            reason = connection::run(io, outbox, &tuning, &counters, &mut sink) => reason,
            _ = target.changed() => CloseReason::Local("the peer was removed or has moved"),
        };
        ending.set(&reason);
    });
    session
}

struct AckSink(QueueTx<WireAck>);

impl FrameSink for AckSink {
    async fn accept(&mut self, frame: Frame) -> Result<(), CloseReason> {
        if frame.kind != FrameKind::Ack {
            return Err(FrameError::Unexpected { found: frame.kind.name() }.into());
        }
        let cost = frame.body.len();
        let (seq, body) = parse(frame.body, "ack")?;
        // Who dropped the session but kept a sender does not care for acks.
        drop(self.0.push(WireAck { seq, body }, cost).await);
        Ok(())
    }
}

/// The receiving end of a wire's session.
#[derive(Debug)]
pub struct WireInbound {
    frames: QueueRx<WireFrame>,
    acker: WireAcker,
}

/// Sends acknowledgements; a cheap handle.
#[derive(Debug, Clone)]
pub struct WireAcker(Numbered);

impl WireInbound {
    /// The next frame; `None` when the session has ended. Safe to cancel.
    pub async fn recv(&mut self) -> Option<WireFrame> {
        self.frames.recv().await
    }

    /// Waits for one frame and takes up to `limit` that are there; 0 means ended. Safe to cancel.
    pub async fn recv_many(&mut self, out: &mut Vec<WireFrame>, limit: usize) -> usize {
        let mut held = Vec::new();
        let n = self.frames.recv_many(&mut held, limit).await;
        out.extend(held.into_iter().map(|held| held.item));
        n
    }

    /// The acknowledging end, to be cloned.
    pub fn acker(&self) -> &WireAcker {
        &self.acker
    }

    /// Why the session has ended.
    pub fn closed_reason(&self) -> WireClosed {
        self.acker.0.ending.closed()
    }
}

impl WireAcker {
    /// Acknowledges; waits while the queue is full.
    ///
    /// # Errors
    /// [`WireSendError`]; `Full` does not occur.
    pub async fn ack(&self, seq: u64, body: Bytes) -> Result<(), WireSendError> {
        self.0.send(seq, body).await
    }

    /// Acknowledges if there is room.
    ///
    /// # Errors
    /// [`WireSendError`].
    pub fn try_ack(&self, seq: u64, body: Bytes) -> Result<(), WireSendError> {
        self.0.try_send(seq, body)
    }
}

/// Serves the receiving side until the connection ends or the owner drops the inbound end.
pub(crate) async fn serve_wire(
    io: FrameIo,
    tuning: &PortTuning,
    counters: &Arc<Counters>,
    open: impl FnOnce(WireInbound),
) -> CloseReason {
    let (frames_tx, frames) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
    let (acks, first) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
    let ending = Ending::default();
    let numbered = Numbered {
        kind: FrameKind::Ack,
        queue: acks,
        body_bytes_max: connection::body_bytes_max(tuning),
        counters: Arc::clone(counters),
        ending: ending.clone(),
    };
    // Set also when this future is dropped by a newer session or the port's end.
    let _end = EndOnDrop(ending.clone());
    let acker = WireAcker(numbered);
    let _keep_open = acker.clone();
    let mut sink = WireSink(frames_tx.clone());
    open(WireInbound { frames, acker });
    let outbox = Outbox { first, rest: None };
    let reason = tokio::select! {
        reason = connection::run(io, outbox, tuning, counters, &mut sink) => reason,
        () = frames_tx.closed() => CloseReason::Local("the receiver closed the wire"),
    };
    ending.set(&reason);
    reason
}

struct EndOnDrop(Ending);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.set(&CloseReason::Local("a newer session took over, or the port was closed"));
    }
}

struct WireSink(QueueTx<WireFrame>);

impl FrameSink for WireSink {
    async fn accept(&mut self, frame: Frame) -> Result<(), CloseReason> {
        if frame.kind != FrameKind::Wire {
            return Err(FrameError::Unexpected { found: frame.kind.name() }.into());
        }
        let cost = frame.body.len();
        let (seq, body) = parse(frame.body, "wire")?;
        let pushed = self.0.push(WireFrame { seq, body }, cost).await;
        pushed.map_err(|Closed| CloseReason::Local("the receiver closed the wire"))
    }
}
