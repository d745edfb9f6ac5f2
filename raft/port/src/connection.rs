//! One connection after its handshake: batched writes, frames in, pings, and the end of it.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    counters::{Counters, add, count},
    error::FrameError,
    frame::{self, Frame, FrameDecoder, FrameKind},
    queue::{Held, QueueRx},
    tuning::PortTuning,
};

/// Frames that go out with one write.
const BATCH_FRAMES_MAX: usize = 256;
const WRITE_BYTES: usize = 256 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// Pongs waiting to go out; more are dropped, a peer needs only one.
const PONGS_MAX: usize = 4;

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A socket with or without TLS, and what was read beyond the last frame.
pub(crate) struct FrameIo {
    pub(crate) io: Box<dyn Io>,
    pub(crate) decoder: FrameDecoder,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseReason {
    #[error("the peer closed the connection")]
    Eof,
    #[error("no byte for {0:?}: the peer or the path to it is gone")]
    Dead(Duration),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Local(&'static str),
}

impl FrameIo {
    pub(crate) fn new(io: Box<dyn Io>, length_max: u32) -> Self {
        Self { io, decoder: FrameDecoder::new(length_max) }
    }

    /// The next frame. The caller bounds the wait.
    pub(crate) async fn read(&mut self) -> Result<Frame, CloseReason> {
        read_frame(&mut self.io, &mut self.decoder, None, None).await
    }

    pub(crate) async fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let mut out = BytesMut::with_capacity(frame.wire_len());
        frame.encode(&mut out);
        self.io.write_all(&out).await?;
        self.io.flush().await
    }
}

/// Reads until a whole frame is there. With `silence_max`, a longer wait for *any* byte is death:
/// a slow path may take long for one frame. Safe to cancel.
async fn read_frame<R: AsyncRead + Unpin>(
    io: &mut R,
    decoder: &mut FrameDecoder,
    silence_max: Option<Duration>,
    counters: Option<&Counters>,
) -> Result<Frame, CloseReason> {
    loop {
        if let Some(frame) = decoder.decode()? {
            if let Some(counters) = counters {
                count(&counters.frames_in);
            }
            return Ok(frame);
        }
        decoder.buffer_mut().reserve(READ_BYTES);
        let read = io.read_buf(decoder.buffer_mut());
        let n = match silence_max {
            None => read.await?,
            Some(limit) => {
                tokio::time::timeout(limit, read).await.map_err(|_| CloseReason::Dead(limit))??
            }
        };
        if n == 0 {
            return Err(CloseReason::Eof);
        }
        if let Some(counters) = counters {
            add(&counters.bytes_in, n as u64);
        }
    }
}

/// A frame on its way out: a short head that we made and the caller's body, not joined.
#[derive(Debug)]
pub(crate) struct OutFrame {
    kind: FrameKind,
    head: [u8; HEAD_MAX],
    head_len: usize,
    body: Bytes,
}

const HEAD_MAX: usize = 16;

impl OutFrame {
    /// `head` writes at most [`HEAD_MAX`] bytes.
    pub(crate) fn new(kind: FrameKind, head: impl FnOnce(&mut &mut [u8]), body: Bytes) -> Self {
        let mut bytes = [0; HEAD_MAX];
        let mut rest = &mut bytes[..];
        head(&mut rest);
        let head_len = HEAD_MAX - rest.len();
        Self { kind, head: bytes, head_len, body }
    }

    pub(crate) fn wire_len(&self) -> usize {
        frame::wire_len(self.head_len + self.body.len())
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        frame::encode_parts(
            out,
            self.kind,
            self.head.get(..self.head_len).unwrap_or(&[]),
            &self.body,
        );
    }
}

/// Largest body that fits a frame of `frame_bytes_max` beside our own head.
pub(crate) fn body_bytes_max(tuning: &PortTuning) -> usize {
    let length_max = tuning.frame_bytes_max.min(frame::FRAME_BYTES_MAX) as usize;
    length_max.saturating_sub(HEAD_MAX + 2)
}

/// Takes what arrives, in order. While it waits, nothing more is read: that is the back-pressure.
pub(crate) trait FrameSink: Send {
    fn accept(&mut self, frame: Frame) -> impl Future<Output = Result<(), CloseReason>> + Send;
}

/// What waits to be written: `first` overtakes `rest`.
pub(crate) struct Outbox {
    pub(crate) first: QueueRx<OutFrame>,
    pub(crate) rest: Option<QueueRx<OutFrame>>,
}

/// Runs a connection until it ends. Dropping the future closes it.
pub(crate) async fn run(
    connection: FrameIo,
    outbox: Outbox,
    tuning: &PortTuning,
    counters: &Arc<Counters>,
    sink: &mut impl FrameSink,
) -> CloseReason {
    let FrameIo { io, mut decoder } = connection;
    decoder.set_length_max(tuning.frame_bytes_max);
    let (mut read_half, write_half) = tokio::io::split(io);
    let (pongs_tx, pongs_rx) = mpsc::channel(PONGS_MAX);
    let epoch = Instant::now();
    let reading = async {
        loop {
            let silence = Some(tuning.dead_after);
            let frame = read_frame(&mut read_half, &mut decoder, silence, Some(counters)).await?;
            match frame.kind {
                FrameKind::Ping => drop(pongs_tx.try_send(stamp(&frame.body, "ping")?)),
                FrameKind::Pong => {
                    let sent = Duration::from_micros(stamp(&frame.body, "pong")?);
                    let rtt = epoch.elapsed().saturating_sub(sent).as_micros();
                    counters.rtt_us.store(u64::try_from(rtt).unwrap_or(u64::MAX), Relaxed);
                }
                _ => sink.accept(frame).await?,
            }
        }
    };
    let mut writer = Writer { io: write_half, out: BytesMut::new(), epoch, counters };
    let ended: Result<(), CloseReason> = tokio::select! {
        ended = reading => ended,
        ended = writer.run(outbox, pongs_rx, tuning) => ended,
    };
    let reason = ended.err().unwrap_or(CloseReason::Local("closed by this node"));
    match &reason {
        CloseReason::Dead(_) => count(&counters.dead),
        CloseReason::Frame(_) => count(&counters.bad_frames),
        _ => {}
    }
    reason
}

fn stamp(mut body: &[u8], kind: &'static str) -> Result<u64, FrameError> {
    match body.try_get_u64() {
        Ok(stamp) if body.is_empty() => Ok(stamp),
        _ => Err(FrameError::Body { kind }),
    }
}

struct Writer<'a, W> {
    io: W,
    out: BytesMut,
    epoch: Instant,
    counters: &'a Counters,
}

impl<W: AsyncWrite + Unpin> Writer<'_, W> {
    /// Writes what waits, in batches, and a ping at every tick. Ends when all senders are gone.
    async fn run(
        &mut self,
        outbox: Outbox,
        mut pongs: mpsc::Receiver<u64>,
        tuning: &PortTuning,
    ) -> Result<(), CloseReason> {
        let Outbox { mut first, mut rest } = outbox;
        let mut batch: Vec<Held<OutFrame>> = Vec::new();
        let mut ping = tokio::time::interval(tuning.ping_every.max(Duration::from_millis(1)));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ping.tick() => {
                    let now = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
                    self.push(&OutFrame::new(FrameKind::Ping, |head| head.put_u64(now), Bytes::new()));
                }
                Some(stamp) = pongs.recv() => {
                    self.push(&OutFrame::new(FrameKind::Pong, |head| head.put_u64(stamp), Bytes::new()));
                }
                n = first.recv_many(&mut batch, BATCH_FRAMES_MAX) => {
                    if n == 0 {
                        break;
                    }
                }
                // One at a time, so that the next small frame waits for one large one at most.
                one = recv_one(&mut rest) => match one {
                    Some(frame) => self.push(&frame),
                    None => rest = None,
                },
            }
            for held in batch.drain(..) {
                self.push(&held.item);
                if self.out.len() >= WRITE_BYTES {
                    self.write().await?;
                }
            }
            self.write().await?;
            self.io.flush().await?;
        }
        self.io.shutdown().await?;
        Ok(())
    }

    fn push(&mut self, frame: &OutFrame) {
        frame.encode(&mut self.out);
        count(&self.counters.frames_out);
    }

    async fn write(&mut self) -> io::Result<()> {
        add(&self.counters.bytes_out, self.out.len() as u64);
        self.io.write_all(&self.out).await?;
        self.out.clear();
        if self.out.capacity() > 4 * WRITE_BYTES {
            self.out = BytesMut::new();
        }
        Ok(())
    }
}

async fn recv_one(rest: &mut Option<QueueRx<OutFrame>>) -> Option<OutFrame> {
    match rest {
        Some(rest) => rest.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue;

    fn frame(fill: u8, len: usize) -> (OutFrame, usize) {
        let frame = OutFrame::new(FrameKind::Request, |_| {}, vec![fill; len].into());
        let cost = frame.wire_len();
        (frame, cost)
    }

    struct Ignore;

    impl FrameSink for Ignore {
        async fn accept(&mut self, _: Frame) -> Result<(), CloseReason> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn small_frames_overtake_large_ones_and_all_arrive() {
        let tuning = PortTuning::default();
        let (first_tx, first) = queue::bounded(10, 1_000_000);
        let (rest_tx, rest) = queue::bounded(10, 1_000_000);
        for (tx, fill, len) in
            [(&rest_tx, 1, 100_000), (&rest_tx, 2, 100_000), (&first_tx, 3, 10), (&first_tx, 4, 10)]
        {
            let (frame, cost) = frame(fill, len);
            tx.push(frame, cost).await.unwrap();
        }
        let (near, far) = tokio::io::duplex(1_024);
        let mut far = FrameIo::new(Box::new(far), frame::FRAME_BYTES_MAX);
        let (counters, mut sink) = (Arc::default(), Ignore);
        let running = run(
            FrameIo::new(Box::new(near), frame::FRAME_BYTES_MAX),
            Outbox { first, rest: Some(rest) },
            &tuning,
            &counters,
            &mut sink,
        );
        let reading = async {
            let mut order = Vec::new();
            while order.len() < 4 {
                let frame = far.read().await.unwrap();
                if frame.kind == FrameKind::Request {
                    order.push(frame.body[0]);
                }
            }
            order
        };
        let order = tokio::select! {
            order = reading => order,
            reason = running => panic!("{reason}"),
        };
        assert_eq!(order, [3, 4, 1, 2]);
        drop((first_tx, rest_tx));
    }

    #[test]
    fn pings_and_pongs_carry_eight_bytes_and_nothing_else() {
        assert_eq!(stamp(&[0, 0, 0, 0, 0, 0, 1, 0], "ping"), Ok(256));
        for body in [&[][..], &[1; 7], &[1; 9]] {
            assert_eq!(stamp(body, "ping"), Err(FrameError::Body { kind: "ping" }));
        }
    }
}
