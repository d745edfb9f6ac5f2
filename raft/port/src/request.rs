//! The asking end of a request connection, and how requests and answers look as frames.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    connection::{self, CloseReason, FrameSink, OutFrame, Outbox},
    error::{FrameError, RequestError},
    frame::{Frame, FrameKind},
    queue::{self, QueueTx},
    tuning::PortTuning,
};

/// Longest error text that crosses the wire.
const FAILURE_TEXT_BYTES_MAX: usize = 1_024;

/// A request as it stands in a frame: `u64 id | u32 deadline_ms | u16 kind | body`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestFrame {
    pub(crate) id: u64,
    pub(crate) deadline: Duration,
    pub(crate) kind: u16,
    pub(crate) body: Bytes,
}

impl RequestFrame {
    pub(crate) fn into_frame(self) -> OutFrame {
        let deadline_ms = u32::try_from(self.deadline.as_millis()).unwrap_or(u32::MAX);
        let head = |head: &mut &mut [u8]| {
            head.put_u64(self.id);
            head.put_u32(deadline_ms);
            head.put_u16(self.kind);
        };
        OutFrame::new(FrameKind::Request, head, self.body)
    }

    pub(crate) fn parse(mut body: Bytes) -> Result<Self, FrameError> {
        let bad = |_| FrameError::Body { kind: "request" };
        Ok(Self {
            id: body.try_get_u64().map_err(bad)?,
            deadline: Duration::from_millis(body.try_get_u32().map_err(bad)?.into()),
            kind: body.try_get_u16().map_err(bad)?,
            body,
        })
    }
}

/// `u64 id | body`, or as a failure `u64 id | u8 reason | u16 code | text`.
pub(crate) fn answer_frame(id: u64, answer: Result<Bytes, RequestError>) -> OutFrame {
    let error = match answer {
        Ok(body) => return OutFrame::new(FrameKind::Response, |head| head.put_u64(id), body),
        Err(error) => error,
    };
    let (reason, code, text) = match error {
        RequestError::Failed { code, message } => (0, code, message),
        RequestError::Overloaded => (1, 0, String::new()),
        RequestError::UnknownKind { kind } => (2, kind, String::new()),
        RequestError::Deadline => (3, 0, String::new()),
        RequestError::HandlerPanicked => (4, 0, String::new()),
        // What a handler met on its own way to a third node is a failure of its own to the caller.
        other => (0, 0, other.to_string()),
    };
    let head = |head: &mut &mut [u8]| {
        head.put_u64(id);
        head.put_u8(reason);
        head.put_u16(code);
    };
    let end = text.floor_char_boundary(FAILURE_TEXT_BYTES_MAX.min(text.len()));
    let text = text.get(..end).unwrap_or_default().to_owned();
    OutFrame::new(FrameKind::Failure, head, text.into())
}

fn parse_answer(frame: Frame) -> Result<(u64, Result<Bytes, RequestError>), FrameError> {
    let bad = |_| FrameError::Body { kind: "answer" };
    let mut body = frame.body;
    let id = body.try_get_u64().map_err(bad)?;
    if frame.kind == FrameKind::Response {
        return Ok((id, Ok(body)));
    }
    let reason = body.try_get_u8().map_err(bad)?;
    let code = body.try_get_u16().map_err(bad)?;
    let error = match reason {
        1 => RequestError::Overloaded,
        2 => RequestError::UnknownKind { kind: code },
        3 => RequestError::Deadline,
        4 => RequestError::HandlerPanicked,
        _ => RequestError::failed(code, String::from_utf8_lossy(&body)),
    };
    Ok((id, Err(error)))
}

type Waiting = HashMap<u64, oneshot::Sender<Result<Bytes, RequestError>>>;

/// The asking end of one live connection.
#[derive(Debug)]
pub(crate) struct RequestClient {
    /// `None` once the connection has ended.
    waiting: Mutex<Option<Waiting>>,
    next_id: AtomicU64,
    first: QueueTx<OutFrame>,
    rest: QueueTx<OutFrame>,
    small_bytes_max: usize,
    body_bytes_max: usize,
}

impl RequestClient {
    pub(crate) fn new(tuning: &PortTuning) -> (Arc<Self>, Outbox) {
        let (first, first_rx) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
        let (rest, rest_rx) = queue::bounded(tuning.queue_frames_max, tuning.queue_bytes_max);
        let client = Self {
            waiting: Mutex::new(Some(HashMap::new())),
            next_id: AtomicU64::new(1),
            first,
            rest,
            small_bytes_max: tuning.small_frame_bytes_max as usize,
            body_bytes_max: connection::body_bytes_max(tuning),
        };
        (Arc::new(client), Outbox { first: first_rx, rest: Some(rest_rx) })
    }

    /// Sends one request and waits for its answer until `deadline`.
    pub(crate) async fn request(
        &self,
        kind: u16,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, RequestError> {
        if body.len() > self.body_bytes_max {
            let (bytes, limit) = (body.len(), self.body_bytes_max);
            return Err(RequestError::TooLarge { bytes, limit });
        }
        let id = self.next_id.fetch_add(1, Relaxed);
        let (tx, rx) = oneshot::channel();
        self.waiting().as_mut().ok_or(RequestError::Disconnected)?.insert(id, tx);
        let _forget = Forget { client: self, id };
        let left = deadline.saturating_duration_since(Instant::now());
        let frame = RequestFrame { id, deadline: left, kind, body }.into_frame();
        let exchange = async {
            let cost = frame.wire_len();
            let queue = if cost <= self.small_bytes_max { &self.first } else { &self.rest };
            queue.push(frame, cost).await.map_err(|_| RequestError::Disconnected)?;
            rx.await.unwrap_or(Err(RequestError::Disconnected))
        };
        tokio::time::timeout_at(deadline, exchange).await.unwrap_or(Err(RequestError::Deadline))
    }

    /// Ends all waiting requests: the connection is gone.
    pub(crate) fn close(&self) {
        drop(self.waiting().take());
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a request out of the table when its caller is gone.
struct Forget<'a> {
    client: &'a RequestClient,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.client.waiting().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// Gives answers to those who wait. A late answer changes nothing.
pub(crate) struct AnswerSink(pub(crate) Arc<RequestClient>);

impl FrameSink for AnswerSink {
    async fn accept(&mut self, frame: Frame) -> Result<(), CloseReason> {
        if !matches!(frame.kind, FrameKind::Response | FrameKind::Failure) {
            return Err(FrameError::Unexpected { found: frame.kind.name() }.into());
        }
        let (id, answer) = parse_answer(frame)?;
        let waiter = self.0.waiting().as_mut().and_then(|waiting| waiting.remove(&id));
        if let Some(waiter) = waiter {
            drop(waiter.send(answer));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of the body that `frame` puts on the wire.
    fn body_of(frame: &OutFrame) -> Frame {
        let mut decoder = crate::frame::FrameDecoder::new(crate::FRAME_BYTES_MAX);
        frame.encode(decoder.buffer_mut());
        decoder.decode().unwrap().unwrap()
    }

    #[test]
    fn the_bytes_of_a_request_are_these() {
        let request = || RequestFrame {
            id: 258,
            deadline: Duration::from_millis(1_000),
            kind: 7,
            body: Bytes::from_static(b"x"),
        };
        let body = body_of(&request().into_frame()).body;
        assert_eq!(body.as_ref(), [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 232, 0, 7, b'x']);
        assert_eq!(RequestFrame::parse(body), Ok(request()));
    }

    #[test]
    fn the_bytes_of_a_failure_are_these() {
        let frame = body_of(&answer_frame(1, Err(RequestError::failed(7, "no"))));
        assert_eq!(frame.body.as_ref(), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 7, b'n', b'o']);
    }

    #[test]
    fn answers_read_back_and_long_texts_are_cut() {
        for answer in [
            Ok(Bytes::from_static(b"body")),
            Err(RequestError::failed(9, "why")),
            Err(RequestError::Overloaded),
            Err(RequestError::UnknownKind { kind: 3 }),
            Err(RequestError::Deadline),
            Err(RequestError::HandlerPanicked),
        ] {
            let frame = body_of(&answer_frame(5, answer.clone()));
            assert_eq!(parse_answer(frame), Ok((5, answer)));
        }
        let long = body_of(&answer_frame(5, Err(RequestError::failed(0, "ä".repeat(2_000)))));
        let (_, cut) = parse_answer(long).unwrap();
        assert_eq!(cut, Err(RequestError::failed(0, "ä".repeat(512))));
    }

    #[test]
    fn bodies_that_are_cut_off_are_errors() {
        for len in 0..14 {
            assert!(RequestFrame::parse(vec![0; len].into()).is_err(), "{len}");
        }
        assert!(parse_answer(Frame::new(FrameKind::Response, vec![0; 7])).is_err());
        assert!(parse_answer(Frame::new(FrameKind::Failure, vec![0; 10])).is_err());
    }
}
